//! The health that is shown of a backend server, and why (semantics §9).

use crate::api::v1alpha1::{BackendServer, HealthState, LoadBalancer, conditions::reasons};

use super::Namespace;

/// The health, and the reported reason or a word of the condition vocabulary.
pub(super) fn health<'a>(namespace: &Namespace, backend: &'a BackendServer) -> (HealthState, &'a str) {
    let balancer = namespace.readable::<LoadBalancer>(&backend.spec.load_balancer_ref.name);
    let group = balancer.and_then(|balancer| balancer.compiled.group(&backend.spec.backend_server_group));
    if let Some(group) = group {
        if !group.checked() {
            return (HealthState::Unknown, reasons::HEALTH_CHECK_DISABLED);
        }
        if !group.listens {
            return (HealthState::Unknown, reasons::NOT_ASSOCIATED_WITH_LISTENER);
        }
    }
    match backend.status.as_ref().and_then(|status| status.health.as_ref()) {
        None => (HealthState::Unknown, reasons::NOT_REPORTED),
        Some(health) => (health.state, health.reason.as_deref().unwrap_or(reasons::REPORTED)),
    }
}
