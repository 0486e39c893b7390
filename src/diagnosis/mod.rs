//! From a world to the status values that are written: the same for the controller and the command line.
//!
//! The facts flow one way: what was collected is judged by the engine (`judge`), the verdict becomes a `report` (data),
//! and the report is put into words for whoever asks: statuses, requests, the table of the command line. What counts or
//! compares reads the report, never the words.
//!
//! Every function here is pure: the time is an argument, nothing is read but the world, nothing is written.

mod assessment;
mod budget;
mod conditions;
mod load_balancer;
pub(crate) mod report;
mod rules;
mod status;
#[cfg(test)]
mod tests;
mod troubleshoot_request;
mod values;
pub(crate) mod words;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::BackendServerStatus,
    world::{Key, World},
};

pub(crate) use assessment::{Assessment, Facts, assess};
pub use load_balancer::load_balancer_status;
pub(crate) use rules::{network_acl_status, security_group_status};
pub(crate) use status::{status, witness};
pub(crate) use troubleshoot_request::{is_record_current, record_end, troubleshoot_request_status};

/// The controller's part of a backend server's status, as it ought to be now; `None`: there is no such object.
#[must_use]
pub fn backend_server_status(world: &World, key: &Key, now: &Time) -> Option<BackendServerStatus> {
    assess(world, key).map(|assessment| status(&assessment, now))
}

/// When to look at a troubleshoot request again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// When something changes, and at this time at the latest (its deadline).
    OnChangeOr(Time),
    /// Never: it is finished.
    Finished,
    /// It is finished and is to be deleted at this time (its ttl).
    DeleteAt(Time),
}
