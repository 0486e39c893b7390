//! One diagnosis: every side of every layer judged, findings put together.

use super::{
    Case, CheckId, Dimension, Direction, Leg, NetworkAclState, Region, SecurityGroupState, Share,
    check::JudgedBy,
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
    let mut fixes = Vec::new();
    let mut undelivered = vec![Region::default(); case.traffic.legs.len()];
    for side in Side::all(case) {
        let required = side.required(case);
        if required.is_empty() {
            for (check, _) in CheckId::of(side.layer, side.direction) {
                outcomes.set(*check, Outcome::NotApplicable(all_exempt(exempt, side.direction)));
            }
            continue;
        }
        let judged = judge(case, &side, &required, &mut undelivered, &mut outcomes, work);
        fixes.extend(judged.map_err(|Exhausted| TooIntricate {
            layer: side.layer,
            direction: side.direction,
        })?);
    }
    let dropped = undelivered
        .iter()
        .map(|region| case.traffic.share(region))
        .reduce(Share::max)
        .unwrap_or_default();
    let impact = if dropped.is_all() {
        Impact::Blocks
    } else if !dropped.is_none() {
        Impact::Intermittent
    } else if outcomes.findings().next().is_some() {
        Impact::Advisory
    } else {
        Impact::None
    };
    Ok(Verdict {
        outcomes,
        beyond: Vec::new(),
        exempt,
        dropped,
        impact,
        fixes,
        port_fix: None,
    })
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

/// Judges one side: its failed items, what it drops of each leg, and the change that heals it.
fn judge(
    case: &Case,
    side: &Side<'_>,
    required: &Region,
    undelivered: &mut [Region],
    outcomes: &mut Outcomes,
    work: &mut Work,
) -> Result<Option<FixPlan>, Exhausted> {
    let filter = side.filter(case);
    let mut dropped = Vec::with_capacity(case.traffic.legs.len());
    for leg in &case.traffic.legs {
        dropped.push(filter.dropped(&case.traffic, *leg, required.clone(), work)?);
    }
    if dropped.iter().all(|leg| leg.region.is_empty()) {
        return Ok(None);
    }
    find(case, side, &dropped, outcomes, work)?;
    let fix = fix::plan(case, side, &dropped, work)?;
    if !side.is_advisory() {
        for (all, leg) in undelivered.iter_mut().zip(dropped) {
            *all = all.union(&leg.region, work)?;
        }
    }
    Ok(fix)
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
        let legs: Vec<_> = failed.iter().filter(|(failed, ..)| failed == check).collect();
        if let Some(found) = finding(case, side, *dimension, &legs, &mut judged) {
            outcomes.set(*check, Outcome::Failed(Finding::Rules(Box::new(found))));
        }
    }
    Ok(())
}

/// What was found about one item; `None` when no leg fails it.
fn finding(
    case: &Case,
    side: &Side<'_>,
    dimension: Dimension,
    legs: &[&(CheckId, Leg, Region)],
    judged: &mut Judged,
) -> Option<RuleFinding> {
    // The first leg is shown: UDP before ICMP.
    let (_, leg, blocked) = legs.first()?;
    let blocks = legs.iter().any(|(.., region)| case.traffic.share(region).is_all());
    let impact = if side.is_advisory() {
        Impact::Advisory
    } else if blocks {
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
