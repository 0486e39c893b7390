//! Manifests to nftables, rule by rule as semantics §3 and §4 read: nothing of the product's engine is used.
//!
//! Every deny notes the packet in a set of its own before it drops it, so that the kernel itself tells which packet was
//! dropped by which rule, and no test has to conclude that from silence.

use std::fmt::Write;

use serde_json::Value;

use super::{
    oracle::{
        manifests::{Manifests, list, name_of, names, on, texts},
        values::{self, Family, Range, normal},
    },
    packet::{Dropper, Layer},
    predict::{self, End},
};

/// The rule sets of one backend server.
pub struct Rendered {
    /// For the namespace at the border of the load balancer's subnets.
    pub edge: String,
    /// For the namespace at the border of the subnet.
    pub border: String,
    /// For the server's namespace.
    pub server: String,
    /// Who drops the packets noted in a set, by its name.
    pub droppers: Vec<(String, Dropper)>,
}

struct Renderer<'a> {
    world: Manifests<'a>,
    family: Family,
    droppers: Vec<(String, Dropper)>,
    sets: String,
}

/// Renders what stands between the load balancer and this backend server. `zone` keeps the kernel's memory of connections
/// apart: a new zone knows of none.
pub fn render(world: Manifests, backend: &str, family: Family, zone: u16) -> Rendered {
    let spec = &world.find("BackendServer", backend).expect("it is there")["spec"];
    let mut renderer = Renderer {
        world,
        family,
        droppers: Vec::new(),
        sets: String::new(),
    };
    let groups = renderer.security_groups(spec);
    let server = renderer.table(&groups, "input", "output", groups.stateful.then_some(zone));
    let acl = renderer.network_acl(spec);
    let stateful = acl.stateful;
    let border = renderer.table(&acl, "forward", "forward", stateful.then_some(zone));
    let ends = predict::ends(world.0, backend);
    let edge = renderer.edge(&ends, zone);
    Rendered {
        edge,
        border,
        server,
        droppers: renderer.droppers,
    }
}

struct Chains {
    ingress: String,
    egress: String,
    stateful: bool,
}

impl Renderer<'_> {
    /// One table from two lists of rules. At the border both directions are forwarded: interfaces tell them apart.
    fn table(&mut self, chains: &Chains, ingress: &str, egress: &str, zone: Option<u16>) -> String {
        let sets = std::mem::take(&mut self.sets);
        let reply = if chains.stateful {
            "ct direction reply ct state established,related accept\n"
        } else {
            ""
        };
        let (inward, outward) = if ingress == egress {
            ("iifname != \"tolb\" accept\n", "iifname != \"toserver\" accept\n")
        } else {
            ("", "")
        };
        // A stateless border is not even told of connections.
        let memory = zone.map_or("notrack".to_owned(), |zone| format!("ct zone set {zone}"));
        format!(
            "flush ruleset\ntable inet judged {{\n{sets}\
             chain arriving {{ type filter hook prerouting priority raw; {memory}\n}}\n\
             chain leaving {{ type filter hook output priority raw; {memory}\n}}\n\
             chain ingress {{ type filter hook {ingress} priority 0; policy drop;\n{inward}{reply}{}}}\n\
             chain egress {{ type filter hook {egress} priority 1; policy drop;\n{outward}{reply}{}}}\n}}\n",
            chains.ingress, chains.egress
        )
    }

    /// The table of the load balancer's end: each subnet there has an ACL of its own, whose outbound rules judge what goes to
    /// the server and whose inbound rules judge what comes from it.
    fn edge(&mut self, ends: &[End], zone: u16) -> String {
        let (mut memory, mut chains) = (String::new(), String::new());
        let (mut inward, mut outward) = (String::new(), String::new());
        for (i, end) in ends.iter().enumerate() {
            let ranges = end.ranges(self.family);
            if ranges.is_empty() {
                continue;
            }
            let (ip, set) = (ip(self.family), addresses(&ranges, self.family));
            let how = if end.is_stateful() {
                format!("ct zone set {zone}")
            } else {
                "notrack".into()
            };
            writeln!(memory, "{ip} saddr {{ {set} }} {how}\n{ip} daddr {{ {set} }} {how}").unwrap();
            let reply = if end.is_stateful() {
                "ct direction reply ct state established,related accept\n"
            } else {
                ""
            };
            let (layer, subnet) = (Layer::LoadBalancerACL, end.subnet);
            let egress = self.acl_rules(end.acl, "egress", subnet, layer, true);
            let ingress = self.acl_rules(end.acl, "ingress", subnet, layer, false);
            writeln!(
                chains,
                "chain leaving{i} {{\n{reply}{egress}}}\nchain entering{i} {{\n{reply}{ingress}}}"
            )
            .unwrap();
            writeln!(inward, "{ip} saddr {{ {set} }} jump leaving{i}").unwrap();
            writeln!(outward, "{ip} daddr {{ {set} }} jump entering{i}").unwrap();
        }
        let sets = std::mem::take(&mut self.sets);
        format!(
            "flush ruleset\ntable inet judged {{\n{sets}{chains}\
             chain arriving {{ type filter hook prerouting priority raw; policy accept;\n{memory}}}\n\
             chain ingress {{ type filter hook forward priority 0; policy accept;\niifname != \"tolb\" accept\n{inward}}}\n\
             chain egress {{ type filter hook forward priority 1; policy accept;\niifname != \"toserver\" accept\n{outward}}}\n}}\n"
        )
    }

    /// A statement that notes the packet and drops it.
    fn deny(&mut self, dropper: Dropper) -> String {
        let name = format!("dropped{}", self.droppers.len());
        self.droppers.push((name.clone(), dropper));
        let (type_, ip) = match self.family {
            Family::V4 => ("ipv4_addr", "ip"),
            Family::V6 => ("ipv6_addr", "ip6"),
        };
        writeln!(
            self.sets,
            "set {name} {{ type inet_proto . {type_} . inet_service . {type_} . inet_service; flags dynamic; size 65535; }}"
        )
        .unwrap();
        format!(
            "meta nfproto {} add @{name} {{ meta l4proto . {ip} saddr . th sport . {ip} daddr . th dport }} drop",
            nfproto(self.family)
        )
    }

    /// "Evaluation order over all groups on the interface: (1) position of the group in the backend's list, (2) rule
    /// priority, 1 first, 100 last, (3) at equal priority deny before allow." (§3)
    fn security_groups(&mut self, spec: &Value) -> Chains {
        if !on(&spec["portSecurityEnabled"]) {
            return open();
        }
        let mut ordered = Vec::new();
        let mut stateful = true;
        for (position, name) in names(&spec["securityGroupRefs"]).into_iter().enumerate() {
            let group = self.world.find("SecurityGroup", name).expect("the group is there");
            stateful = on(&group["spec"]["stateful"]);
            for (index, rule) in list(&group["spec"]["rules"]).iter().enumerate() {
                let key = (
                    position,
                    rule["priority"].as_u64().unwrap_or(1),
                    rule["action"] != "Deny",
                );
                ordered.push((key, index, name, rule));
            }
        }
        ordered.sort_by_key(|(key, index, _, _)| (*key, *index));
        let mut chain = |direction: &str| {
            let ingress = direction == "Ingress";
            let mut text = String::new();
            for (_, index, object, rule) in &ordered {
                if !on(&rule["enabled"]) || rule["direction"] != direction {
                    continue;
                }
                let family = Family::named(rule["ethertype"].as_str());
                let matches = protocol(rule, family, "ports")
                    .map(|protocol| protocol + &ports(&rule["ports"], "th dport"))
                    .and_then(|m| {
                        Some(m + &self.end(&rule["remote"], family, if ingress { "saddr" } else { "daddr" })?)
                    });
                let named = Some(((*object).to_owned(), text_of(&rule["name"]), *index));
                self.rule(&mut text, family, matches, rule, Layer::SecurityGroup, ingress, named);
            }
            self.implicit(&mut text, Layer::SecurityGroup, ingress);
            text
        };
        // "Security groups are stateful: a reply to an allowed probe always leaves. OpenStack also has stateless groups …: then
        // the reply must pass the outbound rules like any packet" (§3)
        Chains {
            ingress: chain("Ingress"),
            egress: chain("Egress"),
            stateful,
        }
    }

    /// "Rules in array order, first match decides, the fixed last rule denies." (§4)
    fn network_acl(&mut self, spec: &Value) -> Chains {
        let subnet = spec["subnetRef"]["name"].as_str().unwrap_or("");
        let acl = self
            .world
            .all("NetworkACL")
            .find(|acl| names(&acl["spec"]["subnetRefs"]).contains(&subnet));
        let Some(acl) = acl.filter(|acl| on(&acl["spec"]["enabled"])) else {
            return open();
        };
        Chains {
            ingress: self.acl_rules(acl, "ingress", subnet, Layer::NetworkACL, true),
            egress: self.acl_rules(acl, "egress", subnet, Layer::NetworkACL, false),
            stateful: on(&acl["spec"]["stateful"]),
        }
    }

    /// One list of an ACL's rules, at the border of that subnet.
    fn acl_rules(&mut self, acl: &Value, direction: &str, subnet: &str, layer: Layer, inward: bool) -> String {
        let mut text = self.exempt(subnet, direction == "ingress");
        for (index, rule) in list(&acl["spec"][direction]).iter().enumerate() {
            if !on(&rule["enabled"]) {
                continue;
            }
            let family = Family::named(rule["ipVersion"].as_str());
            let matches = protocol(rule, family, "sourcePorts destinationPorts").and_then(|protocol| {
                let source = self.end(&rule["source"], family, "saddr")?;
                let destination = self.end(&rule["destination"], family, "daddr")?;
                let sports = ports(&rule["sourcePorts"], "th sport");
                let dports = ports(&rule["destinationPorts"], "th dport");
                Some(format!("{protocol}{source}{sports}{destination}{dports}"))
            });
            let named = Some((name_of(acl).to_owned(), text_of(&rule["name"]), index));
            self.rule(&mut text, family, matches, rule, layer, inward, named);
        }
        self.implicit(&mut text, layer, inward);
        text
    }

    /// "Always allowed, before any rule: traffic between two addresses of the same subnet; outbound to `100.125.0.0/16`."
    fn exempt(&self, subnet: &str, ingress: bool) -> String {
        let mut text = String::new();
        let cidrs = self
            .world
            .find("Subnet", subnet)
            .map_or(Vec::new(), |s| texts(&s["spec"]["cidrs"]));
        let mut both = |family: Family| {
            let ip = ip(family);
            let ranges: Vec<Range> = cidrs
                .iter()
                .filter_map(|cidr| values::prefix(cidr).ok())
                .filter(|(of, _)| *of == family)
                .map(|(_, range)| range)
                .collect();
            if !ranges.is_empty() {
                let set = addresses(&ranges, family);
                writeln!(text, "{ip} saddr {{ {set} }} {ip} daddr {{ {set} }} accept").unwrap();
            }
        };
        both(Family::V4);
        both(Family::V6);
        if !ingress {
            text += "ip daddr 100.125.0.0/16 accept\n";
        }
        text
    }

    #[allow(clippy::too_many_arguments)]
    fn rule(
        &mut self,
        text: &mut String,
        family: Family,
        matches: Option<String>,
        rule: &Value,
        layer: Layer,
        inward: bool,
        named: Option<(String, String, usize)>,
    ) {
        // What matches nothing is not written at all.
        let Some(matches) = matches else { return };
        let then = if rule["action"] != "Deny" {
            "accept".to_owned()
        } else if family == self.family {
            self.deny(Dropper {
                layer,
                inward,
                rule: named,
            })
        } else {
            "drop".to_owned()
        };
        writeln!(text, "meta nfproto {} {matches}{then}", nfproto(family)).unwrap();
    }

    fn implicit(&mut self, text: &mut String, layer: Layer, inward: bool) {
        let dropper = Dropper {
            layer,
            inward,
            rule: None,
        };
        *text += &self.deny(dropper);
        text.push('\n');
    }

    /// "at most one remote: a prefix, another security group, or an address group; no remote = any address" (§3).
    /// `None`: matches no address.
    fn end(&self, end: &Value, family: Family, side: &str) -> Option<String> {
        let ranges: Vec<Range> = if let Some(cidr) = end["cidr"].as_str() {
            vec![values::prefix(cidr).expect("a right prefix").1]
        } else if let Some(name) = end["addressGroupRef"]["name"].as_str() {
            let group = self.world.find("AddressGroup", name).expect("the group is there");
            let entries = texts(&group["spec"]["addresses"]).into_iter();
            entries
                .map(|entry| values::address_group_entry(entry).expect("a right entry"))
                .filter(|(of, _)| *of == family)
                .map(|(_, range)| range)
                .collect()
        } else if end["securityGroupRef"].is_object() {
            // "Health check sources are not members of any group, so such a rule never matches them" (§3)
            return None;
        } else {
            return Some(String::new());
        };
        if ranges.is_empty() {
            return None;
        }
        if normal(ranges.clone()) == [(0, family.last())] {
            return Some(String::new());
        }
        Some(format!("{} {side} {{ {} }} ", ip(family), addresses(&ranges, family)))
    }
}

/// A layer that is not applied.
fn open() -> Chains {
    Chains {
        ingress: "accept\n".into(),
        egress: "accept\n".into(),
        stateful: true,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn nfproto(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// "protocol (`tcp`, `udp`, `icmp`, `icmpv6`, a number 0–255, or absent = all; `icmp` in an IPv6 rule means `ICMPv6`)"; a
/// rule with ports is about TCP and UDP only. `None`: matches no protocol.
fn protocol(rule: &Value, family: Family, port_fields: &str) -> Option<String> {
    let has_ports = port_fields.split(' ').any(|field| rule[field].is_string());
    match rule["protocol"].as_str() {
        None if has_ports => Some("meta l4proto { 6, 17 } ".into()),
        None => Some(String::new()),
        Some(text) => {
            let number = values::protocol(text, family).expect("a right protocol");
            (!has_ports || [6, 17].contains(&number)).then(|| format!("meta l4proto {number} "))
        }
    }
}

fn ports(ports: &Value, field: &str) -> String {
    let Some(text) = ports.as_str() else {
        return String::new();
    };
    let ranges: Vec<String> = values::ports(text)
        .expect("right ports")
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    format!("{field} {{ {} }} ", ranges.join(", "))
}

/// The elements of a set; nftables wants them without overlaps.
fn addresses(ranges: &[Range], family: Family) -> String {
    let words: Vec<String> = normal(ranges.to_vec())
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                address(first, family).to_string()
            } else {
                format!("{}-{}", address(first, family), address(last, family))
            }
        })
        .collect();
    words.join(", ")
}

/// The address of that number.
pub fn address(number: u128, family: Family) -> std::net::IpAddr {
    match family {
        Family::V4 => std::net::Ipv4Addr::from(u32::try_from(number).expect("32 bits")).into(),
        Family::V6 => std::net::Ipv6Addr::from(number).into(),
    }
}
