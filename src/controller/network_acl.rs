//! Network ACLs: whether their rules can be read, and what they lack.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{NetworkACL, NetworkACLStatus},
    diagnosis,
    telemetry::Metrics,
    world::{Key, World},
};

use super::reconcile::{Reconciled, kind_of_world};

impl Reconciled for NetworkACL {
    kind_of_world!(NetworkACL);

    type Facts = ();

    fn wanted(world: &World, key: &Key, now: &Time, _metrics: &Metrics) -> Option<(NetworkACLStatus, ())> {
        diagnosis::network_acl_status(world, key, now).map(|status| (status, ()))
    }
}
