//! Statuses and events stay small and few, and reporters that talk much make no work.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    raw::{self, As, wait},
    replica::{eventually, kubectl, object, patch, report, until, until_failed},
    stage::{self, Namespace, beside_others, install, namespaced},
};

#[test]
fn sixteen_failed_items_name_their_evidence_once() {
    let _others = beside_others();
    let ns = Namespace::meadow("sixteen");
    install(&ns.0);
    let _doctor = namespaced(&ns.0, &[]);
    wait(async {
        let spec = json!({ "rules": [] });
        raw::create(
            &As::Admin,
            &ns.0,
            "securitygroups",
            stage::object("SecurityGroup", "closed", &spec),
        )
        .await
        .good();
        let deny = |name: &str| json!([{ "name": name, "action": "Deny" }]);
        let spec = json!({ "stateful": false, "subnetRefs": [{ "name": "vale" }],
            "ingress": deny("nothing-in"), "egress": deny("nothing-out") });
        raw::create(
            &As::Admin,
            &ns.0,
            "networkacls",
            stage::object("NetworkACL", "closed", &spec),
        )
        .await
        .good();
    });
    patch(
        &ns.0,
        "bes/ewe-1",
        &json!({ "spec": { "securityGroupRefs": [{ "name": "closed" }] } }),
    );
    report(&ns.0, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    let seen = eventually("sixteen failed items", || {
        let seen = object(&ns.0, "bes/ewe-1");
        if seen["status"]["diagnosis"]["failed"] == 16 {
            Ok(seen)
        } else {
            Err(seen["status"].to_string())
        }
    });
    // What decides is said once for each direction of each layer, not with each of sixteen items.
    let checks = seen["status"]["diagnosis"]["checks"].as_array().unwrap();
    for part in ["decidedBy", "witness"] {
        let said = checks.iter().filter(|check| check.get(part).is_some()).count();
        assert_eq!(said, 4, "{part}");
    }
    let size = seen["status"].to_string().len();
    assert!(size < 10_500, "{size} bytes");
}

#[test]
fn a_chatty_reporter_makes_no_diagnosis() {
    let _others = beside_others();
    let ns = Namespace::meadow("chatty");
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    patch(&ns.0, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/29"] } }));
    report(&ns.0, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    until_failed(&ns.0, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    std::thread::sleep(Duration::from_secs(1));
    let count = || {
        (
            doctor.metric("elb_doctor_diagnosis_duration_seconds_count", ""),
            doctor.metric("elb_doctor_status_writes_total", "kind=\"BackendServer\""),
        )
    };
    let before = count();
    for poll in 0..10 {
        let health = json!({ "status": { "health": {
            "state": "Unhealthy", "reason": "ConnectTimeout", "message": format!("timed out at poll {poll}"),
            "reportedAt": format!("2026-01-01T00:00:{poll:02}Z"),
        } } });
        wait(raw::patch_status(
            &As::Admin,
            &ns.0,
            "backendservers",
            "ewe-1",
            health.to_string(),
        ))
        .good();
        std::thread::sleep(Duration::from_millis(150));
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(count(), before, "diagnoses and writes that nobody needs");
    // What is said stands where it was written.
    let seen = object(&ns.0, "bes/ewe-1");
    assert_eq!(seen["status"]["health"]["message"], "timed out at poll 9");
    assert_eq!(seen["status"]["health"]["reportedAt"], "2026-01-01T00:00:09Z");
    // A reason decides.
    report(&ns.0, "ewe-1", "Unhealthy", Some("ConnectRefused"));
    until(&ns.0, "bes/ewe-1", "Healthy", "False/ConnectRefused");
    assert!(count().0 > before.0);
}

#[test]
fn an_event_of_an_object_with_the_longest_name_is_published() {
    let _others = beside_others();
    let ns = Namespace::meadow("long-names");
    install(&ns.0);
    let _doctor = namespaced(&ns.0, &[]);
    let name = format!("{}z", "long.".repeat(50)) + "zz";
    assert_eq!(name.len(), 253);
    wait(async {
        raw::create(&As::Admin, &ns.0, "backendservers", stage::server(&name, &json!({})))
            .await
            .good();
        raw::patch_status(&As::Admin, &ns.0, "backendservers", &name, stage::health("Unhealthy"))
            .await
            .good();
    });
    until(&ns.0, &format!("bes/{name}"), "Diagnosed", "True/NoFaultFound");
    eventually("its event", || {
        let all: Value =
            serde_json::from_str(&kubectl(&["get", "events.v1.events.k8s.io", "-n", &ns.0, "-o", "json"])).unwrap();
        let found = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["regarding"]["name"] == name);
        found
            .then_some(())
            .ok_or_else(|| format!("{} other events", all["items"].as_array().unwrap().len()))
    });
}
