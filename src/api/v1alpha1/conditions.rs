//! The words of conditions: types and reasons, each in one place.

/// Condition types.
pub mod types {
    #![allow(missing_docs, reason = "the words say it")]
    pub const READY: &str = "Ready";
    pub const HEALTHY: &str = "Healthy";
    pub const DIAGNOSED: &str = "Diagnosed";
    pub const FAULT_FOUND: &str = "FaultFound";
    pub const BACKENDS_HEALTHY: &str = "BackendsHealthy";
    pub const ACCEPTED: &str = "Accepted";
    pub const SUCCEEDED: &str = "Succeeded";
}

/// Condition reasons.
pub mod reasons {
    #![allow(missing_docs, reason = "the words say it")]
    pub const RECONCILED: &str = "Reconciled";
    pub const FAULTS_FOUND: &str = "FaultsFound";
    pub const NO_FAULT_FOUND: &str = "NoFaultFound";
    pub const NOT_DIAGNOSED: &str = "NotDiagnosed";
    pub const REPORTED: &str = "Reported";
    pub const NOT_REPORTED: &str = "NotReported";
    pub const NO_UNHEALTHY_BACKEND: &str = "NoUnhealthyBackend";
    pub const CATCHING_UP: &str = "CatchingUp";
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    pub const ACCEPTED: &str = "Accepted";
    pub const REFERENCE_NOT_FOUND: &str = "ReferenceNotFound";
    pub const INVALID_SPEC: &str = "InvalidSpec";
    pub const AMBIGUOUS_NETWORK_ACL: &str = "AmbiguousNetworkACL";
    pub const IP_BACKEND_UNSUPPORTED: &str = "IPBackendUnsupported";
    pub const NOT_ASSOCIATED_WITH_LISTENER: &str = "NotAssociatedWithListener";
    pub const HEALTH_CHECK_DISABLED: &str = "HealthCheckDisabled";
    pub const BACKEND_NOT_UNHEALTHY: &str = "BackendNotUnhealthy";
    pub const HEALTH_CHECK_SOURCES_UNKNOWN: &str = "HealthCheckSourcesUnknown";
    pub const TOO_INTRICATE: &str = "TooIntricate";
    pub const ALL_HEALTHY: &str = "AllHealthy";
    pub const SOME_UNHEALTHY: &str = "SomeUnhealthy";
    pub const SOME_UNKNOWN: &str = "SomeUnknown";
    pub const NO_BACKENDS: &str = "NoBackends";
}
