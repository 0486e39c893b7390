//! The controller: watches feed one [`World`], changes of it wake reconcilers, each writes one status.
//!
//! ```text
//! cache (a watch per kind) ──affected keys──> dispatch ──> queues ──> workers: snapshot → diagnose → compare → at most one write
//!        ^                                                                                                      │
//!        └──────────────── the API server ──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! `kube::runtime::Controller` is not used: it keeps a second copy of every object in a Store of its own, which can run
//! ahead of ours, shows neither the depth nor the latency of its queue, and cannot tell how old what it holds is.
//!
//! What holds at every moment:
//!
//! - A key is queued only after the cache has taken in the change that concerns it.
//! - No key is handed out before every kind has been listed once, so that nothing is called missing that is merely unread, nor while
//!   the view of a kind is stale ([`cache`]), so that nothing is told that may be over.
//! - A reconcile reads one snapshot and writes only when the status held there differs, times aside. Hence a
//!   restart writes nothing, and a crash at any point is healed by the next look.
//! - Only the holder of the lease writes ([`lease`]).

mod cache;
mod clock;
mod dispatch;
mod events;
mod failure;
mod gate;
mod lease;
mod names;
mod queue;
mod work;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::Client;
use tokio::{
    sync::watch as news,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    api::v1alpha1::{BackendServer, Kind, LoadBalancer, NetworkACL, SecurityGroup},
    telemetry::{Metrics, Readiness},
    world::Settings,
};

pub use cache::MAX_VIEW_AGE;
pub use failure::api_message as describe;
pub use lease::LeaseSettings;

use cache::{Cache, CatchUp};
use dispatch::Dispatch;
use events::Events;
use gate::Gate;
use lease::{Elector, Leadership};
use work::{Context, ControllerState, DiagnosisPool, Outcome, Reconciled, Writer, field_manager};

/// How long nothing at all may come over a connection that something is expected from: longer than the quietest watch, so that only a
/// connection that died without a word is given up.
pub const SILENCE: Duration = Duration::from_mins(1);

/// How long workers may take to finish what they have when the process stops.
const DRAIN: Duration = Duration::from_secs(8);
/// How long to wait for cancelled workers to end: they end at their next await, so this is generous.
const CANCEL: Duration = Duration::from_secs(3);
/// How long to wait at the end for events that are not published yet.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// How the controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one namespace to watch; `None`: all.
    pub namespace: Option<String>,
    /// What holds for every diagnosis.
    pub settings: Settings,
    /// Workers of each controller, at least 1.
    pub workers: u16,
    /// Time between two looks at everything; `None`: never.
    pub resync: Option<Duration>,
    /// The lease to hold before writing; `None`: this is the only replica.
    pub lease: Option<LeaseSettings>,
    /// Name of this process in events.
    pub identity: String,
    /// How old the view of a kind may be before nothing is written that was read from it.
    pub max_view_age: Duration,
}

/// Why the controller ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The lease was lost and a worker did not end: only the end of the process makes sure that it writes no more.
    #[error("the lease was lost and workers did not end in time")]
    WorkersStuck,
    /// A watch or worker ended, which it never does by itself: a fault of the program.
    #[error("a task of the controller ended unexpectedly: {0}")]
    TaskEnded(String),
}

/// How metrics and logs name the controller of a kind; `None`: its objects have no state of their own.
const fn controller_name(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::BackendServer => Some("backendserver"),
        Kind::LoadBalancer => Some("loadbalancer"),
        Kind::SecurityGroup => Some("securitygroup"),
        Kind::NetworkACL => Some("networkacl"),
        Kind::TroubleshootRequest => Some("troubleshootrequest"),
        Kind::Subnet | Kind::AddressGroup => None,
    }
}

/// A controller that has not started yet.
pub struct Controller {
    client: Client,
    options: Options,
    metrics: Arc<Metrics>,
    cache: Arc<Cache>,
    dispatch: Arc<Dispatch>,
    controllers: BTreeMap<Kind, Arc<ControllerState>>,
}

impl Controller {
    /// A controller for that cluster.
    #[must_use]
    pub fn new(client: Client, options: Options, metrics: Arc<Metrics>) -> Self {
        let named = Kind::ALL
            .iter()
            .filter_map(|kind| Some((*kind, controller_name(*kind)?)));
        let state = |name| Arc::new(ControllerState::new(&metrics, name, options.workers));
        let controllers: BTreeMap<_, _> = named.map(|(kind, name)| (kind, state(name))).collect();
        let queues = controllers.iter().map(|(kind, state)| (*kind, state.queue.clone()));
        let dispatch = Arc::new(queues.collect::<Dispatch>());
        let on_change = dispatch.clone();
        let cache = Cache::new(&options.settings, options.max_view_age, move |affected| {
            on_change.affected(affected);
        });
        Self {
            client,
            options,
            metrics,
            cache: Arc::new(cache),
            dispatch,
            controllers,
        }
    }

    /// Says whether the views of all kinds are known and fresh: a standby is ready, too.
    #[must_use]
    pub fn readiness(&self) -> Arc<dyn Readiness> {
        self.cache.clone()
    }

    /// Runs until told to stop; then finishes what has begun and gives the lease back.
    ///
    /// # Errors
    ///
    /// When it cannot go on; the process should end then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            client,
            options,
            metrics,
            cache,
            dispatch,
            controllers,
        } = self;
        let mut watches = cache::start(&client, options.namespace.as_deref(), &cache, &metrics);

        // The election outlives the workers: it ends when they have.
        let election_over = CancellationToken::new();
        let mut election = JoinSet::new();
        // Kept here, so that a process without an election leads to its end.
        let (always, without_election) = news::channel(true);
        let may_lead = cache.freshness().changes();
        let (leadership, leads) = match options.lease.clone() {
            Some(settings) => {
                let (elector, leadership, leads) = Elector::new(client.clone(), settings, may_lead, metrics.clone());
                // A replica that cannot see does not lead: it would keep one from leading that can.
                let (mut fresh, over) = (cache.freshness().changes(), election_over.clone());
                election.spawn(async move {
                    if over.run_until_cancelled(fresh.wait_for(|fresh| *fresh)).await.is_some() {
                        elector.run(over).await;
                    }
                });
                (leadership, leads)
            }
            None => (Leadership::always(), without_election),
        };
        let gate = Gate::default();
        let (events, recording) = Events::start(client.clone(), &options.identity, gate.clone(), metrics.clone());
        let events = Arc::new(events);
        let manager = field_manager(options.namespace.as_deref());
        let fresh = cache.freshness().changes();
        let definitions = cache.definitions().clone();
        let context = Context {
            catch_up: CatchUp::new(client.clone()),
            cache,
            writer: Writer::new(client, manager, leadership, gate, events.clone(), metrics.clone())
                .on_schema_doubt(move || definitions.doubt()),
            pool: DiagnosisPool::new(),
            events,
            metrics,
        };

        let mut pool = WorkerPool {
            context: Arc::new(context),
            dispatch,
            controllers,
            workers: JoinSet::new(),
        };
        let result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            result = pool.follow(leads, fresh, options.workers, options.resync) => result,
            ended = watches.join_next() => Err(RunError::TaskEnded(format!("a watch: {ended:?}"))),
            Some(ended) = election.join_next() => Err(RunError::TaskEnded(format!("the election: {ended:?}"))),
        };
        if result.is_ok() {
            info!("stopping: finishing the work in progress");
            pool.drain().await;
        }
        pool.cancel().await?;
        watches.abort_all();
        drop(always);
        // With the last sender gone the recorder ends when it has published what waits.
        drop(pool);
        if timeout(LAST_EVENTS, recording).await.is_err() {
            warn!("some events were not published before shutdown");
        }
        // Only now, when nothing of this process writes any more, may another replica begin.
        election_over.cancel();
        while election.join_next().await.is_some() {}
        result
    }
}

/// The workers of all controllers: at work while the lease is held and all views are fresh.
struct WorkerPool {
    context: Arc<Context>,
    dispatch: Arc<Dispatch>,
    controllers: BTreeMap<Kind, Arc<ControllerState>>,
    workers: JoinSet<()>,
}

impl WorkerPool {
    /// Works while it may, stands by while it may not. Ends only in error.
    async fn follow(
        &mut self,
        mut leads: news::Receiver<bool>,
        mut fresh: news::Receiver<bool>,
        workers: u16,
        resync: Option<Duration>,
    ) -> Result<(), RunError> {
        loop {
            // Who is gone leads no more, and sees no more.
            if fresh.wait_for(|fresh| *fresh).await.is_err() {
                return Err(RunError::TaskEnded("the watches".into()));
            }
            if leads.wait_for(|leads| *leads).await.is_err() {
                return Err(RunError::TaskEnded("the election".into()));
            }
            if !*fresh.borrow() {
                continue;
            }
            info!("leading: starting workers");
            self.start(workers);
            let (dispatch, cache) = (self.dispatch.clone(), self.context.cache.clone());
            tokio::select! {
                _ = leads.wait_for(|leads| !*leads) => warn!("no longer leading: stopping workers"),
                _ = fresh.wait_for(|fresh| !*fresh) => warn!("the cache is stale: stopping workers"),
                ended = self.workers.join_next() => return Err(RunError::TaskEnded(format!("a worker: {ended:?}"))),
                () = resync_all(&dispatch, &cache, resync) => {}
            }
            self.dispatch.queues().for_each(|queue| queue.park());
            self.cancel().await?;
            info!("standing by");
        }
    }

    fn start(&mut self, workers: u16) {
        self.context.writer.begin();
        // First open, then sweep: a change in between is queued twice, never lost.
        self.dispatch.queues().for_each(|queue| queue.open());
        self.dispatch.resync(&self.context.cache.snapshot());
        for (kind, state) in &self.controllers {
            // One more than one namespace may have, so that none has them all.
            for _ in 0..=workers.max(1) {
                let (context, state) = (self.context.clone(), state.clone());
                match kind {
                    Kind::BackendServer => self.workers.spawn(work_on::<BackendServer>(context, state)),
                    Kind::LoadBalancer => self.workers.spawn(work_on::<LoadBalancer>(context, state)),
                    Kind::SecurityGroup => self.workers.spawn(work_on::<SecurityGroup>(context, state)),
                    Kind::NetworkACL => self.workers.spawn(work_on::<NetworkACL>(context, state)),
                    Kind::TroubleshootRequest => self.workers.spawn(work_on_requests(context, state)),
                    // They have no state of their own: see `controller_name`.
                    Kind::Subnet | Kind::AddressGroup => continue,
                };
            }
        }
    }

    /// Lets workers finish what they have, for a bounded time.
    async fn drain(&mut self) {
        self.dispatch.queues().for_each(|queue| queue.close());
        let deadline = Instant::now() + DRAIN;
        while let Ok(Some(_)) = timeout_at(deadline, self.workers.join_next()).await {}
    }

    /// Ends all workers now; their requests are dropped.
    async fn cancel(&mut self) -> Result<(), RunError> {
        self.workers.abort_all();
        let deadline = Instant::now() + CANCEL;
        loop {
            match timeout_at(deadline, self.workers.join_next()).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(_) => return Err(RunError::WorkersStuck),
            }
        }
    }
}

/// Queues everybody at each interval; never ends.
async fn resync_all(dispatch: &Dispatch, cache: &Cache, every: Option<Duration>) {
    let Some(every) = every else {
        return std::future::pending().await;
    };
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        dispatch.resync(&cache.snapshot());
    }
}

/// Until the workers are called off for a view that has become stale, which takes a moment, they tell nothing from it.
fn stale(context: &Context) -> Option<Outcome> {
    let fresh = context.cache.freshness().is_fresh();
    (!fresh).then_some(Outcome::RequeueAfter(Duration::from_secs(1)))
}

async fn work_on<K: Reconciled>(context: Arc<Context>, state: Arc<ControllerState>) {
    work::work(&state, K::KIND.name(), |key| {
        let (context, grace) = (&context, &state.grace);
        async move {
            if let Some(wait) = stale(context) {
                return Ok(wait);
            }
            work::reconcile::<K>(context, grace, &key).await
        }
    })
    .await;
}

async fn work_on_requests(context: Arc<Context>, state: Arc<ControllerState>) {
    work::work(&state, Kind::TroubleshootRequest.name(), |key| {
        let context = &context;
        async move {
            if let Some(wait) = stale(context) {
                return Ok(wait);
            }
            work::reconcile_request(context, &key).await
        }
    })
    .await;
}
