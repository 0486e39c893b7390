//! Starts what keeps the cache like the cluster.

use std::sync::Arc;

use kube::Client;
use tokio::task::JoinSet;

use crate::{api::v1alpha1::Kind, telemetry::Metrics};

use super::{
    freshness,
    store::Cache,
    watch::{self, Surroundings},
};

/// Starts the lists and watches of all kinds. They end only when aborted.
pub(in crate::controller) fn start(
    client: &Client,
    namespace: Option<&str>,
    cache: &Arc<Cache>,
    metrics: &Arc<Metrics>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let all = Surroundings {
        client: client.clone(),
        namespace: namespace.map(str::to_owned),
        cache: cache.clone(),
        freshness: cache.freshness().clone(),
        metrics: metrics.clone(),
        limiter: Arc::default(),
    };
    for kind in Kind::ALL {
        tasks.spawn(watch::follow(all.clone(), *kind));
    }
    let (definitions, own) = (cache.definitions().clone(), client.clone());
    tasks.spawn(async move { definitions.follow(&own).await });
    let (cache, metrics) = (cache.clone(), metrics.clone());
    tasks.spawn(freshness::keep_watch(cache.freshness().clone(), move |now| {
        for (kind, age) in cache.freshness().ages(now) {
            metrics.set_view_age(kind.name(), age);
        }
        let world = cache.snapshot();
        for kind in Kind::ALL {
            metrics.set_objects(kind.name(), world.count(*kind));
        }
    }));
    tasks
}
