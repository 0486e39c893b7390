//! Network ACLs: whether their rules can be read, and what they lack.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{NetworkACL, NetworkACLStatus},
    diagnosis,
    telemetry::Metrics,
    world::{Key, World},
};

use super::reconcile::Reconciled;

impl Reconciled for NetworkACL {
    type Facts = ();

    fn desired(world: &World, key: &Key, now: &Time, _metrics: &Metrics) -> Option<(NetworkACLStatus, ())> {
        diagnosis::network_acl_status(world, key, now).map(|status| (status, ()))
    }
}
