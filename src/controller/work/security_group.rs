//! Security groups: whether their rules can be read, and what they lack.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{SecurityGroup, SecurityGroupStatus},
    diagnosis,
    telemetry::Metrics,
    world::{Key, World},
};

use super::reconcile::Reconciled;

impl Reconciled for SecurityGroup {
    type Facts = ();

    fn desired(world: &World, key: &Key, now: &Time, _metrics: &Metrics) -> Option<(SecurityGroupStatus, ())> {
        diagnosis::security_group_status(world, key, now).map(|status| (status, ()))
    }
}
