//! `SecurityGroup`: a named set of inbound and outbound rules on network interfaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalReference, enabled, forms};

/// A security group: rules decide by the position of the group, then by priority, then deny before allow.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "SecurityGroup",
    plural = "securitygroups",
    shortname = "sg",
    category = "elb-doctor",
    namespaced,
    doc = "A security group: inbound and outbound rules of network interfaces. What no rule allows is denied.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    status = "SecurityGroupStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupSpec {
    /// Whether replies to allowed traffic need no rule of their own; default true. Set `false` for a stateless group. The groups of
    /// one network interface must be all stateful or all stateless.
    #[serde(default = "enabled")]
    pub stateful: bool,
    /// Rules. Without rules the group allows nothing.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<SecurityGroupRule>,
}

/// One rule of a security group.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.ports) || (has(self.protocol) && self.protocol in ['tcp', 'udp', '6', '17'])").message("ports are only possible with protocol tcp or udp: set the protocol or leave ports out").field_path(".ports"))]
pub struct SecurityGroupRule {
    /// Name of the rule, unique in the group.
    #[schemars(length(min = 1, max = 255), regex(pattern = forms::LABEL))]
    pub name: String,
    /// `Ingress` (inbound) or `Egress` (outbound).
    pub direction: Direction,
    /// `IPv4` (default) or `IPv6`.
    #[serde(default)]
    pub ethertype: IpVersion,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or a protocol number 0-255; any if absent. In an IPv6 rule `icmp` means `ICMPv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(validation = ("self.matches('^(tcp|udp|icmp|icmpv6|[0-9]{1,3})$')", "must be tcp, udp, icmp, icmpv6 or a protocol number in quotes, such as \"47\"; leave it out for all protocols"))]
    pub protocol: Option<String>,
    /// Destination ports such as `22,80-90`; any if absent. Only for tcp and udp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$')", "must be ports and ranges without spaces, such as \"22,80-90\"; leave it out for all ports"))]
    pub ports: Option<String>,
    /// `Allow` (default) or `Deny`.
    #[serde(default)]
    pub action: RuleAction,
    /// Priority, from 1 (evaluated first, default) to 100.
    #[serde(default = "first_priority")]
    #[schemars(range(min = 1, max = 100))]
    pub priority: u8,
    /// Source of an inbound rule, destination of an outbound rule; any address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// Whether the rule is in effect; default true.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn first_priority() -> u8 {
    1
}

/// Source or destination of a security group rule. Set exactly one field.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.cidr) ? 1 : 0) + (has(self.securityGroupRef) ? 1 : 0) + (has(self.addressGroupRef) ? 1 : 0) == 1", "must have exactly one of cidr, securityGroupRef and addressGroupRef; leave remote out for any address"))]
pub struct Remote {
    /// A CIDR block of the rule's IP version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = forms::CIDR_LENGTH))]
    #[x_kube(validation = ("self.matches('^[0-9A-Fa-f:.]+/[0-9]{1,3}$')", "must be a prefix in CIDR form, such as 192.168.0.0/24 or 2001:db8::/32"))]
    pub cidr: Option<String>,
    /// A security group: the network interfaces in it. It need not exist here. Load balancers are in no security group, so their
    /// health checks never match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_group_ref: Option<LocalReference>,
    /// An address group. Its addresses of the rule's IP version count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_group_ref: Option<LocalReference>,
}

/// Direction of a rule, as seen from the server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Direction {
    /// Inbound.
    Ingress,
    /// Outbound.
    Egress,
}

/// IP version of a rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum IpVersion {
    /// IPv4.
    #[default]
    IPv4,
    /// IPv6.
    IPv6,
}

/// Action of a rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum RuleAction {
    /// Allow the traffic.
    #[default]
    Allow,
    /// Deny the traffic.
    Deny,
}

/// Status of a security group.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Condition `Ready`.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
