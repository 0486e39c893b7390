//! What watches and workers share: the World, the requests, the queues.
//!
//! Locks are held for one synchronous step and never across an await.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use kube::{Resource, ResourceExt};
use tokio::sync::Notify;

use crate::{
    api::v1alpha1::TroubleshootRequest,
    telemetry::{ControllerMetrics, Metrics, Readiness},
    world::{Affected, Incoming, Key, Kind, Object, Settings, World},
};

use super::{
    queue::{Lane, Queue},
    reconcile::Grace,
    watch::WATCHED,
    worker::Complaints,
};

/// A load balancer counts all of its backends: one count for a burst of changes.
const LOAD_BALANCER_DEBOUNCE: Duration = Duration::from_millis(150);
/// A request is written moments after the mark that it asks about, and comes by another watch: this lets the mark come first.
const REQUEST_DEBOUNCE: Duration = Duration::from_millis(100);
/// After a start the watches catch up each in its own time: what a request asks about may be told later than the request itself.
const SWEPT_REQUEST: Duration = Duration::from_secs(1);

/// One controller's queue and metrics.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) queue: Queue<Key>,
    pub(super) metrics: ControllerMetrics,
    pub(super) complaints: Complaints,
    pub(super) grace: Grace,
}

impl Desk {
    pub(super) fn new(metrics: &Metrics, controller: &'static str, workers: u16) -> Self {
        let metrics = metrics.controller(controller, workers);
        Self {
            queue: Queue::new(metrics.queue.clone(), workers.into()),
            metrics,
            complaints: Complaints::default(),
            grace: Grace::default(),
        }
    }
}

/// The controllers' queues.
#[derive(Debug)]
pub(super) struct Desks {
    pub(super) backend_servers: Desk,
    pub(super) load_balancers: Desk,
    pub(super) security_groups: Desk,
    pub(super) network_acls: Desk,
    pub(super) requests: Desk,
}

impl Desks {
    pub(super) fn all(&self) -> [&Desk; 5] {
        [
            &self.backend_servers,
            &self.load_balancers,
            &self.security_groups,
            &self.network_acls,
            &self.requests,
        ]
    }
}

/// Every troubleshoot request.
#[derive(Debug, Default)]
struct Requests {
    all: HashMap<Key, Arc<TroubleshootRequest>>,
    /// Those that still wait for something; sorted, so that a namespace is a range.
    unfinished: BTreeSet<Key>,
}

impl Requests {
    /// Takes in a request unless a newer version is held; true when it was taken in.
    fn apply(&mut self, key: &Key, request: TroubleshootRequest) -> bool {
        if self.all.get(key).is_some_and(|held| !is_newer(&request, &**held)) {
            return false;
        }
        let finished = request
            .status
            .as_ref()
            .is_some_and(|status| status.completion_time.is_some());
        if finished {
            self.unfinished.remove(key);
        } else {
            self.unfinished.insert(key.clone());
        }
        self.all.insert(key.clone(), Arc::new(request));
        true
    }

    fn delete(&mut self, key: &Key) {
        self.all.remove(key);
        self.unfinished.remove(key);
    }

    fn unfinished_in(&self, namespace: &str) -> Vec<Key> {
        self.unfinished
            .range(Key::new(namespace, "")..)
            .take_while(|key| key.namespace == namespace)
            .cloned()
            .collect()
    }
}

/// Whether `new` is another version of the object than `held` and not an older one. Resource versions are numbers that grow.
fn is_newer<K: Resource>(new: &K, held: &K) -> bool {
    let number = |object: &K| {
        object
            .meta()
            .resource_version
            .as_deref()
            .and_then(|v| v.parse::<u64>().ok())
    };
    match (number(new), number(held)) {
        (Some(new_number), Some(held_number)) => new.meta().uid != held.meta().uid || new_number > held_number,
        // Without numbers nothing is known: the later word counts.
        _ => true,
    }
}

/// What an answer of the API server was the answer to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// A write of ours.
    Write,
    /// A read: others may have written.
    Read,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    world: RwLock<World>,
    requests: RwLock<Requests>,
    pub(super) desks: Desks,
    /// One bit for each kind of [`WATCHED`] that has been listed.
    listed: AtomicU8,
    all_listed: Notify,
}

impl Shared {
    pub(super) fn new(settings: &Settings, metrics: &Metrics, workers: u16) -> Self {
        let desk = |controller| Desk::new(metrics, controller, workers);
        Self {
            world: RwLock::new(World::new(settings)),
            requests: RwLock::default(),
            desks: Desks {
                backend_servers: desk("backendserver"),
                load_balancers: desk("loadbalancer"),
                security_groups: desk("securitygroup"),
                network_acls: desk("networkacl"),
                requests: desk("troubleshootrequest"),
            },
            listed: AtomicU8::new(0),
            all_listed: Notify::new(),
        }
    }

    /// The World as it is now. Not to be held across an await.
    pub(super) fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request as it is now.
    pub(super) fn request(&self, key: &Key) -> Option<Arc<TroubleshootRequest>> {
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        requests.all.get(key).cloned()
    }

    /// How many requests there are.
    pub(super) fn request_count(&self) -> usize {
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        requests.all.len()
    }

    /// Keys of all requests.
    pub(super) fn request_keys(&self) -> Vec<Key> {
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        requests.all.keys().cloned().collect()
    }

    /// Takes in an object that a watch delivered; then wakes whom it concerns.
    pub(super) fn apply(&self, object: Object) {
        let namespace = Key::of_object(&object).namespace;
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        let affected = world.observe(Incoming::from(object));
        drop(world);
        self.fan_out(&namespace, affected);
    }

    /// Forgets an object; then wakes whom it concerned.
    pub(super) fn delete(&self, kind: Kind, key: &Key) {
        let affected = self
            .world
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(kind, key);
        self.fan_out(&key.namespace, affected);
    }

    /// Takes in what the API server returned, so that the watch's echo of it is old news. Not when that very object
    /// is not held (false): its deletion may have overtaken the answer, and nothing would ever delete it again.
    pub(super) fn take_in(&self, object: Object, origin: Origin) -> bool {
        let (kind, key) = (object.kind(), Key::of_object(&object));
        let affected = {
            let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
            let Some(mut affected) = world.observe_answer(Incoming::from(object)) else {
                return false;
            };
            if origin == Origin::Write
                && let Some(own) = affected.of_mut(kind)
            {
                // Only what we have just written differs: it need not be looked at again.
                own.remove(&key);
            }
            affected
        };
        self.fan_out(&key.namespace, affected);
        true
    }

    /// Takes in a request that a watch delivered.
    pub(super) fn apply_request(&self, request: TroubleshootRequest) {
        let key = Key::of(&request);
        let mut requests = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = requests.apply(&key, request);
        drop(requests);
        if fresh {
            self.wake_request(key);
        }
    }

    fn wake_request(&self, key: Key) {
        let queue = &self.desks.requests.queue;
        queue.add_after(key, Lane::Change, REQUEST_DEBOUNCE);
    }

    /// Takes in what the API server returned for a write of a request; not when it was deleted meanwhile.
    pub(super) fn take_in_request(&self, request: TroubleshootRequest) {
        let key = Key::of(&request);
        let mut requests = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        if requests.all.get(&key).is_some_and(|held| held.uid() == request.uid()) {
            requests.apply(&key, request);
        }
    }

    /// Forgets a request.
    pub(super) fn delete_request(&self, key: &Key) {
        self.requests
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .delete(key);
        // Its deadline or its end may be days away.
        self.desks.requests.queue.cancel(key);
    }

    fn fan_out(&self, namespace: &str, affected: Affected) {
        if affected == Affected::default() {
            return;
        }
        let Affected {
            backend_servers,
            load_balancers,
            security_groups,
            network_acls,
            requests: _,
        } = affected;
        for (desk, keys) in [
            (&self.desks.backend_servers, backend_servers),
            (&self.desks.security_groups, security_groups),
            (&self.desks.network_acls, network_acls),
        ] {
            for key in keys {
                desk.queue.add(key, Lane::Change);
            }
        }
        for key in load_balancers {
            let queue = &self.desks.load_balancers.queue;
            queue.add_after(key, Lane::Change, LOAD_BALANCER_DEBOUNCE);
        }
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        let waiting = requests.unfinished_in(namespace);
        drop(requests);
        for key in waiting {
            self.wake_request(key);
        }
    }

    /// Has everything looked over: after a start, a change of leader, a resync.
    pub(super) fn sweep(&self) {
        for (desk, kind) in [
            (&self.desks.backend_servers, Kind::BackendServer),
            (&self.desks.load_balancers, Kind::LoadBalancer),
            (&self.desks.security_groups, Kind::SecurityGroup),
            (&self.desks.network_acls, Kind::NetworkACL),
        ] {
            let keys = self.world().keys(kind);
            for key in keys {
                desk.queue.add(key, Lane::Sweep);
            }
        }
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        for key in requests.all.keys() {
            let queue = &self.desks.requests.queue;
            if requests.unfinished.contains(key) {
                queue.add_after(key.clone(), Lane::Sweep, SWEPT_REQUEST);
            } else {
                queue.add(key.clone(), Lane::Sweep);
            }
        }
    }

    /// That kind has been listed.
    pub(super) fn mark_listed(&self, kind: &'static str) {
        if let Some(bit) = WATCHED.iter().position(|watched| *watched == kind) {
            self.listed.fetch_or(1 << bit, Ordering::SeqCst);
        }
        if self.unlisted().is_empty() {
            self.all_listed.notify_waiters();
        }
    }

    /// The kinds that have not been listed yet.
    pub(super) fn unlisted(&self) -> Vec<&'static str> {
        let listed = self.listed.load(Ordering::SeqCst);
        let bits = WATCHED.iter().enumerate();
        bits.filter(|(bit, _)| listed & (1 << bit) == 0)
            .map(|(_, kind)| *kind)
            .collect()
    }

    /// Waits until every kind has been listed once.
    pub(super) async fn until_listed(&self) {
        loop {
            let news = self.all_listed.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if self.unlisted().is_empty() {
                return;
            }
            news.await;
        }
    }
}

impl Readiness for Shared {
    fn waits_for(&self) -> Vec<String> {
        self.unlisted()
            .into_iter()
            .map(|kind| format!("the first list of {kind}"))
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn request(namespace: &str, name: &str, version: &str, finished: bool) -> TroubleshootRequest {
        let status = finished.then(|| serde_json::json!({"completionTime": "2026-01-01T00:00:00Z", "conditions": []}));
        serde_json::from_value(serde_json::json!({
            "apiVersion": "elb-doctor.dev/v1alpha1",
            "kind": "TroubleshootRequest",
            "metadata": {"namespace": namespace, "name": name, "resourceVersion": version, "uid": "u"},
            "spec": {"loadBalancerRef": {"name": "gate"}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn only_unfinished_requests_of_the_namespace_are_woken() {
        let mut requests = Requests::default();
        for (namespace, name, finished) in [
            ("a", "x", false),
            ("b", "x", false),
            ("b", "y", true),
            ("b-c", "z", false),
        ] {
            requests.apply(&Key::new(namespace, name), request(namespace, name, "5", finished));
        }
        assert_eq!(requests.unfinished_in("b"), [Key::new("b", "x")]);
        assert!(requests.apply(&Key::new("b", "x"), request("b", "x", "6", true)));
        assert!(requests.unfinished_in("b").is_empty());
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let mut requests = Requests::default();
        let key = Key::new("a", "x");
        assert!(requests.apply(&key, request("a", "x", "10", true)));
        assert!(
            !requests.apply(&key, request("a", "x", "9", false)),
            "9 is older than 10"
        );
        assert!(
            !requests.apply(&key, request("a", "x", "10", true)),
            "the echo is old news"
        );
        assert!(requests.unfinished.is_empty());
    }
}
