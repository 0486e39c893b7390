//! Fixes as RFC 6902 patches of the objects that users wrote (domain §8).

use serde_json::{Value, json};

use crate::{
    api::v1alpha1::{Direction as ApiDirection, Fix},
    engine::{Case, Direction, Family, FixPlan, Layer, Leg, NewRule, Placement, format_address, format_prefix},
    world::Collected,
};

use super::{conditions::printable, values};

/// Longest patch that is written into a status.
const MAX_PATCH: usize = 4096;

/// One fix as it stands in a status.
pub(super) fn fix(collected: &Collected, case: &Case, plan: &FixPlan) -> Fix {
    let backend = collected.backend.metadata.name.as_deref().unwrap_or_default();
    let (name, patch) = match &plan.object {
        Some(name) => (name.to_string(), Some(patch(case, plan))),
        None => (format!("{backend}-health-check"), None),
    };
    let mut summary = printable(&summary(case, plan, &name), 512);
    let too_long = patch.as_ref().is_some_and(|patch| patch.len() > MAX_PATCH);
    if too_long {
        summary.push_str("; the patch is too long for a status");
    }
    Fix {
        kind: values::kind(plan.layer),
        name,
        direction: values::direction(plan.direction),
        summary,
        patch: patch.filter(|_| !too_long),
        verified: plan.verified,
    }
}

fn summary(case: &Case, plan: &FixPlan, name: &str) -> String {
    let family = case.traffic.family;
    let mut legs: Vec<Leg> = plan.rules.iter().map(|rule| rule.leg).collect();
    legs.dedup();
    let protocols: Vec<String> = legs
        .iter()
        .map(|leg| {
            if leg.has_ports() {
                format!("{} {}", leg.name(family), case.traffic.port)
            } else {
                leg.name(family).to_owned()
            }
        })
        .collect();
    let mut remotes: Vec<String> = Vec::new();
    for rule in &plan.rules {
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
    let way = if plan.direction == Direction::Ingress {
        "from"
    } else {
        "to"
    };
    let what = format!("{} {way} {}", protocols.join(" and "), remotes.join(", "));
    match &plan.placement {
        Placement::NewGroup => format!("Create security group {name}, allow {what} in it, and put it on the interface"),
        Placement::Before(index) => format!("Allow {what}, ahead of rule {index}"),
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

/// The patch, against the object's manifest.
fn patch(case: &Case, plan: &FixPlan) -> String {
    let (array, priority) = match (plan.layer, plan.direction, &plan.placement) {
        (Layer::SecurityGroup, _, Placement::Priority { priority, .. }) => ("/spec/rules", *priority),
        (Layer::SecurityGroup, ..) => ("/spec/rules", 1),
        (Layer::NetworkAcl, Direction::Ingress, _) => ("/spec/ingress", 0),
        (Layer::NetworkAcl, Direction::Egress, _) => ("/spec/egress", 0),
    };
    let mut operations = Vec::new();
    if let Placement::Priority { moves, .. } = &plan.placement {
        // "add" sets the member whether it is there or defaulted; "replace" would fail on a manifest that leaves it out.
        operations.extend(
            moves
                .iter()
                .map(|(index, to)| json!({"op": "add", "path": format!("{array}/{index}/priority"), "value": to})),
        );
    }
    let rules = plan.rules.iter().map(|rule| match plan.layer {
        Layer::SecurityGroup => security_group_rule(case, plan.direction, rule, priority),
        Layer::NetworkAcl => acl_rule(case, plan.direction, rule),
    });
    if plan.array_may_be_absent {
        operations.push(json!({"op": "add", "path": array, "value": rules.collect::<Vec<_>>()}));
    } else {
        for (at, rule) in rules.enumerate() {
            let position = match plan.placement {
                Placement::Before(index) => (index as usize + at).to_string(),
                _ => "-".to_owned(),
            };
            operations.push(json!({"op": "add", "path": format!("{array}/{position}"), "value": rule}));
        }
    }
    Value::Array(operations).to_string()
}

fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn security_group_rule(case: &Case, direction: Direction, rule: &NewRule, priority: u8) -> Value {
    let traffic = &case.traffic;
    let mut out = json!({
        "name": rule.name,
        "direction": if values::direction(direction) == ApiDirection::Ingress { "Ingress" } else { "Egress" },
        "ethertype": family(traffic.family),
        "protocol": rule.leg.name(traffic.family),
        "remote": {"cidr": format_prefix(traffic.family, rule.remote)},
    });
    // Allow and priority 1 are the defaults; a status is to stay small.
    if priority != 1 {
        set(&mut out, "priority", priority.into());
    }
    if rule.leg.has_ports() {
        set(&mut out, "ports", traffic.port.to_string().into());
    }
    out
}

fn acl_rule(case: &Case, direction: Direction, rule: &NewRule) -> Value {
    let traffic = &case.traffic;
    let remote = json!({"cidr": format_prefix(traffic.family, rule.remote)});
    let local = json!({"cidr": format!("{}/{}", format_address(traffic.family, traffic.local), traffic.family.bits())});
    let (source, destination) = if direction == Direction::Ingress {
        (remote, local)
    } else {
        (local, remote)
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
        let (ephemeral, port) = ("1-65535".to_owned(), traffic.port.to_string());
        let (source, destination) = if direction == Direction::Ingress {
            (ephemeral, port)
        } else {
            (port, ephemeral)
        };
        set(&mut out, "sourcePorts", source.into());
        set(&mut out, "destinationPorts", destination.into());
    }
    out
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(field.to_owned(), value);
    }
}
