//! From the mark to the written verdict: what an admin waits for.
//!
//! Starts a control plane of its own and the built controller, marks a backend server unhealthy, and takes the time from sending the
//! mark until a watch delivers the verdict that answers it. Every second round takes the mark back. The mark, the
//! watch that brings it to the controller, the diagnosis, the write and the watch that brings it here are all in it.
//!
//! `cargo bench --bench verdict_latency`; the number of marks is in `MARKS` (100).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/replica.rs"]
mod replica;

use std::{
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};

use common::ControlPlane;
use elb_doctor::api::v1alpha1::{BackendServer, conditions::types::DIAGNOSED};
use futures::StreamExt as _;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{WatchStreamExt as _, watcher},
};
use replica::{MEADOW, Replica, apply, kubectl, until};
use serde_json::json;

/// What the project promises for the median on an otherwise idle control plane.
const TARGET: Duration = Duration::from_millis(50);

fn main() {
    // `cargo test --benches` runs this, too: once through is enough then.
    let marks = match std::env::var("MARKS") {
        Ok(marks) => marks.parse().expect("MARKS is a number"),
        Err(_) if std::env::args().any(|arg| arg == "--bench") => 100,
        Err(_) => 3,
    };
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    kubectl(&["apply", "-k", &deploy.to_string_lossy()]);
    kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    let ns = "latency";
    ControlPlane::get().namespace(ns);
    apply(ns, MEADOW);
    let doctor = Replica::start("elb-doctor", &["--log-level=info"]);
    doctor.until_ready();
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut times = runtime.block_on(measure(ns, marks));
    times.sort();
    let at = |part: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let index = ((times.len() - 1) as f64 * part).round() as usize;
        times[index]
    };
    let median = at(0.5);
    println!(
        "mark to written verdict, {} marks: min {:.1?}  median {median:.1?}  p99 {:.1?}  max {:.1?}  (promised: median under {TARGET:?}: {})",
        times.len(),
        at(0.0),
        at(0.99),
        at(1.0),
        if median < TARGET { "kept" } else { "NOT kept" }
    );
}

async fn measure(ns: &str, marks: usize) -> Vec<Duration> {
    let kubeconfig = Kubeconfig::read_from(ControlPlane::get().kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let api: Api<BackendServer> = Api::namespaced(Client::try_from(config).unwrap(), ns);
    let mut news = pin!(watcher(api.clone(), watcher::Config::default()).applied_objects());
    news.next().await.unwrap().unwrap();

    let mut times = Vec::new();
    for round in 0..marks * 2 {
        let unhealthy = round % 2 == 0;
        let (state, wanted) = if unhealthy {
            ("Unhealthy", "True")
        } else {
            ("Healthy", "False")
        };
        // Between two marks nothing else is under way, the load balancer's count included.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mark =
            json!({ "status": { "health": { "state": state, "reason": unhealthy.then_some("ConnectTimeout") } } });
        let sent = Instant::now();
        api.patch_status("ewe-1", &PatchParams::default(), &Patch::Merge(&mark))
            .await
            .unwrap();
        loop {
            let backend = news.next().await.unwrap().unwrap();
            let conditions = backend.status.map(|status| status.conditions).unwrap_or_default();
            if conditions
                .iter()
                .any(|condition| condition.type_ == DIAGNOSED && condition.status == wanted)
            {
                break;
            }
        }
        if unhealthy {
            times.push(sent.elapsed());
        }
    }
    times
}
