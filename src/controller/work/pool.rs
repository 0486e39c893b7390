//! Threads for diagnoses alone. A diagnosis never waits and may take a while, so that on the runtime's own threads it would keep probes,
//! the lease and the watches from their turn.
//!
//! Namespaces take turns, and one of them never has all threads: where its diagnoses are slow, those of others are not.

use std::{
    collections::HashMap,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::spawn_blocking};

use crate::controller::{
    failure::Failure,
    queue::{Line, Tenanted},
};

/// How long a turn lasts; it ends with the diagnosis that is under way then.
const SLICE: Duration = Duration::from_millis(5);

/// As many diagnoses at a time as there are processors, and at least two: one namespace leaves one to the others.
#[derive(Debug)]
pub(in crate::controller) struct DiagnosisPool(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    threads: usize,
    running: usize,
    /// How many run for each namespace.
    of_namespace: HashMap<String, usize>,
    waiting: Line<Ticket>,
    /// Those of the tickets that wait still.
    wake: HashMap<u64, oneshot::Sender<Turn>>,
    next: u64,
}

/// One that waits for its turn.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Ticket {
    namespace: String,
    number: u64,
}

impl Tenanted for Ticket {
    fn tenant(&self) -> &str {
        &self.namespace
    }
}

/// A thread that may be used, until this value goes.
#[derive(Debug)]
struct Turn {
    state: Arc<Mutex<State>>,
    namespace: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.running -= 1;
        if let Some(number) = state.of_namespace.get_mut(&self.namespace) {
            *number -= 1;
            if *number == 0 {
                state.of_namespace.remove(&self.namespace);
            }
        }
        drop(state);
        hand_out(&self.state);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives free threads to those who wait, the next namespace first.
fn hand_out(state: &Arc<Mutex<State>>) {
    loop {
        let (wake, namespace) = {
            let mut held = lock(state);
            if held.running >= held.threads {
                return;
            }
            let State {
                threads,
                of_namespace,
                waiting,
                ..
            } = &mut *held;
            let most = threads.saturating_sub(1).max(1);
            let may = |namespace: &str| of_namespace.get(namespace).is_none_or(|number| *number < most);
            let Some(ticket) = waiting.pop(may) else { return };
            let Some(wake) = held.wake.remove(&ticket.number).filter(|wake| !wake.is_closed()) else {
                continue;
            };
            held.running += 1;
            *held.of_namespace.entry(ticket.namespace.clone()).or_default() += 1;
            (wake, ticket.namespace)
        };
        // One that is gone meanwhile gives its turn back.
        let turn = Turn {
            state: state.clone(),
            namespace,
        };
        if let Err(turn) = wake.send(turn) {
            drop(turn);
        }
    }
}

impl DiagnosisPool {
    pub(in crate::controller) fn new() -> Self {
        Self::of(thread::available_parallelism().map_or(1, usize::from).max(2))
    }

    fn of(threads: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            threads,
            running: 0,
            of_namespace: HashMap::new(),
            waiting: Line::default(),
            wake: HashMap::new(),
            next: 0,
        })))
    }

    /// Runs it on a thread of the pool. A caller that is gone before its turn takes none.
    pub(in crate::controller) async fn run<T, F>(&self, namespace: &str, diagnose: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.run_in_slices(namespace, |_| diagnose()).await
    }

    /// The same for many diagnoses in one, which gives way between them: others wait for one of them and not for all.
    pub(in crate::controller) async fn run_in_slices<T, F>(&self, namespace: &str, diagnose: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Slices) -> T + Send + 'static,
    {
        // Held by the thread and not by the caller, who may be called off meanwhile.
        let turn = self.turn(namespace).await.map_err(|_| Failure::Interrupted)?;
        let mut slices = Slices {
            pool: Self(self.0.clone()),
            turn: Some(turn),
            since: Instant::now(),
        };
        let running = spawn_blocking(move || diagnose(&mut slices));
        match running.await {
            Ok(result) => Ok(result),
            // The worker makes of it what it makes of its own.
            Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
            Err(_) => Err(Failure::Interrupted),
        }
    }

    /// Waits in line for a thread.
    fn turn(&self, namespace: &str) -> oneshot::Receiver<Turn> {
        let (wake, woken) = oneshot::channel();
        {
            let mut state = lock(&self.0);
            state.next += 1;
            let number = state.next;
            state.wake.insert(number, wake);
            state.waiting.push(Ticket {
                namespace: namespace.to_owned(),
                number,
            });
        }
        hand_out(&self.0);
        woken
    }
}

/// The turns of many diagnoses in one.
#[derive(Debug)]
pub(in crate::controller) struct Slices {
    pool: DiagnosisPool,
    turn: Option<Turn>,
    since: Instant,
}

impl Slices {
    /// Lets those that wait go first, if this turn has lasted long enough, and waits for the next.
    pub(in crate::controller) fn give_way(&mut self) {
        if self.since.elapsed() < SLICE {
            return;
        }
        if let Some(turn) = self.turn.take() {
            let namespace = turn.namespace.clone();
            drop(turn);
            self.turn = self.pool.turn(&namespace).blocking_recv().ok();
        }
        self.since = Instant::now();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn diagnoses_take_turns_and_the_runtime_stays_free() {
        let pool = DiagnosisPool::of(2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ticks = AtomicUsize::new(0);
        let all = futures::future::join_all((0..6).map(|number: u32| {
            let (running, most) = (running.clone(), most.clone());
            let namespace = number.to_string();
            let pool = &pool;
            let diagnose = move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(40));
                running.fetch_sub(1, Ordering::SeqCst);
            };
            async move { pool.run(&namespace, diagnose).await }
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

    #[tokio::test]
    async fn a_slow_namespace_never_has_all_threads_and_namespaces_take_turns() {
        let pool = DiagnosisPool::of(2);
        let slow =
            futures::future::join_all((0..10).map(|_| pool.run("slow", || thread::sleep(Duration::from_millis(50)))));
        let quick = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let began = std::time::Instant::now();
            for _ in 0..5 {
                pool.run("quick", || ()).await.unwrap();
            }
            began.elapsed()
        };
        let (_, quick) = tokio::join!(slow, quick);
        assert!(quick < Duration::from_millis(200), "{quick:?}");
        let state = lock(&pool.0);
        assert_eq!((state.running, state.of_namespace.len(), state.wake.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn who_is_called_off_gives_its_turn_to_the_next_and_a_panic_too() {
        let pool = Arc::new(DiagnosisPool::of(2));
        for _ in 0..20 {
            let waits = tokio::spawn({
                let pool = pool.clone();
                async move { pool.run("meadow", || thread::sleep(Duration::from_millis(20))).await }
            });
            tokio::task::yield_now().await;
            waits.abort();
        }
        let panics = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run("meadow", || assert_eq!(1, 2)).await }
        });
        assert!(panics.await.unwrap_err().is_panic());
        let last = tokio::time::timeout(Duration::from_secs(10), pool.run("meadow", || 7)).await;
        assert_eq!(last.unwrap().unwrap(), 7);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn many_diagnoses_in_one_give_way_to_those_of_others() {
        let pool = DiagnosisPool::of(2);
        let begun = Instant::now();
        // Two namespaces have both threads.
        let many = ["hedge", "fence"].map(|namespace| {
            pool.run_in_slices(namespace, move |slices| {
                for _ in 0..50 {
                    thread::sleep(2 * SLICE);
                    slices.give_way();
                }
                begun.elapsed()
            })
        });
        let one = async {
            tokio::time::sleep(SLICE).await;
            pool.run("lawn", move || begun.elapsed()).await
        };
        let (many, one) = tokio::join!(futures::future::join_all(many), one);
        let one = one.unwrap();
        assert!(many.into_iter().all(|many| one < many.unwrap() / 2));
    }
}
