//! `TroubleshootRequest`: asks for one recorded diagnosis.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FailedCheck, LocalReference};

/// A request to troubleshoot one backend server, or all unhealthy ones of a load balancer.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "TroubleshootRequest",
    plural = "troubleshootrequests",
    shortname = "tsr",
    category = "elb-doctor",
    namespaced,
    doc = "A request to troubleshoot one backend server, or all unhealthy ones of a load balancer. Once finished it never changes.",
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
    /// Load balancer of the backend servers.
    pub load_balancer_ref: LocalReference,
    /// Backend server to troubleshoot; all unhealthy ones of the load balancer if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_server_ref: Option<LocalReference>,
    /// Which items to check; default `All`.
    #[serde(default)]
    pub subject: Subject,
    /// How long to wait for missing objects, in seconds; default 300.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 86400))]
    pub active_deadline_seconds: u32,
    /// When to delete the request, in seconds after it finished. If absent, it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<u32>,
}

fn five_minutes() -> u32 {
    300
}

/// Items to check.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Subject {
    /// All 17 items.
    #[default]
    All,
    /// The 6 items on security groups.
    SecurityGroup,
    /// The 10 items on network ACLs.
    NetworkACL,
    /// The item on the health check port.
    Config,
}

/// Status of a request. It never changes once the request has finished.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TroubleshootRequestStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the controller accepted the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the request finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Progress in items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Result for each backend server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<BackendResult>,
    /// Number of results not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted_results: Option<u32>,
    /// Conditions `Accepted`, `Succeeded` and `FaultFound`.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Progress in items.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Items checked so far.
    pub finished: u32,
    /// Items to check.
    pub total: u32,
}

/// Result for one backend server.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendResult {
    /// Name of the backend server.
    pub backend_server: String,
    /// How the diagnosis ended.
    pub outcome: Outcome,
    /// `FaultsFound`, `NoFaultFound`, or why there was no diagnosis.
    pub reason: String,
    /// Why there was no diagnosis, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Number of findings.
    pub failed: u32,
    /// The failed items, then findings beyond the items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<FailedCheck>,
}

/// How a diagnosis ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Outcome {
    /// There is at least one finding.
    FaultsFound,
    /// There is no finding.
    NoFaultFound,
    /// There was no diagnosis.
    Refused,
}
