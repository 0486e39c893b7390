//! `SecurityGroup`: a named set of inbound and outbound rules on network interfaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalReference, enabled, forms};

/// A security group: the rules decide by group position, then priority, then deny before allow.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "SecurityGroup",
    plural = "securitygroups",
    shortname = "sg",
    category = "elb-doctor",
    namespaced,
    doc = "A named set of inbound and outbound rules on the network interfaces of servers.",
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
    /// Whether a reply to an allowed packet leaves without a rule of its own; true unless set. Groups of one network interface are all
    /// of one sort.
    #[serde(default = "enabled")]
    pub stateful: bool,
    /// The rules; none means that the group allows nothing.
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
    /// Name of the rule, unique in its group.
    #[schemars(length(min = 1, max = 255), regex(pattern = forms::LABEL))]
    pub name: String,
    /// Traffic that the rule is about: into or out of the network interface.
    pub direction: Direction,
    /// Address family of the rule; IPv4 unless set.
    #[serde(default)]
    pub ethertype: IpVersion,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or a protocol number 0-255; absent means all. In an IPv6 rule `icmp` means `ICMPv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(validation = ("self.matches('^(tcp|udp|icmp|icmpv6|[0-9]{1,3})$')", "must be tcp, udp, icmp, icmpv6 or a protocol number in quotes, such as \"47\"; leave it out for all protocols"))]
    pub protocol: Option<String>,
    /// Destination ports such as `22,80-90`; absent means all. Only with tcp or udp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$')", "must be ports and ranges without spaces, such as \"22,80-90\"; leave it out for all ports"))]
    pub ports: Option<String>,
    /// What the rule does with a packet that it matches; Allow unless set.
    #[serde(default)]
    pub action: RuleAction,
    /// 1 (first, the default) to 100 (last).
    #[serde(default = "first_priority")]
    #[schemars(range(min = 1, max = 100))]
    pub priority: u8,
    /// The other end of the traffic; absent means any address of the ethertype.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// A disabled rule does not exist for the decision; true unless set.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn first_priority() -> u8 {
    1
}

/// The other end of a security group rule: exactly one of the three.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.cidr) ? 1 : 0) + (has(self.securityGroupRef) ? 1 : 0) + (has(self.addressGroupRef) ? 1 : 0) == 1", "must have exactly one of cidr, securityGroupRef and addressGroupRef; leave remote out for any address"))]
pub struct Remote {
    /// A prefix in CIDR form, of the rule's address family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = forms::CIDR_LENGTH))]
    #[x_kube(validation = ("self.matches('^[0-9A-Fa-f:.]+/[0-9]{1,3}$')", "must be a prefix in CIDR form, such as 192.168.0.0/24 or 2001:db8::/32"))]
    pub cidr: Option<String>,
    /// The interfaces that carry this security group; it need not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_group_ref: Option<LocalReference>,
    /// The addresses of this address group that are of the rule's family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_group_ref: Option<LocalReference>,
}

/// Direction of a rule, seen from the server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Direction {
    /// Towards the server.
    Ingress,
    /// Away from the server.
    Egress,
}

/// Address family of a rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum IpVersion {
    /// IPv4.
    #[default]
    IPv4,
    /// IPv6.
    IPv6,
}

/// What a rule does with a packet that it matches.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum RuleAction {
    /// Let it pass.
    #[default]
    Allow,
    /// Drop it.
    Deny,
}

/// What the controller found out about a security group.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
