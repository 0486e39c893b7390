//! What is judged beyond the items of the page, against rules as they are written, packet by packet.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::{
    Action, AddressMatch, Case, CheckId, Direction, Family, HealthCheckPorts, Impact, Layer, Leg, LoadBalancerEnd,
    NetworkAclState, Packet, Placement, PortFix, PortMatch, ProtocolMatch, Rule, RuleSet, Rules, SecurityGroupState,
    Share, Span, SpanSet, Traffic, Values, address, covering_prefixes, diagnose,
    laws::{LOCAL, PORT, fitting, groups, rule_list, traffic},
    share::Count,
};

/// Ports that no rule of these laws tells apart: one of each kind, and how many there are.
const PORTS: [(u16, usize); 13] = [
    (0, 1),
    (1, 1),
    (2, 1),
    (3, 76),
    (79, 1),
    (80, 1),
    (81, 1),
    (82, 941),
    (1023, 1),
    (1024, 1),
    (1025, 64_509),
    (65_534, 1),
    (65_535, 1),
];

/// A packet between a prober and a server, whichever way it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    protocol: u8,
    prober: u128,
    prober_port: u16,
    server: u128,
    server_port: u16,
}

/// Whether rules as they are written allow a packet: at the load balancer's end the server is the far end; of a security group only
/// the destination port is looked at, which is the prober's.
fn allows(layer: Layer, rules: &[Rule], p: &Seen) -> bool {
    let matches = |rule: &&Rule| match layer {
        Layer::LoadBalancerAcl => {
            let (far, near) = ((p.server, p.server_port), (p.prober, p.prober_port));
            rule.matches(groups(), p.protocol, far, near)
        }
        _ => rule.matches(groups(), p.protocol, (p.prober, 0), (p.server, p.prober_port)),
    };
    let first = rules.iter().find(matches);
    first.is_some_and(|rule| rule.action == Action::Allow)
}

fn list(case: &Case, layer: Layer, direction: Direction) -> Vec<Rule> {
    let set = match &case.security_groups {
        SecurityGroupState::Groups { groups, .. } if layer == Layer::SecurityGroupReply => &groups[0].set,
        _ => &case.load_balancer_ends[0].rules.set,
    };
    set.rules(direction, Family::V4).to_vec()
}

fn rules_of(set: RuleSet) -> Rules {
    Rules {
        groups: groups().by_slot.to_vec(),
        set: set.into(),
    }
}

fn set(direction: Direction, rules: &[Rule]) -> RuleSet {
    let mut set = RuleSet::new("x");
    for rule in rules {
        set.push(direction, Family::V4, rule.clone());
    }
    set
}

fn case(traffic: Traffic) -> Case {
    Case {
        traffic,
        health_check_ports: HealthCheckPorts::default(),
        backend_port: PORT,
        security_groups: SecurityGroupState::NotApplied,
        network_acl: NetworkAclState::Absent,
        load_balancer_ends: vec![],
        subnet: vec![],
    }
}

fn at_the_end(traffic: Traffic, prefixes: Vec<Span<u128>>, direction: Direction, rules: &[Rule]) -> Case {
    // The other direction says nothing: of a stateful ACL only what goes out is asked.
    let stateful = direction == Direction::Egress;
    let mut set = set(direction, rules);
    if direction == Direction::Ingress {
        let allow = Rule {
            action: Action::Allow,
            ..any()
        };
        set.push(Direction::Egress, Family::V4, allow);
    }
    let end = LoadBalancerEnd {
        subnet: "lb".into(),
        prefixes,
        rules: rules_of(set),
        stateful,
    };
    Case {
        load_balancer_ends: vec![end],
        ..case(traffic)
    }
}

fn stateless_group(traffic: Traffic, rules: &[Rule]) -> Case {
    let mut set = set(Direction::Egress, rules);
    set.push(
        Direction::Ingress,
        Family::V4,
        Rule {
            action: Action::Allow,
            priority: 1,
            ..any()
        },
    );
    set.sort_by_priority();
    Case {
        security_groups: SecurityGroupState::Groups {
            groups: vec![rules_of(set)],
            stateful: false,
        },
        ..case(traffic)
    }
}

fn any() -> Rule {
    Rule {
        action: Action::Deny,
        protocol: ProtocolMatch::All,
        remote: AddressMatch::Any,
        remote_ports: PortMatch::ALL,
        local: AddressMatch::Any,
        local_ports: PortMatch::ALL,
        index: 500,
        priority: 0,
        name: "any".into(),
    }
}

fn prefixes() -> impl Strategy<Value = Vec<Span<u128>>> {
    let pool = [(88, 91), (92, 95), (96, 99), (101, 103), (104, 107)];
    prop::collection::vec(0..pool.len(), 1..4).prop_map(move |all| {
        all.into_iter()
            .map(|at| Span {
                first: pool[at].0,
                last: pool[at].1,
            })
            .collect()
    })
}

/// The probers that a layer judges.
fn probers(case: &Case, layer: Layer) -> Vec<u128> {
    let here = |prober: &u128| {
        let inside = |end: &LoadBalancerEnd| end.prefixes.iter().any(|prefix| prefix.contains(*prober));
        layer == Layer::SecurityGroupReply || case.load_balancer_ends.iter().any(inside)
    };
    let all = case
        .traffic
        .sources
        .spans()
        .iter()
        .flat_map(|span| span.first..=span.last);
    all.filter(here).collect()
}

/// One packet of each kind that is dropped of a leg, with how many there are.
fn dropped(case: &Case, layer: Layer, rules: &[Rule], leg: Leg) -> Vec<(u128, u16, usize)> {
    let packets = probers(case, layer)
        .into_iter()
        .flat_map(|prober| PORTS.map(|(port, count)| (prober, port, count)));
    packets
        .filter(|(prober, port, _)| {
            let seen = Seen {
                protocol: leg.protocol(Family::V4),
                prober: *prober,
                prober_port: *port,
                server: LOCAL,
                server_port: PORT,
            };
            *port > 0 && !allows(layer, rules, &seen)
        })
        .collect()
}

fn share(case: &Case, dropped: &[(u128, u16, usize)]) -> Share {
    let likely: usize = dropped
        .iter()
        .filter(|(_, port, _)| *port >= 1024)
        .map(|(.., count)| count)
        .sum();
    let ones = |count: usize| {
        let span = Span {
            first: 1,
            last: u128::try_from(count).unwrap(),
        };
        let set = if count == 0 { SpanSet::default() } else { span.into() };
        Count::product(&set, std::iter::once(Span::one(0)))
    };
    let sources: u128 = case
        .traffic
        .sources
        .spans()
        .iter()
        .map(|span| span.last - span.first + 1)
        .sum();
    Share::new(ones(likely), ones(usize::try_from(sources).unwrap() * 64_512))
}

/// The rules as written, with the fix in.
fn healed(case: &Case, layer: Layer, direction: Direction, mut rules: Vec<Rule>) -> Vec<Rule> {
    let verdict = diagnose(case).unwrap();
    let fix = verdict
        .fixes
        .iter()
        .find(|fix| (fix.layer, fix.direction) == (layer, direction))
        .unwrap();
    assert!(fix.verified && fix.object.as_deref() == Some("x"), "{fix:?}");
    let mut priority = 0;
    let mut at = rules.len();
    match &fix.placement {
        Placement::Priority { priority: own, moves } => {
            priority = *own;
            for rule in &mut rules {
                if let Some((_, to)) = moves.iter().find(|(index, _)| *index == rule.index) {
                    rule.priority = *to;
                }
            }
        }
        Placement::Before(index) => at = rules.iter().position(|rule| rule.index == *index).unwrap(),
        Placement::Append | Placement::NewGroup => {}
    }
    for new in &fix.rules {
        let ports = |span: Span<u16>| {
            if new.leg.has_ports() {
                PortMatch::only(span.into())
            } else {
                PortMatch::ALL
            }
        };
        let every = Span {
            first: 1,
            last: u16::MAX,
        };
        let prober: SpanSet<u128> = Span {
            first: new.remote.0,
            last: address::prefix_last(Family::V4, new.remote),
        }
        .into();
        let base = Rule {
            action: Action::Allow,
            protocol: ProtocolMatch::One(new.leg.protocol(Family::V4)),
            priority,
            index: 900,
            ..any()
        };
        let rule = match layer {
            Layer::LoadBalancerAcl => Rule {
                remote: AddressMatch::Set(Span::one(LOCAL).into()),
                remote_ports: ports(Span::one(PORT)),
                local: AddressMatch::Set(prober),
                local_ports: ports(every),
                ..base
            },
            _ => Rule {
                remote: AddressMatch::Set(prober),
                local_ports: ports(every),
                ..base
            },
        };
        rules.insert(at, rule);
    }
    if layer == Layer::SecurityGroupReply {
        rules.sort_by_key(|rule| (rule.priority, rule.action == Action::Allow, rule.index));
    }
    rules
}

fn check(case: &Case, layer: Layer, direction: Direction) -> Result<(), TestCaseError> {
    let rules = list(case, layer, direction);
    let legs: Vec<_> = case
        .traffic
        .legs
        .iter()
        .map(|leg| (*leg, dropped(case, layer, &rules, *leg)))
        .collect();
    let failed: Vec<_> = legs.iter().filter(|(_, dropped)| !dropped.is_empty()).collect();
    let verdict = diagnose(case).unwrap();
    let worst = legs
        .iter()
        .map(|(_, dropped)| share(case, dropped))
        .reduce(Share::max)
        .unwrap();
    prop_assert_eq!(verdict.dropped, worst);
    // A leg of which likely packets are dropped is shown before another.
    let Some((leg, shown)) = failed.iter().min_by_key(|(_, dropped)| share(case, dropped).is_none()) else {
        prop_assert!(verdict.beyond.is_empty());
        return Ok(());
    };
    prop_assert_eq!(verdict.beyond.len(), 1);
    let beyond = &verdict.beyond[0];
    let checks = CheckId::of(layer, direction);
    prop_assert_eq!(beyond.check, checks[0].0);
    prop_assert_eq!(
        beyond.subnet.as_deref(),
        (layer == Layer::LoadBalancerAcl).then_some("lb")
    );
    let found = &beyond.found;
    prop_assert_eq!((found.leg, found.both_legs), (*leg, failed.len() > 1));
    prop_assert_eq!(found.evidence.share, share(case, shown));
    let remotes: SpanSet<u128> = shown.iter().map(|(prober, ..)| Span::one(*prober)).collect();
    let values = Values::Prefixes(Family::V4, covering_prefixes(Family::V4, &remotes));
    prop_assert_eq!(&found.evidence.values, &values);
    let witness = shown
        .iter()
        .map(|(prober, port, _)| (*port < 1024, *prober, *port))
        .min()
        .unwrap();
    let (_, remote, remote_port) = witness;
    let leg = *leg;
    prop_assert_eq!(
        found.evidence.witness,
        Packet {
            leg,
            remote,
            remote_port
        }
    );
    let impact = match (worst.is_all(), worst.is_none()) {
        (true, _) => Impact::Blocks,
        (_, true) => Impact::Advisory,
        _ => Impact::Intermittent,
    };
    prop_assert_eq!((found.impact, verdict.impact >= impact), (impact, true));

    let after = healed(case, layer, direction, rules.clone());
    for (leg, _) in &legs {
        prop_assert!(dropped(case, layer, &after, *leg).is_empty(), "{:?}", after);
    }
    let probers = probers(case, layer);
    for protocol in [1, 6, 17, 50] {
        for prober in 88..112 {
            for (prober_port, _) in PORTS {
                for (server, server_port) in [(LOCAL, PORT), (LOCAL, 81), (99, PORT), (101, 443)] {
                    let seen = Seen {
                        protocol,
                        prober,
                        prober_port,
                        server,
                        server_port,
                    };
                    let opened = allows(layer, &after, &seen) && !allows(layer, &rules, &seen);
                    let leg = case
                        .traffic
                        .legs
                        .iter()
                        .find(|leg| leg.protocol(Family::V4) == protocol);
                    let ports = |leg: &Leg| {
                        let server_end = layer == Layer::SecurityGroupReply || server_port == PORT;
                        !leg.has_ports() || (prober_port > 0 && server_end)
                    };
                    let right = probers.contains(&prober) && leg.is_some_and(ports);
                    let server_end = layer == Layer::SecurityGroupReply || server == LOCAL;
                    prop_assert!(!opened || (right && server_end), "{:?} {:?}", seen, after);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn at_the_load_balancers_end_what_the_first_matching_rule_does_not_allow_is_found_and_healed(
        traffic in traffic(), rules in rule_list(), prefixes in prefixes(), outbound: bool,
    ) {
        let direction = if outbound { Direction::Egress } else { Direction::Ingress };
        let rules = fitting(Layer::LoadBalancerAcl, rules);
        check(&at_the_end(traffic, prefixes, direction, &rules), Layer::LoadBalancerAcl, direction)?;
    }

    #[test]
    fn replies_that_stateless_groups_drop_are_found_and_healed(traffic in traffic(), rules in rule_list()) {
        let rules = fitting(Layer::SecurityGroupReply, rules);
        check(&stateless_group(traffic, &rules), Layer::SecurityGroupReply, Direction::Egress)?;
    }

    #[test]
    fn a_port_is_taken_away_only_where_the_item_passes_then_and_no_more_is_dropped(
        traffic in traffic(), rules in rule_list(), own in port(), group in port(),
    ) {
        let rules = fitting(Layer::NetworkAcl, rules);
        let with = |ports: HealthCheckPorts| {
            let port = ports.configured().unwrap_or(PORT);
            let acl = NetworkAclState::InForce { rules: rules_of(set(Direction::Ingress, &rules)), stateful: true };
            let traffic = Traffic { port, ..traffic.clone() };
            let case = Case { health_check_ports: ports, network_acl: acl, ..case(traffic) };
            diagnose(&case).unwrap()
        };
        let ports = HealthCheckPorts { own, group };
        let now = with(ports);
        let fails = |verdict: &super::Verdict| {
            verdict.outcomes.findings().any(|(check, _)| check == CheckId::HealthCheckPort)
        };
        let (fix, changed) = if own.is_some() {
            (PortFix::BackendServer, HealthCheckPorts { own: None, group })
        } else {
            (PortFix::Group, HealthCheckPorts::default())
        };
        let then = with(changed);
        let expected = fails(&now) && !fails(&then) && !then.dropped.exceeds(now.dropped);
        prop_assert_eq!(now.port_fix, expected.then_some(fix));
    }
}

fn port() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![Just(None), Just(Some(PORT)), Just(Some(79)), Just(Some(81))]
}

fn one_prober() -> Traffic {
    Traffic {
        family: Family::V4,
        legs: vec![Leg::Tcp],
        sources: Span {
            first: 0x0a00_0100,
            last: 0x0a00_01ff,
        }
        .into(),
        local: 0x0a00_0205,
        port: PORT,
    }
}

/// Semantics §4: traffic within the subnet passes no ACL, outbound traffic to 100.125.0.0/16 neither.
#[test]
fn what_is_exempt_at_the_load_balancers_end_is_not_judged() {
    let found = |local: u128, prefixes: &[(u128, u128)], stateful: bool| {
        let traffic = Traffic { local, ..one_prober() };
        let prefixes = prefixes.iter().map(|(first, last)| Span {
            first: *first,
            last: *last,
        });
        let mut case = at_the_end(traffic, prefixes.collect(), Direction::Egress, &[]);
        case.load_balancer_ends[0].stateful = stateful;
        let verdict = diagnose(&case).unwrap();
        assert_eq!(
            verdict.impact,
            if verdict.beyond.is_empty() {
                Impact::None
            } else {
                Impact::Blocks
            }
        );
        verdict
            .beyond
            .into_iter()
            .map(|beyond| beyond.check)
            .collect::<Vec<_>>()
    };
    let (both, out) = (
        vec![CheckId::LoadBalancerAclOutbound, CheckId::LoadBalancerAclInbound],
        vec![CheckId::LoadBalancerAclOutbound],
    );
    let here = (0x0a00_0000, 0x0a00_01ff);
    assert_eq!(found(0x0a00_0205, &[here], true), out);
    assert_eq!(found(0x0a00_0205, &[here], false), both);
    assert_eq!(found(0x0a00_0105, &[here], false), [], "the server is in the subnet");
    assert_eq!(found(0x647d_0005, &[here], false), [CheckId::LoadBalancerAclInbound]);
    assert_eq!(
        found(0x0a00_0205, &[(0x0b00_0000, 0x0b00_00ff)], false),
        [],
        "no prober is in the subnet"
    );
}

/// Each end has its own finding, probes first; shares are of all probes, and together they are the dropped share.
#[test]
fn ends_are_judged_each_by_itself() {
    let half = |first: u128| {
        let prefix = Span {
            first,
            last: first + 127,
        };
        at_the_end(one_prober(), vec![prefix], Direction::Egress, &[])
            .load_balancer_ends
            .remove(0)
    };
    let mut case = case(one_prober());
    case.load_balancer_ends = vec![half(0x0a00_0100), half(0x0a00_0180)];
    case.load_balancer_ends[1].subnet = "lb-b".into();
    let verdict = diagnose(&case).unwrap();
    let subnets: Vec<_> = verdict
        .beyond
        .iter()
        .map(|beyond| beyond.subnet.as_deref().unwrap())
        .collect();
    assert_eq!(subnets, ["lb", "lb-b"]);
    for beyond in &verdict.beyond {
        assert_eq!(
            (beyond.found.impact, beyond.found.evidence.share.to_decimal()),
            (Impact::Intermittent, "0.5".into())
        );
    }
    assert_eq!((verdict.impact, verdict.dropped.is_all()), (Impact::Blocks, true));
    let fixes: Vec<_> = verdict.fixes.iter().map(|fix| fix.subnet.as_deref().unwrap()).collect();
    assert_eq!(fixes, ["lb", "lb-b"]);
}

/// An ACL that lets 1024-65535 out, as providers recommend, stops nothing.
#[test]
fn unlikely_ports_alone_are_advisory() {
    let allow = Rule {
        action: Action::Allow,
        protocol: ProtocolMatch::One(6),
        local_ports: PortMatch::only(
            Span {
                first: 1024,
                last: u16::MAX,
            }
            .into(),
        ),
        ..any()
    };
    let prefixes = vec![Span {
        first: 0x0a00_0000,
        last: 0x0a00_01ff,
    }];
    let verdict = diagnose(&at_the_end(one_prober(), prefixes, Direction::Egress, &[allow])).unwrap();
    let found = &verdict.beyond[0].found;
    assert_eq!((verdict.impact, found.impact), (Impact::Advisory, Impact::Advisory));
    assert!(verdict.dropped.is_none() && found.evidence.share.is_none());
    let witness = found.evidence.witness;
    assert_eq!((witness.remote, witness.remote_port), (0x0a00_0101, 1));
}

/// Rules added after somebody asked for the turned lists count.
#[test]
fn turned_rules_follow_their_set() {
    let mut set = RuleSet::new("x");
    assert!(set.swapped(Direction::Egress, Family::V4).is_empty() && set.reply(Family::V4).is_empty());
    set.push(Direction::Egress, Family::V4, any());
    assert_eq!(
        (
            set.swapped(Direction::Egress, Family::V4).len(),
            set.reply(Family::V4).len()
        ),
        (1, 1)
    );
}
