//! A backend server's status: the report as it is written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{
        self as api, BackendServerStatus, Blocked, Diagnosis, FailedCheck, HealthCheckTraffic, HealthState, RuleAction,
        Witness,
        conditions::{reasons, types},
    },
    engine::{CheckId, Direction, Layer, RuleFinding, Traffic, format_address},
};

use super::{
    assessment::Assessment,
    budget,
    conditions::{Conditions, State},
    report::{Failed, Fix, PortRemoval, Report},
    values, words,
};

/// Source prefixes listed before the rest is only counted.
const MAX_SOURCES: usize = 16;
/// Blocked values listed before the rest is only counted.
const MAX_VALUES: usize = 16;

/// Findings at the load balancer's subnets, and fixes, listed before the rest is only counted: a load balancer may have a hundred subnets.
const MAX_BEYOND: usize = 16;
const MAX_FIXES: usize = 4 + MAX_BEYOND;

/// The controller's part of a backend server's status (`health` is `None` in it), as it ought to be now. Transition times of
/// conditions whose status is unchanged are kept from the status that the object has.
#[must_use]
pub fn status(assessment: &Assessment, now: &Time) -> BackendServerStatus {
    let backend = &assessment.backend;
    let observed = backend.status.as_ref().map(|status| status.conditions.as_slice());
    let generation = backend.metadata.generation;
    // The generation stands once, beside the conditions, where `kubectl wait` finds it: a status is to stay small.
    let mut conditions = Conditions::new(observed.unwrap_or_default(), None, now);
    match &assessment.outcome {
        Err(refusal) if refusal.reason.is_unready() => {
            conditions.set(types::READY, State::False, refusal.reason.as_str(), &refusal.message);
        }
        Ok(_) | Err(_) => {
            conditions.set(types::READY, State::True, reasons::RECONCILED, "");
        }
    }
    let state = match assessment.displayed {
        HealthState::Healthy => State::True,
        HealthState::Unhealthy => State::False,
        HealthState::Unknown => State::Unknown,
    };
    let reason = assessment.displayed_reason.as_str();
    let message = words::conditions::healthy(assessment.displayed, reason);
    conditions.set(types::HEALTHY, state, reason, message);
    let outcome = assessment.outcome_reason();
    match &assessment.outcome {
        Err(refusal) => {
            conditions.set(types::DIAGNOSED, State::False, outcome, &refusal.message);
            let message = format!("Not diagnosed: {outcome}");
            conditions.set(types::FAULT_FOUND, State::Unknown, reasons::NOT_DIAGNOSED, message);
        }
        Ok(report) => {
            let message = words::conditions::diagnosed(report);
            conditions.set(types::DIAGNOSED, State::True, outcome, message);
            if let Some(gravest) = report.findings.gravest() {
                let message = words::conditions::fault(report, &gravest);
                conditions.set(
                    types::FAULT_FOUND,
                    State::True,
                    gravest.check.condition_reason(),
                    message,
                );
            } else {
                let message = words::conditions::no_fault(report);
                conditions.set(types::FAULT_FOUND, State::False, reasons::NO_FAULT_FOUND, message);
            }
        }
    }
    BackendServerStatus {
        health: None,
        observed_generation: generation,
        conditions: conditions.done(),
        diagnosis: assessment.outcome.as_ref().ok().map(diagnosis),
    }
}

fn diagnosis(report: &Report) -> Diagnosis {
    let traffic = &report.traffic;
    let (sources, omitted_sources) = cut(words::values::sources(report), MAX_SOURCES);
    let mut out = Diagnosis {
        health_check: HealthCheckTraffic {
            protocol: report.protocol,
            port: traffic.port,
            sources,
            omitted_sources,
            destination: format_address(traffic.family, traffic.local),
        },
        checked: number(CheckId::COUNT),
        failed: number(report.findings.faults().count()),
        impact: values::diagnosis_impact(report.impact),
        dropped_share: report.dropped.to_decimal(),
        checks: checks(report, |check| !is_beyond(check)).collect(),
        beyond: checks(report, is_beyond).take(MAX_BEYOND).collect(),
        accepted: report
            .findings
            .accepted()
            .into_iter()
            .map(|check| check.id().to_owned())
            .collect(),
        fixes: report
            .fixes
            .iter()
            .take(MAX_FIXES)
            .map(|one| fix(report, one))
            .chain(report.port_removal.as_ref().map(port_removal))
            .collect(),
        next_steps: report
            .next_steps
            .iter()
            .map(|step| words::steps::step(report, step))
            .collect(),
        notes: words::notes::notes(report),
    };
    budget::fit(&mut out);
    // Counted last: the budget may leave out some more.
    let shown = out.checks.len() + out.beyond.len();
    if let Some(more) = report
        .findings
        .faults()
        .count()
        .checked_sub(shown)
        .filter(|more| *more > 0)
    {
        out.notes.push(format!(
            "{more} more findings at the load balancer's subnets are not listed"
        ));
    }
    out
}

fn is_beyond(check: CheckId) -> bool {
    CheckId::BEYOND.contains(&check)
}

/// The faults that are wanted, in table order. One without a witness has the witness, what decides and the nearest rule
/// of the one before it in the same layer and direction; one without what decides has that.
pub fn checks(report: &Report, wanted: impl Fn(CheckId) -> bool) -> impl Iterator<Item = FailedCheck> {
    report.failed(wanted).map(|failed| failed_check(report, failed))
}

fn failed_check(report: &Report, failed: Failed<'_>) -> FailedCheck {
    let Failed { found, .. } = failed;
    let check = found.check;
    let rules = found.rules();
    FailedCheck {
        id: check.id().to_owned(),
        category: check.category().as_str().to_owned(),
        item: check.item().to_owned(),
        severity: check.severity().as_str().to_owned(),
        reason: words::checks::reason(report, &found),
        suggestion: words::checks::suggestion(report, &found),
        impact: values::item_impact(found.impact()),
        blocked: rules.map(|rules| blocked(report, rules)),
        witness: rules
            .filter(|_| failed.new_witness)
            .map(|rules| witness(&report.traffic, rules)),
        decided_by: rules
            .filter(|_| failed.new_witness || failed.new_decision)
            .map(decided_by),
        nearest: rules.filter(|_| failed.new_witness).and_then(nearest),
    }
}

fn blocked(report: &Report, found: &RuleFinding) -> Blocked {
    let evidence = &found.evidence;
    let (values, omitted) = cut(words::values::list(&evidence.values, report.traffic.family), MAX_VALUES);
    Blocked {
        values,
        omitted,
        share: evidence.share.to_decimal(),
    }
}

/// The witness of a finding, as far as its layer looks at it.
#[must_use]
pub fn witness(traffic: &Traffic, found: &RuleFinding) -> Witness {
    let packet = &found.evidence.witness;
    let ports = packet.leg.has_ports();
    let remote = Some(format_address(traffic.family, packet.remote));
    let local = Some(format_address(traffic.family, traffic.local));
    let remote_port = ports.then_some(packet.remote_port);
    let local_port = ports.then_some(traffic.port);
    let protocol = packet.leg.name(traffic.family).to_owned();
    match (found.layer, found.direction) {
        // A security group looks at the remote address and, in both directions, the health check port only.
        (Layer::SecurityGroup | Layer::SecurityGroupReply, Direction::Ingress) => Witness {
            protocol,
            source: remote,
            destination_port: local_port,
            ..Witness::default()
        },
        (Layer::SecurityGroup, Direction::Egress) => Witness {
            protocol,
            destination: remote,
            destination_port: local_port,
            ..Witness::default()
        },
        // A probe.
        (Layer::NetworkAcl, Direction::Ingress) | (Layer::LoadBalancerAcl, Direction::Egress) => Witness {
            protocol,
            source: remote,
            source_port: remote_port,
            destination: local,
            destination_port: local_port,
        },
        // A reply.
        (Layer::NetworkAcl | Layer::SecurityGroupReply, Direction::Egress)
        | (Layer::LoadBalancerAcl, Direction::Ingress) => Witness {
            protocol,
            source: local,
            source_port: local_port,
            destination: remote,
            destination_port: remote_port,
        },
    }
}

fn decided_by(found: &RuleFinding) -> api::Decision {
    let decided = &found.evidence.decided_by;
    api::Decision {
        kind: values::kind(found.layer),
        name: decided.object.as_deref().map(str::to_owned),
        rule: decided.rule.as_deref().map(str::to_owned),
        index: decided.index,
        priority: decided.priority,
        action: RuleAction::Deny,
    }
}

fn nearest(found: &RuleFinding) -> Option<api::Nearest> {
    let nearest = found.evidence.nearest.as_ref()?;
    let misses = nearest.misses.iter();
    Some(api::Nearest {
        kind: values::kind(found.layer),
        name: nearest.object.to_string(),
        rule: nearest.rule.to_string(),
        misses: misses
            .map(|missed| values::dimension(found.layer, found.direction, *missed))
            .collect(),
        shadowed_by: nearest.shadowed_by.as_deref().map(str::to_owned),
    })
}

fn fix(report: &Report, fix: &Fix) -> api::Fix {
    api::Fix {
        kind: values::fix_kind(fix.layer),
        name: fix.target.name().to_owned(),
        direction: Some(values::direction(fix.direction)),
        summary: words::fixes::summary(fix, &report.traffic),
        patch: words::fixes::patch(fix, &report.traffic),
        verified: fix.verified,
    }
}

fn port_removal(removal: &PortRemoval) -> api::Fix {
    api::Fix {
        kind: values::port_fix_kind(removal.from),
        name: removal.name.clone(),
        direction: None,
        summary: words::fixes::port_removal(removal),
        patch: Some(words::fixes::port_patch(removal)),
        // Only what was judged again is offered.
        verified: true,
    }
}

/// The first of a list, and how many more there are.
fn cut(mut list: Vec<String>, max: usize) -> (Vec<String>, Option<u32>) {
    let omitted = number(list.len().saturating_sub(max));
    list.truncate(max);
    (list, (omitted > 0).then_some(omitted))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        api::v1alpha1::BackendServer,
        diagnosis::backend_server_status,
        world::{Key, Refusal, RefusalReason, World},
    };

    use super::*;

    #[test]
    fn a_diagnosis_that_was_given_up_is_refused_and_blames_no_reference() {
        let refusal = Refusal::new(
            RefusalReason::TooIntricate,
            "NetworkACL maze spec.ingress: too intricate",
        );
        let backend = json!({"metadata": {"name": "one", "namespace": "mall"},
            "spec": {"loadBalancerRef": {"name": "door"}, "backendServerGroup": "g", "address": "10.1.0.5", "port": 80,
                     "subnetRef": {"name": "lan"}}});
        let assessment = Assessment {
            backend: serde_json::from_value::<BackendServer>(backend).unwrap().into(),
            displayed: HealthState::Unhealthy,
            displayed_reason: "ConnectTimeout".into(),
            outcome: Err(refusal),
        };
        let status = status(&assessment, &Time(jiff::Timestamp::UNIX_EPOCH));
        let conditions = status.conditions.iter();
        let words: Vec<_> = conditions
            .map(|one| (one.type_.as_str(), one.status.as_str(), one.reason.as_str()))
            .collect();
        let expected = [
            ("Ready", "True", "Reconciled"),
            ("Healthy", "False", "ConnectTimeout"),
            ("Diagnosed", "False", "TooIntricate"),
            ("FaultFound", "Unknown", "NotDiagnosed"),
        ];
        assert_eq!(words, expected);
        assert!(status.diagnosis.is_none());
        assert_eq!(assessment.facts().outcome, "TooIntricate");
    }

    #[test]
    fn a_new_message_or_time_of_a_reporter_changes_nothing() {
        let status = |health: Value| {
            let backend = json!({"metadata": {"name": "one", "namespace": "mall"}, "status": {"health": health},
                "spec": {"loadBalancerRef": {"name": "door"}, "backendServerGroup": "g", "address": "10.1.0.5", "port": 80,
                         "subnetRef": {"name": "lan"}}});
            let mut world = World::default();
            world.set(serde_json::from_value::<BackendServer>(backend).unwrap().into());
            backend_server_status(&world, &Key::new("mall", "one"), &Time(jiff::Timestamp::UNIX_EPOCH)).unwrap()
        };
        let first = json!({"state": "Unhealthy", "reason": "ConnectTimeout", "message": "no answer in 3001 ms"});
        let mut next = first.clone();
        for (field, value) in [
            ("message", "no answer in 3002 ms"),
            ("reportedAt", "2026-01-31T12:00:00Z"),
        ] {
            next[field] = value.into();
            assert_eq!(status(first.clone()), status(next.clone()), "{field}");
        }
        next["reason"] = "ConnectRefused".into();
        assert_ne!(status(first), status(next), "but another reason does");
    }
}
