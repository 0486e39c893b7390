//! API group `elb-doctor.dev/v1alpha1`: seven namespaced kinds, one file each.
#![allow(
    clippy::duplicated_attributes,
    reason = "KubeSchema repeats the attributes of a field in what it generates"
)]

mod address_group;
mod annotations;
mod backend_server;
pub mod conditions;
pub mod crds;
mod diagnosis;
pub mod forms;
mod kinds;
mod load_balancer;
mod network_acl;
mod reference;
mod security_group;
mod subnet;
mod troubleshoot_request;

pub use address_group::{AddressGroup, AddressGroupSpec};
pub use annotations::{ACCEPT_ANNOTATION, ReadAnnotations};
pub use backend_server::{
    BackendHealthCheck, BackendServer, BackendServerSpec, BackendServerStatus, BackendType, HealthState,
    ReportedHealth, ReportedReason,
};
pub use diagnosis::{
    Blocked, Decision, Diagnosis, DiagnosisImpact, FailedCheck, Fix, FixKind, HealthCheckTraffic, ItemImpact, Nearest,
    NearestDimension, RuleKind, Witness,
};
pub use kinds::{ApiObject, Kind, KindVisitor, Object};
pub use load_balancer::{
    BackendCounts, BackendServerGroup, GroupProtocol, HealthCheck, HealthCheckProtocol, Listener, ListenerProtocol,
    LoadBalancer, LoadBalancerSpec, LoadBalancerStatus, LoadBalancerType,
};
pub use network_acl::{AclEndpoint, AclRule, NetworkACL, NetworkACLSpec, NetworkACLStatus};
pub use reference::LocalReference;
pub use security_group::{
    Direction, IpVersion, Remote, RuleAction, SecurityGroup, SecurityGroupRule, SecurityGroupSpec, SecurityGroupStatus,
};
pub use subnet::{Subnet, SubnetSpec};
pub use troubleshoot_request::{
    BackendResult, Outcome, Progress, Subject, TroubleshootRequest, TroubleshootRequestSpec, TroubleshootRequestStatus,
};

/// The API group of every kind.
pub const GROUP: &str = "elb-doctor.dev";
/// The one version served today.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as it stands in a manifest.
pub const API_VERSION: &str = "elb-doctor.dev/v1alpha1";

fn enabled() -> bool {
    true
}
