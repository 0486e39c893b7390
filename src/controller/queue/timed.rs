//! The queue with its clock, lock and waiting.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::telemetry::QueueMetrics;

use super::{
    key::{Lane, Tenanted},
    untimed::{Core, Pop},
};

/// Delay before the first retry of a key.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Longest delay before a retry.
const LAST_RETRY: Duration = Duration::from_mins(1);

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

/// A work queue.
#[derive(Debug)]
pub(in crate::controller) struct Queue<K> {
    core: Mutex<Core<K>>,
    wake: Notify,
    metrics: QueueMetrics,
}

impl<K: Tenanted> Queue<K> {
    /// A queue that takes no keys until it is opened. Of one tenant at most `limit` keys are handed out at once.
    pub(in crate::controller) fn new(metrics: QueueMetrics, limit: usize) -> Self {
        Self {
            core: Mutex::new(Core::new(limit)),
            wake: Notify::new(),
            metrics,
        }
    }

    /// From now on keys are taken.
    pub(in crate::controller) fn open(&self) {
        self.lock().open = true;
    }

    /// Forgets all waiting keys and takes none until it is opened again: what a standby does, whose keys would only pile up.
    pub(in crate::controller) fn park(&self) {
        let mut core = self.lock();
        core.open = false;
        core.clear();
        self.show_depth(&core);
    }

    /// Hands out no key any more; workers that wait get `None`.
    pub(in crate::controller) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_waiters();
    }

    /// Adds a key.
    pub(in crate::controller) fn add(&self, key: K, lane: Lane) {
        let mut core = self.lock();
        if core.add(key, lane, Instant::now()) {
            self.metrics.adds.inc();
        }
        self.show_depth(&core);
        drop(core);
        self.wake.notify_one();
    }

    /// Adds a key after a delay; of several delays of one key the one that ends first counts.
    pub(in crate::controller) fn add_after(&self, key: K, lane: Lane, delay: Duration) {
        // A delay beyond the clock's range never ends: there is nothing to add.
        if let Some(at) = Instant::now().checked_add(delay) {
            self.lock().add_at(key, lane, at);
            self.wake.notify_one();
        }
    }

    /// Takes the delay of a key back, whose object is gone.
    pub(in crate::controller) fn cancel(&self, key: &K) {
        self.lock().cancel(key);
    }

    /// Adds a key that failed, after a delay that doubles with each failure in a row (50 ms to 60 s, with jitter). It
    /// comes back in the lane that it came by: failed sweeps do not overtake changes.
    pub(in crate::controller) fn retry(&self, key: K) {
        self.metrics.retries.inc();
        let (failures, lane) = {
            let mut core = self.lock();
            (core.fail(&key), core.lane_of(&key))
        };
        let delay = backoff(failures, fastrand::u64(..));
        self.add_after(key, lane, delay);
    }

    /// Adds a key that a worker has again after a delay, in the lane that it came by.
    pub(in crate::controller) fn requeue(&self, key: K, delay: Duration) {
        let lane = self.lock().lane_of(&key);
        self.add_after(key, lane, delay);
    }

    /// Forgets the failures of a key.
    pub(in crate::controller) fn forget(&self, key: &K) {
        self.lock().forget(key);
    }

    /// Waits for a key. The worker calls [`Queue::done`] when it has dealt with it or drops it. `None`: the queue is closed.
    pub(in crate::controller) async fn next(&self) -> Option<K> {
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
                        if !core.is_empty() {
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
    pub(in crate::controller) fn done(&self, key: &K, took: Duration) {
        self.metrics.worked.observe(took.as_secs_f64());
        if self.lock().done(key) {
            self.wake.notify_one();
        }
    }

    fn show_depth(&self, core: &Core<K>) {
        let waiting = core.depth();
        self.metrics.depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Core<K>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// A key without a tenant of its own.
    impl Tenanted for u32 {
        fn tenant(&self) -> &'static str {
            "orchard"
        }
    }

    #[tokio::test]
    async fn a_key_that_is_put_back_keeps_the_lane_that_it_came_by() {
        let queue = Queue::new(QueueMetrics::default(), 9);
        queue.open();
        for (number, lane) in [(1, Lane::Sweep), (2, Lane::Change)] {
            queue.add(number, lane);
            let key = queue.next().await.unwrap();
            queue.retry(key);
            queue.done(&key, Duration::ZERO);
            assert_eq!(queue.lock().due(&key).unwrap().1, lane, "after a failure");
            queue.cancel(&key);
            queue.add(number, lane);
            let key = queue.next().await.unwrap();
            queue.requeue(key, Duration::from_secs(9));
            queue.done(&key, Duration::ZERO);
            assert_eq!(queue.lock().due(&key).unwrap().1, lane, "after a delay");
        }
    }

    #[tokio::test]
    async fn a_worker_that_waits_for_a_busy_tenant_is_woken() {
        let queue = std::sync::Arc::new(Queue::new(QueueMetrics::default(), 1));
        queue.open();
        queue.add(1, Lane::Change);
        queue.add(2, Lane::Change);
        let first = queue.next().await.unwrap();
        let second = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!second.is_finished());
        queue.done(&first, Duration::ZERO);
        assert_eq!(second.await.unwrap(), Some(2));
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
        let queue = Arc::new(Queue::new(QueueMetrics::default(), 3));
        queue.open();
        let handled = Arc::new(AtomicUsize::new(0));
        let held = Arc::new(Mutex::new(std::collections::HashSet::new()));
        let workers: Vec<_> = (0..6)
            .map(|_| {
                let (queue, handled, held) = (queue.clone(), handled.clone(), held.clone());
                tokio::spawn(async move {
                    while let Some(key) = queue.next().await {
                        assert!(held.lock().unwrap().insert(key), "two workers have {key}");
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
                if number % 2 == 0 {
                    queue.add(number, Lane::Change);
                } else {
                    queue.add_after(number, Lane::Change, Duration::from_millis(round % 3));
                }
            }
            tokio::task::yield_now().await;
        }
        // The last add of every key must be followed by a hand-out.
        let deadline = Instant::now() + Duration::from_secs(20);
        while !queue.lock().is_idle() {
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
