//! Replicas on a real API server: restarts, kills, failover, missing rights, an API server that goes away. Each test has a
//! namespace of its own with the namespaced variant of deploy/ in it, and controllers with the rights of its service account.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
#[path = "common/replica.rs"]
mod replica;

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use common::ControlPlane;
use replica::{
    MEADOW, Replica, apply, condition, eventually, ewe, failed, kubectl, object, patch, report, until, until_failed,
};
use serde_json::{Value, json};

/// Held for reading by every test, and for writing by the one that takes the API server away.
static API_SERVER: RwLock<()> = RwLock::new(());

fn api_server() -> RwLockReadGuard<'static, ()> {
    API_SERVER.read().unwrap_or_else(PoisonError::into_inner)
}

/// A namespace with the namespaced variant of deploy/ and the meadow in it.
fn meadow(ns: &str) {
    ControlPlane::get().install_crds();
    ControlPlane::get().namespace(ns);
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/namespaced");
    let manifests = kubectl(&["kustomize", &deploy.to_string_lossy()])
        .replace("namespace: elb-doctor", &format!("namespace: {ns}"));
    apply(ns, &manifests);
    apply(ns, MEADOW);
}

/// A controller of that namespace.
fn replica(ns: &str, name: &str) -> Replica {
    let replica = Replica::start(
        ns,
        &[
            &format!("--namespace={ns}"),
            &format!("--identity={name}"),
            "--workers=2",
        ],
    );
    replica.until_ready();
    replica
}

/// Status of every object that has one, times aside.
fn statuses(ns: &str) -> BTreeMap<String, Value> {
    let list: Value = serde_json::from_str(&kubectl(&["get", "elb-doctor", "-n", ns, "-o", "json"])).unwrap();
    let mut all = BTreeMap::new();
    for item in list["items"].as_array().unwrap() {
        let mut status = item["status"].clone();
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            condition.as_object_mut().unwrap().remove("lastTransitionTime");
        }
        for time in ["startTime", "completionTime"] {
            status.as_object_mut().map(|status| status.remove(time));
        }
        let name = format!(
            "{}/{}",
            item["kind"].as_str().unwrap(),
            item["metadata"]["name"].as_str().unwrap()
        );
        all.insert(name, status);
    }
    all
}

/// Resource version of every object of ours.
fn versions(ns: &str) -> BTreeMap<String, String> {
    let list: Value = serde_json::from_str(&kubectl(&["get", "elb-doctor", "-n", ns, "-o", "json"])).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let name = format!(
                "{}/{}",
                item["kind"].as_str().unwrap(),
                item["metadata"]["name"].as_str().unwrap()
            );
            (name, item["metadata"]["resourceVersion"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Waits until nothing has changed for a while: what was set off before has ended.
fn settled(ns: &str) -> BTreeMap<String, String> {
    let mut last = versions(ns);
    let mut since = Instant::now();
    eventually("rest", || {
        let now = versions(ns);
        if now != last {
            last = now;
            since = Instant::now();
        }
        if since.elapsed() > Duration::from_secs(2) {
            Ok(last.clone())
        } else {
            Err("changes".into())
        }
    })
}

fn holder(ns: &str) -> String {
    let output = ControlPlane::get()
        .kubectl()
        .args([
            "get",
            "lease/elb-doctor",
            "-n",
            ns,
            "-o",
            "jsonpath={.spec.holderIdentity}",
        ])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn until_holder(ns: &str, wanted: &str) {
    eventually(&format!("{wanted} holds the lease"), || {
        let held = holder(ns);
        if held == wanted { Ok(()) } else { Err(held) }
    });
}

/// Does something to a program of the control plane.
fn ctl(what: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/control-plane/ctl");
    let done = Command::new(script)
        .arg(ControlPlane::get().dir())
        .arg(what)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// One of everything: faulty, clean, healthy, refused, a finished request and a waiting one.
fn mixed(ns: &str) {
    for name in ["ewe-2", "ewe-3", "ewe-4"] {
        apply(ns, &ewe(name));
    }
    patch(ns, "bes/ewe-2", &json!({ "spec": { "port": 8082 } }));
    patch(
        ns,
        "bes/ewe-4",
        &json!({ "spec": { "subnetRef": { "name": "nowhere" } } }),
    );
    report(ns, "ewe-1", "Unhealthy", Some("ConnectTimeout"));
    report(ns, "ewe-2", "Unhealthy", Some("ConnectTimeout"));
    report(ns, "ewe-3", "Healthy", None);
    apply(
        ns,
        "
{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: ends }, spec: { loadBalancerRef: { name: gate }, backendServerRef: { name: ewe-2 } } }
---
{ apiVersion: elb-doctor.dev/v1alpha1, kind: TroubleshootRequest, metadata: { name: waits }, spec: { loadBalancerRef: { name: gate }, backendServerRef: { name: ewe-4 }, activeDeadlineSeconds: 86400 } }
---
{ apiVersion: elb-doctor.dev/v1alpha1, kind: NetworkACL, metadata: { name: elsewhere }, spec: { subnetRefs: [{ name: hill }], egress: [{ name: out, action: Allow }] } }
",
    );
}

fn until_mixed_is_done(ns: &str) {
    until(ns, "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
    until_failed(ns, "ewe-2", &["security_group_check_hc_port_ingress"]);
    until(ns, "bes/ewe-3", "Healthy", "True/Reported");
    until(ns, "bes/ewe-4", "Ready", "False/ReferenceNotFound");
    until(ns, "tsr/ends", "Succeeded", "True/FaultsFound");
    until(ns, "tsr/waits", "Succeeded", "Unknown/ReferenceNotFound");
    until(ns, "nacl/elsewhere", "Ready", "True/Reconciled");
    eventually("the counts", || {
        let backends = object(ns, "elb/gate")["status"]["backends"].clone();
        let wanted = json!({ "total": 4, "healthy": 1, "unhealthy": 2, "unknown": 1, "faulty": 1 });
        if backends == wanted {
            Ok(())
        } else {
            Err(backends.to_string())
        }
    });
}

#[test]
fn a_quiet_cluster_and_a_restart_see_no_write() {
    let (ns, _api) = ("quiet", api_server());
    meadow(ns);
    let mut first = replica(ns, "first");
    mixed(ns);
    until_mixed_is_done(ns);
    let before = settled(ns);
    let writes = first.metric("elb_doctor_status_writes_total", "");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(versions(ns), before, "a quiet cluster was written to");
    assert_eq!(first.metric("elb_doctor_status_writes_total", ""), writes);

    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0));
    let second = replica(ns, "second");
    second.until_logged("leading");
    // Everything has been looked over when every key has been taken once.
    eventually("the first look at everything", || {
        let looked = second.metric("controller_runtime_reconcile_total", "");
        if looked >= 9 { Ok(()) } else { Err(looked.to_string()) }
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(versions(ns), before, "a cold start wrote");
    assert_eq!(second.metric("elb_doctor_status_writes_total", ""), 0);
    assert_eq!(second.metric("controller_runtime_reconcile_errors_total", ""), 0);
}

#[test]
fn killed_at_any_moment_it_reaches_the_same_final_state() {
    let api = api_server();
    meadow("spared");
    let _spared = replica("spared", "spared");
    mixed("spared");
    until_mixed_is_done("spared");

    let ns = "killed";
    meadow(ns);
    // Killed ever later after its start, while the world is being made and after.
    let mut moments = [0, 40, 90, 150, 30, 220, 400].into_iter();
    let mut kill_one = || {
        // A killed holder leaves its lease behind, and the next would wait for it to run out.
        let flags = [&format!("--namespace={ns}"), "--leader-election=false", "--workers=2"];
        let victim = Replica::start(ns, &flags);
        std::thread::sleep(Duration::from_millis(moments.next().unwrap_or(100)));
        victim.signal("KILL");
    };
    kill_one();
    kill_one();
    mixed(ns);
    (0..5).for_each(|_| kill_one());
    let _last = replica(ns, "phoenix");
    until_mixed_is_done(ns);
    settled(ns);
    let names = |text: &str| text.replace("spared", "killed");
    let spared: BTreeMap<String, Value> = statuses("spared")
        .into_iter()
        .map(|(name, status)| (name, serde_json::from_str(&names(&status.to_string())).unwrap()))
        .collect();
    assert_eq!(statuses(ns), spared);
    drop(api);
}

#[test]
fn another_replica_takes_over_when_the_leader_is_killed_and_two_never_write() {
    let (ns, _api) = ("follows", api_server());
    meadow(ns);
    let anna = replica(ns, "anna");
    until_holder(ns, "anna");
    let bert = replica(ns, "bert");
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    report(ns, "ewe-1", "Unhealthy", None);
    until_failed(ns, "ewe-1", &[]);
    assert_eq!(bert.metric("leader_election_master_status", ""), 0);
    assert_eq!(bert.metric("elb_doctor_status_writes_total", ""), 0, "a standby wrote");

    // What the standby knows is what the leader knew: it needs no list to take over.
    let lists = |replica: &Replica| replica.log().iter().filter(|line| line["message"] == "listed").count();
    let listed = lists(&bert);
    anna.signal("KILL");
    report(ns, "ewe-1", "Healthy", None);
    until(ns, "bes/ewe-1", "Healthy", "True/Reported");
    assert_eq!(holder(ns), "bert");
    assert_eq!(bert.metric("leader_election_master_status", ""), 1);
    assert_eq!(lists(&bert), listed);
    let lease = object(ns, "lease/elb-doctor");
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
}

#[test]
fn a_leader_that_cannot_renew_stops_before_another_may_start_and_comes_back_as_a_standby() {
    let (ns, _api) = ("frozen", api_server());
    meadow(ns);
    let anna = replica(ns, "anna");
    until_holder(ns, "anna");
    let bert = replica(ns, "bert");
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    settled(ns);
    let writes = anna.metric("elb_doctor_status_writes_total", "");
    // Stopped in the middle of its life, as a starved or suspended process is.
    anna.signal("STOP");
    until_holder(ns, "bert");
    report(ns, "ewe-1", "Unhealthy", None);
    until_failed(ns, "ewe-1", &[]);
    report(ns, "ewe-1", "Healthy", None);
    anna.signal("CONT");
    until(ns, "bes/ewe-1", "Healthy", "True/Reported");
    anna.until_logged("standing by");
    assert_eq!(
        anna.metric("elb_doctor_status_writes_total", ""),
        writes,
        "it wrote without the lease"
    );
    assert_eq!(anna.metric("leader_election_master_status", ""), 0);
    assert_eq!(bert.metric("leader_election_master_status", ""), 1);
    assert_eq!(anna.get("/readyz").unwrap().0, 200, "a standby is ready");
}

/// Looks at both again and again for that time and says how often two led at once.
fn two_lead(replicas: [&Replica; 2], time: Duration) -> (usize, usize) {
    let (mut looks, mut both) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < time {
        let leaders: u64 = replicas
            .iter()
            .map(|replica| replica.metric("leader_election_master_status", ""))
            .sum();
        looks += 1;
        both += usize::from(leaders > 1);
        std::thread::sleep(Duration::from_millis(50));
    }
    (looks, both)
}

#[test]
fn a_deleted_lease_never_makes_two_leaders() {
    let (ns, _api) = ("deletes", api_server());
    meadow(ns);
    let anna = replica(ns, "anna");
    anna.until_logged("leading");
    let bert = replica(ns, "bert");
    for round in 0..3 {
        kubectl(&["delete", "lease/elb-doctor", "-n", ns]);
        let (looks, both) = two_lead([&anna, &bert], Duration::from_secs(6));
        assert_eq!(both, 0, "of {looks} looks in round {round}");
    }
    anna.until_logged("the lease was deleted");
    eventually("a leader again", || match holder(ns) {
        holder if holder.is_empty() => Err("nobody".into()),
        _ => Ok(()),
    });
    report(ns, "ewe-1", "Unhealthy", None);
    until_failed(ns, "ewe-1", &[]);
}

#[test]
fn of_two_processes_with_one_name_one_leads_and_the_other_says_what_is_wrong() {
    let (ns, _api) = ("twins", api_server());
    meadow(ns);
    let first = replica(ns, "twin");
    first.until_logged("leading");
    let second = replica(ns, "twin");
    second.until_logged("another process has the same identity");
    let (looks, both) = two_lead([&first, &second], Duration::from_secs(4));
    assert_eq!(both, 0, "of {looks} looks");
    // A lease that names an hour is taken after the usual time all the same.
    first.signal("KILL");
    patch(
        ns,
        "lease/elb-doctor",
        &json!({ "spec": { "leaseDurationSeconds": 3600 } }),
    );
    second.until_logged("leading");
}

#[test]
fn asked_to_stop_it_gives_the_lease_back_and_ends_well() {
    let (ns, _api) = ("stops", api_server());
    meadow(ns);
    let mut anna = replica(ns, "anna");
    until_holder(ns, "anna");
    let bert = replica(ns, "bert");
    anna.signal("TERM");
    assert_eq!(anna.wait().code(), Some(0));
    // Well before the lease would have run out.
    let asked = Instant::now();
    bert.until_logged("leading");
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());

    let mut bert = bert;
    bert.signal("INT");
    assert_eq!(bert.wait().code(), Some(0));
    assert_eq!(holder(ns), "", "nobody is left");
}

#[test]
fn without_the_election_it_needs_no_lease() {
    let (ns, _api) = ("alone", api_server());
    meadow(ns);
    kubectl(&["delete", "rolebinding/elb-doctor-leader-election", "-n", ns]);
    let alone = Replica::start(ns, &[&format!("--namespace={ns}"), "--leader-election=false"]);
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    assert_eq!(holder(ns), "");
    drop(alone);
}

#[test]
fn a_right_that_is_missing_is_missed() {
    let (ns, _api) = ("fenced", api_server());
    meadow(ns);
    let role: Value = serde_json::from_str(&kubectl(&["get", "role/elb-doctor", "-n", ns, "-o", "json"])).unwrap();
    let mut less = role.clone();
    for rule in less["rules"].as_array_mut().unwrap() {
        rule["resources"]
            .as_array_mut()
            .unwrap()
            .retain(|resource| resource != "backendservers/status");
    }
    let rules = json!({ "rules": less["rules"] });
    patch(ns, "role/elb-doctor", &rules);
    let doctor = replica(ns, "doctor");
    until(ns, "sg/fence", "Ready", "True/Reconciled");
    eventually("a refused write", || {
        let refused = doctor.metric(
            "elb_doctor_status_writes_total",
            "kind=\"BackendServer\",result=\"Forbidden\"",
        );
        if refused > 0 { Ok(()) } else { Err(refused.to_string()) }
    });
    assert_eq!(condition(&object(ns, "bes/ewe-1"), "Ready"), "");
    doctor.until_logged("cannot write");
    // Given the right it goes on without a restart.
    patch(ns, "role/elb-doctor", &json!({ "rules": role["rules"] }));
    until(ns, "bes/ewe-1", "Ready", "True/Reconciled");

    // It sees nothing outside its namespace.
    let mut outside = Replica::start(ns, &["--identity=outside"]);
    outside.until_logged("may not list or watch");
    assert_eq!(outside.get("/readyz").unwrap().0, 503);
    assert_eq!(outside.get("/livez").unwrap().0, 200);
    outside.signal("TERM");
    assert_eq!(outside.wait().code(), Some(0));
}

#[test]
fn when_the_api_server_comes_back_it_goes_on() {
    ControlPlane::get();
    let ns = "outlives";
    let _alone = API_SERVER.write().unwrap_or_else(PoisonError::into_inner);
    meadow(ns);
    let doctor = replica(ns, "doctor");
    report(ns, "ewe-1", "Unhealthy", None);
    until_failed(ns, "ewe-1", &[]);
    ctl("kill-apiserver");
    eventually("a failing watch or lease", || {
        let said = doctor.log().into_iter().filter(|line| line["level"] == "WARN").count();
        if said > 0 { Ok(()) } else { Err("nothing said".into()) }
    });
    assert_eq!(
        doctor.get("/livez").unwrap().0,
        200,
        "a restart would not bring the API server back"
    );
    // Long enough that the lease cannot be held on to.
    doctor.until_logged("standing by");
    ctl("start-apiserver");
    report(ns, "ewe-1", "Healthy", None);
    until(ns, "bes/ewe-1", "Healthy", "True/Reported");
    patch(ns, "ag/dogs", &json!({ "spec": { "addresses": ["10.1.0.0/29"] } }));
    report(ns, "ewe-1", "Unhealthy", None);
    let ewe = until_failed(ns, "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    assert_eq!(failed(&ewe).len(), 1);
}

#[test]
fn what_was_about_to_be_written_when_the_lease_was_lost_is_written_when_it_is_held_again() {
    ControlPlane::get();
    let ns = "resumes";
    let _alone = API_SERVER.write().unwrap_or_else(PoisonError::into_inner);
    meadow(ns);
    let doctor = replica(ns, "doctor");
    until(ns, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    settled(ns);
    // Frozen in the middle of it: of many backend servers some are in a worker's hands, and the load balancer, which is counted
    // moments later, surely is.
    let names: Vec<String> = (2..40).map(|number| format!("ewe-{number}")).collect();
    let flock: Vec<String> = names.iter().map(|name| ewe(name)).collect();
    apply(ns, &flock.join("\n---\n"));
    ctl("pause-apiserver");
    doctor.until_logged("standing by");
    ctl("resume-apiserver");
    for name in &names {
        until(ns, &format!("bes/{name}"), "Diagnosed", "False/BackendNotUnhealthy");
    }
    eventually("the count", || {
        let total = object(ns, "elb/gate")["status"]["backends"]["total"].clone();
        if total == 39 { Ok(()) } else { Err(total.to_string()) }
    });
    eventually("workers at rest", || {
        match doctor.metric("controller_runtime_active_workers", "") {
            0 => Ok(()),
            active => Err(active.to_string()),
        }
    });
}

#[test]
fn when_the_api_server_does_not_answer_it_still_ends() {
    ControlPlane::get();
    let ns = "hangs";
    let _alone = API_SERVER.write().unwrap_or_else(PoisonError::into_inner);
    // Both lead, for a standby has nothing to give back and ends at once.
    meadow(ns);
    meadow("haste");
    let mut patient = replica(ns, "patient");
    let mut hasty = replica("haste", "hasty");
    until_holder(ns, "patient");
    until_holder("haste", "hasty");
    ctl("pause-apiserver");
    for replica in [&patient, &hasty] {
        replica.signal("TERM");
        replica.until_logged("shutting down");
    }
    // Each step of the stop has its own limit; the second signal waits for none.
    hasty.signal("TERM");
    let hasty = hasty.wait();
    let patient = patient.wait();
    ctl("resume-apiserver");
    assert_eq!(patient.code(), Some(0));
    assert!(matches!(hasty.code(), Some(0 | 130)), "{hasty}");
}
