//! Kubernetes events, for transitions only.
//!
//! Events are a courtesy and conditions are the record: an event never delays a verdict, fails a reconcile or is retried. They are
//! limited ([`pending`]), since each costs the API server as much as a verdict does. While they are, the latest
//! transitions of each object wait and older ones of the same object go; namespaces take turns.

mod bucket;
mod pending;
mod publish;
mod transition;

pub(super) use publish::Events;
pub(super) use transition::Transition;
