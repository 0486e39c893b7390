//! A worker: takes a key, has it reconciled, says how it went.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tracing::{debug, error, warn};

use crate::world::Key;

use super::{failure::Failure, shared::Desk};

/// How a reconcile ended well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Done {
    /// Until something changes.
    UntilChange,
    /// Until something changes, and to be looked at again after this time.
    For(Duration),
}

/// Works until the queue is closed.
pub(super) async fn work<R>(desk: &Desk, kind: &'static str, reconcile: impl Fn(Key) -> R)
where
    R: Future<Output = Result<Done, Failure>>,
{
    while let Some(key) = desk.queue.next().await {
        desk.metrics.active.inc();
        let began = Instant::now();
        // A fault in one object's diagnosis must not take the worker from all others.
        let result = AssertUnwindSafe(reconcile(key.clone())).catch_unwind().await;
        let took = began.elapsed();
        desk.metrics.time.observe(took.as_secs_f64());
        desk.metrics.active.dec();
        match result {
            Ok(Ok(done)) => {
                desk.queue.forget(&key);
                match done {
                    Done::UntilChange => desk.metrics.success.inc(),
                    Done::For(delay) => {
                        desk.queue.add_after(key.clone(), delay);
                        desk.metrics.requeue_after.inc()
                    }
                };
                debug!(kind, object = %key, ?took, ?done, "reconciled");
            }
            Ok(Err(failure)) => {
                desk.metrics.error.inc();
                desk.metrics.errors.inc();
                warn!(kind, object = %key, "{failure}; trying again");
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
        desk.queue.done(&key, took);
    }
}
