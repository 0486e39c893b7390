//! The cluster under the controller is not the one that it was made for: definitions of another version or none, a store that was
//! restored. One test at a time, for each changes what all share.
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
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::ControlPlane;
use replica::{
    MEADOW, Replica, apply, condition, eventually, ewe, kubectl, object, patch, report, until, until_failed,
};

use serde_json::Value;

static CLUSTER: Mutex<()> = Mutex::new(());

/// A cluster with everything of deploy/ as it should be.
fn cluster() -> MutexGuard<'static, ()> {
    let alone = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-k",
        &deploy.to_string_lossy(),
    ]);
    kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    kubectl(&[
        "delete",
        "lease",
        "elb-doctor",
        "-n",
        "elb-doctor",
        "--ignore-not-found",
    ]);
    alone
}

fn meadow(ns: &str) {
    ControlPlane::get().namespace(ns);
    apply(ns, MEADOW);
}

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

fn definition(plural: &str) -> Value {
    let name = format!("crd/{plural}.elb-doctor.dev");
    serde_json::from_str(&kubectl(&["get", &name, "-o", "json"])).unwrap()
}

fn replace(definition: &Value) {
    let output = ControlPlane::get().kubectl_with_input(&["replace", "-f", "-"], &definition.to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn until_unready(doctor: &Replica) -> String {
    eventually("not ready", || match doctor.get("/readyz")? {
        (200, ..) => Err("ready".into()),
        (_, _, said) => Ok(said),
    })
}

/// Lines that say what to apply.
fn advice(doctor: &Replica) -> Vec<String> {
    let lines = doctor.log();
    let said = lines.iter().filter_map(|line| line["message"].as_str());
    said.filter(|said| said.contains("crds") && (said.contains("apply") || said.contains("install")))
        .map(str::to_owned)
        .collect()
}

/// The definition as an older release had it: without a field that is written, and without one that is asked for.
fn older() -> Value {
    let mut old = definition("backendservers");
    let version = &mut old["spec"]["versions"][0];
    version["selectableFields"]
        .as_array_mut()
        .unwrap()
        .retain(|field| field["jsonPath"] != ".spec.loadBalancerRef.name");
    let status = &mut version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    let diagnosis = status["diagnosis"]["properties"].as_object_mut().unwrap();
    assert!(diagnosis.remove("nextSteps").is_some());
    old
}

#[test]
fn older_definitions_are_noticed_at_the_start_and_said_in_one_line() {
    let _alone = cluster();
    meadow("older");
    report("older", "ewe-1", "Unhealthy", None);
    replace(&older());
    std::thread::sleep(Duration::from_secs(2));
    let doctor = Replica::start("elb-doctor", &["--workers=2"]);
    until_unready(&doctor);
    eventually("advice", || {
        let advice = advice(&doctor);
        if advice.is_empty() { Err("none".into()) } else { Ok(()) }
    });
    // What they take is written: the conditions say what was found. A part of a diagnosis is not, for it would pass for the whole.
    until("older", "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
    until("older", "bes/ewe-1", "Healthy", "False/Reported");
    assert_eq!(object("older", "bes/ewe-1")["status"]["diagnosis"], Value::Null);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(doctor.get("/livez").unwrap().0, 200);
    assert_ne!(doctor.get("/readyz").unwrap().0, 200);
    let advice = advice(&doctor);
    assert!(advice.len() <= 2, "{advice:?}");
    // With the right ones it goes on by itself.
    cluster_again();
    doctor.until_ready();
    eventually("the whole diagnosis", || {
        let status = object("older", "bes/ewe-1")["status"].clone();
        let steps = status["diagnosis"]["nextSteps"].as_array().map_or(0, Vec::len);
        if steps > 0 { Ok(()) } else { Err(status.to_string()) }
    });
}

/// The definitions as they should be, by the holder of the lock.
fn cluster_again() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-k",
        &deploy.to_string_lossy(),
    ]);
}

#[test]
fn definitions_that_become_older_while_it_runs_are_noticed() {
    let _alone = cluster();
    meadow("turned");
    let doctor = Replica::start("elb-doctor", &["--workers=2"]);
    doctor.until_ready();
    until("turned", "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    replace(&older());
    std::thread::sleep(Duration::from_secs(2));
    report("turned", "ewe-1", "Unhealthy", None);
    until_unready(&doctor);
    eventually("advice", || {
        let advice = advice(&doctor);
        if advice.is_empty() { Err("none".into()) } else { Ok(()) }
    });
    cluster_again();
    doctor.until_ready();
    until("turned", "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
}

#[test]
fn a_kind_that_is_gone_is_not_taken_for_objects_that_are() {
    let _alone = cluster();
    meadow("bereft");
    report("bereft", "ewe-1", "Unhealthy", None);
    let doctor = Replica::start("elb-doctor", &["--workers=2"]);
    doctor.until_ready();
    until("bereft", "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
    let before = object("bereft", "bes/ewe-1")["status"].clone();
    kubectl(&["delete", "crd/addressgroups.elb-doctor.dev"]);
    let said = until_unready(&doctor);
    assert!(said.contains("AddressGroup") || said.contains("addressgroup"), "{said}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        object("bereft", "bes/ewe-1")["status"],
        before,
        "its verdict was rewritten"
    );
    cluster_again();
    kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    // Its group is really gone now.
    until("bereft", "bes/ewe-1", "Ready", "False/ReferenceNotFound");
    apply("bereft", MEADOW);
    until("bereft", "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
    doctor.until_ready();
}

#[test]
fn after_the_store_was_restored_nothing_of_later_stays() {
    let _alone = cluster();
    meadow("rewound");
    let doctor = Replica::start("elb-doctor", &["--workers=2"]);
    doctor.until_ready();
    report("rewound", "ewe-1", "Unhealthy", None);
    until_failed("rewound", "ewe-1", &[]);

    // A copy of the store, as of now.
    let store = ControlPlane::get().dir().join("etcd");
    let copy = ControlPlane::get().scratch().join("etcd-copy");
    ctl("stop-apiserver");
    ctl("stop-etcd");
    let copied = Command::new("cp").arg("-a").arg(&store).arg(&copy).status().unwrap();
    assert!(copied.success());
    ctl("start-etcd");
    ctl("start-apiserver");
    doctor.until_ready();

    // What is changed and made later.
    for number in 2..10 {
        apply("rewound", &ewe(&format!("ewe-{number}")));
    }
    patch(
        "rewound",
        "ag/dogs",
        &serde_json::json!({ "spec": { "addresses": ["10.1.0.0/29"] } }),
    );
    until_failed("rewound", "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    eventually("the count", || {
        let total = object("rewound", "elb/gate")["status"]["backends"]["total"].clone();
        if total == 9 { Ok(()) } else { Err(total.to_string()) }
    });

    ctl("stop-apiserver");
    ctl("stop-etcd");
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&copy, &store).unwrap();
    ctl("start-etcd");
    ctl("start-apiserver");
    let begun = eventually("verdicts as of then", || {
        let seen = object("rewound", "bes/ewe-1");
        let total = object("rewound", "elb/gate")["status"]["backends"]["total"].clone();
        if condition(&seen, "Diagnosed") == "True/NoFaultFound" && total == 1 {
            Ok(seen)
        } else {
            Err(format!("{total} {}", seen["status"]))
        }
    });
    // And it follows what happens from here on.
    drop(begun);
    report("rewound", "ewe-1", "Healthy", None);
    until("rewound", "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    apply("rewound", &ewe("ewe-20"));
    until("rewound", "bes/ewe-20", "Diagnosed", "False/BackendNotUnhealthy");
    patch(
        "rewound",
        "ag/dogs",
        &serde_json::json!({ "spec": { "addresses": ["10.1.0.0/30"] } }),
    );
    report("rewound", "ewe-1", "Unhealthy", None);
    until_failed("rewound", "ewe-1", &["security_group_check_hc_source_ip_ingress"]);
    eventually("the count", || {
        let total = object("rewound", "elb/gate")["status"]["backends"]["total"].clone();
        if total == 2 { Ok(()) } else { Err(total.to_string()) }
    });
}
