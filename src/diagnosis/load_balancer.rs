//! A load balancer's status: how many of its backend servers are well.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{
        BackendCounts, LoadBalancerStatus,
        conditions::{reasons, types},
    },
    world::{Key, World},
};

use super::conditions::{Conditions, State};

/// A load balancer's status as it ought to be now; `None`: no such object. Faults are counted from the statuses that its
/// backend servers have.
#[must_use]
pub fn load_balancer_status(world: &World, key: &Key, now: &Time) -> Option<LoadBalancerStatus> {
    let balancer = world.load_balancer(key)?;
    let counts = world.backend_counts(key);
    let observed = balancer
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let mut conditions = Conditions::new(observed, balancer.metadata.generation, now);
    match world.load_balancer_violations(key).refusal() {
        Some(refusal) => conditions.set(types::READY, State::False, refusal.reason.as_str(), refusal.message),
        None => conditions.set(types::READY, State::True, reasons::RECONCILED, "References found"),
    };
    let BackendCounts {
        total,
        healthy,
        unhealthy,
        unknown,
        faulty,
    } = counts;
    let (state, reason, message) = if total == 0 {
        (State::Unknown, reasons::NO_BACKENDS, "No backend servers".to_owned())
    } else if unhealthy > 0 {
        let message = format!("{unhealthy} of {total} backend servers are unhealthy, {faulty} with a fault found");
        (State::False, reasons::SOME_UNHEALTHY, message)
    } else if unknown > 0 {
        let message = format!("{unknown} of {total} backend servers have unknown health");
        (State::Unknown, reasons::SOME_UNKNOWN, message)
    } else {
        (
            State::True,
            reasons::ALL_HEALTHY,
            format!("All {healthy} backend servers are healthy"),
        )
    };
    conditions.set(types::BACKENDS_HEALTHY, state, reason, message);
    Some(LoadBalancerStatus {
        observed_generation: balancer.metadata.generation,
        backends: Some(counts),
        conditions: conditions.done(),
    })
}
