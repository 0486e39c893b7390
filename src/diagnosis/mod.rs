//! From a world to the status values that are written: the same for the controller and the command line.
//!
//! Every function here is pure: the time is an argument, nothing is read but the world, nothing is written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{
        BackendServerStatus, LoadBalancerStatus, NetworkACLStatus, SecurityGroupStatus, TroubleshootRequest,
        TroubleshootRequestStatus,
    },
    world::{Key, World},
};

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

/// The controller's part of a backend server's status (`health` is `None` in it), as it ought to be now. Transition times of
/// conditions whose status is unchanged are kept from the status that the world holds. `None`: no such object.
#[must_use]
pub fn backend_server_status(_world: &World, _key: &Key, _now: &Time) -> Option<BackendServerStatus> {
    unimplemented!()
}

/// A load balancer's status as it ought to be now.
#[must_use]
pub fn load_balancer_status(_world: &World, _key: &Key, _now: &Time) -> Option<LoadBalancerStatus> {
    unimplemented!()
}

/// A security group's status as it ought to be now.
#[must_use]
pub fn security_group_status(_world: &World, _key: &Key, _now: &Time) -> Option<SecurityGroupStatus> {
    unimplemented!()
}

/// A network ACL's status as it ought to be now.
#[must_use]
pub fn network_acl_status(_world: &World, _key: &Key, _now: &Time) -> Option<NetworkACLStatus> {
    unimplemented!()
}

/// A troubleshoot request's status as it ought to be now, and when to look again. A finished request's status is
/// returned as it is.
#[must_use]
pub fn troubleshoot_request_status(
    _world: &World,
    _request: &TroubleshootRequest,
    _now: &Time,
) -> (TroubleshootRequestStatus, Next) {
    unimplemented!()
}
