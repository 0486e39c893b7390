//! The findings of one diagnosis, as they stand in a status (semantics §7 and §8).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, RuleAction};

/// Diagnosis of one backend server.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The health check traffic that was checked against the rules.
    pub health_check: HealthCheckTraffic,
    /// Number of items checked.
    pub checked: u32,
    /// Number of findings, those in `beyond` included.
    pub failed: u32,
    /// Impact of all findings together.
    pub impact: DiagnosisImpact,
    /// Share of the probes that do not complete, from 0 to 1.
    pub dropped_share: String,
    /// The failed items, in order; all others passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<FailedCheck>,
    /// Findings beyond the 17 items: network ACLs at the load balancer's subnets, replies dropped by stateless security groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<FailedCheck>,
    /// Ids of advisory findings accepted with the annotation `elb-doctor.dev/accept` on the backend server or its load balancer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// Changes that fix the findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<Fix>,
    /// What else to check, most likely cause first. Given when the rules do not explain the reported health.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_steps: Vec<String>,
    /// Remarks: why security groups or a network ACL do not matter, assumptions, reports that contradict the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Health check traffic of one backend server.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckTraffic {
    /// Health check protocol.
    pub protocol: super::HealthCheckProtocol,
    /// Health check port.
    pub port: u16,
    /// Addresses that probes come from, in CIDR form.
    pub sources: Vec<String>,
    /// Number of sources not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted_sources: Option<u32>,
    /// Address that probes go to.
    pub destination: String,
}

/// Impact of all findings together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum DiagnosisImpact {
    /// Every probe is dropped.
    Blocks,
    /// Some probes are dropped.
    Intermittent,
    /// There are findings, but no probe is dropped.
    Advisory,
    /// There are no findings.
    None,
}

/// Impact of one finding.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum ItemImpact {
    /// This alone drops every probe.
    Blocks,
    /// Some probes are dropped.
    Intermittent,
    /// This alone cannot fail the health check.
    Advisory,
}

/// One finding: a failed item, or a finding beyond the items.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedCheck {
    /// Stable id. For an item the one that the cloud's API uses.
    pub id: String,
    /// `SecurityGroup`, `NetworkACL` or `Config`.
    pub category: String,
    /// What was checked.
    pub item: String,
    /// `Major` or `Tips`.
    pub severity: String,
    /// Why it failed.
    pub reason: String,
    /// What to do.
    pub suggestion: String,
    /// Impact of this finding by itself.
    pub impact: ItemImpact,
    /// The health check traffic that is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// An example packet that is blocked. If absent, the example, `decidedBy` and `nearest` are those of the check before it in
    /// the same category and direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// The rule that blocks the example packet. If absent, that of the check before it in the same category and direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Decision>,
    /// The allow rule that comes closest to matching the example packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
}

/// The health check traffic that is blocked.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// What is blocked: protocols, addresses in CIDR form or ports, depending on the item.
    pub values: Vec<String>,
    /// Number of values not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<u32>,
    /// Blocked share of the health check traffic in this direction, from 0 to 1.
    pub share: String,
}

/// An example packet. Security groups look at the protocol, the remote address and the port only.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// `tcp`, `udp`, `icmp` or `icmpv6`.
    pub protocol: String,
    /// Source address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Source port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Destination address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Destination port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
}

/// Kind of an object with rules.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the words say it")]
pub enum RuleKind {
    SecurityGroup,
    NetworkACL,
}

/// The rule that decides what happens to a packet, or the implicit deny if no rule matches.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Kind of the object.
    pub kind: RuleKind,
    /// Name of the object. Absent if there is none, or if no rule of several security groups matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the rule. Absent if no rule matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Position of the rule in its list, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Priority of the security group rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// `Allow` or `Deny`.
    pub action: RuleAction,
}

/// The allow rule that comes closest to matching the example packet.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nearest {
    /// Kind of the object.
    pub kind: RuleKind,
    /// Name of the object.
    pub name: String,
    /// Name of the rule.
    pub rule: String,
    /// What does not match. Empty if the rule matches but comes after a deny rule.
    pub misses: Vec<NearestDimension>,
    /// The deny rule that comes before it and also matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadowed_by: Option<String>,
}

/// A field of a packet.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum NearestDimension {
    Protocol,
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    Port,
}

/// Kind of an object that a fix changes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the words say it")]
pub enum FixKind {
    SecurityGroup,
    NetworkACL,
    BackendServer,
    LoadBalancer,
}

/// A change that fixes one direction of the rules, or the health check port.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// Kind of the object to change.
    pub kind: FixKind,
    /// Name of the object to change.
    pub name: String,
    /// The direction that the change fixes. Absent for the health check port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The change in words.
    pub summary: String,
    /// JSON patch (RFC 6902) for the object, as `kubectl patch --type=json` takes it. Absent if the object is yet to be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Whether the diagnosis was run again with the change, passed, and nothing but health check traffic is newly allowed.
    pub verified: bool,
}
