//! Whether the World is as new as the API server about what a request is to be finished by.
//!
//! Each watch has its own connection, breaks by itself and comes back after its own delay. So a request may be seen long before the
//! mark that it asks about, and its record never changes again. Hence one look at the load balancer and at its backend servers
//! (the marks) before it is finished.

use std::{collections::HashSet, time::Duration};

use kube::{
    Api, Client,
    api::ListParams,
    core::{DeserializeGuard, ObjectList},
};
use tokio::time::timeout;

use crate::{
    api::v1alpha1::{BackendServer, LoadBalancer, TroubleshootRequest},
    world::Key,
};

use super::{
    failure::Failure,
    reconcile::Reconciled,
    shared::{Origin, Shared},
    watch,
};

/// How long a read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Objects in one answer: bounds the memory.
const PAGE: u32 = 250;

/// Reads from the API server what the World is compared with.
pub(super) struct Reader {
    client: Client,
}

impl Reader {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Brings the World up to date about the request's load balancer and backend servers. False: a watch has yet to
    /// tell of an object that is new or gone, so look again in a moment.
    pub(super) async fn catch_up(&self, shared: &Shared, request: &TroubleshootRequest) -> Result<bool, Failure> {
        let own = Key::of(request);
        let balancer = own.sibling(&request.spec.load_balancer_ref.name);
        let by_name = |key: &Key| format!("metadata.name={}", key.name);
        let known = |shared: &Shared| match &request.spec.backend_server_ref {
            Some(backend) => vec![own.sibling(&backend.name)],
            None => shared.world().backend_servers_of(&balancer),
        };
        let fields = match &request.spec.backend_server_ref {
            Some(backend) => by_name(&own.sibling(&backend.name)),
            None => format!("spec.loadBalancerRef.name={}", balancer.name),
        };
        let one = |_: &Shared| vec![balancer.clone()];
        Ok(self
            .compare::<LoadBalancer>(shared, &own.namespace, &by_name(&balancer), one)
            .await?
            && self
                .compare::<BackendServer>(shared, &own.namespace, &fields, known)
                .await?)
    }

    /// Compares the objects that the API server selects with those `known` to the World by the same selection.
    async fn compare<K: Reconciled + Send + 'static>(
        &self,
        shared: &Shared,
        namespace: &str,
        fields: &str,
        known: impl Fn(&Shared) -> Vec<Key>,
    ) -> Result<bool, Failure> {
        let api: Api<DeserializeGuard<K>> = Api::namespaced(self.client.clone(), namespace);
        let mut params = ListParams::default().fields(fields).limit(PAGE);
        let mut listed = HashSet::new();
        let mut fresh = true;
        let version = loop {
            let page = self.page(&api, &params).await?;
            // One that cannot be read is missing to the World, too.
            for object in page.items.into_iter().filter_map(|guard| guard.0.ok()) {
                listed.insert(Key::of(&object));
                fresh &= take(object, shared);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => {
                    break page
                        .metadata
                        .resource_version
                        .and_then(|version| version.parse::<u64>().ok());
                }
            }
        };
        // What is held in a version that the list would have shown is gone.
        let gone = known(shared)
            .into_iter()
            .filter(|key| !listed.contains(key))
            .any(|key| {
                let held = shared.world().get(K::KIND, &key).and_then(|held| held.version());
                matches!((held, version), (Some(held), Some(version)) if held <= version)
            });
        Ok(fresh && !gone)
    }

    async fn page<K: Reconciled>(
        &self,
        api: &Api<DeserializeGuard<K>>,
        params: &ListParams,
    ) -> Result<ObjectList<DeserializeGuard<K>>, Failure> {
        match timeout(READ_TIMEOUT, api.list(params)).await {
            Ok(page) => page.map_err(Failure::Read),
            Err(_) => Err(Failure::Unread(READ_TIMEOUT.as_secs())),
        }
    }
}

/// Takes a newer version of a held object in. False: the World does not hold that very object; it may be new or gone again, and
/// only its watch can tell.
fn take<K: Reconciled>(mut object: K, shared: &Shared) -> bool {
    watch::strip(&mut object);
    shared.take_in(object.into(), Origin::Read)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::convert::Infallible;

    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        telemetry::Metrics,
        world::{Kind, Settings},
    };

    fn ewe(name: &str, uid: &str, version: u64, state: &str) -> Value {
        json!({
            "apiVersion": "elb-doctor.dev/v1alpha1",
            "kind": "BackendServer",
            "metadata": { "namespace": "meadow", "name": name, "uid": uid, "resourceVersion": version.to_string() },
            "spec": { "loadBalancerRef": { "name": "gate" }, "backendServerGroup": "herd", "address": "10.2.0.11", "port": 80 },
            "status": { "health": { "state": state }, "conditions": [] },
        })
    }

    /// What the API server answers to every list of backend servers; it knows the load balancer as the World does: not at all.
    fn reader(version: u64, items: Vec<Value>) -> Reader {
        let service = tower::service_fn(move |request: axum::http::Request<Body>| {
            let uri = request.uri().to_string();
            let backends = uri.contains("/namespaces/meadow/backendservers?");
            assert!(
                !backends || uri.contains("fieldSelector=spec.loadBalancerRef.name%3Dgate"),
                "{uri}"
            );
            let list = json!({
                "apiVersion": "elb-doctor.dev/v1alpha1",
                "kind": "List",
                "metadata": { "resourceVersion": version.to_string() },
                "items": if backends { items.clone() } else { Vec::new() },
            });
            async move { Ok::<_, Infallible>(axum::http::Response::new(Body::from(list.to_string().into_bytes()))) }
        });
        Reader::new(Client::new(service, "default"))
    }

    async fn caught_up(held: &[Value], version: u64, items: Vec<Value>) -> (bool, Shared) {
        let shared = Shared::new(&Settings::default(), &Metrics::new(), 1);
        for ewe in held {
            let ewe: BackendServer = serde_json::from_value(ewe.clone()).unwrap();
            shared.apply(ewe.into());
        }
        let request = json!({
            "apiVersion": "elb-doctor.dev/v1alpha1",
            "kind": "TroubleshootRequest",
            "metadata": { "namespace": "meadow", "name": "why" },
            "spec": { "loadBalancerRef": { "name": "gate" } },
        });
        let request: TroubleshootRequest = serde_json::from_value(request).unwrap();
        let fresh = reader(version, items).catch_up(&shared, &request).await.unwrap();
        (fresh, shared)
    }

    #[tokio::test]
    async fn a_mark_that_the_watch_has_not_told_of_is_taken_in() {
        let held = [ewe("ewe-1", "a", 5, "Healthy")];
        let (fresh, shared) = caught_up(&held, 9, vec![ewe("ewe-1", "a", 8, "Unhealthy")]).await;
        assert!(fresh);
        let now = shared
            .world()
            .get(Kind::BackendServer, &Key::new("meadow", "ewe-1"))
            .unwrap();
        assert_eq!(now.version(), Some(8));
    }

    #[tokio::test]
    async fn what_is_new_or_gone_is_waited_for() {
        let one = ewe("ewe-1", "a", 5, "Healthy");
        let two = ewe("ewe-2", "b", 7, "Healthy");
        assert!(
            !caught_up(std::slice::from_ref(&one), 9, vec![one.clone(), two.clone()])
                .await
                .0,
            "new"
        );
        assert!(
            !caught_up(&[one.clone(), two.clone()], 9, vec![one.clone()]).await.0,
            "gone"
        );
        let again = ewe("ewe-1", "c", 8, "Healthy");
        assert!(!caught_up(&[one], 9, vec![again]).await.0, "made again");
    }

    #[tokio::test]
    async fn a_world_that_is_ahead_of_the_answer_is_fresh() {
        let one = ewe("ewe-1", "a", 12, "Unhealthy");
        let two = ewe("ewe-2", "b", 13, "Healthy");
        let (fresh, shared) = caught_up(&[one, two], 9, vec![ewe("ewe-1", "a", 5, "Healthy")]).await;
        assert!(fresh);
        let now = shared
            .world()
            .get(Kind::BackendServer, &Key::new("meadow", "ewe-1"))
            .unwrap();
        assert_eq!(now.version(), Some(12));
    }
}
