//! `NetworkACL`: ordered rules at the border of subnets.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{IpVersion, LocalReference, RuleAction, enabled};

/// A network ACL: rules in array order, the first match decides, a fixed last rule denies.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "NetworkACL",
    plural = "networkacls",
    shortname = "nacl",
    category = "elb-doctor",
    namespaced,
    status = "NetworkACLStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkACLSpec {
    /// A switched-off ACL lets everything pass; true unless set.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Whether replies to allowed packets leave without a rule; false in older regions, true unless set.
    #[serde(default = "enabled")]
    pub stateful: bool,
    /// The subnets at whose border the ACL stands; a subnet has at most one ACL.
    #[serde(default)]
    pub subnet_refs: Vec<LocalReference>,
    /// Rules for traffic into the subnets, in order.
    #[serde(default)]
    pub ingress: Vec<AclRule>,
    /// Rules for traffic out of the subnets, in order.
    #[serde(default)]
    pub egress: Vec<AclRule>,
}

/// One rule of a network ACL.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AclRule {
    /// Name of the rule, unique in its direction.
    pub name: String,
    /// What the rule does with a packet that it matches.
    pub action: RuleAction,
    /// Address family of the rule; IPv4 unless set.
    #[serde(default)]
    pub ip_version: IpVersion,
    /// `tcp`, `udp`, `icmp`, `icmpv6` or a protocol number 0-255; absent means all. In an IPv6 rule `icmp` means `ICMPv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Where the packet comes from; absent means anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AclEndpoint>,
    /// Source ports such as `22,80-90`; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<String>,
    /// Where the packet goes; absent means anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<AclEndpoint>,
    /// Destination ports such as `22,80-90`; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_ports: Option<String>,
    /// A disabled rule does not exist for the decision; true unless set.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

/// One end of a network ACL rule: exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AclEndpoint {
    /// A prefix in CIDR form, of the rule's address family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// The addresses of this address group that are of the rule's family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_group_ref: Option<LocalReference>,
}

/// What the controller found out about a network ACL.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkACLStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
