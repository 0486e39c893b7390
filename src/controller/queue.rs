//! The work queue: keys that ought to be looked at, each at most once at a time.
//!
//! The meaning is that of client-go's workqueue. A key that is added twice before a worker takes it is handed out once;
//! a key that is added while a worker has it is handed out again after that worker is done, and never to two workers
//! at once. Keys that failed come back after a delay that grows with each failure; keys can be added for later.
//!
//! Two lanes: what has just changed goes before what is only looked over again ([`Lane::Sweep`]: after a start, a change of
//! leader, a resync), so that a fresh mark does not wait behind a hundred thousand unchanged objects.
//!
//! [`Core`] is the queue without a clock; [`Queue`] adds the clock, the lock and the waiting.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{telemetry::QueueMetrics, world::Key};

/// Delay before the first retry of a key.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Longest delay before a retry.
const LAST_RETRY: Duration = Duration::from_mins(1);

/// How soon a key is handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lane {
    /// Something changed.
    Change,
    /// Nothing is known to have changed; handed out when no change waits.
    Sweep,
}

/// A key that waits for a worker.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    lane: Lane,
    since: Instant,
}

/// What a worker gets when it asks.
#[derive(Debug, Eq, PartialEq)]
enum Pop {
    /// This key; it waited since then.
    Key(Key, Instant),
    /// Nothing now; the next delayed key is due then.
    Nothing(Option<Instant>),
    /// Nothing ever again.
    Closed,
}

#[derive(Debug, Default)]
struct Core {
    /// Keys that wait for a worker or, while a worker has them, for that worker to be done.
    dirty: HashMap<Key, Waiting>,
    /// Keys that a worker has, each with the lane it came by.
    processing: HashMap<Key, Lane>,
    /// Keys of `dirty` that no worker has, in order; an entry counts only while the key waits in that lane.
    changes: VecDeque<Key>,
    sweeps: VecDeque<Key>,
    delayed: BTreeSet<(Instant, Key)>,
    /// The same by key, with the lane that it will wait in.
    due: HashMap<Key, (Instant, Lane)>,
    failures: HashMap<Key, u32>,
    open: bool,
    closed: bool,
}

impl Core {
    /// True when the key was not waiting yet.
    fn add(&mut self, key: Key, lane: Lane, now: Instant) -> bool {
        if self.closed || !self.open {
            return false;
        }
        let (fresh, since) = match self.dirty.get(&key) {
            Some(held) if lane == Lane::Sweep || held.lane == Lane::Change => return false,
            Some(held) => (false, held.since),
            None => (true, now),
        };
        self.dirty.insert(key.clone(), Waiting { lane, since });
        if !self.processing.contains_key(&key) {
            self.line(lane).push_back(key);
        }
        fresh
    }

    /// Adds the key at that time; of several the earliest time and the faster lane count.
    fn add_at(&mut self, key: Key, lane: Lane, at: Instant) {
        if self.closed || !self.open {
            return;
        }
        let (mut lane, mut at) = (lane, at);
        if let Some((held_at, held_lane)) = self.cancel(&key) {
            at = at.min(held_at);
            if held_lane == Lane::Change {
                lane = held_lane;
            }
        }
        self.due.insert(key.clone(), (at, lane));
        self.delayed.insert((at, key));
    }

    /// Takes a delay back.
    fn cancel(&mut self, key: &Key) -> Option<(Instant, Lane)> {
        let held = self.due.remove(key)?;
        self.delayed.remove(&(held.0, key.clone()));
        Some(held)
    }

    /// Lets what has become due wait in its lane and says how many keys began to wait.
    fn ripen(&mut self, now: Instant) -> u64 {
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

    fn pop(&mut self) -> Pop {
        if self.closed {
            return Pop::Closed;
        }
        for lane in [Lane::Change, Lane::Sweep] {
            while let Some(key) = self.line(lane).pop_front() {
                // Else the entry is a leftover of a key that has since moved to the other lane or been handed out.
                if self.dirty.get(&key).is_some_and(|held| held.lane == lane)
                    && !self.processing.contains_key(&key)
                    && let Some(held) = self.dirty.remove(&key)
                {
                    self.processing.insert(key.clone(), lane);
                    return Pop::Key(key, held.since);
                }
            }
        }
        Pop::Nothing(self.delayed.first().map(|(at, _)| *at))
    }

    /// The worker is done with the key; true when it is to be handed out again.
    fn done(&mut self, key: &Key) -> bool {
        self.processing.remove(key);
        let Some(held) = self.dirty.get(key).copied() else {
            return false;
        };
        self.line(held.lane).push_back(key.clone());
        true
    }

    fn fail(&mut self, key: &Key) -> u32 {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    fn line(&mut self, lane: Lane) -> &mut VecDeque<Key> {
        match lane {
            Lane::Change => &mut self.changes,
            Lane::Sweep => &mut self.sweeps,
        }
    }

    fn clear(&mut self) {
        self.dirty.clear();
        self.changes.clear();
        self.sweeps.clear();
        self.delayed.clear();
        self.due.clear();
        self.failures.clear();
    }
}

/// The delay before the retry that follows the `failures`-th failure in a row: doubling, capped, and spread over its
/// upper half by `spread`, so that keys that failed together do not come back together.
fn backoff(failures: u32, spread: u64) -> Duration {
    let full = FIRST_RETRY
        .saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(LAST_RETRY);
    let half = full / 2;
    let step = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
    half + Duration::from_micros(spread % step)
}

/// A work queue; see the module.
#[derive(Debug)]
pub(super) struct Queue {
    core: Mutex<Core>,
    wake: Notify,
    spread: RandomState,
    metrics: QueueMetrics,
}

impl Queue {
    /// A queue that takes no keys until it is opened.
    pub(super) fn new(metrics: QueueMetrics) -> Self {
        Self {
            core: Mutex::default(),
            wake: Notify::new(),
            spread: RandomState::new(),
            metrics,
        }
    }

    /// From now on keys are taken.
    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// Forgets all waiting keys and takes none until it is opened again: what a standby does, whose keys would only pile up.
    pub(super) fn park(&self) {
        let mut core = self.lock();
        core.open = false;
        core.clear();
        self.show_depth(&core);
    }

    /// Hands out no key any more; workers that wait get `None`.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_waiters();
    }

    /// Adds a key.
    pub(super) fn add(&self, key: Key, lane: Lane) {
        let mut core = self.lock();
        if core.add(key, lane, Instant::now()) {
            self.metrics.adds.inc();
        }
        self.show_depth(&core);
        drop(core);
        self.wake.notify_one();
    }

    /// Adds a key after a delay; of several delays of one key the one that ends first counts.
    pub(super) fn add_after(&self, key: Key, lane: Lane, delay: Duration) {
        // A delay beyond the clock's range never ends: there is nothing to add.
        if let Some(at) = Instant::now().checked_add(delay) {
            self.lock().add_at(key, lane, at);
            self.wake.notify_one();
        }
    }

    /// Takes the delay of a key back, whose object is gone.
    pub(super) fn cancel(&self, key: &Key) {
        self.lock().cancel(key);
    }

    /// Adds a key that failed, after a delay that doubles with each failure in a row (50 ms to 60 s, with jitter). It
    /// comes back in the lane that it came by: failed sweeps do not overtake changes.
    pub(super) fn retry(&self, key: Key) {
        self.metrics.retries.inc();
        let (failures, lane) = {
            let mut core = self.lock();
            let lane = core.processing.get(&key).copied();
            (core.fail(&key), lane.unwrap_or(Lane::Change))
        };
        let delay = backoff(
            failures,
            self.spread.hash_one((&key, failures, std::time::Instant::now())),
        );
        self.add_after(key, lane, delay);
    }

    /// Forgets the failures of a key.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().failures.remove(key);
    }

    /// Waits for a key. The worker calls [`Queue::done`] when it has dealt with it or drops it. `None`: the queue is closed.
    pub(super) async fn next(&self) -> Option<Key> {
        loop {
            let woken = self.wake.notified();
            tokio::pin!(woken);
            // Registers for wake-ups before looking, so that none is lost in between.
            woken.as_mut().enable();
            let due = {
                let now = Instant::now();
                let mut core = self.lock();
                self.metrics.adds.inc_by(core.ripen(now));
                let popped = core.pop();
                self.show_depth(&core);
                match popped {
                    Pop::Key(key, since) => {
                        self.metrics.waited.observe(now.duration_since(since).as_secs_f64());
                        // One wake-up may stand for several keys: pass it on.
                        if !core.dirty.is_empty() || !core.delayed.is_empty() {
                            self.wake.notify_one();
                        }
                        return Some(key);
                    }
                    Pop::Closed => return None,
                    Pop::Nothing(due) => due,
                }
            };
            match due {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, woken).await;
                }
                None => woken.await,
            }
        }
    }

    /// The worker has dealt with the key, which took that long.
    pub(super) fn done(&self, key: &Key, took: Duration) {
        self.metrics.worked.observe(took.as_secs_f64());
        if self.lock().done(key) {
            self.wake.notify_one();
        }
    }

    fn show_depth(&self, core: &Core) {
        let waiting = core.dirty.len();
        self.metrics.depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn core() -> Core {
        Core {
            open: true,
            ..Core::default()
        }
    }

    fn key(name: &str) -> Key {
        Key::new("orchard", name)
    }

    fn popped(core: &mut Core) -> Option<String> {
        match core.pop() {
            Pop::Key(key, _) => Some(key.name),
            _ => None,
        }
    }

    #[test]
    fn a_key_added_twice_is_handed_out_once() {
        let (mut core, now) = (core(), Instant::now());
        assert!(core.add(key("apple"), Lane::Change, now));
        assert!(!core.add(key("apple"), Lane::Change, now));
        assert_eq!(popped(&mut core).as_deref(), Some("apple"));
        assert_eq!(popped(&mut core), None);
    }

    #[test]
    fn a_key_added_while_a_worker_has_it_comes_back_only_after_that_worker() {
        let (mut core, now) = (core(), Instant::now());
        core.add(key("apple"), Lane::Change, now);
        assert_eq!(popped(&mut core).as_deref(), Some("apple"));
        core.add(key("apple"), Lane::Change, now);
        assert_eq!(popped(&mut core), None, "no second worker may have it");
        assert!(core.done(&key("apple")));
        assert_eq!(popped(&mut core).as_deref(), Some("apple"));
        assert!(!core.done(&key("apple")));
    }

    #[test]
    fn changes_go_before_sweeps_and_lift_a_swept_key() {
        let (mut core, now) = (core(), Instant::now());
        for name in ["plum", "pear", "fig"] {
            core.add(key(name), Lane::Sweep, now);
        }
        assert!(!core.add(key("fig"), Lane::Change, now), "it waited already");
        core.add(key("plum"), Lane::Sweep, now);
        let order: Vec<_> = std::iter::from_fn(|| popped(&mut core)).collect();
        assert_eq!(order, ["fig", "plum", "pear"]);
    }

    #[test]
    fn a_sweep_never_demotes_a_change() {
        let (mut core, now) = (core(), Instant::now());
        core.add(key("plum"), Lane::Sweep, now);
        core.add(key("fig"), Lane::Change, now);
        core.add(key("fig"), Lane::Sweep, now);
        let order: Vec<_> = std::iter::from_fn(|| popped(&mut core)).collect();
        assert_eq!(order, ["fig", "plum"]);
    }

    #[test]
    fn the_earliest_of_several_delays_counts_and_fires_once() {
        let (mut core, now) = (core(), Instant::now());
        let second = Duration::from_secs(1);
        for seconds in [5, 1, 9] {
            core.add_at(key("apple"), Lane::Change, now + seconds * second);
        }
        assert_eq!(core.pop(), Pop::Nothing(Some(now + second)));
        assert_eq!(core.ripen(now + second), 1);
        assert_eq!(popped(&mut core).as_deref(), Some("apple"));
        assert_eq!(core.ripen(now + 20 * second), 0);
        assert_eq!(core.pop(), Pop::Nothing(None));
    }

    #[test]
    fn a_delayed_key_keeps_its_lane_unless_a_change_asks_for_it_too() {
        let (mut core, now) = (core(), Instant::now());
        let second = Duration::from_secs(1);
        core.add_at(key("plum"), Lane::Sweep, now);
        core.add_at(key("pear"), Lane::Sweep, now);
        core.add_at(key("pear"), Lane::Change, now + second);
        core.add_at(key("fig"), Lane::Change, now + second);
        core.add_at(key("fig"), Lane::Sweep, now);
        assert_eq!(core.ripen(now), 3);
        let order: Vec<_> = std::iter::from_fn(|| popped(&mut core)).collect();
        assert_eq!(order, ["fig", "pear", "plum"]);
    }

    #[test]
    fn a_delay_that_is_taken_back_never_ends() {
        let (mut core, now) = (core(), Instant::now());
        core.add_at(key("apple"), Lane::Change, now);
        core.cancel(&key("apple"));
        assert_eq!(core.ripen(now + Duration::from_secs(1)), 0);
        assert_eq!(core.pop(), Pop::Nothing(None));
        assert!(core.due.is_empty());
    }

    #[tokio::test]
    async fn a_swept_key_that_fails_comes_back_as_a_sweep() {
        let queue = Queue::new(QueueMetrics::default());
        queue.open();
        queue.add(key("plum"), Lane::Sweep);
        let plum = queue.next().await.unwrap();
        queue.retry(plum.clone());
        queue.done(&plum, Duration::ZERO);
        assert_eq!(queue.lock().due.get(&plum).map(|(_, lane)| *lane), Some(Lane::Sweep));
    }

    #[test]
    fn a_closed_or_parked_queue_takes_nothing() {
        let (mut core, now) = (core(), Instant::now());
        core.add(key("apple"), Lane::Change, now);
        core.closed = true;
        assert_eq!(core.pop(), Pop::Closed);
        let mut parked = Core::default();
        assert!(!parked.add(key("apple"), Lane::Change, now));
        parked.add_at(key("apple"), Lane::Change, now);
        assert_eq!(parked.pop(), Pop::Nothing(None));
    }

    #[test]
    fn the_backoff_doubles_up_to_a_minute_and_jitter_takes_at_most_half() {
        for (failures, full) in [(1, 50), (2, 100), (5, 800), (11, 51_200), (12, 60_000), (1_000, 60_000)] {
            let full = Duration::from_millis(full);
            for spread in [0, 1, 77_777, u64::MAX] {
                let delay = backoff(failures, spread);
                assert!(delay >= full / 2 && delay <= full, "{failures} {spread}: {delay:?}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_key_is_lost_or_doubled_between_many_workers() {
        use std::sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        };
        let queue = Arc::new(Queue::new(QueueMetrics::default()));
        queue.open();
        let handled = Arc::new(AtomicUsize::new(0));
        let held = Arc::new(Mutex::new(std::collections::HashSet::new()));
        let workers: Vec<_> = (0..6)
            .map(|_| {
                let (queue, handled, held) = (queue.clone(), handled.clone(), held.clone());
                tokio::spawn(async move {
                    while let Some(key) = queue.next().await {
                        assert!(held.lock().unwrap().insert(key.clone()), "two workers have {key}");
                        tokio::task::yield_now().await;
                        held.lock().unwrap().remove(&key);
                        handled.fetch_add(1, Ordering::SeqCst);
                        queue.done(&key, Duration::ZERO);
                    }
                })
            })
            .collect();
        for round in 0..50 {
            for number in 0..20 {
                let key = key(&number.to_string());
                if number % 2 == 0 {
                    queue.add(key, Lane::Change);
                } else {
                    queue.add_after(key, Lane::Change, Duration::from_millis(round % 3));
                }
            }
            tokio::task::yield_now().await;
        }
        // The last add of every key must be followed by a hand-out.
        let deadline = Instant::now() + Duration::from_secs(20);
        while !{
            let core = queue.lock();
            core.dirty.is_empty() && core.delayed.is_empty() && core.processing.is_empty()
        } {
            assert!(Instant::now() < deadline, "keys are stuck");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(handled.load(Ordering::SeqCst) >= 20);
        queue.close();
        for worker in workers {
            worker.await.unwrap();
        }
    }
}
