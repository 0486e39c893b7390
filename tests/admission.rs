//! Who may write what of a status, on a real API server with the roles and the policy of deploy/: reporting health is a right
//! that cannot forge a diagnosis.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
#[path = "common/replica.rs"]
mod replica;

use std::{path::Path, process::Output, sync::OnceLock};

use common::ControlPlane;
use elb_doctor::api::v1alpha1::{API_VERSION, GROUP, Kind};
use replica::{
    MEADOW, Replica, apply, condition, eventually, failed, kubectl, object, patch, report, until, until_failed,
};
use serde_json::{Value, json};

/// Who holds elb-doctor-health-reporter, as the README says.
const REPORTER: &str = "system:serviceaccount:shop:reporter";
/// Who holds what elb-doctor-edit adds to the cluster's own role.
const EDITOR: &str = "editor";
/// Who holds elb-doctor-view.
const VIEWER: &str = "viewer";
/// Who may write each status but holds no "diagnose", by a role that is not ours.
const WRITER: &str = "writer";
/// Who holds elb-doctor-restore.
const RESTORER: &str = "restorer";
/// The controller's account.
const CONTROLLER: &str = "system:serviceaccount:elb-doctor:elb-doctor";
const ADMIN: &str = "admin";

/// The ways to write a status.
#[derive(Clone, Copy, Debug)]
enum Way {
    MergePatch,
    JsonPatch,
    Apply,
    /// By the controller's name as a field manager: what it leaves out of the controller's fields goes.
    ApplyAsController,
    Put,
}

const WAYS: [Way; 4] = [Way::MergePatch, Way::JsonPatch, Way::Apply, Way::Put];

#[test]
fn reporting_health_takes_no_other_right_and_does_not_disturb_the_verdict() {
    let ns = "reports";
    diagnosed(ns);
    for way in WAYS {
        for state in ["Healthy", "Unhealthy"] {
            let health =
                json!({ "health": { "state": state, "reason": "ConnectTimeout", "message": format!("{way:?}") } });
            passes(&write(REPORTER, way, ns, "bes/ewe-1", &health));
            let wanted = if state == "Healthy" {
                "False/BackendNotUnhealthy"
            } else {
                "True/FaultsFound"
            };
            until(ns, "bes/ewe-1", "Diagnosed", wanted);
        }
    }
    // To take a report back is to report, too.
    passes(&write(
        REPORTER,
        Way::MergePatch,
        ns,
        "bes/ewe-1",
        &json!({ "health": null }),
    ));
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
}

#[test]
fn whoever_may_only_report_cannot_forge_a_diagnosis() {
    let ns = "forges";
    let ewe = diagnosed(ns);
    let status = ewe["status"].clone();
    let mut diagnosis = status["diagnosis"].clone();
    let allow_all = json!({ "kind": "SecurityGroup", "name": "fence", "direction": "Ingress", "summary": "Allow all", "verified": true });
    diagnosis["fixes"] = json!([allow_all]);
    let mut conditions = status["conditions"].clone();
    for condition in conditions.as_array_mut().unwrap() {
        condition["message"] = json!("Go and switch the firewall off");
    }
    let health = json!({ "state": "Healthy" });
    let forgeries = [
        (json!({ "diagnosis": diagnosis.clone() }), "status.diagnosis"),
        (json!({ "conditions": conditions.clone() }), "status.conditions"),
        (json!({ "observedGeneration": 7 }), "status.observedGeneration"),
        (
            json!({ "health": health.clone(), "diagnosis": diagnosis.clone() }),
            "status.diagnosis",
        ),
    ];
    for user in [REPORTER, WRITER] {
        for way in WAYS {
            for (forged, field) in &forgeries {
                refused(
                    &write(user, way, ns, "bes/ewe-1", forged),
                    &format!(
                        "{user} may change status.health and nothing else in the status of a BackendServer, but this \
                         changes {field}: that takes the verb \"diagnose\" on backendservers/status of API group {GROUP}, \
                         which is for the controller and for restoring backups"
                    ),
                );
            }
        }
        // Taking a verdict away is changing it; so is taking the controller's name and reporting health only.
        let said = write(
            user,
            Way::ApplyAsController,
            ns,
            "bes/ewe-1",
            &json!({ "health": health }),
        );
        for field in ["status.conditions", "status.diagnosis", "status.observedGeneration"] {
            refused(&said, field);
        }
        for way in [Way::MergePatch, Way::JsonPatch, Way::Put] {
            for gone in ["diagnosis", "conditions", "observedGeneration"] {
                let said = write(user, way, ns, "bes/ewe-1", &json!({ gone: null }));
                refused(&said, &format!("but this changes status.{gone}: "));
            }
        }
    }
    assert_eq!(object(ns, "bes/ewe-1")["status"], status);

    // A server that is not diagnosed gets no diagnosis either: nobody would take it away again.
    report(ns, "ewe-1", "Healthy", None);
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    for way in WAYS {
        refused(
            &write(
                REPORTER,
                way,
                ns,
                "bes/ewe-1",
                &json!({ "diagnosis": diagnosis.clone() }),
            ),
            "status.diagnosis",
        );
    }
}

#[test]
fn owning_a_field_without_changing_it_is_not_forging() {
    let ns = "owns";
    let status = diagnosed(ns)["status"].clone();
    for way in WAYS {
        passes(&write(REPORTER, way, ns, "bes/ewe-1", &status));
    }
    assert_eq!(object(ns, "bes/ewe-1")["status"], status);
}

#[test]
fn the_status_of_every_other_kind_is_the_controllers_alone() {
    let ns = "others";
    diagnosed(ns);
    for kind in Kind::ALL {
        let plural = kind.plural();
        let crd = kind.crd();
        let has_status = crd.spec.versions[0]
            .subresources
            .as_ref()
            .is_some_and(|sub| sub.status.is_some());
        if !has_status || *kind == Kind::BackendServer {
            continue;
        }
        let list: Value = serde_json::from_str(&kubectl(&["get", &plural, "-n", ns, "-o", "json"])).unwrap();
        let name = list["items"][0]["metadata"]["name"]
            .as_str()
            .unwrap_or_else(|| panic!("no {kind} here"));
        let object = format!("{plural}/{name}");
        for way in WAYS {
            refused(
                &write(WRITER, way, ns, &object, &json!({ "observedGeneration": 7 })),
                &format!(
                    "{WRITER} may change nothing in the status of a {kind}, but this changes status.observedGeneration: \
                     that takes the verb \"diagnose\" on {plural}/status of API group {GROUP}, which is for the controller \
                     and for restoring backups"
                ),
            );
            // Who reports health has no right there at all.
            refused(
                &write(REPORTER, way, ns, &object, &json!({ "observedGeneration": 7 })),
                &format!("\"{REPORTER}\" cannot"),
            );
        }
    }
}

#[test]
fn a_finished_request_cannot_be_forged() {
    let ns = "finished";
    diagnosed(ns);
    let finished = until(ns, "tsr/why", "Succeeded", "True/FaultsFound");
    let mut results = finished["status"]["results"].clone();
    results[0]["outcome"] = json!("NoFaultFound");
    let mut conditions = finished["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().unwrap() {
        if condition["type"] == "Succeeded" {
            condition["reason"] = json!("NoFaultFound");
        }
    }
    for user in [WRITER, REPORTER, EDITOR, VIEWER] {
        for way in WAYS {
            for forged in [
                json!({ "results": results.clone() }),
                json!({ "conditions": conditions.clone() }),
            ] {
                let said = write(user, way, ns, "tsr/why", &forged);
                refused(
                    &said,
                    if user == WRITER {
                        "the verb \"diagnose\""
                    } else {
                        "cannot"
                    },
                );
            }
        }
    }
    assert_eq!(object(ns, "tsr/why")["status"], finished["status"]);
}

#[test]
fn edit_and_view_do_not_reach_the_status() {
    let ns = "edits";
    let before = diagnosed(ns);
    for user in [EDITOR, VIEWER] {
        for way in WAYS {
            let said = write(user, way, ns, "bes/ewe-1", &json!({ "health": { "state": "Healthy" } }));
            refused(&said, "cannot");
        }
    }
    // A status that comes along with a spec is not taken, neither with a new object nor with one that is there.
    let mut copy = before.clone();
    copy["metadata"] = json!({ "name": "ewe-1", "labels": { "seen": "yes" } });
    copy["status"]["health"]["state"] = json!("Healthy");
    copy["status"]["diagnosis"] = Value::Null;
    passes(&as_user(
        EDITOR,
        &["apply", "-n", ns, "--server-side", "--force-conflicts", "-f", "-"],
        &copy.to_string(),
    ));
    let after = object(ns, "bes/ewe-1");
    assert_eq!(
        (&after["metadata"]["labels"]["seen"], &after["status"]),
        (&json!("yes"), &before["status"])
    );
    copy["metadata"] = json!({ "name": "ewe-2" });
    copy["status"] = before["status"].clone();
    passes(&as_user(EDITOR, &["create", "-n", ns, "-f", "-"], &copy.to_string()));
    let made = until(ns, "bes/ewe-2", "Diagnosed", "False/BackendNotUnhealthy");
    assert_eq!(failed(&made), [""; 0]);
}

#[test]
fn whoever_holds_diagnose_writes_the_whole_status() {
    let ns = "restores";
    let ewe = diagnosed(ns);
    let mut diagnosis = ewe["status"]["diagnosis"].clone();
    diagnosis["failed"] = json!(17);
    let forged = json!({ "diagnosis": diagnosis });
    for user in [ADMIN, RESTORER] {
        for way in WAYS {
            passes(&write(user, way, ns, "bes/ewe-1", &forged));
            passes(&write(user, way, ns, "elb/gate", &json!({ "observedGeneration": 7 })));
            passes(&write(user, way, ns, "tsr/why", &json!({ "observedGeneration": 7 })));
        }
    }
    // The controller's own way, which is no other; that its verdicts are written is what the tests here begin with.
    let mut status = object(ns, "bes/ewe-1")["status"].clone();
    status.as_object_mut().unwrap().remove("health");
    status["diagnosis"]["failed"] = json!(16);
    passes(&write(CONTROLLER, Way::ApplyAsController, ns, "bes/ewe-1", &status));
    // The right is one of a namespace, if it is given by a RoleBinding.
    diagnosed("elsewhere");
    kubectl(&[
        "create",
        "rolebinding",
        "here",
        "-n",
        ns,
        "--clusterrole=elb-doctor-restore",
        "--user=local",
    ]);
    passes(&write("local", Way::MergePatch, ns, "bes/ewe-1", &forged));
    refused(
        &write("local", Way::MergePatch, "elsewhere", "bes/ewe-1", &forged),
        "cannot",
    );
    let writes = [
        "create",
        "rolebinding",
        "there",
        "-n",
        "elsewhere",
        "--clusterrole=status-writer",
        "--user=local",
    ];
    kubectl(&writes);
    refused(
        &write("local", Way::MergePatch, "elsewhere", "bes/ewe-1", &forged),
        "the verb \"diagnose\"",
    );
}

#[test]
fn a_diagnosis_that_is_not_the_controllers_is_removed_also_where_nobody_refuses_it() {
    let ns = "removes";
    let forged = json!({ "diagnosis": diagnosed(ns)["status"]["diagnosis"] });
    report(ns, "ewe-1", "Healthy", None);
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    // Once: who overwrites a status again and again (`kubectl apply` does it twice) makes a dispute, which is mended more slowly.
    passes(&write(ADMIN, Way::MergePatch, ns, "bes/ewe-1", &forged));
    eventually("its removal", || {
        let status = object(ns, "bes/ewe-1")["status"].clone();
        if status.get("diagnosis").is_none() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
}

/// Installs deploy/ the way the README says, and one controller for all tests here.
fn doctor() -> &'static Replica {
    static DOCTOR: OnceLock<Replica> = OnceLock::new();
    DOCTOR.get_or_init(|| {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        kubectl(&["apply", "-k", &deploy.to_string_lossy()]);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        for (user, role) in [
            (VIEWER, "elb-doctor-view"),
            (EDITOR, "elb-doctor-view"),
            (EDITOR, "elb-doctor-edit"),
        ] {
            bind_everywhere(user, role);
        }
        kubectl(&[
            "create",
            "clusterrole",
            "status-writer",
            "--verb=get,patch,update",
            &format!("--resource={}", statuses().join(",")),
        ]);
        for (user, role) in [(WRITER, "status-writer"), (RESTORER, "elb-doctor-restore")] {
            bind_everywhere(user, role);
        }
        bind_everywhere(REPORTER, "elb-doctor-health-reporter");
        let doctor = Replica::start("elb-doctor", &["--workers=2"]);
        doctor.until_ready();
        doctor.until_logged("leading");
        // The API server takes a moment to notice a policy.
        ControlPlane::get().namespace("trial");
        apply("trial", MEADOW);
        until("trial", "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
        eventually("the policy", || {
            let said = write(
                WRITER,
                Way::MergePatch,
                "trial",
                "bes/ewe-1",
                &json!({ "observedGeneration": 7 }),
            );
            if said.status.success() {
                Err("it is not there".into())
            } else {
                Ok(())
            }
        });
        doctor
    })
}

fn bind_everywhere(user: &str, role: &str) {
    let name = format!("{}-{role}", user.replace(':', "-"));
    let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
    kubectl(&["create", "clusterrolebinding", &name, &role, &user]);
}

/// `KIND.GROUP/status` of every kind that has one.
fn statuses() -> Vec<String> {
    let crds = Kind::ALL.iter().map(|kind| kind.crd());
    crds.filter(|crd| {
        crd.spec.versions[0]
            .subresources
            .as_ref()
            .is_some_and(|sub| sub.status.is_some())
    })
    .map(|crd| format!("{}.{GROUP}/status", crd.spec.names.plural))
    .collect()
}

/// A namespace with the meadow in it, where `ewe-1` is unhealthy and diagnosed, and a request `why` has recorded that.
fn diagnosed(namespace: &str) -> Value {
    doctor();
    ControlPlane::get().namespace(namespace);
    apply(namespace, MEADOW);
    apply(
        namespace,
        "{ apiVersion: elb-doctor.dev/v1alpha1, kind: NetworkACL, metadata: { name: hedge }, spec: { subnetRefs: [] } }",
    );
    until(namespace, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    patch(
        namespace,
        "ag/dogs",
        &json!({ "spec": { "addresses": ["10.99.0.0/28"] } }),
    );
    passes(&write(
        REPORTER,
        Way::MergePatch,
        namespace,
        "bes/ewe-1",
        &json!({ "health": { "state": "Unhealthy", "reason": "ConnectTimeout" } }),
    ));
    until_failed(namespace, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    let request = json!({
        "apiVersion": API_VERSION,
        "kind": "TroubleshootRequest",
        "metadata": { "name": "why" },
        "spec": { "loadBalancerRef": { "name": "gate" } },
    });
    passes(&as_user(
        EDITOR,
        &["create", "-n", namespace, "-f", "-"],
        &request.to_string(),
    ));
    until(namespace, "tsr/why", "Succeeded", "True/FaultsFound");
    let ewe = object(namespace, "bes/ewe-1");
    assert_eq!(condition(&ewe, "Diagnosed"), "True/FaultsFound");
    ewe
}

/// Writes the status of an object as that user, in that way, merged with these fields; null takes a field away.
fn write(user: &str, way: Way, namespace: &str, kind_and_name: &str, change: &Value) -> Output {
    let object = object(namespace, kind_and_name);
    let mut merged = object.clone();
    for (field, value) in change.as_object().unwrap() {
        if value.is_null() {
            merged["status"].as_object_mut().unwrap().remove(field);
        } else {
            merged["status"][field] = value.clone();
        }
    }
    let common = ["-n", namespace, "--subresource=status"];
    let patch = |kind: &str, patch: &Value| {
        let patch = patch.to_string();
        let args = ["patch", kind_and_name, kind, "-p", &patch];
        as_user(user, &[&args[..], &common].concat(), "")
    };
    match way {
        Way::MergePatch => patch("--type=merge", &json!({ "status": change })),
        Way::JsonPatch => patch(
            "--type=json",
            &json!([{ "op": "add", "path": "/status", "value": merged["status"] }]),
        ),
        Way::Apply | Way::ApplyAsController => {
            let manager = if matches!(way, Way::Apply) {
                "--field-manager=somebody"
            } else {
                "--field-manager=elb-doctor"
            };
            let applied = json!({
                "apiVersion": API_VERSION,
                "kind": object["kind"],
                "metadata": { "name": object["metadata"]["name"] },
                "status": change,
            });
            let args = ["apply", "--server-side", "--force-conflicts", manager, "-f", "-"];
            as_user(user, &[&args[..], &common].concat(), &applied.to_string())
        }
        Way::Put => as_user(
            user,
            &[&["replace", "-f", "-"][..], &common].concat(),
            &merged.to_string(),
        ),
    }
}

fn as_user(user: &str, args: &[&str], input: &str) -> Output {
    let mut all = args.to_vec();
    if user != ADMIN {
        all.extend(["--as", user]);
    }
    ControlPlane::get().kubectl_with_input(&all, input)
}

#[track_caller]
fn passes(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("(Forbidden)"), "{said}");
    assert!(said.contains(why), "{said}\ndoes not say\n{why}");
}
