//! Which backend servers are put to the test: one world for each feature of the semantics, and random ones.

use serde_json::{Value, json};

use super::{
    oracle::{
        generator,
        manifests::{Manifests, name_of},
        product,
    },
    trial::Case,
};

/// The backend servers of random worlds that the product diagnoses.
pub fn random(first: u64, count: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for seed in first..first + count {
        let mut world = generator::world(seed);
        for object in &mut world {
            // Accepted findings are not shown, and what is not shown predicts nothing.
            object["metadata"].as_object_mut().unwrap().remove("annotations");
        }
        let known = product::world(&world);
        for backend in product::backends(&world) {
            if product::status(&known, &backend).diagnosis.is_some() {
                cases.push(Case {
                    name: format!("seed {seed}, {backend}"),
                    world: world.clone(),
                    backend,
                });
            }
        }
    }
    cases
}

/// What a world by hand is made of; everything else is the same in all of them.
struct World {
    v6: bool,
    udp: bool,
    /// Rules of the security groups, one list per group; `None`: port security is off.
    groups: Option<Vec<Value>>,
    /// The ACL's spec without its subnet.
    acl: Option<Value>,
    /// The spec of the ACL of the subnet `probes` without its subnet.
    far: Option<Value>,
    stateless_groups: bool,
    addresses: Value,
    /// Backend subnets of the load balancer; none: it is a Shared one.
    subnets: Vec<&'static str>,
}

impl World {
    fn case(self, name: &str) -> Case {
        let object = |kind: &str, name: &str, spec: Value| {
            json!({
                "apiVersion": "elb-doctor.dev/v1alpha1", "kind": kind,
                "metadata": { "name": name, "namespace": product::NAMESPACE, "generation": 1 }, "spec": spec,
            })
        };
        let (group, check) = if self.udp {
            ("UDP", "UDP_CONNECT")
        } else {
            ("HTTP", "HTTP")
        };
        let subnets: Vec<Value> = self.subnets.iter().map(|name| json!({ "name": name })).collect();
        let mut balancer = json!({
            "type": if subnets.is_empty() { "Shared" } else { "Dedicated" },
            "listeners": [{ "name": "front", "protocol": group, "port": 80, "backendServerGroups": ["pool"] }],
            "backendServerGroups": [{
                "name": "pool", "protocol": group, "healthCheck": { "protocol": check, "port": 8081 },
            }],
        });
        if !subnets.is_empty() {
            balancer["backendSubnetRefs"] = Value::Array(subnets);
        }
        let groups = self.groups.clone().unwrap_or_default();
        let refs: Vec<Value> = (0..groups.len())
            .map(|i| json!({ "name": format!("group{i}") }))
            .collect();
        let mut server = object(
            "BackendServer",
            "server",
            json!({
                "loadBalancerRef": { "name": "balancer" }, "backendServerGroup": "pool", "port": 8081,
                "address": if self.v6 { "2001:db8:1::10" } else { "192.168.1.10" },
                "subnetRef": { "name": "servers" }, "securityGroupRefs": refs,
                "portSecurityEnabled": self.groups.is_some(),
            }),
        );
        server["status"] = json!({ "health": { "state": "Unhealthy", "reason": "ConnectTimeout" } });
        let mut world = vec![
            object(
                "Subnet",
                "servers",
                json!({ "cidrs": ["192.168.1.0/24", "2001:db8:1::/64"] }),
            ),
            object(
                "Subnet",
                "probes",
                json!({ "cidrs": ["192.168.0.0/24", "2001:db8:a::/64"] }),
            ),
            object(
                "Subnet",
                "more-probes",
                json!({ "cidrs": ["10.0.0.0/28", "2001:db8:b::/120"] }),
            ),
            object("AddressGroup", "known", json!({ "addresses": self.addresses })),
            object("LoadBalancer", "balancer", balancer),
            server,
        ];
        for (i, rules) in groups.into_iter().enumerate() {
            let mut rules = rules;
            for (at, rule) in rules.as_array_mut().unwrap().iter_mut().enumerate() {
                rule["name"] = format!("rule{at}").into();
                if self.v6 && rule.get("ethertype").is_none() {
                    rule["ethertype"] = "IPv6".into();
                }
            }
            let spec = json!({ "rules": rules, "stateful": !self.stateless_groups });
            world.push(object("SecurityGroup", &format!("group{i}"), spec));
        }
        for (acl, name, subnet) in [(self.acl, "border", "servers"), (self.far, "edge", "probes")] {
            let Some(mut acl) = acl else { continue };
            acl["subnetRefs"] = json!([{ "name": subnet }]);
            for direction in ["ingress", "egress"] {
                for (at, rule) in acl[direction].as_array_mut().into_iter().flatten().enumerate() {
                    rule["name"] = format!("rule{at}").into();
                    if self.v6 && rule.get("ipVersion").is_none() {
                        rule["ipVersion"] = "IPv6".into();
                    }
                }
            }
            world.push(object("NetworkACL", name, acl));
        }
        assert!(Manifests(&world).all("BackendServer").all(|b| name_of(b) == "server"));
        Case {
            name: name.to_owned(),
            world,
            backend: "server".into(),
        }
    }
}

/// The words that differ between the worlds by hand.
struct Words {
    v6: bool,
    udp: bool,
    addresses: Value,
    half: &'static str,
    probes: &'static str,
    one: &'static str,
    elsewhere: &'static str,
    number: &'static str,
    name: &'static str,
    other: &'static str,
    suffix: String,
}

/// Every feature once per address family, and for a TCP and a UDP health check.
pub fn by_hand() -> Vec<Case> {
    let mut cases = Vec::new();
    for (v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
        let (half, probes, one, elsewhere) = if v6 {
            ("2001:db8:a::/65", "2001:db8:a::/64", "2001:db8:a::21/128", "fd00::/8")
        } else {
            ("192.168.0.0/25", "192.168.0.0/24", "192.168.0.21/32", "172.16.0.0/12")
        };
        let addresses = if v6 {
            json!(["2001:db8:a::-2001:db8:a::ff", "2001:db8:b::1", "10.0.0.0/8"])
        } else {
            json!(["192.168.0.16-192.168.0.200", "10.0.0.1", "fd00::/8"])
        };
        let (number, name, other) = if udp { ("17", "udp", "tcp") } else { ("6", "tcp", "udp") };
        let words = Words {
            v6,
            udp,
            addresses,
            half,
            probes,
            one,
            elsewhere,
            number,
            name,
            other,
            suffix: format!("{} {name}", if v6 { "IPv6" } else { "IPv4" }),
        };
        cases.extend(security_groups(&words));
        cases.extend(network_acls(&words));
        cases.extend(beyond(&words));
    }
    cases
}

/// Security groups alone.
#[allow(clippy::too_many_lines, reason = "a list of worlds")]
fn security_groups(words: &Words) -> Vec<Case> {
    let &Words {
        v6,
        udp,
        half,
        probes,
        one,
        elsewhere,
        number,
        name,
        other,
        ref suffix,
        ref addresses,
    } = words;
    let mut cases = Vec::new();
    let ping = json!({ "direction": "Ingress", "protocol": "icmp", "priority": 7 });
    let out = json!({ "direction": "Egress" });
    let rule = |mut rule: Value| {
        rule["direction"] = "Ingress".into();
        rule
    };
    let mut group = |what: &str, groups: Vec<Value>| {
        cases.push(
            World {
                v6,
                udp,
                groups: Some(groups),
                acl: None,
                far: None,
                stateless_groups: false,
                addresses: addresses.clone(),
                subnets: vec!["probes", "more-probes"],
            }
            .case(&format!("{what}, {suffix}")),
        );
    };
    let right = rule(json!({ "protocol": name, "ports": "8081", "priority": 5 }));
    group("no group", vec![]);
    group("a group without rules", vec![json!([])]);
    group("all is well", vec![json!([right, ping, out])]);
    group(
        "half of the sources",
        vec![json!([rule(json!({ "remote": { "cidr": half } })), ping, out])],
    );
    group(
        "one address is denied",
        vec![json!([
            right,
            ping,
            out,
            rule(json!({ "action": "Deny", "remote": { "cidr": one } })),
        ])],
    );
    group(
        "deny wins at equal priority",
        vec![json!([
            right,
            ping,
            out,
            rule(json!({ "action": "Deny", "priority": 5, "protocol": number, "remote": { "cidr": half } })),
        ])],
    );
    group(
        "the better priority wins",
        vec![json!([
            right,
            ping,
            out,
            rule(json!({ "action": "Deny", "priority": 6 })),
        ])],
    );
    group(
        "the first group wins",
        vec![
            json!([rule(
                json!({ "action": "Deny", "priority": 100, "protocol": name, "remote": { "cidr": half } })
            )]),
            json!([right, ping, out]),
        ],
    );
    group(
        "a disabled deny",
        vec![json!([
            right,
            ping,
            out,
            rule(json!({ "action": "Deny", "enabled": false })),
        ])],
    );
    group(
        "a rule of the other family",
        vec![json!([
            rule(json!({ "ethertype": if v6 { "IPv4" } else { "IPv6" } })),
            out,
        ])],
    );
    group(
        "an address group",
        vec![json!([
            rule(json!({ "remote": { "addressGroupRef": { "name": "known" } } })),
            out,
        ])],
    );
    group(
        "members only",
        vec![json!([
            rule(json!({ "remote": { "securityGroupRef": { "name": "group0" } } })),
            out,
        ])],
    );
    group(
        "the wrong protocol",
        vec![json!([rule(json!({ "protocol": other, "ports": "8081" })), out])],
    );
    group(
        "a protocol number and a list of ports",
        vec![json!([
            rule(json!({ "protocol": number, "remote": { "cidr": probes } })),
            ping,
            rule(json!({ "protocol": name, "ports": "22,8080,8082-9000" })),
            out,
        ])],
    );
    group("nothing may leave, and replies do", vec![json!([right, ping])]);
    group(
        "outbound to elsewhere, and replies leave",
        vec![json!([
            right, ping, { "direction": "Egress", "protocol": name, "remote": { "cidr": elsewhere } },
        ])],
    );

    cases
}

/// A network ACL alone.
fn network_acls(words: &Words) -> Vec<Case> {
    let &Words {
        v6,
        udp,
        half,
        number,
        name,
        ref suffix,
        ref addresses,
        ..
    } = words;
    let mut cases = Vec::new();
    for stateful in [true, false] {
        let suffix = format!("{suffix}, {}", if stateful { "stateful" } else { "stateless" });
        let mut border = |what: &str, ingress: Value, egress: Value, subnets: &[&'static str]| {
            cases.push(
                World {
                    v6,
                    udp,
                    groups: None,
                    acl: Some(json!({ "stateful": stateful, "ingress": ingress, "egress": egress })),
                    far: None,
                    stateless_groups: false,
                    addresses: addresses.clone(),
                    subnets: subnets.to_vec(),
                }
                .case(&format!("{what}, {suffix}")),
            );
        };
        let allow = json!([{ "action": "Allow" }]);
        let two: &[&str] = &["probes", "more-probes"];
        border("an open ACL", allow.clone(), allow.clone(), two);
        border("an ACL without rules", json!([]), json!([]), two);
        border("replies have no rule", allow.clone(), json!([]), two);
        border(
            "replies to high ports only",
            allow.clone(),
            json!([{ "action": "Allow", "protocol": name, "sourcePorts": "8081", "destinationPorts": "1024-65535" }]),
            two,
        );
        border(
            "probes from high ports only",
            json!([{ "action": "Allow", "protocol": number, "sourcePorts": "1024-65535", "destinationPorts": "8081" }]),
            allow.clone(),
            two,
        );
        border(
            "the first rule wins",
            json!([{ "action": "Deny", "source": { "cidr": half } }, { "action": "Allow" }]),
            json!([{ "action": "Allow", "destination": { "cidr": half } }, { "action": "Deny" }, { "action": "Allow" }]),
            two,
        );
        border(
            "an address group at both ends",
            json!([{ "action": "Allow", "source": { "addressGroupRef": { "name": "known" } } }]),
            json!([{ "action": "Deny", "destination": { "addressGroupRef": { "name": "known" } } }, { "action": "Allow" }]),
            two,
        );
        border(
            "the server's own subnet is exempt",
            json!([]),
            json!([]),
            &["servers", "probes"],
        );
        if !v6 {
            border("outbound to 100.125.0.0/16 is exempt", allow.clone(), json!([]), &[]);
        }
    }
    cases
}

/// What the page does not look at: the network ACL at the load balancer's end, and replies of stateless groups.
#[allow(clippy::too_many_lines, reason = "a list")]
fn beyond(words: &Words) -> Vec<Case> {
    let &Words {
        v6,
        udp,
        half,
        name,
        elsewhere,
        ref suffix,
        ref addresses,
        ..
    } = words;
    let mut cases = Vec::new();
    let plain = || World {
        v6,
        udp,
        groups: None,
        acl: None,
        far: None,
        stateless_groups: false,
        addresses: addresses.clone(),
        subnets: vec!["probes", "more-probes"],
    };
    let allow = json!([{ "action": "Allow" }]);
    for stateful in [true, false] {
        let suffix = format!("{suffix}, {}", if stateful { "stateful" } else { "stateless" });
        let mut edge = |what: &str, egress: Value, ingress: Value, subnets: &[&'static str]| {
            let far = json!({ "stateful": stateful, "ingress": ingress, "egress": egress });
            let world = World {
                far: Some(far),
                subnets: subnets.to_vec(),
                ..plain()
            };
            cases.push(world.case(&format!("at the load balancer's end: {what}, {suffix}")));
        };
        let two: &[&str] = &["probes", "more-probes"];
        edge("open", allow.clone(), allow.clone(), two);
        edge("no rules", json!([]), json!([]), two);
        edge("no rules for replies", allow.clone(), json!([]), &["probes"]);
        edge(
            "half of the probes",
            json!([{ "action": "Deny", "source": { "cidr": half } }, { "action": "Allow" }]),
            json!([{ "action": "Deny", "destination": { "addressGroupRef": { "name": "known" } } }, { "action": "Allow" }]),
            two,
        );
        edge(
            "likely ports only",
            json!([{ "action": "Allow", "protocol": name, "sourcePorts": "1024-65535", "destinationPorts": "8081" }]),
            json!([{ "action": "Allow", "protocol": name, "sourcePorts": "8081", "destinationPorts": "1024-65535" }]),
            two,
        );
        edge(
            "half of the likely ports",
            json!([{ "action": "Allow", "sourcePorts": "1-33279" }]),
            json!([{ "action": "Allow", "destinationPorts": "1-33279" }, { "action": "Allow", "protocol": "icmp" }]),
            two,
        );
        edge(
            "another server",
            json!([{ "action": "Allow", "destination": { "cidr": elsewhere } }]),
            allow.clone(),
            two,
        );
    }
    let ping = json!({ "direction": "Ingress", "protocol": "icmp", "priority": 7 });
    let right = json!({ "direction": "Ingress", "protocol": name, "ports": "8081", "priority": 5 });
    let mut groups = |what: &str, outbound: Value| {
        let world = World {
            groups: Some(vec![json!([right, ping, outbound])]),
            stateless_groups: true,
            ..plain()
        };
        cases.push(world.case(&format!("stateless groups: {what}, {suffix}")));
    };
    groups("all may leave", json!({ "direction": "Egress" }));
    groups("nothing may leave", json!({ "direction": "Egress", "action": "Deny" }));
    groups(
        "the health check port",
        json!({ "direction": "Egress", "protocol": name, "ports": "8081" }),
    );
    groups(
        "likely ports",
        json!({ "direction": "Egress", "protocol": name, "ports": "1024-65535" }),
    );
    groups(
        "half of the probers",
        json!({ "direction": "Egress", "remote": { "cidr": half } }),
    );
    groups(
        "elsewhere",
        json!({ "direction": "Egress", "protocol": name, "remote": { "cidr": elsewhere } }),
    );

    // Every layer stateless, each with a hole of its own.
    let world = World {
        groups: Some(vec![
            json!([right, ping, { "direction": "Egress", "ports": "2000-65535" }]),
        ]),
        stateless_groups: true,
        acl: Some(
            json!({ "stateful": false, "ingress": [{ "action": "Allow", "sourcePorts": "1-50000" }], "egress": allow }),
        ),
        far: Some(
            json!({ "stateful": false, "egress": allow, "ingress": [{ "action": "Allow", "destinationPorts": "1-30000" }] }),
        ),
        ..plain()
    };
    cases.push(world.case(&format!("holes at every layer, {suffix}")));
    cases
}
