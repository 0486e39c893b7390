//! Work: what is done about a key that is due.

mod answer;
mod backend_server;
mod context;
mod dispute;
mod grace;
mod leftover;
mod load_balancer;
mod network_acl;
mod pool;
mod reconcile;
mod security_group;
mod status;
mod troubleshoot_request;
mod worker;
mod write;

pub(super) use context::Context;
pub(super) use pool::DiagnosisPool;
pub(super) use reconcile::{Reconciled, reconcile};
pub(super) use troubleshoot_request::reconcile as reconcile_request;
pub(super) use worker::{ControllerState, Outcome, work};
pub(super) use write::{Writer, field_manager};
