//! What is known of the cluster: lists and watches feed it, workers read snapshots of it, and it knows how old each view is.
//!
//! The one lock is held to put an object in or to take a snapshot, which costs nothing; nobody diagnoses under it.

mod catch_up;
mod freshness;
mod read;
mod watch;
mod wire;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::Client;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    api::v1alpha1::{Kind, Object},
    telemetry::{Metrics, Readiness},
    world::{Affected, Incoming, Key, Settings, World},
};

pub(in crate::controller) use catch_up::{CatchUp, Standing};
pub(in crate::controller) use freshness::Freshness;
pub use freshness::MAX_VIEW_AGE;

/// Told of everybody whose state may differ, once the change can be seen in a snapshot.
type OnChange = Box<dyn Fn(Affected) + Send + Sync>;

/// See the module.
pub(in crate::controller) struct Cache {
    world: Mutex<World>,
    freshness: Arc<Freshness>,
    on_change: OnChange,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}

impl Cache {
    /// An empty cache that tells of changes.
    pub(in crate::controller) fn new(
        settings: &Settings,
        max_view_age: Duration,
        on_change: impl Fn(Affected) + Send + Sync + 'static,
    ) -> Self {
        Self {
            world: Mutex::new(World::new(settings)),
            freshness: Arc::new(Freshness::new(max_view_age)),
            on_change: Box::new(on_change),
        }
    }

    /// Everything as it is known now.
    pub(in crate::controller) fn snapshot(&self) -> World {
        self.lock().clone()
    }

    /// How old the views are.
    pub(in crate::controller) fn freshness(&self) -> &Arc<Freshness> {
        &self.freshness
    }

    /// Takes in the answer to a write of ours, so that the watch's echo of it is old news. The object itself is not to be looked at
    /// again for it, unless the answer shows what somebody else has changed.
    pub(in crate::controller) fn observe_answer(&self, object: Object) {
        let (kind, key) = (object.kind(), Key::of_object(&object));
        let incoming = Incoming::from(object);
        let mut world = self.lock();
        // A request is written only over the very version that was read.
        let ours = kind == Kind::TroubleshootRequest || world.reads_the_same(&incoming);
        let affected = world.observe_answer(incoming);
        drop(world);
        let Some(mut affected) = affected else { return };
        if ours && let Some(own) = affected.of_mut(kind) {
            own.remove(&key);
        }
        self.tell(affected);
    }

    /// Takes in what a watch tells, unless it is older than what is held.
    fn observe(&self, incoming: Incoming) {
        let affected = self.lock().observe(incoming);
        self.tell(affected);
    }

    /// Takes in what a list shows, whatever is held.
    fn set(&self, incoming: Incoming) {
        let mut world = self.lock();
        let held = world.head(incoming.kind(), &incoming.key());
        // Most of a later list is known.
        let known = held.is_some_and(|held| {
            held.version.is_some() && held.version == incoming.version() && held.uid.as_deref() == incoming.uid()
        });
        if known {
            return;
        }
        let affected = world.set(incoming);
        drop(world);
        self.tell(affected);
    }

    /// Forgets an object.
    fn remove(&self, kind: Kind, key: &Key) {
        let affected = self.lock().remove(kind, key);
        self.tell(affected);
    }

    fn tell(&self, affected: Affected) {
        if !affected.is_empty() {
            (self.on_change)(affected);
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness for Cache {
    fn waits_for(&self) -> Vec<String> {
        self.freshness.waits_for(Instant::now())
    }
}

/// Starts the lists and watches of all kinds. They end only when aborted.
pub(in crate::controller) fn start(
    client: &Client,
    namespace: Option<&str>,
    cache: &Arc<Cache>,
    metrics: &Arc<Metrics>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let all = watch::Surroundings {
        client: client.clone(),
        namespace: namespace.map(str::to_owned),
        cache: cache.clone(),
        freshness: cache.freshness.clone(),
        metrics: metrics.clone(),
        limiter: Arc::default(),
    };
    for kind in Kind::ALL {
        tasks.spawn(watch::follow(all.clone(), *kind));
    }
    let (cache, metrics) = (cache.clone(), metrics.clone());
    tasks.spawn(freshness::keep_watch(cache.freshness.clone(), move |now| {
        for (kind, age) in cache.freshness.ages(now) {
            metrics.set_view_age(kind.name(), age);
        }
        let world = cache.snapshot();
        for kind in Kind::ALL {
            metrics.set_objects(kind.name(), world.count(*kind));
        }
    }));
    tasks
}
