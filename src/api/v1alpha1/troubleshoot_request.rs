//! `TroubleshootRequest`: asks for one recorded diagnosis.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FailedCheck, LocalReference};

/// A request to troubleshoot one backend server, or every unhealthy one of a load balancer.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "TroubleshootRequest",
    plural = "troubleshootrequests",
    shortname = "tsr",
    category = "elb-doctor",
    namespaced,
    status = "TroubleshootRequestStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct TroubleshootRequestSpec {
    /// The load balancer.
    pub load_balancer_ref: LocalReference,
    /// The backend server; absent means every unhealthy one of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_server_ref: Option<LocalReference>,
    /// Which items to check; All unless set.
    #[serde(default)]
    pub subject: Subject,
    /// Seconds to wait for a missing reference; 300 unless set.
    #[serde(default = "five_minutes")]
    pub active_deadline_seconds: u32,
    /// Seconds after which a finished request is deleted; absent means that it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<u32>,
}

fn five_minutes() -> u32 {
    300
}

/// Which of the 17 items a request is about.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Subject {
    /// All 17.
    #[default]
    All,
    /// The 6 of security groups.
    SecurityGroup,
    /// The 10 of network ACLs.
    NetworkACL,
    /// The health check port.
    Config,
}

/// How far a request has come and what it found. A finished request never changes again.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TroubleshootRequestStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the controller took the request up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Items done and to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// One result for each backend server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<BackendResult>,
    /// How many results were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted_results: Option<u32>,
    /// `Accepted`, `Succeeded` and `FaultFound`.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Items done and to do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Items judged.
    pub finished: u32,
    /// Items to judge.
    pub total: u32,
}

/// What was found about one backend server.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendResult {
    /// Name of the backend server.
    pub backend_server: String,
    /// How its diagnosis ended.
    pub outcome: Outcome,
    /// `FaultsFound`, `NoFaultFound`, or the refusal's reason.
    pub reason: String,
    /// Why it was refused, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many items failed.
    pub failed: u32,
    /// The failed items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<FailedCheck>,
}

/// How a diagnosis ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Outcome {
    /// At least one item failed.
    FaultsFound,
    /// All items passed.
    NoFaultFound,
    /// The diagnosis did not run.
    Refused,
}
