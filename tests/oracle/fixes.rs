//! Whether an offered change keeps its promise (semantics §8).

use serde_json::Value;

use super::{
    manifests::{Manifests, list, name_of},
    packets::{Class, Rule, is_allowed},
    values::contains,
    verdict::{Findings, Judged, Outcome, judge},
    walk::Direction,
};

/// One change as the product offers it.
pub struct Offer<'a> {
    pub kind: &'a str,
    pub name: &'a str,
    /// Whether the inbound rules are changed; means nothing where no rules are.
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

fn again(changed: &[Value], shared: &[&str], backend: &str) -> Result<Findings, String> {
    match judge(Manifests(changed), shared, backend).outcome {
        Outcome::Ran(after) => Ok(*after),
        Outcome::Refused(reason) => Err(format!("the changed world is refused: {reason}")),
    }
}

/// Whether the offer changes the list of rules that this is judged by.
fn changes(offer: &Offer, judged: &Judged) -> bool {
    judged.kind == offer.kind
        && judged.ingress == offer.ingress
        && judged.direction.objects.iter().any(|name| name == offer.name)
}

/// The names of those among `names` that still drop something.
pub fn still_dropping(findings: &Findings, names: &[String]) -> Vec<String> {
    let judged = findings.judged();
    let there = |name: &String| judged.iter().find(|judged| judged.name == *name);
    names
        .iter()
        .filter(|name| there(name).is_none_or(|judged| judged.direction.drops_something()))
        .cloned()
        .collect()
}

/// `Ok` when what it is about passes afterwards, nothing else got worse, and only health check traffic was opened. Says which
/// directions it heals.
pub fn check(
    world: Manifests,
    shared: &[&str],
    backend: &str,
    before: &Findings,
    offer: &Offer,
) -> Result<Vec<String>, String> {
    let changed = apply(world, offer)?;
    let after = again(&changed, shared, backend)?;
    within_limits(Manifests(&changed), offer)?;
    let (old, new) = (before.judged(), after.judged());
    let names = |judged: &[Judged]| judged.iter().map(|judged| judged.name.clone()).collect::<Vec<_>>();
    if names(&old) != names(&new) {
        return Err("something else is judged after the change".into());
    }
    // "passes every item of that direction" (§8), or drops nothing there (§4).
    let healed: Vec<(&Judged, &Judged)> = old
        .iter()
        .zip(&new)
        .filter(|(old, new)| changes(offer, old) && old.direction.drops_something() && !new.direction.drops_something())
        .collect();
    if healed.is_empty() {
        let failed: Vec<&str> = after.failed.iter().chain(&after.beyond).map(|item| item.id).collect();
        return Err(format!("heals nothing: {failed:?} fail still"));
    }
    if !healed.iter().any(|(old, _)| old.is_shown) {
        return Err("heals only what is not shown".into());
    }
    // "what the change newly allows is a subset of the health check traffic": of what it heals.
    let traffic: Vec<&Direction> = healed.iter().map(|(old, _)| old.direction).collect();
    for (old, new) in &healed {
        compare(old.direction, new.direction, &traffic)?;
    }
    // What is judged by other rules is as before. (By the same rules another item may fail now, with two ends at one ACL: what
    // one end was given holds a dimension of the other's walk. No packet more is dropped.)
    // A list that a manifest may leave out can only be set as a whole, and a security group has one for both directions.
    let whole = patch_sets(offer.patch, "/spec/rules");
    for (before, after) in old.iter().zip(&new).filter(|(old, _)| !changes(offer, old)) {
        let may_change = |other: &&Judged| whole && other.kind == offer.kind && other.ingress == before.ingress;
        let traffic: Vec<&Direction> = old.iter().filter(may_change).map(|other| other.direction).collect();
        let traffic = if before.kind == offer.kind { traffic } else { Vec::new() };
        compare(before.direction, after.direction, &traffic).map_err(|e| format!("{}: {e}", before.name))?;
    }
    Ok(healed.iter().map(|(old, _)| old.name.clone()).collect())
}

/// Item 17: "take the health check port away where it is set (the backend's own, or the group's …); verified when the item
/// then passes and the dropped share is no greater than before" (§8). `None`: nothing is to be offered.
pub fn configuration<'a>(
    world: Manifests<'a>,
    shared: &[&str],
    backend: &str,
    before: &Findings,
) -> Option<(&'static str, &'a str, Vec<Value>)> {
    let server = world.find("BackendServer", backend)?;
    let balancer = world.find("LoadBalancer", server["spec"]["loadBalancerRef"]["name"].as_str()?)?;
    let is_own = server["spec"]["healthCheck"]["port"].is_u64();
    let (kind, object) = if is_own {
        ("BackendServer", server)
    } else {
        ("LoadBalancer", balancer)
    };
    let mut changed = world.0.to_vec();
    let target = changed
        .iter_mut()
        .find(|o| o["kind"] == kind && name_of(o) == name_of(object))?;
    let check = if is_own {
        &mut target["spec"]["healthCheck"]
    } else {
        let mut groups = target["spec"]["backendServerGroups"].as_array_mut()?.iter_mut();
        &mut groups.find(|group| group["name"] == server["spec"]["backendServerGroup"])?["healthCheck"]
    };
    check.as_object_mut()?.remove("port")?;
    let after = again(&changed, shared, backend).ok()?;
    let is_right = !after.config_fails && !before.dropped.is_less_than(after.dropped);
    is_right.then(|| (kind, name_of(object), changed))
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

/// "what the change newly allows is a subset of the health check traffic", here of these directions; and nothing that was
/// allowed is dropped.
fn compare(old: &Direction, new: &Direction, traffic: &[&Direction]) -> Result<(), String> {
    // Cut at the boundaries of both rule sets and of all that may be allowed.
    let both: Vec<Rule> = old.rules.iter().chain(&new.rules).cloned().collect();
    let mut all = old.clone();
    all.legs
        .extend(traffic.iter().flat_map(|direction| direction.legs.clone()));
    let space = all.space(&both);
    for cell in space.cells() {
        let packet = space.packet(&cell);
        let (was, is) = (is_allowed(&old.rules, &packet), is_allowed(&new.rules, &packet));
        if was && !is {
            return Err(format!("drops what was allowed: {packet:?}"));
        }
        if is
            && !was
            && !traffic
                .iter()
                .any(|direction| is_health_check_traffic(direction, &packet))
        {
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
