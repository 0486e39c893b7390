//! From a world to the status values that are written: the same for the controller and the command line.
//!
//! Every function here is pure: the time is an argument, nothing is read but the world, nothing is written.

mod advice;
pub mod backend_server;
mod budget;
mod conditions;
mod findings;
mod fix;
mod load_balancer;
mod rules;
mod troubleshoot_request;
mod values;
mod words;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use advice::DISAGREEMENT;
pub use backend_server::backend_server_status;
pub use load_balancer::load_balancer_status;
pub use rules::{network_acl_status, security_group_status};
pub use troubleshoot_request::troubleshoot_request_status;

/// When to look at a troubleshoot request again.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// When something that it reads changes.
    OnChange,
    /// When something changes, and at this time at the latest (its deadline).
    OnChangeOr(Time),
    /// Never: it is finished.
    Finished,
    /// It is finished and is to be deleted at this time (its ttl).
    DeleteAt(Time),
}
