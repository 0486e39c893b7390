//! Fixes in one line, and as RFC 6902 patches of the objects that users wrote.

use serde_json::{Value, json};

use crate::{
    engine::{Direction, Family, Layer, Leg, Placement, PortFix, Traffic, format_address, format_prefix},
    text::{self, clean_for_json},
    world::MAX_TOLD,
};

use super::super::report::{Fix, NewRule, Operation, PortRemoval, RuleArray, Target};

/// The ports that probes come from, and that replies go to.
const PROBERS: &str = "1-65535";

/// Longest line, in bytes of JSON.
const MAX: usize = 512;

/// The change in one line.
pub fn summary(fix: &Fix, traffic: &Traffic) -> String {
    line(fix, traffic, "")
}

/// The same with what is not plain about it, for whoever need not be as small as a status.
pub fn explained(fix: &Fix, traffic: &Traffic) -> String {
    let why = match fix.replies().then(|| fix.rules.iter().any(|rule| rule.leg.has_ports())) {
        Some(true) => " (the ports that the probes came from)",
        Some(false) | None => "",
    };
    line(fix, traffic, why)
}

fn line(fix: &Fix, traffic: &Traffic, why: &str) -> String {
    let what = what(fix, traffic);
    let text = match &fix.placement {
        Placement::NewGroup => {
            let name = fix.target.name();
            format!("Create security group {name}, allow {what}{why} in it, and put it on the interface")
        }
        Placement::Before(_) => {
            // The name says enough here; the console's row says that it is a rule.
            let before = fix.ahead_of.as_deref().map(|rule| format!("before {rule}"));
            format!("Allow {what}{why}, {}", before.unwrap_or_else(|| position(fix)))
        }
        Placement::Priority { priority, moves } if !moves.is_empty() => {
            let moved = if moves.len() == 1 {
                "1 rule moves".to_owned()
            } else {
                format!("{} rules move", moves.len())
            };
            format!("Allow {what}{why} at priority {priority}; {moved} back")
        }
        Placement::Priority { priority, .. } if *priority > 1 => format!("Allow {what}{why} at priority {priority}"),
        Placement::Append | Placement::Priority { .. } => format!("Allow {what}{why}"),
    };
    clean_for_json(&text, MAX)
}

/// Where in a network ACL the rules go.
pub fn position(fix: &Fix) -> String {
    match (&fix.placement, fix.ahead_of.as_deref()) {
        (Placement::Before(_), Some(rule)) => format!("before rule {rule}"),
        (Placement::Before(index), None) => format!("before rule {}", index + 1),
        (Placement::Append | Placement::NewGroup | Placement::Priority { .. }, _) => "after all others".to_owned(),
    }
}

/// The packets that are newly allowed.
fn what(fix: &Fix, traffic: &Traffic) -> String {
    // By leg; those that have the same prefixes together.
    let mut legs: Vec<(Vec<Leg>, Vec<String>)> = Vec::new();
    for leg in &traffic.legs {
        let rules = fix.rules.iter().filter(|rule| rule.leg == *leg);
        let remotes: Vec<String> = rules.map(|rule| format_prefix(traffic.family, rule.remote)).collect();
        if remotes.is_empty() {
            continue;
        }
        match legs.iter_mut().find(|(_, known)| *known == remotes) {
            Some((same, _)) => same.push(*leg),
            None => legs.push((vec![*leg], remotes)),
        }
    }
    let parts = legs
        .iter()
        .map(|(legs, remotes)| packets(fix, traffic, legs, &text::sentence_list(remotes, 3)));
    parts.collect::<Vec<_>>().join("; allow ")
}

/// The packets of legs that come from, or go to, the same prefixes.
fn packets(fix: &Fix, traffic: &Traffic, legs: &[Leg], remotes: &str) -> String {
    let protocols: Vec<&str> = legs.iter().map(|leg| leg.name(traffic.family)).collect();
    let protocols = protocols.join(" and ");
    let (port, local) = (traffic.port, format_address(traffic.family, traffic.local));
    let of_port = |address: &str| match legs {
        [leg] if !leg.has_ports() => address.to_owned(),
        // Of which address need not be said of what comes in.
        [_] if fix.direction == Direction::Ingress && !fix.replies() => format!("port {port}"),
        [_] => format!("port {port} of {address}"),
        // Of two, the one has ports and the other, ICMP, none.
        _ => format!("{address} ({} port {port})", Leg::Udp.name(traffic.family)),
    };
    let to_probers = match legs {
        [leg] if leg.has_ports() => format!("ports {PROBERS} of {remotes}"),
        _ => remotes.to_owned(),
    };
    match fix.layer {
        // A rule of a security group has the ports of the destination only, and nothing of its own server.
        Layer::SecurityGroup | Layer::SecurityGroupReply => {
            let port = if fix.replies() {
                PROBERS.to_owned()
            } else {
                port.to_string()
            };
            let protocols: Vec<String> = legs
                .iter()
                .map(|leg| {
                    let name = leg.name(traffic.family);
                    match (leg.has_ports(), fix.replies()) {
                        (true, true) => format!("{name} ports {port}"),
                        (true, false) => format!("{name} port {port}"),
                        (false, _) => name.to_owned(),
                    }
                })
                .collect();
            let way = match fix.direction {
                Direction::Ingress => "from",
                Direction::Egress => "to",
            };
            format!("{} {way} {remotes}", protocols.join(" and "))
        }
        Layer::NetworkAcl | Layer::LoadBalancerAcl if fix.replies() => {
            format!("{protocols} from {} to {to_probers}", of_port(&local))
        }
        Layer::NetworkAcl | Layer::LoadBalancerAcl => format!("{protocols} from {remotes} to {}", of_port(&local)),
    }
}

/// Taking the health check port away, in one line.
pub fn port_removal(removal: &PortRemoval) -> String {
    let (port, then) = (removal.port, removal.then);
    let from = match removal.from {
        PortFix::BackendServer => format!("backend server {}", removal.name),
        PortFix::Group => {
            let others = match removal.others {
                0 => "it has no other member".to_owned(),
                1 => "touches 1 other member".to_owned(),
                others if others > MAX_TOLD => format!("touches more than {MAX_TOLD} other members"),
                others => format!("touches {others} other members"),
            };
            format!("backend server group {} ({others})", removal.group)
        }
    };
    let text = format!("If port {port} is not meant, take it away from {from}, so that port {then} is probed");
    clean_for_json(&text, MAX)
}

/// The patch that takes it away.
pub fn port_patch(removal: &PortRemoval) -> String {
    let remove = |path: String| json!({"op": "remove", "path": path});
    let operations = match removal.from {
        PortFix::BackendServer => vec![remove("/spec/healthCheck/port".to_owned())],
        PortFix::Group => {
            let group = format!("/spec/backendServerGroups/{}", removal.index);
            let port = remove(format!("{group}/healthCheck/port"));
            // The position may be another group's by then.
            let same = json!({"op": "test", "path": format!("{group}/name"), "value": removal.group});
            if removal.has_siblings {
                vec![same, port]
            } else {
                vec![port]
            }
        }
    };
    Value::Array(operations).to_string()
}

/// The patch, against the object's manifest; `None` when the object is still to be created.
pub fn patch(fix: &Fix, traffic: &Traffic) -> Option<String> {
    if matches!(fix.target, Target::New(_)) {
        return None;
    }
    let array = match fix.array() {
        (RuleArray::Rules, _) => "/spec/rules",
        (RuleArray::Ingress, _) => "/spec/ingress",
        (RuleArray::Egress, _) => "/spec/egress",
    };
    let rule = |new: &NewRule| Row::new(fix, traffic, new).manifest(fix.layer, new);
    let operations = fix.operations.iter().map(|operation| match operation {
        // "add" sets the member whether it is there or defaulted; "replace" would fail on a manifest that leaves it out.
        Operation::SetPriority { index, priority } => {
            json!({"op": "add", "path": format!("{array}/{index}/priority"), "value": priority})
        }
        Operation::SetRules(rules) => {
            json!({"op": "add", "path": array, "value": rules.iter().map(rule).collect::<Vec<_>>()})
        }
        Operation::Insert { before, rule: new } => {
            let position = before.map_or_else(|| "-".to_owned(), |index| index.to_string());
            json!({"op": "add", "path": format!("{array}/{position}"), "value": rule(new)})
        }
    });
    Some(Value::Array(operations.collect()).to_string())
}

/// A new rule as a manifest has it and a console shows it.
#[derive(Clone, Debug)]
pub struct Row {
    /// `Inbound` or `Outbound`.
    pub direction: Direction,
    /// The address family.
    pub family: &'static str,
    /// The protocol as rules spell it.
    pub protocol: &'static str,
    /// Source prefix; `None` where the rule has no such field.
    pub source: Option<String>,
    /// Source ports; `None` where the rule has no such field, or the protocol no ports.
    pub source_ports: Option<String>,
    /// Destination prefix.
    pub destination: Option<String>,
    /// Destination ports.
    pub destination_ports: Option<String>,
    /// Priority in a security group.
    pub priority: u8,
}

impl Row {
    /// The row of one rule of a fix.
    pub fn new(fix: &Fix, traffic: &Traffic, rule: &NewRule) -> Self {
        let remote = format_prefix(traffic.family, rule.remote);
        let local = format!(
            "{}/{}",
            format_address(traffic.family, traffic.local),
            traffic.family.bits()
        );
        let ports = |text: &str| rule.leg.has_ports().then(|| text.to_owned());
        let (probers, port) = (ports(PROBERS), ports(&traffic.port.to_string()));
        let row = Self {
            // Those of a security group that set the array have the directions of several fixes.
            direction: rule.direction,
            family: family(traffic.family),
            protocol: rule.leg.name(traffic.family),
            source: None,
            source_ports: None,
            destination: None,
            destination_ports: None,
            priority: rule.priority,
        };
        if fix.layer.is_security_group() {
            let destination_ports = if rule.replies { probers } else { port };
            return match rule.direction {
                Direction::Ingress => Self {
                    source: Some(remote),
                    destination_ports,
                    ..row
                },
                Direction::Egress => Self {
                    destination: Some(remote),
                    destination_ports,
                    ..row
                },
            };
        }
        let (source, source_ports, destination, destination_ports) = if rule.replies {
            (local, port, remote, probers)
        } else {
            (remote, probers, local, port)
        };
        Self {
            source: Some(source),
            source_ports,
            destination: Some(destination),
            destination_ports,
            ..row
        }
    }

    fn manifest(self, layer: Layer, rule: &NewRule) -> Value {
        let Self { family, protocol, .. } = self;
        let mut out = json!({"name": rule.name, "protocol": protocol});
        let cidr = |prefix: String| json!({ "cidr": prefix });
        let written = |family: &str| (family != self::family(Family::V4)).then(|| family.into());
        let fields = if layer.is_security_group() {
            let direction = match rule.direction {
                Direction::Ingress => "Ingress",
                Direction::Egress => "Egress",
            };
            // IPv4, Allow and priority 1 are the defaults; a status is to stay small.
            vec![
                ("direction", Some(direction.into())),
                ("ethertype", written(family)),
                ("remote", self.source.or(self.destination).map(cidr)),
                ("ports", self.destination_ports.map(Value::from)),
                ("priority", (rule.priority != 1).then(|| rule.priority.into())),
            ]
        } else {
            vec![
                ("action", Some("Allow".into())),
                ("ipVersion", written(family)),
                ("source", self.source.map(cidr)),
                ("sourcePorts", self.source_ports.map(Value::from)),
                ("destination", self.destination.map(cidr)),
                ("destinationPorts", self.destination_ports.map(Value::from)),
            ]
        };
        for (field, value) in fields {
            if let (Some(value), Value::Object(out)) = (value, &mut out) {
                out.insert(field.to_owned(), value);
            }
        }
        out
    }
}

fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
