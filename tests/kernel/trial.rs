//! One backend server put to the test: with both layers and with each alone, as it stands and after each fix.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use elb_doctor::api::v1alpha1::{Diagnosis, Direction, FailedCheck, Fix, FixKind};
use serde_json::Value;

use super::{
    namespaces::{Row, can_be_sent, family},
    oracle::{
        fixes::{self, Offer},
        manifests::{Manifests, list, names, on, texts},
        random::Random,
        values,
    },
    packet::{Dropper, Fate, ICMP, ICMPV6, Layer, Packet, TCP, UDP, Way},
    predict::{End, Forecast, Product, acl, ends, layers, legs, only},
    render::{self, Rendered},
};

/// A backend server of a world.
pub struct Case {
    pub name: String,
    pub world: Vec<Value>,
    pub backend: String,
}

/// What was seen, and where kernel and product differ.
#[derive(Debug, Default)]
pub struct Report {
    pub seen: BTreeMap<String, usize>,
    pub disagreements: Vec<String>,
}

impl Report {
    pub fn add(&mut self, other: Report) {
        for (what, n) in other.seen {
            *self.seen.entry(what).or_default() += n;
        }
        self.disagreements.extend(other.disagreements);
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }
}

pub fn run(row: &mut Row, case: &Case) -> Report {
    let mut report = Report::default();
    let applied = layers(&case.world, &case.backend);
    heal(row, case, "all layers", &case.world, &mut report);
    if applied.len() > 1 {
        for layer in applied {
            let world = only(&case.world, &case.backend, layer);
            heal(row, case, &format!("{layer:?} alone"), &world, &mut report);
        }
    }
    report
}

/// A witness and what the product says about it.
struct Shown {
    packet: Packet,
    id: String,
    layer: Layer,
    /// On the way to the server.
    inward: bool,
    rule: Option<(String, String, usize)>,
}

/// Sends packets, applies the first fix, sends them again, until no fix is left.
fn heal(row: &mut Row, case: &Case, what: &str, world: &[Value], report: &mut Report) {
    let mut world = world.to_vec();
    let mut packets: Vec<Packet> = Vec::new();
    let mut before: HashMap<Packet, Fate> = HashMap::new();
    let mut healed: Vec<Shown> = Vec::new();
    for round in 0..8 {
        let told = format!("{}, {what}, {round} fixes", case.name);
        let mut product = Product::new(&world, &case.backend);
        let Some(diagnosis) = product.status().diagnosis else {
            assert_eq!(round, 0, "{told}: a fix led to a refusal");
            return report.count("refused");
        };
        let layers = layers(&world, &case.backend);
        if round == 0 {
            packets = choose(&world, case, &diagnosis, layers.as_slice());
        }
        let shown: Vec<Shown> = diagnosis
            .checks
            .iter()
            .chain(&diagnosis.beyond)
            .filter_map(|check| witness(check, &diagnosis, layers.as_slice()))
            .collect();
        packets.extend(shown.iter().map(|witness| witness.packet));
        let known: BTreeSet<Packet> = packets.into_iter().collect();
        packets = unambiguous(known);

        // A fix heals one direction of one layer; another that has the same object and direction may still be waiting for its own.
        healed.retain(|witness| shown.iter().all(|other| other.id != witness.id));

        let fates = send(row, &world, case, &packets, &diagnosis, &told, report);
        let mut trial = Trial {
            told: &told,
            fates: &fates,
            stateful: is_stateful(&world, case, &layers),
            alone: layers.len() == 1,
            is_fixed: round > 0,
            report,
        };
        for packet in &packets {
            let forecast = product.forecast(packet);
            trial.compare(packet, forecast);
        }
        for witness in &shown {
            trial.witness_is_dropped(witness);
        }
        for witness in &healed {
            trial.witness_passes(witness);
        }
        for (packet, fate) in &before {
            trial.nothing_else_is_opened(packet, fate, &diagnosis);
        }
        let advisory = diagnosis.checks.iter().any(|check| {
            check.id.ends_with("egress") && check.impact == elb_doctor::api::v1alpha1::ItemImpact::Advisory
        });
        let passed = fates
            .iter()
            .filter(|(p, f)| p.way == Way::In && **f == Fate::Completed)
            .count();
        if advisory && passed > 0 {
            *report
                .seen
                .entry("replies that leave in spite of an outbound finding".into())
                .or_default() += passed;
        }

        let Some((fix, patch)) = diagnosis
            .fixes
            .iter()
            .filter(|fix| fix.direction.is_some())
            .find_map(|fix| Some((fix, fix.patch.as_ref().filter(|_| fix.verified)?)))
        else {
            return;
        };
        healed = shown.into_iter().filter(|witness| is_healed_by(witness, fix)).collect();
        let kind = if fix.kind == FixKind::SecurityGroup {
            "SecurityGroup"
        } else {
            "NetworkACL"
        };
        let offer = Offer {
            kind,
            name: &fix.name,
            ingress: fix.direction == Some(Direction::Ingress),
            patch,
        };
        world = match fixes::apply(Manifests(&world), &offer) {
            Ok(world) => world,
            Err(e) => return report.disagreements.push(format!("{told}: {e}")),
        };
        *report.seen.entry("before a fix".into()).or_default() += fates.len();
        report.count("fixes");
        before = fates;
    }
}

fn is_healed_by(witness: &Shown, fix: &Fix) -> bool {
    let is_of_group = fix.kind == FixKind::SecurityGroup;
    let direction = if fix.direction == Some(Direction::Ingress) {
        "_ingress"
    } else {
        "_egress"
    };
    is_of_group == (witness.layer == Layer::SecurityGroup) && witness.id.ends_with(direction)
}

/// Packets that the kernel's notes could not tell apart are left out: of ICMP there is one per pair of addresses.
fn unambiguous(packets: BTreeSet<Packet>) -> Vec<Packet> {
    let mut seen = BTreeSet::new();
    packets
        .into_iter()
        .filter(|p| p.has_ports() || seen.insert((p.way, p.source, p.destination)))
        .collect()
}

fn is_stateful(world: &[Value], case: &Case, layers: &[Layer]) -> bool {
    let spec = &Manifests(world).find("BackendServer", &case.backend).unwrap()["spec"];
    let acl = acl(world, spec).filter(|_| layers.contains(&Layer::NetworkACL));
    let groups = names(&spec["securityGroupRefs"])
        .into_iter()
        .filter_map(|n| Manifests(world).find("SecurityGroup", n));
    let mut groups = groups.filter(|_| layers.contains(&Layer::SecurityGroup));
    acl.is_none_or(|acl| on(&acl["spec"]["stateful"]))
        && groups.all(|group| on(&group["spec"]["stateful"]))
        && ends(world, &case.backend).iter().all(End::is_stateful)
}

/// Loads the rule sets and sends the probes, then, to kernels that know of no connection, the server's own packets.
fn send(
    row: &mut Row,
    world: &[Value],
    case: &Case,
    packets: &[Packet],
    diagnosis: &Diagnosis,
    told: &str,
    report: &mut Report,
) -> HashMap<Packet, Fate> {
    let server: IpAddr = diagnosis.health_check.destination.parse().expect("an address");
    let mut fates = HashMap::new();
    report.count("rule sets");
    for way in [Way::In, Way::Out] {
        let batch: Vec<Packet> = packets.iter().copied().filter(|packet| packet.way == way).collect();
        if batch.is_empty() {
            continue;
        }
        let rendered: Rendered = render::render(Manifests(world), &case.backend, family(server), row.next_zone());
        for (packet, fate) in batch.iter().zip(row.send(&rendered, &batch, server)) {
            report.count("packets");
            match fate {
                Ok(fate) => drop(fates.insert(*packet, fate)),
                Err(e) => report.disagreements.push(format!(
                    "{told}: {e}\n{}\n{}\n{}",
                    rendered.edge, rendered.border, rendered.server
                )),
            }
        }
    }
    fates
}

/// One rule set with its packets' fates.
struct Trial<'a> {
    told: &'a str,
    fates: &'a HashMap<Packet, Fate>,
    stateful: bool,
    /// Only one layer is applied: who drops is known.
    alone: bool,
    /// A fix has been applied.
    is_fixed: bool,
    report: &'a mut Report,
}

impl Trial<'_> {
    fn differ(&mut self, packet: &Packet, said: &str) {
        let fate = self.fates.get(packet);
        self.report
            .disagreements
            .push(format!("{}: {packet}: product: {said}; kernel: {fate:?}", self.told));
    }

    /// Whether the packet was dropped inbound (probe), or outbound (a connection of the server's).
    fn dropped(&self, packet: &Packet, inward: bool) -> Option<bool> {
        let fate = self.fates.get(packet)?;
        Some(matches!(fate, Fate::Dropped(dropper) if dropper.inward == inward))
    }

    fn compare(&mut self, packet: &Packet, forecast: Forecast) {
        let Some(fate) = self.fates.get(packet).cloned() else {
            return;
        };
        let (inbound, outbound) = match &fate {
            Fate::Completed => (false, false),
            Fate::Dropped(dropper) => (dropper.inward, !dropper.inward),
        };
        match packet.way {
            Way::In => {
                self.check(packet, "inbound", forecast.inbound, inbound);
                // A probe that does not arrive says nothing about its reply.
                if !inbound {
                    self.check(packet, "reply", forecast.outbound, outbound);
                }
                if self.is_fixed {
                    self.report.count("after a fix");
                }
                let how = match (inbound, outbound) {
                    (true, _) => "dropped inbound",
                    (_, true) => "reply dropped",
                    _ => "completed",
                };
                self.report.count(how);
            }
            Way::Out => {
                self.check(packet, "outbound", forecast.outbound, outbound);
                self.report.count("new outbound connections");
            }
        }
        if let (Way::In, Fate::Dropped(dropper)) = (packet.way, &fate) {
            let what = if dropper.inward { "probes" } else { "replies" };
            self.report.count(format!("{what} dropped by {:?}", dropper.layer));
        }
        let dropped = if fate == Fate::Completed { "passed" } else { "dropped" };
        let family = if packet.source.is_ipv4() { "IPv4" } else { "IPv6" };
        let state = if self.stateful { "stateful" } else { "stateless" };
        let protocol = match packet.protocol {
            TCP => "tcp",
            UDP => "udp",
            _ => "icmp",
        };
        for what in [family, state, protocol] {
            self.report.count(format!("{what} {dropped}"));
        }
    }

    fn check(&mut self, packet: &Packet, what: &str, said: Option<bool>, dropped: bool) {
        match said {
            Some(said) if said != dropped => {
                self.differ(packet, &format!("{what} {}", if said { "dropped" } else { "passes" }));
            }
            Some(_) => self.report.count("predictions"),
            None => self.report.count("predictions left open"),
        }
    }

    fn witness_is_dropped(&mut self, witness: &Shown) {
        let packet = &witness.packet;
        let Some(fate) = self.fates.get(packet).cloned() else {
            return;
        };
        match fate {
            Fate::Dropped(Dropper { layer, inward, rule }) if inward == witness.inward => {
                self.report.count("witnesses dropped");
                if witness.layer == Layer::LoadBalancerACL || witness.id == "security_group_reply_egress" {
                    self.report.count(format!("witnesses dropped: {}", witness.id));
                }
                // With both layers the other one may be first to drop.
                if self.alone && (layer != witness.layer || rule != witness.rule) {
                    let said = format!("{} of {:?} by {:?}", witness.id, witness.layer, witness.rule);
                    self.differ(packet, &said);
                } else if self.alone && rule.is_some() {
                    self.report.count("witnesses dropped by the named rule");
                } else if self.alone {
                    self.report.count("witnesses dropped as no rule matches");
                }
            }
            _ => self.differ(packet, &format!("witness of {}", witness.id)),
        }
    }

    fn witness_passes(&mut self, witness: &Shown) {
        // With both layers the other one may still drop it.
        match self.fates.get(&witness.packet).cloned() {
            None => {}
            Some(Fate::Dropped(dropper)) if dropper.inward == witness.inward && dropper.layer == witness.layer => {
                self.differ(
                    &witness.packet,
                    &format!("witness of {} passes after the fix", witness.id),
                );
            }
            Some(_) => self.report.count("witnesses healed"),
        }
    }

    /// What is not health check traffic and was dropped stays dropped; what passed goes on passing.
    fn nothing_else_is_opened(&mut self, packet: &Packet, before: &Fate, diagnosis: &Diagnosis) {
        if *before == Fate::Completed {
            if self.fates.get(packet).is_some_and(|now| *now != Fate::Completed) {
                self.differ(packet, "passed before the fix, so it passes after it");
            }
            return;
        }
        let check = &diagnosis.health_check;
        let is_source = check.sources.iter().any(|source| {
            let (_, range) = values::address_or_prefix(source).unwrap();
            let (_, (address, _)) = values::address_or_prefix(&packet.remote().to_string()).unwrap();
            range.0 <= address && address <= range.1
        });
        let protocol = serde_json::to_value(check.protocol).unwrap();
        let is_leg = legs(protocol.as_str().unwrap(), packet.source.is_ipv4()).contains(&packet.protocol);
        let port = match packet.way {
            Way::In => packet.destination_port == check.port,
            Way::Out => packet.destination_port == check.port || packet.source_port == check.port,
        };
        if is_source && is_leg && (port || !packet.has_ports()) || check.omitted_sources.is_some() {
            return;
        }
        let inward = packet.way == Way::In;
        let was_dropped = matches!(before, Fate::Dropped(dropper) if dropper.inward == inward);
        if was_dropped {
            match self.dropped(packet, inward) {
                Some(false) => self.differ(packet, "no health check traffic: dropped before the fix and after it"),
                Some(true) => self
                    .report
                    .count("beside the health check, dropped before and after a fix"),
                None => {}
            }
        }
    }
}

/// The witness as a packet that can be sent. Outbound ones are sent as new connections of the server's, and only where the
/// other layer does not get in the way.
fn witness(check: &FailedCheck, diagnosis: &Diagnosis, layers: &[Layer]) -> Option<Shown> {
    let witness = check.witness.as_ref()?;
    let layer = match check.id.as_str() {
        id if id.starts_with("load_balancer") => Layer::LoadBalancerACL,
        id if id.starts_with("acl_") => Layer::NetworkACL,
        _ => Layer::SecurityGroup,
    };
    let inward = check.id.ends_with("_ingress") != (layer == Layer::LoadBalancerACL);
    if !inward && layers.len() > 1 {
        return None;
    }
    let server: IpAddr = diagnosis.health_check.destination.parse().unwrap();
    let address = |text: &Option<String>| text.as_ref().map_or(server, |text| text.parse().unwrap());
    let protocol = match witness.protocol.as_str() {
        "tcp" => TCP,
        "udp" => UDP,
        "icmp" => ICMP,
        "icmpv6" => ICMPV6,
        other => panic!("no health check has protocol {other}"),
    };
    let has_ports = [TCP, UDP].contains(&protocol);
    // A security group does not look at the port that the packet comes from.
    let free = if has_ports { 40_000 } else { 0 };
    let packet = Packet {
        way: if inward { Way::In } else { Way::Out },
        protocol,
        source: address(&witness.source),
        source_port: witness.source_port.unwrap_or(free),
        destination: address(&witness.destination),
        destination_port: witness.destination_port.unwrap_or(0),
    };
    let decision = check.decided_by.as_ref()?;
    let rule = decision.rule.as_ref().map(|rule| {
        let index = decision.index.and_then(|index| usize::try_from(index).ok());
        (
            decision.name.clone().unwrap_or_default(),
            rule.clone(),
            index.unwrap_or(usize::MAX),
        )
    });
    let remote = packet.remote();
    (can_be_sent(remote) && remote != server).then(|| Shown {
        packet,
        id: check.id.clone(),
        layer,
        inward,
        rule,
    })
}

/// Packets on both sides of boundaries: of the sources, of the rules, of the blocked sets; other ports and protocols too.
fn choose(world: &[Value], case: &Case, diagnosis: &Diagnosis, layers: &[Layer]) -> Vec<Packet> {
    let check = &diagnosis.health_check;
    let server: IpAddr = check.destination.parse().unwrap();
    let seed = case
        .name
        .bytes()
        .fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random::new(seed);
    let rules = rules_of(world, case);

    let edges = |texts: &[String], beyond: bool| {
        let mut edges = BTreeSet::new();
        for text in texts {
            let Ok((of, (first, last))) = values::address_group_entry(text) else {
                continue;
            };
            if of == family(server) {
                edges.extend([first, last]);
                if beyond {
                    edges.extend(first.checked_sub(1).into_iter().chain(last.checked_add(1)));
                }
            }
        }
        let edges = edges.into_iter().filter(|&number| number <= family(server).last());
        let edges = edges.map(|number| render::address(number, family(server)));
        edges
            .filter(|&a| can_be_sent(a) && a != server)
            .collect::<Vec<IpAddr>>()
    };
    let blocked: Vec<String> = diagnosis
        .checks
        .iter()
        .chain(&diagnosis.beyond)
        .filter_map(|check| check.blocked.as_ref())
        .flat_map(|blocked| blocked.values.iter().take(4).cloned())
        .filter(|text| text.contains('/'))
        .collect();
    let mut remotes: Vec<IpAddr> = some(&mut random, edges(&check.sources, false), 3);
    remotes.extend(some(&mut random, edges(&blocked, true), 3));
    let mut written = rules.addresses;
    written.extend(check.sources.clone());
    remotes.extend(some(&mut random, edges(&written, true), 4));

    let mut ports: BTreeSet<u16> = BTreeSet::from([1, 40_000, 65_535]);
    for text in &rules.ports {
        for (first, last) in values::ports(text).unwrap_or_default() {
            for port in [first.saturating_sub(1), first, last, last + 1] {
                ports.extend(u16::try_from(port).ok().filter(|&port| port > 0));
            }
        }
    }
    let ports: Vec<u16> = ports.into_iter().collect();

    let protocol = serde_json::to_value(check.protocol).unwrap();
    let legs = legs(protocol.as_str().unwrap(), server.is_ipv4());
    let mut packets = Vec::new();
    for remote in remotes {
        let mut add = |way: Way, protocol: u8, far: u16, near: u16| {
            let (far, near) = if [TCP, UDP].contains(&protocol) {
                (far, near)
            } else {
                (0, 0)
            };
            let (source, source_port, destination, destination_port) = match way {
                Way::In => (remote, far, server, near),
                Way::Out => (server, near, remote, far),
            };
            packets.push(Packet {
                way,
                protocol,
                source,
                source_port,
                destination,
                destination_port,
            });
        };
        for &leg in &legs {
            for _ in 0..2 {
                add(Way::In, leg, random.choose(&ports), check.port);
            }
            match layers {
                [Layer::SecurityGroup] => add(Way::Out, leg, check.port, 40_000),
                [Layer::NetworkACL] => add(Way::Out, leg, random.choose(&ports), check.port),
                // A new connection means nothing to the answer where an ACL there is stateful.
                [Layer::LoadBalancerACL] if ends(world, &case.backend).iter().all(|end| !end.is_stateful()) => {
                    add(Way::Out, leg, random.choose(&ports), check.port);
                }
                _ => {}
            }
        }
        // Beside the health check: another port, another protocol.
        match random.below(4) {
            0 => add(Way::In, legs[0], 40_001, check.port.saturating_add(1)),
            1 => add(Way::In, if legs[0] == TCP { UDP } else { TCP }, 40_002, check.port),
            _ => {}
        }
    }
    packets
}

fn some(random: &mut Random, mut all: Vec<IpAddr>, most: usize) -> Vec<IpAddr> {
    let mut chosen = Vec::new();
    while chosen.len() < most && !all.is_empty() {
        chosen.push(all.swap_remove(random.below(all.len())));
    }
    chosen
}

/// Addresses and remote ports as the backend server's rules have them.
struct Written {
    addresses: Vec<String>,
    ports: Vec<String>,
}

fn rules_of(world: &[Value], case: &Case) -> Written {
    let world = Manifests(world);
    let spec = &world.find("BackendServer", &case.backend).unwrap()["spec"];
    let mut rules: Vec<&Value> = Vec::new();
    let mut ports = Vec::new();
    for group in list(&spec["securityGroupRefs"]) {
        let group = world.find("SecurityGroup", group["name"].as_str().unwrap()).unwrap();
        rules.extend(list(&group["spec"]["rules"]));
        if !on(&group["spec"]["stateful"]) {
            let outbound = list(&group["spec"]["rules"])
                .iter()
                .filter(|rule| rule["direction"] == "Egress");
            ports.extend(outbound.filter_map(|rule| rule["ports"].as_str().map(ToOwned::to_owned)));
        }
    }
    let ends = ends(world.0, &case.backend);
    let near = acl(world.0, spec).map(|acl| (acl, [("ingress", "sourcePorts"), ("egress", "destinationPorts")]));
    let far = ends
        .iter()
        .map(|end| (end.acl, [("egress", "sourcePorts"), ("ingress", "destinationPorts")]));
    for (acl, fields) in near.into_iter().chain(far) {
        for (direction, field) in fields {
            let all = list(&acl["spec"][direction]);
            ports.extend(
                all.iter()
                    .filter_map(|rule| rule[field].as_str().map(ToOwned::to_owned)),
            );
            rules.extend(all);
        }
    }
    let mut addresses = Vec::new();
    for end in rules
        .iter()
        .flat_map(|rule| [&rule["remote"], &rule["source"], &rule["destination"]])
    {
        addresses.extend(end["cidr"].as_str().map(ToOwned::to_owned));
        if let Some(group) = end["addressGroupRef"]["name"]
            .as_str()
            .and_then(|name| world.find("AddressGroup", name))
        {
            addresses.extend(texts(&group["spec"]["addresses"]).into_iter().map(ToOwned::to_owned));
        }
    }
    Written { addresses, ports }
}
