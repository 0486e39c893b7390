//! A troubleshoot request's status: one recorded diagnosis of one backend server, or of every unhealthy one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::v1alpha1::{
        BackendResult, Diagnosis, FailedCheck, HealthState, Outcome, Progress, Subject, TroubleshootRequest,
        TroubleshootRequestStatus,
        conditions::{reasons, types},
    },
    engine::CheckId,
    text::clean_for_json,
    world::{Key, Kind, Refusal, RefusalReason, World},
};

use super::{
    Next, backend_server,
    conditions::{Conditions, State},
};

/// Results listed before the rest is only counted.
const MAX_RESULTS: usize = 50;
/// Failed items listed in all results together; beyond that a result only counts its own.
const MAX_CHECKS: usize = 120;

/// Longest message of a refused result, in bytes of JSON.
const MAX_MESSAGE: usize = 512;

/// How many items a subject has.
fn items(subject: Subject) -> u32 {
    match subject {
        Subject::All => 17,
        Subject::SecurityGroup => 6,
        Subject::NetworkACL => 10,
        Subject::Config => 1,
    }
}

fn belongs(check: &FailedCheck, subject: Subject) -> bool {
    match subject {
        Subject::All => true,
        Subject::SecurityGroup => check.category == "SecurityGroup",
        Subject::NetworkACL => check.category == "NetworkACL",
        Subject::Config => check.category == "Config",
    }
}

/// What the diagnoses say now.
struct Answer {
    results: Vec<BackendResult>,
    /// The first of the references that are missing.
    waiting_for: Option<Refusal>,
    /// A refusal of the request itself.
    refused: Option<Refusal>,
}

/// A troubleshoot request's status as it ought to be now, and when to look again. A finished request is a record: its
/// findings never change, and only the generation that they were held against is kept current.
#[must_use]
pub fn troubleshoot_request_status(
    world: &World,
    request: &TroubleshootRequest,
    now: &Time,
) -> (TroubleshootRequestStatus, Next) {
    let mut held = request.status.clone().unwrap_or_default();
    if let Some(completed) = held.completion_time.clone() {
        // The ttl may still change, and with it the generation: say that it was seen, or whoever waits waits for ever.
        held.observed_generation = request.metadata.generation;
        for condition in &mut held.conditions {
            condition.observed_generation = request.metadata.generation;
        }
        let next = match request.spec.ttl_seconds_after_finished {
            Some(ttl) => Next::DeleteAt(after(&completed, ttl)),
            None => Next::Finished,
        };
        return (held, next);
    }
    let start = held.start_time.clone().unwrap_or_else(|| now.clone());
    let deadline = after(&start, request.spec.active_deadline_seconds);
    let answer = answer(world, request, now);
    let expired = now.0 >= deadline.0;
    let waits = answer.waiting_for.is_some() && !expired;

    // What is still missing or refused as a whole is one backend server at least; with nothing unhealthy there is nothing to do.
    let least = usize::from(answer.waiting_for.is_some() || answer.refused.is_some());
    let total = items(request.spec.subject) * u32::try_from(answer.results.len().max(least)).unwrap_or(u32::MAX);
    let diagnosed = answer
        .results
        .iter()
        .filter(|result| result.outcome != Outcome::Refused)
        .count();
    let finished = items(request.spec.subject) * u32::try_from(diagnosed).unwrap_or(u32::MAX);

    let mut conditions = Conditions::new(&held.conditions, request.metadata.generation, now);
    conditions.set(
        types::ACCEPTED,
        State::True,
        reasons::ACCEPTED,
        "The request is taken up",
    );
    set_outcome(&mut conditions, request, &answer, expired);

    let mut results = if waits { Vec::new() } else { answer.results };
    let omitted = u32::try_from(results.len().saturating_sub(MAX_RESULTS)).unwrap_or(u32::MAX);
    results.truncate(MAX_RESULTS);
    let mut room = MAX_CHECKS;
    for result in &mut results {
        result.checks.truncate(room);
        room -= result.checks.len();
    }
    let status = TroubleshootRequestStatus {
        observed_generation: request.metadata.generation,
        start_time: Some(start),
        completion_time: (!waits).then(|| now.clone()),
        progress: Some(Progress {
            finished: if waits { 0 } else { finished },
            total,
        }),
        results,
        omitted_results: (omitted > 0).then_some(omitted),
        conditions: conditions.done(),
    };
    let next = match (waits, request.spec.ttl_seconds_after_finished) {
        (true, _) => Next::OnChangeOr(deadline),
        (false, Some(ttl)) => Next::DeleteAt(after(now, ttl)),
        (false, None) => Next::Finished,
    };
    (status, next)
}

fn set_outcome(conditions: &mut Conditions<'_>, request: &TroubleshootRequest, answer: &Answer, expired: bool) {
    let not_diagnosed = |conditions: &mut Conditions<'_>, message: &str| {
        conditions.set(types::FAULT_FOUND, State::Unknown, reasons::NOT_DIAGNOSED, message);
    };
    if let Some(missing) = &answer.waiting_for {
        if expired {
            let message = format!(
                "Waited {} s (spec.activeDeadlineSeconds) in vain: {}",
                request.spec.active_deadline_seconds, missing.message
            );
            conditions.set(types::SUCCEEDED, State::False, reasons::DEADLINE_EXCEEDED, message);
            // Those with nothing missing were diagnosed all the same.
            match found(&answer.results) {
                Some(found) => found.set_fault_found(conditions, &answer.results),
                None => not_diagnosed(conditions, "Not diagnosed before the deadline"),
            }
        } else {
            let message = format!("Waiting: {}", missing.message);
            conditions.set(types::SUCCEEDED, State::Unknown, missing.reason.as_str(), message);
            not_diagnosed(conditions, "Not diagnosed yet");
        }
        return;
    }
    if let Some(refusal) = &answer.refused {
        conditions.set(
            types::SUCCEEDED,
            State::False,
            refusal.reason.as_str(),
            &refusal.message,
        );
        not_diagnosed(conditions, "The request was refused");
    } else if let Some(found) = found(&answer.results) {
        conditions.set(types::SUCCEEDED, State::True, found.reason, &found.message);
        found.set_fault_found(conditions, &answer.results);
    } else if let Some(refused) = answer.results.first() {
        let message = refused.message.as_deref().unwrap_or("The diagnosis was refused");
        conditions.set(types::SUCCEEDED, State::False, &refused.reason, message);
        not_diagnosed(conditions, "The diagnosis was refused");
    } else {
        let message = format!(
            "LoadBalancer {} has no unhealthy backend server",
            request.spec.load_balancer_ref.name
        );
        conditions.set(types::SUCCEEDED, State::True, reasons::NO_UNHEALTHY_BACKEND, message);
        not_diagnosed(conditions, "Nothing was unhealthy");
    }
}

/// What the diagnoses that ran found, all together.
struct Found {
    reason: &'static str,
    message: String,
}

/// `None` when no diagnosis ran.
fn found(results: &[BackendResult]) -> Option<Found> {
    if results.iter().all(|result| result.outcome == Outcome::Refused) {
        return None;
    }
    let faulty = results.iter().filter(|result| result.outcome == Outcome::FaultsFound);
    let faulty = faulty.count();
    let failed: u32 = results.iter().map(|result| result.failed).sum();
    let of = format!("{} backend server{}", results.len(), plural(results.len()));
    Some(if faulty == 0 {
        Found {
            reason: reasons::NO_FAULT_FOUND,
            message: format!("No item failed on {of}"),
        }
    } else {
        let items = if failed == 1 { "item" } else { "items" };
        Found {
            reason: reasons::FAULTS_FOUND,
            message: format!("{failed} {items} failed on {faulty} of {of}"),
        }
    })
}

impl Found {
    fn set_fault_found(&self, conditions: &mut Conditions<'_>, results: &[BackendResult]) {
        if self.reason == reasons::NO_FAULT_FOUND {
            conditions.set(types::FAULT_FOUND, State::False, self.reason, &self.message);
        } else {
            let (reason, text) = gravest(results).unwrap_or((self.reason, self.message.clone()));
            conditions.set(types::FAULT_FOUND, State::True, reason, text);
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The gravest failed item of all results, in words of conditions, with its reason.
fn gravest(results: &[BackendResult]) -> Option<(&'static str, String)> {
    let rank = |check: &FailedCheck| match check.impact {
        crate::api::v1alpha1::ItemImpact::Blocks => 3,
        crate::api::v1alpha1::ItemImpact::Intermittent => 2,
        crate::api::v1alpha1::ItemImpact::Advisory => 1,
    };
    let checks = results.iter().flat_map(|result| &result.checks).rev();
    let worst = checks.max_by_key(|check| (rank(check), check.severity == "Major"))?;
    let id = CheckId::ALL.into_iter().find(|id| id.id() == worst.id)?;
    Some((id.condition_reason(), worst.reason.clone()))
}

fn answer(world: &World, request: &TroubleshootRequest, now: &Time) -> Answer {
    let own = Key::of(request);
    let balancer = own.sibling(&request.spec.load_balancer_ref.name);
    let mut out = Answer {
        results: Vec::new(),
        waiting_for: None,
        refused: None,
    };
    let missing = |kind: Kind, name: &str, field: &str| {
        let message = format!("TroubleshootRequest {} {field}: {kind:?} {name:?} not found", own.name);
        Some(Refusal::new(RefusalReason::ReferenceNotFound, message))
    };
    if world.load_balancer(&balancer).is_none() {
        out.waiting_for = missing(Kind::LoadBalancer, &balancer.name, "spec.loadBalancerRef.name");
        return out;
    }
    let backends = match &request.spec.backend_server_ref {
        None => {
            let unhealthy = |key: &Key| world.displayed_health(key) == Some(HealthState::Unhealthy);
            world
                .backend_servers_of(&balancer)
                .into_iter()
                .filter(unhealthy)
                .collect()
        }
        Some(backend) => {
            let key = own.sibling(&backend.name);
            let Some(object) = world.backend_server(&key) else {
                out.waiting_for = missing(Kind::BackendServer, &key.name, "spec.backendServerRef.name");
                return out;
            };
            if object.spec.load_balancer_ref.name != balancer.name {
                let message = format!(
                    "TroubleshootRequest {} spec.backendServerRef.name: BackendServer {} belongs to LoadBalancer {}, not {}",
                    own.name, key.name, object.spec.load_balancer_ref.name, balancer.name
                );
                out.refused = Some(Refusal::new(RefusalReason::InvalidSpec, message));
                return out;
            }
            vec![key]
        }
    };
    for key in backends {
        let Some(collected) = world.collect(&key) else { continue };
        if let Err(refusal) = &collected.case {
            if refusal.reason == RefusalReason::ReferenceNotFound {
                out.waiting_for.get_or_insert_with(|| refusal.clone());
            }
            out.results.push(BackendResult {
                backend_server: key.name,
                outcome: Outcome::Refused,
                reason: refusal.reason.as_str().to_owned(),
                message: Some(clean_for_json(&refusal.message, MAX_MESSAGE)),
                failed: 0,
                checks: Vec::new(),
            });
        } else if let Some(diagnosis) = backend_server::status(&collected, now).diagnosis {
            out.results.push(result(key.name, diagnosis, request.spec.subject));
        }
    }
    out
}

fn result(name: String, diagnosis: Diagnosis, subject: Subject) -> BackendResult {
    let checks: Vec<_> = diagnosis
        .checks
        .into_iter()
        .filter(|check| belongs(check, subject))
        .collect();
    let (outcome, reason) = if checks.is_empty() {
        (Outcome::NoFaultFound, reasons::NO_FAULT_FOUND)
    } else {
        (Outcome::FaultsFound, reasons::FAULTS_FOUND)
    };
    BackendResult {
        backend_server: name,
        outcome,
        reason: reason.to_owned(),
        message: None,
        failed: u32::try_from(checks.len()).unwrap_or(u32::MAX),
        checks,
    }
}

/// A time so many seconds later; the last representable time where there is none.
fn after(time: &Time, seconds: u32) -> Time {
    let later = time.0.checked_add(jiff::SignedDuration::from_secs(seconds.into()));
    Time(later.unwrap_or(jiff::Timestamp::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::v1alpha1::{BackendServer, LoadBalancer, SecurityGroup, Subnet};

    /// A load balancer with these backend servers, each with the security group of that name; only `shut` is there.
    fn world(members: &[(&str, &str)]) -> World {
        let metadata = |name: &str| json!({"name": name, "namespace": "mall"});
        let mut world = World::default();
        let subnet = json!({"metadata": metadata("lan"), "spec": {"cidrs": ["10.1.0.0/24"]}});
        world.set(serde_json::from_value::<Subnet>(subnet).unwrap().into());
        let group = json!({"metadata": metadata("shut"), "spec": {"rules": [{"name": "out", "direction": "Egress"}]}});
        world.set(serde_json::from_value::<SecurityGroup>(group).unwrap().into());
        let balancer = json!({"metadata": metadata("door"), "spec": {"type": "Dedicated", "healthCheckSources": ["10.0.0.1"],
            "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["g"]}],
            "backendServerGroups": [{"name": "g", "protocol": "TCP", "healthCheck": {"protocol": "TCP"}}]}});
        world.set(serde_json::from_value::<LoadBalancer>(balancer).unwrap().into());
        for (name, group) in members {
            let member: Value = json!({"metadata": metadata(name), "status": {"health": {"state": "Unhealthy"}},
                "spec": {"loadBalancerRef": {"name": "door"}, "backendServerGroup": "g", "address": "10.1.0.5", "port": 80,
                         "subnetRef": {"name": "lan"}, "securityGroupRefs": [{"name": group}]}});
            world.set(serde_json::from_value::<BackendServer>(member).unwrap().into());
        }
        world
    }

    fn ask(world: &World, at: i64) -> TroubleshootRequestStatus {
        let request = json!({"metadata": {"name": "why", "namespace": "mall"}, "spec": {"loadBalancerRef": {"name": "door"}, "activeDeadlineSeconds": 10},
            "status": {"startTime": "1970-01-01T00:00:00Z", "conditions": []}});
        let request: TroubleshootRequest = serde_json::from_value(request).unwrap();
        troubleshoot_request_status(world, &request, &Time(jiff::Timestamp::from_second(at).unwrap())).0
    }

    fn condition(status: &TroubleshootRequestStatus, type_: &str) -> (String, String) {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .unwrap();
        (found.status.clone(), found.reason.clone())
    }

    fn words(status: &str, reason: &str) -> (String, String) {
        (status.to_owned(), reason.to_owned())
    }

    #[test]
    fn at_the_deadline_faults_that_were_found_are_said() {
        let world = world(&[("one", "shut"), ("two", "gone")]);
        let waiting = ask(&world, 1);
        assert_eq!(
            condition(&waiting, types::SUCCEEDED),
            words("Unknown", "ReferenceNotFound")
        );
        assert_eq!(condition(&waiting, types::FAULT_FOUND).0, "Unknown");
        let late = ask(&world, 11);
        assert_eq!(condition(&late, types::SUCCEEDED), words("False", "DeadlineExceeded"));
        assert_eq!(
            condition(&late, types::FAULT_FOUND),
            words("True", "SecurityGroupInboundProtocol")
        );
        assert_eq!(late.results.len(), 2);
        assert_eq!(
            late.progress.unwrap(),
            Progress {
                finished: 17,
                total: 34
            }
        );
    }

    #[test]
    fn with_nothing_unhealthy_there_is_nothing_to_do() {
        let status = ask(&world(&[]), 1);
        assert_eq!(
            condition(&status, types::SUCCEEDED),
            words("True", "NoUnhealthyBackend")
        );
        assert_eq!(status.progress.unwrap(), Progress { finished: 0, total: 0 });
    }
}
