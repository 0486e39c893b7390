//! The findings of one diagnosis, as they stand in a status (semantics §7 and §8).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, RuleAction};

/// The findings about one backend server.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The traffic that was judged.
    pub health_check: HealthCheckTraffic,
    /// How many items were checked.
    pub checked: u32,
    /// How many of them failed.
    pub failed: u32,
    /// Of all layers together.
    pub impact: DiagnosisImpact,
    /// Part of the probes that do not complete, 0 to 1, as an exact decimal cut after twelve significant digits.
    pub dropped_share: String,
    /// The failed items in table order; all others passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<FailedCheck>,
    /// What was found beyond the items of the page: the network ACL where the load balancer probes from, replies of stateless security
    /// groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<FailedCheck>,
    /// Ids of advisory findings that the annotation `elb-doctor.dev/accept` accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// Changes that heal a direction of a layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<Fix>,
    /// With no probe dropped: what remains, most likely first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_steps: Vec<String>,
    /// Why a layer passed as a whole, assumptions, disagreement between the report and the prediction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The health check traffic of one backend server.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckTraffic {
    /// Protocol of the health check.
    pub protocol: super::HealthCheckProtocol,
    /// Port that is probed.
    pub port: u16,
    /// Where probes come from, as the fewest prefixes.
    pub sources: Vec<String>,
    /// How many prefixes were left out of `sources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted_sources: Option<u32>,
    /// Address that is probed.
    pub destination: String,
}

/// Effect of all failed items together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum DiagnosisImpact {
    /// Every probe is dropped.
    Blocks,
    /// Some probes are dropped.
    Intermittent,
    /// Items failed, but no probe is dropped.
    Advisory,
    /// No item failed.
    None,
}

/// Effect of one failed item.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum ItemImpact {
    /// Every probe of a leg is dropped for this reason alone.
    Blocks,
    /// Some probes are dropped.
    Intermittent,
    /// The item cannot stop the health check by itself.
    Advisory,
}

/// One failed item of the page's table.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedCheck {
    /// Stable id, the cloud's own name of the item.
    pub id: String,
    /// `SecurityGroup`, `NetworkACL` or `Config`.
    pub category: String,
    /// The item as the page calls it.
    pub item: String,
    /// `Major` or `Tips`.
    pub severity: String,
    /// The page's reason with the real names in it.
    pub reason: String,
    /// The change to make.
    pub suggestion: String,
    /// Effect of this item by itself.
    pub impact: ItemImpact,
    /// The part of the traffic for which the item fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// The smallest packet of that part. A check without one has witness, `decidedBy` and nearest rule of the check before it
    /// in the same category and direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// What decides over the witness. Absent beside a witness: the same as for the check before it in the same category and
    /// direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Decision>,
    /// The allow rule that misses the witness by the fewest dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
}

/// The blocked set of an item.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// Its values on the item's own dimension, as the fewest prefixes or port ranges.
    pub values: Vec<String>,
    /// How many values were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<u32>,
    /// Its part of the leg's packets, 0 to 1, as an exact decimal cut after twelve significant digits.
    pub share: String,
}

/// One packet. A security group looks at protocol, remote address and port only.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// `tcp`, `udp`, `icmp`, `icmpv6` or a number.
    pub protocol: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its source port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Its destination port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
}

/// The kinds that hold rules.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the words say it")]
pub enum RuleKind {
    SecurityGroup,
    NetworkACL,
}

/// The rule that decides over a packet, or the implicit deny of an object.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Kind of the object.
    pub kind: RuleKind,
    /// Name of the object; absent when no object is there to decide, or no rule of several security groups matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the rule; absent when no rule matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Position of the rule in its array, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Priority of a security group rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// What it does.
    pub action: RuleAction,
}

/// The allow rule that comes nearest to the witness.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nearest {
    /// Kind of the object.
    pub kind: RuleKind,
    /// Name of the object.
    pub name: String,
    /// Name of the rule.
    pub rule: String,
    /// The dimensions on which it misses; none when an earlier deny shadows it.
    pub misses: Vec<NearestDimension>,
    /// The deny rule that comes before it and decides, where it would have matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadowed_by: Option<String>,
}

/// A dimension of a packet.
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

/// The kinds that a fix can change.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the words say it")]
pub enum FixKind {
    SecurityGroup,
    NetworkACL,
    BackendServer,
    LoadBalancer,
}

/// A change that heals one direction of one layer, or the configuration of the health check.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// Kind of the object to change.
    pub kind: FixKind,
    /// Its name.
    pub name: String,
    /// The direction that the change heals; absent for the configuration of the health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The change in one line.
    pub summary: String,
    /// An RFC 6902 patch of that object; absent when the object is still to be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// True when the changed rules were diagnosed again, passed, and opened nothing but health check traffic.
    pub verified: bool,
}
