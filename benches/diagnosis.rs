//! How long one diagnosis takes. `make bench`, or `cargo bench --bench diagnosis`.
//!
//! `linear_pass` is the floor: one pass over the same rules that only compares each with one packet. Ratios to it within
//! one run say more than times, since machines are noisy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use divan::{Bencher, black_box};
use elb_doctor::{diagnosis, engine};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use support::{Traffic, world};

fn main() {
    divan::main();
}

const RULES: [usize; 3] = [10, 100, 1000];

/// Lists of rules that are made to be hard to judge: see `families`.
mod families {
    #![allow(
        clippy::cast_possible_truncation,
        clippy::similar_names,
        clippy::cast_sign_loss,
        clippy::too_many_lines,
        clippy::items_after_statements,
        dead_code,
        reason = "a benchmark"
    )]
    use elb_doctor::engine;

    include!("support/families.rs");
}

/// One direction of a network ACL, 1,000 and 5,000 rules of each hard kind.
#[divan::bench(args = families::ALL_HARD, consts = [1_000, 5_000], sample_count = 5, sample_size = 1)]
fn hard<const RULES: usize>(bencher: Bencher<'_, '_>, kind: families::Hard) {
    let case = families::hard_case(kind, RULES);
    bencher.bench_local(|| engine::diagnose(black_box(&case)));
}

/// 16 security groups of 300 rules that deny one port each.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn hard_security_groups_of_ports(bencher: Bencher<'_, '_>) {
    let case = families::security_groups_of_ports(300);
    bencher.bench_local(|| engine::diagnose(black_box(&case)));
}

/// 16 security groups of 300 random rectangles of address and port.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn hard_security_groups_of_rectangles(bencher: Bencher<'_, '_>) {
    let case = families::security_groups_of_rectangles(300);
    bencher.bench_local(|| engine::diagnose(black_box(&case)));
}

fn case(rules: usize, traffic: Traffic) -> engine::Case {
    let (world, key) = world(rules, traffic);
    world.collect(&key).unwrap().case.unwrap()
}

/// Two layers, two directions, no fault: what nearly every diagnosis of a healthy rule set costs.
#[divan::bench(args = RULES)]
fn no_fault(bencher: Bencher<'_, '_>, rules: usize) {
    let case = case(rules, Traffic::Passes);
    assert!(engine::diagnose(&case).unwrap().outcomes.findings().next().is_none());
    bencher.bench_local(|| engine::diagnose(black_box(&case)));
}

/// Everything dropped in both directions of both layers: all evidence and four verified fixes.
#[divan::bench(args = RULES)]
fn faults_with_evidence_and_fixes(bencher: Bencher<'_, '_>, rules: usize) {
    let case = case(rules, Traffic::Dropped);
    let verdict = engine::diagnose(&case).unwrap();
    assert!(verdict.outcomes.findings().next().is_some() && verdict.fixes.iter().all(|fix| fix.verified));
    bencher.bench_local(|| engine::diagnose(black_box(&case)));
}

/// The whole status: collect, diagnose, put into words.
#[divan::bench(args = RULES)]
fn status_with_faults(bencher: Bencher<'_, '_>, rules: usize) {
    let (world, key) = world(rules, Traffic::Dropped);
    let now = Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    bencher.bench_local(|| diagnosis::backend_server_status(black_box(&world), &key, &now));
}

/// The floor: each rule of both layers and directions compared with one packet.
#[divan::bench(args = RULES)]
fn linear_pass(bencher: Bencher<'_, '_>, rules: usize) {
    let case = case(rules, Traffic::Passes);
    let engine::SecurityGroupState::Groups { groups, .. } = &case.security_groups else {
        unreachable!()
    };
    let engine::NetworkAclState::InForce { rules: acl, .. } = &case.network_acl else {
        unreachable!()
    };
    let sets = [acl, &groups[0]];
    bencher.bench_local(|| {
        let mut matching = 0;
        for set in sets {
            for direction in [engine::Direction::Ingress, engine::Direction::Egress] {
                let groups = engine::AddressGroups {
                    family: engine::Family::V4,
                    by_slot: &set.groups,
                };
                for rule in set.set.rules(direction, engine::Family::V4) {
                    matching += u32::from(black_box(rule).matches(
                        groups,
                        6,
                        (0xc0a8_0001, 1),
                        (case.traffic.local, case.traffic.port),
                    ));
                }
            }
        }
        matching
    });
}
