//! Random worlds. Values come from small pools around the real probe sources and the real port, so that boundaries
//! matter; a good part of the rules starts from "everything needed is allowed" and is then narrowed, denied or disabled, so
//! that single items, combinations and passes all turn up often.
//!
//! What the semantics leave open is not generated: wrong values stand only in enabled rules of objects that the backend
//! server uses, and references are missing only where §9 says so in as many words.

use serde_json::{Map, Value, json};

use super::{product::NAMESPACE, random::Random};

/// The world of a seed: the same in every run.
pub fn world(seed: u64) -> Vec<Value> {
    Generator {
        r: Random::new(seed),
        objects: Vec::new(),
        address_groups: Vec::new(),
        rule: 0,
        stateless_groups: false,
    }
    .world()
}

struct Generator {
    r: Random,
    objects: Vec<Value>,
    address_groups: Vec<String>,
    /// Number of the next rule, so that names are unique.
    rule: usize,
    /// Whether security groups are stateless in this world.
    stateless_groups: bool,
}

/// What a backend server needs, as far as the generator bothers to know.
#[derive(Clone)]
struct Need {
    v6: bool,
    udp: bool,
    port: u16,
    sources: Vec<String>,
    address: String,
}

/// name, IPv4 prefixes, IPv6 prefixes
const SUBNETS: &[(&str, &str, &str)] = &[
    ("app", "192.168.1.0/24", "2001:db8:1::/64"),
    ("app-b", "192.168.5.0/25", "2001:db8:5::/64"),
    ("lb-a", "192.168.0.0/24", "2001:db8:a::/64"),
    ("lb-b", "192.168.2.0/26", "2001:db8:b::/120"),
    ("lb-c", "10.0.0.0/30", "2001:db8:c::/126"),
];
const EXACT_V4: &[&str] = &[
    "192.168.0.21",
    "192.168.0.22",
    "192.168.0.21/32",
    "192.168.2.32/29",
    "192.168.1.2",
    "10.0.0.1",
    "192.168.0.255",
    "192.168.2.0/32",
    "192.168.0.254/31",
];
const EXACT_V6: &[&str] = &[
    "2001:db8:a::21",
    "2001:db8:a::22",
    "2001:db8:a::40/122",
    "2001:db8:1::2",
    "2001:db8:b::1/128",
    "2001:db8:a::/127",
];
const V4: &[&str] = &[
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "192.168.0.0/16",
    "192.168.0.0/22",
    "192.168.0.0/23",
    "192.168.0.0/24",
    "192.168.0.0/25",
    "192.168.0.128/25",
    "192.168.0.16/28",
    "192.168.0.21/32",
    "192.168.0.22/32",
    "192.168.2.0/24",
    "192.168.2.0/26",
    "192.168.2.32/27",
    "192.168.2.32/30",
    "10.0.0.0/8",
    "10.0.0.0/30",
    "10.0.0.2/31",
    "10.0.0.1/32",
    "100.64.0.0/10",
    "100.125.0.0/16",
    "100.125.0.0/17",
    "100.125.10.0/24",
    "100.126.0.0/16",
    "172.16.0.0/12",
    "192.168.1.0/24",
    "192.168.1.0/28",
    "192.168.1.10/32",
    "192.168.1.11/32",
    "192.168.5.0/24",
    "192.168.0.0/32",
    "192.168.0.0/31",
    "192.168.0.255/32",
    "192.168.2.0/32",
];
const V6: &[&str] = &[
    "::/0",
    "::/1",
    "8000::/1",
    "2001:db8::/32",
    "2001:db8:a::/64",
    "2001:db8:a::/65",
    "2001:db8:a::/124",
    "2001:db8:a::20/123",
    "2001:db8:a::21/128",
    "2001:db8:a::22/128",
    "2001:db8:b::/64",
    "2001:db8:b::/120",
    "2001:db8:b::80/121",
    "2001:db8:c::/126",
    "2001:db8:1::/64",
    "2001:db8:1::10/128",
    "2001:db8:1::/126",
    "fd00::/8",
    "2001:db8:5::/64",
    "2001:db8:a::/128",
    "2001:db8:a::/112",
];
const PORTS: &[&str] = &[
    "8081",
    "8080",
    "80",
    "53",
    "8080-8081",
    "8081-8082",
    "8000-9000",
    "1-65535",
    "1-8080",
    "8082-65535",
    "22,80,8081",
    "22",
    "443,8000-8080",
    "8081-65535",
    "1-79,81-65535",
    "50-60",
];
const SOURCE_PORTS: &[&str] = &[
    "1-65535",
    "1024-65535",
    "1-1023",
    "32768-60999",
    "1-32767,32769-65535",
    "8081",
    "1",
    "65535",
    "2-65535",
    "1024-65535",
    "1-1024",
    "1025-65535",
    "512-2047",
];
const ACCEPTED: &[&str] = &[
    "check_hc_config_port",
    "security_group_check_hc_port_egress",
    "security_group_check_hc_protocol_egress",
    "acl_check_hc_source_port_ingress",
    "acl_check_hc_dest_port_egress",
    "acl_check_hc_source_ip_ingress",
    "load_balancer_acl_egress",
    "load_balancer_acl_ingress",
    "security_group_reply_egress",
    "no_such_item",
    "Check_hc_config_port",
];
const PROTOCOLS: &[&str] = &[
    "tcp", "tcp", "tcp", "udp", "udp", "icmp", "icmp", "icmpv6", "6", "17", "1", "58", "0", "255", "47",
];
const REASONS: &[&str] = &[
    "ConnectTimeout",
    "ConnectRefused",
    "ConnectFailed",
    "SslHandshakeError",
    "ResponseMismatch",
];

impl Generator {
    fn world(mut self) -> Vec<Value> {
        for (name, v4, v6) in SUBNETS {
            let cidrs = match self.r.below(10) {
                0 => json!([v4]),
                1 => json!([v6]),
                _ => json!([v4, v6]),
            };
            // App subnets of one family only would put most of their backends outside.
            let cidrs = if name.starts_with("app") {
                json!([v4, v6])
            } else {
                cidrs
            };
            self.add("Subnet", name, json!({ "cidrs": cidrs }));
        }
        self.make_address_groups();
        self.stateless_groups = self.r.chance(20);
        let v6_world = self.r.below(10); // 0-4: IPv4, 5-6: IPv6, 7-9: both
        let mut needs = Vec::new();
        let balancers = self.r.between(1, 2);
        let mut backends = Vec::new();
        for i in 0..balancers {
            let lb = format!("lb{i}");
            let spec = self.load_balancer();
            for _ in 0..self.r.between(1, 2) {
                let v6 = v6_world > 6 && self.r.chance(50) || (5..=6).contains(&v6_world);
                let (backend, need) = self.backend(&lb, &spec, v6);
                needs.push(need);
                backends.push(backend);
            }
            self.add("LoadBalancer", &lb, spec);
            self.accept_some();
        }
        // One group for each backend server in mind, so that some pass, and perhaps one that fits nobody.
        let mut groups: Vec<String> = Vec::new();
        for i in 0..needs.len() + self.r.below(2) {
            let group = format!("sg{i}");
            let need = needs.get(i).cloned().unwrap_or_else(|| self.r.choose(&needs));
            let spec = self.security_group(&group, &need);
            self.add("SecurityGroup", &group, spec);
            groups.push(group);
        }
        for subnet in ["app", "app-b"] {
            if self.r.chance(75) {
                let need = self.r.choose(&needs);
                let spec = self.acl(subnet, &need, false);
                self.add("NetworkACL", &format!("acl-{subnet}"), spec);
            }
        }
        self.acls_at_the_balancers_end(&needs);
        for (i, mut backend) in backends.into_iter().enumerate() {
            let mut free = groups.clone();
            let mut refs = Vec::new();
            let wanted = self.r.choose(&[0, 1, 1, 1, 1, 1, 2, 2, 2, 3]);
            if wanted > 0 && self.r.chance(75) {
                refs.push(json!({ "name": free.remove(i) }));
            }
            while refs.len() < wanted && !free.is_empty() {
                let at = self.r.below(free.len());
                let position = self.r.below(refs.len() + 1);
                refs.insert(position, json!({ "name": free.remove(at) }));
            }
            if !refs.is_empty() || self.r.chance(50) {
                backend["spec"]["securityGroupRefs"] = Value::Array(refs);
            }
            backend["metadata"]["name"] = format!("backend{i}").into();
            self.objects.push(backend);
            self.accept_some();
        }
        if self.r.chance(22) {
            self.spoil();
        }
        self.objects
    }

    fn add(&mut self, kind: &str, name: &str, spec: Value) {
        self.objects.push(object(kind, name, spec));
    }

    /// Perhaps the last object accepts findings.
    fn accept_some(&mut self) {
        if !self.r.chance(15) {
            return;
        }
        let mut ids: Vec<&str> = (0..self.r.between(1, 5)).map(|_| self.r.pick(ACCEPTED)).collect();
        if self.r.chance(30) {
            ids.push("");
        }
        let between = self.r.pick(&[",", ",", ", ", " ,  "]);
        let object = self.objects.last_mut().unwrap();
        object["metadata"]["annotations"] = json!({ "elb-doctor.dev/accept": ids.join(between) });
    }

    /// Network ACLs of the subnets that probes come from: their own, the server's, or two that claim one subnet.
    fn acls_at_the_balancers_end(&mut self, needs: &[Need]) {
        for subnet in ["lb-a", "lb-b", "lb-c"] {
            match self.r.below(100) {
                0..40 => {
                    let need = self.r.choose(needs);
                    let spec = self.acl(subnet, &need, true);
                    self.add("NetworkACL", &format!("acl-{subnet}"), spec);
                }
                40..50 => self.change("NetworkACL", |r, spec| {
                    let claimed = spec["subnetRefs"].as_array_mut().unwrap();
                    claimed.push(json!({ "name": subnet }));
                    if r.chance(40) {
                        return;
                    }
                    // One that stands at both ends has rules for both.
                    let rules = |direction: &str| spec[direction].as_array().cloned().unwrap_or_default();
                    let (ingress, egress) = (rules("ingress"), rules("egress"));
                    spec["ingress"] = Value::Array(ingress.iter().chain(&egress).cloned().collect());
                    spec["egress"] = Value::Array(egress.iter().chain(&ingress).cloned().collect());
                    for direction in ["ingress", "egress"] {
                        for (at, rule) in spec[direction].as_array_mut().into_iter().flatten().enumerate() {
                            rule["name"] = format!("{direction}{at}").into();
                        }
                    }
                }),
                _ => {}
            }
        }
        if self.r.chance(6) {
            let enabled = self.r.chance(50);
            let spec = json!({ "enabled": enabled, "subnetRefs": [{ "name": self.r.pick(&["lb-a", "lb-b"]) }] });
            self.add("NetworkACL", "acl-second", spec);
        }
    }

    fn make_address_groups(&mut self) {
        let pool = [
            "192.168.0.21",
            "192.168.0.16-192.168.0.40",
            "192.168.0.0/25",
            "10.0.0.0/8",
            "100.125.0.0-100.125.127.255",
            "2001:db8:a::21",
            "2001:db8:a::-2001:db8:a::ff",
            "2001:db8:b::/120",
            "192.168.2.0/24",
            "192.168.1.10",
            "0.0.0.0/0",
            "::/0",
            "192.168.1.0-192.168.1.10",
            "2001:db8:1::/64",
        ];
        for i in 0..self.r.between(1, 3) {
            let addresses: Vec<&str> = (0..self.r.below(5)).map(|_| self.r.pick(&pool)).collect();
            let name = format!("addresses{i}");
            self.add("AddressGroup", &name, json!({ "addresses": addresses }));
            self.address_groups.push(name);
        }
    }

    fn load_balancer(&mut self) -> Value {
        let mut spec = json!({ "type": "Dedicated" });
        let is_shared = self.r.chance(25);
        if is_shared {
            spec["type"] = "Shared".into();
        }
        // A Shared one may name subnets too, for nothing.
        if !is_shared || self.r.chance(20) {
            let mut subnets = vec!["lb-a", "lb-b", "lb-c", "app"];
            let refs: Vec<Value> = (0..self.r.choose(&[1, 1, 2, 2, 3]))
                .map(|_| {
                    let at = self.r.below(subnets.len());
                    json!({ "name": subnets.remove(at) })
                })
                .collect();
            spec["backendSubnetRefs"] = Value::Array(refs);
        }
        if self.r.chance(25) {
            let mut sources: Vec<&str> = (0..self.r.between(1, 3)).map(|_| self.r.pick(EXACT_V4)).collect();
            sources.extend((0..self.r.below(3)).map(|_| self.r.pick(EXACT_V6)));
            sources.sort_unstable();
            sources.dedup();
            spec["healthCheckSources"] = json!(sources);
            if spec["type"] == "Dedicated" && self.r.chance(40) {
                spec.as_object_mut().unwrap().remove("backendSubnetRefs");
            }
        }
        let mut groups = Vec::new();
        let mut listeners = Vec::new();
        for i in 0..self.r.between(1, 2) {
            let protocol = self
                .r
                .pick(&["TCP", "UDP", "QUIC", "HTTP", "HTTPS", "GRPC", "TLS", "IP", "UDP"]);
            let check = match protocol {
                "UDP" | "QUIC" => "UDP_CONNECT",
                "TCP" | "IP" => self.r.pick(&["TCP", "HTTP", "HTTPS"]),
                _ => self.r.pick(&["TCP", "HTTP", "HTTPS", "TLS", "GRPC"]),
            };
            let name = format!("group{i}");
            let mut check = json!({ "protocol": check });
            if self.r.chance(45) {
                check["port"] = json!(self.r.choose(&[8081, 8080, 80, 53]));
            }
            if self.r.chance(30) {
                check["enabled"] = true.into();
            }
            let mut group = json!({ "name": name, "protocol": protocol });
            match self.r.below(1000) {
                0..25 => check["enabled"] = false.into(),
                25..40 => check = Value::Null,
                _ => {}
            }
            if !check.is_null() {
                group["healthCheck"] = check;
            }
            groups.push(group);
            let front = match protocol {
                "HTTPS" => "TERMINATED_HTTPS",
                other => other,
            };
            if !self.r.rarely(40) {
                listeners.push(json!({
                    "name": format!("listener{i}"), "protocol": front, "port": if front == "IP" { 0 } else { 80 + i },
                    "backendServerGroups": [name],
                }));
            }
        }
        spec["listeners"] = Value::Array(listeners);
        spec["backendServerGroups"] = Value::Array(groups);
        spec
    }

    /// A backend server (its name and its security groups come later) and what it needs.
    fn backend(&mut self, lb: &str, lb_spec: &Value, v6: bool) -> (Value, Need) {
        let group = self.r.choose(lb_spec["backendServerGroups"].as_array().unwrap());
        let subnet = self.r.pick(&["app", "app", "app", "app-b"]);
        let mut address = match (subnet, v6) {
            ("app", false) => self.r.pick(&["192.168.1.10", "192.168.1.11", "192.168.1.200"]),
            ("app", true) => self.r.pick(&["2001:db8:1::10", "2001:db8:1::11"]),
            (_, false) => "192.168.5.10",
            (_, true) => "2001:db8:5::10",
        };
        if self.r.rarely(60) {
            // Outside of its subnet: elsewhere, among the probers, where outbound traffic is exempt.
            address = match (self.r.below(6), v6) {
                (0..3, true) => "2001:db8:f::1",
                (_, true) => "2001:db8:a::77",
                (0..3, false) => "172.16.0.9",
                (3..5, false) => "192.168.0.77",
                (_, false) => "100.125.7.7",
            };
        }
        let port: u16 = self.r.choose(&[8080, 8080, 8081, 80, 53]);
        let mut spec = json!({
            "loadBalancerRef": { "name": lb }, "backendServerGroup": group["name"], "address": address, "port": port,
            "subnetRef": { "name": subnet },
        });
        let mut probed = group["healthCheck"]["port"].as_u64().map_or(port, |p| p as u16);
        let mut sources = self.sources(lb_spec, v6);
        let mut own = Map::new();
        if self.r.rarely(120) {
            probed = self.r.choose(&[8080, 8081, 80, port]);
            own.insert("port".into(), json!(probed));
        }
        if self.r.rarely(60) {
            address = match (subnet, v6) {
                ("app", false) => "192.168.1.11",
                ("app", true) => "2001:db8:1::11",
                (_, false) => "192.168.5.11",
                (_, true) => "2001:db8:5::11",
            };
            own.insert("address".into(), json!(address));
        }
        if self.r.rarely(60) {
            let exact = self.r.pick(if v6 { EXACT_V6 } else { EXACT_V4 });
            own.insert("sources".into(), json!([exact]));
            sources = vec![exact.to_owned()];
        }
        if !own.is_empty() {
            spec["healthCheck"] = Value::Object(own);
        }
        if self.r.rarely(60) {
            spec["portSecurityEnabled"] = false.into();
        } else if self.r.chance(20) {
            spec["portSecurityEnabled"] = true.into();
        }
        if self.r.rarely(30) {
            spec["type"] = "IP".into();
            if self.r.chance(60) {
                spec.as_object_mut().unwrap().remove("subnetRef");
            }
        }
        if self.r.chance(20) {
            spec["weight"] = json!(self.r.choose(&[0, 1, 100]));
        }
        let mut backend = object("BackendServer", "", spec);
        match self.r.below(100) {
            0..4 => {}
            4..7 => backend["status"] = json!({ "health": { "state": "Healthy" } }),
            7..10 => backend["status"] = json!({ "health": { "state": "Unknown" } }),
            10..30 => backend["status"] = json!({ "health": { "state": "Unhealthy" } }),
            _ => backend["status"] = json!({ "health": { "state": "Unhealthy", "reason": self.r.pick(REASONS) } }),
        }
        let udp = group["healthCheck"]["protocol"] == "UDP_CONNECT";
        (
            backend,
            Need {
                v6,
                udp,
                port: probed,
                sources,
                address: address.to_owned(),
            },
        )
    }

    /// About where probes come from: only to have rules that fit.
    fn sources(&self, lb: &Value, v6: bool) -> Vec<String> {
        let fits = |text: &str| text.contains(':') == v6;
        let with_length = |text: &str| match (text.contains('/'), v6) {
            (true, _) => text.to_owned(),
            (_, false) => format!("{text}/32"),
            (_, true) => format!("{text}/128"),
        };
        let exact = lb["healthCheckSources"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let exact: Vec<String> = exact.filter(|text| fits(text)).map(with_length).collect();
        if !exact.is_empty() {
            return exact;
        }
        if lb["type"] == "Shared" {
            return if v6 { Vec::new() } else { vec!["100.125.0.0/16".into()] };
        }
        let names = lb["backendSubnetRefs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|r| r["name"].as_str());
        names
            .filter_map(|name| SUBNETS.iter().find(|(subnet, _, _)| *subnet == name))
            .map(|(_, v4, six)| if v6 { *six } else { *v4 }.to_owned())
            .collect()
    }

    fn next_rule(&mut self) -> String {
        self.rule += 1;
        format!("rule{}", self.rule)
    }

    fn security_group(&mut self, own_name: &str, need: &Need) -> Value {
        let mut rules: Vec<Value> = Vec::new();
        let stateful = self.stateless_groups == self.r.rarely(30);
        match self.r.below(11) {
            // Many rules at few priorities, so that ties, shadows and crowded priorities turn up.
            10 => {
                for _ in 0..self.r.between(6, 14) {
                    let mut rule = self.group_rule("Ingress", need);
                    if self.r.chance(40) {
                        rule["direction"] = "Egress".into();
                    }
                    if self.r.chance(70) {
                        rule["priority"] = json!(self.r.choose(&[1, 1, 1, 2, 2, 3]));
                    }
                    rule["action"] = self.r.pick(&["Allow", "Deny"]).into();
                    rules.push(rule);
                }
            }
            // All that is needed is allowed, in more or less generous words; then some harm is done.
            0..7 => {
                for direction in ["Ingress", "Egress"] {
                    let mut all = self.enough_for_group(direction, need);
                    for _ in 0..self.r.choose(&[0, 0, 1, 1, 1, 2]) {
                        self.harm_group(&mut all, direction, need);
                    }
                    rules.extend(all);
                }
            }
            // Anything.
            7..=8 => {
                for _ in 0..self.r.between(1, 6) {
                    let direction = self.r.pick(&["Ingress", "Egress"]);
                    let rule = self.group_rule(direction, need);
                    rules.push(rule);
                }
            }
            // The default group: its own members only.
            _ => {
                for direction in ["Ingress", "Egress"] {
                    let name = self.next_rule();
                    let mut rule = json!({
                        "name": name, "direction": direction, "action": "Allow",
                        "remote": { "securityGroupRef": { "name": own_name } },
                    });
                    if need.v6 {
                        rule["ethertype"] = "IPv6".into();
                    }
                    rules.push(rule);
                }
            }
        }
        if self.r.chance(10) {
            // A group that only a rule of the other family names.
            let mut rule = json!({
                "name": self.next_rule(), "direction": self.r.pick(&["Ingress", "Egress"]),
                "remote": { "securityGroupRef": { "name": own_name } },
            });
            self.ethertype(&mut rule, "ethertype", !need.v6);
            rules.push(rule);
        }
        if rules.is_empty() && stateful && self.r.chance(50) {
            return json!({});
        }
        if self.r.chance(30) {
            // Order in the array means nothing but in ties.
            let at = self.r.below(rules.len().max(1));
            rules.rotate_left(at);
        }
        let mut spec = json!({ "rules": rules });
        if !stateful || self.r.chance(20) {
            spec["stateful"] = stateful.into();
        }
        spec
    }

    fn ethertype(&mut self, rule: &mut Value, field: &str, v6: bool) {
        if v6 {
            rule[field] = "IPv6".into();
        } else if self.r.chance(50) {
            rule[field] = "IPv4".into();
        }
    }

    fn enough_for_group(&mut self, direction: &str, need: &Need) -> Vec<Value> {
        let mut rules = Vec::new();
        let priority = self.r.choose(&[1, 1, 2, 50, 99, 100]);
        let mut base = json!({ "name": "", "direction": direction });
        if priority != 1 || self.r.chance(50) {
            base["priority"] = json!(priority);
        }
        self.ethertype(&mut base, "ethertype", need.v6);
        if self.r.chance(25) {
            base["name"] = self.next_rule().into();
            return vec![base];
        }
        let any = self.r.chance(20);
        let sources = if any { vec![String::new()] } else { need.sources.clone() };
        for source in sources {
            for protocol in if need.udp { &["udp", "icmp"][..] } else { &["tcp"][..] } {
                let mut rule = base.clone();
                rule["name"] = self.next_rule().into();
                rule["protocol"] = (*protocol).into();
                if *protocol != "icmp" && direction == "Egress" && self.stateless_groups && self.r.chance(80) {
                    // What replies of stateless groups need.
                    if self.r.chance(70) {
                        rule["ports"] = self.r.pick(&["1-65535", "1-65535", "1024-65535", "32768-60999"]).into();
                    }
                } else if *protocol != "icmp" && self.r.chance(80) {
                    let exact = need.port.to_string();
                    rule["ports"] = if self.r.chance(70) {
                        exact
                    } else {
                        format!("22,{exact}")
                    }
                    .into();
                }
                if !source.is_empty() {
                    rule["remote"] = json!({ "cidr": source });
                }
                rules.push(rule);
            }
        }
        rules
    }

    fn harm_group(&mut self, rules: &mut Vec<Value>, direction: &str, need: &Need) {
        let at = self.r.below(rules.len().max(1));
        if self.r.chance(40) || rules.is_empty() {
            let mut rule = self.group_rule(direction, need);
            if self.r.chance(80) {
                rule["action"] = "Deny".into();
            }
            rules.insert(at.min(rules.len()), rule);
            return;
        }
        let rule = &mut rules[at];
        match self.r.below(7) {
            0 => {
                rules.remove(at);
            }
            1 => rule["enabled"] = false.into(),
            2 => rule["remote"] = self.remote(need, true),
            3 if rule["protocol"] == "tcp" || rule["protocol"] == "udp" => rule["ports"] = self.r.pick(PORTS).into(),
            4 => {
                rule["protocol"] = self.r.pick(PROTOCOLS).into();
                rule.as_object_mut().unwrap().remove("ports");
            }
            5 => rule["action"] = "Deny".into(),
            _ => rule["ethertype"] = if need.v6 { "IPv4" } else { "IPv6" }.into(),
        }
        // A changed family and an old prefix would be a wrong value: not here.
        if let Some(rule) = rules.get_mut(at) {
            let v6 = rule["ethertype"] == "IPv6";
            if rule["remote"]["cidr"]
                .as_str()
                .is_some_and(|cidr| cidr.contains(':') != v6)
            {
                rule["remote"]["cidr"] = self.r.pick(if v6 { V6 } else { V4 }).into();
            }
        }
    }

    fn cidr(&mut self, v6: bool, need: &Need) -> String {
        if v6 == need.v6 && !need.sources.is_empty() && self.r.chance(35) {
            return self.r.choose(&need.sources);
        }
        self.r.pick(if v6 { V6 } else { V4 }).to_owned()
    }

    fn remote(&mut self, need: &Need, groups: bool) -> Value {
        match self.r.below(10) {
            0 | 1 => json!({ "addressGroupRef": { "name": self.r.choose(&self.address_groups.clone()) } }),
            2 | 3 if groups => json!({ "securityGroupRef": { "name": self.r.pick(&["sg0", "sg1", "elsewhere"]) } }),
            _ => json!({ "cidr": self.cidr(need.v6, need) }),
        }
    }

    fn group_rule(&mut self, direction: &str, need: &Need) -> Value {
        let mut rule = json!({ "name": self.next_rule(), "direction": direction });
        let v6 = if self.r.chance(90) { need.v6 } else { !need.v6 };
        self.ethertype(&mut rule, "ethertype", v6);
        match self.r.below(10) {
            0..2 => {}
            2..7 => rule["protocol"] = if need.udp { "udp" } else { "tcp" }.into(),
            _ => rule["protocol"] = self.r.pick(PROTOCOLS).into(),
        }
        if (rule["protocol"] == "tcp" || rule["protocol"] == "udp") && self.r.chance(70) {
            rule["ports"] = if self.r.chance(40) {
                need.port.to_string()
            } else {
                self.r.pick(PORTS).into()
            }
            .into();
        }
        if self.r.chance(75) {
            let as_if = Need { v6, ..need.clone() };
            let as_if = if v6 == need.v6 {
                as_if
            } else {
                Need {
                    sources: Vec::new(),
                    ..as_if
                }
            };
            rule["remote"] = self.remote(&as_if, true);
        }
        if self.r.chance(60) {
            rule["priority"] = json!(self.r.choose(&[1, 1, 2, 2, 3, 49, 50, 51, 99, 100]));
        }
        if self.r.chance(30) {
            rule["action"] = "Deny".into();
        } else if self.r.chance(40) {
            rule["action"] = "Allow".into();
        }
        if self.r.rarely(70) {
            rule["enabled"] = false.into();
        } else if self.r.chance(10) {
            rule["enabled"] = true.into();
        }
        rule
    }

    /// The ACL of the server's subnet, or of the load balancer's: there probes go out and replies come in.
    fn acl(&mut self, subnet: &str, need: &Need, at_balancer: bool) -> Value {
        let mut spec = json!({ "subnetRefs": [{ "name": subnet }] });
        match self.r.below(10) {
            0 => spec["enabled"] = false.into(),
            1 | 2 => spec["enabled"] = true.into(),
            _ => {}
        }
        match self.r.below(10) {
            0..4 => spec["stateful"] = false.into(),
            4 | 5 => spec["stateful"] = true.into(),
            _ => {}
        }
        for (direction, ingress) in [("ingress", !at_balancer), ("egress", at_balancer)] {
            let rules = match self.r.below(10) {
                0..7 => {
                    let mut rules = self.enough_for_acl(ingress, need);
                    for _ in 0..self.r.choose(&[0, 0, 1, 1, 1, 2]) {
                        self.harm_acl(&mut rules, ingress, need);
                    }
                    rules
                }
                7..9 => (0..self.r.between(1, 5))
                    .map(|_| self.acl_rule(ingress, need))
                    .collect(),
                _ => Vec::new(),
            };
            if !rules.is_empty() || self.r.chance(50) {
                spec[direction] = Value::Array(rules);
            }
        }
        spec
    }

    fn enough_for_acl(&mut self, ingress: bool, need: &Need) -> Vec<Value> {
        let mut base = json!({ "name": "", "action": "Allow" });
        self.ethertype(&mut base, "ipVersion", need.v6);
        if self.r.chance(25) {
            base["name"] = self.next_rule().into();
            return vec![base];
        }
        let host = format!("{}/{}", need.address, if need.v6 { 128 } else { 32 });
        let (near, near_ports, far, far_ports) = if ingress {
            ("destination", "destinationPorts", "source", "sourcePorts")
        } else {
            ("source", "sourcePorts", "destination", "destinationPorts")
        };
        let mut rules = Vec::new();
        for source in need.sources.clone() {
            for protocol in if need.udp { &["udp", "icmp"][..] } else { &["tcp"][..] } {
                let mut rule = base.clone();
                rule["name"] = self.next_rule().into();
                rule["protocol"] = (*protocol).into();
                rule[far] = json!({ "cidr": source });
                if self.r.chance(60) {
                    rule[near] = json!({ "cidr": host });
                }
                if *protocol != "icmp" {
                    if self.r.chance(60) {
                        rule[near_ports] = need.port.to_string().into();
                    }
                    match self.r.below(10) {
                        0..4 => rule[far_ports] = "1-65535".into(),
                        4 | 5 => rule[far_ports] = "1024-65535".into(),
                        _ => {}
                    }
                }
                rules.push(rule);
            }
        }
        rules
    }

    fn harm_acl(&mut self, rules: &mut Vec<Value>, ingress: bool, need: &Need) {
        let at = self.r.below(rules.len().max(1));
        if self.r.chance(40) || rules.is_empty() {
            let mut rule = self.acl_rule(ingress, need);
            if self.r.chance(80) {
                rule["action"] = "Deny".into();
            }
            rules.insert(at.min(rules.len()), rule);
            return;
        }
        let address = self.r.pick(&["source", "destination"]);
        let rule = &mut rules[at];
        let with_ports = rule["protocol"].is_null() || rule["protocol"] == "tcp" || rule["protocol"] == "udp";
        match self.r.below(8) {
            0 => {
                rules.remove(at);
            }
            1 => rule["enabled"] = false.into(),
            2 | 3 => rule[address] = self.remote(need, false),
            4 if with_ports => rule["sourcePorts"] = self.r.pick(SOURCE_PORTS).into(),
            5 if with_ports => {
                rule["destinationPorts"] = self.r.pick(if ingress { PORTS } else { SOURCE_PORTS }).into();
            }
            6 => {
                rule["protocol"] = self.r.pick(PROTOCOLS).into();
                rule.as_object_mut().unwrap().remove("sourcePorts");
                rule.as_object_mut().unwrap().remove("destinationPorts");
            }
            _ => rule["action"] = "Deny".into(),
        }
    }

    fn acl_rule(&mut self, ingress: bool, need: &Need) -> Value {
        let mut rule = json!({ "name": self.next_rule() });
        let v6 = if self.r.chance(90) { need.v6 } else { !need.v6 };
        let as_if = Need {
            v6,
            sources: if v6 == need.v6 {
                need.sources.clone()
            } else {
                Vec::new()
            },
            ..need.clone()
        };
        self.ethertype(&mut rule, "ipVersion", v6);
        match self.r.below(10) {
            0..3 => {}
            3..7 => rule["protocol"] = if need.udp { "udp" } else { "tcp" }.into(),
            _ => rule["protocol"] = self.r.pick(PROTOCOLS).into(),
        }
        for address in ["source", "destination"] {
            if self.r.chance(45) {
                rule[address] = self.remote(&as_if, false);
            }
        }
        if rule["protocol"].is_null() || rule["protocol"] == "tcp" || rule["protocol"] == "udp" {
            let (near, far) = if ingress {
                ("destinationPorts", "sourcePorts")
            } else {
                ("sourcePorts", "destinationPorts")
            };
            if self.r.chance(35) {
                rule[near] = self.r.pick(PORTS).into();
            }
            if self.r.chance(25) {
                rule[far] = self.r.pick(SOURCE_PORTS).into();
            }
        }
        rule["action"] = if self.r.chance(40) { "Deny" } else { "Allow" }.into();
        if self.r.rarely(70) {
            rule["enabled"] = false.into();
        }
        rule
    }

    /// One thing that makes a refusal.
    fn spoil(&mut self) {
        match self.r.below(23) {
            // References that lead nowhere.
            0 => self.change("BackendServer", |_, spec| {
                spec["loadBalancerRef"]["name"] = "nowhere".into();
            }),
            1 => self.change("BackendServer", |_, spec| spec["backendServerGroup"] = "nowhere".into()),
            2 => self.change("BackendServer", |_, spec| {
                spec["subnetRef"] = json!({ "name": "nowhere" });
            }),
            3 => self.change("BackendServer", |r, spec| {
                let mut refs = spec["securityGroupRefs"].as_array().cloned().unwrap_or_default();
                refs.insert(r.below(refs.len() + 1), json!({ "name": "nowhere" }));
                spec["securityGroupRefs"] = Value::Array(refs);
            }),
            4 => self.change("LoadBalancer", |_, spec| {
                let mut refs = spec["backendSubnetRefs"].as_array().cloned().unwrap_or_default();
                refs.push(json!({ "name": "nowhere" }));
                spec["backendSubnetRefs"] = Value::Array(refs);
            }),
            5 => self.change_group_rule(|_, rule| rule["remote"] = json!({ "addressGroupRef": { "name": "nowhere" } })),
            6 => self.change_acl_rule(|r, rule| {
                rule[r.pick(&["source", "destination"])] = json!({ "addressGroupRef": { "name": "nowhere" } });
            }),
            // Wrong values.
            7 => self.change_group_rule(|r, rule| {
                let v6 = rule["ethertype"] == "IPv6";
                let wrong = if v6 {
                    "2001:db8:a::1/64"
                } else {
                    r.pick(&["192.168.0.1/24", "192.168.1.10/31x"])
                };
                rule["remote"] = json!({ "cidr": wrong.replace("31x", "24") });
            }),
            8 => self.change_acl_rule(|r, rule| {
                let wrong = if rule["ipVersion"] == "IPv6" {
                    "2001:db8:a::1/64"
                } else {
                    "10.0.0.1/8"
                };
                rule[r.pick(&["source", "destination"])] = json!({ "cidr": wrong });
            }),
            9 => self.change_group_rule(|r, rule| {
                rule["protocol"] = r.pick(&["tcp", "udp"]).into();
                rule["ports"] = r.pick(&["90-80", "22,8081-8080", "70000", "80-70000"]).into();
            }),
            10 => self.change_acl_rule(|r, rule| {
                rule["protocol"] = "tcp".into();
                rule[r.pick(&["sourcePorts", "destinationPorts"])] = r.pick(&["90-80", "65536", "1-65536"]).into();
            }),
            11 => self.change("Subnet", |r, spec| {
                spec["cidrs"] = json!([r.pick(&["192.168.0.1/24", "2001:db8:a::1/64"])]);
            }),
            12 => self.change("AddressGroup", |r, spec| {
                spec["addresses"] = json!([
                    "192.168.0.21",
                    r.pick(&[
                        "192.168.0.40-192.168.0.30",
                        "10.0.0.1/8",
                        "10.0.0.1-2001:db8::1",
                        "2001:db8::2-2001:db8::1"
                    ]),
                ]);
            }),
            13 => self.change("LoadBalancer", |r, spec| {
                spec["healthCheckSources"] = json!(["192.168.0.21", r.pick(&["192.168.0.22/24", "2001:db8:a::22/64"])]);
            }),
            14 => self.change("LoadBalancer", |r, spec| {
                let field = r.pick(&["listeners", "backendServerGroups"]);
                let list = spec[field].as_array_mut().unwrap();
                if let Some(first) = list.first().cloned() {
                    list.push(first);
                }
            }),
            15 => self.change("BackendServer", |_, spec| {
                spec["healthCheck"]["sources"] = json!(["192.168.0.22/24"]);
            }),
            // Two ACLs for one subnet.
            16 | 17 => {
                let enabled = self.r.chance(50);
                let spec = json!({ "enabled": enabled, "subnetRefs": [{ "name": "app-b" }, { "name": "app" }] });
                let name = format!("acl-{}", self.next_rule());
                self.add("NetworkACL", &name, spec);
            }
            // No source of the family.
            18 | 19 => self.change("LoadBalancer", |r, spec| {
                spec["type"] = "Dedicated".into();
                spec["healthCheckSources"] = json!([r.pick(&["192.168.0.21", "2001:db8:a::21"])]);
                spec.as_object_mut().unwrap().remove("backendSubnetRefs");
            }),
            // Everything at once.
            20 => {
                for _ in 0..3 {
                    self.spoil();
                }
            }
            21 => self.change("SecurityGroup", |_, spec| {
                spec["stateful"] = (spec["stateful"] == false).into();
            }),
            _ => self.change("BackendServer", |_, spec| spec["type"] = "IP".into()),
        }
    }

    fn change(&mut self, kind: &str, change: impl Fn(&mut Random, &mut Value)) {
        let all: Vec<usize> = (0..self.objects.len())
            .filter(|&i| self.objects[i]["kind"] == kind)
            .collect();
        if !all.is_empty() {
            let at = self.r.choose(&all);
            change(&mut self.r, &mut self.objects[at]["spec"]);
        }
    }

    /// Changes one enabled rule of a security group.
    fn change_group_rule(&mut self, change: impl Fn(&mut Random, &mut Value)) {
        self.change("SecurityGroup", |r, spec| {
            change_rule(r, spec.get_mut("rules"), &change);
        });
    }

    fn change_acl_rule(&mut self, change: impl Fn(&mut Random, &mut Value)) {
        self.change("NetworkACL", |r, spec| {
            let field = r.pick(&["ingress", "egress"]);
            change_rule(r, spec.get_mut(field), &change);
        });
    }
}

fn change_rule(r: &mut Random, rules: Option<&mut Value>, change: &impl Fn(&mut Random, &mut Value)) {
    if let Some(rules) = rules.and_then(Value::as_array_mut).filter(|rules| !rules.is_empty()) {
        let at = r.below(rules.len());
        rules[at].as_object_mut().unwrap().remove("enabled");
        change(r, &mut rules[at]);
    }
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "elb-doctor.dev/v1alpha1", "kind": kind,
        "metadata": { "name": name, "namespace": NAMESPACE, "generation": 1 },
        "spec": spec,
    })
}
