//! One object that the types cannot hold is one unreadable entry, whatever is wrong with it and whoever made it.

use std::time::Duration;

use elb_doctor::world::Kind;
use serde_json::{Value, json};

use crate::{
    common::ControlPlane,
    proxy::Proxy,
    raw::{self, As, wait},
    replica::{Replica, condition, eventually, kubeconfig, kubectl, patch, until, until_failed},
    stage::{Namespace, Neighbour, alone, forget_lease, health, object, plurals, server},
};

/// A specification that is fine. Every kind has one: a new kind does not compile without.
fn spec(kind: Kind) -> Value {
    match kind {
        Kind::Subnet => json!({ "cidrs": ["10.9.0.0/24"] }),
        Kind::LoadBalancer => json!({ "type": "Shared", "listeners": [], "backendServerGroups": [] }),
        Kind::SecurityGroup => json!({ "rules": [] }),
        Kind::NetworkACL => json!({ "subnetRefs": [] }),
        Kind::AddressGroup => json!({ "addresses": ["10.9.0.1"] }),
        Kind::TroubleshootRequest => json!({ "loadBalancerRef": { "name": "poisoned" } }),
        Kind::BackendServer => {
            json!({ "loadBalancerRef": { "name": "poisoned" }, "backendServerGroup": "none", "type": "IP", "address": "10.9.0.1", "port": 1 })
        }
    }
}

/// Managed fields that no type of this program can hold: a time outside every calendar, and nesting without end.
pub fn poisons() -> [(&'static str, String); 2] {
    let entry = |time: &str, fields: &str| {
        format!(
            r#"[{{ "manager": "careless", "operation": "Update", "apiVersion": "elb-doctor.dev/v1alpha1", "time": "{time}", "fieldsType": "FieldsV1", "fieldsV1": {fields} }}]"#
        )
    };
    let deep = format!("{}{{}}{}", r#"{"f:a":"#.repeat(200), "}".repeat(200));
    [
        ("late", entry("9999-12-31T23:59:59-12:00", r#"{"f:spec":{}}"#)),
        ("deep", entry("2026-01-01T00:00:00Z", &deep)),
    ]
}

/// What a user with the role `edit` in that namespace makes; true where the API server takes it.
pub fn poison(namespace: &str, kind: Kind, name: &str, managed_fields: &str) {
    let text = object(kind.name(), name, &spec(kind)).replacen(
        &format!(r#""name":"{name}""#),
        &format!(r#""name":"{name}","managedFields":{managed_fields}"#),
        1,
    );
    assert!(text.contains("managedFields"), "{text}");
    let careless = As::User("careless".into());
    wait(raw::create(&careless, namespace, &kind.plural(), text)).good();
}

/// The neighbour's verdict follows what it was read from.
fn follows(namespace: &str) {
    wait(raw::patch_status(
        &As::Admin,
        namespace,
        "backendservers",
        "ewe-1",
        health("Unhealthy"),
    ))
    .good();
    let dogs = |addresses: &str| patch(namespace, "ag/dogs", &json!({ "spec": { "addresses": [addresses] } }));
    dogs("10.1.0.0/29");
    until_failed(namespace, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    dogs("10.1.0.0/28");
    until_failed(namespace, "ewe-1", &[]);
}

#[test]
fn what_types_cannot_hold_is_one_unreadable_object() {
    let _alone = alone();
    forget_lease("elb-doctor");
    let proxy = Proxy::start(&kubeconfig(&ControlPlane::get().scratch(), "elb-doctor"));
    let doctor = Replica::start_by(&proxy.kubeconfig("elb-doctor"), &["--workers=2"]);
    doctor.until_ready();
    let neighbour = Neighbour::new("poison-quiet");
    let poisoned = Namespace::meadow("poison-here");
    kubectl(&[
        "create",
        "rolebinding",
        "careless",
        "-n",
        &poisoned.0,
        "--clusterrole=elb-doctor-edit",
        "--user=careless",
    ]);
    follows(neighbour.namespace());

    // While it runs.
    for kind in Kind::ALL {
        for (name, fields) in poisons() {
            poison(&poisoned.0, *kind, name, &fields);
        }
    }
    follows(neighbour.namespace());
    follows(&poisoned.0);
    // It begins its lists and watches anew, as after a restart of the API server.
    proxy.expire_watches(&plurals());
    std::thread::sleep(Duration::from_secs(3));
    follows(neighbour.namespace());
    follows(&poisoned.0);
    assert_eq!(doctor.get("/readyz").unwrap().0, 200);
    drop(doctor);

    // A new one begins with it.
    forget_lease("elb-doctor");
    let second = Replica::start("elb-doctor", &["--workers=2"]);
    second.until_ready();
    follows(neighbour.namespace());
    follows(&poisoned.0);
    // Whoever looks for a reason finds one, and not the list of everything in it.
    let longest = second.log_text().lines().map(str::len).max().unwrap();
    assert!(longest < 8192, "a line of {longest} bytes in the log");
}

#[test]
fn whatever_a_reporter_writes_its_server_is_still_there() {
    let bodies = [
        r#"{"status":{"health":{"state":"Unhealthy","reportedAt":"9999-12-31T23:59:59-12:00"}}}"#,
        r#"{"status":{"health":{"state":"Unhealthy","reportedAt":"2026-01-01T00:00:00.0123456789Z"}}}"#,
        r#"{"status":{"health":{"state":"Unhealthy","reportedAt":"2026-01-01T00:00:00+99:99"}}}"#,
        r#"{"status":{"health":{"state":"Unhealthy"},"observedGeneration":9223372036854775807}}"#,
        r#"{"status":{"health":{"state":"Unhealthy"},"diagnosis":{"healthCheck":{"protocol":"TCP","port":70000,"sources":[],"destination":"x"},"checked":4294967296,"failed":99999999999,"impact":"None","droppedShare":"0"}}}"#,
        r#"{"status":{"health":{"state":"Unhealthy"},"conditions":[{"type":"Odd","status":"True","reason":"Odd","message":"","lastTransitionTime":"9999-12-31T23:59:59-12:00"}]}}"#,
        r#"{"status":{"health":{"state":"Unhealthy"},"conditions":[{"type":"Ready","status":"True","reason":"Odd","message":"","observedGeneration":9223372036854775807,"lastTransitionTime":"9999-12-31T23:59:59-12:00"}]}}"#,
    ];
    let _alone = alone();
    let doctor = crate::stage::cluster_wide();
    let ns = Namespace::meadow("reports");
    let names: Vec<String> = (0..bodies.len()).map(|index| format!("ram-{index}")).collect();
    wait(raw::each(&names, |name| {
        let text = server(name, &json!({}));
        async move { raw::create(&As::Admin, "reports", "backendservers", text).await }
    }));
    let counts = |unhealthy: usize, why: &str| {
        eventually(why, || {
            let counts = wait(raw::get(&ns.0, "loadbalancers", "gate"))["status"]["backends"].clone();
            if counts["total"] == json!(names.len() + 1) && counts["unhealthy"] == json!(unhealthy) {
                Ok(())
            } else {
                Err(counts.to_string())
            }
        });
    };
    counts(0, "everyone is counted");
    let mut marked = 0;
    for (name, body) in names.iter().zip(bodies) {
        let taken = wait(raw::patch_status(&As::Admin, &ns.0, "backendservers", name, body));
        assert!(taken.is_good() || taken.code == 422 || taken.code == 400, "{taken:?}");
        if !taken.is_good() {
            wait(raw::patch_status(
                &As::Admin,
                &ns.0,
                "backendservers",
                name,
                health("Unhealthy"),
            ))
            .good();
        }
        marked += 1;
        counts(marked, body);
        until(&ns.0, &format!("bes/{name}"), "Diagnosed", "True/NoFaultFound");
    }
    let balancer = r#"{"status":{"backends":{"total":99999999999,"healthy":0,"unhealthy":0,"unknown":0,"faulty":0}}}"#;
    wait(raw::patch_status(&As::Admin, &ns.0, "loadbalancers", "gate", balancer));
    counts(marked, balancer);
    drop(doctor);

    // The same for one that begins with it.
    let _second = crate::stage::cluster_wide();
    wait(raw::patch_status(
        &As::Admin,
        &ns.0,
        "backendservers",
        "ewe-1",
        health("Unhealthy"),
    ))
    .good();
    counts(marked + 1, "after a restart");
    for name in &names {
        let seen = wait(raw::get(&ns.0, "backendservers", name));
        assert_eq!(condition(&seen, "Diagnosed"), "True/NoFaultFound", "{name}");
    }
}
