//! The work of a diagnosis on lists of rules that are hard to judge, counted and not timed.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::similar_names,
    clippy::cast_sign_loss,
    clippy::too_many_lines,
    clippy::items_after_statements,
    dead_code,
    reason = "a test may panic, and the file that it includes is for benchmarks, too"
)]

use super::{
    Case, Direction, Family, LoadBalancerEnd, NetworkAclState, RuleSet, Rules,
    diagnose::diagnose_within,
    work::{LIMIT, Work},
};

pub(super) mod families {
    use crate::engine;

    include!("../../benches/support/families.rs");
}

use families::{ALL_HARD, Hard, hard_case, security_groups_of_ports, security_groups_of_rectangles};

fn work(case: &Case) -> u64 {
    let mut work = Work::new(LIMIT);
    let verdict = diagnose_within(case, &mut work);
    assert!(verdict.is_ok(), "{verdict:?}");
    LIMIT - work.left()
}

/// The stated bound: no list of n rules that is known takes more than this.
fn quadratic(rules: u64) -> u64 {
    100 * rules * rules
}

#[test]
fn every_hard_list_takes_work_in_the_square_of_its_length_at_most() {
    for kind in ALL_HARD {
        for rules in [250, 500, 1_000] {
            let work = work(&hard_case(kind, rules));
            assert!(work <= quadratic(rules as u64), "{kind:?} of {rules}: {work}");
        }
    }
}

#[test]
fn block_lists_and_port_lists_take_work_in_their_length() {
    for kind in [Hard::BlockList, Hard::BlockAndPortList, Hard::PortList] {
        for rules in [500, 1_000, 2_000, 5_000] {
            let work = work(&hard_case(kind, rules));
            assert!(work <= 50 * rules as u64, "{kind:?} of {rules}: {work}");
        }
    }
    for rules in [300, 1_000] {
        let work = work(&security_groups_of_ports(rules));
        assert!(work <= 50 * 16 * rules as u64, "16 groups of {rules}: {work}");
    }
}

#[test]
fn sixteen_security_groups_of_overlapping_rectangles_stay_within_the_bound() {
    let work = work(&security_groups_of_rectangles(300));
    assert!(work <= (16 * 300) * (16 * 300), "{work}");
}

#[test]
fn work_that_is_not_enough_ends_in_a_word_of_where_and_not_in_an_answer() {
    let case = hard_case(Hard::Strips, 1_000);
    let refused = diagnose_within(&case, &mut Work::new(1_000_000)).map(drop);
    let (layer, direction) = (super::Layer::NetworkAcl, super::Direction::Ingress);
    let end = None;
    assert_eq!(refused, Err(super::TooIntricate { layer, direction, end }));
}

/// The hard list as the outbound list of a network ACL at the load balancer's end.
fn at_the_load_balancers_end(kind: Hard, rules: usize) -> Case {
    let mut case = hard_case(kind, rules);
    if let NetworkAclState::InForce { rules, .. } = std::mem::replace(&mut case.network_acl, NetworkAclState::Absent) {
        let mut set = RuleSet::new("edge");
        for rule in rules.set.swapped(Direction::Ingress, Family::V4) {
            set.push(Direction::Egress, Family::V4, rule.clone());
        }
        case.load_balancer_ends = vec![LoadBalancerEnd {
            subnet: "lb".into(),
            prefixes: case.traffic.sources.spans().to_vec(),
            rules: Rules {
                set: set.into(),
                ..rules
            },
            stateful: true,
        }];
    }
    case
}

#[test]
fn hard_lists_at_the_load_balancers_end_take_no_more() {
    for kind in ALL_HARD {
        let work = work(&at_the_load_balancers_end(kind, 500));
        assert!(work <= quadratic(500), "{kind:?}: {work}");
    }
    let case = at_the_load_balancers_end(Hard::Strips, 1_000);
    let refused = diagnose_within(&case, &mut Work::new(100_000)).map(drop);
    let (layer, direction, end) = (super::Layer::LoadBalancerAcl, Direction::Egress, Some(0));
    assert_eq!(refused, Err(super::TooIntricate { layer, direction, end }));
}
