//! What one namespace of many backend servers costs: taking its objects in, looking at all of them, and one change that touches one.
//!
//! Prints each cost for 10,000 and for 100,000 backend servers in one subnet, behind one load balancer, and the ratio: where it is ten,
//! the cost grows linearly; where it is one, it does not grow at all. `cargo bench --bench fleet`.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    missing_docs,
    reason = "a benchmark may panic"
)]

use std::{hint::black_box, time::Instant};

use elb_doctor::{
    api::v1alpha1::{BackendServer, LoadBalancer, NetworkACL, SecurityGroup, Subnet},
    diagnosis,
    world::{Incoming, Key, Kind, Settings, World},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<K: DeserializeOwned>(name: &str, version: u64, spec: Value, status: Value) -> K {
    let metadata = json!({"namespace": "fleet", "name": name, "uid": name, "resourceVersion": version.to_string(), "generation": 1});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
}

fn backend(number: u32, version: u64, state: &str) -> BackendServer {
    let [_, a, b, c] = number.to_be_bytes();
    let spec = json!({
        "loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "address": format!("10.{a}.{b}.{c}"), "port": 8080,
        "subnetRef": {"name": "lawn"}, "securityGroupRefs": [{"name": "hedge"}],
    });
    read(
        &format!("b{number}"),
        version,
        spec,
        json!({"health": {"state": state}, "conditions": []}),
    )
}

/// The objects that all backend servers share.
fn shared() -> Vec<Incoming> {
    let rules: Vec<_> = (0..100)
        .map(|at| json!({"name": format!("r{at}"), "direction": "Ingress", "protocol": "tcp", "ports": (9_000 + at).to_string()}))
        .collect();
    let balancer = json!({
        "type": "Dedicated", "backendSubnetRefs": [{"name": "lane"}],
        "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["herd"]}],
        "backendServerGroups": [{"name": "herd", "protocol": "TCP", "healthCheck": {"protocol": "TCP"}}],
    });
    let acl = json!({"subnetRefs": [{"name": "lawn"}], "ingress": [{"name": "all", "action": "Allow"}], "egress": [{"name": "all", "action": "Allow"}]});
    vec![
        read::<Subnet>("lawn", 1, json!({"cidrs": ["10.0.0.0/8"]}), Value::Null).into(),
        read::<Subnet>("lane", 2, json!({"cidrs": ["172.16.0.0/24"]}), Value::Null).into(),
        read::<SecurityGroup>("hedge", 3, json!({"rules": rules}), Value::Null).into(),
        read::<NetworkACL>("moat", 4, acl, Value::Null).into(),
        read::<LoadBalancer>("gate", 5, balancer, Value::Null).into(),
    ]
}

/// Seconds for each part.
fn measure(number: u32) -> [(&'static str, f64); 5] {
    let incoming: Vec<Incoming> = (0..number)
        .map(|at| backend(at, 10 + u64::from(at), "Unhealthy").into())
        .collect();
    let mut world = World::new(&Settings::default());
    for object in shared() {
        world.observe(object);
    }
    let now = Time(jiff::Timestamp::UNIX_EPOCH);

    let began = Instant::now();
    for object in incoming {
        black_box(world.observe(object));
    }
    let intake = began.elapsed();

    let began = Instant::now();
    for key in world.keys(Kind::BackendServer) {
        black_box(diagnosis::backend_server_status(&world, &key, &now));
    }
    let sweep = began.elapsed();

    // A thousand marks, each with a snapshot held that a worker still reads.
    let began = Instant::now();
    for at in 0..1_000 {
        let snapshot = world.clone();
        black_box(world.observe(backend(at, 1_000_000 + u64::from(at), "Healthy").into()));
        black_box(snapshot);
    }
    let marks = began.elapsed();

    let began = Instant::now();
    for _ in 0..1_000 {
        black_box(diagnosis::load_balancer_status(
            &world,
            &Key::new("fleet", "gate"),
            &now,
        ));
    }
    let counts = began.elapsed();

    let began = Instant::now();
    black_box(world.observe(shared().remove(3)));
    let subnet = read::<Subnet>("lawn", 2_000_000, json!({"cidrs": ["10.0.0.0/9"]}), Value::Null);
    black_box(world.observe(subnet.into()));
    let everybody = began.elapsed();

    [
        ("take all backend servers in", intake.as_secs_f64()),
        ("diagnose each of them once", sweep.as_secs_f64()),
        ("1,000 marks, a snapshot held", marks.as_secs_f64()),
        ("1,000 counts of the load balancer", counts.as_secs_f64()),
        ("a change that concerns them all", everybody.as_secs_f64()),
    ]
}

fn main() {
    // `cargo test --benches` and the harness of `cargo bench` pass flags that mean nothing here.
    let (small, large) = (measure(10_000), measure(100_000));
    println!("{:<36}{:>12}{:>12}{:>8}", "", "10,000", "100,000", "ratio");
    for ((name, small), (_, large)) in small.iter().zip(&large) {
        println!(
            "{name:<36}{:>9.1} ms{:>9.1} ms{:>8.1}",
            small * 1e3,
            large * 1e3,
            large / small
        );
    }
}
