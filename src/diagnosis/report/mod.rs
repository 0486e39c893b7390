//! The report: everything that there is to say about one diagnosis, as data. Whatever shows or counts a diagnosis reads this;
//! the words come last.

mod findings;
mod fixes;
mod hints;
mod notes;
mod port;
mod reported;
mod steps;

use crate::{
    api::v1alpha1::{HealthCheckProtocol, ReportedReason},
    engine::{Case, CheckId, Decision, Impact, Packet, Share, Traffic, Verdict},
    world::Collected,
};

pub use findings::{Accept, Findings, Found, Side, What};
pub use fixes::{Fix, NewRule, Operation, RuleArray, Target};
pub use hints::{DecidingGroup, OtherFamily};
pub use notes::{AboutAcl, Note};
pub use port::PortRemoval;
pub use reported::Disagreement;
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
    /// What was found, and what of it is accepted.
    pub findings: Findings,
    /// The part of the probes that do not complete.
    pub dropped: Share,
    /// Effect of all layers together, less what is accepted.
    pub impact: Impact,
    /// A change for each failing direction of each layer, where there is one, in the order in which they can be made.
    pub fixes: Vec<Fix>,
    /// Where to take the health check port away, where it is not the backend server's own and that heals it.
    pub port_removal: Option<PortRemoval>,
    /// How to accept that the health check port is another: what the annotation of the backend server is to list.
    pub accept_also: Vec<String>,
    /// Where the rules do not explain the report: what remains, most likely first.
    pub next_steps: Vec<NextStep>,
    /// Why a layer passed as a whole, assumptions.
    pub notes: Vec<Note>,
    /// Where the reported reason cannot be what the rules predict.
    pub disagreement: Option<Disagreement>,
}

impl Report {
    /// The report of a verdict, of which `findings` were taken.
    pub(super) fn new(collected: &Collected, case: &Case, verdict: &Verdict, findings: Findings) -> Self {
        let check = collected.health_check.as_deref();
        let protocol = check.map_or(HealthCheckProtocol::TCP, |check| check.protocol);
        let reported = ReportedReason::of(collected);
        let unexplained = steps::unexplained(verdict.dropped, reported, protocol);
        let next_steps = if unexplained {
            steps::next_steps(collected, &case.traffic, verdict.dropped, reported)
        } else {
            Vec::new()
        };
        let impact = match verdict.impact {
            Impact::Advisory if findings.faults().next().is_none() => Impact::None,
            other => other,
        };
        Self {
            backend: collected.backend.metadata.name.clone().unwrap_or_default(),
            security_groups: collected.security_groups.clone(),
            protocol,
            traffic: case.traffic.clone(),
            fixes: fixes::fixes(collected, case, &verdict.fixes, &findings),
            port_removal: verdict
                .port_fix
                .filter(|_| findings.port_fails())
                .and_then(|fix| PortRemoval::new(collected, case, fix)),
            accept_also: port::accepted_already(collected),
            next_steps,
            notes: notes::notes(collected, case, verdict, &findings, unexplained),
            disagreement: reported::disagreement(reported, protocol, verdict.dropped),
            dropped: verdict.dropped,
            impact,
            findings,
        }
    }

    /// The fix of the rules that a finding is about.
    #[must_use]
    pub fn fix_of(&self, found: &Found<'_>) -> Option<&Fix> {
        let side = found.side()?;
        self.fixes.iter().find(|fix| fix.side() == side)
    }

    /// The faults that are wanted, in table order, each with what is new in its evidence.
    pub fn failed(&self, wanted: impl Fn(CheckId) -> bool) -> impl Iterator<Item = Failed<'_>> {
        let mut before: Option<Before<'_>> = None;
        let faults = self.findings.faults().filter(move |found| wanted(found.check));
        faults.map(move |found| {
            let (Some(side), Some(rules)) = (found.side(), found.rules()) else {
                return Failed::new(found);
            };
            let evidence = &rules.evidence;
            // What is beyond the items stands in a list of its own, where each has its evidence.
            let known = before.take().filter(|before| before.side == side && !found.is_beyond());
            before = Some(Before {
                side,
                witness: evidence.witness,
                decision: &evidence.decided_by,
            });
            Failed {
                new_witness: known.as_ref().is_none_or(|before| before.witness != evidence.witness),
                new_decision: known.is_none_or(|before| *before.decision != evidence.decided_by),
                ..Failed::new(found)
            }
        })
    }
}

/// The evidence of the item before.
struct Before<'a> {
    side: Side<'a>,
    witness: Packet,
    decision: &'a Decision,
}

/// A fault. Often one rule decides a whole direction: then what the item before it in the same layer and direction has
/// need not be shown again.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// What was found.
    pub found: Found<'a>,
    /// Whether its witness is another, and so the nearest rule may be.
    pub new_witness: bool,
    /// Whether what decides is another.
    pub new_decision: bool,
}

impl<'a> Failed<'a> {
    fn new(found: Found<'a>) -> Self {
        Self {
            found,
            new_witness: true,
            new_decision: true,
        }
    }
}
