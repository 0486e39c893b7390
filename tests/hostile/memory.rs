//! What anybody can send costs memory in proportion to what was sent, and is given back.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    raw::{self, As, wait},
    replica::{Replica, eventually},
    stage::{Namespace, beside_others, install, namespaced, object},
};

const MEBI: u64 = 1024;

/// Waits until nothing waits for a worker, so that what was sent is taken in.
fn at_rest(doctor: &Replica) {
    eventually("rest", || {
        let waiting = doctor.metric("workqueue_depth", "") + doctor.metric("controller_runtime_active_workers", "");
        if waiting == 0 { Ok(()) } else { Err(waiting.to_string()) }
    });
}

#[test]
fn an_address_group_named_by_many_rules_is_held_once() {
    let _others = beside_others();
    let ns = Namespace::meadow("memory-groups");
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    at_rest(&doctor);
    let before = doctor.memory();
    let addresses: Vec<String> = (0..1000)
        .map(|index: u32| format!("10.{}.{}.7", index / 250, index % 250))
        .collect();
    wait(async {
        let group = object("AddressGroup", "many", &json!({ "addresses": addresses }));
        raw::create(&As::Admin, &ns.0, "addressgroups", group).await.good();
        for acl in 0..4 {
            let rules: Vec<Value> = (0..1000)
                .map(|index: u32| {
                    let many = json!({ "addressGroupRef": { "name": "many" } });
                    json!({ "name": format!("rule-{index}"), "action": "Allow", "source": many, "destination": many })
                })
                .collect();
            // One of them is in use.
            let subnets = if acl == 0 {
                json!([{ "name": "vale" }])
            } else {
                json!([])
            };
            let spec = json!({ "subnetRefs": subnets, "ingress": rules, "egress": rules });
            let text = object("NetworkACL", &format!("long-{acl}"), &spec);
            raw::create(&As::Admin, &ns.0, "networkacls", text).await.good();
        }
    });
    for acl in 0..4 {
        crate::replica::until(&ns.0, &format!("nacl/long-{acl}"), "Ready", "True/Reconciled");
    }
    at_rest(&doctor);
    std::thread::sleep(Duration::from_secs(1));
    let grown = doctor.memory().saturating_sub(before);
    assert!(grown < 60 * MEBI, "{} MiB more for 1.1 MB of manifests", grown / MEBI);
}

#[test]
fn finished_requests_are_kept_as_what_is_still_asked_of_them() {
    let _others = beside_others();
    let ns = Namespace::meadow("memory-requests");
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    at_rest(&doctor);
    let before = doctor.memory();
    let result = |index: u32| json!({ "backendServer": format!("ram-{index}"), "outcome": "Refused", "reason": "InvalidSpec", "failed": 0, "message": "x".repeat(1400) });
    let conditions = ["Accepted", "Succeeded", "FaultFound"].map(|kind| {
        json!({
            "type": kind, "status": "True", "reason": "FaultsFound", "message": "it is over",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:01Z",
        })
    });
    let status = json!({ "status": {
        "observedGeneration": 1, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z",
        "progress": { "finished": 17, "total": 17 }, "results": (0..48).map(result).collect::<Vec<_>>(),
        "conditions": conditions,
    } })
    .to_string();
    assert!(status.len() > 70_000);
    // All at once: one write makes each of them, with its status, in another's place.
    let names: Vec<String> = (0..300).map(|index| format!("over-{index}")).collect();
    wait(async {
        raw::each(&names, |name| {
            let text = object(
                "TroubleshootRequest",
                name,
                &json!({ "loadBalancerRef": { "name": "gate" } }),
            );
            let ns = &ns.0;
            async move { raw::create(&As::Admin, ns, "troubleshootrequests", text).await }
        })
        .await;
        raw::each(&names, |name| {
            let (ns, status) = (&ns.0, status.clone());
            async move { raw::patch_status(&As::Admin, ns, "troubleshootrequests", name, status).await }
        })
        .await;
    });
    at_rest(&doctor);
    drop(doctor);

    // A new one begins with them.
    crate::stage::forget_lease(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    at_rest(&doctor);
    std::thread::sleep(Duration::from_secs(1));
    let grown = doctor.memory().saturating_sub(before);
    assert!(grown < 12 * MEBI, "{} MiB more for 300 records", grown / MEBI);
}

#[test]
fn half_open_connections_are_few_and_short() {
    let _others = beside_others();
    let ns = Namespace::meadow("memory-connections");
    install(&ns.0);
    let doctor = namespaced(&ns.0, &[]);
    at_rest(&doctor);
    let before = doctor.memory();
    // As many as this process may open, 8,000 at most.
    let mut open: Vec<TcpStream> = Vec::new();
    let address = doctor.admin().parse().unwrap();
    let began = Instant::now();
    while open.len() < 8000 && began.elapsed() < Duration::from_secs(10) {
        // Refused or not yet taken: it is tried again.
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: doctor\r\nX-Slow: ");
            open.push(stream);
        }
    }
    assert!(open.len() > 200, "only {} connections", open.len());
    std::thread::sleep(Duration::from_secs(1));
    let grown = doctor.memory().saturating_sub(before);
    assert!(
        grown < 64 * MEBI,
        "{} MiB more for {} connections",
        grown / MEBI,
        open.len()
    );
    // Probes get through, and what never ends its head is closed.
    eventually("an answer of /livez beside them", || match doctor.get("/livez")? {
        (200, ..) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    for stream in &open {
        stream.set_nonblocking(true).unwrap();
    }
    eventually("the end of the half-open connections", || {
        let still = open
            .iter()
            .filter(|stream| {
                let mut stream: &TcpStream = stream;
                matches!(stream.read(&mut [0; 512]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
            })
            .count();
        if still == 0 {
            Ok(())
        } else {
            Err(format!("{still} are open"))
        }
    });
}
