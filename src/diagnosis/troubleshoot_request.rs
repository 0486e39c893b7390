//! A troubleshoot request's status: one recorded diagnosis of one backend server, or of every unhealthy one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::v1alpha1::{
        BackendResult, FailedCheck, HealthState, Outcome, Progress, Subject, TroubleshootRequest,
        TroubleshootRequestStatus,
        conditions::{reasons, types},
    },
    engine::{Category, CheckId, Impact, Severity},
    text::{clean_for_json, count},
    world::{Collected, Key, Kind, Refusal, RefusalReason, World},
};

use super::{
    Next,
    assessment::judge,
    conditions::{Conditions, State},
    status::checks,
    words,
};

/// Results listed before the rest is only counted.
const MAX_RESULTS: usize = 50;
/// Failed items listed in all results together; beyond that a result only counts its own.
const MAX_CHECKS: usize = 120;

/// Bytes of JSON that all results together may have: far from what the cluster's store takes, also with long names.
const MAX_BYTES: usize = 256 * 1024;

/// Longest message of a refused result, in bytes of JSON.
const MAX_MESSAGE: usize = 512;

/// How many items a subject has.
fn items(subject: Subject) -> u32 {
    let own = CheckId::ALL.into_iter().filter(|check| belongs(*check, subject));
    u32::try_from(own.count()).unwrap_or(u32::MAX)
}

fn belongs(check: CheckId, subject: Subject) -> bool {
    match subject {
        Subject::All => true,
        Subject::SecurityGroup => check.category() == Category::SecurityGroup,
        Subject::NetworkACL => check.category() == Category::NetworkAcl,
        Subject::Config => check.category() == Category::Config,
    }
}

/// Why a request cannot be answered yet.
struct Wait {
    reason: &'static str,
    message: String,
}

impl From<Refusal> for Wait {
    fn from(refusal: Refusal) -> Self {
        Self {
            reason: refusal.reason.as_str(),
            message: refusal.message,
        }
    }
}

/// What the diagnoses say now.
#[derive(Default)]
struct Answer {
    /// The results that are listed.
    results: Vec<BackendResult>,
    /// All of them, counted.
    tally: Tally,
    /// What is waited for: the first of the references that are missing, or a newer view.
    waiting_for: Option<Wait>,
    /// A refusal of the request itself.
    refused: Option<Refusal>,
}

/// Results that are counted, listed or not.
#[derive(Default)]
struct Tally {
    all: usize,
    diagnosed: usize,
    faulty: usize,
    failed: usize,
    gravest: Option<Gravest>,
    first_refusal: Option<Refusal>,
}

/// The gravest failed item.
struct Gravest {
    rank: (Impact, Severity),
    check: CheckId,
    text: String,
}

/// The condition types that are ours.
const OURS: [&str; 3] = [types::ACCEPTED, types::SUCCEEDED, types::FAULT_FOUND];

/// Whether a finished request says that its newest generation was seen. Its ttl may still change, and with it the generation:
/// unless that is said, whoever waits for it waits for ever.
#[must_use]
pub fn is_record_current(request: &TroubleshootRequest) -> bool {
    let generation = request.metadata.generation;
    request.status.as_ref().is_some_and(|status| {
        status.observed_generation == generation && status.conditions == record_conditions(request, &status.conditions)
    })
}

/// The conditions of a finished request when its newest generation has been seen. Those of others stay as they are.
#[must_use]
pub fn record_conditions(request: &TroubleshootRequest, observed: &[Condition]) -> Vec<Condition> {
    let mut conditions = observed.to_vec();
    let ours = conditions
        .iter_mut()
        .filter(|condition| OURS.contains(&condition.type_.as_str()));
    ours.for_each(|condition| condition.observed_generation = request.metadata.generation);
    conditions
}

/// When a finished request is to be deleted; `None`: never, or it is not finished.
#[must_use]
pub fn record_end(request: &TroubleshootRequest) -> Option<Time> {
    let completed = request.status.as_ref()?.completion_time.as_ref()?;
    let ttl = request.spec.ttl_seconds_after_finished?;
    Some(after(completed, ttl))
}

/// A troubleshoot request's status as it ought to be now, and when to look again. With `behind` what is known is not yet as new as
/// the request, and the text says what is waited for. `between` is called after each backend server: there may be
/// many. A finished request is a record: see [`is_record_current`].
#[must_use]
pub fn troubleshoot_request_status(
    world: &World,
    request: &TroubleshootRequest,
    behind: Option<&str>,
    now: &Time,
    between: &mut dyn FnMut(),
) -> (TroubleshootRequestStatus, Next) {
    let observed = request.status.clone().unwrap_or_default();
    if observed.completion_time.is_some() {
        let status = TroubleshootRequestStatus {
            observed_generation: request.metadata.generation,
            conditions: record_conditions(request, &observed.conditions),
            ..observed
        };
        return (status, record_end(request).map_or(Next::Finished, Next::DeleteAt));
    }
    let start = observed.start_time.clone().unwrap_or_else(|| now.clone());
    let deadline = after(&start, request.spec.active_deadline_seconds);
    let answer = match behind {
        None => answer(world, request, between),
        Some(message) => Answer {
            waiting_for: Some(Wait {
                reason: reasons::CATCHING_UP,
                message: message.to_owned(),
            }),
            ..Answer::default()
        },
    };
    let expired = now.0 >= deadline.0;
    let waits = answer.waiting_for.is_some() && !expired;

    // What is still missing or refused as a whole is one backend server at least; with nothing unhealthy there is nothing to do.
    let least = usize::from(answer.waiting_for.is_some() || answer.refused.is_some());
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let items = items(request.spec.subject);
    let total = items.saturating_mul(number(answer.tally.all.max(least)));
    let finished = items.saturating_mul(number(answer.tally.diagnosed));

    let mut conditions = Conditions::new(&observed.conditions, request.metadata.generation, now);
    conditions.set(
        types::ACCEPTED,
        State::True,
        reasons::ACCEPTED,
        "The request has been accepted",
    );
    set_outcome(&mut conditions, request, &answer, expired);

    let mut results = if waits { Vec::new() } else { answer.results };
    fit(&mut results, MAX_BYTES);
    let omitted = if waits {
        0
    } else {
        number(answer.tally.all - results.len())
    };
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
                "Gave up after {} s (spec.activeDeadlineSeconds): {}",
                request.spec.active_deadline_seconds, missing.message
            );
            conditions.set(types::SUCCEEDED, State::False, reasons::DEADLINE_EXCEEDED, message);
            // Those with nothing missing were diagnosed all the same.
            match found(&answer.tally) {
                Some(found) => found.set_fault_found(conditions, &answer.tally),
                None => not_diagnosed(conditions, "Not diagnosed by the deadline"),
            }
        } else {
            let message = format!("Waiting: {}", missing.message);
            conditions.set(types::SUCCEEDED, State::Unknown, missing.reason, message);
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
    } else if let Some(found) = found(&answer.tally) {
        conditions.set(types::SUCCEEDED, State::True, found.reason, &found.message);
        found.set_fault_found(conditions, &answer.tally);
    } else if let Some(refusal) = &answer.tally.first_refusal {
        let message = clean_for_json(&refusal.message, MAX_MESSAGE);
        conditions.set(types::SUCCEEDED, State::False, refusal.reason.as_str(), message);
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
fn found(tally: &Tally) -> Option<Found> {
    if tally.diagnosed == 0 {
        return None;
    }
    let of = count(tally.all, "backend server");
    Some(if tally.faulty == 0 {
        Found {
            reason: reasons::NO_FAULT_FOUND,
            message: format!("No item failed on {of}"),
        }
    } else {
        Found {
            reason: reasons::FAULTS_FOUND,
            message: format!("{} failed on {} of {of}", count(tally.failed, "item"), tally.faulty),
        }
    })
}

impl Found {
    fn set_fault_found(&self, conditions: &mut Conditions<'_>, tally: &Tally) {
        match &tally.gravest {
            None => conditions.set(types::FAULT_FOUND, State::False, self.reason, &self.message),
            Some(gravest) => {
                let reason = gravest.check.condition_reason();
                conditions.set(types::FAULT_FOUND, State::True, reason, &gravest.text)
            }
        };
    }
}

fn answer(world: &World, request: &TroubleshootRequest, between: &mut dyn FnMut()) -> Answer {
    let own = Key::of(request);
    let balancer = own.sibling(&request.spec.load_balancer_ref.name);
    let mut out = Answer::default();
    if world.load_balancer(&balancer).is_none() {
        out.lacks(
            world,
            &own,
            (Kind::LoadBalancer, &balancer),
            "spec.loadBalancerRef.name",
        );
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
                out.lacks(world, &own, (Kind::BackendServer, &key), "spec.backendServerRef.name");
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
    let mut room = MAX_CHECKS;
    for key in backends {
        if let Some(collected) = world.collect(&key) {
            out.add(key.name, &collected, request.spec.subject, &mut room);
        }
        between();
    }
    out
}

impl Answer {
    /// An object that the request names is not there, which is waited for, or cannot be read, which is the answer.
    fn lacks(&mut self, world: &World, request: &Key, (kind, key): (Kind, &Key), field: &str) {
        if let Some(why) = world.head(kind, key).and_then(|head| head.unreadable) {
            let message = clean_for_json(&format!("{kind} {}: {why}", key.name), MAX_MESSAGE);
            self.refused = Some(Refusal::new(RefusalReason::InvalidSpec, message));
            return;
        }
        let (request, name) = (&request.name, &key.name);
        let message = format!("TroubleshootRequest {request} {field}: {kind} {name:?} not found");
        self.waiting_for = Some(Refusal::new(RefusalReason::ReferenceNotFound, message).into());
    }

    /// Adds the result of one backend server. Only what is listed is put into words; `room` is for failed items.
    fn add(&mut self, name: String, collected: &Collected, subject: Subject, room: &mut usize) {
        let listed = self.results.len() < MAX_RESULTS;
        self.tally.all += 1;
        let judged = match judge(collected) {
            Ok(judged) => judged,
            Err(refusal) => {
                if refusal.reason == RefusalReason::ReferenceNotFound {
                    self.waiting_for.get_or_insert_with(|| refusal.clone().into());
                }
                if listed {
                    self.results.push(refused(name, &refusal));
                }
                self.tally.first_refusal.get_or_insert(refusal);
                return;
            }
        };
        let faults = judged.findings.faults();
        let ranks = faults
            .filter(|found| belongs(found.check, subject))
            .map(|found| (found.rank(), found.check));
        let ranks: Vec<_> = ranks.collect();
        self.tally.diagnosed += 1;
        self.tally.faulty += usize::from(!ranks.is_empty());
        self.tally.failed += ranks.len();
        // Of equals the first.
        let worst = ranks.iter().rev().max_by_key(|(rank, _)| *rank).copied();
        let known = self.tally.gravest.as_ref().map(|gravest| gravest.rank);
        let graver = worst.filter(|(rank, _)| known.is_none_or(|known| *rank > known));
        if !listed && graver.is_none() {
            return;
        }
        let report = judged.report();
        if let Some((rank, check)) = graver {
            let text = words::checks::reason_of(&report, check);
            self.tally.gravest = Some(Gravest { rank, check, text });
        }
        if listed {
            let checks: Vec<_> = checks(&report, |check| belongs(check, subject)).take(*room).collect();
            *room -= checks.len();
            self.results.push(diagnosed(name, ranks.len(), checks));
        }
    }
}

fn refused(backend_server: String, refusal: &Refusal) -> BackendResult {
    BackendResult {
        backend_server,
        outcome: Outcome::Refused,
        reason: refusal.reason.as_str().to_owned(),
        message: Some(clean_for_json(&refusal.message, MAX_MESSAGE)),
        failed: 0,
        checks: Vec::new(),
    }
}

fn diagnosed(backend_server: String, failed: usize, checks: Vec<FailedCheck>) -> BackendResult {
    let (outcome, reason) = if failed == 0 {
        (Outcome::NoFaultFound, reasons::NO_FAULT_FOUND)
    } else {
        (Outcome::FaultsFound, reasons::FAULTS_FOUND)
    };
    BackendResult {
        backend_server,
        outcome,
        reason: reason.to_owned(),
        message: None,
        failed: u32::try_from(failed).unwrap_or(u32::MAX),
        checks,
    }
}

/// Leaves failed items out of the last results until all have room; what is left out stays counted by `failed`.
fn fit(results: &mut [BackendResult], room: usize) {
    let size = |result: &BackendResult| serde_json::to_vec(result).map_or(0, |json| json.len());
    let mut total: usize = results.iter().map(size).sum();
    for result in results.iter_mut().rev() {
        while total > room && !result.checks.is_empty() {
            let before = size(result);
            result.checks.pop();
            total = total.saturating_sub(before.saturating_sub(size(result)));
        }
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
    use crate::{
        api::v1alpha1::{BackendServer, LoadBalancer, SecurityGroup, Subnet},
        world::Unreadable,
    };

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
        troubleshoot_request_status(
            world,
            &request,
            None,
            &Time(jiff::Timestamp::from_second(at).unwrap()),
            &mut || (),
        )
        .0
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

    /// So many backend servers have so many items.
    fn items(servers: usize) -> u32 {
        u32::try_from(servers * CheckId::COUNT).unwrap()
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
                finished: items(1),
                total: items(2)
            }
        );
    }

    #[test]
    fn results_that_are_not_listed_are_counted() {
        let names: Vec<String> = (0..130).map(|number| format!("s-{number:03}")).collect();
        let members: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "shut")).collect();
        let status = ask(&world(&members), 1);
        assert_eq!((status.results.len(), status.omitted_results), (MAX_RESULTS, Some(80)));
        let checks: usize = status.results.iter().map(|result| result.checks.len()).sum();
        assert_eq!(checks, MAX_CHECKS);
        assert!(
            status.results.iter().all(|result| result.failed == 3),
            "each counts its own"
        );
        let succeeded = status.conditions.iter().find(|one| one.type_ == types::SUCCEEDED);
        assert_eq!(
            succeeded.unwrap().message,
            "390 items failed on 130 of 130 backend servers"
        );
        assert_eq!(status.progress.unwrap().finished, items(130));
    }

    #[test]
    fn a_record_has_room_in_the_store_and_counts_what_it_leaves_out() {
        let mut status = ask(&world(&[("one", "shut"), ("two", "shut"), ("three", "shut")]), 1);
        let size = |results: &[BackendResult]| -> usize {
            results
                .iter()
                .map(|result| serde_json::to_vec(result).unwrap().len())
                .sum()
        };
        let whole = status.results.clone();
        fit(&mut status.results, MAX_BYTES);
        assert_eq!(status.results, whole, "what has room stays");
        let room = size(&whole) / 2;
        fit(&mut status.results, room);
        assert!(size(&status.results) <= room);
        assert_eq!(status.results[0], whole[0], "the first are kept");
        for (result, whole) in status.results.iter().zip(&whole) {
            assert_eq!((result.failed, &result.reason), (whole.failed, &whole.reason));
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_waited_for_as_if_it_were_missing() {
        let mut world = world(&[("one", "shut")]);
        let damaged = |kind: Kind, name: &str| Unreadable {
            kind,
            key: Key::new("mall", name),
            uid: None,
            version: None,
            why: "spec: of another version".into(),
        };
        world.set(damaged(Kind::LoadBalancer, "door").into());
        let status = ask(&world, 1);
        let succeeded = status
            .conditions
            .iter()
            .find(|one| one.type_ == types::SUCCEEDED)
            .unwrap();
        assert_eq!((&*succeeded.status, &*succeeded.reason), ("False", "InvalidSpec"));
        assert_eq!(succeeded.message, "LoadBalancer door: spec: of another version");
        assert!(status.completion_time.is_some());
        world.remove(Kind::LoadBalancer, &Key::new("mall", "door"));
        assert_eq!(
            condition(&ask(&world, 1), types::SUCCEEDED),
            words("Unknown", "ReferenceNotFound")
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
