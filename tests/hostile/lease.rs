//! The lease, when something happens to it: two never write, and nobody waits longer than need be.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    common::ControlPlane,
    replica::{Replica, eventually, kubectl, report, until},
    stage::{Namespace, beside_others, install},
};

fn leads(replica: &Replica) -> bool {
    replica.metric("leader_election_master_status", "") > 0
}

fn candidate(ns: &Namespace, identity: &str) -> Replica {
    let replica = Replica::start(
        &ns.0,
        &[
            &format!("--namespace={}", ns.0),
            &format!("--identity={identity}"),
            "--workers=2",
        ],
    );
    replica.until_ready();
    replica
}

/// How often both led at once, of many looks at the one and then, at once, at the other.
fn both_lead(one: &Replica, two: &Replica, time: Duration) -> (u32, u32) {
    let (mut both, mut looks) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < time {
        looks += 1;
        // Asked again: one may have taken it from the other between two looks.
        both += u32::from(leads(one) && leads(two) && leads(one));
        std::thread::sleep(Duration::from_millis(20));
    }
    (both, looks)
}

#[test]
fn a_lease_that_is_deleted_leaves_one_leader() {
    let _others = beside_others();
    let ns = Namespace::meadow("deleted-lease");
    install(&ns.0);
    let anna = candidate(&ns, "anna");
    anna.until_logged("leading");
    let bert = candidate(&ns, "bert");
    let mut seen = Vec::new();
    for _ in 0..5 {
        kubectl(&["delete", "lease/elb-doctor", "-n", &ns.0]);
        seen.push(both_lead(&anna, &bert, Duration::from_secs(4)));
    }
    assert!(
        seen.iter().all(|(both, _)| *both == 0),
        "both led in so many of so many looks: {seen:?}"
    );
    eventually("a leader", || {
        if leads(&anna) || leads(&bert) {
            Ok(())
        } else {
            Err("none".into())
        }
    });
}

#[test]
fn a_lease_of_a_vanished_holder_is_taken_after_ones_own_time() {
    let _others = beside_others();
    let ns = Namespace::meadow("vanished-holder");
    install(&ns.0);
    // As long ago as it may be: the holder's own clock is of no account.
    let lease = format!(
        "{{ apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{ name: elb-doctor, namespace: {} }}, \
         spec: {{ holderIdentity: ghost, leaseDurationSeconds: 3600, leaseTransitions: 7, \
         acquireTime: '2026-01-01T00:00:00.000000Z', renewTime: '2036-01-01T00:00:00.000000Z' }} }}",
        ns.0
    );
    let made = ControlPlane::get().kubectl_with_input(&["create", "-f", "-"], &lease);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let began = Instant::now();
    let anna = candidate(&ns, "anna");
    until(&ns.0, "bes/ewe-1", "Diagnosed", "False/BackendNotUnhealthy");
    assert!(leads(&anna));
    assert!(
        began.elapsed() > Duration::from_secs(12),
        "the holder might be alive: {:?}",
        began.elapsed()
    );
}

#[test]
fn two_of_one_name_are_two() {
    let _others = beside_others();
    let ns = Namespace::meadow("same-name");
    install(&ns.0);
    let one = candidate(&ns, "same");
    one.until_logged("leading");
    let two = candidate(&ns, "same");
    let led = AtomicBool::new(false);
    let seen = both_lead(&one, &two, Duration::from_secs(8));
    led.store(leads(&one) || leads(&two), Ordering::SeqCst);
    assert_eq!(seen.0, 0, "both led in so many of so many looks: {seen:?}");
    // And one of them works.
    report(&ns.0, "ewe-1", "Unhealthy", None);
    until(&ns.0, "bes/ewe-1", "Diagnosed", "True/NoFaultFound");
}
