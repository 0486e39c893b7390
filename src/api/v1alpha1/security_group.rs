//! `SecurityGroup`: a named set of inbound and outbound rules on network interfaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalReference, enabled};

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
    status = "SecurityGroupStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupSpec {
    /// The rules; none means that the group allows nothing.
    #[serde(default)]
    pub rules: Vec<SecurityGroupRule>,
}

/// One rule of a security group.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupRule {
    /// Name of the rule, unique in its group.
    pub name: String,
    /// Traffic that the rule is about: into or out of the network interface.
    pub direction: Direction,
    /// Address family of the rule; IPv4 unless set.
    #[serde(default)]
    pub ethertype: IpVersion,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or a protocol number 0-255; absent means all. In an IPv6 rule `icmp` means `ICMPv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Destination ports such as `22,80-90`; absent means all. Only with tcp or udp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    /// What the rule does with a packet that it matches; Allow unless set.
    #[serde(default)]
    pub action: RuleAction,
    /// 1 (first, the default) to 100 (last).
    #[serde(default = "first_priority")]
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
pub struct Remote {
    /// A prefix in CIDR form, of the rule's address family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
