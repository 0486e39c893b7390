//! The queue without clock, lock and waiting: what [`super::Queue`] does at a given time.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::{
    key::{Lane, Tenanted},
    line::Line,
};

/// How many changes go before a swept key that waits.
pub(super) const CHANGES_PER_SWEEP: u32 = 7;

/// A key that waits for a worker.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    lane: Lane,
    since: Instant,
    /// Its place in that lane; `None` while a worker has the key.
    place: Option<u64>,
}

/// What a worker gets when it asks.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Pop<K> {
    /// This key; it waited since then.
    Key(K, Instant),
    /// Nothing now; the next delayed key is due then.
    Nothing(Option<Instant>),
    /// Nothing ever again.
    Closed,
}

#[derive(Debug)]
pub(super) struct Core<K> {
    /// How many keys of one tenant workers may have at once.
    limit: usize,
    /// Keys that wait for a worker or, while a worker has them, for that worker to be done.
    waiting: HashMap<K, Waiting>,
    /// Keys that a worker has, each with the lane it came by.
    processing: HashMap<K, Lane>,
    /// How many of them each tenant has.
    busy: HashMap<String, usize>,
    changes: Line<K>,
    sweeps: Line<K>,
    /// Changes that were handed out while a swept key waited.
    passed_over: u32,
    delayed: BTreeSet<(Instant, K)>,
    /// The same by key, with the lane that it will wait in.
    due: HashMap<K, (Instant, Lane)>,
    failures: HashMap<K, u32>,
    pub(super) open: bool,
    pub(super) closed: bool,
}

impl<K: Tenanted> Core<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            waiting: HashMap::new(),
            processing: HashMap::new(),
            busy: HashMap::new(),
            changes: Line::default(),
            sweeps: Line::default(),
            passed_over: 0,
            delayed: BTreeSet::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            open: false,
            closed: false,
        }
    }

    /// True when the key was not waiting yet.
    pub(super) fn add(&mut self, key: K, lane: Lane, now: Instant) -> bool {
        if self.closed || !self.open {
            return false;
        }
        let queued = self.waiting.get(&key).copied();
        let since = match queued {
            Some(queued) if lane == Lane::Sweep || queued.lane == Lane::Change => return false,
            Some(queued) => {
                if let Some(place) = queued.place {
                    self.line(queued.lane).remove(key.tenant(), place);
                }
                queued.since
            }
            None => now,
        };
        let place = (!self.processing.contains_key(&key)).then(|| self.line(lane).push(key.clone()));
        self.waiting.insert(key, Waiting { lane, since, place });
        queued.is_none()
    }

    /// Adds the key at that time; of several the earliest time and the faster lane count.
    pub(super) fn add_at(&mut self, key: K, lane: Lane, at: Instant) {
        if self.closed || !self.open {
            return;
        }
        let (mut lane, mut at) = (lane, at);
        if let Some((queued_at, queued_lane)) = self.cancel(&key) {
            at = at.min(queued_at);
            if queued_lane == Lane::Change {
                lane = queued_lane;
            }
        }
        self.due.insert(key.clone(), (at, lane));
        self.delayed.insert((at, key));
    }

    /// Takes a delay back.
    pub(super) fn cancel(&mut self, key: &K) -> Option<(Instant, Lane)> {
        let queued = self.due.remove(key)?;
        self.delayed.remove(&(queued.0, key.clone()));
        Some(queued)
    }

    /// Lets what has become due wait in its lane and says how many keys began to wait.
    pub(super) fn ripen(&mut self, now: Instant) -> u64 {
        let mut fresh = 0;
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.delayed.pop_first()
                && let Some((_, lane)) = self.due.remove(&key)
            {
                fresh += u64::from(self.add(key, lane, now));
            }
        }
        fresh
    }

    pub(super) fn pop(&mut self) -> Pop<K> {
        if self.closed {
            return Pop::Closed;
        }
        let swept_waits = !self.sweeps.is_empty();
        let lanes = if swept_waits && self.passed_over >= CHANGES_PER_SWEEP {
            [Lane::Sweep, Lane::Change]
        } else {
            [Lane::Change, Lane::Sweep]
        };
        for lane in lanes {
            let Self {
                limit,
                busy,
                changes,
                sweeps,
                ..
            } = self;
            let line = match lane {
                Lane::Change => changes,
                Lane::Sweep => sweeps,
            };
            let may = |tenant: &str| busy.get(tenant).is_none_or(|busy| busy < limit);
            if let Some(key) = line.pop(may)
                && let Some(queued) = self.waiting.remove(&key)
            {
                self.passed_over = match lane {
                    Lane::Change if swept_waits => self.passed_over.saturating_add(1),
                    _ => 0,
                };
                *self.busy.entry(key.tenant().to_owned()).or_default() += 1;
                self.processing.insert(key.clone(), lane);
                return Pop::Key(key, queued.since);
            }
        }
        Pop::Nothing(self.delayed.first().map(|(at, _)| *at))
    }

    /// The worker is done with the key; true when one may be handed out that could not before.
    pub(super) fn done(&mut self, key: &K) -> bool {
        if self.processing.remove(key).is_some()
            && let Some(busy) = self.busy.get_mut(key.tenant())
        {
            *busy -= 1;
            if *busy == 0 {
                self.busy.remove(key.tenant());
            }
        }
        if let Some(queued) = self.waiting.get(key).copied() {
            let place = self.line(queued.lane).push(key.clone());
            self.waiting.insert(
                key.clone(),
                Waiting {
                    place: Some(place),
                    ..queued
                },
            );
        }
        !self.changes.is_empty() || !self.sweeps.is_empty()
    }

    /// The lane that a key came by which a worker has.
    pub(super) fn lane_of(&self, key: &K) -> Lane {
        self.processing.get(key).copied().unwrap_or(Lane::Change)
    }

    /// Counts a failure and says how many there were in a row.
    pub(super) fn fail(&mut self, key: &K) -> u32 {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    /// Forgets the failures of a key.
    pub(super) fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// How many keys wait; those that are delayed do not count.
    pub(super) fn depth(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits, not even delayed.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.delayed.is_empty()
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.is_empty() && self.processing.is_empty()
    }

    #[cfg(test)]
    pub(super) fn due(&self, key: &K) -> Option<(Instant, Lane)> {
        self.due.get(key).copied()
    }

    fn line(&mut self, lane: Lane) -> &mut Line<K> {
        match lane {
            Lane::Change => &mut self.changes,
            Lane::Sweep => &mut self.sweeps,
        }
    }

    /// Forgets all that waits; what workers have stays theirs until they are done.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.changes = Line::default();
        self.sweeps = Line::default();
        self.passed_over = 0;
        self.delayed.clear();
        self.due.clear();
        self.failures.clear();
    }
}

#[cfg(test)]
#[path = "laws.rs"]
mod laws;
