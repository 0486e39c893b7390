//! `BackendServer`: one member of a backend server group, its reported health and its diagnosis.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use super::{Diagnosis, LocalReference, enabled, forms};

/// One member of a backend server group.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "BackendServer",
    plural = "backendservers",
    shortname = "bes",
    category = "elb-doctor",
    namespaced,
    doc = "A member of a backend server group, with its reported health and the reasons why it is unhealthy. The annotation elb-doctor.dev/accept lists ids of advisory findings to accept, separated by commas.",
    selectable = ".spec.loadBalancerRef.name",
    selectable = ".spec.backendServerGroup",
    selectable = ".status.health.state",
    printcolumn(
        name = "Healthy",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Healthy")].status"#
    ),
    printcolumn(
        name = "Diagnosis",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Diagnosed")].reason"#
    ),
    printcolumn(name = "Faults", type_ = "integer", json_path = r#".status.diagnosis.failed"#),
    printcolumn(
        name = "Fault",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="FaultFound")].reason"#
    ),
    printcolumn(name = "Impact", type_ = "string", json_path = r#".status.diagnosis.impact"#),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
    printcolumn(
        name = "Dropped",
        type_ = "string",
        json_path = r#".status.diagnosis.droppedShare"#,
        priority = 1
    ),
    printcolumn(
        name = "Reported",
        type_ = "string",
        json_path = r#".status.health.reason"#,
        priority = 1
    ),
    printcolumn(
        name = "Load Balancer",
        type_ = "string",
        json_path = r#".spec.loadBalancerRef.name"#,
        priority = 1
    ),
    printcolumn(
        name = "Group",
        type_ = "string",
        json_path = r#".spec.backendServerGroup"#,
        priority = 1
    ),
    printcolumn(name = "Address", type_ = "string", json_path = r#".spec.address"#, priority = 1),
    printcolumn(name = "Port", type_ = "integer", json_path = r#".spec.port"#, priority = 1),
    status = "BackendServerStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'Instance' || has(self.subnetRef)").message("subnetRef is required for type Instance: name the Subnet of the server").field_path(".subnetRef"))]
pub struct BackendServerSpec {
    /// The load balancer that the group belongs to.
    pub load_balancer_ref: LocalReference,
    /// Name of the backend server group in the load balancer.
    #[schemars(length(min = 1, max = 255), regex(pattern = forms::LABEL))]
    pub backend_server_group: String,
    /// `Instance` (default) or `IP`.
    #[serde(default, rename = "type")]
    pub type_: BackendType,
    /// IP address of the server.
    #[schemars(length(min = 1, max = forms::ADDRESS_LENGTH))]
    #[x_kube(validation = ("self.matches('^[0-9A-Fa-f:.]+$')", "must be an IPv4 or IPv6 address, such as 192.168.1.10"))]
    pub address: String,
    /// Port on which the server receives traffic.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Weight, 0-100; default 1. A Shared load balancer shows a backend server with weight 0 as unhealthy.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: u8,
    /// Subnet of the server. Required for type `Instance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_ref: Option<LocalReference>,
    /// Security groups of the network interface, in order of precedence: all stateful or all stateless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub security_group_refs: Vec<LocalReference>,
    /// Whether security groups apply to the network interface; default true.
    #[serde(default = "enabled")]
    pub port_security_enabled: bool,
    /// Health check settings of this member that override those of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<BackendHealthCheck>,
}

fn one() -> u8 {
    1
}

/// Type of a backend server.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum BackendType {
    /// A cloud server (ECS) with its own network interface.
    #[default]
    Instance,
    /// IP as backend server: only the address is known. Cannot be diagnosed.
    IP,
}

/// Health check settings of one member. Each overrides that of the group.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendHealthCheck {
    /// Health check port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Health check address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = forms::ADDRESS_LENGTH))]
    #[x_kube(validation = ("self.matches('^[0-9A-Fa-f:.]+$')", "must be an IPv4 or IPv6 address, such as 192.168.1.10"))]
    pub address: Option<String>,
    /// Addresses or CIDR blocks that the health checks of this member come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = forms::CIDR_LENGTH), regex(pattern = forms::ADDRESS_OR_CIDR)))]
    pub sources: Vec<String>,
}

/// Status of a backend server. `health` is written by the health reporter, everything else by the controller.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendServerStatus {
    /// Health as reported by the load balancer. Written by a health reporter, never by the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<ReportedHealth>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Ready`, `Healthy`, `Diagnosed` and `FaultFound`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The diagnosis; absent unless condition `Diagnosed` is True.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// Health check result as the load balancer reports it.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedHealth {
    /// `Healthy`, `Unhealthy` or `Unknown`.
    pub state: HealthState,
    /// The cloud's reason code in `CamelCase`, such as `ConnectTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = forms::CAMEL_CASE))]
    pub reason: Option<String>,
    /// A message in plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When it was reported. For information only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub reported_at: Option<String>,
}

/// The reasons that the cloud reports, spelled as they are named here. Reporters may write others: those say nothing.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq, VariantArray, VariantNames)]
#[allow(missing_docs, reason = "the words say it")]
pub enum ReportedReason {
    ConnectTimeout,
    ConnectRefused,
    ConnectFailed,
    ConnectInterrupt,
    SslHandshakeError,
    RecvResponseFailed,
    RecvResponseTimeout,
    SendRequestFailed,
    SendRequestTimeout,
    ResponseFormatError,
    ResponseMismatch,
}

impl ReportedReason {
    /// The word that is reported.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Health of a backend server.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the words say it")]
pub enum HealthState {
    Healthy,
    Unhealthy,
    #[default]
    Unknown,
}
