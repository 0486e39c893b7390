//! What the reconcilers of kinds in the World share: collect → diagnose → compare → at most one write → events on transitions.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use kube::core::object::HasStatus;

use crate::{
    api::v1alpha1::{
        ApiObject,
        conditions::{reasons, types::READY},
    },
    telemetry::Metrics,
    world::{Key, World},
};

use super::{context::Context, grace::Grace, status::OwnStatus, worker::Outcome, write::Guard};
use crate::controller::{events::Transition, failure::Failure};

/// Whether a reference is missing now and none was before.
fn newly_missing(observed: &[Condition], desired: &[Condition]) -> bool {
    let missing = |conditions| has(conditions, READY, "False", reasons::REFERENCE_NOT_FOUND);
    missing(desired) && !missing(observed)
}

/// When to look again at an object that the API server does not know: it is gone, and then its watch says so; or the server is not
/// whole yet after a restart.
pub(in crate::controller) const GONE: Duration = Duration::from_secs(15);

/// A kind of the World whose status we keep.
pub(in crate::controller) trait Reconciled:
    ApiObject + HasStatus<Status: OwnStatus + Send>
{
    /// What is counted of a status.
    type Facts: Send + 'static;

    /// The status as it ought to be now and what is counted of it: pure. `None`: there is no such object.
    fn desired(world: &World, key: &Key, now: &Time, metrics: &Metrics) -> Option<(Self::Status, Self::Facts)>;

    /// What an admin should hear of when the conditions that are observed become those that are desired.
    fn transitions(_facts: &Self::Facts, observed: &[Condition], desired: &[Condition]) -> Vec<Transition> {
        readiness(observed, desired)
    }

    /// Counts what was written.
    fn count(_facts: &Self::Facts, _metrics: &Metrics) {}
}

/// Brings the status of one object up to date.
pub(in crate::controller) async fn reconcile<K: Reconciled>(
    context: &Context,
    grace: &Grace,
    key: &Key,
) -> Result<Outcome, Failure> {
    let world = context.cache.snapshot();
    let Some(object) = world.get(K::KIND, key) else {
        grace.over(key);
        return Ok(Outcome::AwaitChange);
    };
    let (own, metrics) = (key.clone(), context.metrics.clone());
    let diagnosed = context.pool.run(&key.namespace, move || {
        K::desired(&world, &own, &Time(Timestamp::now()), &metrics)
    });
    let Some((desired, facts)) = diagnosed.await? else {
        return Ok(Outcome::AwaitChange);
    };
    let Some(observed) = K::of(&object) else {
        return Ok(Outcome::AwaitChange);
    };
    // It is on its way out: nobody reads its status any more.
    if observed.meta().deletion_timestamp.is_some() {
        return Ok(Outcome::AwaitChange);
    }
    let before = observed.status().map_or(&[][..], OwnStatus::conditions);
    if newly_missing(before, desired.conditions()) {
        if let Some(wait) = grace.left(key, Instant::now()) {
            return Ok(Outcome::RequeueAfter(wait));
        }
    } else {
        grace.over(key);
    }
    if observed
        .status()
        .is_some_and(|status| desired.same_ignoring_times(status))
    {
        return Ok(Outcome::AwaitChange);
    }
    let written = context.writer.status(&**observed, &desired, Guard::SameObject).await?;
    grace.over(key);
    let Some(written) = written else {
        return Ok(Outcome::RequeueAfter(GONE));
    };
    K::count(&facts, &context.metrics);
    // Told only now: what was not written did not happen. A crash in between loses the event, never the verdict.
    let transitions = K::transitions(&facts, before, desired.conditions());
    context.events.tell(transitions, observed.object_ref(&()));
    context.cache.observe_answer(written.into());
    Ok(Outcome::AwaitChange)
}

/// The condition of that type.
pub(in crate::controller) fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a condition has that status and reason.
pub(in crate::controller) fn has(conditions: &[Condition], type_: &str, status: &str, reason: &str) -> bool {
    condition(conditions, type_).is_some_and(|observed| observed.status == status && observed.reason == reason)
}

/// What an admin should hear of when an object cannot be used as it stands, or can be again.
pub(in crate::controller) fn readiness(observed: &[Condition], desired: &[Condition]) -> Vec<Transition> {
    let Some(now) = condition(desired, READY) else {
        return Vec::new();
    };
    let before = condition(observed, READY).map(|before| (before.status.as_str(), before.reason.as_str()));
    let warning = match (before, now.status.as_str()) {
        (before, "False") if before != Some(("False", now.reason.as_str())) => true,
        (Some(("False", _)), "True") => false,
        _ => return Vec::new(),
    };
    vec![Transition {
        warning,
        reason: now.reason.clone(),
        note: now.message.clone(),
        action: "Check",
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: &str, reason: &str) -> Vec<Condition> {
        vec![Condition {
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            message: "m".into(),
            observed_generation: None,
            reason: reason.into(),
            status: status.into(),
            type_: READY.into(),
        }]
    }

    #[test]
    fn what_cannot_be_used_is_told_once_for_each_reason_and_so_is_its_recovery() {
        let (fine, broken) = (ready("True", "Reconciled"), ready("False", "InvalidSpec"));
        let told = |observed: &[Condition], desired: &[Condition]| {
            let told = readiness(observed, desired);
            told.into_iter()
                .map(|one| (one.warning, one.reason))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&[], &fine), []);
        assert_eq!(told(&[], &broken), [(true, "InvalidSpec".into())]);
        assert_eq!(told(&fine, &broken), [(true, "InvalidSpec".into())]);
        assert_eq!(told(&broken, &broken), []);
        assert_eq!(
            told(&broken, &ready("False", "ReferenceNotFound")),
            [(true, "ReferenceNotFound".into())]
        );
        assert_eq!(told(&broken, &fine), [(false, "Reconciled".into())]);
        assert_eq!(told(&fine, &fine), []);
    }

    #[test]
    fn only_what_was_not_said_before_is_newly_missing() {
        let missing = ready("False", "ReferenceNotFound");
        assert!(newly_missing(&[], &missing));
        assert!(newly_missing(&ready("True", "Reconciled"), &missing));
        assert!(!newly_missing(&missing, &missing));
        assert!(!newly_missing(&[], &ready("False", "InvalidSpec")));
    }
}
