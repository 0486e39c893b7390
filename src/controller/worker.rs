//! A worker: takes a key, has it reconciled, says how it went.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::FutureExt;
use tracing::{debug, error, warn};

use crate::{
    telemetry::{ControllerMetrics, Metrics},
    world::Key,
};

use super::{
    failure::Failure,
    queue::{Queue, Tenanted},
    reconcile::Grace,
};

impl Tenanted for Key {
    fn tenant(&self) -> &str {
        &self.namespace
    }
}

/// How a reconcile ended well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Done {
    /// Until something changes.
    UntilChange,
    /// Until something changes, and to be looked at again after this time.
    For(Duration),
}

/// Lets a few complaints of one controller through: an API server that is away fails every key there is, and each for the same reason. What is
/// held back is logged at debug level and counted in the metrics.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Option<(Instant, u32)>>);

impl Complaints {
    /// Complaints in each [`Self::WINDOW`].
    const ALLOWED: u32 = 10;
    const WINDOW: Duration = Duration::from_secs(10);

    fn may(&self) -> bool {
        self.may_at(Instant::now())
    }

    fn may_at(&self, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match window.as_mut() {
            Some((began, said)) if now.duration_since(*began) < Self::WINDOW => {
                *said = said.saturating_add(1);
                *said <= Self::ALLOWED
            }
            _ => {
                *window = Some((now, 1));
                true
            }
        }
    }
}

/// What the workers of one controller share.
#[derive(Debug)]
pub(super) struct ControllerState {
    pub(super) queue: Arc<Queue<Key>>,
    pub(super) metrics: ControllerMetrics,
    pub(super) complaints: Complaints,
    pub(super) grace: Grace,
}

impl ControllerState {
    pub(super) fn new(metrics: &Metrics, controller: &'static str, workers: u16) -> Self {
        let metrics = metrics.controller(controller, workers);
        Self {
            queue: Arc::new(Queue::new(metrics.queue.clone(), workers.into())),
            metrics,
            complaints: Complaints::default(),
            grace: Grace::default(),
        }
    }
}

/// A key that a worker has. Given back however the work ends: done, or dropped in the middle because the lease is lost. Else the
/// queue would hold it for busy, and nobody would get it ever again.
struct Taken<'a> {
    desk: &'a ControllerState,
    key: Key,
    began: Instant,
}

impl<'a> Taken<'a> {
    fn new(desk: &'a ControllerState, key: Key) -> Self {
        desk.metrics.active.inc();
        Self {
            desk,
            key,
            began: Instant::now(),
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.desk.metrics.active.dec();
        self.desk.queue.done(&self.key, self.began.elapsed());
    }
}

/// Works until the queue is closed.
pub(super) async fn work<R>(desk: &ControllerState, kind: &'static str, reconcile: impl Fn(Key) -> R)
where
    R: Future<Output = Result<Done, Failure>>,
{
    while let Some(key) = desk.queue.next().await {
        let taken = Taken::new(desk, key);
        let key = &taken.key;
        // A fault in one object's diagnosis must not take the worker from all others.
        let result = AssertUnwindSafe(reconcile(key.clone())).catch_unwind().await;
        let took = taken.began.elapsed();
        desk.metrics.time.observe(took.as_secs_f64());
        match result {
            Ok(Ok(done)) => {
                desk.queue.forget(key);
                match done {
                    Done::UntilChange => desk.metrics.success.inc(),
                    Done::For(delay) => {
                        desk.queue.requeue(key.clone(), delay);
                        desk.metrics.requeue_after.inc()
                    }
                };
                debug!(kind, object = %key, ?took, ?done, "reconciled");
            }
            Ok(Err(failure)) => {
                desk.metrics.error.inc();
                desk.metrics.errors.inc();
                if desk.complaints.may() {
                    warn!(kind, object = %key, "{failure}; trying again");
                } else {
                    debug!(kind, object = %key, "{failure}; trying again");
                }
                desk.queue.retry(key.clone());
            }
            Err(_) => {
                desk.metrics.error.inc();
                desk.metrics.errors.inc();
                desk.metrics.panics.inc();
                error!(kind, object = %key, "the reconcile panicked: a fault of the program; trying again");
                desk.queue.retry(key.clone());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::controller::queue::Lane;

    #[tokio::test]
    async fn a_key_whose_worker_is_dropped_goes_to_the_next_worker() {
        let metrics = Metrics::new();
        let desk = std::sync::Arc::new(ControllerState::new(&metrics, "shears", 1));
        let key = Key::new("orchard", "apple");
        desk.queue.open();
        desk.queue.add(key.clone(), Lane::Change);
        // A write that is never answered.
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let stuck = tokio::spawn({
            let desk = desk.clone();
            async move {
                work(&desk, "Shears", |_| {
                    tell.send(()).unwrap();
                    std::future::pending()
                })
                .await;
            }
        });
        told.recv().await.unwrap();
        assert_eq!(desk.metrics.active.get(), 1);
        // The lease is lost, and held again.
        desk.queue.park();
        stuck.abort();
        assert!(stuck.await.unwrap_err().is_cancelled());
        assert_eq!(desk.metrics.active.get(), 0);
        desk.queue.open();
        desk.queue.add(key.clone(), Lane::Sweep);
        let next = tokio::time::timeout(Duration::from_secs(5), desk.queue.next()).await;
        assert_eq!(next.unwrap(), Some(key));
    }

    #[test]
    fn complaints_are_few_and_come_again_after_a_while() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let said = (0..1_000).filter(|_| complaints.may_at(start)).count();
        assert_eq!(said, 10);
        assert!(!complaints.may_at(start + Duration::from_millis(9_999)));
        assert!(complaints.may_at(start + Duration::from_secs(10)));
    }
}
