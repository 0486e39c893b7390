//! One diagnosis: every side of every layer judged, findings put together.

use super::{
    Case, CheckId, Dimension, Leg, Region, Share,
    evidence::{Finding, Impact, Judged, evidence},
    filter::Dropped,
    fix::{self, FixPlan},
    layer::Side,
    walk::blocked_sets,
};

/// What a diagnosis found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The failed items in table order.
    pub findings: Vec<Finding>,
    /// The part of the probes that do not complete; with two legs, of the worse one.
    pub dropped: Share,
    /// Effect of all layers together.
    pub impact: Impact,
    /// A change for each failing direction of each layer, where there is one.
    pub fixes: Vec<FixPlan>,
}

impl Verdict {
    /// The gravest failed item: by effect, then severity, then table order.
    #[must_use]
    pub fn gravest(&self) -> Option<&Finding> {
        self.findings
            .iter()
            .rev()
            .max_by_key(|finding| (finding.impact, finding.check.severity()))
    }
}

/// Judges a case (domain §6–§8).
#[must_use]
pub fn diagnose(case: &Case) -> Verdict {
    let mut findings = Vec::new();
    let mut fixes = Vec::new();
    let mut undelivered = vec![Region::default(); case.traffic.legs.len()];
    for side in Side::all(case) {
        let filter = side.filter(case);
        let dropped: Vec<Dropped<'_>> = case
            .traffic
            .legs
            .iter()
            .map(|leg| filter.dropped(&case.traffic, *leg, side.required(case)))
            .collect();
        if dropped.iter().all(|leg| leg.region.is_empty()) {
            continue;
        }
        findings.extend(side_findings(case, &side, &dropped));
        fixes.extend(fix::plan(case, &side, &dropped));
        if !side.is_advisory() {
            for (all, leg) in undelivered.iter_mut().zip(dropped) {
                *all = std::mem::take(all).union(&leg.region);
            }
        }
    }
    if case.configured_port.is_some_and(|port| port != case.backend_port) {
        findings.push(Finding {
            check: CheckId::HealthCheckPort,
            side: None,
            leg: None,
            both_legs: false,
            impact: Impact::Advisory,
            evidence: None,
        });
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
    } else if !findings.is_empty() {
        Impact::Advisory
    } else {
        Impact::None
    };
    Verdict {
        findings,
        dropped,
        impact,
        fixes,
    }
}

/// The failed items of one side, the legs joined.
fn side_findings(case: &Case, side: &Side<'_>, dropped: &[Dropped<'_>]) -> Vec<Finding> {
    let items = CheckId::of(side.layer, side.direction);
    let filter = side.filter(case);
    let mut failed: Vec<(CheckId, Dimension, Leg, Region)> = Vec::new();
    for (leg, dropped) in case.traffic.legs.iter().zip(dropped) {
        if !dropped.region.is_empty() {
            let sets = blocked_sets(&filter, &case.traffic, *leg, items, &dropped.region);
            failed.extend(
                sets.into_iter()
                    .map(|(check, dimension, region)| (check, dimension, *leg, region)),
            );
        }
    }
    let mut out = Vec::with_capacity(items.len());
    let mut judged = Judged::default();
    for (check, _) in items {
        let mut legs = failed.iter().filter(|(failed, ..)| failed == check);
        // The first leg is shown: UDP before ICMP.
        let Some((_, dimension, leg, blocked)) = legs.next() else {
            continue;
        };
        let other = legs.next();
        let blocks = [Some(blocked), other.map(|(.., region)| region)]
            .into_iter()
            .flatten()
            .any(|region| case.traffic.share(region).is_all());
        let impact = if side.is_advisory() {
            Impact::Advisory
        } else if blocks {
            Impact::Blocks
        } else {
            Impact::Intermittent
        };
        out.push(Finding {
            check: *check,
            side: Some((side.layer, side.direction)),
            leg: Some(*leg),
            both_legs: other.is_some(),
            impact,
            evidence: evidence(side, &case.traffic, *leg, *dimension, blocked, &mut judged),
        });
    }
    out
}
