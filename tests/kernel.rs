//! The Linux kernel as an oracle: rule sets are rendered to nftables straight from the manifests (semantics §3, §4), loaded
//! into network namespaces that this test makes itself, and real TCP, UDP and ICMP packets are sent through them. What
//! becomes of each packet must be what the product says: witnesses are dropped, by the very rule that is named; packets
//! next to them fare as predicted; after each fix the witness passes, and what is not health check traffic fares as before.
//!
//! Four namespaces stand in a row: the load balancer's, the border of its subnets (their network ACLs), the border of the
//! server's subnet (its network ACL), the server's (security groups). They live only as long as a process of this test and leave nothing behind, however it ends.
//!
//! Needs `nft`, `ip`, `unshare` and `nsenter`, and a kernel that lets this user make namespaces; anything else fails.
//! `ELB_DOCTOR_WITHOUT_KERNEL=1` leaves this test out; `ELB_DOCTOR_KERNEL_WORLDS` says how many random worlds (40) and
//! `ELB_DOCTOR_SEED` where to begin (0).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "kernel/helper.rs"]
mod helper;
#[path = "kernel/namespaces.rs"]
mod namespaces;
mod oracle;
#[path = "kernel/packet.rs"]
mod packet;
#[path = "kernel/predict.rs"]
mod predict;
#[path = "kernel/render.rs"]
mod render;
#[path = "kernel/trial.rs"]
mod trial;
#[path = "kernel/worlds.rs"]
mod worlds;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use namespaces::Row;
use trial::Report;

/// What the run must have shown at least, by the names that `trial` counts under.
const AT_LEAST: &[(&str, usize)] = &[
    ("packets", 300),
    ("rule sets", 60),
    ("dropped inbound", 50),
    ("reply dropped", 20),
    ("completed", 100),
    ("IPv4 dropped", 50),
    ("IPv4 passed", 50),
    ("IPv6 dropped", 50),
    ("IPv6 passed", 50),
    ("tcp dropped", 50),
    ("tcp passed", 50),
    ("udp dropped", 20),
    ("udp passed", 20),
    ("icmp dropped", 5),
    ("icmp passed", 5),
    ("stateful dropped", 20),
    ("stateful passed", 50),
    ("stateless dropped", 20),
    ("stateless passed", 50),
    ("before a fix", 100),
    ("after a fix", 100),
    ("witnesses dropped", 60),
    ("witnesses dropped by the named rule", 20),
    ("witnesses dropped as no rule matches", 20),
    ("witnesses healed", 40),
    ("fixes", 40),
    ("beside the health check, dropped before and after a fix", 40),
    ("probes dropped by LoadBalancerACL", 40),
    ("replies dropped by LoadBalancerACL", 20),
    ("replies dropped by SecurityGroup", 20),
    ("witnesses dropped: load_balancer_acl_egress", 20),
    ("witnesses dropped: load_balancer_acl_ingress", 10),
    ("witnesses dropped: security_group_reply_egress", 10),
    ("new outbound connections", 40),
    ("replies that leave in spite of an outbound finding", 10),
];

/// Not a test by itself: this is where the test's own helper processes come to life inside their namespaces.
#[test]
fn helper_in_a_namespace() {
    if std::env::var_os(helper::VARIABLE).is_some() {
        helper::run();
    }
}

#[test]
fn the_kernel_treats_packets_as_predicted() {
    if std::env::var("ELB_DOCTOR_WITHOUT_KERNEL").is_ok_and(|value| value == "1") {
        println!("left out: ELB_DOCTOR_WITHOUT_KERNEL=1");
        return;
    }
    let began = Instant::now();
    let number =
        |variable: &str, default: u64| std::env::var(variable).map_or(default, |text| text.parse().expect("a number"));
    let (count, first) = (number("ELB_DOCTOR_KERNEL_WORLDS", 40), number("ELB_DOCTOR_SEED", 0));
    let mut cases = worlds::by_hand();
    cases.extend(worlds::random(first, count));

    // Most of the time goes into waiting for processes, so several rows of namespaces work side by side.
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Report::default());
    let rows: Vec<Row> = (0..4).map(|_| Row::new()).collect();
    std::thread::scope(|scope| {
        for mut row in rows {
            let (next, all, cases) = (&next, &all, &cases);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = trial::run(&mut row, case);
                    all.lock().unwrap().add(report);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    println!(
        "{} worlds in {:.1} s: {:#?}",
        cases.len(),
        began.elapsed().as_secs_f64(),
        all.seen
    );
    for told in &all.disagreements {
        println!("DISAGREEMENT {told}");
    }
    assert!(
        all.disagreements.is_empty(),
        "{} disagreements",
        all.disagreements.len()
    );
    let short: BTreeMap<_, _> = AT_LEAST
        .iter()
        .map(|&(what, wanted)| (what, (all.seen.get(what).copied().unwrap_or(0), wanted)))
        .filter(|(_, (seen, wanted))| seen < wanted)
        .collect();
    assert!(short.is_empty(), "too seldom (seen, wanted): {short:#?}");
}
