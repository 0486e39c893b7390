//! Algebraic laws of the engine, on random rule lists over few values, so that rules meet often.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use proptest::prelude::*;

use super::{
    Action, AddressGroups, AddressMatch, AddressSet, Case, CheckId, Dimension, Direction, Family, HealthCheckPorts,
    Layer, Leg, NetworkAclState, PortMatch, ProtocolMatch, Region, Rule, RuleSet, Rules, SecurityGroupState, Span,
    SpanSet, Traffic,
    bounds::families::{ALL_HARD, hard_case},
    diagnose,
    filter::{Filter, Segment},
    layer::Side,
    reach::Pinned,
    walk::blocked_sets,
    work::Work,
};

pub(super) const LOCAL: u128 = 100;
pub(super) const PORT: u16 = 80;

fn addresses() -> impl Strategy<Value = AddressMatch> {
    prop_oneof![
        3 => Just(AddressMatch::Any),
        6 => (0u128..16, 0u128..16).prop_map(|(a, b)| {
            AddressMatch::Set(Span { first: 90 + a.min(b), last: 90 + a.max(b) }.into())
        }),
        2 => prop::collection::vec(90u128..106, 0..6).prop_map(|all| {
            AddressMatch::Set(all.into_iter().map(Span::one).collect())
        }),
        1 => (0u32..3).prop_map(AddressMatch::Group),
    ]
}

fn remotes() -> impl Strategy<Value = AddressMatch> {
    prop_oneof![8 => addresses(), 1 => Just(AddressMatch::Members("a".into())), 1 => Just(AddressMatch::Members("b".into()))]
}

fn ports() -> impl Strategy<Value = PortMatch> {
    let pool = [0u16, 1, 2, 79, 80, 81, 1023, 1024, 65_534, 65_535];
    prop_oneof![
        2 => Just(PortMatch::ALL),
        2 => (0..pool.len(), 0..pool.len()).prop_map(move |(a, b)| {
            PortMatch::only(Span { first: pool[a.min(b)], last: pool[a.max(b)] }.into())
        }),
        1 => prop::collection::vec(0..pool.len(), 1..5).prop_map(move |all| {
            PortMatch::only(all.into_iter().map(|at| Span::one(pool[at])).collect())
        }),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = prop_oneof![Just(Action::Allow), Just(Action::Deny)];
    let protocol = prop_oneof![
        2 => Just(ProtocolMatch::All), 4 => Just(ProtocolMatch::One(6)), 2 => Just(ProtocolMatch::One(17)),
        1 => Just(ProtocolMatch::TcpUdp), 1 => Just(ProtocolMatch::One(1)),
    ];
    (action, protocol, remotes(), ports(), addresses(), ports(), 1u8..5).prop_map(
        |(action, protocol, remote, remote_ports, local, local_ports, priority)| {
            let portless = matches!(protocol, ProtocolMatch::All | ProtocolMatch::One(1));
            Rule {
                action,
                protocol,
                remote,
                remote_ports: if portless { PortMatch::ALL } else { remote_ports },
                local,
                local_ports: if portless { PortMatch::ALL } else { local_ports },
                index: 0,
                priority,
                name: "".into(),
            }
        },
    )
}

pub(super) fn rule_list() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(rule(), 0..9).prop_map(|mut rules| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.index = u32::try_from(index).unwrap();
            rule.name = format!("r{index}").into();
        }
        rules
    })
}

pub(super) fn traffic() -> impl Strategy<Value = Traffic> {
    let legs = prop_oneof![Just(vec![Leg::Tcp]), Just(vec![Leg::Udp, Leg::Icmp])];
    (legs, prop::collection::vec((90u128..106, 0u128..4), 1..4)).prop_map(|(legs, spans)| Traffic {
        family: Family::V4,
        legs,
        sources: spans
            .into_iter()
            .map(|(first, more)| Span {
                first,
                last: first + more,
            })
            .collect(),
        local: LOCAL,
        port: PORT,
    })
}

type Tuple = (u8, u128, u16, u128, u16);

/// The simple ways first, as ever, or the search at once.
fn ways() -> impl Strategy<Value = Work> {
    (prop_oneof![Just(16), Just(0)], any::<bool>()).prop_map(|(patience, cuts)| {
        let mut work = Work::new(u64::MAX);
        work.patience = patience;
        work.few_points = if cuts { 0 } else { work.few_points };
        work
    })
}

fn pins() -> impl Strategy<Value = Pinned> {
    any::<[bool; 5]>().prop_map(|[protocol, remote, remote_port, local, local_port]| Pinned {
        protocol,
        remote,
        remote_port,
        local,
        local_port,
    })
}

/// Whether some packet that agrees with each of the required ones on the pinned dimensions is allowed, by trying all.
struct Examples {
    pinned: Pinned,
    like: HashSet<(u128, u16)>,
}

impl Examples {
    fn new(segment: &Segment<'_>, protocol: u8, pinned: Pinned, packets: &[Tuple]) -> Self {
        let rules = segment.rules;
        let mut out = Self {
            pinned,
            like: HashSet::new(),
        };
        let by_group: Vec<Vec<Rule>> = segment
            .members
            .iter()
            .filter(|_| !pinned.remote)
            .map(|group| {
                let own = rules.iter().filter(|rule| rule.remote.contains_members_of(group));
                own.map(|rule| Rule {
                    remote: AddressMatch::Any,
                    ..rule.clone()
                })
                .collect()
            })
            .collect();
        for p in packets {
            if (pinned.protocol && p.0 != protocol)
                || (pinned.local && p.3 != LOCAL)
                || (pinned.local_port && p.4 != PORT)
            {
                continue;
            }
            if allowed(rules, p) || by_group.iter().any(|rules| allowed(rules, p)) {
                out.like.insert(out.key(p));
            }
        }
        out
    }

    fn key(&self, p: &Tuple) -> (u128, u16) {
        (
            if self.pinned.remote { p.1 } else { 0 },
            if self.pinned.remote_port { p.2 } else { 0 },
        )
    }
}

/// One packet of every kind that the rules could tell apart.
fn packets(rules: &[Rule]) -> Vec<(u8, u128, u16, u128, u16)> {
    let ports = |of: fn(&Rule) -> &PortMatch| {
        let mut out = vec![1, PORT, u16::MAX];
        out.extend(rules.iter().flat_map(|rule| {
            of(rule)
                .spans()
                .iter()
                .flat_map(|s| [s.first, s.last.saturating_add(1)])
        }));
        out.sort_unstable();
        out.dedup();
        out
    };
    let mut out = Vec::new();
    let mut locals: Vec<u128> = rules
        .iter()
        .flat_map(|rule| rule.local.spans(groups()))
        .flat_map(|span| [span.first, span.last + 1])
        .chain([0, LOCAL])
        .collect();
    locals.sort_unstable();
    locals.dedup();
    for protocol in [1, 6, 17, 50] {
        for remote in 88..112 {
            for remote_port in ports(|rule| &rule.remote_ports) {
                for local in locals.iter().copied() {
                    for local_port in ports(|rule| &rule.local_ports) {
                        out.push((protocol, remote, remote_port, local, local_port));
                    }
                }
            }
        }
    }
    out
}

/// Slot 0 has addresses, slot 1 has none, slot 2 is not there.
pub(super) fn groups() -> AddressGroups<'static> {
    static GROUPS: LazyLock<[Arc<AddressSet>; 2]> = LazyLock::new(|| {
        let v4 = [90, 93, 94, 100, 105].into_iter().map(Span::one).collect();
        [
            Arc::new(AddressSet {
                v4,
                v6: SpanSet::default(),
            }),
            Arc::default(),
        ]
    });
    AddressGroups {
        family: Family::V4,
        by_slot: &*GROUPS,
    }
}

fn segment(rules: &[Rule]) -> Segment<'_> {
    segment_beside(rules, false)
}

/// Rules whose security group has rules of the other family that name the group "c", or not.
fn segment_beside(rules: &[Rule], others: bool) -> Segment<'_> {
    static MEMBERS: LazyLock<[Vec<Arc<str>>; 8]> = LazyLock::new(|| {
        std::array::from_fn(|bits| {
            let names = ["a", "b", "c"].into_iter().enumerate();
            names
                .filter(|(at, _)| bits >> at & 1 == 1)
                .map(|(_, name)| name.into())
                .collect()
        })
    });
    let names = |group: &str| {
        rules
            .iter()
            .any(|rule| rule.remote == AddressMatch::Members(group.into()))
    };
    let bits = usize::from(names("a")) | usize::from(names("b")) << 1 | usize::from(others) << 2;
    Segment {
        rules,
        groups: groups(),
        members: &MEMBERS[bits],
    }
}

fn allowed(rules: &[Rule], p: &(u8, u128, u16, u128, u16)) -> bool {
    let first = rules
        .iter()
        .find(|rule| rule.matches(groups(), p.0, (p.1, p.2), (p.3, p.4)));
    first.is_some_and(|rule| rule.action == Action::Allow)
}

fn same(left: &Region, right: &Region) -> bool {
    let work = &mut Work::new(u64::MAX);
    left.difference(right, work).unwrap().is_empty() && right.difference(left, work).unwrap().is_empty()
}

fn case(traffic: Traffic, layer: Layer, direction: Direction, rules: &[Rule]) -> Case {
    let mut set = RuleSet::new("x");
    for rule in rules {
        set.push(direction, Family::V4, rule.clone());
        set.written[usize::from(direction == Direction::Egress)] += 1;
    }
    let (mut groups, mut acl) = (SecurityGroupState::NotApplied, NetworkAclState::Absent);
    match layer {
        Layer::SecurityGroup | Layer::SecurityGroupReply => {
            set.sort_by_priority();
            groups = SecurityGroupState::Groups {
                groups: vec![Rules::without_groups(set)],
                stateful: true,
            };
        }
        Layer::NetworkAcl | Layer::LoadBalancerAcl => {
            acl = NetworkAclState::InForce {
                rules: Rules::without_groups(set),
                stateful: false,
            }
        }
    }
    Case {
        traffic,
        health_check_ports: HealthCheckPorts::default(),
        backend_port: PORT,
        security_groups: groups,
        network_acl: acl,
        load_balancer_ends: vec![],
        subnet: vec![],
    }
}

fn layers() -> impl Strategy<Value = (Layer, Direction)> {
    let layer = prop_oneof![Just(Layer::SecurityGroup), Just(Layer::NetworkAcl)];
    (layer, prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)])
}

/// A security group's rules say nothing about its own address or the other end's port.
pub(super) fn fitting(layer: Layer, rules: Vec<Rule>) -> Vec<Rule> {
    rules
        .into_iter()
        .map(|rule| match layer {
            Layer::NetworkAcl | Layer::LoadBalancerAcl => Rule {
                remote: match rule.remote {
                    AddressMatch::Members(_) => AddressMatch::Any,
                    other => other,
                },
                priority: 0,
                ..rule
            },
            Layer::SecurityGroup | Layer::SecurityGroupReply => Rule {
                local: AddressMatch::Any,
                remote_ports: PortMatch::ALL,
                ..rule
            },
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn dropped_is_what_the_first_matching_rule_does_not_allow(
        traffic in traffic(), rules in rule_list(), mut work in ways(),
    ) {
        let filter = Filter { family: Family::V4, segments: &[segment(&rules)] };
        for leg in &traffic.legs {
            let dropped = filter.dropped(&traffic, *leg, traffic.required(), &mut work).unwrap();
            for p in packets(&rules).iter().filter(|p| p.0 == leg.protocol(Family::V4) && p.3 == LOCAL && p.4 == PORT) {
                let required = traffic.sources.contains(p.1) && p.2 > 0;
                let held = |region: &Region| region.meets(&[Span::one(p.1)], &[Span::one(p.2)]);
                prop_assert_eq!(held(&dropped.region), required && !allowed(&rules, p));
                prop_assert_eq!(held(&dropped.passing), required && allowed(&rules, p));
            }
        }
    }

    #[test]
    fn blocked_sets_together_are_all_dropped_packets(
        traffic in traffic(), rules in rule_list(), (layer, direction) in layers(), mut work in ways(),
    ) {
        let rules = fitting(layer, rules);
        let filter = Filter { family: Family::V4, segments: &[segment(&rules)] };
        for leg in &traffic.legs {
            let dropped = filter.dropped(&traffic, *leg, traffic.required(), &mut work).unwrap();
            let sets = blocked_sets(&filter, &traffic, *leg, CheckId::of(layer, direction), &dropped, &mut work).unwrap();
            let union = sets.iter().fold(Region::default(), |all, (.., set)| all.union(set, &mut work).unwrap());
            prop_assert!(same(&union, &dropped.region));
        }
    }

    #[test]
    fn pinning_more_reaches_less(traffic in traffic(), rules in rule_list(), mut work in ways()) {
        let filter = Filter { family: Family::V4, segments: &[segment(&rules)] };
        let leg = traffic.legs[0];
        let loose = Pinned { remote: true, ..Pinned::default() };
        let tight = Pinned { remote: true, remote_port: true, protocol: true, ..Pinned::default() };
        let all = traffic.required();
        let more = filter.reachable(&traffic, leg, loose, &all, &mut None, &mut work).unwrap().yes;
        let less = filter.reachable(&traffic, leg, tight, &all, &mut None, &mut work).unwrap().yes;
        prop_assert!(less.difference(&more, &mut work).unwrap().is_empty());
    }

    #[test]
    fn adding_an_allow_moves_the_first_failed_item_no_further_ahead(
        traffic in traffic(), rules in rule_list(), extra in rule(), at in 0usize..9, (layer, direction) in layers(),
    ) {
        let rules = fitting(layer, rules);
        let mut more = rules.clone();
        let extra = fitting(layer, vec![Rule { action: Action::Allow, index: 99, ..extra }]).remove(0);
        more.insert(at.min(rules.len()), extra);
        let first = |rules: &[Rule]| {
            let verdict = diagnose(&case(traffic.clone(), layer, direction, rules)).unwrap();
            verdict.outcomes.findings().map(|(check, _)| check).find(|check| {
                CheckId::of(layer, direction).iter().any(|(own, _)| own == check)
            })
        };
        if let Some(after) = first(&more) {
            let before = first(&rules);
            prop_assert!(before.is_some_and(|before| before <= after), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_fix_is_always_found_for_one_object_and_is_verified(
        traffic in traffic(), rules in rule_list(), (layer, direction) in layers(),
    ) {
        let case = case(traffic, layer, direction, &fitting(layer, rules));
        let verdict = diagnose(&case).unwrap();
        for side in Side::all(&case) {
            let fails = verdict.outcomes.of_side(side.layer, side.direction).next().is_some();
            let fix = verdict.fixes.iter().find(|fix| (fix.layer, fix.direction) == (side.layer, side.direction));
            prop_assert_eq!(fails, fix.is_some_and(|fix| fix.verified));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn reachable_is_what_some_packet_like_it_shows(
        traffic in traffic(), rules in rule_list(), pinned in pins(), mut work in ways(), others: bool,
    ) {
        let segment = segment_beside(&rules, others);
        let filter = Filter { family: Family::V4, segments: &[segment] };
        let leg = traffic.legs[0];
        let packets = packets(&rules);
        let examples = Examples::new(&segment, leg.protocol(Family::V4), pinned, &packets);
        let reached = filter.reachable(&traffic, leg, pinned, &traffic.required(), &mut None, &mut work).unwrap();
        let required = packets.iter().filter(|p| (p.0, p.3, p.4) == (6, LOCAL, PORT));
        for p in required.filter(|p| traffic.sources.contains(p.1) && p.2 > 0) {
            let holds = |region: &Region| region.meets(&[Span::one(p.1)], &[Span::one(p.2)]);
            prop_assert_eq!(holds(&reached.yes), examples.like.contains(&examples.key(p)), "{:?}", p);
            prop_assert_ne!(holds(&reached.yes), holds(&reached.no));
        }
    }

    /// Semantics §6 to the letter: each packet walked by itself, each question answered by trying every packet.
    #[test]
    fn items_fail_for_the_packets_whose_own_walk_fails_them(
        traffic in traffic(), rules in rule_list(), (layer, direction) in layers(), mut work in ways(), others: bool,
    ) {
        let rules = fitting(layer, rules);
        let segment = segment_beside(&rules, others);
        let filter = Filter { family: Family::V4, segments: &[segment] };
        let leg = traffic.legs[0];
        let (packets, items) = (packets(&rules), CheckId::of(layer, direction));
        let dropped = filter.dropped(&traffic, leg, traffic.required(), &mut work).unwrap();
        let sets = blocked_sets(&filter, &traffic, leg, items, &dropped, &mut work).unwrap();
        let mut known: Vec<Examples> = Vec::new();
        let own = |p: &&Tuple| (p.0, p.3, p.4) == (leg.protocol(Family::V4), LOCAL, PORT);
        for p in packets.iter().filter(own).filter(|p| traffic.sources.contains(p.1) && p.2 > 0) {
            let mut held = Pinned::default();
            for (check, dimension) in items {
                let mut pinned = held;
                pinned.pin(*dimension);
                let at = known.iter().position(|examples| examples.pinned == pinned).unwrap_or_else(|| {
                    known.push(Examples::new(&segment, p.0, pinned, &packets));
                    known.len() - 1
                });
                let satisfied = known[at].like.contains(&known[at].key(p));
                held = if satisfied { pinned } else { held };
                let blocked = sets.iter().find(|(own, ..)| own == check).is_some_and(|(.., blocked)| {
                    blocked.meets(&[Span::one(p.1)], &[Span::one(p.2)])
                });
                prop_assert_eq!(blocked, !satisfied, "{:?} {:?}", check, p);
            }
        }
    }

    #[test]
    fn denials_are_the_denies_that_decide_over_required_packets(
        traffic in traffic(), rules in rule_list(), mut work in ways(),
    ) {
        let filter = Filter { family: Family::V4, segments: &[segment(&rules)] };
        let leg = traffic.legs[0];
        let own = |p: &Tuple| p.0 == leg.protocol(Family::V4) && (p.3, p.4) == (LOCAL, PORT);
        let packets = packets(&rules);
        let required = packets.iter().filter(|p| own(p) && traffic.sources.contains(p.1) && p.2 > 0);
        let deciding = required.filter_map(|p| rules.iter().find(|rule| rule.matches(groups(), p.0, (p.1, p.2), (p.3, p.4))));
        let mut expected: Vec<u32> = deciding.filter(|rule| rule.action == Action::Deny).map(|rule| rule.index).collect();
        expected.sort_unstable();
        expected.dedup();
        let dropped = filter.dropped(&traffic, leg, traffic.required(), &mut work).unwrap();
        prop_assert_eq!(dropped.denials.iter().map(|denial| denial.rule.index).collect::<Vec<_>>(), expected);
    }
}

/// A hostile list: thin denies across every dimension, then denies that cover everything between them, then an allow for
/// all. Cutting by the thin ones first would leave crumbs by the billion.
#[test]
fn thin_denies_before_wide_ones_do_not_explode() {
    let thin = |number: u32| {
        let at = u16::try_from(number * 13 + 1).unwrap();
        let address = AddressMatch::Set(Span::one(u128::from(number) * 7 + 1000).into());
        let ports = PortMatch::only(Span::one(at).into());
        let base = Rule {
            action: Action::Deny,
            protocol: ProtocolMatch::All,
            remote: AddressMatch::Any,
            remote_ports: PortMatch::ALL,
            local: AddressMatch::Any,
            local_ports: PortMatch::ALL,
            index: number,
            priority: 0,
            name: format!("r{number}").into(),
        };
        match number % 4 {
            0 => Rule {
                remote: address,
                ..base
            },
            1 => Rule { local: address, ..base },
            2 => Rule {
                remote_ports: ports,
                protocol: ProtocolMatch::TcpUdp,
                ..base
            },
            _ => Rule {
                local_ports: ports,
                protocol: ProtocolMatch::TcpUdp,
                ..base
            },
        }
    };
    let mut rules: Vec<Rule> = (0..996).map(thin).collect();
    let half = 1u128 << 31;
    for (index, span) in [
        (
            996,
            Span {
                first: 0,
                last: half - 1,
            },
        ),
        (
            997,
            Span {
                first: half,
                last: half * 2 - 1,
            },
        ),
    ] {
        let wide = AddressMatch::Set(span.into());
        rules.push(Rule {
            remote: wide,
            index,
            name: format!("r{index}").into(),
            ..thin(0)
        });
    }
    rules.push(Rule {
        action: Action::Allow,
        remote: AddressMatch::Any,
        index: 998,
        name: "r998".into(),
        ..thin(0)
    });
    let traffic = Traffic {
        family: Family::V4,
        legs: vec![Leg::Tcp],
        sources: Span { first: 0, last: 255 }.into(),
        local: LOCAL,
        port: PORT,
    };
    for direction in [Direction::Ingress, Direction::Egress] {
        let verdict = diagnose(&case(traffic.clone(), Layer::NetworkAcl, direction, &rules)).unwrap();
        let failed = verdict.outcomes.of_side(Layer::NetworkAcl, direction).count();
        assert_eq!(failed, 5, "everything is denied");
    }
}

fn denies_everything(rules: &[Rule], sources: SpanSet<u128>) -> usize {
    let traffic = Traffic {
        family: Family::V4,
        legs: vec![Leg::Tcp],
        sources,
        local: LOCAL,
        port: PORT,
    };
    let verdict = diagnose(&case(traffic, Layer::NetworkAcl, Direction::Ingress, rules)).unwrap();
    verdict.outcomes.of_side(Layer::NetworkAcl, Direction::Ingress).count()
}

fn deny(index: u32) -> Rule {
    Rule {
        action: Action::Deny,
        protocol: ProtocolMatch::All,
        remote: AddressMatch::Any,
        remote_ports: PortMatch::ALL,
        local: AddressMatch::Any,
        local_ports: PortMatch::ALL,
        index,
        priority: 0,
        name: format!("r{index}").into(),
    }
}

/// Every second number of a range, as a rule with many prefixes or port ranges has them.
fn comb<T: super::Bound + TryFrom<u32>>(first: u32, count: u32) -> SpanSet<T> {
    let number = |n| T::try_from(n).unwrap_or_else(|_| panic!("{n} fits"));
    (0..count).map(|n| Span::one(number(first + 2 * n))).collect()
}

/// A few rules with many prefixes and ports each: cutting by every single one of them would make millions of pieces.
#[test]
fn rules_with_many_prefixes_and_ports_do_not_explode() {
    let tcp = ProtocolMatch::TcpUdp;
    let rules = vec![
        Rule {
            remote_ports: PortMatch::only(comb(1, 60)),
            protocol: tcp,
            ..deny(0)
        },
        Rule {
            local_ports: PortMatch::only(comb(1, 60)),
            protocol: tcp,
            ..deny(1)
        },
        Rule {
            remote: AddressMatch::Set(comb(1, 1000)),
            ..deny(2)
        },
        Rule {
            local: AddressMatch::Set(comb(1, 1000)),
            ..deny(3)
        },
        Rule {
            remote_ports: PortMatch::only(comb(0, 60)),
            local_ports: PortMatch::only(comb(0, 60)),
            protocol: tcp,
            remote: AddressMatch::Set(comb(0, 1000)),
            local: AddressMatch::Set(comb(0, 1000)),
            ..deny(4)
        },
        Rule {
            action: Action::Allow,
            ..deny(5)
        },
    ];
    // Port 80 and address 100 are of the even ones: the last deny drops even sources on even ports, the others the rest of
    // the combs; above the combs everything is allowed.
    assert!(denies_everything(&rules, Span { first: 0, last: 255 }.into()) > 0);
}

#[test]
fn many_sources_and_many_port_lists_do_not_explode() {
    let rules: Vec<Rule> = (0..200)
        .map(|n| Rule {
            remote: AddressMatch::Set(comb(n % 7, 900)),
            remote_ports: PortMatch::only(comb(n * 3 + 1, 60)),
            protocol: ProtocolMatch::TcpUdp,
            ..deny(n)
        })
        .collect();
    assert_eq!(denies_everything(&rules, comb(1, 1000)), 5, "nothing is allowed");
}

/// What the simple way finds the search finds as well, also where it takes large spaces apart.
#[test]
fn both_ways_agree_on_hard_rule_lists() {
    for kind in ALL_HARD {
        let case = hard_case(kind, 24);
        let sides = Side::all(&case);
        let filter = sides[0].filter(&case);
        let dropped = |patience: usize| {
            let mut work = Work::new(u64::MAX);
            work.patience = patience;
            filter
                .dropped(&case.traffic, Leg::Tcp, case.traffic.required(), &mut work)
                .unwrap()
        };
        let (simple, searched) = (dropped(1 << 30), dropped(0));
        assert!(same(&simple.region, &searched.region), "{kind:?}");
        assert_eq!(simple.denials, searched.denials, "{kind:?}");
        for bits in [1u8, 3, 5, 7, 8, 11, 19] {
            let pinned = Pinned {
                protocol: bits & 1 > 0,
                remote: bits & 2 > 0,
                remote_port: bits & 4 > 0,
                local: bits & 8 > 0,
                local_port: bits & 16 > 0,
            };
            let reached = |most: usize| {
                let mut work = Work::new(u64::MAX);
                work.patience = 0;
                work.most_words = most;
                filter
                    .reachable(&case.traffic, Leg::Tcp, pinned, &simple.region, &mut None, &mut work)
                    .unwrap()
                    .yes
            };
            assert!(same(&reached(1 << 20), &reached(128)), "{kind:?} {pinned:?}");
        }
    }
}

/// A group that a rule of the other family names is an abstract address of the direction, too (semantics §3): here it alone shows
/// that a rule without remote allows anything.
#[test]
fn a_group_that_a_rule_of_the_other_family_names_is_an_address_of_the_direction() {
    let half = 1u128 << 31;
    let halves = [
        Span {
            first: 0,
            last: half - 1,
        },
        Span {
            first: half,
            last: half * 2 - 1,
        },
    ];
    for names in [false, true] {
        let mut set = RuleSet::new("web");
        for (index, span) in (0..).zip(halves) {
            let remote = AddressMatch::Set(span.into());
            set.push(Direction::Ingress, Family::V4, Rule { remote, ..deny(index) });
        }
        let allow = Rule {
            action: Action::Allow,
            ..deny(2)
        };
        set.push(Direction::Ingress, Family::V4, allow.clone());
        if names {
            let remote = AddressMatch::Members("web".into());
            set.push(Direction::Ingress, Family::V6, Rule { remote, ..allow });
        }
        let traffic = Traffic {
            family: Family::V4,
            legs: vec![Leg::Tcp],
            sources: Span { first: 10, last: 20 }.into(),
            local: LOCAL,
            port: PORT,
        };
        let mut case = case(traffic, Layer::SecurityGroup, Direction::Ingress, &[]);
        case.security_groups = SecurityGroupState::Groups {
            groups: vec![Rules::without_groups(set)],
            stateful: true,
        };
        let verdict = diagnose(&case).unwrap();
        let failed = verdict.outcomes.of_side(Layer::SecurityGroup, Direction::Ingress);
        let failed: Vec<_> = failed.map(|found| found.dimension).collect();
        if names {
            assert_eq!(failed, [Dimension::Remote]);
        } else {
            assert_eq!(failed.len(), 3, "{failed:?}");
        }
    }
}
