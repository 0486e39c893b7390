//! `LoadBalancer`: listeners, backend server groups and where health checks come from.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalReference, enabled, forms};

/// A load balancer with its listeners and backend server groups.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "LoadBalancer",
    plural = "loadbalancers",
    shortname = "elb",
    category = "elb-doctor",
    namespaced,
    doc = "A load balancer with its listeners, its backend server groups and the sources of its health checks. The annotation elb-doctor.dev/accept lists ids of advisory findings to accept for all its backend servers, separated by commas.",
    printcolumn(name = "Type", type_ = "string", json_path = r#".spec.type"#),
    printcolumn(name = "Backends", type_ = "integer", json_path = r#".status.backends.total"#),
    printcolumn(name = "Unhealthy", type_ = "integer", json_path = r#".status.backends.unhealthy"#),
    printcolumn(name = "Faulty", type_ = "integer", json_path = r#".status.backends.faulty"#),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="BackendsHealthy")].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
    printcolumn(
        name = "Healthy",
        type_ = "integer",
        json_path = r#".status.backends.healthy"#,
        priority = 1
    ),
    printcolumn(
        name = "Unknown",
        type_ = "integer",
        json_path = r#".status.backends.unknown"#,
        priority = 1
    ),
    printcolumn(name = "Addresses", type_ = "string", json_path = r#".spec.addresses"#, priority = 1),
    status = "LoadBalancerStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'Dedicated' || (has(self.backendSubnetRefs) && size(self.backendSubnetRefs) > 0) || (has(self.healthCheckSources) && size(self.healthCheckSources) > 0)").message("a Dedicated load balancer needs at least one of backendSubnetRefs, unless healthCheckSources names its probe addresses").field_path(".backendSubnetRefs"))]
pub struct LoadBalancerSpec {
    /// `Dedicated`: health checks come from its backend subnets. `Shared`: they come from the provider's shared addresses, usually
    /// `100.125.0.0/16`.
    #[serde(rename = "type")]
    pub type_: LoadBalancerType,
    /// Virtual IP addresses. For information only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = forms::ADDRESS_LENGTH), regex(pattern = forms::ADDRESS)))]
    pub addresses: Vec<String>,
    /// Subnets that the health checks of a Dedicated load balancer come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub backend_subnet_refs: Vec<LocalReference>,
    /// The exact addresses or CIDR blocks that health checks come from, if known. Used instead of the whole subnets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(max = forms::CIDR_LENGTH), regex(pattern = forms::ADDRESS_OR_CIDR)))]
    pub health_check_sources: Vec<String>,
    /// Listeners.
    #[serde(default)]
    #[schemars(length(max = 500))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub listeners: Vec<Listener>,
    /// Backend server groups.
    #[serde(default)]
    #[schemars(length(max = 500))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub backend_server_groups: Vec<BackendServerGroup>,
}

/// Type of a load balancer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum LoadBalancerType {
    /// Dedicated resources. Health checks come from its backend subnets.
    Dedicated,
    /// Shared resources. Health checks come from the provider's shared addresses.
    Shared,
}

/// A listener: the protocol and port for incoming traffic.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.port > 0 || self.protocol == 'IP'").message("port must be 1 to 65535; only a listener of protocol IP has port 0").field_path(".port"))]
pub struct Listener {
    /// Name, unique in the load balancer.
    #[schemars(length(min = 1, max = 255), regex(pattern = forms::LABEL))]
    pub name: String,
    /// Frontend protocol.
    pub protocol: ListenerProtocol,
    /// Frontend port; 0 for an IP listener, which has none.
    #[schemars(range(min = 0, max = 65535))]
    pub port: u16,
    /// Names of the backend server groups it forwards to: the default group and those of forwarding policies.
    #[serde(default)]
    #[schemars(length(max = 500), inner(length(min = 1, max = 255), regex(pattern = forms::LABEL)))]
    pub backend_server_groups: Vec<String>,
}

/// Protocol of a listener.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(
    missing_docs,
    clippy::upper_case_acronyms,
    non_camel_case_types,
    reason = "the cloud's own words"
)]
pub enum ListenerProtocol {
    TCP,
    UDP,
    QUIC,
    HTTP,
    HTTPS,
    #[serde(rename = "TERMINATED_HTTPS")]
    TerminatedHttps,
    GRPC,
    TLS,
    IP,
}

/// A group of backend servers with one health check.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.healthCheck) || (self.protocol in ['UDP', 'QUIC'] ? self.healthCheck.protocol == 'UDP_CONNECT' : self.protocol in ['TCP', 'IP'] ? self.healthCheck.protocol in ['TCP', 'HTTP', 'HTTPS'] : self.healthCheck.protocol != 'UDP_CONNECT')").message(Message::Expression("'health check protocol ' + self.healthCheck.protocol + ' is not possible in a group of protocol ' + self.protocol + '; possible: ' + (self.protocol in ['UDP', 'QUIC'] ? 'UDP_CONNECT' : self.protocol in ['TCP', 'IP'] ? 'TCP, HTTP, HTTPS' : 'TCP, HTTP, HTTPS, TLS, GRPC')".into())).field_path(".healthCheck"))]
pub struct BackendServerGroup {
    /// Name, unique in the load balancer.
    #[schemars(length(min = 1, max = 255), regex(pattern = forms::LABEL))]
    pub name: String,
    /// Backend protocol.
    pub protocol: GroupProtocol,
    /// Health check; off if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

/// Protocol of a backend server group.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(missing_docs, clippy::upper_case_acronyms, reason = "the cloud's own words")]
pub enum GroupProtocol {
    TCP,
    UDP,
    QUIC,
    HTTP,
    HTTPS,
    GRPC,
    TLS,
    IP,
}

/// Health check settings of a backend server group.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Whether the health check is on; default true.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Health check protocol. UDP and QUIC groups: `UDP_CONNECT`; TCP and IP groups: `TCP`, `HTTP` or `HTTPS`; others: all but
    /// `UDP_CONNECT`.
    pub protocol: HealthCheckProtocol,
    /// Health check port; the backend server's own port if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Interval between health checks in seconds, 1-50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub delay_seconds: Option<u8>,
    /// Timeout in seconds, 1-50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub timeout_seconds: Option<u8>,
    /// Number of consecutive checks that change the health, 1-10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_retries: Option<u8>,
    /// Path of an HTTP, HTTPS or GRPC check, starting with a slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = ("self.matches('^/[!-~]*$')", "must start with a slash and hold no spaces, such as /healthz"))]
    pub path: Option<String>,
    /// Domain name in the Host header of an HTTP or HTTPS check; the backend server's address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("self.matches('^[0-9A-Za-z._:-]+$')", "must be a host name, such as www.example.com"))]
    pub domain_name: Option<String>,
    /// Response codes that count as healthy, such as `200`, `200,202` or `200-204`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[0-9]{1,3}(-[0-9]{1,3})?(,[0-9]{1,3}(-[0-9]{1,3})?)*$')", "must be codes and ranges without spaces, such as \"200,202\" or \"200-204\""))]
    pub expected_codes: Option<String>,
}

/// Protocol of a health check.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(missing_docs, clippy::upper_case_acronyms, reason = "the cloud's own words")]
pub enum HealthCheckProtocol {
    TCP,
    #[serde(rename = "UDP_CONNECT")]
    UdpConnect,
    HTTP,
    HTTPS,
    TLS,
    GRPC,
}

/// Status of a load balancer.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of backend servers by health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<BackendCounts>,
    /// Conditions `Ready` and `BackendsHealthy`.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Number of backend servers of a load balancer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendCounts {
    /// All backend servers.
    pub total: u32,
    /// Healthy backend servers.
    pub healthy: u32,
    /// Unhealthy backend servers.
    pub unhealthy: u32,
    /// Backend servers of unknown health.
    pub unknown: u32,
    /// Backend servers with at least one finding.
    pub faulty: u32,
}
