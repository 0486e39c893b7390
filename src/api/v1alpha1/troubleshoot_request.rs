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
    doc = "A request to troubleshoot one backend server, or every unhealthy one of a load balancer; once finished, a record.",
    selectable = ".spec.loadBalancerRef.name",
    printcolumn(
        name = "Load Balancer",
        type_ = "string",
        json_path = r#".spec.loadBalancerRef.name"#
    ),
    printcolumn(name = "Backend", type_ = "string", json_path = r#".spec.backendServerRef.name"#),
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#
    ),
    printcolumn(
        name = "Fault",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="FaultFound")].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
    printcolumn(name = "Subject", type_ = "string", json_path = r#".spec.subject"#, priority = 1),
    printcolumn(
        name = "Finished",
        type_ = "integer",
        json_path = r#".status.progress.finished"#,
        priority = 1
    ),
    printcolumn(
        name = "Items",
        type_ = "integer",
        json_path = r#".status.progress.total"#,
        priority = 1
    ),
    printcolumn(
        name = "Completed",
        type_ = "date",
        json_path = r#".status.completionTime"#,
        priority = 1
    ),
    status = "TroubleshootRequestStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.loadBalancerRef == oldSelf.loadBalancerRef").message("loadBalancerRef cannot be changed: make another TroubleshootRequest").field_path(".loadBalancerRef"))]
#[x_kube(validation = Rule::new("has(self.backendServerRef) == has(oldSelf.backendServerRef) && (!has(self.backendServerRef) || self.backendServerRef == oldSelf.backendServerRef)").message("backendServerRef cannot be changed: make another TroubleshootRequest").field_path(".backendServerRef"))]
#[x_kube(validation = Rule::new("self.subject == oldSelf.subject").message("subject cannot be changed: make another TroubleshootRequest").field_path(".subject"))]
#[x_kube(validation = Rule::new("self.activeDeadlineSeconds == oldSelf.activeDeadlineSeconds").message("activeDeadlineSeconds cannot be changed: make another TroubleshootRequest").field_path(".activeDeadlineSeconds"))]
pub struct TroubleshootRequestSpec {
    /// The load balancer.
    pub load_balancer_ref: LocalReference,
    /// The backend server; absent means every unhealthy one of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_server_ref: Option<LocalReference>,
    /// Which items to check; All unless set.
    #[serde(default)]
    pub subject: Subject,
    /// Seconds to wait for a missing reference; 1 to 86400, 300 unless set.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 86400))]
    pub active_deadline_seconds: u32,
    /// Seconds after which a finished request is deleted; absent means that it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
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
