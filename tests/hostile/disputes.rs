//! Who else writes: another installation, another manager of the same fields, whoever may report health.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    common::ControlPlane,
    raw::{self, As, ask, wait},
    replica::{Replica, condition, eventually, kubectl, object, patch, report, until, until_failed},
    stage::{Namespace, alone, beside_others, cluster_wide, health, install, namespaced},
};

/// The meadow behind a load balancer that probes from the shared prefixes, of which the group lets one in.
fn shared_meadow(name: &str) -> Namespace {
    let namespace = Namespace::meadow(name);
    patch(
        name,
        "elb/gate",
        &json!({ "spec": { "type": "Shared", "backendSubnetRefs": [] } }),
    );
    patch(name, "ag/dogs", &json!({ "spec": { "addresses": ["100.125.0.0/16"] } }));
    namespace
}

fn writes(doctor: &Replica) -> u64 {
    doctor.metric("elb_doctor_status_writes_total", "result=\"Success\"")
}

fn resource_version(namespace: &str, kind_and_name: &str) -> String {
    object(namespace, kind_and_name)["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn two_installations_that_differ_come_to_rest_and_say_so() {
    let _alone = alone();
    let ns = shared_meadow("disputed");
    install(&ns.0);
    report(&ns.0, "ewe-1", "Unhealthy", None);
    let whole = cluster_wide();
    let other = namespaced(&ns.0, &["--shared-source=100.126.0.0/16"]);
    // Time to notice each other.
    std::thread::sleep(Duration::from_secs(10));
    let before = (writes(&whole), writes(&other));
    let began = Instant::now();
    let (mut versions, mut last) = (0, resource_version(&ns.0, "bes/ewe-1"));
    while began.elapsed() < Duration::from_secs(15) {
        let now = resource_version(&ns.0, "bes/ewe-1");
        if now != last {
            versions += 1;
            last = now;
        }
    }
    let after = (writes(&whole) - before.0, writes(&other) - before.1);
    // One a minute of each is the bound; a second object may be in dispute, too.
    assert!(
        after.0 <= 4 && after.1 <= 4 && versions <= 4,
        "{after:?} writes, {versions} versions in 15 s"
    );

    let told = |doctor: &Replica| {
        doctor
            .log()
            .iter()
            .filter(|line| line["level"] == "WARN" && line.to_string().contains("ewe-1"))
            .cloned()
            .collect::<Vec<Value>>()
    };
    let (one, two) = (told(&whole), told(&other));
    assert!(!one.is_empty() || !two.is_empty(), "neither says a word of it");
    assert!(one.len() <= 2 && two.len() <= 2, "more than once: {one:?} {two:?}");
    eventually("an event about it", || {
        let events = kubectl(&["get", "events.v1.events.k8s.io", "-n", &ns.0, "-o", "json"]);
        if events.contains("Disput") { Ok(()) } else { Err(events) }
    });
    eventually("a metric about it", || {
        let (_, _, page) = whole.get("/metrics")?;
        let (_, _, other) = other.get("/metrics")?;
        let counted = [page, other].iter().any(|page| {
            page.lines()
                .any(|line| line.starts_with("elb_doctor_") && line.contains("disput") && !line.ends_with(" 0"))
        });
        counted.then_some(()).ok_or_else(|| "none".to_owned())
    });
}

/// Applies the status of an object as another manager does, who takes all of it for its own.
fn take_over(namespace: &str, name: &str, status: &Value) {
    let text = json!({
        "apiVersion": "elb-doctor.dev/v1alpha1", "kind": "BackendServer",
        "metadata": { "name": name, "namespace": namespace }, "status": status,
    });
    let output = ControlPlane::get().kubectl_with_input(
        &[
            "apply",
            "--server-side",
            "--subresource=status",
            "--field-manager=restorer",
            "--force-conflicts",
            "-f",
            "-",
        ],
        &text.to_string(),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Nothing is written while nothing changes.
fn rests(doctor: &Replica) {
    std::thread::sleep(Duration::from_millis(500));
    let before = doctor.metric("elb_doctor_status_writes_total", "");
    std::thread::sleep(Duration::from_secs(3));
    let after = doctor.metric("elb_doctor_status_writes_total", "");
    assert_eq!(after, before, "it writes on and on");
}

#[test]
fn a_whole_status_that_another_manager_holds_too_goes_when_the_diagnosis_does() {
    ends_although_held_by_another("held-whole", Value::clone);
}

#[test]
fn a_part_of_a_status_that_another_manager_holds_too_goes_when_the_diagnosis_does() {
    ends_although_held_by_another(
        "held-part",
        |status| json!({ "diagnosis": { "impact": status["diagnosis"]["impact"], "checked": 17 } }),
    );
}

fn ends_although_held_by_another(name: &str, share: impl Fn(&Value) -> Value) {
    let _others = beside_others();
    let ns = Namespace::meadow(name);
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    let narrow = |addresses: &str| patch(&ns.0, "ag/dogs", &json!({ "spec": { "addresses": [addresses] } }));
    {
        narrow("10.1.0.0/29");
        report(&ns.0, "ewe-1", "Unhealthy", None);
        let faulty = until_failed(&ns.0, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
        take_over(&ns.0, "ewe-1", &share(&faulty["status"]));
        // A verdict that changes is written all the same.
        narrow("10.1.0.0/28");
        let clean = until(&ns.0, "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
        assert!(clean["status"]["diagnosis"].get("checks").is_none(), "{clean}");
        assert!(clean["status"]["diagnosis"].get("fixes").is_none(), "{clean}");
        // And one that ends is gone.
        wait(raw::patch_status(
            &As::Admin,
            &ns.0,
            "backendservers",
            "ewe-1",
            health("Healthy"),
        ))
        .good();
        let healthy = until(&ns.0, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
        eventually("the end of the diagnosis", || {
            let seen = object(&ns.0, "bes/ewe-1");
            if seen["status"].get("diagnosis").is_none() {
                Ok(())
            } else {
                Err(healthy["status"].to_string())
            }
        });
        rests(&doctor);
    }
}

/// A diagnosis that nobody has made, with a fix that nobody has verified.
fn forged() -> Value {
    json!({ "status": { "diagnosis": {
        "healthCheck": { "protocol": "TCP", "port": 1, "sources": [], "destination": "10.2.0.11" },
        "checked": 17, "failed": 0, "impact": "None", "droppedShare": "0",
        "fixes": [{ "kind": "SecurityGroup", "name": "fence", "direction": "Ingress", "summary": "Allow all", "patch": "[]", "verified": true }],
    } } })
}

#[test]
fn nobody_else_makes_a_diagnosis() {
    let _others = beside_others();
    let ns = Namespace::meadow("forged");
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    until(&ns.0, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    let is_gone = || {
        eventually("the end of the forged diagnosis", || {
            let seen = object(&ns.0, "bes/ewe-1");
            if seen["status"].get("diagnosis").is_none() {
                Ok(())
            } else {
                Err(seen["status"].to_string())
            }
        });
    };
    wait(raw::patch_status(
        &As::Admin,
        &ns.0,
        "backendservers",
        "ewe-1",
        forged().to_string(),
    ))
    .good();
    is_gone();
    rests(&doctor);
}

#[test]
fn who_may_report_health_can_write_nothing_else() {
    let _others = beside_others();
    let ns = Namespace::meadow("reports-only");
    install(&ns.0);
    kubectl(&[
        "create",
        "rolebinding",
        "reporter",
        "-n",
        &ns.0,
        "--clusterrole=elb-doctor-health-reporter",
        "--user=reporter",
    ]);
    let _doctor = namespaced(&ns.0, &[]);
    until(&ns.0, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    let reporter = As::User("reporter".into());
    let answer = wait(raw::patch_status(
        &reporter,
        &ns.0,
        "backendservers",
        "ewe-1",
        forged().to_string(),
    ));
    assert!(matches!(answer.code, 403 | 422), "{answer:?}");
    let conditions = json!({ "status": { "conditions": [] } });
    let answer = wait(raw::patch_status(
        &reporter,
        &ns.0,
        "backendservers",
        "ewe-1",
        conditions.to_string(),
    ));
    assert!(matches!(answer.code, 403 | 422), "{answer:?}");
    wait(raw::patch_status(
        &reporter,
        &ns.0,
        "backendservers",
        "ewe-1",
        health("Unhealthy"),
    ))
    .good();
    until(&ns.0, "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
    wait(raw::patch_status(
        &reporter,
        &ns.0,
        "backendservers",
        "ewe-1",
        health("Healthy"),
    ))
    .good();
    let healthy = until(&ns.0, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    assert!(healthy["status"].get("diagnosis").is_none(), "{healthy}");
}

#[test]
fn conditions_of_others_on_a_finished_request_stay_theirs() {
    let _others = beside_others();
    let ns = Namespace::meadow("audited");
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    let text = crate::stage::object(
        "TroubleshootRequest",
        "why",
        &json!({ "loadBalancerRef": { "name": "gate" }, "ttlSecondsAfterFinished": 7200 }),
    );
    wait(raw::create(&As::Admin, &ns.0, "troubleshootrequests", text)).good();
    until(&ns.0, "tsr/why", "Succeeded", "True/NoUnhealthyBackend");
    let audit = |status: &str| {
        let text = json!({
            "apiVersion": "elb-doctor.dev/v1alpha1", "kind": "TroubleshootRequest", "metadata": { "name": "why" },
            "status": { "conditions": [{ "type": "Audited", "status": status, "reason": "Seen", "message": "by another",
                "lastTransitionTime": "2026-01-01T00:00:00Z" }] },
        });
        let path = format!(
            "{}/status?fieldManager=auditor&force=true",
            raw::path(&ns.0, "troubleshootrequests", "why")
        );
        wait(ask(
            &As::Admin,
            "PATCH",
            &path,
            "application/apply-patch+yaml",
            text.to_string(),
        ))
        .good();
    };
    audit("True");
    patch(
        &ns.0,
        "tsr/why",
        &json!({ "spec": { "ttlSecondsAfterFinished": 3600 } }),
    );
    eventually("the new generation", || {
        let seen = object(&ns.0, "tsr/why");
        if seen["status"]["observedGeneration"] == 2 {
            Ok(())
        } else {
            Err(seen["status"].to_string())
        }
    });
    let seen: Value = serde_json::from_str(&kubectl(&[
        "get",
        "tsr/why",
        "-n",
        &ns.0,
        "-o",
        "json",
        "--show-managed-fields",
    ]))
    .unwrap();
    assert_eq!(condition(&seen, "Audited"), "True/Seen");
    for entry in seen["metadata"]["managedFields"].as_array().unwrap() {
        let owns = entry["fieldsV1"].to_string().contains("Audited");
        assert_eq!(owns, entry["manager"] == "auditor", "{entry}");
    }
    // So its owner changes it, and takes it away.
    audit("False");
    let path = format!(
        "{}/status?fieldManager=auditor&force=true",
        raw::path(&ns.0, "troubleshootrequests", "why")
    );
    let nothing = json!({ "apiVersion": "elb-doctor.dev/v1alpha1", "kind": "TroubleshootRequest", "metadata": { "name": "why" }, "status": { "conditions": [] } });
    wait(ask(
        &As::Admin,
        "PATCH",
        &path,
        "application/apply-patch+yaml",
        nothing.to_string(),
    ))
    .good();
    assert_eq!(condition(&object(&ns.0, "tsr/why"), "Audited"), "");
    rests(&doctor);
}
