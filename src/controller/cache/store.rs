//! Everything that is known, as snapshots.
//!
//! The one lock is held to put an object in or to take a snapshot, which costs nothing; nobody diagnoses under it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    api::v1alpha1::{Kind, Object},
    telemetry::Readiness,
    world::{Affected, Incoming, Key, Settings, World},
};

use super::{definitions::Definitions, freshness::Freshness};

/// Told of everybody whose state may differ, once the change can be seen in a snapshot.
type OnChange = Box<dyn Fn(Affected) + Send + Sync>;

/// See the module.
pub(in crate::controller) struct Cache {
    world: Mutex<World>,
    freshness: Arc<Freshness>,
    definitions: Arc<Definitions>,
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
            definitions: Arc::default(),
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

    /// Whether the cluster's definitions have what this version writes.
    pub(in crate::controller) fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
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

    /// Takes in what a watch tells, unless it is older than what is known.
    pub(super) fn observe(&self, incoming: Incoming) {
        let affected = self.lock().observe(incoming);
        self.tell(affected);
    }

    /// Takes in what a list shows, whatever is known.
    pub(super) fn set(&self, incoming: Incoming) {
        let mut world = self.lock();
        let known = world.head(incoming.kind(), &incoming.key());
        // Most of a later list is known.
        let known = known.is_some_and(|known| {
            known.version.is_some() && known.version == incoming.version() && known.uid.as_deref() == incoming.uid()
        });
        if known {
            return;
        }
        let affected = world.set(incoming);
        drop(world);
        self.tell(affected);
    }

    /// Forgets an object.
    pub(super) fn remove(&self, kind: Kind, key: &Key) {
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
        let stale = self.freshness.waits_for(Instant::now()).into_iter();
        stale.chain(self.definitions.waits_for()).collect()
    }
}
