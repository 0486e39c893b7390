//! The controller on a real API server, with the rights that deploy/ gives it: marks become verdicts, and verdicts follow what
//! they are about. One controller for all tests, a namespace for each.
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

use std::{path::Path, sync::OnceLock};

use common::ControlPlane;
use elb_doctor::engine::CheckId;
use replica::{
    MEADOW, Replica, apply, condition, eventually, ewe, failed, kubectl, object, patch, patch_status, report, until,
    until_failed,
};
use serde_json::json;

/// The controller that all tests here share; it looks after every namespace.
fn doctor() -> &'static Replica {
    static DOCTOR: OnceLock<Replica> = OnceLock::new();
    DOCTOR.get_or_init(|| {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        kubectl(&["apply", "-k", &deploy.to_string_lossy()]);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        let doctor = Replica::start("elb-doctor", &["--workers=2"]);
        doctor.until_ready();
        doctor.until_logged("leading");
        doctor
    })
}

/// A namespace with the meadow in it, looked after.
fn meadow(namespace: &str) {
    doctor();
    ControlPlane::get().namespace(namespace);
    apply(namespace, MEADOW);
    until(namespace, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
}

#[test]
fn a_mark_becomes_a_verdict_that_follows_every_change_of_what_it_was_read_from() {
    let ns = "follows";
    meadow(ns);
    report(ns, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    let clean = until(ns, "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
    assert_eq!(condition(&clean, "Healthy"), "False/ConnectTimeout");
    assert_eq!(clean["status"]["diagnosis"]["checked"], CheckId::COUNT);
    assert!(!clean["status"]["diagnosis"]["nextSteps"].as_array().unwrap().is_empty());

    // A rule of the security group.
    let rule = |ports: &str| {
        json!({ "spec": { "rules": [
            { "name": "in", "direction": "Ingress", "protocol": "tcp", "ports": ports, "remote": { "addressGroupRef": { "name": "dogs" } } },
            { "name": "out", "direction": "Egress" },
        ] } })
    };
    patch(ns, "sg/fence", &rule("9999"));
    let faulty = until_failed(ns, "ewe-1", &["security_group_check_hc_port_ingress"]);
    assert!(
        condition(&faulty, "FaultFound").starts_with("True/SecurityGroupInbound"),
        "{faulty}"
    );
    patch(ns, "sg/fence", &rule("8081"));
    until_failed(ns, "ewe-1", &[]);

    // The addresses that the rule names.
    patch(ns, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/29"] } }));
    until_failed(ns, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    patch(ns, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/28"] } }));
    until_failed(ns, "ewe-1", &[]);

    // The subnet that the probes come from.
    patch(ns, "esn/hill", &json!({ "spec": { "cidrs": ["10.1.0.0/27"] } }));
    until_failed(ns, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    patch(ns, "esn/hill", &json!({ "spec": { "cidrs": ["10.1.0.0/28"] } }));
    until_failed(ns, "ewe-1", &[]);

    // A network ACL that appears, and goes.
    apply(
        ns,
        "{ apiVersion: elb-doctor.dev/v1alpha1, kind: NetworkACL, metadata: { name: hedge }, spec: { subnetRefs: [{ name: vale }] } }",
    );
    let fenced = eventually("an ACL without rules", || {
        let ewe = object(ns, "bes/ewe-1");
        if failed(&ewe).len() == 10 {
            Ok(ewe)
        } else {
            Err(ewe["status"].to_string())
        }
    });
    assert!(failed(&fenced).iter().all(|id| id.starts_with("acl_check_")));
    kubectl(&["delete", "nacl/hedge", "-n", ns]);
    until_failed(ns, "ewe-1", &[]);

    // The load balancer's health check.
    let check = |port: u16| {
        json!({ "spec": { "backendServerGroups": [
            { "name": "herd", "protocol": "HTTP", "healthCheck": { "enabled": true, "protocol": "HTTP", "port": port } },
        ] } })
    };
    patch(ns, "elb/gate", &check(8082));
    until_failed(
        ns,
        "ewe-1",
        &["security_group_check_hc_port_ingress", "check_hc_config_port"],
    );
    patch(ns, "elb/gate", &check(8081));
    let clean = until_failed(ns, "ewe-1", &[]);

    // The report itself has stayed what its reporter made it, and is still the reporter's.
    assert_eq!(
        clean["status"]["health"],
        json!({ "state": "Unhealthy", "reason": "ConnectTimeout" })
    );
    let ewe = kubectl(&["get", "bes/ewe-1", "-n", ns, "-o", "json", "--show-managed-fields"]);
    let ewe: serde_json::Value = serde_json::from_str(&ewe).unwrap();
    for entry in ewe["metadata"]["managedFields"].as_array().unwrap() {
        let owns_health = entry["fieldsV1"]["f:status"].get("f:health").is_some();
        assert_eq!(owns_health, entry["manager"] == "kubectl-patch", "{entry}");
        if entry["manager"] == "elb-doctor" {
            assert_eq!(
                (&entry["operation"], &entry["subresource"]),
                (&json!("Apply"), &json!("status"))
            );
            assert!(entry["fieldsV1"].get("f:spec").is_none());
        }
    }

    report(ns, "ewe-1", "Healthy", None);
    let healthy = until(ns, "bes/ewe-1", "Healthy", "True/Reported");
    assert!(healthy["status"].get("diagnosis").is_none(), "{healthy}");
    assert_eq!(condition(&healthy, "FaultFound"), "Unknown/NotDiagnosed");
}

#[test]
fn transitions_are_told_as_events_under_the_name_of_what_was_found() {
    let ns = "tells";
    meadow(ns);
    patch(ns, "ag/dogs", &json!({ "spec": { "addresses": ["10.99.0.0/28"] } }));
    report(ns, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    until_failed(ns, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    patch(ns, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/28"] } }));
    until_failed(ns, "ewe-1", &[]);
    report(ns, "ewe-1", "Healthy", None);
    apply(
        ns,
        "{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: why }, spec: { loadBalancerRef: { name: gate } } }",
    );
    let wanted = [
        ("Warning", "BackendServer", "SecurityGroupInboundSource"),
        ("Normal", "BackendServer", "NoFaultFound"),
        ("Normal", "BackendServer", "Recovered"),
        ("Normal", "TroubleshootRequest", "NoUnhealthyBackend"),
    ];
    eventually("the events", || {
        let list: serde_json::Value =
            serde_json::from_str(&kubectl(&["get", "events.events.k8s.io", "-n", ns, "-o", "json"])).unwrap();
        let told: Vec<_> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| {
                (
                    event["type"].clone(),
                    event["regarding"]["kind"].clone(),
                    event["reason"].clone(),
                )
            })
            .collect();
        let all = wanted
            .iter()
            .all(|(a, b, c)| told.contains(&(json!(a), json!(b), json!(c))));
        if all { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

#[test]
fn a_network_acl_where_probes_leave_the_load_balancer_is_found_and_told() {
    let ns = "leaves";
    meadow(ns);
    report(ns, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    until_failed(ns, "ewe-1", &[]);
    let acl = |destination: &str| {
        apply(
            ns,
            &format!(
                "{{ apiVersion: elb-doctor.dev/v1alpha1, kind: NetworkACL, metadata: {{ name: gatehouse }}, spec: {{ subnetRefs: [{{ name: hill }}], \
                 egress: [{{ name: out, action: Allow, destination: {destination} }}] }} }}"
            ),
        );
    };
    let beyond = |ids: serde_json::Value| {
        eventually(&format!("beyond {ids}"), || {
            let ewe = object(ns, "bes/ewe-1");
            let found = ewe["status"]["diagnosis"]["beyond"].as_array().cloned();
            let found: Vec<_> = found.unwrap_or_default().iter().map(|one| one["id"].clone()).collect();
            if json!(found) == ids {
                Ok(ewe)
            } else {
                Err(ewe["status"].to_string())
            }
        })
    };
    acl("{ cidr: 10.9.0.0/24 }");
    let faulty = beyond(json!(["load_balancer_acl_egress"]));
    assert_eq!(condition(&faulty, "FaultFound"), "True/LoadBalancerACLOutbound");
    assert_eq!(
        (
            &faulty["status"]["diagnosis"]["failed"],
            &faulty["status"]["diagnosis"]["checked"]
        ),
        (&json!(1), &json!(CheckId::COUNT))
    );
    assert!(failed(&faulty).is_empty());
    // An address group that it names.
    apply(
        ns,
        "{ apiVersion: elb-doctor.dev/v1alpha1, kind: AddressGroup, metadata: { name: flock }, spec: { addresses: [10.2.0.0/24] } }",
    );
    acl("{ addressGroupRef: { name: flock } }");
    beyond(json!([]));
    patch(
        ns,
        "ag/flock",
        &json!({ "spec": { "addresses": ["10.2.0.12-10.2.0.99"] } }),
    );
    beyond(json!(["load_balancer_acl_egress"]));

    // Requests have it among what belongs to their subject.
    for (name, subject) in [("of-acls", "NetworkACL"), ("of-groups", "SecurityGroup")] {
        apply(
            ns,
            &format!(
                "{{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: {{ name: {name} }}, \
                 spec: {{ loadBalancerRef: {{ name: gate }}, subject: {subject} }} }}"
            ),
        );
    }
    let of_acls = until(ns, "tsr/of-acls", "Succeeded", "True/FaultsFound");
    assert_eq!(condition(&of_acls, "FaultFound"), "True/LoadBalancerACLOutbound");
    let result = &of_acls["status"]["results"][0];
    assert_eq!(
        (&result["failed"], &result["checks"][0]["id"]),
        (&json!(1), &json!("load_balancer_acl_egress"))
    );
    until(ns, "tsr/of-groups", "Succeeded", "True/NoFaultFound");

    eventually("the event", || {
        let list: serde_json::Value =
            serde_json::from_str(&kubectl(&["get", "events.events.k8s.io", "-n", ns, "-o", "json"])).unwrap();
        let told: Vec<_> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["type"] == "Warning" && event["reason"] == "LoadBalancerACLOutbound")
            .map(|event| event["note"].as_str().unwrap_or_default().to_owned())
            .collect();
        // It stands by itself: what is wrong, and what to change.
        let whole =
            |note: &String| note.contains("do not allow probes from") && note.contains(" To fix it: Allow tcp from ");
        if told.iter().any(whole) {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    });
    let (_, _, metrics) = doctor().get("/metrics").unwrap();
    assert!(metrics.contains(r#"id="load_balancer_acl_egress""#), "{metrics}");
}

#[test]
fn an_annotation_accepts_an_advisory_finding() {
    let ns = "accepts";
    meadow(ns);
    report(ns, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    patch(
        ns,
        "sg/fence",
        &json!({ "spec": { "rules": [
            { "name": "in", "direction": "Ingress", "protocol": "tcp", "ports": "8082", "remote": { "addressGroupRef": { "name": "dogs" } } },
            { "name": "out", "direction": "Egress" },
        ] } }),
    );
    patch(ns, "bes/ewe-1", &json!({ "spec": { "healthCheck": { "port": 8082 } } }));
    until_failed(ns, "ewe-1", &["check_hc_config_port"]);
    let accepted = |ids: serde_json::Value| {
        eventually(&format!("accepted {ids}"), || {
            let ewe = object(ns, "bes/ewe-1");
            let found = &ewe["status"]["diagnosis"]["accepted"];
            let found = if found.is_null() { json!([]) } else { found.clone() };
            if found == ids {
                Ok(ewe)
            } else {
                Err(ewe["status"].to_string())
            }
        })
    };
    // Of the load balancer, for all of its backend servers; and of one alone.
    for object in ["elb/gate", "bes/ewe-1"] {
        kubectl(&[
            "annotate",
            object,
            "elb-doctor.dev/accept=check_hc_config_port",
            "-n",
            ns,
        ]);
        let fine = accepted(json!(["check_hc_config_port"]));
        assert_eq!(condition(&fine, "Diagnosed"), "True/NoFaultFound");
        assert_eq!(condition(&fine, "FaultFound"), "False/NoFaultFound");
        assert_eq!(
            (
                &fine["status"]["diagnosis"]["failed"],
                &fine["status"]["diagnosis"]["impact"]
            ),
            (&json!(0), &json!("None"))
        );
        kubectl(&["annotate", object, "elb-doctor.dev/accept-", "-n", ns]);
        let faulty = accepted(json!([]));
        assert_eq!(condition(&faulty, "Diagnosed"), "True/FaultsFound");
    }
}

#[test]
fn what_is_missing_is_waited_for() {
    let ns = "waits";
    doctor();
    ControlPlane::get().namespace(ns);
    let (before, fence) = MEADOW
        .split_once("---\napiVersion: elb-doctor.dev/v1alpha1\nkind: SecurityGroup")
        .unwrap();
    let (fence, after) = fence.split_once("---").unwrap();
    apply(ns, &format!("{before}---{after}"));
    report(ns, "ewe-1", "Unhealthy", None);
    let waiting = until(ns, "bes/ewe-1", "Ready", "False/ReferenceNotFound");
    assert!(
        waiting["status"]["conditions"][0]["message"]
            .as_str()
            .unwrap()
            .contains("fence"),
        "{waiting}"
    );
    apply(
        ns,
        "
{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: patient }, spec: { loadBalancerRef: { name: gate }, backendServerRef: { name: ewe-1 } } }
---
{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: hasty }, spec: { loadBalancerRef: { name: gate }, backendServerRef: { name: ewe-1 }, activeDeadlineSeconds: 1 } }
",
    );
    let patient = until(ns, "tsr/patient", "Succeeded", "Unknown/ReferenceNotFound");
    assert!(patient["status"].get("completionTime").is_none());
    let hasty = until(ns, "tsr/hasty", "Succeeded", "False/DeadlineExceeded");
    assert!(hasty["status"].get("completionTime").is_some());

    apply(
        ns,
        &format!("apiVersion: elb-doctor.dev/v1alpha1\nkind: SecurityGroup{fence}"),
    );
    until(ns, "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
    // As an admin waits for it.
    kubectl(&[
        "wait",
        "--for=condition=Succeeded",
        "tsr/patient",
        "-n",
        ns,
        "--timeout=60s",
    ]);
    let patient = object(ns, "tsr/patient");
    assert_eq!(condition(&patient, "Succeeded"), "True/NoFaultFound");
    assert_eq!(
        patient["status"]["progress"],
        json!({ "finished": CheckId::COUNT, "total": CheckId::COUNT })
    );

    // Both are records now: what changes later changes them no more.
    kubectl(&["delete", "sg/fence", "-n", ns]);
    until(ns, "bes/ewe-1", "Ready", "False/ReferenceNotFound");
    assert_eq!(object(ns, "tsr/patient")["status"], patient["status"]);
    assert_eq!(object(ns, "tsr/hasty")["status"], hasty["status"]);
}

#[test]
fn a_request_is_removed_when_its_time_is_over_and_not_before() {
    let ns = "expires";
    meadow(ns);
    apply(
        ns,
        "
{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: kept }, spec: { loadBalancerRef: { name: gate } } }
---
{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: long }, spec: { loadBalancerRef: { name: gate }, ttlSecondsAfterFinished: 3600 } }
---
{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: short }, spec: { loadBalancerRef: { name: gate }, ttlSecondsAfterFinished: 2 } }
",
    );
    until(ns, "tsr/long", "Succeeded", "True/NoUnhealthyBackend");
    let names = || kubectl(&["get", "tsr", "-n", ns, "-o", "name"]);
    eventually("the end of the short one", || {
        let names = names();
        if names.contains("/short") { Err(names) } else { Ok(()) }
    });
    assert!(names().contains("/kept") && names().contains("/long"));
    // The time may be changed, also when the request is finished.
    patch(ns, "tsr/long", &json!({ "spec": { "ttlSecondsAfterFinished": 0 } }));
    eventually("the end of the long one", || {
        let names = names();
        if names.contains("/long") { Err(names) } else { Ok(()) }
    });
    assert!(names().contains("/kept"));
}

#[test]
fn a_load_balancer_counts_its_backend_servers() {
    let ns = "counts";
    meadow(ns);
    for name in ["ewe-2", "ewe-3", "ewe-4"] {
        apply(ns, &ewe(name));
    }
    patch(ns, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/30"] } }));
    report(ns, "ewe-1", "Unhealthy", None);
    report(ns, "ewe-2", "Healthy", None);
    report(ns, "ewe-3", "Healthy", None);
    let counts = |wanted: serde_json::Value| {
        eventually(&format!("{wanted}"), || {
            let gate = object(ns, "elb/gate");
            if gate["status"]["backends"] == wanted {
                Ok(gate)
            } else {
                Err(gate["status"].to_string())
            }
        })
    };
    let gate = counts(json!({ "total": 4, "healthy": 2, "unhealthy": 1, "unknown": 1, "faulty": 1 }));
    assert!(condition(&gate, "BackendsHealthy").starts_with("False/"), "{gate}");
    report(ns, "ewe-1", "Healthy", None);
    kubectl(&["delete", "bes/ewe-4", "-n", ns]);
    let gate = counts(json!({ "total": 3, "healthy": 3, "unhealthy": 0, "unknown": 0, "faulty": 0 }));
    assert!(condition(&gate, "BackendsHealthy").starts_with("True/"), "{gate}");
}

#[test]
fn groups_and_acls_say_whether_their_rules_can_be_read() {
    let ns = "reads";
    meadow(ns);
    apply(
        ns,
        r#"
apiVersion: elb-doctor.dev/v1alpha1
kind: SecurityGroup
metadata: { name: crooked }
spec: { rules: [{ name: slip, direction: Ingress, protocol: tcp, ports: "90-80" }] }
---
apiVersion: elb-doctor.dev/v1alpha1
kind: NetworkACL
metadata: { name: hedge }
spec:
  subnetRefs: [{ name: vale }]
  ingress: [{ name: slip, action: Allow, source: { cidr: 10.1.0.5/28 } }]
"#,
    );
    until(ns, "sg/fence", "Ready", "True/Reconciled");
    let crooked = until(ns, "sg/crooked", "Ready", "False/InvalidSpec");
    assert!(
        crooked["status"]["conditions"][0]["message"]
            .as_str()
            .unwrap()
            .contains("90-80"),
        "{crooked}"
    );
    until(ns, "nacl/hedge", "Ready", "False/InvalidSpec");
    report(ns, "ewe-1", "Unhealthy", None);
    until(ns, "bes/ewe-1", "Diagnosed", "False/InvalidSpec");
    patch(ns, "nacl/hedge", &json!({ "spec": { "ingress": [] } }));
    until(ns, "nacl/hedge", "Ready", "True/Reconciled");
    until(ns, "bes/ewe-1", "Diagnosed", "True/FaultsFound");
    for wanted in [
        "Warning InvalidSpec hedge",
        "Normal Reconciled hedge",
        "Warning InvalidSpec crooked",
    ] {
        eventually(wanted, || {
            let events = events(ns);
            if events.lines().any(|line| line == wanted) {
                Ok(())
            } else {
                Err(events)
            }
        });
    }
}

/// A line `TYPE REASON OBJECT` for each event.
fn events(namespace: &str) -> String {
    kubectl(&[
        "get",
        "events.v1.events.k8s.io",
        "-n",
        namespace,
        "-o",
        "jsonpath={range .items[*]}{.type} {.reason} {.regarding.name}{'\\n'}{end}",
    ])
}

#[test]
fn conditions_and_labels_of_others_are_left_alone_and_wake_nobody_for_ever() {
    let ns = "others";
    meadow(ns);
    report(ns, "ewe-1", "Unhealthy", None);
    until_failed(ns, "ewe-1", &[]);
    kubectl(&["label", "bes/ewe-1", "-n", ns, "shepherd=ann"]);
    let mut conditions = object(ns, "bes/ewe-1")["status"]["conditions"].clone();
    conditions.as_array_mut().unwrap().push(json!({
        "type": "Audited", "status": "True", "reason": "Seen", "message": "by another controller", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }));
    patch_status(ns, "bes/ewe-1", &json!({ "status": { "conditions": conditions } }));
    patch(ns, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/29"] } }));
    let ewe = until_failed(ns, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    assert_eq!(condition(&ewe, "Audited"), "True/Seen");
    assert_eq!(ewe["metadata"]["labels"]["shepherd"], "ann");
}

#[test]
fn one_change_is_one_write() {
    let ns = "frugal";
    meadow(ns);
    // Every version of the backend server from here on, as a watch tells them.
    let mut watch = ControlPlane::get()
        .kubectl()
        .args([
            "get",
            "bes/ewe-1",
            "-n",
            ns,
            "--watch",
            "-o",
            "jsonpath={.metadata.resourceVersion}{'\\n'}",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(watch.stdout.take().unwrap());
    let versions = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = versions.clone();
    let reader = std::thread::spawn(move || {
        for line in std::io::BufRead::lines(lines) {
            seen.lock().unwrap().push(line.unwrap());
        }
    });
    eventually("the first version", || {
        if versions.lock().unwrap().is_empty() {
            Err("none".into())
        } else {
            Ok(())
        }
    });

    for (round, addresses) in ["10.1.0.0/29", "10.1.0.0/28", "10.1.0.0/30"].iter().enumerate() {
        report(
            ns,
            "ewe-1",
            "Unhealthy",
            Some(["ConnectTimeout", "ConnectFailed", "ConnectTimeout"][round]),
        );
        until(
            ns,
            "bes/ewe-1",
            "Healthy",
            ["False/ConnectTimeout", "False/ConnectFailed", "False/ConnectTimeout"][round],
        );
        patch(ns, "ag/dogs", &json!({ "spec": { "addresses": [addresses] } }));
        let wanted = if round == 1 {
            "True/NoFaultFound"
        } else {
            "True/FaultsFound"
        };
        until(ns, "bes/ewe-1", "Diagnosed", wanted);
    }
    // The property is that nothing more comes, so this one waits.
    std::thread::sleep(std::time::Duration::from_secs(3));
    watch.kill().unwrap();
    watch.wait().unwrap();
    reader.join().unwrap();
    let versions = versions.lock().unwrap();
    // The first version; then for each round a mark, the verdict, and the verdict after the change of the address group.
    assert_eq!(versions.len(), 1 + 3 * 3, "{versions:?}");
}

#[test]
fn probes_and_metrics_are_served() {
    let ns = "shows";
    meadow(ns);
    // A time-out with nothing in the way: the report and the rules disagree.
    report(ns, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    until_failed(ns, "ewe-1", &[]);
    let doctor = doctor();
    assert_eq!(doctor.get("/livez").unwrap().0, 200);
    assert_eq!(doctor.get("/readyz").unwrap().0, 200);
    assert_eq!(doctor.get("/nothing").unwrap().0, 404);
    let (code, kind, page) = doctor.get("/metrics").unwrap();
    assert_eq!(code, 200);
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.ends_with("# EOF\n"));
    assert!(
        !page.contains("ewe-1") && !page.contains(ns),
        "names of objects are no labels"
    );
    for (name, labels) in [
        ("leader_election_master_status", "name=\"elb-doctor\""),
        (
            "controller_runtime_reconcile_total",
            "controller=\"backendserver\",result=\"success\"",
        ),
        ("workqueue_adds_total", "name=\"backendserver\""),
        ("workqueue_queue_duration_seconds_count", "name=\"backendserver\""),
        ("workqueue_work_duration_seconds_count", "name=\"backendserver\""),
        (
            "elb_doctor_status_writes_total",
            "kind=\"BackendServer\",result=\"Success\"",
        ),
        ("elb_doctor_diagnoses_total", "outcome=\"NoFaultFound\""),
        ("elb_doctor_diagnosis_duration_seconds_count", ""),
        ("elb_doctor_report_disagreements_total", ""),
        ("elb_doctor_objects", "kind=\"BackendServer\""),
        ("elb_doctor_build_info", "version="),
    ] {
        assert!(doctor.metric(name, labels) > 0, "{name}{{{labels}}} in\n{page}");
    }
    assert!(doctor.metric("controller_runtime_reconcile_panics_total", "") == 0);
}
