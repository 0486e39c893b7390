//! What the reconcilers of kinds in the World share: collect → diagnose → compare → at most one write → events on transitions.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::v1alpha1::conditions::{reasons, types::READY},
    telemetry::Metrics,
    world::{Key, Kind, Object, World},
};

use super::{
    Context,
    compare::Says,
    events::Transition,
    failure::Failure,
    status::{Guard, HasStatus},
    worker::Done,
};

/// How long a reference that was not said to be missing before may be missing in silence. Objects that are applied together come
/// moments after one another, in any order.
const GRACE: Duration = Duration::from_millis(250);

/// Objects of one kind whose missing references are not told of yet, and until when.
#[derive(Debug, Default)]
pub(super) struct Grace(Mutex<HashMap<Key, Instant>>);

impl Grace {
    /// How long to wait on. `None`: it was long enough, tell now. That is so until it is over, however often the write fails.
    fn left(&self, key: &Key, now: Instant) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *all.entry(key.clone()).or_insert(now + GRACE);
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    fn over(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Whether a reference is missing now and none was before.
fn newly_missing(held: &[Condition], wanted: &[Condition]) -> bool {
    let missing = |conditions| has(conditions, READY, "False", reasons::REFERENCE_NOT_FOUND);
    missing(wanted) && !missing(held)
}

/// A kind of the World whose status we keep.
pub(super) trait Reconciled: HasStatus<Status: Says + Default> + Into<Object> {
    /// Its kind.
    const KIND: Kind;

    /// The object, if it is of this kind.
    fn of(object: &Object) -> Option<&Self>;

    /// The status that is held.
    fn held(&self) -> Option<&Self::Status>;

    /// What is counted of a status.
    type Facts: Send;

    /// The status as it ought to be now and what is counted of it: pure. `None`: there is no such object.
    fn wanted(world: &World, key: &Key, now: &Time, metrics: &Metrics) -> Option<(Self::Status, Self::Facts)>;

    /// The conditions of a status.
    fn conditions(status: &Self::Status) -> &[Condition];

    /// What an admin should hear of when conditions that are held become those that are wanted.
    fn transitions(held: &[Condition], wanted: &[Condition]) -> Vec<Transition> {
        readiness(held, wanted)
    }

    /// Counts what was written.
    fn count(_facts: &Self::Facts, _metrics: &Metrics) {}
}

/// Brings the status of one object up to date.
pub(super) async fn reconcile<K: Reconciled>(context: &Context, grace: &Grace, key: &Key) -> Result<Done, Failure> {
    let (object, wanted, facts) = {
        let world = context.cache.snapshot();
        let now = Time(Timestamp::now());
        let Some(object) = world.get(K::KIND, key) else {
            grace.over(key);
            return Ok(Done::UntilChange);
        };
        let Some((wanted, facts)) = K::wanted(&world, key, &now, &context.metrics) else {
            return Ok(Done::UntilChange);
        };
        (object, wanted, facts)
    };
    let Some(held) = K::of(&object) else {
        return Ok(Done::UntilChange);
    };
    // It is on its way out: nobody reads its status any more.
    if held.meta().deletion_timestamp.is_some() {
        return Ok(Done::UntilChange);
    }
    let said = held.held().map_or(&[][..], K::conditions);
    if newly_missing(said, K::conditions(&wanted)) {
        if let Some(wait) = grace.left(key, Instant::now()) {
            return Ok(Done::For(wait));
        }
    } else {
        grace.over(key);
    }
    if held.held().is_some_and(|status| wanted.says_as(status)) {
        return Ok(Done::UntilChange);
    }
    let written = context.writer.status(held, &wanted, Guard::SameObject).await?;
    grace.over(key);
    let Some(written) = written else {
        return Ok(Done::UntilChange);
    };
    K::count(&facts, &context.metrics);
    // Told only now: what was not written did not happen. A crash in between loses the event, never the verdict.
    context
        .events
        .tell(K::transitions(said, K::conditions(&wanted)), held.object_ref(&()));
    context.cache.observe_answer(written.into());
    Ok(Done::UntilChange)
}

/// The condition of that type.
pub(super) fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a condition has that status and reason.
pub(super) fn has(conditions: &[Condition], type_: &str, status: &str, reason: &str) -> bool {
    condition(conditions, type_).is_some_and(|held| held.status == status && held.reason == reason)
}

/// What an admin should hear of when an object cannot be used as it stands, or can be again.
pub(super) fn readiness(held: &[Condition], wanted: &[Condition]) -> Vec<Transition> {
    let Some(now) = condition(wanted, READY) else {
        return Vec::new();
    };
    let before = condition(held, READY).map(|before| (before.status.as_str(), before.reason.as_str()));
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

/// Implements the plain part of [`Reconciled`] for a kind.
macro_rules! kind_of_world {
    ($kind:ident) => {
        const KIND: $crate::world::Kind = $crate::world::Kind::$kind;

        fn of(object: &$crate::world::Object) -> Option<&Self> {
            match object {
                $crate::world::Object::$kind(object) => Some(object),
                _ => None,
            }
        }

        fn held(&self) -> Option<&Self::Status> {
            self.status.as_ref()
        }

        fn conditions(status: &Self::Status) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
            &status.conditions
        }
    };
}
pub(super) use kind_of_world;

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
        let told = |held: &[Condition], wanted: &[Condition]| {
            let news = readiness(held, wanted);
            news.into_iter()
                .map(|news| (news.warning, news.reason))
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
    fn a_missing_reference_is_waited_for_once_and_not_again() {
        let (grace, key, start) = (Grace::default(), Key::new("meadow", "ewe"), Instant::now());
        assert_eq!(grace.left(&key, start), Some(GRACE));
        assert_eq!(
            grace.left(&key, start + GRACE / 2),
            Some(GRACE / 2),
            "counted from the first look"
        );
        assert_eq!(grace.left(&key, start + GRACE), None);
        assert_eq!(grace.left(&key, start + 2 * GRACE), None, "a failed write");
        // It is told, or came; and another goes much later.
        grace.over(&key);
        assert_eq!(grace.left(&key, start + 9 * GRACE), Some(GRACE));
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
