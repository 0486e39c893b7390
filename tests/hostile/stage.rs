//! What the tests here share: who may run beside whom, installations, namespaces that are emptied at the end, and the
//! neighbour whose marks have to be answered whatever goes on elsewhere.

use std::{
    path::Path,
    sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use elb_doctor::world::Kind;
use serde_json::{Value, json};

use crate::{
    common::ControlPlane,
    raw::{self, As, ask, wait},
    replica::{MEADOW, Replica, apply, condition, kubectl, until},
};

/// Plural names of all kinds.
pub fn plurals() -> Vec<String> {
    Kind::ALL.iter().map(|kind| kind.plural()).collect()
}

/// Held for writing by a test whose controller sees every namespace, for reading by those that keep to their own.
static CLUSTER: RwLock<()> = RwLock::new(());

/// For a test whose controller sees one namespace only.
pub fn beside_others() -> RwLockReadGuard<'static, ()> {
    deploy();
    CLUSTER.read().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that has the cluster to itself.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    deploy();
    CLUSTER.write().unwrap_or_else(PoisonError::into_inner)
}

/// Installs everything of deploy/ once.
fn deploy() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        kubectl(&["apply", "-k", &deploy.to_string_lossy()]);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    });
}

/// A controller for the whole cluster that leads.
pub fn cluster_wide() -> Replica {
    forget_lease("elb-doctor");
    let doctor = Replica::start("elb-doctor", &["--workers=2"]);
    doctor.until_ready();
    doctor.until_logged("leading");
    doctor
}

/// Removes the lease that a killed controller has left, so that the next need not wait for its end.
pub fn forget_lease(namespace: &str) {
    kubectl(&["delete", "lease", "elb-doctor", "-n", namespace, "--ignore-not-found"]);
}

/// Installs the namespaced variant of deploy/.
pub fn install(namespace: &str) {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/namespaced");
    let manifests = kubectl(&["kustomize", &deploy.to_string_lossy()])
        .replace("namespace: elb-doctor", &format!("namespace: {namespace}"));
    apply(namespace, &manifests);
}

/// A controller of one namespace that leads.
pub fn namespaced(namespace: &str, flags: &[&str]) -> Replica {
    let doctor = Replica::start(
        namespace,
        &[&[&*format!("--namespace={namespace}"), "--workers=2"], flags].concat(),
    );
    doctor.until_ready();
    doctor.until_logged("leading");
    doctor
}

/// A namespace whose objects go at the end of the test.
pub struct Namespace(pub String);

impl Namespace {
    pub fn new(name: &str) -> Self {
        ControlPlane::get().namespace(name);
        Self(name.into())
    }

    /// One with the meadow in it.
    pub fn meadow(name: &str) -> Self {
        let namespace = Self::new(name);
        apply(name, MEADOW);
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        wait(async {
            for plural in plurals() {
                let path = format!("{}/namespaces/{}/{plural}", raw::GROUP, self.0);
                ask(&As::Admin, "DELETE", &path, "application/json", "").await;
            }
        });
    }
}

/// A backend server of the meadow with another name and, where given, another spec.
pub fn server(name: &str, changes: &Value) -> String {
    let mut spec = json!({
        "loadBalancerRef": { "name": "gate" }, "backendServerGroup": "herd", "address": "10.2.0.11", "port": 8081,
        "subnetRef": { "name": "vale" }, "securityGroupRefs": [{ "name": "fence" }],
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    object("BackendServer", name, &spec)
}

/// An object as JSON text.
pub fn object(kind: &str, name: &str, spec: &Value) -> String {
    json!({ "apiVersion": "elb-doctor.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec })
        .to_string()
}

/// What a reporter writes.
pub fn health(state: &str) -> String {
    json!({ "status": { "health": { "state": state } } }).to_string()
}

/// Creates backend servers `NAME-0`… of the meadow, all reported unhealthy.
pub fn unhealthy_flock(namespace: &str, name: &str, number: usize, changes: &Value) {
    let names: Vec<String> = (0..number).map(|index| format!("{name}-{index}")).collect();
    wait(async {
        raw::each(&names, |name| {
            let text = server(name, changes);
            async move { raw::create(&As::Admin, namespace, "backendservers", text).await }
        })
        .await;
        raw::each(&names, |name| async move {
            raw::patch_status(&As::Admin, namespace, "backendservers", name, health("Unhealthy")).await
        })
        .await;
    });
}

/// A backend server in a namespace where nothing is wrong; what it is marked with has to be answered soon.
pub struct Neighbour {
    namespace: Namespace,
    marked: bool,
}

impl Neighbour {
    pub fn new(namespace: &str) -> Self {
        let namespace = Namespace::meadow(namespace);
        until(&namespace.0, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
        Self {
            namespace,
            marked: false,
        }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace.0
    }

    /// Marks it unhealthy, or healthy again, and says how long it took until the verdict stood there; a minute at most.
    pub fn mark(&mut self) -> Duration {
        const PATIENCE: Duration = Duration::from_mins(1);
        self.marked = !self.marked;
        let (state, verdict) = if self.marked {
            ("Unhealthy", "True/NoFaultFound")
        } else {
            ("Healthy", "False/BackendNotUnhealthy")
        };
        let namespace = &self.namespace.0;
        wait(async {
            let began = Instant::now();
            raw::patch_status(&As::Admin, namespace, "backendservers", "ewe-1", health(state))
                .await
                .good();
            loop {
                let seen = raw::get(namespace, "backendservers", "ewe-1").await;
                if condition(&seen, "Diagnosed") == verdict || began.elapsed() > PATIENCE {
                    return began.elapsed();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    }
}

/// Marks the neighbour again and again for a while, asks for the probes, too, and says the longest time of each: a verdict, an
/// answer of /livez.
pub fn watch_over(doctor: &Replica, neighbour: &mut Neighbour, time: Duration) -> (Duration, Duration) {
    let (mut verdict, mut alive) = (Duration::ZERO, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < time {
        let asked = Instant::now();
        let live = doctor.get("/livez").map(|(code, ..)| code);
        assert_eq!(live, Ok(200), "after {:?}", asked.elapsed());
        alive = alive.max(asked.elapsed());
        verdict = verdict.max(neighbour.mark());
        std::thread::sleep(Duration::from_millis(100));
    }
    (verdict, alive)
}

/// How often a line with these words was logged.
pub fn logged(doctor: &Replica, words: &str) -> usize {
    doctor
        .log()
        .iter()
        .filter(|line| line["message"].as_str().is_some_and(|said| said.contains(words)))
        .count()
}
