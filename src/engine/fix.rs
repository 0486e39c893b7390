//! The smallest change that lets every required packet of one direction of one layer pass (semantics §8).
//!
//! New rules allow health check traffic and nothing else: protocol, health check port and server address are those of the
//! traffic (as far as rules of the kind can say), and their prefixes lie inside the source set, or the part of it that lies in the
//! load balancer's subnet whose ACL is changed. The fewest such rules: any prefix inside the source set lies in
//! one of the set's own largest prefixes, so one rule for each of those that holds dropped packets is needed, and is
//! enough. Each is then narrowed to the smallest prefix that still holds what is dropped there.

use std::{collections::HashMap, sync::Arc};

use super::{
    Action, AddressMatch, Case, Direction, Layer, Leg, PortMatch, ProtocolMatch, Rule, RuleSet, Span, SpanSet,
    address::{Prefix, common_prefix, covering_prefixes, prefix_last},
    evidence::{judge, witness},
    filter::{Denial, Dropped, Filter},
    layer::Side,
    rule::{evaluation_key, sort_by_priority},
    traffic::EPHEMERAL,
    work::{Exhausted, Work},
};

/// Rules that one object can hold in one direction or group; the schemas of the kinds say the same.
pub(crate) const MAX_RULES: usize = 1000;
/// The last priority of a security group rule.
const LAST_PRIORITY: u8 = 100;

/// An allow rule to add.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRule {
    /// The packets' leg.
    pub leg: Leg,
    /// The remote prefix.
    pub remote: Prefix,
}

/// Where the new rules go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Placement {
    /// Into a security group at this priority, after moving others back: position in the array and new priority.
    Priority {
        /// Priority of the new rules.
        priority: u8,
        /// Rules that move back, in the order of evaluation.
        moves: Vec<(u32, u8)>,
    },
    /// Into a network ACL's array before the rule at this position.
    Before(u32),
    /// At the end of the array.
    Append,
    /// Into a security group that is still to be created and attached.
    NewGroup,
}

/// A change that heals one direction of one layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FixPlan {
    /// The layer.
    pub layer: Layer,
    /// The direction.
    pub direction: Direction,
    /// The load balancer's subnet, where the fix is of its network ACL.
    pub subnet: Option<Arc<str>>,
    /// The object to change; `None` when it is still to be created.
    pub object: Option<Arc<str>>,
    /// The rules to add, in order.
    pub rules: Vec<NewRule>,
    /// Where.
    pub placement: Placement,
    /// True when the changed rules were judged again and drop nothing, and the new rules allow nothing but health check
    /// traffic while all others keep their order.
    pub verified: bool,
}

/// The change for one side of which `dropped` (by leg) does not pass; `None` when there is no room for one.
pub(crate) fn plan(
    case: &Case,
    side: &Side<'_>,
    dropped: &[Dropped<'_>],
    work: &mut Work,
) -> Result<Option<FixPlan>, Exhausted> {
    let wanted = wanted(case, side, dropped);
    let earliest = dropped
        .iter()
        .flat_map(|leg| &leg.denials)
        .min_by_key(|denial| (denial.segment, rank(denial.rule)));
    let denials: Vec<Denial<'_>> = dropped.iter().flat_map(|leg| leg.denials.iter().copied()).collect();
    if side.objects.is_empty() {
        return Ok(Some(FixPlan {
            layer: side.layer,
            direction: side.direction,
            subnet: side.subnet.cloned(),
            object: None,
            rules: wanted,
            placement: Placement::NewGroup,
            verified: false,
        }));
    }
    // Later objects come too late for the earliest deny; earlier ones do, should that one be full or leave no room.
    let start = earliest.map_or(side.objects.len() - 1, |denial| denial.segment);
    let nearest = if earliest.is_none() {
        nearest_object(case, side, dropped)
    } else {
        None
    };
    let best = nearest.unwrap_or(start);
    for segment in std::iter::once(best).chain((0..=start).rev()) {
        if let Some(mut plan) = place(side, segment, &denials, &wanted) {
            plan.verified = verify(case, side, segment, &plan, work)?;
            if plan.verified {
                return Ok(Some(plan));
            }
        }
    }
    Ok(None)
}

fn rank(rule: &Rule) -> (u8, bool, u32) {
    evaluation_key(rule)
}

/// What must be allowed, by leg: the fewest prefixes inside the source set that hold all dropped packets.
fn wanted(case: &Case, side: &Side<'_>, dropped: &[Dropped<'_>]) -> Vec<NewRule> {
    let family = case.traffic.family;
    let largest = covering_prefixes(family, &side.sources);
    let mut out = Vec::new();
    for (leg, dropped) in case.traffic.legs.iter().zip(dropped) {
        if dropped.region.is_empty() {
            continue;
        }
        let remotes = dropped.region.remotes();
        for prefix in &largest {
            let window = Span {
                first: prefix.0,
                last: prefix_last(family, *prefix),
            };
            let inside = remotes.intersection(&window.into());
            if let (Some(first), Some(last)) = (inside.min(), inside.spans().last()) {
                out.push(NewRule {
                    leg: *leg,
                    remote: common_prefix(family, first, last.last),
                });
            }
        }
    }
    out
}

/// The object that holds the allow rule nearest to the dropped packets, for when nothing denies them explicitly.
fn nearest_object(case: &Case, side: &Side<'_>, dropped: &[Dropped<'_>]) -> Option<usize> {
    let (leg, first) = case
        .traffic
        .legs
        .iter()
        .zip(dropped)
        .find(|(_, dropped)| !dropped.region.is_empty())?;
    let packet = witness(&case.traffic, *leg, &first.region)?;
    let (_, nearest) = judge(side, &case.traffic, &packet);
    let name = nearest?.object;
    side.objects.iter().position(|object| object.name == name)
}

fn place(side: &Side<'_>, segment: usize, denials: &[Denial<'_>], wanted: &[NewRule]) -> Option<FixPlan> {
    let object: &RuleSet = side.objects.get(segment)?;
    let rules = side.segments.get(segment)?.rules;
    if written_beside(object, side) + wanted.len() > MAX_RULES {
        return None;
    }
    let here: Vec<&Rule> = denials
        .iter()
        .filter(|denial| denial.segment == segment)
        .map(|denial| denial.rule)
        .collect();
    let placement = match side.layer {
        Layer::NetworkAcl | Layer::LoadBalancerAcl => match here.iter().map(|rule| rule.index).min() {
            Some(index) => Placement::Before(index),
            None => Placement::Append,
        },
        Layer::SecurityGroup | Layer::SecurityGroupReply => match here.iter().min_by_key(|rule| rank(rule)) {
            // No rule of this group matches what is dropped, so that any priority will do: the default.
            None => Placement::Priority {
                priority: 1,
                moves: Vec::new(),
            },
            Some(deny) if deny.priority > 1 => Placement::Priority {
                priority: deny.priority - 1,
                moves: Vec::new(),
            },
            // An earlier group needs no moves.
            Some(_) if segment > 0 => return None,
            Some(deny) => Placement::Priority {
                priority: 1,
                moves: moves(rules, deny)?,
            },
        },
    };
    Some(FixPlan {
        layer: side.layer,
        direction: side.direction,
        subnet: side.subnet.cloned(),
        object: Some(Arc::clone(&object.name)),
        rules: wanted.to_vec(),
        placement,
        verified: false,
    })
}

/// How many rules stand in the array to which a new one goes: a security group has one array, a network ACL one for each
/// direction.
fn written_beside(object: &RuleSet, side: &Side<'_>) -> usize {
    let [ingress, egress] = object.written;
    match (side.layer, side.direction) {
        (Layer::SecurityGroup | Layer::SecurityGroupReply, _) => ingress + egress,
        (Layer::NetworkAcl | Layer::LoadBalancerAcl, Direction::Ingress) => ingress,
        (Layer::NetworkAcl | Layer::LoadBalancerAcl, Direction::Egress) => egress,
    }
}

/// The fewest moves back in priority that let a new rule at priority 1 come before `deny` and keep the order of all
/// rules: each goes no further than the one before it forces it to. `None` when the last priority is passed.
fn moves(rules: &[Rule], deny: &Rule) -> Option<Vec<(u32, u8)>> {
    let mut out = Vec::new();
    let mut previous: Option<(u8, bool, u32)> = None;
    for rule in rules {
        let (mut priority, allow, index) = rank(rule);
        if index == deny.index {
            priority = 2;
        }
        if let Some(before) = previous {
            priority = priority.max(before.0);
            if (priority, allow, index) < before {
                priority += 1;
            }
        }
        if priority > LAST_PRIORITY {
            return None;
        }
        if priority != rule.priority {
            out.push((rule.index, priority));
        }
        previous = Some((priority, allow, index));
    }
    Some(out)
}

/// Judges the changed rules: nothing of the required traffic is dropped any more, the new rules match health check
/// traffic only, and the others keep their order. What a list of rules newly allows can only be matched by its new rules
/// when the others keep their order, so the three together prove that the change opens nothing else.
fn verify(case: &Case, side: &Side<'_>, segment: usize, plan: &FixPlan, work: &mut Work) -> Result<bool, Exhausted> {
    let Some(old) = side.segments.get(segment) else {
        return Ok(false);
    };
    let changed = changed(case, old.rules, plan);
    let kept: Vec<u32> = changed
        .iter()
        .map(|rule| rule.index)
        .filter(|index| *index != NEW)
        .collect();
    if kept != old.rules.iter().map(|rule| rule.index).collect::<Vec<_>>() {
        return Ok(false);
    }
    let only_health_checks = changed.iter().filter(|rule| rule.index == NEW).all(|rule| {
        let legs = &case.traffic.legs;
        let own_leg = |leg: &Leg| rule.protocol == ProtocolMatch::One(leg.protocol(case.traffic.family));
        // A security group's rules can say nothing about the ports at the other end from theirs.
        let server_port = || rule.local_ports.spans() == [Span::one(case.traffic.port)];
        let prober_ports = || rule.remote_ports.spans() == [EPHEMERAL];
        let ports_are_right = legs.iter().filter(|leg| own_leg(leg)).any(|leg| {
            !leg.has_ports()
                || match side.layer {
                    Layer::SecurityGroup => server_port(),
                    Layer::SecurityGroupReply => prober_ports(),
                    Layer::NetworkAcl | Layer::LoadBalancerAcl => server_port() && prober_ports(),
                }
        });
        let local_is_right =
            side.layer.is_security_group() || rule.local == AddressMatch::Set(Span::one(case.traffic.local).into());
        let remote_is_right = match &rule.remote {
            AddressMatch::Set(set) => set.is_subset(&side.sources),
            AddressMatch::Any | AddressMatch::Group(_) | AddressMatch::Members(_) => false,
        };
        ports_are_right && local_is_right && remote_is_right
    });
    let mut segments = side.segments.clone();
    if let Some(own) = segments.get_mut(segment) {
        own.rules = &changed;
    }
    let filter = Filter {
        family: case.traffic.family,
        segments: &segments,
    };
    if !only_health_checks {
        return Ok(false);
    }
    for leg in &case.traffic.legs {
        let dropped = filter.dropped(&case.traffic, *leg, side.required(), work)?;
        if !dropped.region.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Marks the new rules among the changed ones; no array is so long.
const NEW: u32 = u32::MAX;

/// The rules as they will be after the change, in the order of evaluation.
fn changed(case: &Case, old: &[Rule], plan: &FixPlan) -> Vec<Rule> {
    let mut out = old.to_vec();
    let priority = match &plan.placement {
        Placement::Priority { priority, moves } => {
            let moves: HashMap<u32, u8> = moves.iter().copied().collect();
            for rule in &mut out {
                if let Some(to) = moves.get(&rule.index) {
                    rule.priority = *to;
                }
            }
            *priority
        }
        _ => 0,
    };
    let fresh = plan.rules.iter().map(|new| compiled(case, plan.layer, new, priority));
    match plan.placement {
        Placement::Before(index) => {
            let at = out.iter().position(|rule| rule.index >= index).unwrap_or(out.len());
            out.splice(at..at, fresh);
        }
        _ => out.extend(fresh),
    }
    if plan.layer.is_security_group() {
        sort_by_priority(&mut out);
    }
    out
}

fn compiled(case: &Case, layer: Layer, new: &NewRule, priority: u8) -> Rule {
    let family = case.traffic.family;
    let only = |span: Span<u16>| {
        if new.leg.has_ports() {
            PortMatch::only(span.into())
        } else {
            PortMatch::ALL
        }
    };
    let (is_acl, is_reply) = (!layer.is_security_group(), layer == Layer::SecurityGroupReply);
    let remote: SpanSet<u128> = Span {
        first: new.remote.0,
        last: prefix_last(family, new.remote),
    }
    .into();
    Rule {
        action: Action::Allow,
        protocol: ProtocolMatch::One(new.leg.protocol(family)),
        remote: AddressMatch::Set(remote),
        remote_ports: if is_acl || is_reply {
            only(EPHEMERAL)
        } else {
            PortMatch::ALL
        },
        local: if is_acl {
            AddressMatch::Set(Span::one(case.traffic.local).into())
        } else {
            AddressMatch::Any
        },
        local_ports: if is_reply {
            PortMatch::ALL
        } else {
            only(Span::one(case.traffic.port))
        },
        index: NEW,
        priority,
        name: "".into(),
    }
}
