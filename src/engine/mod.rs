//! The diagnosis as pure functions on plain values (semantics §2–§8).
//!
//! A [`Case`] holds all that decides over one backend server's health check; [`diagnose`] answers with a [`Verdict`].
//! Every set here is exact: spans of addresses and ports are never sampled or enumerated.
//!
//! The rooms, from the inside out: `span` (sets on one line), `region` (sets of remote address × remote port), `rule` and
//! `filter` (who decides over a packet), `atlas` (a dimension as the rules cut it), `reach` (could a packet like this one
//! pass?), `walk` (which items fail, semantics §6), `layer` (security groups and network ACLs, at both ends), `evidence`, `fix`,
//! and `diagnose`, which puts them together.

mod address;
mod atlas;
#[cfg(test)]
mod bounds;
mod case;
mod check;
mod configuration;
mod diagnose;
mod evidence;
mod exempt;
mod filter;
mod fix;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod laws_beyond;
mod layer;
mod line;
mod outcome;
mod reach;
mod region;
mod rule;
mod search;
mod share;
mod span;
mod traffic;
mod walk;
mod work;

pub use address::{Family, Prefix, covering_prefixes, format_address, format_prefix, number, prefix_span};
pub use case::{Case, HealthCheckPorts, LoadBalancerEnd, NetworkAclState, SecurityGroupState};
pub use check::{Category, CheckId, Severity};
pub use configuration::PortFix;
pub use diagnose::{TooIntricate, Verdict, diagnose};
pub use evidence::{Decision, Evidence, Has, Nearest, Packet, Values};
pub use exempt::Part;
pub use fix::{FixPlan, Placement};
pub use layer::{Dimension, Layer};
pub use outcome::{BeyondFinding, Finding, Impact, Outcome, Outcomes, RuleFinding, Why};
pub use region::{Block, Region};
pub use rule::{
    Action, AddressGroups, AddressMatch, AddressSet, Direction, PortMatch, ProtocolMatch, Rule, RuleSet, Rules,
};
pub use share::Share;
pub use span::{Bound, Span, SpanSet};
pub use traffic::{Leg, Traffic};
