//! A lease that nobody renews holds nobody up for longer than need be. What else happens to leases is in `replicas.rs`.

use std::time::{Duration, Instant};

use crate::{
    common::ControlPlane,
    replica::{Replica, until},
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
