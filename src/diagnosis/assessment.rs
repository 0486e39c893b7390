//! From what was collected about one backend server to its report, or why there is none.

use std::sync::Arc;

use crate::{
    api::v1alpha1::{BackendServer, HealthState, conditions::reasons},
    engine::{self, Case, CheckId, Verdict},
    world::{Collected, Key, Refusal, RefusalReason, World},
};

use super::{
    report::{Accept, Findings, Report},
    words,
};

/// One backend server: the health that is shown, and its report, or why it is not diagnosed. Statuses, metrics and tables are
/// made of this.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// The object.
    pub backend: Arc<BackendServer>,
    /// The health that is shown.
    pub displayed: HealthState,
    /// Why: the reported reason, or a word of the condition vocabulary.
    pub displayed_reason: String,
    /// The report, or why there is none.
    pub outcome: Result<Report, Refusal>,
}

/// Assesses one backend server; `None`: there is no such object, or it cannot be read.
#[must_use]
pub fn assess(world: &World, key: &Key) -> Option<Assessment> {
    let collected = world.collect(key)?;
    let outcome = judge(&collected).map(Judged::report);
    Some(Assessment {
        outcome,
        displayed: collected.displayed,
        displayed_reason: collected.displayed_reason,
        backend: collected.backend,
    })
}

impl Assessment {
    /// The outcome in one word: the reason of the condition `Diagnosed`.
    #[must_use]
    pub fn outcome_reason(&self) -> &'static str {
        match &self.outcome {
            Err(refusal) => refusal.reason.as_str(),
            Ok(report) if report.findings.faults().next().is_none() => reasons::NO_FAULT_FOUND,
            Ok(_) => reasons::FAULTS_FOUND,
        }
    }

    /// The checks that make a fault, in table order, what is beyond the items last.
    pub fn failed(&self) -> impl Iterator<Item = CheckId> {
        let report = self.outcome.as_ref().ok();
        report
            .into_iter()
            .flat_map(|report| report.findings.faults().map(|found| found.check))
    }

    /// Whether the reported reason cannot be what the rules predict.
    #[must_use]
    pub fn disagrees(&self) -> bool {
        matches!(&self.outcome, Ok(report) if report.disagreement.is_some())
    }

    /// What metrics count and an event tells.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            outcome: self.outcome_reason(),
            refused: self.outcome.as_ref().err().map(|refusal| refusal.reason),
            failed: self.failed().collect(),
            disagreement: self.disagrees(),
            event: self.outcome.as_ref().ok().and_then(|report| {
                let gravest = report.findings.gravest()?;
                Some(words::conditions::event(report, &gravest))
            }),
        }
    }
}

/// What metrics count of one diagnosis, and what an event tells of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The outcome in one word.
    pub outcome: &'static str,
    /// Why there is no diagnosis, where there is none.
    pub refused: Option<RefusalReason>,
    /// The failed items in table order.
    pub failed: Vec<CheckId>,
    /// Whether the reported reason cannot be what the rules predict.
    pub disagreement: bool,
    /// The gravest fault in a sentence, where there is one.
    pub event: Option<String>,
}

/// A verdict with what it is about. Many are judged and counted of which only a few are shown: the report is made of those.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    collected: &'a Collected,
    case: &'a Case,
    verdict: Verdict,
    /// What was found, and what of it is accepted.
    pub findings: Findings,
}

/// Judges what was collected.
///
/// # Errors
///
/// Why there is nothing to judge.
pub fn judge(collected: &Collected) -> Result<Judged<'_>, Refusal> {
    let case = collected.case.as_ref().map_err(Clone::clone)?;
    let mut verdict = engine::diagnose(case).map_err(|intricate| {
        let message = words::refusals::too_intricate(case, intricate);
        Refusal::new(RefusalReason::TooIntricate, message)
    })?;
    Ok(Judged {
        collected,
        case,
        findings: Findings::new(&mut verdict, Accept::of(collected)),
        verdict,
    })
}

impl Judged<'_> {
    /// The report of it.
    #[must_use]
    pub fn report(self) -> Report {
        Report::new(self.collected, self.case, &self.verdict, self.findings)
    }
}
