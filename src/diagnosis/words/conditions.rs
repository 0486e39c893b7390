//! The messages of a backend server's conditions; events tell the same.

use crate::{
    api::v1alpha1::{HealthState, conditions::reasons},
    engine::{CheckId, Direction, Impact, RuleFinding, Values},
};

use super::{
    super::report::{Found, Report},
    checks, fixes, notes,
    values::{names, percentage, sentence},
};

/// The displayed health. What a reporter said beside the reason stands in `status.health`: were it here, each new message
/// would be a write.
pub fn healthy(displayed: HealthState, reason: &str) -> &'static str {
    match displayed {
        // Status and reason say it.
        HealthState::Healthy | HealthState::Unhealthy => "",
        HealthState::Unknown => match reason {
            reasons::HEALTH_CHECK_DISABLED => "The health check of its backend server group is off",
            reasons::NOT_ASSOCIATED_WITH_LISTENER => "No listener uses its backend server group",
            reasons::NOT_REPORTED => "No health has been reported yet",
            _ => "The health is reported as unknown",
        },
    }
}

/// One sentence about all layers together; how many items failed stands in the diagnosis.
pub fn diagnosed(report: &Report) -> String {
    let text = match report.impact {
        Impact::None => "The rules let every probe and reply through".to_owned(),
        Impact::Advisory => "No probe is dropped".to_owned(),
        Impact::Blocks => "Every probe is dropped".to_owned(),
        Impact::Intermittent => format!("{} of the probes are dropped", percentage(report.dropped)),
    };
    match report.disagreement {
        Some(disagreement) => format!("{text}, but {}", notes::reported(disagreement)),
        None => text,
    }
}

/// No fault.
pub fn no_fault(report: &Report) -> String {
    let all = format!("All {} items passed", CheckId::COUNT);
    if report.findings.accepted().is_empty() {
        all
    } else {
        format!("{all} or are accepted")
    }
}

/// Which rule decides; how to change that stands in the diagnosis.
pub fn fault(report: &Report, found: &Found<'_>) -> String {
    let Some(rules) = found.rules() else {
        return checks::reason(report, found);
    };
    let decided = &rules.evidence.decided_by;
    let denial = match (&decided.object, &decided.rule) {
        (Some(object), Some(rule)) => format!("Rule {rule} in {object} denies"),
        (Some(object), None) => format!("No rule in {object} matches"),
        (None, _) if report.security_groups.is_empty() => "No security group is on the interface".to_owned(),
        (None, _) => format!("No rule in {} matches", names(&report.security_groups)),
    };
    if report.fix_of(found).is_some() {
        return denial;
    }
    // Nothing to apply: what it is about.
    format!("{denial}: {}", blocked_part(report, rules))
}

/// The same for an event, which stands by itself and is in no status: what is wrong, and what to change.
pub fn event(report: &Report, found: &Found<'_>) -> String {
    let reason = checks::explained(report, found);
    match report.fix_of(found) {
        Some(fix) => format!("{reason} To fix it: {}", fixes::explained(fix, &report.traffic)),
        None => reason,
    }
}

/// What is dropped, for a sentence without a fix.
fn blocked_part(report: &Report, found: &RuleFinding) -> String {
    let family = report.traffic.family;
    let values = &found.evidence.values;
    let blocked = sentence(values, family);
    let leg = found.evidence.witness.leg.name(family);
    match (values, found.direction) {
        (Values::Ports(_), _) => format!("{leg} port {blocked}"),
        (Values::Protocol(_), _) => blocked,
        (Values::Prefixes(..), Direction::Ingress) => format!("{leg} from {blocked}"),
        (Values::Prefixes(..), Direction::Egress) => format!("{leg} to {blocked}"),
    }
}
