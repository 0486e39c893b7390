//! The messages of a backend server's conditions; events tell the same.

use crate::{
    api::v1alpha1::{HealthState, conditions::reasons},
    engine::{CheckId, Direction, Impact, RuleFinding, Values},
};

use super::{
    super::{
        report::{Found, Report},
        values::kind_name,
    },
    checks, fixes, notes,
    values::{names, percentage, sentence},
};

/// The displayed health. What a reporter said beside the reason stands in `status.health`: were it here, each new message
/// would be a write.
pub fn healthy(displayed: HealthState, reason: &str) -> &'static str {
    match displayed {
        HealthState::Healthy => "The health check succeeds",
        HealthState::Unhealthy => "The health check fails",
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
        Impact::Intermittent => format!("{}: the backend server flaps", dropped_part(report)),
    };
    match report.disagreement {
        Some(disagreement) => format!("{text}, but {}", notes::reported(disagreement)),
        None => text,
    }
}

/// Which probes are dropped, where one finding tells it all, else how many.
fn dropped_part(report: &Report) -> String {
    let mut dropping = report
        .findings
        .faults()
        .filter(|found| found.impact() > Impact::Advisory);
    if let (Some(found), None) = (dropping.next(), dropping.next())
        && let Some(found) = found.rules()
        && found.evidence.share == report.dropped
    {
        let values = &found.evidence.values;
        let blocked = sentence(values, report.traffic.family);
        match values {
            Values::Prefixes(..) => return format!("Probes from {blocked} are dropped"),
            Values::Ports(_) => return format!("Probes with source port {blocked} are dropped"),
            Values::Protocol(_) => {}
        }
    }
    format!("{} of all probes are dropped", percentage(report.dropped))
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

/// Which rule decides, and the fix: what an admin acts on without opening anything else.
pub fn fault(report: &Report, found: &Found<'_>) -> String {
    let Some(rules) = found.rules() else {
        return checks::reason(report, found);
    };
    let decided = &rules.evidence.decided_by;
    let kind = kind_name(rules.layer);
    let denial = match (&decided.object, &decided.rule) {
        (Some(object), Some(rule)) => format!("Rule {rule} in {kind} {object} denies"),
        (Some(object), None) => format!("No rule in {kind} {object} matches"),
        (None, _) if report.security_groups.is_empty() => "No security group is on the interface".to_owned(),
        (None, _) => format!("No rule in {kind}s {} matches", names(&report.security_groups)),
    };
    match report.fix_of(found) {
        // Nothing to apply: what it is about.
        None => format!("{denial}: {}", blocked_part(report, rules)),
        Some(fix) => format!("{denial}; fix: {}", fixes::change(fix, &report.traffic)),
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
