//! Transitions that wait to be published: for each object the latest, each namespace in its turn.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::{Duration, Instant};

use super::{
    bucket::{Bucket, Rate},
    transition::Transition,
};
use crate::controller::queue::{Line, Tenanted};

/// Events of all namespaces together.
const ALL: Rate = Rate {
    per_second: 20.0,
    burst: 300.0,
};
/// Events of one namespace: one alone cannot take all that there is.
const NAMESPACE: Rate = Rate {
    per_second: 10.0,
    burst: 150.0,
};
/// Objects whose transitions wait.
const OBJECTS: usize = 8_192;
/// Those of one namespace.
const OBJECTS_OF_NAMESPACE: usize = 4_096;
/// How often to look whether a token has come.
const TICK: Duration = Duration::from_millis(50);

/// An object whose transitions wait.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Regarded {
    namespace: String,
    kind: String,
    name: String,
    uid: String,
}

impl Tenanted for Regarded {
    fn tenant(&self) -> &str {
        &self.namespace
    }
}

/// What is to be published of one object.
#[derive(Debug)]
pub(super) struct ObjectTransitions {
    pub(super) object: ObjectReference,
    pub(super) transitions: Vec<Transition>,
    /// When that was.
    pub(super) at: Timestamp,
}

/// What to do now.
#[derive(Debug)]
pub(super) enum Next {
    Publish(ObjectTransitions),
    /// Some wait, but none may be published yet.
    Wait(Duration),
    Empty,
}

/// How many events did not get to wait.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Lost {
    /// Their object has newer ones.
    pub(super) superseded: usize,
    /// There was no room.
    pub(super) dropped: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pending {
    latest: HashMap<Regarded, ObjectTransitions>,
    order: Line<Regarded>,
    of_namespace: HashMap<String, usize>,
    all: Bucket,
    namespaces: HashMap<String, Bucket>,
}

impl Pending {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            latest: HashMap::new(),
            order: Line::default(),
            of_namespace: HashMap::new(),
            all: Bucket::full(ALL, now),
            namespaces: HashMap::new(),
        }
    }

    /// Takes the latest transitions of an object in the place of those that wait.
    pub(super) fn add(&mut self, told: ObjectTransitions) -> Lost {
        let word = |text: &Option<String>| text.clone().unwrap_or_default();
        let object = Regarded {
            namespace: word(&told.object.namespace),
            kind: word(&told.object.kind),
            name: word(&told.object.name),
            uid: word(&told.object.uid),
        };
        if let Some(waiting) = self.latest.get_mut(&object) {
            let superseded = waiting.transitions.len();
            *waiting = told;
            return Lost { superseded, dropped: 0 };
        }
        let of_namespace = self.of_namespace.get(&object.namespace).copied().unwrap_or_default();
        if self.latest.len() >= OBJECTS || of_namespace >= OBJECTS_OF_NAMESPACE {
            return Lost {
                superseded: 0,
                dropped: told.transitions.len(),
            };
        }
        *self.of_namespace.entry(object.namespace.clone()).or_default() += 1;
        self.order.push(object.clone());
        self.latest.insert(object, told);
        Lost::default()
    }

    /// What may be published now, the next namespace first.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.order.is_empty() {
            return Next::Empty;
        }
        if self.all.level(ALL, now) < 1.0 {
            return Next::Wait(TICK);
        }
        let buckets = &self.namespaces;
        let may = |namespace: &str| {
            buckets
                .get(namespace)
                .is_none_or(|bucket| bucket.level(NAMESPACE, now) >= 1.0)
        };
        let Some(object) = self.order.pop(may) else {
            return Next::Wait(TICK);
        };
        if let Some(number) = self.of_namespace.get_mut(&object.namespace) {
            *number -= 1;
            if *number == 0 {
                self.of_namespace.remove(&object.namespace);
            }
        }
        let Some(told) = self.latest.remove(&object) else {
            return Next::Wait(TICK);
        };
        self.all.take(told.transitions.len(), ALL, now);
        // One that is full again says no more than none.
        self.namespaces
            .retain(|_, bucket| bucket.level(NAMESPACE, now) < NAMESPACE.burst);
        self.namespaces
            .entry(object.namespace)
            .or_insert_with(|| Bucket::full(NAMESPACE, now))
            .take(told.transitions.len(), NAMESPACE, now);
        Next::Publish(told)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.latest.values().map(|told| told.transitions.len()).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn told(namespace: &str, name: &str, reason: &str) -> ObjectTransitions {
        ObjectTransitions {
            object: ObjectReference {
                namespace: Some(namespace.into()),
                name: Some(name.into()),
                ..ObjectReference::default()
            },
            transitions: vec![Transition {
                warning: true,
                reason: reason.into(),
                note: "n".into(),
                action: "Diagnose",
            }],
            at: Timestamp::UNIX_EPOCH,
        }
    }

    /// What is published within that time, as `NAMESPACE/NAME REASON`.
    fn published(pending: &mut Pending, start: Instant, seconds: u64) -> Vec<String> {
        let (mut now, mut all) = (start, Vec::new());
        while now <= start + Duration::from_secs(seconds) {
            match pending.next(now) {
                Next::Publish(told) => all.push(format!(
                    "{}/{} {}",
                    told.object.namespace.unwrap(),
                    told.object.name.unwrap(),
                    told.transitions.first().unwrap().reason
                )),
                Next::Wait(time) => now += time,
                Next::Empty => break,
            }
        }
        all
    }

    #[test]
    fn a_flapping_namespace_leaves_events_to_others() {
        let start = Instant::now();
        let mut pending = Pending::new(start);
        for number in 0..5_000 {
            pending.add(told("flaps", &number.to_string(), "Up"));
        }
        for number in 0..20 {
            pending.add(told("calm", &number.to_string(), "Down"));
        }
        let first = published(&mut pending, start, 0);
        assert_eq!(first.iter().filter(|line| line.starts_with("flaps")).count(), 150);
        let calm: Vec<_> = first.iter().take(40).filter(|line| line.starts_with("calm")).collect();
        assert_eq!(calm.len(), 20, "they take turns");
        // Also when many flap and all is used up: the next one for the calm namespace is the next but few.
        for namespace in 0..5 {
            for number in 0..1_000 {
                pending.add(told(&format!("flaps-{namespace}"), &number.to_string(), "Up"));
            }
        }
        published(&mut pending, start, 20);
        pending.add(told("calm", "late", "Down"));
        let soon = published(&mut pending, start + Duration::from_secs(20), 1);
        assert!(soon.contains(&"calm/late Down".to_owned()), "{soon:?}");
    }

    #[test]
    fn what_is_held_back_is_published_later_as_it_is_then() {
        let start = Instant::now();
        let mut pending = Pending::new(start);
        let mut lost = 0;
        for number in 0..3_000 {
            pending.add(told("meadow", &number.to_string(), "Down"));
        }
        assert_eq!(published(&mut pending, start, 0).len(), 150);
        for number in 0..3_000 {
            lost += pending.add(told("meadow", &number.to_string(), "Up")).superseded;
        }
        assert_eq!(lost, 2_850, "counted");
        let rest = published(&mut pending, start, 400);
        assert_eq!(rest.len(), 3_000);
        assert!(
            rest.iter().all(|line| line.ends_with("Up")),
            "no event tells what is over"
        );
        assert_eq!((pending.waiting(), pending.of_namespace.len()), (0, 0));
    }

    #[test]
    fn the_room_is_bounded_for_all_and_for_each() {
        let start = Instant::now();
        let mut pending = Pending::new(start);
        let mut dropped = 0;
        for number in 0..10_000 {
            dropped += pending.add(told("flaps", &number.to_string(), "Up")).dropped;
        }
        assert_eq!(
            (pending.waiting(), dropped),
            (OBJECTS_OF_NAMESPACE, 10_000 - OBJECTS_OF_NAMESPACE)
        );
        assert_eq!(
            pending.add(told("calm", "1", "Up")),
            Lost::default(),
            "there is room for others"
        );
        for number in 0..10_000 {
            pending.add(told(&number.to_string(), "1", "Up"));
        }
        assert_eq!(pending.waiting(), OBJECTS);
    }
}
