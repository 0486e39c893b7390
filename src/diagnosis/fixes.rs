//! Fixes as RFC 6902 patches of the objects that users wrote (domain §8).

use serde_json::{Value, json};

use crate::{
    api::v1alpha1::{Direction as ApiDirection, Fix},
    engine::{
        Case, Direction, Family, FixPlan, Layer, Leg, NetworkAclState, NewRule, Placement, Verdict, format_address,
        format_prefix,
    },
    world::Collected,
};

use super::{conditions::printable, values};

/// One fix as it stands in a status.
pub(super) fn fix(collected: &Collected, case: &Case, verdict: &Verdict, plan: &FixPlan) -> Fix {
    Fix {
        kind: values::kind(plan.layer),
        name: object_name(collected, plan),
        direction: values::direction(plan.direction),
        summary: short(collected, case, plan),
        patch: plan.object.is_some().then(|| patch(case, verdict, plan)),
        verified: plan.verified,
    }
}

/// The object that the fix changes, or the security group that it creates.
pub(super) fn object_name(collected: &Collected, plan: &FixPlan) -> String {
    let backend = collected.backend.metadata.name.as_deref().unwrap_or_default();
    match &plan.object {
        Some(name) => name.to_string(),
        None => format!("{backend}-health-check"),
    }
}

/// The change in one line.
pub(super) fn short(collected: &Collected, case: &Case, plan: &FixPlan) -> String {
    printable(&summary(case, plan, &object_name(collected, plan)), 512)
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
        Placement::Before(index) => {
            let rules = match &case.network_acl {
                NetworkAclState::InForce { rules, .. } => rules.set.rules(plan.direction, family),
                NetworkAclState::Absent | NetworkAclState::Off(_) => &[],
            };
            let before = rules.iter().find(|rule| rule.index == *index);
            let before = before.map_or_else(|| index.to_string(), |rule| rule.name.to_string());
            format!("Allow {what}, ahead of rule {before}")
        }
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
fn patch(case: &Case, verdict: &Verdict, plan: &FixPlan) -> String {
    let array = match (plan.layer, plan.direction) {
        (Layer::SecurityGroup, _) => "/spec/rules",
        (Layer::NetworkAcl, Direction::Ingress) => "/spec/ingress",
        (Layer::NetworkAcl, Direction::Egress) => "/spec/egress",
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
    if plan.array_may_be_absent {
        // The list can only be set as a whole. A security group has one for both directions: the fix of either sets the
        // rules of both, so that applying one after the other loses nothing.
        let whole = verdict
            .fixes
            .iter()
            .filter(|other| (other.layer, &other.object) == (plan.layer, &plan.object) && other.array_may_be_absent)
            .filter(|other| other.layer == Layer::SecurityGroup || other.direction == plan.direction);
        let value: Value = whole.flat_map(|plan| rules(case, plan)).collect();
        operations.push(json!({"op": "add", "path": array, "value": value}));
    } else {
        for (at, rule) in rules(case, plan).enumerate() {
            let position = match plan.placement {
                Placement::Before(index) => (index as usize + at).to_string(),
                _ => "-".to_owned(),
            };
            operations.push(json!({"op": "add", "path": format!("{array}/{position}"), "value": rule}));
        }
    }
    Value::Array(operations).to_string()
}

/// The new rules as they stand in a manifest.
fn rules<'a>(case: &'a Case, plan: &'a FixPlan) -> impl Iterator<Item = Value> + 'a {
    let priority = match plan.placement {
        Placement::Priority { priority, .. } => priority,
        Placement::Before(_) | Placement::Append | Placement::NewGroup => 1,
    };
    plan.rules.iter().map(move |rule| match plan.layer {
        Layer::SecurityGroup => security_group_rule(case, plan.direction, rule, priority),
        Layer::NetworkAcl => acl_rule(case, plan.direction, rule),
    })
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
