//! What the reconcilers of kinds in the World share: collect → diagnose → compare → at most one write → events on transitions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use crate::{
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

/// A kind of the World whose status we keep.
pub(super) trait Reconciled: HasStatus<Status: Says + Default> + Into<Object> {
    /// Its kind.
    const KIND: Kind;

    /// The object, if it is of this kind.
    fn of(object: &Object) -> Option<&Self>;

    /// The status that is held.
    fn held(&self) -> Option<&Self::Status>;

    /// The status as it ought to be now: pure. `None`: there is no such object.
    fn wanted(world: &World, key: &Key, now: &Time, metrics: &Metrics) -> Option<Self::Status>;

    /// What an admin should hear of when `held` becomes `wanted`.
    fn transitions(_held: &Self::Status, _wanted: &Self::Status) -> Vec<Transition> {
        Vec::new()
    }

    /// Counts what was written.
    fn count(_written: &Self::Status, _metrics: &Metrics) {}
}

/// Brings the status of one object up to date.
pub(super) async fn reconcile<K: Reconciled>(context: &Context, key: &Key) -> Result<Done, Failure> {
    let (object, wanted) = {
        let world = context.shared.world();
        let now = Time(Timestamp::now());
        let Some(object) = world.get(K::KIND, key) else {
            return Ok(Done::UntilChange);
        };
        let Some(wanted) = K::wanted(&world, key, &now, &context.metrics) else {
            return Ok(Done::UntilChange);
        };
        (object, wanted)
    };
    let Some(held) = K::of(&object) else {
        return Ok(Done::UntilChange);
    };
    if held.held().is_some_and(|status| wanted.says_as(status)) {
        return Ok(Done::UntilChange);
    }
    let Some(written) = context.writer.status(held, &wanted, Guard::SameObject).await? else {
        return Ok(Done::UntilChange);
    };
    K::count(&wanted, &context.metrics);
    // Told only now: what was not written did not happen. A crash in between loses the event, never the verdict.
    let nothing = K::Status::default();
    for transition in K::transitions(held.held().unwrap_or(&nothing), &wanted) {
        context.events.tell(transition, held.object_ref(&()));
    }
    let mut written = written;
    written.meta_mut().managed_fields = None;
    written.annotations_mut().remove(super::watch::LAST_APPLIED);
    context.shared.take_in(written.into(), held.meta().uid.as_deref());
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
    };
}
pub(super) use kind_of_world;
