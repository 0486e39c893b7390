//! Fixes in one line, and as RFC 6902 patches of the objects that users wrote.

use serde_json::{Value, json};

use crate::{
    engine::{Direction, Family, Layer, Leg, Placement, Traffic, format_address, format_prefix},
    text::clean_for_json,
};

use super::super::report::{Fix, NewRule, Operation, Target};

/// Longest line, in bytes of JSON.
const MAX: usize = 512;

/// The change in one line. A rule that was `named` just before is not named again.
pub fn summary(fix: &Fix, traffic: &Traffic, named: Option<&str>) -> String {
    clean_for_json(&line(fix, traffic, named), MAX)
}

fn line(fix: &Fix, traffic: &Traffic, named: Option<&str>) -> String {
    let what = what(fix, traffic);
    match &fix.placement {
        Placement::NewGroup => {
            let name = fix.target.name();
            format!("Create security group {name}, allow {what} in it, and put it on the interface")
        }
        Placement::Before(index) => match fix.ahead_of.as_deref() {
            Some(rule) if named == Some(rule) => format!("Allow {what}, ahead of it"),
            Some(rule) => format!("Allow {what}, ahead of rule {rule}"),
            None => format!("Allow {what}, ahead of rule {index}"),
        },
        Placement::Priority { priority, moves } if !moves.is_empty() => {
            let moved = if moves.len() == 1 {
                "1 rule moves".to_owned()
            } else {
                format!("{} rules move", moves.len())
            };
            format!("Allow {what} at priority {priority}; {moved} back")
        }
        Placement::Priority { priority, .. } if *priority > 1 => format!("Allow {what} at priority {priority}"),
        Placement::Append | Placement::Priority { .. } => format!("Allow {what}"),
    }
}

/// The packets that are newly allowed.
fn what(fix: &Fix, traffic: &Traffic) -> String {
    let family = traffic.family;
    let mut legs: Vec<Leg> = fix.rules.iter().map(|rule| rule.leg).collect();
    legs.dedup();
    let protocols: Vec<String> = legs
        .iter()
        .map(|leg| {
            if leg.has_ports() {
                format!("{} {}", leg.name(family), traffic.port)
            } else {
                leg.name(family).to_owned()
            }
        })
        .collect();
    let mut remotes: Vec<String> = Vec::new();
    for rule in &fix.rules {
        let text = format_prefix(family, rule.remote);
        if !remotes.contains(&text) {
            remotes.push(text);
        }
    }
    if remotes.len() > 3 {
        let more = remotes.len() - 3;
        remotes.truncate(3);
        remotes.push(format!("{more} more"));
    }
    let way = match fix.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    format!("{} {way} {}", protocols.join(" and "), remotes.join(", "))
}

/// The patch, against the object's manifest; `None` when the object is still to be created.
pub fn patch(fix: &Fix, traffic: &Traffic) -> Option<String> {
    if matches!(fix.target, Target::New(_)) {
        return None;
    }
    let array = match (fix.layer, fix.direction) {
        (Layer::SecurityGroup | Layer::SecurityGroupReply, _) => "/spec/rules",
        (Layer::NetworkAcl | Layer::LoadBalancerAcl, Direction::Ingress) => "/spec/ingress",
        (Layer::NetworkAcl | Layer::LoadBalancerAcl, Direction::Egress) => "/spec/egress",
    };
    let rule = |rule: &NewRule| {
        if fix.layer.is_security_group() {
            security_group_rule(traffic, rule)
        } else {
            acl_rule(traffic, rule)
        }
    };
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

fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn security_group_rule(traffic: &Traffic, rule: &NewRule) -> Value {
    let direction = match rule.direction {
        Direction::Ingress => "Ingress",
        Direction::Egress => "Egress",
    };
    let mut out = json!({
        "name": rule.name,
        "direction": direction,
        "ethertype": family(traffic.family),
        "protocol": rule.leg.name(traffic.family),
        "remote": {"cidr": format_prefix(traffic.family, rule.remote)},
    });
    // Allow and priority 1 are the defaults; a status is to stay small.
    if rule.priority != 1 {
        set(&mut out, "priority", rule.priority.into());
    }
    if rule.leg.has_ports() {
        set(&mut out, "ports", traffic.port.to_string().into());
    }
    out
}

fn acl_rule(traffic: &Traffic, rule: &NewRule) -> Value {
    let remote = json!({"cidr": format_prefix(traffic.family, rule.remote)});
    let local = json!({"cidr": format!("{}/{}", format_address(traffic.family, traffic.local), traffic.family.bits())});
    let (ephemeral, port) = ("1-65535".to_owned(), traffic.port.to_string());
    let (source, destination, source_ports, destination_ports) = match rule.direction {
        Direction::Ingress => (remote, local, ephemeral, port),
        Direction::Egress => (local, remote, port, ephemeral),
    };
    let mut out = json!({
        "name": rule.name,
        "action": "Allow",
        "ipVersion": family(traffic.family),
        "protocol": rule.leg.name(traffic.family),
        "source": source,
        "destination": destination,
    });
    if rule.leg.has_ports() {
        set(&mut out, "sourcePorts", source_ports.into());
        set(&mut out, "destinationPorts", destination_ports.into());
    }
    out
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(field.to_owned(), value);
    }
}
