//! Statuses of the objects that hold rules.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::v1alpha1::{
        NetworkACLStatus, SecurityGroupStatus,
        conditions::{reasons, types},
    },
    world::{Key, Refusal, RefusalReason, World},
};

use super::conditions::{Conditions, State};

/// A security group's status as it ought to be now; `None`: no such object.
#[must_use]
pub fn security_group_status(world: &World, key: &Key, now: &Time) -> Option<SecurityGroupStatus> {
    let group = world.security_group(key)?;
    let observed = group
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let refusal = world.security_group_violations(key).refusal();
    let generation = group.metadata.generation;
    Some(SecurityGroupStatus {
        observed_generation: generation,
        conditions: ready(observed, generation, now, refusal),
    })
}

/// A network ACL's status as it ought to be now; `None`: no such object.
#[must_use]
pub fn network_acl_status(world: &World, key: &Key, now: &Time) -> Option<NetworkACLStatus> {
    let acl = world.network_acl(key)?;
    let observed = acl
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let faults = world.network_acl_violations(key);
    let rivals = world.rival_acls(key);
    let ambiguous = || {
        rivals.first().map(|(other, subnet)| {
            let message = format!(
                "NetworkACL {} and NetworkACL {other} both name Subnet {subnet} in spec.subnetRefs; a subnet has at most one",
                key.name
            );
            Refusal::new(RefusalReason::AmbiguousNetworkAcl, message)
        })
    };
    let refusal = faults.refusal().or_else(ambiguous);
    let generation = acl.metadata.generation;
    Some(NetworkACLStatus {
        observed_generation: generation,
        conditions: ready(observed, generation, now, refusal),
    })
}

fn ready(observed: &[Condition], generation: Option<i64>, now: &Time, refusal: Option<Refusal>) -> Vec<Condition> {
    let mut conditions = Conditions::new(observed, generation, now);
    match refusal {
        Some(refusal) => conditions.set(types::READY, State::False, refusal.reason.as_str(), refusal.message),
        None => conditions.set(types::READY, State::True, reasons::RECONCILED, "The rules are valid"),
    };
    conditions.done()
}
