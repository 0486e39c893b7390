//! Requests and marks over many servers cost what is shown of them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    raw::{self, As, ask, wait},
    replica::{Replica, apply, condition, eventually, object, until},
    stage::{self, Namespace, alone, install, namespaced},
};

const SERVERS: usize = 1500;

fn until_counted(ns: &str, field: &str, wanted: usize) {
    eventually(field, || {
        let seen = object(ns, "elb/gate")["status"]["backends"].clone();
        if seen[field] == json!(wanted) {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    });
}

/// Waits until nothing waits for a worker; then says how much of a processor it has used so far.
fn used(doctor: &Replica) -> Duration {
    eventually("rest", || {
        let waiting = doctor.metric("workqueue_depth", "") + doctor.metric("controller_runtime_active_workers", "");
        if waiting == 0 { Ok(()) } else { Err(waiting.to_string()) }
    });
    doctor.processor_time()
}

#[test]
#[allow(
    clippy::too_many_lines,
    reason = "the servers are dear to make: one test for all that is asked about them"
)]
fn many_marks_are_counted_in_few_writes_and_requests_over_them_are_cheap() {
    let _alone = alone();
    let ns = Namespace::meadow("many");
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    // Said together at the end, so that each is seen.
    let mut wrong = Vec::new();
    let balancer_writes = || doctor.metric("elb_doctor_status_writes_total", "kind=\"LoadBalancer\"");
    crate::replica::patch(&ns.0, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/29"] } }));
    let began = Instant::now();
    stage::unhealthy_flock(&ns.0, "ram", SERVERS, &json!({}));
    until_counted(&ns.0, "faulty", SERVERS);
    used(&doctor);
    let writes = balancer_writes();
    if writes > 10 + began.elapsed().as_secs() * 5 / 2 {
        wrong.push(format!("{writes} writes of one load balancer in {:?}", began.elapsed()));
    }

    // What happened to all of them can be told from the events, or they say how much is left out.
    let events = wait(async {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", ns.0);
        ask(&As::Admin, "GET", &path, "application/json", "").await.good()["items"]
            .as_array()
            .unwrap()
            .clone()
    });
    if events.len() >= 500 {
        wrong.push(format!("{} events", events.len()));
    }
    let left_out = |result: &str| doctor.metric("elb_doctor_events_total", &format!("result=\"{result}\""));
    if left_out("Dropped") + left_out("dropped") > 0 {
        let told = events.iter().any(|event| {
            event["regarding"]["kind"] == "LoadBalancer"
                && event["note"]
                    .as_str()
                    .is_some_and(|note| note.contains("faul") || note.contains("event"))
        });
        if !told {
            wrong.push("events were dropped without a trace on the objects".into());
        }
    }

    // Eight requests at once.
    let before = used(&doctor);
    let names: Vec<String> = (0..8).map(|index| format!("all-{index}")).collect();
    wait(raw::each(&names, |name| {
        let text = stage::object(
            "TroubleshootRequest",
            name,
            &json!({ "loadBalancerRef": { "name": "gate" } }),
        );
        async move { raw::create(&As::Admin, "many", "troubleshootrequests", text).await }
    }));
    for name in &names {
        let seen = until(&ns.0, &format!("tsr/{name}"), "Succeeded", "True/FaultsFound");
        let results = seen["status"]["results"].as_array().unwrap().len();
        assert!(results <= 50, "{results} results");
        assert_eq!(seen["status"]["omittedResults"], json!(SERVERS - results));
        let size = seen["status"].to_string().len();
        if size >= 256 * 1024 {
            wrong.push(format!("a record of {size} bytes"));
        }
    }
    let cost = used(&doctor).saturating_sub(before);
    if cost >= Duration::from_secs(3) {
        wrong.push(format!("{cost:?} of a processor for 8 requests over {SERVERS}"));
    }

    // Twenty that wait for a reference, and changes that are none of their business.
    let waiting: Vec<String> = (0..20).map(|index| format!("waits-{index}")).collect();
    apply(
        &ns.0,
        &stage::server("lost", &json!({ "subnetRef": { "name": "nowhere" } })),
    );
    wait(raw::each(&waiting, |name| {
        let text = stage::object(
            "TroubleshootRequest",
            name,
            &json!({ "loadBalancerRef": { "name": "gate" }, "backendServerRef": { "name": "lost" }, "activeDeadlineSeconds": 86400 }),
        );
        async move { raw::create(&As::Admin, "many", "troubleshootrequests", text).await }
    }));
    for name in &waiting {
        until(&ns.0, &format!("tsr/{name}"), "Succeeded", "Unknown/ReferenceNotFound");
    }
    let before = used(&doctor);
    let reconciles = || {
        doctor.metric(
            "controller_runtime_reconcile_total",
            "controller=\"troubleshootrequest\"",
        )
    };
    let looked = reconciles();
    for change in 0..40 {
        let text = json!({ "spec": { "addresses": [format!("10.77.0.{change}")] } }).to_string();
        if change == 0 {
            let group = stage::object("AddressGroup", "unrelated", &json!({ "addresses": [] }));
            wait(raw::create(&As::Admin, &ns.0, "addressgroups", group)).good();
        }
        wait(raw::patch(&As::Admin, &ns.0, "addressgroups", "unrelated", text)).good();
        std::thread::sleep(Duration::from_millis(30));
    }
    std::thread::sleep(Duration::from_millis(500));
    let cost = used(&doctor).saturating_sub(before) / 40;
    if cost >= Duration::from_millis(60) {
        wrong.push(format!("{cost:?} of a processor for a change that concerns nobody"));
    }
    let looked = reconciles() - looked;
    if looked >= 40 {
        wrong.push(format!("{looked} looks at requests that wait for something else"));
    }

    // What they wait for ends the wait.
    let subnet = stage::object("Subnet", "nowhere", &json!({ "cidrs": ["10.3.0.0/24"] }));
    wait(raw::create(&As::Admin, &ns.0, "subnets", subnet)).good();
    for name in &waiting {
        eventually(name, || {
            let seen = object(&ns.0, &format!("tsr/{name}"));
            let said = condition(&seen, "Succeeded");
            if said == "Unknown/ReferenceNotFound" {
                Err(said)
            } else {
                Ok(())
            }
        });
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_namespace_that_flaps_takes_nobody_elses_events() {
    let _alone = alone();
    let doctor = stage::cluster_wide();
    let flaps = Namespace::meadow("flaps");
    let quiet = Namespace::meadow("flaps-not");
    let names: Vec<String> = (0..300).map(|index| format!("ram-{index}")).collect();
    stage::unhealthy_flock(&flaps.0, "ram", names.len(), &json!({}));
    let stop = AtomicBool::new(false);
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", quiet.0);
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::SeqCst) {
                round += 1;
                let state = ["Unhealthy", "Healthy"][round % 2];
                wait(raw::each(&names, |name| async move {
                    raw::patch_status(&As::Admin, "flaps", "backendservers", name, stage::health(state)).await
                }));
            }
        });
        // Long enough that whatever is shared is used up.
        std::thread::sleep(Duration::from_secs(8));
        stage::unhealthy_flock(&quiet.0, "calm", 5, &json!({}));
        let began = Instant::now();
        let mut told = 0;
        while told < 5 && began.elapsed() < Duration::from_secs(12) {
            let all = wait(ask(&As::Admin, "GET", &path, "application/json", ""));
            let events = all.body["items"].as_array().cloned().unwrap_or_default();
            told = events.iter().filter(|event| event["reason"] == "NoFaultFound").count();
            std::thread::sleep(Duration::from_millis(200));
        }
        stop.store(true, Ordering::SeqCst);
        told
    });
    assert_eq!(told, 5, "of 5 events of a neighbour");
    drop(doctor);
}
