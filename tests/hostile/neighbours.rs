//! Everything at once, by one namespace: what becomes of the others.

use std::{
    io::Write as _,
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use elb_doctor::world::Kind;
use serde_json::{Value, json};

use crate::{
    poison, raw,
    raw::{As, wait},
    replica::{Replica, apply, kubectl},
    stage::{self, Namespace, Neighbour, alone, cluster_wide},
};

/// The limit that the deployment sets, in KiB.
fn memory_limit() -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base/deployment.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, limits) = text.split_once("limits:").unwrap();
    let (_, memory) = limits.split_once("memory: ").unwrap();
    let (number, _) = memory.split_once("Mi").unwrap();
    number.parse::<u64>().unwrap() * 1024
}

/// Rules that are dear to judge and address groups that are dear to copy.
fn heavy_rules(ns: &str) {
    let addresses: Vec<String> = (0..1000)
        .map(|index: u32| format!("10.{}.{}.7", index / 250, index % 250))
        .collect();
    let many = json!({ "addressGroupRef": { "name": "many" } });
    let blocks: Vec<Value> = (0..900)
        .map(|index: u32| {
            json!({ "name": format!("block-{index}"), "action": "Deny",
                "source": { "cidr": format!("{}.{}.{}.7/32", 11 + index % 80, index / 250, index % 250) } })
        })
        .chain([json!({ "name": "web", "action": "Allow", "protocol": "tcp", "destinationPorts": "443" })])
        .collect();
    let copies: Vec<Value> = (0..1000)
        .map(|index: u32| json!({ "name": format!("rule-{index}"), "action": "Allow", "source": many, "destination": many }))
        .collect();
    wait(async {
        let group = stage::object("AddressGroup", "many", &json!({ "addresses": addresses }));
        raw::create(&As::Admin, ns, "addressgroups", group).await.good();
        let spec = json!({ "subnetRefs": [{ "name": "vale" }], "ingress": blocks, "egress": [] });
        raw::create(
            &As::Admin,
            ns,
            "networkacls",
            stage::object("NetworkACL", "blocks", &spec),
        )
        .await
        .good();
        for acl in 0..4 {
            let spec = json!({ "subnetRefs": [], "ingress": copies, "egress": copies });
            let text = stage::object("NetworkACL", &format!("long-{acl}"), &spec);
            raw::create(&As::Admin, ns, "networkacls", text).await.good();
        }
        for group in 0..16_u32 {
            let rules: Vec<Value> = (0..300)
                .map(|index| {
                    json!({ "name": format!("no-{index}"), "direction": "Ingress", "protocol": "tcp", "action": "Deny",
                        "ports": (6_000 + group * 300 + index).to_string() })
                })
                .chain(
                    (group == 15)
                        .then(|| json!({ "name": "all", "direction": "Ingress", "protocol": "tcp", "priority": 100 })),
                )
                .collect();
            let text = stage::object("SecurityGroup", &format!("ports-{group}"), &json!({ "rules": rules }));
            raw::create(&As::Admin, ns, "securitygroups", text).await.good();
        }
    });
}

/// Writes again and again whatever makes work, until it is told to stop.
fn harass(ns: &str, stop: &AtomicBool) {
    let mut round = 0_u32;
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let state = if round.is_multiple_of(2) {
            "Healthy"
        } else {
            "Unhealthy"
        };
        let chat = json!({ "status": { "health": { "state": "Unhealthy", "message": format!("round {round}") } } });
        let forged = json!({ "status": { "diagnosis": {
            "healthCheck": { "protocol": "TCP", "port": 1, "sources": [], "destination": "x" }, "checked": 4_294_967_296_u64,
            "failed": 0, "impact": "None", "droppedShare": "0",
        } } });
        let late = r#"{"status":{"health":{"state":"Unhealthy","reportedAt":"9999-12-31T23:59:59-12:00"}}}"#;
        let group = json!({ "spec": { "addresses": [format!("10.9.{}.1", round % 250)] } });
        wait(async {
            // What is refused is refused.
            raw::patch_status(&As::Admin, ns, "backendservers", "ram-0", stage::health(state)).await;
            raw::patch_status(&As::Admin, ns, "backendservers", "ram-1", chat.to_string()).await;
            raw::patch_status(&As::Admin, ns, "backendservers", "ram-2", forged.to_string()).await;
            raw::patch_status(&As::Admin, ns, "backendservers", "ram-3", late).await;
            raw::patch(&As::Admin, ns, "addressgroups", "many", group.to_string()).await;
            let ask = json!({ "loadBalancerRef": { "name": "gate" } });
            let text = stage::object("TroubleshootRequest", &format!("ask-{round}"), &ask);
            raw::create(&As::Admin, ns, "troubleshootrequests", text).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        });
    }
}

/// A probe is answered, as a kubelet asks: three times before it gives up.
fn answers(doctor: &Replica, path: &str) {
    let answer = (0..3)
        .map(|_| doctor.get(path).map(|(code, ..)| code))
        .find(Result::is_ok);
    assert_eq!(answer, Some(Ok(200)), "{path}");
}

#[test]
fn a_hostile_namespace_harms_nobody_else() {
    let _alone = alone();
    let doctor = cluster_wide();
    let mut neighbour = Neighbour::new("unharmed");
    let ns = Namespace::meadow("hostile");
    kubectl(&[
        "create",
        "rolebinding",
        "careless",
        "-n",
        &ns.0,
        "--clusterrole=elb-doctor-edit",
        "--user=careless",
    ]);
    heavy_rules(&ns.0);
    for kind in Kind::ALL {
        for (name, fields) in poison::poisons() {
            poison::poison(&ns.0, *kind, name, &fields);
        }
    }
    let groups: Vec<Value> = (0..16)
        .map(|group| json!({ "name": format!("ports-{group}") }))
        .collect();
    apply(
        &ns.0,
        &stage::server("lost", &json!({ "subnetRef": { "name": "nowhere" } })),
    );
    let mut open = Vec::new();
    for _ in 0..2000 {
        let address = doctor.admin().parse().unwrap();
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
            open.push(stream);
        } else if open.len() > 100 {
            break;
        }
    }
    stage::unhealthy_flock(&ns.0, "ram", 300, &json!({ "securityGroupRefs": groups }));

    let stop = AtomicBool::new(false);
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| harass(&ns.0, &stop));
        let began = Instant::now();
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while began.elapsed() < Duration::from_secs(20) {
                answers(&doctor, "/readyz");
                answers(&doctor, "/livez");
                slowest = slowest.max(neighbour.mark());
                most = most.max(doctor.memory());
                std::thread::sleep(Duration::from_millis(200));
            }
        }));
        stop.store(true, Ordering::SeqCst);
        if let Err(why) = looked {
            std::panic::resume_unwind(why);
        }
    });
    drop(open);
    eprintln!("slowest verdict elsewhere {slowest:?}, most memory {} MiB", most / 1024);
    assert!(most < memory_limit(), "{} MiB", most / 1024);
    assert!(slowest < Duration::from_secs(1), "a verdict elsewhere took {slowest:?}");
    assert_eq!(stage::logged(&doctor, "standing by"), 0, "it lost the lease");
}
