//! One watch for each kind: keeps the World like the cluster.
//!
//! After a relist, objects that were not listed have vanished without a word: they are deleted from the World like any other.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::{
    api::v1alpha1::{
        AddressGroup, BackendServer, LoadBalancer, NetworkACL, SecurityGroup, Subnet, TroubleshootRequest,
    },
    telemetry::Metrics,
    text::clean,
    world::{Key, Kind},
};

use super::{
    failure::{api_message, api_status},
    shared::Shared,
};

/// The kinds that are watched, by name.
pub(super) const WATCHED: [&str; 7] = [
    "LoadBalancer",
    "BackendServer",
    "SecurityGroup",
    "NetworkACL",
    "Subnet",
    "AddressGroup",
    "TroubleshootRequest",
];

/// Seconds after which the API server ends a watch, which then goes on from where it was. A watch of which nothing is heard for a
/// few seconds longer is given up by the runtime as dead.
const WATCH_SECONDS: u32 = 120;

/// How long nothing at all may come over a connection that something is expected from: longer than the quietest watch, so that only a
/// connection that died without a word is given up. The runtime gives up watches by itself, but neither lists nor starts of watches.
pub const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 30);

/// Annotation of `kubectl apply`: a second copy of the whole spec.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A kind that is watched.
trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Its name, one of [`WATCHED`].
    const NAME: &'static str;

    /// Takes an object into what is shared.
    fn apply(self, shared: &Shared);

    /// Removes one from it.
    fn delete(key: &Key, shared: &Shared);

    /// The keys now held.
    fn keys(shared: &Shared) -> Vec<Key>;

    /// How many are held.
    fn count(shared: &Shared) -> usize;
}

macro_rules! watched {
    ($($kind:ident),*) => {$(
        impl Watched for $kind {
            const NAME: &'static str = stringify!($kind);

            fn apply(self, shared: &Shared) {
                shared.apply(self.into());
            }

            fn delete(key: &Key, shared: &Shared) {
                shared.delete(Kind::$kind, key);
            }

            fn keys(shared: &Shared) -> Vec<Key> {
                shared.world().keys(Kind::$kind)
            }

            fn count(shared: &Shared) -> usize {
                shared.world().count(Kind::$kind)
            }
        }
    )*};
}
watched!(
    LoadBalancer,
    BackendServer,
    SecurityGroup,
    NetworkACL,
    Subnet,
    AddressGroup
);

impl Watched for TroubleshootRequest {
    const NAME: &'static str = "TroubleshootRequest";

    fn apply(self, shared: &Shared) {
        shared.apply_request(self);
    }

    fn delete(key: &Key, shared: &Shared) {
        shared.delete_request(key);
    }

    fn keys(shared: &Shared) -> Vec<Key> {
        shared.request_keys()
    }

    fn count(shared: &Shared) -> usize {
        shared.request_count()
    }
}

/// Starts all watches. They end only when aborted.
pub(super) fn start(
    client: &Client,
    namespace: Option<&str>,
    shared: &Arc<Shared>,
    metrics: &Arc<Metrics>,
) -> JoinSet<()> {
    let mut watches = JoinSet::new();
    let said = Arc::new(Said::default());
    macro_rules! start {
        ($($kind:ident),*) => {$(
            watches.spawn(watch(api::<$kind>(client, namespace), shared.clone(), metrics.clone(), said.clone()));
        )*};
    }
    start!(
        LoadBalancer,
        BackendServer,
        SecurityGroup,
        NetworkACL,
        Subnet,
        AddressGroup,
        TroubleshootRequest
    );
    watches
}

/// An object that this version cannot read must not stop the watch of all others: hence the guard.
fn api<K: Watched>(client: &Client, namespace: Option<&str>) -> Api<DeserializeGuard<K>> {
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// What was said in the last minute, by any of the watches: they retry every few seconds, and often for one and the same reason.
#[derive(Debug, Default)]
struct Said(Mutex<HashMap<String, Instant>>);

impl Said {
    const AGAIN: Duration = Duration::from_mins(1);

    fn may(&self, text: &str, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, at| now.duration_since(*at) < Self::AGAIN);
        if said.contains_key(text) {
            return false;
        }
        said.insert(text.to_owned(), now);
        true
    }
}

async fn watch<K: Watched>(api: Api<DeserializeGuard<K>>, shared: Arc<Shared>, metrics: Arc<Metrics>, said: Arc<Said>) {
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let mut news = pin!(watcher::watcher(api, config).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = news.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(take::<K>(object, &shared));
            }
            Ok(Event::InitDone) => {
                let known = K::keys(&shared);
                for key in known.iter().filter(|key| !listed.contains(key)) {
                    K::delete(key, &shared);
                }
                info!(kind = K::NAME, objects = listed.len(), "listed");
                listed = HashSet::new();
                shared.mark_listed(K::NAME);
            }
            Ok(Event::Apply(object)) => {
                take::<K>(object, &shared);
            }
            Ok(Event::Delete(object)) => {
                K::delete(&Key::of(&object), &shared);
            }
            Err(error) => {
                metrics.count_watch_error(K::NAME);
                let text = explain::<K>(&error);
                if said.may(&text, Instant::now()) {
                    warn!("{text}; trying again");
                }
            }
        }
        metrics.set_objects(K::NAME, K::count(&shared));
    }
    error!(kind = K::NAME, "the watch ended");
}

/// Drops what nothing reads and is as big as all the rest.
pub(super) fn strip<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove(LAST_APPLIED);
}

/// Takes in an object, or its absence when it cannot be read.
fn take<K: Watched>(DeserializeGuard(object): DeserializeGuard<K>, shared: &Shared) -> Key {
    match object {
        Ok(mut object) => {
            strip(&mut object);
            let key = Key::of(&object);
            object.apply(shared);
            key
        }
        Err(invalid) => {
            let key = Key::new(
                invalid.metadata.namespace.unwrap_or_else(|| "default".into()),
                invalid.metadata.name.unwrap_or_default(),
            );
            warn!(
                kind = K::NAME,
                object = %key,
                "cannot be read and counts as missing; its CRD is not the one that this version brings: {}",
                clean(&invalid.error)
            );
            K::delete(&key, shared);
            key
        }
    }
}

/// What is wrong with a watch and what would be right.
fn explain<K: Watched>(error: &watcher::Error) -> String {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    let plural = K::plural(&());
    match (status.map(|status| status.code), error) {
        (Some(404), _) => {
            format!(
                "the cluster does not know {plural}.elb-doctor.dev/v1alpha1: install the CRDs with `kubectl apply -k deploy/`"
            )
        }
        (Some(401), _) => "the API server does not accept this process's credentials".into(),
        (Some(403), _) => format!(
            "may not list or watch {plural}; the rights are in deploy/ (or give one namespace with --namespace): {}",
            status
                .map(|status| clean(&api_status(status)).into_owned())
                .unwrap_or_default()
        ),
        // Ordinary: the API server has forgotten the version that the watch was at. A new list follows.
        (Some(410), _) => format!("the watch of {plural} is too old and starts anew"),
        (
            _,
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error),
        ) => {
            let text = api_message(error);
            match error {
                kube::Error::Api(_) => format!("cannot watch {plural}: {text}"),
                _ => format!("cannot reach the API server: {text}"),
            }
        }
        (_, other) => format!("cannot watch {plural}: {}", clean(&other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> watcher::Error {
        let status = kube::core::Status::failure("subnets is \u{1b}[31mforbidden", "Reason").with_code(code);
        watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_watch_that_cannot_start_says_what_would_be_right() {
        assert_eq!(
            explain::<Subnet>(&refused(404)),
            "the cluster does not know subnets.elb-doctor.dev/v1alpha1: install the CRDs with `kubectl apply -k deploy/`"
        );
        let forbidden = explain::<Subnet>(&refused(403));
        assert!(
            forbidden.contains("--namespace") && forbidden.contains("deploy/"),
            "{forbidden}"
        );
        assert!(!forbidden.contains('\u{1b}'), "{forbidden}");
    }

    #[test]
    fn the_same_complaint_of_seven_watches_is_said_once_a_minute() {
        let (said, start) = (Said::default(), Instant::now());
        let times = (0..7).filter(|_| said.may("away", start)).count();
        assert_eq!(times, 1);
        assert!(said.may("forbidden", start));
        assert!(said.may("away", start + Duration::from_mins(1)));
    }

    #[test]
    fn every_watched_kind_has_its_bit() {
        let names = [
            LoadBalancer::NAME,
            BackendServer::NAME,
            SecurityGroup::NAME,
            NetworkACL::NAME,
            Subnet::NAME,
            AddressGroup::NAME,
            TroubleshootRequest::NAME,
        ];
        assert_eq!(names, WATCHED);
    }
}
