//! The controller: watches feed one [`World`], changes of it wake reconcilers, each writes one status.
//!
//! ```text
//! watch (one per kind) ──> World ──affected keys──> queues ──> workers: collect → diagnose → compare → at most one write
//!        ^                                                                                                │
//!        └──────────────── the API server ────────────────────────────────────────────────────────────────┘
//! ```
//!
//! `kube::runtime::Controller` is not used: it keeps a second copy of every object in a Store of its own, which can run
//! ahead of the World, and it shows neither the depth nor the latency of its queue.
//!
//! What holds at every moment:
//!
//! - A key is queued only after the World has taken in the change that concerns it.
//! - No key is handed out before every kind has been listed once, so that nothing is called missing that is merely unread.
//! - A reconcile reads the World alone and writes only when the status held there differs, times aside. Hence a
//!   restart writes nothing, and a crash at any point is healed by the next look.
//! - Only the holder of the lease writes ([`lease`]).

mod backend_server;
mod clock;
mod compare;
mod events;
mod failure;
mod freshness;
mod lease;
mod load_balancer;
mod network_acl;
mod queue;
mod reconcile;
mod security_group;
mod shared;
mod status;
mod troubleshoot_request;
mod watch;
mod worker;

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::{
    sync::watch as news,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    api::v1alpha1::{BackendServer, LoadBalancer, NetworkACL, SecurityGroup, TroubleshootRequest},
    telemetry::{Metrics, Readiness},
    world::Settings,
};

pub use failure::api_message as describe;
pub use lease::LeaseSettings;
pub use watch::SILENCE;

use events::Events;
use freshness::Reader;
use lease::{Elector, Leadership};
use reconcile::Reconciled;
use shared::{Desk, Desks, Shared};
use status::{HasStatus as _, Writer};

/// Field manager of every write, and reporting controller of every event.
pub const FIELD_MANAGER: &str = "elb-doctor";

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

/// What a reconcile works with.
struct Context {
    shared: Arc<Shared>,
    reader: Reader,
    writer: Writer,
    events: Events,
    metrics: Arc<Metrics>,
}

/// A controller that has not started yet.
pub struct Controller {
    client: Client,
    options: Options,
    metrics: Arc<Metrics>,
    shared: Arc<Shared>,
}

impl Controller {
    /// A controller for that cluster.
    #[must_use]
    pub fn new(client: Client, options: Options, metrics: Arc<Metrics>) -> Self {
        let shared = Arc::new(Shared::new(&options.settings, &metrics, options.workers));
        Self {
            client,
            options,
            metrics,
            shared,
        }
    }

    /// Says when all kinds have been listed: a standby is ready, too.
    #[must_use]
    pub fn readiness(&self) -> Arc<dyn Readiness> {
        self.shared.clone()
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
            shared,
        } = self;
        let mut watches = watch::start(&client, options.namespace.as_deref(), &shared, &metrics);

        // The election outlives the workers: it ends when they have.
        let election_over = CancellationToken::new();
        let mut election = JoinSet::new();
        // Kept here, so that a process without an election leads to its end.
        let (always, without_election) = news::channel(true);
        let may_lead = always.subscribe();
        let (leadership, mut leads) = match options.lease.clone() {
            Some(settings) => {
                let (elector, leadership, leads) = Elector::new(client.clone(), settings, may_lead, metrics.clone());
                // A replica that cannot see does not lead: it would keep one from leading that can.
                let (listed, over) = (shared.clone(), election_over.clone());
                election.spawn(async move {
                    if over.run_until_cancelled(listed.until_listed()).await.is_some() {
                        elector.run(over).await;
                    }
                });
                (leadership, leads)
            }
            None => (Leadership::always(), without_election),
        };
        let (events, recording) = Events::start(client.clone(), &options.identity, metrics.clone());
        let context = Context {
            shared,
            reader: Reader::new(client.clone()),
            writer: Writer::new(client, leadership, metrics.clone()),
            events,
            metrics,
        };

        let mut workforce = Workforce::new(context);
        let result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            result = workforce.follow(&mut leads, options.workers, options.resync) => result,
            ended = watches.join_next() => Err(RunError::TaskEnded(format!("a watch: {ended:?}"))),
            Some(ended) = election.join_next() => Err(RunError::TaskEnded(format!("the election: {ended:?}"))),
        };
        if result.is_ok() {
            info!("stopping: no new work, finishing what has begun");
            workforce.drain().await;
        }
        workforce.cancel().await?;
        watches.abort_all();
        drop(always);
        // With the last sender gone the recorder ends when it has published what waits.
        drop(workforce);
        if timeout(LAST_EVENTS, recording).await.is_err() {
            warn!("some events were not published before the end");
        }
        // Only now, when nothing of this process writes any more, may another replica begin.
        election_over.cancel();
        while election.join_next().await.is_some() {}
        result
    }
}

/// The workers of all controllers: at work while the lease is held.
struct Workforce {
    context: Arc<Context>,
    workers: JoinSet<()>,
}

impl Workforce {
    fn new(context: Context) -> Self {
        Self {
            context: Arc::new(context),
            workers: JoinSet::new(),
        }
    }

    /// Works while the lease is held, stands by while it is not. Ends only in error.
    async fn follow(
        &mut self,
        leads: &mut news::Receiver<bool>,
        workers: u16,
        resync: Option<Duration>,
    ) -> Result<(), RunError> {
        let shared = self.context.shared.clone();
        shared.until_listed().await;
        loop {
            // An elector that is gone leads no more.
            if leads.wait_for(|leads| *leads).await.is_err() {
                return Err(RunError::TaskEnded("the election".into()));
            }
            info!("leading: workers start");
            self.start(workers);
            tokio::select! {
                _ = leads.wait_for(|leads| !*leads) => warn!("no longer leading: workers are cancelled"),
                ended = self.workers.join_next() => return Err(RunError::TaskEnded(format!("a worker: {ended:?}"))),
                () = look_over(shared.clone(), resync) => {}
            }
            for desk in shared.desks.all() {
                desk.queue.park();
            }
            self.cancel().await?;
            info!("standing by");
        }
    }

    fn start(&mut self, workers: u16) {
        let shared = &self.context.shared;
        // First open, then sweep: a change in between is queued twice, never lost.
        for desk in shared.desks.all() {
            desk.queue.open();
        }
        shared.sweep();
        // One more than one namespace may have, so that none has them all.
        for _ in 0..=workers.max(1) {
            let spawn = &mut self.workers;
            let context = &self.context;
            spawn.spawn(work_on::<BackendServer>(context.clone(), |desks| {
                &desks.backend_servers
            }));
            spawn.spawn(work_on::<LoadBalancer>(context.clone(), |desks| &desks.load_balancers));
            spawn.spawn(work_on::<SecurityGroup>(context.clone(), |desks| {
                &desks.security_groups
            }));
            spawn.spawn(work_on::<NetworkACL>(context.clone(), |desks| &desks.network_acls));
            spawn.spawn(work_on_requests(context.clone()));
        }
    }

    /// Lets workers finish what they have, for a bounded time.
    async fn drain(&mut self) {
        for desk in self.context.shared.desks.all() {
            desk.queue.close();
        }
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

/// Looks everything over at each interval; never ends.
async fn look_over(shared: Arc<Shared>, every: Option<Duration>) {
    let Some(every) = every else {
        return std::future::pending().await;
    };
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.sweep();
    }
}

async fn work_on<K: Reconciled>(context: Arc<Context>, desk: fn(&Desks) -> &Desk) {
    let desk = desk(&context.shared.desks);
    worker::work(desk, K::NAME, |key| {
        let context = &context;
        async move { reconcile::reconcile::<K>(context, &desk.grace, &key).await }
    })
    .await;
}

async fn work_on_requests(context: Arc<Context>) {
    worker::work(&context.shared.desks.requests, TroubleshootRequest::NAME, |key| {
        let context = &context;
        async move { troubleshoot_request::reconcile(context, &key).await }
    })
    .await;
}
