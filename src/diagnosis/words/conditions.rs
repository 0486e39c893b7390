//! The messages of a backend server's conditions; events tell the same.

use crate::{
    api::v1alpha1::{HealthState, conditions::reasons},
    engine::{CheckId, Direction, Finding, Impact, RuleFinding, Values},
};

use super::{
    super::report::{Report, Target},
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
        Impact::None => "No item failed: the rules let every probe and reply pass".to_owned(),
        Impact::Advisory => "Items failed, but no probe is dropped for them".to_owned(),
        Impact::Blocks => "Every probe is dropped".to_owned(),
        Impact::Intermittent => format!("{}: the backend flaps", dropped_part(report)),
    };
    match report.disagreement {
        Some(disagreement) => format!("{text}. {}", notes::disagreement(disagreement)),
        None => text,
    }
}

/// Which probes are dropped, where one item tells it all, else how many.
fn dropped_part(report: &Report) -> String {
    let findings = report.outcomes.findings();
    let mut dropping = findings.filter(|(_, finding)| finding.impact() > Impact::Advisory);
    if let (Some((_, Finding::Rules(found))), None) = (dropping.next(), dropping.next())
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

/// All items passed.
pub fn no_fault() -> String {
    format!("All {} items passed", CheckId::COUNT)
}

/// Which rule decides, and the fix: what an admin acts on without opening anything else.
pub fn fault(report: &Report, check: CheckId, finding: &Finding) -> String {
    let Finding::Rules(found) = finding else {
        return checks::reason(report, check, finding);
    };
    let decided = &found.evidence.decided_by;
    let denial = match (&decided.object, &decided.rule) {
        (Some(object), Some(rule)) => format!("{object}: rule {rule} denies"),
        (Some(object), None) => format!("{object}: no rule matches"),
        (None, _) if report.security_groups.is_empty() => "No security group is on the interface".to_owned(),
        (None, _) => format!("{}: no rule matches", names(&report.security_groups)),
    };
    let Some(fix) = report.fix_of(found.layer, found.direction) else {
        // Nothing to apply: what it is about.
        return format!("{denial}: {}", blocked_part(report, found));
    };
    let summary = fixes::summary(fix, &report.traffic, decided.rule.as_deref());
    match &fix.target {
        Target::Existing(object) if decided.object.as_ref() != Some(object) => {
            format!("{denial}; fix in {object}: {summary}")
        }
        // The summary names a group that is still to be created.
        Target::Existing(_) | Target::New(_) => format!("{denial}; fix: {summary}"),
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
