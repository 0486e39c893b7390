//! Ordinary rules, many of them: the servers behind them take their time, and nobody else's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    raw::{self, As, wait},
    replica::{Replica, apply, condition, eventually},
    stage::{Namespace, Neighbour, alone, cluster_wide, logged, object, unhealthy_flock, watch_over},
};

/// How long a verdict elsewhere may take on a busy machine, and an answer of /livez.
const SOON: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(1));

fn holds(doctor: &Replica, neighbour: &mut Neighbour, time: Duration) {
    let (verdict, alive) = watch_over(doctor, neighbour, time);
    assert!(verdict < SOON.0, "a verdict elsewhere took {verdict:?}");
    assert!(alive < SOON.1, "/livez took {alive:?}");
    assert_eq!(logged(doctor, "standing by"), 0, "it lost the lease");
}

/// Waits until every backend server has been told something about its rules.
fn all_told(namespace: &str) {
    eventually("a verdict or a refusal of everyone", || {
        let servers = wait(raw::list(namespace, "backendservers"));
        let waiting: Vec<String> = servers
            .iter()
            .filter(|server| {
                server["metadata"]["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("ram-"))
            })
            .map(|server| condition(server, "Diagnosed"))
            .filter(|said| !["True/FaultsFound", "False/TooIntricate"].contains(&said.as_str()))
            .collect();
        if waiting.is_empty() {
            Ok(())
        } else {
            Err(format!("{waiting:?}"))
        }
    });
}

#[test]
fn a_block_list_stalls_nobody() {
    let _alone = alone();
    let doctor = cluster_wide();
    let mut neighbour = Neighbour::new("rules-quiet");
    let ns = Namespace::new("rules-blocked");
    apply(&ns.0, crate::replica::MEADOW);
    let mut rules: Vec<Value> = (0..900)
        .map(|index: u32| {
            json!({ "name": format!("block-{index}"), "action": "Deny",
                "source": { "cidr": format!("{}.{}.{}.7/32", 11 + index % 80, index / 250, index % 250) } })
        })
        .collect();
    rules.push(json!({ "name": "web", "action": "Allow", "protocol": "tcp", "destinationPorts": "443" }));
    let spec = json!({ "subnetRefs": [{ "name": "vale" }], "ingress": rules, "egress": [{ "name": "all", "action": "Allow" }] });
    wait(raw::create(
        &As::Admin,
        &ns.0,
        "networkacls",
        object("NetworkACL", "blocks", &spec),
    ))
    .good();
    unhealthy_flock(&ns.0, "ram", 20, &json!({}));
    holds(&doctor, &mut neighbour, Duration::from_secs(12));
    all_told(&ns.0);
}

#[test]
fn lists_of_ports_stall_nobody() {
    let _alone = alone();
    let doctor = cluster_wide();
    let mut neighbour = Neighbour::new("ports-quiet");
    let ns = Namespace::new("ports-blocked");
    apply(&ns.0, crate::replica::MEADOW);
    let groups: Vec<String> = (0..16).map(|group| format!("ports-{group}")).collect();
    wait(raw::each(groups.iter().zip(0u32..), |(name, group)| {
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
        let text = object("SecurityGroup", name, &json!({ "rules": rules }));
        let ns = ns.0.clone();
        async move { raw::create(&As::Admin, &ns, "securitygroups", text).await }
    }));
    let refs: Vec<Value> = groups.iter().map(|name| json!({ "name": name })).collect();
    unhealthy_flock(&ns.0, "ram", 20, &json!({ "securityGroupRefs": refs }));
    holds(&doctor, &mut neighbour, Duration::from_secs(12));
    all_told(&ns.0);
}
