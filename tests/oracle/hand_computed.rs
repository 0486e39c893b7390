//! The oracle's own answers, held against hand-computed ones from the text of the semantics.

use serde_json::{Value, json};

use super::oracle::{
    manifests::Manifests,
    product::SHARED,
    values::{self, Family, Share},
    verdict::{Findings, Outcome, judge},
    walk::{Evidence, Impact},
};

/// A Dedicated load balancer in two subnets of 256 addresses, one backend on port 8080, one group, perhaps an ACL.
fn small_world(group: &Value, acl: Option<&Value>) -> Vec<Value> {
    let object = |kind: &str, name: &str, spec: Value| json!({ "kind": kind, "metadata": { "name": name, "namespace": "shop" }, "spec": spec });
    let mut world = vec![
        object("Subnet", "a", json!({ "cidrs": ["10.0.0.0/24"] })),
        object("Subnet", "b", json!({ "cidrs": ["10.0.1.0/24"] })),
        object("Subnet", "app", json!({ "cidrs": ["10.0.9.0/24"] })),
        object(
            "LoadBalancer",
            "lb",
            json!({
                "type": "Dedicated", "backendSubnetRefs": [{ "name": "a" }, { "name": "b" }],
                "listeners": [{ "name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["g"] }],
                "backendServerGroups": [{ "name": "g", "protocol": "TCP", "healthCheck": { "protocol": "TCP" } }],
            }),
        ),
        object("SecurityGroup", "sg", group.clone()),
        json!({
            "kind": "BackendServer", "metadata": { "name": "server", "namespace": "shop" },
            "spec": {
                "loadBalancerRef": { "name": "lb" }, "backendServerGroup": "g", "address": "10.0.9.5", "port": 8080,
                "subnetRef": { "name": "app" }, "securityGroupRefs": [{ "name": "sg" }],
            },
            "status": { "health": { "state": "Unhealthy" } },
        }),
    ];
    world.extend(acl.map(|acl| object("NetworkACL", "acl", acl.clone())));
    world
}

fn findings(world: &[Value]) -> Findings {
    match judge(Manifests(world), SHARED, "server").outcome {
        Outcome::Ran(findings) => *findings,
        Outcome::Refused(reason) => panic!("refused: {reason}"),
    }
}

fn ids(findings: &Findings) -> Vec<&str> {
    findings.failed.iter().map(|item| item.id).collect()
}

fn evidence(findings: &Findings, at: usize) -> &Evidence {
    findings.failed[at].evidence.as_ref().unwrap()
}

const OUT: &str = r#"{"name":"out","direction":"Egress"}"#;

fn group(rules: &[Value]) -> Value {
    let mut rules = rules.to_vec();
    rules.push(serde_json::from_str(OUT).unwrap());
    json!({ "rules": rules })
}

#[test]
fn one_missing_probe_subnet_fails_the_source_item_by_one_half() {
    let found = findings(&small_world(
        &group(&[
            json!({ "name": "r", "direction": "Ingress", "protocol": "tcp", "ports": "8080", "remote": { "cidr": "10.0.0.0/24" } }),
        ]),
        None,
    ));
    assert_eq!(ids(&found), ["security_group_check_hc_source_ip_ingress"]);
    let source = evidence(&found, 0);
    assert_eq!(source.values, [values::prefix("10.0.1.0/24").unwrap().1]);
    assert!(source.share.is_said_by("0.5"));
    assert!(source.decided_by.is_none());
    assert_eq!(
        source.witness.iter().map(|(_, v)| *v).collect::<Vec<_>>(),
        [6, 0x0a00_0100, 8080]
    );
    assert_eq!(found.failed[0].impact, Impact::Intermittent);
    assert_eq!(found.impact, Impact::Intermittent);
    assert!(found.dropped.is_said_by("0.5"));
}

#[test]
fn tcp_from_the_source_on_22_and_tcp_from_elsewhere_on_the_port_fails_the_port_item_alone() {
    let found = findings(&small_world(
        &group(&[
            json!({ "name": "ssh", "direction": "Ingress", "protocol": "tcp", "ports": "22", "remote": { "cidr": "10.0.0.0/23" } }),
            json!({ "name": "web", "direction": "Ingress", "protocol": "tcp", "ports": "8080", "remote": { "cidr": "172.16.0.0/12" } }),
        ]),
        None,
    ));
    assert_eq!(ids(&found), ["security_group_check_hc_port_ingress"]);
    assert_eq!(evidence(&found, 0).values, [(8080, 8080)]);
    assert_eq!(found.impact, Impact::Blocks);
}

#[test]
fn a_group_without_rules_fails_its_six_items_and_outbound_ones_are_advisory() {
    let found = findings(&small_world(&json!({}), None));
    assert_eq!(found.failed.len(), 6);
    assert!(found.failed[..3].iter().all(|item| item.impact == Impact::Blocks));
    assert!(found.failed[3..].iter().all(|item| item.impact == Impact::Advisory));
    assert_eq!(found.impact, Impact::Blocks);
}

/// Half of the addresses by the group, half of the source ports by the ACL: three quarters together.
#[test]
fn dropped_share_joins_layers() {
    let deny_low_ports = json!({ "subnetRefs": [{ "name": "app" }],
        "ingress": [
            { "name": "low", "action": "Deny", "protocol": "tcp", "sourcePorts": "1-13107" },
            { "name": "all", "action": "Allow" },
        ],
        "egress": [{ "name": "all", "action": "Allow" }] });
    let found = findings(&small_world(
        &group(&[json!({ "name": "r", "direction": "Ingress", "remote": { "cidr": "10.0.0.0/24" } })]),
        Some(&deny_low_ports),
    ));
    assert_eq!(
        ids(&found),
        [
            "security_group_check_hc_source_ip_ingress",
            "acl_check_hc_source_port_ingress"
        ]
    );
    // 13107 = 65535 / 5: one half, and a fifth of the other half.
    assert!(evidence(&found, 1).share.is_said_by("0.2"));
    assert_eq!(evidence(&found, 1).values, [(1, 13107)]);
    assert_eq!(evidence(&found, 1).decided_by.as_ref().unwrap().name, "low");
    assert!(found.dropped.is_said_by("0.6"), "{:?}", found.dropped);
}

/// A deny on single ports of single addresses: source is satisfied by other ports, so the source port item fails.
#[test]
fn replies_of_a_stateless_acl_count_and_those_of_a_stateful_one_do_not() {
    for (stateful, dropped, impact) in [(true, "0", Impact::Advisory), (false, "1", Impact::Blocks)] {
        let acl = json!({ "subnetRefs": [{ "name": "app" }], "stateful": stateful,
            "ingress": [{ "name": "all", "action": "Allow" }], "egress": [] });
        let found = findings(&small_world(
            &group(&[json!({ "name": "r", "direction": "Ingress" })]),
            Some(&acl),
        ));
        assert_eq!(found.failed.len(), 5);
        assert!(found.dropped.is_said_by(dropped));
        assert_eq!(found.impact, impact);
    }
}

#[test]
fn values_are_read_as_the_domain_says() {
    assert!(values::prefix("10.0.0.1/24").is_err());
    assert!(values::prefix("10.0.0.0/33").is_err());
    assert!(values::ports("90-80").is_err());
    assert!(values::ports("70000").is_err());
    assert_eq!(values::ports("22,80-90").unwrap(), [(22, 22), (80, 90)]);
    assert!(values::address_group_entry("10.0.0.9-10.0.0.1").is_err());
    assert_eq!(values::protocol("icmp", Family::V6).unwrap(), 58);
    assert_eq!(values::protocol("1", Family::V6).unwrap(), 1);
    assert_eq!(values::fewest_prefixes(&[(0, 255)]), 1);
    assert_eq!(values::fewest_prefixes(&[(1, 254)]), 14);
    assert_eq!(values::fewest_prefixes(&[(0, u128::from(u32::MAX))]), 1);
    assert_eq!(values::without(&[(0, 9)], &[(3, 4), (8, 20)]), [(0, 2), (5, 7)]);
    assert!(Share { part: 1, whole: 3 }.is_said_by("0.333333333333"));
    assert!(!Share { part: 1, whole: 3 }.is_said_by("0.333"));
    let nearly = Share {
        part: (1 << 100) - 1,
        whole: 1 << 100,
    };
    assert!(nearly.worse(Share { part: 7, whole: 7 }).is_all());
    assert_eq!(Share { part: 1, whole: 3 }.worse(Share { part: 2, whole: 5 }).whole, 5);
    assert_eq!(Share { part: 0, whole: 3 }.worse(Share { part: 1, whole: 9 }).whole, 9);
    assert!(
        Share {
            part: (1 << 100) - 1,
            whole: 1 << 100
        }
        .is_said_by("0.999999999999")
    );
    assert!(
        !Share {
            part: (1 << 100) - 1,
            whole: 1 << 100
        }
        .is_said_by("1")
    );
}
