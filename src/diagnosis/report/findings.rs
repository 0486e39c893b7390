//! What was found, less what is accepted (semantics §8): the one list that everything counts, shows and ranks by.

use std::sync::Arc;

use crate::{
    engine::{BeyondFinding, CheckId, Direction, Finding, Impact, Layer, Outcomes, RuleFinding, Severity, Verdict},
    world::Collected,
};

/// A failed item, or something that was found beyond the items.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Which check failed.
    pub check: CheckId,
    /// The load balancer's subnet, where it is about one.
    pub subnet: Option<&'a Arc<str>>,
    /// What was found.
    pub what: What<'a>,
}

/// What was found about a check.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// Rules drop some required packet.
    Rules(&'a RuleFinding),
    /// The health check port is not the backend server's own.
    Port {
        /// The health check port.
        port: u16,
        /// The backend server's own port.
        own: u16,
    },
}

/// One direction of one layer, at one end. A network ACL of the load balancer's is told by its subnet.
pub type Side<'a> = (Layer, Direction, Option<&'a str>);

impl<'a> Found<'a> {
    fn item((check, finding): (CheckId, &'a Finding)) -> Self {
        let what = match finding {
            Finding::Rules(found) => What::Rules(found),
            Finding::Configuration { port, own } => What::Port { port: *port, own: *own },
        };
        Self {
            check,
            subnet: None,
            what,
        }
    }

    fn beyond(found: &'a BeyondFinding) -> Self {
        Self {
            check: found.check,
            subnet: found.subnet.as_ref(),
            what: What::Rules(&found.found),
        }
    }

    /// Effect of this finding by itself.
    #[must_use]
    pub fn impact(&self) -> Impact {
        match self.what {
            What::Rules(found) => found.impact,
            What::Port { .. } => Impact::Advisory,
        }
    }

    /// How grave it is.
    #[must_use]
    pub fn rank(&self) -> (Impact, Severity) {
        (self.impact(), self.check.severity())
    }

    /// What was found about rules.
    #[must_use]
    pub fn rules(&self) -> Option<&'a RuleFinding> {
        match self.what {
            What::Rules(found) => Some(found),
            What::Port { .. } => None,
        }
    }

    /// The rules that it is about.
    #[must_use]
    pub fn side(&self) -> Option<Side<'a>> {
        let subnet = self.subnet.map(|subnet| &**subnet);
        self.rules().map(|found| (found.layer, found.direction, subnet))
    }

    /// Whether it is no item of the page.
    #[must_use]
    pub fn is_beyond(&self) -> bool {
        CheckId::BEYOND.contains(&self.check)
    }
}

/// The checks whose advisory findings are accepted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Accept {
    checks: Vec<CheckId>,
    /// What is listed and is no id of a check.
    pub(super) unknown: Vec<String>,
}

impl Accept {
    /// What the annotations list.
    pub fn of(collected: &Collected) -> Self {
        let mut out = Self::default();
        for id in collected.accept.iter().map(|id| id.trim()).filter(|id| !id.is_empty()) {
            match every_check().find(|check| check.id() == id) {
                Some(check) if !out.checks.contains(&check) => out.checks.push(check),
                None if !out.unknown.iter().any(|known| known == id) => out.unknown.push(id.to_owned()),
                Some(_) | None => {}
            }
        }
        out
    }

    /// Whether it is listed, whatever its effect is.
    pub(super) fn lists(&self, found: &Found<'_>) -> bool {
        self.checks.contains(&found.check)
    }

    fn accepts(&self, found: &Found<'_>) -> bool {
        self.lists(found) && found.impact() <= Impact::Advisory
    }
}

/// The items and what is looked at beyond them.
pub(super) fn every_check() -> impl Iterator<Item = CheckId> {
    CheckId::ALL.into_iter().chain(CheckId::BEYOND.iter().copied())
}

/// All that was found, in table order, what is beyond the items last.
fn all<'a>(outcomes: &'a Outcomes, beyond: &'a [BeyondFinding]) -> impl DoubleEndedIterator<Item = Found<'a>> {
    outcomes
        .findings()
        .map(Found::item)
        .chain(beyond.iter().map(Found::beyond))
}

/// A verdict's outcomes with what is accepted of them.
#[derive(Clone, Debug)]
pub struct Findings {
    outcomes: Outcomes,
    beyond: Vec<BeyondFinding>,
    accept: Accept,
}

impl Findings {
    /// Takes what was found out of a verdict.
    pub fn new(verdict: &mut Verdict, accept: Accept) -> Self {
        Self {
            outcomes: std::mem::take(&mut verdict.outcomes),
            beyond: std::mem::take(&mut verdict.beyond),
            accept,
        }
    }

    /// What became of each item, accepted or not.
    pub(super) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    pub(super) fn accept(&self) -> &Accept {
        &self.accept
    }

    /// What makes a fault, in table order, what is beyond the items last.
    #[must_use]
    pub fn faults(&self) -> impl DoubleEndedIterator<Item = Found<'_>> {
        all(&self.outcomes, &self.beyond).filter(|found| !self.accept.accepts(found))
    }

    /// The checks of which findings are accepted, in the same order.
    #[must_use]
    pub fn accepted(&self) -> Vec<CheckId> {
        let mut out: Vec<CheckId> = all(&self.outcomes, &self.beyond)
            .filter(|found| self.accept.accepts(found))
            .map(|found| found.check)
            .collect();
        // Several findings beyond the items may be of one check; they stand together.
        out.dedup();
        out
    }

    /// The gravest fault: by effect, then severity, then the order.
    #[must_use]
    pub fn gravest(&self) -> Option<Found<'_>> {
        self.faults().rev().max_by_key(Found::rank)
    }

    /// What makes a fault of these rules.
    pub fn of_side<'a>(&'a self, side: Side<'a>) -> impl Iterator<Item = &'a RuleFinding> {
        self.faults()
            .filter(move |found| found.side() == Some(side))
            .filter_map(|found| found.rules())
    }

    /// Whether these rules make a fault, or the health check port does.
    pub(super) fn port_fails(&self) -> bool {
        self.faults().any(|found| matches!(found.what, What::Port { .. }))
    }
}
