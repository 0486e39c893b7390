//! Backend servers: the verdict, and the events that tell of it.

use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::v1alpha1::{
        BackendServer, BackendServerStatus,
        conditions::types::{DIAGNOSED, FAULT_FOUND, HEALTHY, READY},
    },
    diagnosis::{self, Facts},
    telemetry::Metrics,
    world::{Key, World},
};

use super::reconcile::{Reconciled, condition, has};
use crate::controller::events::Transition;

/// Reason of the event that tells of a backend server that became healthy.
const RECOVERED: &str = "Recovered";

impl Reconciled for BackendServer {
    type Facts = Facts;

    fn desired(world: &World, key: &Key, now: &Time, metrics: &Metrics) -> Option<(BackendServerStatus, Facts)> {
        let began = Instant::now();
        let assessment = diagnosis::assess(world, key)?;
        // The reporter's field is not in it: server-side apply must never see that from us.
        let status = diagnosis::status(&assessment, now);
        metrics.diagnosis_seconds.observe(began.elapsed().as_secs_f64());
        Some((status, assessment.facts()))
    }

    fn transitions(facts: &Facts, observed: &[Condition], desired: &[Condition]) -> Vec<Transition> {
        transitions(facts, observed, desired)
    }

    fn count(facts: &Facts, metrics: &Metrics) {
        metrics.count_diagnosis(facts.outcome);
        for check in &facts.failed {
            metrics.count_failed_check(check.id());
        }
        if facts.disagreement {
            metrics.count_disagreement();
        }
    }
}

fn transitions(facts: &Facts, observed: &[Condition], desired: &[Condition]) -> Vec<Transition> {
    let mut out = Vec::new();
    let mut tell = |warning, reason: &str, note: &str| {
        out.push(Transition {
            warning,
            reason: reason.into(),
            note: note.into(),
            action: "Diagnose",
        });
    };
    let is_new = |now: &Condition| !has(observed, &now.type_, &now.status, &now.reason);
    if let Some(fault) = condition(desired, FAULT_FOUND)
        && fault.status == "True"
        && is_new(fault)
    {
        tell(true, &fault.reason, facts.event.as_deref().unwrap_or(&fault.message));
    }
    if let Some(diagnosed) = condition(desired, DIAGNOSED)
        && is_new(diagnosed)
    {
        match facts.refused {
            Some(reason) if reason.is_misconfiguration() => tell(true, &diagnosed.reason, &diagnosed.message),
            None if facts.failed.is_empty() => tell(false, &diagnosed.reason, &diagnosed.message),
            Some(_) | None => {}
        }
    }
    // A healthy backend is not diagnosed, but what is wrong with its configuration is said all the same.
    if let Some(ready) = condition(desired, READY)
        && ready.status == "False"
        && is_new(ready)
        && condition(desired, DIAGNOSED).is_none_or(|diagnosed| diagnosed.reason != ready.reason)
    {
        tell(true, &ready.reason, &ready.message);
    }
    if let (Some(before), Some(now)) = (condition(observed, HEALTHY), condition(desired, HEALTHY))
        && before.status == "False"
        && now.status == "True"
    {
        tell(false, RECOVERED, &now.message);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::{engine::CheckId, world::RefusalReason};

    fn conditions(words: &[(&str, &str, &str)]) -> Vec<Condition> {
        let at = Time(jiff::Timestamp::UNIX_EPOCH);
        words
            .iter()
            .map(|(type_, status, reason)| Condition {
                last_transition_time: at.clone(),
                message: format!("{type_} is {status}"),
                observed_generation: None,
                reason: (*reason).into(),
                status: (*status).into(),
                type_: (*type_).into(),
            })
            .collect()
    }

    fn told(observed: &[(&str, &str, &str)], desired: &[(&str, &str, &str)]) -> Vec<(bool, String)> {
        let refused = match desired[2].2 {
            "BackendNotUnhealthy" => Some(RefusalReason::BackendNotUnhealthy),
            "ReferenceNotFound" => Some(RefusalReason::ReferenceNotFound),
            _ => None,
        };
        let facts = Facts {
            outcome: "",
            refused,
            failed: if desired[3].1 == "True" {
                vec![CheckId::SecurityGroupInboundSource]
            } else {
                Vec::new()
            },
            disagreement: false,
            event: None,
        };
        let told = transitions(&facts, &conditions(observed), &conditions(desired));
        told.into_iter().map(|one| (one.warning, one.reason)).collect()
    }

    const HEALTHY_NOW: [(&str, &str, &str); 4] = [
        ("Ready", "True", "Reconciled"),
        ("Healthy", "True", "Reported"),
        ("Diagnosed", "False", "BackendNotUnhealthy"),
        ("FaultFound", "Unknown", "NotDiagnosed"),
    ];
    const FAULTY: [(&str, &str, &str); 4] = [
        ("Ready", "True", "Reconciled"),
        ("Healthy", "False", "ConnectTimeout"),
        ("Diagnosed", "True", "FaultsFound"),
        ("FaultFound", "True", "SecurityGroupInboundSource"),
    ];
    const CLEAN: [(&str, &str, &str); 4] = [
        ("Ready", "True", "Reconciled"),
        ("Healthy", "False", "ConnectTimeout"),
        ("Diagnosed", "True", "NoFaultFound"),
        ("FaultFound", "False", "NoFaultFound"),
    ];
    const MISSING: [(&str, &str, &str); 4] = [
        ("Ready", "False", "ReferenceNotFound"),
        ("Healthy", "False", "ConnectTimeout"),
        ("Diagnosed", "False", "ReferenceNotFound"),
        ("FaultFound", "Unknown", "NotDiagnosed"),
    ];

    #[test]
    fn a_transition_is_told_once_under_the_name_of_what_was_found() {
        assert_eq!(told(&[], &FAULTY), [(true, "SecurityGroupInboundSource".into())]);
        assert_eq!(told(&FAULTY, &FAULTY), []);
        assert_eq!(told(&HEALTHY_NOW, &CLEAN), [(false, "NoFaultFound".into())]);
        assert_eq!(told(&FAULTY, &CLEAN), [(false, "NoFaultFound".into())]);
        assert_eq!(told(&FAULTY, &HEALTHY_NOW), [(false, "Recovered".into())]);
        assert_eq!(told(&FAULTY, &MISSING), [(true, "ReferenceNotFound".into())]);
        assert_eq!(told(&[], &HEALTHY_NOW), []);
    }

    #[test]
    fn another_gravest_fault_is_told() {
        let mut other = FAULTY;
        other[3] = ("FaultFound", "True", "NetworkACLInboundPort");
        assert_eq!(told(&FAULTY, &other), [(true, "NetworkACLInboundPort".into())]);
    }
}
