//! Whether an offered change keeps its promise (semantics §8).

use serde_json::Value;

use super::{
    manifests::{Manifests, list, name_of},
    packets::{Class, Rule, is_allowed},
    values::contains,
    verdict::{Findings, Layer, Outcome, judge},
    walk::Direction,
};

/// One change as the product offers it.
pub struct Offer<'a> {
    pub kind: &'a str,
    pub name: &'a str,
    pub ingress: bool,
    pub patch: &'a str,
}

/// The manifests with the change applied.
pub fn apply(world: Manifests, offer: &Offer) -> Result<Vec<Value>, String> {
    let patch: json_patch::Patch = serde_json::from_str(offer.patch).map_err(|e| format!("not a patch: {e}"))?;
    let mut changed = world.0.to_vec();
    let object = changed
        .iter_mut()
        .find(|o| o["kind"] == offer.kind && name_of(o) == offer.name)
        .ok_or("the fix names an object that does not exist")?;
    json_patch::patch(object, &patch).map_err(|e| format!("the patch does not apply: {e}"))?;
    Ok(changed)
}

fn layer<'a>(findings: &'a Findings, kind: &str) -> Option<&'a Layer> {
    if kind == "SecurityGroup" {
        findings.security_groups.as_ref()
    } else {
        findings.network_acl.as_ref()
    }
}

/// `Ok` when the direction passes afterwards, no other got worse, and only health check traffic was opened.
pub fn check(world: Manifests, shared: &[&str], backend: &str, before: &Findings, offer: &Offer) -> Result<(), String> {
    let changed = apply(world, offer)?;
    let after = match judge(Manifests(&changed), shared, backend).outcome {
        Outcome::Ran(after) => after,
        Outcome::Refused(reason) => return Err(format!("the changed world is refused: {reason}")),
    };
    let (Some(old), Some(new)) = (layer(before, offer.kind), layer(&after, offer.kind)) else {
        return Err("there is no such layer to heal".into());
    };
    within_limits(Manifests(&changed), offer)?;
    // "passes every item of that direction"
    let mine: Vec<&str> = if offer.ingress { &new.ingress } else { &new.egress }
        .dimensions
        .iter()
        .map(|(_, id)| *id)
        .collect();
    let failed: Vec<&str> = after.failed.iter().map(|item| item.id).collect();
    if let Some(id) = failed.iter().find(|id| mine.contains(id)) {
        return Err(format!("{id} still fails"));
    }
    let had: Vec<&str> = before.failed.iter().map(|item| item.id).collect();
    if let Some(id) = failed.iter().find(|id| !had.contains(id)) {
        return Err(format!("{id} fails now and did not before"));
    }
    // A list that a manifest may leave out can only be set as a whole, and a security group has one for both directions.
    let whole = patch_sets(offer.patch, "/spec/rules");
    compare(&old.ingress, &new.ingress, whole || offer.ingress)?;
    compare(&old.egress, &new.egress, whole || !offer.ingress)
}

fn patch_sets(patch: &str, list: &str) -> bool {
    let patch: Value = serde_json::from_str(patch).expect("a patch");
    patch
        .as_array()
        .is_some_and(|operations| operations.iter().any(|operation| operation["path"] == list))
}

/// Names stay unique in their list, priorities within 1-100.
pub fn within_limits(changed: Manifests, offer: &Offer) -> Result<(), String> {
    let spec = &changed.find(offer.kind, offer.name).ok_or("the object is gone")?["spec"];
    for field in ["rules", "ingress", "egress"] {
        let mut names = Vec::new();
        for rule in list(&spec[field]) {
            let name = rule["name"].as_str().ok_or("a rule without a name")?;
            let label = name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if names.contains(&name) || name.is_empty() || name.len() > 255 || !label {
                return Err(format!("rule name {name:?} is taken or not a name"));
            }
            names.push(name);
            if rule
                .get("priority")
                .is_some_and(|p| !(1..=100).contains(&p.as_u64().unwrap_or(0)))
            {
                return Err(format!("priority of {name} is out of range"));
            }
        }
    }
    Ok(())
}

/// "what the change newly allows is a subset of the health check traffic", and nothing that was allowed is dropped.
fn compare(old: &Direction, new: &Direction, may_change: bool) -> Result<(), String> {
    // Cut at the boundaries of both rule sets.
    let both: Vec<Rule> = old.rules.iter().chain(&new.rules).cloned().collect();
    let space = old.space(&both);
    for cell in space.cells() {
        let packet = space.packet(&cell);
        let (was, is) = (is_allowed(&old.rules, &packet), is_allowed(&new.rules, &packet));
        if was && !is {
            return Err(format!("drops what was allowed: {packet:?}"));
        }
        if is && !was && !(may_change && is_health_check_traffic(old, &packet)) {
            return Err(format!("opens more than health check traffic: {packet:?}"));
        }
    }
    Ok(())
}

fn is_health_check_traffic(direction: &Direction, packet: &[&Class]) -> bool {
    direction.legs.iter().any(|leg| {
        direction.dimensions.iter().enumerate().all(|(d, (dimension, _))| {
            (dimension.is_port() && !leg.has_ports)
                || (packet[d].group.is_none() && contains(&leg.traffic[d], packet[d].first))
        })
    })
}
