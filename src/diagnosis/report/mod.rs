//! The report: everything that there is to say about one diagnosis, as data. Whatever shows or counts a diagnosis reads this;
//! the words come last.

mod fixes;
mod hints;
mod notes;
mod reported;
mod steps;

use crate::{
    api::v1alpha1::HealthCheckProtocol,
    engine::{Case, CheckId, Decision, Direction, Finding, Impact, Layer, Outcomes, Packet, Share, Traffic, Verdict},
    world::Collected,
};

pub use fixes::{Fix, NewRule, Operation, Target};
pub use hints::OtherFamily;
pub use notes::{AboutAcl, Note};
pub use reported::{Disagreement, ReportedReason};
pub use steps::{Codes, NextStep, OtherSources, Request, RequestKind, Vantage};

/// What is known of one backend server that was diagnosed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the backend server.
    pub backend: String,
    /// Names of its security groups, in order of precedence.
    pub security_groups: Vec<String>,
    /// Protocol of the health check.
    pub protocol: HealthCheckProtocol,
    /// The traffic that was judged.
    pub traffic: Traffic,
    /// What became of each item.
    pub outcomes: Outcomes,
    /// The part of the probes that do not complete.
    pub dropped: Share,
    /// Effect of all layers together.
    pub impact: Impact,
    /// A change for each failing direction of each layer, where there is one.
    pub fixes: Vec<Fix>,
    /// Where the rules do not explain the report: what remains, most likely first.
    pub next_steps: Vec<NextStep>,
    /// Why a layer passed as a whole, assumptions.
    pub notes: Vec<Note>,
    /// Where the reported reason cannot be what the rules predict.
    pub disagreement: Option<Disagreement>,
}

impl Report {
    /// The report of a verdict.
    pub(super) fn new(collected: &Collected, case: &Case, verdict: Verdict) -> Self {
        let check = collected.health_check.as_deref();
        let protocol = check.map_or(HealthCheckProtocol::TCP, |check| check.protocol);
        let reported = ReportedReason::of(collected);
        let unexplained = steps::unexplained(verdict.dropped, reported, protocol);
        let next_steps = if unexplained {
            steps::next_steps(collected, &case.traffic, verdict.dropped, reported)
        } else {
            Vec::new()
        };
        Self {
            backend: collected.backend.metadata.name.clone().unwrap_or_default(),
            security_groups: collected.security_groups.clone(),
            protocol,
            traffic: case.traffic.clone(),
            fixes: fixes::fixes(collected, case, &verdict.fixes),
            next_steps,
            notes: notes::notes(collected, case, &verdict, unexplained),
            disagreement: reported::disagreement(reported, protocol, &verdict),
            dropped: verdict.dropped,
            impact: verdict.impact,
            outcomes: verdict.outcomes,
        }
    }

    /// The fix of one direction of one layer.
    #[must_use]
    pub fn fix_of(&self, layer: Layer, direction: Direction) -> Option<&Fix> {
        self.fixes
            .iter()
            .find(|fix| (fix.layer, fix.direction) == (layer, direction))
    }

    /// The failed items that are wanted, in table order, each with what is new in its evidence.
    pub fn failed(&self, wanted: impl Fn(CheckId) -> bool) -> impl Iterator<Item = Failed<'_>> {
        let mut before: Option<Before<'_>> = None;
        let findings = self.outcomes.findings().filter(move |(check, _)| wanted(*check));
        findings.map(move |(check, finding)| {
            let Finding::Rules(found) = finding else {
                return Failed::new(check, finding);
            };
            let side = (found.layer, found.direction);
            let evidence = &found.evidence;
            let known = before.take().filter(|before| before.side == side);
            before = Some(Before {
                side,
                witness: evidence.witness,
                decision: &evidence.decided_by,
            });
            Failed {
                new_witness: known.as_ref().is_none_or(|before| before.witness != evidence.witness),
                new_decision: known.is_none_or(|before| *before.decision != evidence.decided_by),
                ..Failed::new(check, finding)
            }
        })
    }
}

/// The evidence of the item before.
struct Before<'a> {
    side: (Layer, Direction),
    witness: Packet,
    decision: &'a Decision,
}

/// A failed item. Often one rule decides a whole direction: then what the item before it in the same layer and direction has
/// need not be shown again.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// The item.
    pub check: CheckId,
    /// What was found.
    pub finding: &'a Finding,
    /// Whether its witness is another, and so the nearest rule may be.
    pub new_witness: bool,
    /// Whether what decides is another.
    pub new_decision: bool,
}

impl<'a> Failed<'a> {
    fn new(check: CheckId, finding: &'a Finding) -> Self {
        Self {
            check,
            finding,
            new_witness: true,
            new_decision: true,
        }
    }
}
