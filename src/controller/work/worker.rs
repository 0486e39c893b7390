//! A worker: takes a key, has it reconciled, says how it went.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tracing::{debug, error, warn};

use crate::{
    telemetry::{ControllerMetrics, LogLimiter, Metrics},
    world::Key,
};

use super::grace::Grace;
use crate::controller::{
    failure::Failure,
    queue::{Queue, Tenanted},
};

/// The shortest time after which a key is looked at again that could not be written.
const SOON: Duration = Duration::from_millis(50);

impl Tenanted for Key {
    fn tenant(&self) -> &str {
        &self.namespace
    }
}

/// How a reconcile ended well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::controller) enum Outcome {
    /// Until something changes.
    AwaitChange,
    /// Until something changes, and to be looked at again after this time.
    RequeueAfter(Duration),
}

/// What the workers of one controller share.
#[derive(Debug)]
pub(in crate::controller) struct ControllerState {
    pub(in crate::controller) queue: Arc<Queue<Key>>,
    pub(in crate::controller) metrics: ControllerMetrics,
    limiter: LogLimiter,
    pub(in crate::controller) grace: Grace,
}

impl ControllerState {
    pub(in crate::controller) fn new(metrics: &Metrics, controller: &'static str, workers: u16) -> Self {
        // One more than one namespace may have.
        let metrics = metrics.controller(controller, workers.saturating_add(1));
        Self {
            queue: Arc::new(Queue::new(metrics.queue.clone(), workers.into())),
            metrics,
            limiter: LogLimiter::default(),
            grace: Grace::default(),
        }
    }
}

/// A key that a worker has. Given back however the work ends: done, or dropped in the middle because the lease is lost. Else the
/// queue would hold it for busy, and nobody would get it ever again.
struct Taken<'a> {
    state: &'a ControllerState,
    key: Key,
    began: Instant,
}

impl<'a> Taken<'a> {
    fn new(state: &'a ControllerState, key: Key) -> Self {
        state.metrics.active.inc();
        Self {
            state,
            key,
            began: Instant::now(),
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.state.metrics.active.dec();
        self.state.queue.done(&self.key, self.began.elapsed());
    }
}

/// Works until the queue is closed.
pub(in crate::controller) async fn work<R>(state: &ControllerState, kind: &'static str, reconcile: impl Fn(Key) -> R)
where
    R: Future<Output = Result<Outcome, Failure>>,
{
    while let Some(key) = state.queue.next().await {
        let taken = Taken::new(state, key);
        let key = &taken.key;
        // Whatever it waited for is looked at now, and this reconcile says when to look again: a key whose object is gone must not
        // wait for the end of a ttl of years. Before the snapshot is taken, so that no later change is taken back.
        state.queue.cancel(key);
        // A fault in one object's diagnosis must not take the worker from all others.
        let result = AssertUnwindSafe(reconcile(key.clone())).catch_unwind().await;
        let took = taken.began.elapsed();
        state.metrics.time.observe(took.as_secs_f64());
        match result {
            Ok(Ok(done)) => {
                state.queue.forget(key);
                match done {
                    Outcome::AwaitChange => state.metrics.success.inc(),
                    Outcome::RequeueAfter(delay) => {
                        state.queue.requeue(key.clone(), delay);
                        state.metrics.requeue_after.inc()
                    }
                };
                debug!(kind, object = %key, ?took, ?done, "reconciled");
            }
            // Nothing is wrong with this key: it neither fails nor is it to wait longer each time.
            Ok(Err(Failure::PushedBack(wait) | Failure::Disputed(wait))) => {
                state.metrics.requeue_after.inc();
                state.queue.requeue(key.clone(), wait.max(SOON));
                debug!(kind, object = %key, ?wait, "not written");
            }
            Ok(Err(failure)) => {
                state.metrics.error.inc();
                state.metrics.errors.inc();
                let text = failure.to_string();
                if let Some(suppressed) = state.limiter.allow(&text, Instant::now()) {
                    warn!(kind, object = %key, "{text}; retrying{suppressed}");
                } else {
                    debug!(kind, object = %key, "{text}; retrying");
                }
                state.queue.retry(key.clone());
            }
            Err(_) => {
                state.metrics.error.inc();
                state.metrics.errors.inc();
                state.metrics.panics.inc();
                error!(kind, object = %key, "the reconciliation panicked, which is a bug; retrying");
                state.queue.retry(key.clone());
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
    async fn a_key_whose_object_is_gone_waits_for_nothing_more() {
        let metrics = Metrics::new();
        let state = Arc::new(ControllerState::new(&metrics, "shears", 1));
        let key = Key::new("orchard", "apple");
        state.queue.open();
        state.queue.add(key.clone(), Lane::Change);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let worker = tokio::spawn({
            let state = state.clone();
            async move {
                let times = std::sync::atomic::AtomicU32::new(0);
                work(&state, "Shears", |_| {
                    let time = times.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    tell.send(time).unwrap();
                    // There at first, and to be looked at again; then gone.
                    let outcome = match time {
                        0 => Outcome::RequeueAfter(Duration::from_millis(400)),
                        _ => Outcome::AwaitChange,
                    };
                    std::future::ready(Ok(outcome))
                })
                .await;
            }
        });
        assert_eq!(told.recv().await, Some(0));
        state.queue.add(key, Lane::Change);
        assert_eq!(told.recv().await, Some(1));
        let third = tokio::time::timeout(Duration::from_millis(900), told.recv()).await;
        assert!(third.is_err(), "{third:?}");
        worker.abort();
    }

    #[tokio::test]
    async fn a_key_whose_worker_is_dropped_goes_to_the_next_worker() {
        let metrics = Metrics::new();
        let state = std::sync::Arc::new(ControllerState::new(&metrics, "shears", 1));
        let key = Key::new("orchard", "apple");
        state.queue.open();
        state.queue.add(key.clone(), Lane::Change);
        // A write that is never answered.
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let stuck = tokio::spawn({
            let state = state.clone();
            async move {
                work(&state, "Shears", |_| {
                    tell.send(()).unwrap();
                    std::future::pending()
                })
                .await;
            }
        });
        told.recv().await.unwrap();
        assert_eq!(state.metrics.active.get(), 1);
        // The lease is lost, and held again.
        state.queue.park();
        stuck.abort();
        assert!(stuck.await.unwrap_err().is_cancelled());
        assert_eq!(state.metrics.active.get(), 0);
        state.queue.open();
        state.queue.add(key.clone(), Lane::Sweep);
        let next = tokio::time::timeout(Duration::from_secs(5), state.queue.next()).await;
        assert_eq!(next.unwrap(), Some(key));
    }

    #[tokio::test]
    async fn a_key_that_waits_for_the_api_server_has_not_failed() {
        let metrics = Metrics::new();
        let state = Arc::new(ControllerState::new(&metrics, "shears", 1));
        state.queue.open();
        state.queue.add(Key::new("orchard", "apple"), Lane::Sweep);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let worker = tokio::spawn({
            let state = state.clone();
            async move {
                work(&state, "Shears", |_| {
                    tell.send(()).unwrap();
                    let wait = Duration::from_millis(1);
                    std::future::ready(Err(Failure::PushedBack(wait)))
                })
                .await;
            }
        });
        let began = Instant::now();
        for _ in 0..10 {
            told.recv().await.unwrap();
        }
        // Ten failures in a row would have taken more than ten seconds.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!((state.metrics.error.get(), state.metrics.errors.get()), (0, 0));
        worker.abort();
    }
}
