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
        [6, 0x0a00_0101, 8080],
        "the smallest address that a host can have"
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
            { "name": "low", "action": "Deny", "protocol": "tcp", "sourcePorts": "1-17151" },
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
    // 1024-17151 is a quarter of the likely ports: one half, and a quarter of the other half.
    assert!(evidence(&found, 1).share.is_said_by("0.25"));
    assert_eq!(evidence(&found, 1).values, [(1, 17151)]);
    assert_eq!(evidence(&found, 1).decided_by.as_ref().unwrap().name, "low");
    assert!(found.dropped.is_said_by("0.625"), "{:?}", found.dropped);
    let witness: Vec<u128> = evidence(&found, 1).witness.iter().map(|(_, v)| *v).collect();
    assert_eq!(
        witness,
        [6, 0x0a00_0001, 1024, 0x0a00_0905, 8080],
        "a host's address, a likely port"
    );
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

/// An open group and what else the world has.
fn with_more(more: &[Value]) -> Vec<Value> {
    let mut world = small_world(&group(&[json!({ "name": "r", "direction": "Ingress" })]), None);
    world.extend(more.iter().cloned());
    world
}

#[allow(clippy::needless_pass_by_value, reason = "reads best where it is used")]
fn acl(name: &str, spec: Value) -> Value {
    json!({ "kind": "NetworkACL", "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

fn beyond(findings: &Findings) -> Vec<&str> {
    findings.beyond.iter().map(|item| item.id).collect()
}

#[test]
fn high_ports_alone_fail_the_source_port_item_with_share_0() {
    let spec = json!({ "subnetRefs": [{ "name": "app" }], "egress": [{ "name": "all", "action": "Allow" }],
        "ingress": [{ "name": "high", "action": "Allow", "protocol": "tcp", "sourcePorts": "1024-65535" }] });
    let found = findings(&with_more(&[acl("acl", spec)]));
    assert_eq!(ids(&found), ["acl_check_hc_source_port_ingress"]);
    let source_port = evidence(&found, 0);
    assert_eq!(source_port.values, [(1, 1023)]);
    assert!(source_port.share.is_said_by("0") && found.dropped.is_said_by("0"));
    assert_eq!(
        (found.failed[0].impact, found.impact),
        (Impact::Advisory, Impact::Advisory)
    );
    assert_eq!(source_port.witness[2].1, 1);
}

/// One of two subnets of 256 addresses, and of its probes those from the upper half.
#[test]
fn the_acl_at_the_load_balancers_end_drops_a_quarter() {
    let spec = |stateful| {
        json!({ "subnetRefs": [{ "name": "b" }], "stateful": stateful, "ingress": [],
        "egress": [{ "name": "half", "action": "Deny", "source": { "cidr": "10.0.1.128/25" } },
                   { "name": "all", "action": "Allow" }] })
    };
    let found = findings(&with_more(&[acl("acl", spec(true))]));
    assert_eq!(
        (ids(&found).len(), beyond(&found)),
        (0, vec!["load_balancer_acl_egress"])
    );
    let end = found.beyond[0].evidence.as_ref().unwrap();
    assert_eq!(end.values, [values::prefix("10.0.1.128/25").unwrap().1]);
    assert!(end.share.is_said_by("0.25") && found.dropped.is_said_by("0.25"));
    assert_eq!(
        end.witness.iter().map(|(_, v)| *v).collect::<Vec<_>>(),
        [6, 0x0a00_0180, 1024, 0x0a00_0905, 8080]
    );
    assert_eq!(end.decided_by.as_ref().unwrap().name, "half");
    assert_eq!(found.gravest(), Some("load_balancer_acl_egress"));

    let found = findings(&with_more(&[acl("acl", spec(false))]));
    assert_eq!(
        beyond(&found),
        ["load_balancer_acl_egress", "load_balancer_acl_ingress"]
    );
    let replies = found.beyond[1].evidence.as_ref().unwrap();
    assert_eq!(replies.values, [values::prefix("10.0.1.0/24").unwrap().1]);
    assert!(replies.share.is_said_by("0.5") && found.dropped.is_said_by("0.5"));
    assert_eq!(
        replies.witness.iter().map(|(_, v)| *v).collect::<Vec<_>>(),
        [6, 0x0a00_0905, 8080, 0x0a00_0101, 1024]
    );
    assert_eq!(found.gravest(), Some("load_balancer_acl_egress"));
}

#[test]
fn the_load_balancers_end_is_judged_only_where_one_acl_is_in_force_there() {
    let closed = |enabled, subnet: &str| json!({ "enabled": enabled, "subnetRefs": [{ "name": subnet }] });
    assert_eq!(
        beyond(&findings(&with_more(&[acl("off", closed(false, "a"))]))).len(),
        0
    );
    assert_eq!(
        beyond(&findings(&with_more(&[
            acl("one", closed(true, "a")),
            acl("two", closed(false, "a"))
        ])))
        .len(),
        0
    );
    // Of subnet `a`, without the server's own address there and with it.
    let mut world = with_more(&[acl("one", closed(true, "a"))]);
    assert_eq!(beyond(&findings(&world)), ["load_balancer_acl_egress"]);
    world[0]["spec"]["cidrs"] = json!(["10.0.0.0/24", "10.0.9.0/29"]);
    assert_eq!(beyond(&findings(&world)).len(), 0);
}

#[test]
fn address_groups_of_acls_at_the_load_balancers_end_must_be_there() {
    let spec = json!({ "enabled": false, "subnetRefs": [{ "name": "a" }],
        "egress": [{ "name": "r", "action": "Allow", "destination": { "addressGroupRef": { "name": "gone" } } }] });
    let world = with_more(&[acl("acl", spec)]);
    let outcome = judge(Manifests(&world), SHARED, "server").outcome;
    assert!(matches!(outcome, Outcome::Refused("ReferenceNotFound")));
}

#[test]
fn replies_of_stateless_groups_need_a_rule_for_the_probers_ports() {
    let rules = json!([
        { "name": "r", "direction": "Ingress" },
        { "name": "out", "direction": "Egress", "protocol": "tcp", "ports": "8080" },
    ]);
    let found = findings(&small_world(&json!({ "stateful": false, "rules": rules }), None));
    assert_eq!(
        (ids(&found).len(), beyond(&found)),
        (0, vec!["security_group_reply_egress"])
    );
    let replies = found.beyond[0].evidence.as_ref().unwrap();
    assert_eq!(replies.values, [values::prefix("10.0.0.0/23").unwrap().1]);
    assert_eq!((replies.share.part, replies.share.whole), (512 * 64511, 512 * 64512));
    assert_eq!(found.beyond[0].impact, Impact::Intermittent);
    let all: Vec<u128> = replies.witness.iter().map(|(_, v)| *v).collect();
    assert_eq!(all, [6, 0x0a00_0001, 1024, 0x0a00_0905, 8080]);
    let found = findings(&small_world(&json!({ "stateful": true, "rules": rules }), None));
    assert_eq!((found.impact, found.beyond.len()), (Impact::None, 0));
}

/// `deny` covers every address by two halves, so that only an abstract address is left to hold the protocol with.
#[test]
fn a_group_that_only_rules_of_the_other_family_name_is_an_address_too() {
    let half = |name: &str, cidr: &str| json!({ "name": name, "direction": "Ingress", "action": "Deny", "remote": { "cidr": cidr } });
    let mut rules = vec![
        half("low", "0.0.0.0/1"),
        half("high", "128.0.0.0/1"),
        json!({ "name": "all", "direction": "Ingress", "priority": 2, "remote": { "cidr": "0.0.0.0/0" } }),
    ];
    assert_eq!(ids(&findings(&small_world(&group(&rules), None))).len(), 3);
    rules.push(json!({ "name": "own", "direction": "Ingress", "ethertype": "IPv6", "remote": { "securityGroupRef": { "name": "sg" } } }));
    assert_eq!(
        ids(&findings(&small_world(&group(&rules), None))),
        ["security_group_check_hc_source_ip_ingress"]
    );
}

#[test]
fn advisory_findings_are_accepted_and_others_are_not() {
    let spec = json!({ "subnetRefs": [{ "name": "app" }],
        "ingress": [{ "name": "all", "action": "Allow", "source": { "cidr": "10.0.0.0/24" } }] });
    let mut world = with_more(&[acl("acl", spec)]);
    world[3]["metadata"]["annotations"] =
        json!({ "elb-doctor.dev/accept": " acl_check_hc_protocol_egress ,,acl_check_hc_dest_port_egress, nonsense" });
    let server = world
        .iter_mut()
        .find(|object| object["kind"] == "BackendServer")
        .unwrap();
    server["metadata"]["annotations"] = json!({ "elb-doctor.dev/accept": "acl_check_hc_source_ip_ingress" });
    let found = findings(&world);
    assert_eq!(
        found.accepted,
        ["acl_check_hc_protocol_egress", "acl_check_hc_dest_port_egress"]
    );
    assert_eq!(
        ids(&found),
        [
            "acl_check_hc_source_ip_ingress",
            "acl_check_hc_source_ip_egress",
            "acl_check_hc_source_port_egress",
            "acl_check_hc_dest_ip_egress",
        ]
    );
    assert_eq!(found.noted, ["nonsense", "acl_check_hc_source_ip_ingress"]);
}

#[test]
fn the_closest_rule_among_equals_names_the_health_check_port() {
    let far = |name: &str, ports: &str| json!({ "name": name, "direction": "Ingress", "protocol": "tcp", "ports": ports, "remote": { "cidr": "172.16.0.0/12" } });
    let mut rules = vec![far("web", "8080"), far("api", "80,8080")];
    rules.insert(
        0,
        json!({ "name": "any", "direction": "Ingress", "remote": { "cidr": "172.16.0.0/12" } }),
    );
    let found = findings(&small_world(&group(&rules), None));
    assert_eq!(evidence(&found, 0).nearest.as_ref().unwrap().0.name, "web");
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
