//! One diagnosis: every side of every layer judged, findings put together.

use super::{
    Case, CheckId, Dimension, Direction, Leg, NetworkAclState, Region, SecurityGroupState, Share,
    check::{JudgedBy, Setting},
    configuration::{self, PortFix},
    evidence::{Judged, evidence},
    exempt::{Exempt, Part},
    filter::Dropped,
    fix::{self, FixPlan},
    layer::{Layer, Side},
    outcome::{BeyondFinding, Finding, Impact, Outcome, Outcomes, RuleFinding, Why},
    walk::blocked_sets,
    work::{Exhausted, LIMIT, Work},
};

/// What a diagnosis found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What became of each item.
    pub outcomes: Outcomes,
    /// What was found beyond the items, in the order of [`CheckId::BEYOND`].
    pub beyond: Vec<BeyondFinding>,
    /// How many of the probing addresses the network ACL in force does not apply to.
    pub exempt: Exempt,
    /// The part of the probes that do not complete; with two legs, of the worse one.
    pub dropped: Share,
    /// Effect of all layers together.
    pub impact: Impact,
    /// A change for each failing direction of each layer, where there is one.
    pub fixes: Vec<FixPlan>,
    /// Where to take the health check port away, where item 17 fails and that heals it.
    pub port_fix: Option<PortFix>,
}

/// The rules of one direction need more work than a diagnosis may take: it was not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooIntricate {
    /// The layer.
    pub layer: Layer,
    /// The direction.
    pub direction: Direction,
    /// At the load balancer's end, which of the case's [`Case::load_balancer_ends`].
    pub end: Option<usize>,
}

impl TooIntricate {
    fn on(side: &Side<'_>) -> Self {
        Self {
            layer: side.layer,
            direction: side.direction,
            end: side.end,
        }
    }
}

/// Judges a case (semantics §6–§8).
///
/// # Errors
///
/// When the rules are too intricate to be judged within the bound on work. No list of rules that is known gets there.
pub fn diagnose(case: &Case) -> Result<Verdict, TooIntricate> {
    diagnose_within(case, &mut Work::new(LIMIT))
}

/// As [`diagnose`], within this work.
pub(crate) fn diagnose_within(case: &Case, work: &mut Work) -> Result<Verdict, TooIntricate> {
    let mut outcomes = Outcomes::default();
    let mut exempt = Exempt::default();
    for check in CheckId::ALL {
        match check.judged_by() {
            JudgedBy::Configuration(setting) => outcomes.set(check, configuration::judge(setting, case)),
            JudgedBy::Rules { layer, .. } => {
                if let Some(why) = not_in_force(case, layer) {
                    outcomes.set(check, Outcome::NotApplicable(why));
                }
            }
        }
    }
    if matches!(case.network_acl, NetworkAclState::InForce { .. }) {
        exempt = Exempt::of(case);
    }
    let mut beyond = Vec::new();
    let mut fixes = Vec::new();
    let mut undelivered = vec![Region::default(); case.traffic.legs.len()];
    for side in Side::all(case) {
        let required = side.required();
        if required.is_empty() {
            for (check, _) in CheckId::of(side.layer, side.direction) {
                outcomes.set(*check, Outcome::NotApplicable(all_exempt(exempt, side.direction)));
            }
            continue;
        }
        let fix = judge(case, &side, &required, &mut undelivered, work, |dropped, work| {
            find(case, &side, dropped, &mut outcomes, work)
        });
        fixes.extend(fix.map_err(|Exhausted| TooIntricate::on(&side))?);
    }
    for side in Side::beyond(case) {
        let required = side.required();
        let fix = judge(case, &side, &required, &mut undelivered, work, |dropped, _| {
            beyond.extend(find_beyond(case, &side, dropped));
            Ok(())
        });
        fixes.extend(fix.map_err(|Exhausted| TooIntricate::on(&side))?);
    }
    let dropped = worst(case, &undelivered);
    let impact = if dropped.is_all() {
        Impact::Blocks
    } else if !dropped.is_none() {
        Impact::Intermittent
    } else if outcomes.findings().next().is_some() || !beyond.is_empty() {
        Impact::Advisory
    } else {
        Impact::None
    };
    let port_differs = outcomes
        .findings()
        .any(|(_, finding)| matches!(finding, Finding::Configuration { .. }));
    let port_fix = if port_differs {
        port_fix(case, dropped, work)
    } else {
        None
    };
    Ok(Verdict {
        outcomes,
        beyond,
        exempt,
        dropped,
        impact,
        fixes,
        port_fix,
    })
}

/// The part of the probes that do not complete, by what is dropped of each leg; of the worse leg.
fn worst(case: &Case, undelivered: &[Region]) -> Share {
    let shares = undelivered.iter().map(|region| case.traffic.share(region));
    shares.reduce(Share::max).unwrap_or_default()
}

/// Where to take the health check port away, judged again (semantics §8): the item passes then, and no more probes are dropped than the
/// share that is dropped now. Too much work to say is no offer.
fn port_fix(case: &Case, now: Share, work: &mut Work) -> Option<PortFix> {
    let (fix, ports) = configuration::without_port(case.health_check_ports)?;
    let mut changed = Case {
        health_check_ports: ports,
        ..case.clone()
    };
    changed.traffic.port = ports.configured().unwrap_or(case.backend_port);
    if matches!(configuration::judge(Setting::Port, &changed), Outcome::Failed(_)) {
        return None;
    }
    // More than all cannot be dropped.
    let is_no_worse = now.is_all() || !dropped_share(&changed, work).ok()?.exceeds(now);
    is_no_worse.then_some(fix)
}

/// The part of the probes that do not complete, and nothing else.
fn dropped_share(case: &Case, work: &mut Work) -> Result<Share, Exhausted> {
    let mut undelivered = vec![Region::default(); case.traffic.legs.len()];
    for side in Side::all(case).iter().chain(&Side::beyond(case)) {
        let required = side.required();
        if !side.advisory && !required.is_empty() {
            let dropped = dropped(case, side, &required, work)?;
            add(&mut undelivered, dropped, work)?;
        }
    }
    Ok(worst(case, &undelivered))
}

/// Why a layer has no rules to go by.
fn not_in_force(case: &Case, layer: Layer) -> Option<Why> {
    match (layer, &case.security_groups, &case.network_acl) {
        (Layer::SecurityGroup, SecurityGroupState::NotApplied, _) => Some(Why::PortSecurityOff),
        (Layer::NetworkAcl, _, NetworkAclState::Absent) => Some(Why::NoNetworkAcl),
        (Layer::NetworkAcl, _, NetworkAclState::Off(name)) => Some(Why::NetworkAclOff(name.clone())),
        (Layer::SecurityGroup, SecurityGroupState::Groups { .. }, _)
        | (Layer::NetworkAcl, _, NetworkAclState::InForce { .. })
        | (Layer::LoadBalancerAcl | Layer::SecurityGroupReply, ..) => None,
    }
}

/// Why a direction of which every required packet is exempt does not apply.
fn all_exempt(exempt: Exempt, direction: Direction) -> Why {
    match (exempt.own_subnet, exempt.always_outbound, direction) {
        (Part::All, ..) | (.., Direction::Ingress) => Why::WithinSubnet,
        (_, Part::All, Direction::Egress) => Why::AlwaysOutbound,
        (_, _, Direction::Egress) => Why::WithinSubnetOrAlwaysOutbound,
    }
}

/// Judges one side: what it drops of each leg, which is handed to `find`, and the change that heals it.
fn judge<'a>(
    case: &Case,
    side: &'a Side<'a>,
    required: &Region,
    undelivered: &mut [Region],
    work: &mut Work,
    find: impl FnOnce(&[Dropped<'a>], &mut Work) -> Result<(), Exhausted>,
) -> Result<Option<FixPlan>, Exhausted> {
    let dropped = dropped(case, side, required, work)?;
    if dropped.iter().all(|leg| leg.region.is_empty()) {
        return Ok(None);
    }
    find(&dropped, work)?;
    let fix = fix::plan(case, side, &dropped, work)?;
    if !side.advisory {
        add(undelivered, dropped, work)?;
    }
    Ok(fix)
}

/// What a side drops of the required packets of each leg.
fn dropped<'a>(
    case: &Case,
    side: &'a Side<'a>,
    required: &Region,
    work: &mut Work,
) -> Result<Vec<Dropped<'a>>, Exhausted> {
    let filter = side.filter(case);
    let legs = case.traffic.legs.iter();
    legs.map(|leg| filter.dropped(&case.traffic, *leg, required.clone(), work))
        .collect()
}

/// Adds what is dropped of each leg to what does not complete.
fn add(undelivered: &mut [Region], dropped: Vec<Dropped<'_>>, work: &mut Work) -> Result<(), Exhausted> {
    for (all, leg) in undelivered.iter_mut().zip(dropped) {
        *all = all.union(&leg.region, work)?;
    }
    Ok(())
}

/// The failed items of one side, the legs joined.
fn find(
    case: &Case,
    side: &Side<'_>,
    dropped: &[Dropped<'_>],
    outcomes: &mut Outcomes,
    work: &mut Work,
) -> Result<(), Exhausted> {
    let items = CheckId::of(side.layer, side.direction);
    let filter = side.filter(case);
    let mut failed: Vec<(CheckId, Leg, Region)> = Vec::new();
    for (leg, dropped) in case.traffic.legs.iter().zip(dropped) {
        if !dropped.region.is_empty() {
            let sets = blocked_sets(&filter, &case.traffic, *leg, items, dropped, work)?;
            failed.extend(sets.into_iter().map(|(check, _, region)| (check, *leg, region)));
        }
    }
    let mut judged = Judged::default();
    for (check, dimension) in items {
        let legs = failed.iter().filter(|(failed, ..)| failed == check);
        let legs: Vec<_> = legs.map(|(check, leg, region)| (*check, *leg, region)).collect();
        if let Some(found) = finding(case, side, *dimension, &legs, &mut judged) {
            outcomes.set(*check, Outcome::Failed(Finding::Rules(Box::new(found))));
        }
    }
    Ok(())
}

/// What was found on a side beyond the items of the page: there is no walk, all that is dropped is the blocked set.
fn find_beyond(case: &Case, side: &Side<'_>, dropped: &[Dropped<'_>]) -> Option<BeyondFinding> {
    let (check, dimension) = CheckId::of(side.layer, side.direction).first()?;
    let legs = case.traffic.legs.iter().zip(dropped);
    let failed: Vec<(CheckId, Leg, &Region)> = legs
        .filter(|(_, dropped)| !dropped.region.is_empty())
        .map(|(leg, dropped)| (*check, *leg, &dropped.region))
        .collect();
    Some(BeyondFinding {
        check: *check,
        subnet: side.subnet.cloned(),
        found: finding(case, side, *dimension, &failed, &mut Judged::default())?,
    })
}

/// What was found about one item; `None` when no leg fails it.
fn finding(
    case: &Case,
    side: &Side<'_>,
    dimension: Dimension,
    legs: &[(CheckId, Leg, &Region)],
    judged: &mut Judged,
) -> Option<RuleFinding> {
    // A leg of which likely packets are dropped is shown before another; else UDP before ICMP.
    let drops_none = |(.., region): &&(CheckId, Leg, &Region)| case.traffic.share(region).is_none();
    let (_, leg, blocked) = legs.iter().min_by_key(drops_none)?;
    let shares = legs.iter().map(|(.., region)| case.traffic.share(region));
    let worst = shares.reduce(Share::max).unwrap_or_default();
    let impact = if side.advisory || worst.is_none() {
        Impact::Advisory
    } else if worst.is_all() {
        Impact::Blocks
    } else {
        Impact::Intermittent
    };
    Some(RuleFinding {
        layer: side.layer,
        direction: side.direction,
        dimension,
        leg: *leg,
        both_legs: legs.len() > 1,
        impact,
        evidence: evidence(side, &case.traffic, *leg, dimension, blocked, judged)?,
    })
}
