//! A view that is old is not told as fresh: past its bound no verdict is written from it, the replica is not ready and gives the
//! lease away, and requests wait, with a condition that says so.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    common::ControlPlane,
    proxy::{Faults, Proxy},
    raw::{self, As, wait},
    replica::{Replica, condition, failed, kubeconfig, kubectl, object, patch, until, until_failed},
    stage::{Namespace, beside_others, health, install, logged},
};

/// How long a view may go without a proof that it is the cluster's state, and some.
const BOUND: Duration = Duration::from_secs(110);

struct Installation {
    ns: Namespace,
    proxy: Proxy,
    doctor: Replica,
}

impl Installation {
    /// One whose only server has a diagnosis by the rules as they are.
    fn new(name: &str) -> Self {
        let ns = Namespace::meadow(name);
        install(name);
        let dir = tempfile::tempdir_in(ControlPlane::get().scratch()).unwrap();
        let proxy = Proxy::start(&kubeconfig(dir.path(), name));
        let doctor = Replica::start_by(
            &proxy.kubeconfig(name),
            &[&format!("--namespace={name}"), "--workers=2"],
        );
        doctor.until_ready();
        mark(name, "Unhealthy");
        until_failed(name, "ewe-1", &[]);
        mark(name, "Healthy");
        until(name, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
        Self { ns, proxy, doctor }
    }

    /// Waits until it says that it is not ready.
    fn until_unready(&self) {
        let began = Instant::now();
        while self.doctor.get("/readyz").is_ok_and(|(code, ..)| code == 200) {
            assert!(
                began.elapsed() < BOUND,
                "{} is ready after {BOUND:?} without news",
                self.ns.0
            );
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// What is marked now, and asked about, is not told from the old rules; a mark may be shown.
    fn tells_nothing(&self) {
        let ns = &self.ns.0;
        mark(ns, "Unhealthy");
        let ask = |name: &str, more: Value| {
            let mut spec = json!({ "loadBalancerRef": { "name": "gate" }, "backendServerRef": { "name": "ewe-1" } });
            for (field, value) in more.as_object().unwrap() {
                spec[field] = value.clone();
            }
            let text = crate::stage::object("TroubleshootRequest", name, &spec);
            wait(raw::create(&As::Admin, ns, "troubleshootrequests", text)).good();
        };
        ask("patient", json!({ "activeDeadlineSeconds": 600 }));
        std::thread::sleep(Duration::from_secs(5));
        let seen = object(ns, "bes/ewe-1");
        assert_ne!(
            condition(&seen, "Diagnosed"),
            "True/NoFaultFound",
            "a verdict from old rules"
        );
        let patient = object(ns, "tsr/patient");
        assert!(
            patient["status"].get("completionTime").is_none(),
            "a record from old rules: {patient}"
        );
        assert_eq!(self.doctor.get("/livez").unwrap().0, 200, "a restart would not help");
        assert_eq!(
            self.doctor.metric("leader_election_master_status", ""),
            0,
            "it keeps the lease"
        );
    }

    /// With news it goes on, by the rules as they are now.
    fn goes_on(&self) {
        let ns = &self.ns.0;
        self.doctor.until_ready();
        until_failed(ns, "ewe-1", &["security_group_check_hc_port_ingress"]);
        until(ns, "tsr/patient", "Succeeded", "True/FaultsFound");
        assert!(logged(&self.doctor, "leading") >= 1);
    }
}

fn mark(ns: &str, state: &str) {
    wait(raw::patch_status(
        &As::Admin,
        ns,
        "backendservers",
        "ewe-1",
        health(state),
    ))
    .good();
}

/// The rule lets the probes in no more.
fn close(ns: &str) {
    let rules = json!({ "spec": { "rules": [
        { "name": "in", "direction": "Ingress", "protocol": "tcp", "ports": "9999", "remote": { "addressGroupRef": { "name": "dogs" } } },
        { "name": "out", "direction": "Egress" },
    ] } });
    patch(ns, "sg/fence", &rules);
}

#[test]
fn a_view_without_news_is_not_told_as_fresh() {
    let _others = beside_others();
    let withdrawn = Installation::new("withdrawn");
    let stalled = Installation::new("stalled");

    // The right to watch is gone, and so is the watch, as it is sooner or later.
    let role: Value =
        serde_json::from_str(&kubectl(&["get", "role/elb-doctor", "-n", "withdrawn", "-o", "json"])).unwrap();
    let mut less = role["rules"].clone();
    for rule in less.as_array_mut().unwrap() {
        rule["resources"]
            .as_array_mut()
            .unwrap()
            .retain(|resource| resource != "securitygroups");
    }
    patch("withdrawn", "role/elb-doctor", &json!({ "rules": less }));
    withdrawn.proxy.cut_watches();
    stalled.proxy.set(Faults {
        stalled: vec!["securitygroups"],
        ..Faults::default()
    });
    let lists = withdrawn.proxy.lists();
    std::thread::sleep(Duration::from_secs(2));
    close("withdrawn");
    close("stalled");

    withdrawn.until_unready();
    stalled.until_unready();
    withdrawn.tells_nothing();
    stalled.tells_nothing();
    let lists = withdrawn.proxy.lists() - lists;
    assert!(lists < 120, "{lists} lists within two minutes");
    assert!(failed(&object("withdrawn", "bes/ewe-1")).is_empty());

    patch("withdrawn", "role/elb-doctor", &json!({ "rules": role["rules"] }));
    stalled.proxy.set(Faults::default());
    stalled.proxy.cut_watches();
    withdrawn.goes_on();
    stalled.goes_on();
}

#[test]
fn a_request_waits_for_a_view_as_new_as_it_is_until_its_deadline() {
    let _others = beside_others();
    let here = Installation::new("lagging");
    let ns = &here.ns.0;
    mark(ns, "Unhealthy");
    until_failed(ns, "ewe-1", &[]);
    // Nobody notices yet that nothing comes.
    here.proxy.set(Faults {
        stalled: vec!["securitygroups", "backendservers"],
        ..Faults::default()
    });
    std::thread::sleep(Duration::from_millis(500));
    close(ns);
    let ask = |name: &str, deadline: u32| {
        let spec = json!({ "loadBalancerRef": { "name": "gate" }, "backendServerRef": { "name": "ewe-1" }, "activeDeadlineSeconds": deadline });
        let text = crate::stage::object("TroubleshootRequest", name, &spec);
        wait(raw::create(&As::Admin, ns, "troubleshootrequests", text)).good();
    };
    let lists = here.proxy.lists();
    ask("hasty", 6);
    ask("patient", 600);
    std::thread::sleep(Duration::from_secs(4));
    let patient = object(ns, "tsr/patient");
    if patient["status"].get("completionTime").is_none() {
        // It says what it waits for.
        assert!(condition(&patient, "Succeeded").starts_with("Unknown/"), "{patient}");
    }
    let hasty = crate::replica::eventually("the end of the hasty one", || {
        let seen = object(ns, "tsr/hasty");
        if seen["status"].get("completionTime").is_some() {
            Ok(seen)
        } else {
            Err(seen["status"].to_string())
        }
    });
    let verdict = condition(&hasty, "Succeeded");
    assert!(
        ["False/DeadlineExceeded", "True/FaultsFound"].contains(&verdict.as_str()),
        "{hasty}"
    );
    std::thread::sleep(Duration::from_secs(4));
    let lists = here.proxy.lists() - lists;
    assert!(lists < 40, "{lists} lists in ten seconds");
    here.proxy.set(Faults::default());
    here.proxy.cut_watches();
    until(ns, "tsr/patient", "Succeeded", "True/FaultsFound");
}
