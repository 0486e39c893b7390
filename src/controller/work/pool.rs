//! Threads for diagnoses alone. A diagnosis never waits and may take a while, so that on the runtime's own threads it would keep probes,
//! the lease and the watches from their turn.

use std::{panic::resume_unwind, sync::Arc, thread};

use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::controller::failure::Failure;

/// As many diagnoses at a time as there are processors; those that wait get their turn in order.
#[derive(Debug)]
pub(in crate::controller) struct DiagnosisPool {
    turns: Arc<Semaphore>,
}

impl DiagnosisPool {
    pub(in crate::controller) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new(processors)),
        }
    }

    /// Runs it on a thread of the pool. A caller that is gone before its turn takes none.
    pub(in crate::controller) async fn run<T, F>(&self, diagnose: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        // Held by the thread and not by the caller, who may be called off meanwhile.
        let turn = self
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Failure::Interrupted)?;
        let running = spawn_blocking(move || {
            let result = diagnose();
            drop(turn);
            result
        });
        match running.await {
            Ok(result) => Ok(result),
            // The worker makes of it what it makes of its own.
            Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
            Err(_) => Err(Failure::Interrupted),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn diagnoses_take_turns_and_the_runtime_stays_free() {
        let pool = DiagnosisPool {
            turns: Arc::new(Semaphore::new(2)),
        };
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ticks = AtomicUsize::new(0);
        let all = futures::future::join_all((0..6).map(|_| {
            let (running, most) = (running.clone(), most.clone());
            pool.run(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(40));
                running.fetch_sub(1, Ordering::SeqCst);
            })
        }));
        let ticking = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ticks.fetch_add(1, Ordering::SeqCst);
            }
        };
        tokio::select! {
            done = all => assert!(done.into_iter().all(|one| one.is_ok())),
            () = ticking => {}
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert!(
            ticks.load(Ordering::SeqCst) > 3,
            "the only thread of the runtime had its turn"
        );
    }
}
