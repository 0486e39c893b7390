//! A backend server's status: health that is shown, whether it was diagnosed, and what was found.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{
        BackendServerStatus, Diagnosis, Fix, HealthCheckProtocol, HealthCheckTraffic, HealthState,
        conditions::{reasons, types},
    },
    engine::{
        self, Case, CheckId, Evidence, Finding, Impact, Verdict, covering_prefixes, format_address, format_prefix,
    },
    text::{clean_for_json, percentage},
    world::{Collected, Key, World},
};

use super::{
    advice, budget,
    conditions::{Conditions, State},
    findings,
    fix::{self, Target},
    values, words,
};

/// Source prefixes listed before the rest is only counted.
const MAX_SOURCES: usize = 16;

/// The controller's part of a backend server's status (`health` is `None` in it), as it ought to be now. Transition times of
/// conditions whose status is unchanged are kept from the status that the world holds. `None`: no such object.
#[must_use]
pub fn backend_server_status(world: &World, key: &Key, now: &Time) -> Option<BackendServerStatus> {
    world.collect(key).map(|collected| status(&collected, now))
}

/// As [`backend_server_status`], from what was collected.
#[must_use]
pub fn status(collected: &Collected, now: &Time) -> BackendServerStatus {
    let verdict = collected.case.as_ref().ok().map(engine::diagnose);
    let held = collected
        .backend
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let mut conditions = Conditions::new(held, collected.backend.metadata.generation, now);
    match &collected.case {
        Err(refusal) if refusal.reason.is_unready() => {
            conditions.set(types::READY, State::False, refusal.reason.as_str(), &refusal.message);
        }
        _ => {
            conditions.set(types::READY, State::True, reasons::RECONCILED, "References found");
        }
    }
    let (healthy, message) = displayed(collected);
    conditions.set(types::HEALTHY, healthy, &collected.displayed_reason, message);
    match (&collected.case, &verdict) {
        (Err(refusal), _) => {
            conditions.set(
                types::DIAGNOSED,
                State::False,
                refusal.reason.as_str(),
                &refusal.message,
            );
            let message = format!("Not diagnosed: {}", refusal.reason.as_str());
            conditions.set(types::FAULT_FOUND, State::Unknown, reasons::NOT_DIAGNOSED, message);
        }
        (Ok(case), Some(verdict)) => {
            let reason = if verdict.impact == Impact::None {
                reasons::NO_FAULT_FOUND
            } else {
                reasons::FAULTS_FOUND
            };
            let disagreement = advice::disagreement(collected, verdict);
            conditions.set(
                types::DIAGNOSED,
                State::True,
                reason,
                summary(case, verdict, disagreement.as_deref()),
            );
            if let Some((check, gravest)) = verdict.outcomes.gravest() {
                let message = finding_in_short(collected, case, verdict, check, gravest);
                conditions.set(types::FAULT_FOUND, State::True, check.condition_reason(), message);
            } else {
                let message = format!("All {} items passed", engine::CheckId::ALL.len());
                conditions.set(types::FAULT_FOUND, State::False, reasons::NO_FAULT_FOUND, message);
            }
        }
        (Ok(_), None) => {}
    }
    let diagnosis = collected.case.as_ref().ok().zip(verdict.as_ref());
    BackendServerStatus {
        health: None,
        observed_generation: collected.backend.metadata.generation,
        conditions: conditions.done(),
        diagnosis: diagnosis.map(|(case, verdict)| diagnosis_of(collected, case, verdict)),
    }
}

fn displayed(collected: &Collected) -> (State, String) {
    let message = collected
        .backend
        .status
        .as_ref()
        .and_then(|status| status.health.as_ref()?.message.as_deref());
    let reason = collected.displayed_reason.as_str();
    match collected.displayed {
        HealthState::Healthy => (State::True, "The health check succeeds".to_owned()),
        HealthState::Unhealthy => {
            let text = message
                .filter(|text| !text.trim().is_empty())
                .unwrap_or("The health check fails");
            (State::False, clean_for_json(text, 256))
        }
        HealthState::Unknown => {
            let text = match reason {
                reasons::HEALTH_CHECK_DISABLED => "The health check of its backend server group is off",
                reasons::NOT_ASSOCIATED_WITH_LISTENER => "No listener uses its backend server group",
                reasons::NOT_REPORTED => "No health has been reported yet",
                _ => "The health is reported as unknown",
            };
            (State::Unknown, text.to_owned())
        }
    }
}

/// One sentence about all layers together; how many items failed stands in the diagnosis.
fn summary(case: &Case, verdict: &Verdict, disagreement: Option<&str>) -> String {
    let text = match verdict.impact {
        Impact::None => "No item failed: the rules let every probe and reply pass".to_owned(),
        Impact::Advisory => "Items failed, but no probe is dropped for them".to_owned(),
        Impact::Blocks => "Every probe is dropped".to_owned(),
        Impact::Intermittent => format!("{}: the backend flaps", dropped_part(case, verdict)),
    };
    match disagreement {
        Some(disagreement) => format!("{text}. {disagreement}"),
        None => text,
    }
}

/// Which probes are dropped, where one item tells it all, else how many.
fn dropped_part(case: &Case, verdict: &Verdict) -> String {
    let mut dropping = verdict
        .outcomes
        .findings()
        .filter(|(_, finding)| finding.impact() > Impact::Advisory);
    if let (Some((_, Finding::Rules(found))), None) = (dropping.next(), dropping.next()) {
        let evidence = &found.evidence;
        let blocked = values::sentence(&evidence.values, case.traffic.family);
        match &evidence.values {
            engine::Values::Prefixes(..) if evidence.share == verdict.dropped => {
                return format!("Probes from {blocked} are dropped");
            }
            engine::Values::Ports(_) if evidence.share == verdict.dropped => {
                return format!("Probes with source port {blocked} are dropped");
            }
            _ => {}
        }
    }
    format!("{} of all probes are dropped", dropped_percentage(verdict))
}

fn dropped_percentage(verdict: &Verdict) -> String {
    let share = verdict.dropped.to_decimal();
    percentage(&share).unwrap_or(share)
}

/// Which rule decides, and the fix: what an admin acts on without opening anything else.
fn finding_in_short(
    collected: &Collected,
    case: &Case,
    verdict: &Verdict,
    check: CheckId,
    finding: &Finding,
) -> String {
    let Finding::Rules(found) = finding else {
        return findings::failed_check(collected, case, verdict, check, finding).reason;
    };
    let (side, evidence) = ((found.layer, found.direction), &found.evidence);
    let decided = &evidence.decided_by;
    let denial = match (&decided.object, &decided.rule) {
        (Some(object), Some(rule)) => format!("{object}: rule {rule} denies"),
        (Some(object), None) => format!("{object}: no rule matches"),
        (None, _) if collected.security_groups.is_empty() => "No security group is on the interface".to_owned(),
        (None, _) => format!("{}: no rule matches", values::names(&collected.security_groups)),
    };
    let fixes = fix::fixes(collected, case, &verdict.fixes);
    let Some(fix) = fixes.iter().find(|fix| (fix.layer, fix.direction) == side) else {
        // Nothing to apply: what it is about.
        return format!("{denial}: {}", blocked_part(case, side.1, evidence));
    };
    let summary = words::fixes::summary(fix, &case.traffic, decided.rule.as_deref());
    match &fix.target {
        Target::Existing(object) if decided.object.as_ref() != Some(object) => {
            format!("{denial}; fix in {object}: {summary}")
        }
        // The summary names a group that is still to be created.
        Target::Existing(_) | Target::New(_) => format!("{denial}; fix: {summary}"),
    }
}

/// What is dropped, for a sentence without a fix.
fn blocked_part(case: &Case, direction: engine::Direction, evidence: &Evidence) -> String {
    let family = case.traffic.family;
    let blocked = values::sentence(&evidence.values, family);
    let leg = evidence.witness.leg.name(family);
    match &evidence.values {
        engine::Values::Ports(_) => format!("{leg} port {blocked}"),
        engine::Values::Protocol(_) => blocked,
        engine::Values::Prefixes(..) if direction == engine::Direction::Ingress => format!("{leg} from {blocked}"),
        engine::Values::Prefixes(..) => format!("{leg} to {blocked}"),
    }
}

fn diagnosis_of(collected: &Collected, case: &Case, verdict: &Verdict) -> Diagnosis {
    let traffic = &case.traffic;
    let prefixes = covering_prefixes(traffic.family, &traffic.sources);
    let omitted = u32::try_from(prefixes.len().saturating_sub(MAX_SOURCES)).unwrap_or(u32::MAX);
    let shown = prefixes
        .into_iter()
        .take(MAX_SOURCES)
        .map(|prefix| format_prefix(traffic.family, prefix));
    let failed = u32::try_from(verdict.outcomes.findings().count()).unwrap_or(u32::MAX);
    let mut notes = advice::notes(collected, case, verdict);
    notes.extend(advice::disagreement(collected, verdict));
    let mut out = Diagnosis {
        health_check: HealthCheckTraffic {
            protocol: collected
                .health_check
                .as_ref()
                .map_or(HealthCheckProtocol::TCP, |check| check.protocol),
            port: traffic.port,
            sources: shown.collect(),
            omitted_sources: (omitted > 0).then_some(omitted),
            destination: format_address(traffic.family, traffic.local),
        },
        checked: u32::try_from(engine::CheckId::ALL.len()).unwrap_or(u32::MAX),
        failed,
        impact: values::diagnosis_impact(verdict.impact),
        dropped_share: verdict.dropped.to_decimal(),
        checks: verdict
            .outcomes
            .findings()
            .map(|(check, finding)| findings::failed_check(collected, case, verdict, check, finding))
            .collect(),
        fixes: fix::fixes(collected, case, &verdict.fixes)
            .iter()
            .map(|fix| Fix {
                kind: values::kind(fix.layer),
                name: fix.target.name().to_owned(),
                direction: values::direction(fix.direction),
                summary: words::fixes::summary(fix, traffic, None),
                patch: words::fixes::patch(fix, traffic),
                verified: fix.verified,
            })
            .collect(),
        next_steps: if verdict.dropped.is_none() {
            advice::next_steps(collected, case)
        } else {
            Vec::new()
        },
        notes: notes.into_iter().map(|note| clean_for_json(&note, 512)).collect(),
    };
    budget::fit(&mut out);
    out
}
