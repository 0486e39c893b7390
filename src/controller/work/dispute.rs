//! Notices that somebody else keeps writing what this process writes, and lets it rest.
//!
//! Two installations with different settings would overwrite each other's status as fast as they can. A status that is not what
//! this process last wrote there was overwritten. Once or twice is an accident (a person, a restore) and healed at once; three times
//! within [`MEMORY`] is a dispute, and then that object is left as it is for [`PACE`] after each write, whoever made it. Both sides
//! do so, hence at most one write a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long an overwritten status is remembered.
const MEMORY: Duration = Duration::from_mins(10);
/// Time from one write of an object in dispute, by whom ever, to the next of this process.
const PACE: Duration = Duration::from_mins(1);
/// Between two looks for what is old.
const FORGET: Duration = Duration::from_secs(5);
/// Overwritten that often, an object is in dispute. One command of a person can write twice: `kubectl apply` does.
const DISPUTE: u32 = 3;
/// Objects of which it is known what was written: beyond, all is forgotten, and disputes are noticed a little later.
const KNOWN: usize = 500_000;

/// What to do about a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Advice {
    Write,
    /// It is in dispute: not now.
    Wait(Duration),
}

/// See the module. Objects are known by a number.
#[derive(Debug, Default)]
pub(super) struct Disputes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What this process wrote last, as a number.
    written: HashMap<u64, u64>,
    /// What it meant to write and may have written: the answer was lost, or a part of the write was left to do.
    intended: HashMap<u64, u64>,
    overwritten: HashMap<u64, Overwritten>,
    /// How many objects are in dispute.
    in_dispute: usize,
    /// When what is old was forgotten last.
    forgotten: Option<Instant>,
}

#[derive(Debug)]
struct Overwritten {
    times: u32,
    /// It was not written since: each write can be overwritten once.
    counted: bool,
    last: Instant,
    last_write: Instant,
    named: bool,
}

impl Disputes {
    /// What to do when the status is not as it should be; `observed` is what it is.
    pub(super) fn advice(&self, object: u64, observed: u64, now: Instant) -> Advice {
        let mut state = self.lock();
        state.forget(now);
        let State {
            written,
            intended,
            overwritten,
            in_dispute,
            ..
        } = &mut *state;
        let ours = intended.get(&object) == Some(&observed);
        if !ours && written.get(&object).is_some_and(|written| *written != observed) {
            let held = overwritten.entry(object).or_insert_with(|| Overwritten {
                times: 0,
                counted: false,
                last: now,
                last_write: now,
                named: false,
            });
            if !held.counted {
                held.times = held.times.saturating_add(1);
                held.counted = true;
                held.last = now;
                *in_dispute += usize::from(held.times == DISPUTE);
            }
        }
        match overwritten.get(&object) {
            Some(held) if held.times >= DISPUTE => {
                let due = held.last.max(held.last_write) + PACE;
                due.checked_duration_since(now)
                    .filter(|wait| !wait.is_zero())
                    .map_or(Advice::Write, Advice::Wait)
            }
            _ => Advice::Write,
        }
    }

    /// This is about to be written, or was written in part.
    pub(super) fn intended(&self, object: u64, status: u64) {
        let mut state = self.lock();
        if state.intended.len() >= KNOWN {
            state.intended.clear();
        }
        state.intended.insert(object, status);
    }

    /// Forgets what this process wrote: another replica has written since.
    pub(super) fn forget_written(&self) {
        let mut state = self.lock();
        state.written.clear();
        state.intended.clear();
    }

    /// This was written.
    pub(super) fn written(&self, object: u64, status: u64, now: Instant) {
        let mut state = self.lock();
        if state.written.len() >= KNOWN {
            state.written.clear();
        }
        state.intended.remove(&object);
        state.written.insert(object, status);
        if let Some(held) = state.overwritten.get_mut(&object) {
            held.counted = false;
            held.last_write = now;
        }
    }

    /// True once for each dispute: it is time to say who is in it.
    pub(super) fn to_be_named(&self, object: u64) -> bool {
        let mut state = self.lock();
        state
            .overwritten
            .get_mut(&object)
            .is_some_and(|held| held.times >= DISPUTE && !std::mem::replace(&mut held.named, true))
    }

    /// How many objects are in dispute.
    pub(super) fn count(&self, now: Instant) -> usize {
        let mut state = self.lock();
        state.forget(now);
        state.in_dispute
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Now and then: it walks over all.
    fn forget(&mut self, now: Instant) {
        if self.forgotten.is_some_and(|then| now.duration_since(then) < FORGET) {
            return;
        }
        self.forgotten = Some(now);
        self.overwritten
            .retain(|_, held| now.duration_since(held.last) < MEMORY);
        let disputed = self.overwritten.values().filter(|held| held.times >= DISPUTE);
        self.in_dispute = disputed.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two installations that each want another status of each of these objects, for that time; when each object was written.
    fn fight(objects: u64, seconds: u64) -> Vec<Vec<Instant>> {
        let (sides, start) = ([Disputes::default(), Disputes::default()], Instant::now());
        let mut status: Vec<(u64, Vec<Instant>)> = (0..objects).map(|_| (9, Vec::new())).collect();
        for tick in 0..seconds * 10 {
            let now = start + Duration::from_millis(100 * tick);
            for (side, disputes) in (0..).zip(&sides) {
                for (object, (held, writes)) in (0..).zip(&mut status) {
                    if *held != side && disputes.advice(object, *held, now) == Advice::Write {
                        *held = side;
                        writes.push(now);
                        disputes.written(object, side, now);
                    }
                }
            }
        }
        let end = start + Duration::from_secs(seconds);
        assert!(sides.iter().any(|disputes| disputes.count(end) as u64 == objects));
        for object in 0..objects {
            assert!(sides.iter().any(|disputes| disputes.to_be_named(object)));
            assert!(
                !sides
                    .iter()
                    .any(|disputes| disputes.to_be_named(object) && disputes.to_be_named(object))
            );
        }
        status.into_iter().map(|(_, writes)| writes).collect()
    }

    #[test]
    fn two_installations_come_to_rest_however_many_objects_they_fight_over() {
        for (objects, minutes) in [(1, 1), (1, 30), (300, 5)] {
            for writes in fight(objects, minutes * 60) {
                // Until they have noticed; then at most one a minute of both together.
                let rest = writes.get(6..).unwrap_or_default();
                assert!(rest.len() as u64 <= minutes, "{} in {minutes} minutes", rest.len());
                assert!(
                    rest.windows(2)
                        .all(|pair| matches!(pair, [one, next] if *next - *one >= PACE))
                );
            }
        }
    }

    #[test]
    fn an_edit_by_hand_is_healed_at_once_and_one_much_later_too() {
        let (disputes, start) = (Disputes::default(), Instant::now());
        assert_eq!(
            disputes.advice(1, 5, start),
            Advice::Write,
            "never written by this process"
        );
        disputes.written(1, 7, start);
        for hour in 1..5 {
            let now = start + Duration::from_mins(hour * 60);
            assert_eq!(disputes.advice(1, 8, now), Advice::Write);
            // The write fails, and is tried again.
            assert_eq!(disputes.advice(1, 8, now), Advice::Write);
            disputes.written(1, 7, now);
            assert_eq!((disputes.count(now), disputes.to_be_named(1)), (0, false));
        }
    }

    #[test]
    fn an_ordinary_change_is_no_dispute() {
        let (disputes, now) = (Disputes::default(), Instant::now());
        for status in 0..1_000 {
            // What is there is what was written; something else is due.
            assert_eq!(disputes.advice(1, status, now), Advice::Write);
            disputes.written(1, status + 1, now);
        }
        assert_eq!(disputes.count(now), 0);
    }

    #[test]
    fn a_dispute_is_over_when_nobody_has_overwritten_for_a_while() {
        let (disputes, start) = (Disputes::default(), Instant::now());
        disputes.written(1, 7, start);
        for _ in 0..DISPUTE {
            disputes.advice(1, 8, start);
            disputes.written(1, 7, start);
        }
        assert_eq!(
            disputes.advice(1, 7, start),
            Advice::Wait(PACE),
            "also what is due for another reason"
        );
        // A health report in between is no write of ours, and does not put it off.
        disputes.advice(1, 8, start + PACE / 2);
        assert_eq!(disputes.advice(1, 8, start + PACE / 2 + PACE), Advice::Write);
        assert_eq!(disputes.count(start + PACE), 1);
        assert_eq!(disputes.count(start + PACE / 2 + MEMORY), 0);
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_nobody_elses() {
        let (disputes, now) = (Disputes::default(), Instant::now());
        disputes.written(1, 7, now);
        for status in 8..20 {
            // It was written, and the answer did not come.
            disputes.intended(1, status);
            assert_eq!(disputes.advice(1, status, now), Advice::Write);
        }
        assert_eq!(disputes.count(now), 0);
        // Somebody else's.
        for _ in 0..DISPUTE {
            disputes.advice(1, 99, now);
            disputes.written(1, 7, now);
        }
        assert_eq!(disputes.count(now), 1);
        // Another replica has led meanwhile.
        disputes.forget_written();
        assert_eq!(disputes.advice(2, 99, now), Advice::Write);
    }
}
