//! Load balancers: how many of their backend servers are healthy. Woken with a delay, so that a burst is counted once.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{LoadBalancer, LoadBalancerStatus},
    diagnosis,
    telemetry::Metrics,
    world::{Key, World},
};

use super::reconcile::Reconciled;

impl Reconciled for LoadBalancer {
    type Facts = ();

    fn desired(world: &World, key: &Key, now: &Time, _metrics: &Metrics) -> Option<(LoadBalancerStatus, ())> {
        diagnosis::load_balancer_status(world, key, now).map(|status| (status, ()))
    }
}
