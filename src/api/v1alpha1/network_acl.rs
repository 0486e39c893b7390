//! `NetworkACL`: ordered rules at the border of subnets.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{IpVersion, LocalReference, RuleAction, enabled, forms};

/// A network ACL: rules in order, the first match decides, a fixed last rule denies.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "NetworkACL",
    plural = "networkacls",
    shortname = "nacl",
    category = "elb-doctor",
    namespaced,
    doc = "A network ACL: rules for traffic into and out of subnets. The first rule that matches decides; if none does, traffic is denied.",
    printcolumn(name = "Enabled", type_ = "boolean", json_path = r#".spec.enabled"#),
    printcolumn(name = "Stateful", type_ = "boolean", json_path = r#".spec.stateful"#),
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
        name = "Subnets",
        type_ = "string",
        json_path = r#".spec.subnetRefs[*].name"#,
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    status = "NetworkACLStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkACLSpec {
    /// Whether the network ACL is on; default true. If off, it allows all traffic.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Whether replies to allowed traffic need no rule of their own; default true. Network ACLs of older regions are stateless.
    #[serde(default = "enabled")]
    pub stateful: bool,
    /// Subnets associated with the network ACL. A subnet has at most one.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub subnet_refs: Vec<LocalReference>,
    /// Inbound rules, in order.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub ingress: Vec<AclRule>,
    /// Outbound rules, in order.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub egress: Vec<AclRule>,
}

/// One rule of a network ACL.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.sourcePorts) || !has(self.protocol) || self.protocol in ['tcp', 'udp', '6', '17']").message("ports are only possible with protocol tcp or udp, or with no protocol, which then means both").field_path(".sourcePorts"))]
#[x_kube(validation = Rule::new("!has(self.destinationPorts) || !has(self.protocol) || self.protocol in ['tcp', 'udp', '6', '17']").message("ports are only possible with protocol tcp or udp, or with no protocol, which then means both").field_path(".destinationPorts"))]
pub struct AclRule {
    /// Name of the rule, unique among the rules of its direction.
    #[schemars(length(min = 1, max = 255), regex(pattern = forms::LABEL))]
    pub name: String,
    /// `Allow` or `Deny`.
    pub action: RuleAction,
    /// `IPv4` (default) or `IPv6`.
    #[serde(default)]
    pub ip_version: IpVersion,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or a protocol number 0-255; any if absent. In an IPv6 rule `icmp` means `ICMPv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(validation = ("self.matches('^(tcp|udp|icmp|icmpv6|[0-9]{1,3})$')", "must be tcp, udp, icmp, icmpv6 or a protocol number in quotes, such as \"47\"; leave it out for all protocols"))]
    pub protocol: Option<String>,
    /// Source; any address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AclEndpoint>,
    /// Source ports such as `22,80-90`; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$')", "must be ports and ranges without spaces, such as \"22,80-90\"; leave it out for all ports"))]
    pub source_ports: Option<String>,
    /// Destination; any address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<AclEndpoint>,
    /// Destination ports such as `22,80-90`; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$')", "must be ports and ranges without spaces, such as \"22,80-90\"; leave it out for all ports"))]
    pub destination_ports: Option<String>,
    /// Whether the rule is in effect; default true.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

/// Source or destination of a network ACL rule. Set exactly one field.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.cidr) != has(self.addressGroupRef)", "must have exactly one of cidr and addressGroupRef; leave it out for any address"))]
pub struct AclEndpoint {
    /// A CIDR block of the rule's IP version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = forms::CIDR_LENGTH))]
    #[x_kube(validation = ("self.matches('^[0-9A-Fa-f:.]+/[0-9]{1,3}$')", "must be a prefix in CIDR form, such as 192.168.0.0/24 or 2001:db8::/32"))]
    pub cidr: Option<String>,
    /// An address group. Its addresses of the rule's IP version count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_group_ref: Option<LocalReference>,
}

/// Status of a network ACL.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkACLStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Condition `Ready`.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
