// Families of rule lists that are hard to judge, for benchmarks and for the engine's own tests, which include this file: it
// takes `engine` as it finds it.

use engine::{
    Action, AddressMatch, AddressSet, Case, Direction, Family, HealthCheckPorts, Leg, NetworkAclState, PortMatch, ProtocolMatch, Rule, RuleSet,
    Rules, SecurityGroupState, Span, SpanSet, Traffic,
};

/// A kind of hard rule list, of any length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hard {
    /// Denies of single addresses, an allow for another port.
    BlockList,
    /// The same, and denies of single ports between them.
    BlockAndPortList,
    /// Denies of a single address and a single port each.
    BlockListByPort,
    /// Denies of single ports, an allow for other protocols.
    PortList,
    /// Denies that have every second address and every second port, each shifted, over few address groups.
    Combs,
    /// Denies of ever more ports and ever fewer addresses.
    Staircase,
    /// Random denies of boxes in all four dimensions, an allow for all.
    RandomBoxes,
    /// Random boxes that allow and deny.
    RandomMixture,
    /// Small random boxes.
    SmallBoxes,
    /// Boxes that fill all four dimensions without a hole, an allow for all.
    Tiling,
    /// The same in the two dimensions of the server's end.
    LocalTiling,
    /// Random rectangles of remote address and remote port that allow and deny.
    Rectangles,
    /// Small ones.
    SmallRectangles,
    /// Stairs in the plane of remote address and remote port, allow and deny in turn.
    RemoteStaircase,
    /// Strips of addresses, each up to another port.
    Strips,
    /// Denies that are thin in two dimensions and whole in the others.
    Plates,
}

impl std::fmt::Display for Hard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

pub const ALL_HARD: [Hard; 16] = [
    Hard::BlockList,
    Hard::BlockAndPortList,
    Hard::BlockListByPort,
    Hard::PortList,
    Hard::Combs,
    Hard::Staircase,
    Hard::RandomBoxes,
    Hard::RandomMixture,
    Hard::SmallBoxes,
    Hard::Tiling,
    Hard::LocalTiling,
    Hard::Rectangles,
    Hard::SmallRectangles,
    Hard::RemoteStaircase,
    Hard::Strips,
    Hard::Plates,
];

const LOCAL: u128 = 0x8000_0064;
const PORT: u16 = 30_000;
const ADDRESSES: Span<u128> = Span { first: 0, last: 0xffff_ffff };
const PORTS: Span<u16> = Span { first: 0, last: u16::MAX };

/// A small generator of numbers that are not random, but look it.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end.max(1)
    }

    /// A span inside `whole`, of up to 1/`part` of it.
    fn span(&mut self, whole: (u64, u64), part: u64) -> (u64, u64) {
        let (first, last) = whole;
        let length = 1 + self.below((last - first) / part + 1);
        let start = first + self.below(last - first + 1);
        (start, (start + length).min(last))
    }
}

/// A box: remote address and port, local address and port.
type Sides = [(u64, u64); 4];

const WHOLE: Sides = [(0, 0xffff_ffff), (0, 0xffff), (0, 0xffff_ffff), (0, 0xffff)];

fn rule(index: usize, action: Action, sides: Sides) -> Rule {
    let addresses = |(first, last): (u64, u64)| {
        let span = Span { first: u128::from(first), last: u128::from(last) };
        if span == ADDRESSES { AddressMatch::Any } else { AddressMatch::Set(span.into()) }
    };
    let ports = |(first, last): (u64, u64)| {
        let span = Span { first: first as u16, last: last as u16 };
        if span == PORTS { PortMatch::ALL } else { PortMatch::only(span.into()) }
    };
    Rule {
        action,
        protocol: if sides[1] == WHOLE[1] && sides[3] == WHOLE[3] { ProtocolMatch::All } else { ProtocolMatch::One(6) },
        remote: addresses(sides[0]),
        remote_ports: ports(sides[1]),
        local: addresses(sides[2]),
        local_ports: ports(sides[3]),
        index: index as u32,
        priority: 0,
        name: format!("r{index}").into(),
    }
}

/// Cuts a box into `count` parts, side after side, at numbers that look random.
fn cut(numbers: &mut Numbers, sides: Sides, of: &[usize], depth: usize, count: usize, out: &mut Vec<Sides>) {
    let side = of[depth % of.len()];
    let (first, last) = sides[side];
    if count == 1 || last - first < 8 {
        out.push(sides);
        return;
    }
    let quarter = (last - first) / 4;
    let at = first + quarter + numbers.below(2 * quarter);
    let (mut left, mut right) = (sides, sides);
    left[side] = (first, at);
    right[side] = (at + 1, last);
    cut(numbers, left, of, depth + 1, count / 2, out);
    cut(numbers, right, of, depth + 1, count - count / 2, out);
}

fn hard_rules(kind: Hard, count: usize) -> Vec<Rule> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ count as u64);
    let all = WHOLE;
    let tcp = |index, action, sides| Rule { protocol: ProtocolMatch::One(6), ..rule(index, action, sides) };
    let address = |at: usize| (0x0b00_0000 + 7 * at as u64, 0x0b00_0000 + 7 * at as u64);
    let port = |at: usize| ((1 + 2 * at as u64) % 65_536, (1 + 2 * at as u64) % 65_536);
    let mut out: Vec<Rule> = Vec::with_capacity(count + 2);
    match kind {
        Hard::BlockList => {
            out.extend((0..count - 1).map(|at| rule(at, Action::Deny, [address(at), all[1], all[2], all[3]])));
            out.push(tcp(count - 1, Action::Allow, [all[0], all[1], all[2], (443, 443)]));
        }
        Hard::BlockAndPortList => {
            out.extend((0..count - 1).map(|at| {
                let sides = if at % 2 == 0 {
                    [address(at), all[1], all[2], all[3]]
                } else {
                    [all[0], all[1], all[2], port(at)]
                };
                rule(at, Action::Deny, sides)
            }));
            out.push(tcp(count - 1, Action::Allow, [all[0], all[1], all[2], (444, 444)]));
        }
        Hard::BlockListByPort => {
            out.extend((0..count - 1).map(|at| rule(at, Action::Deny, [address(at), all[1], all[2], port(at % 1000)])));
            out.push(tcp(count - 1, Action::Allow, [all[0], all[1], all[2], (443, 443)]));
        }
        Hard::PortList => {
            out.extend((0..count - 1).map(|at| rule(at, Action::Deny, [all[0], all[1], all[2], port(at)])));
            out.push(Rule { protocol: ProtocolMatch::One(17), ..rule(count - 1, Action::Allow, all) });
        }
        Hard::Combs => {
            for at in 0..count {
                let ports = |shift: usize| {
                    let ports = (0..40).map(|n| ((shift * 31 + n * 2 * (1 + shift % 5)) % 65_535) as u16);
                    PortMatch::only(ports.map(Span::one).collect())
                };
                out.push(Rule {
                    remote: AddressMatch::Group((at % 8) as u32),
                    local: if at % 3 == 0 { AddressMatch::Any } else { AddressMatch::Group(((at + 3) % 8) as u32) },
                    remote_ports: if at % 2 == 0 { PortMatch::ALL } else { ports(at) },
                    local_ports: ports(at / 2),
                    action: if at % 50 == 49 { Action::Allow } else { Action::Deny },
                    ..tcp(at, Action::Deny, all)
                });
            }
        }
        Hard::Staircase => {
            let step = 0xffff_ffff / count as u64;
            out.extend((0..count - 1).map(|at| {
                let to = at as u64 * step;
                rule(at, Action::Deny, [(to, 0xffff_ffff), all[1], (0, to + step), ((at as u64 * 7) % 60_000, 65_535)])
            }));
            out.push(rule(count - 1, Action::Allow, all));
        }
        Hard::RandomBoxes | Hard::RandomMixture | Hard::SmallBoxes => {
            let part = if kind == Hard::SmallBoxes { 8 } else { 1 };
            for at in 0..count - 1 {
                let sides = all.map(|side| numbers.span(side, part));
                let allow = kind == Hard::RandomMixture && numbers.below(4) == 0 && at > count / 4;
                out.push(rule(at, if allow { Action::Allow } else { Action::Deny }, sides));
            }
            out.push(rule(count - 1, Action::Allow, all));
        }
        Hard::Tiling | Hard::LocalTiling => {
            let mut parts = Vec::new();
            let of: &[usize] = if kind == Hard::Tiling { &[0, 1, 2, 3] } else { &[2, 3] };
            cut(&mut numbers, all, of, 0, count - 1, &mut parts);
            for at in (1..parts.len()).rev() {
                parts.swap(at, numbers.below(at as u64 + 1) as usize);
            }
            out.extend(parts.into_iter().enumerate().map(|(at, sides)| tcp(at, Action::Deny, sides)));
            out.push(tcp(out.len(), Action::Allow, all));
        }
        Hard::Rectangles | Hard::SmallRectangles => {
            let part = if kind == Hard::Rectangles { 1 } else { 30 };
            for at in 0..count - 1 {
                let sides = [numbers.span((0x7f00_0000, 0x7fff_ffff), part), numbers.span(all[1], part), all[2], all[3]];
                out.push(rule(at, if numbers.below(2) == 0 { Action::Allow } else { Action::Deny }, sides));
            }
            out.push(rule(count - 1, Action::Allow, all));
        }
        Hard::RemoteStaircase => {
            let (steps, ports) = (0x00ff_ffff / count as u64, 65_000 / count as u64);
            for at in 0..count {
                let to = at as u64;
                let sides = [(0x7f00_0000 + to * steps, 0x7fff_ffff), (0, (count as u64 - to) * ports), all[2], all[3]];
                out.push(rule(at, if at % 2 == 0 { Action::Deny } else { Action::Allow }, sides));
            }
        }
        Hard::Strips => {
            let (width, ports) = (0x00ff_ffff / count as u64, 65_000 / count as u64);
            for at in 0..count - 1 {
                let first = 0x7f00_0000 + at as u64 * width;
                let to = (at as u64 * 7919) % count as u64;
                out.push(rule(at, Action::Deny, [(first, first + width / 2), (0, 1 + to * ports), all[2], all[3]]));
            }
            out.push(rule(count - 1, Action::Allow, all));
        }
        Hard::Plates => {
            for at in 0..count - 1 {
                let mut sides = all;
                let (one, other) = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)][at % 6];
                for side in [one, other] {
                    sides[side] = numbers.span(all[side], 1);
                }
                out.push(rule(at, Action::Deny, sides));
            }
            out.push(rule(count - 1, Action::Allow, all));
        }
    }
    out
}

/// A case of which the network ACL's inbound list is this one. Probes come from all of 127.0.0.0/8.
pub fn hard_case(kind: Hard, rules: usize) -> Case {
    let mut set = RuleSet::new("edge");
    for rule in hard_rules(kind, rules) {
        set.push(Direction::Ingress, Family::V4, rule);
    }
    let groups = (0u128..8).map(|shift| {
        let addresses = (0..1000u128).map(|n| Span::one(0x7f00_0000 + shift * 37 + n * 2 * (1 + shift % 3)));
        std::sync::Arc::new(AddressSet { v4: addresses.collect(), v6: SpanSet::default() })
    });
    let acl = NetworkAclState::InForce {
        rules: Rules { groups: groups.collect(), set: std::sync::Arc::new(set) },
        stateful: true,
    };
    case_of(SecurityGroupState::NotApplied, acl)
}

fn case_of(security_groups: SecurityGroupState, network_acl: NetworkAclState) -> Case {
    Case {
        traffic: Traffic {
            family: Family::V4,
            legs: vec![Leg::Tcp],
            sources: Span { first: 0x7f00_0000, last: 0x7fff_ffff }.into(),
            local: LOCAL,
            port: PORT,
        },
        health_check_ports: HealthCheckPorts::default(),
        backend_port: PORT,
        security_groups,
        network_acl,
        load_balancer_ends: Vec::new(),
        subnet: Vec::new(),
    }
}

/// A case with 16 security groups that deny one port each rule, of so many rules each.
pub fn security_groups_of_ports(rules: usize) -> Case {
    let groups = (0..16).map(|group| {
        let mut set = RuleSet::new(format!("group-{group}"));
        for at in 0..rules {
            let number = group * rules + at;
            let port = ((1 + 2 * number) % 65_536) as u64;
            let last = group == 15 && at + 1 == rules;
            let sides = [WHOLE[0], WHOLE[1], WHOLE[2], (port, port)];
            let deny = Rule { priority: 1, ..rule(at, Action::Deny, sides) };
            let allow = Rule { priority: 100, protocol: ProtocolMatch::One(17), ..rule(at, Action::Allow, WHOLE) };
            set.push(Direction::Ingress, Family::V4, if last { allow } else { deny });
        }
        Rules { set: std::sync::Arc::new(set), groups: Vec::new() }
    });
    case_of(SecurityGroupState::Groups { groups: groups.collect(), stateful: true }, NetworkAclState::Absent)
}

/// A case with 16 security groups of so many random rectangles of address and port each.
pub fn security_groups_of_rectangles(rules: usize) -> Case {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut groups = Vec::new();
    for group in 0..16 {
        let mut set = RuleSet::new(format!("group-{group}"));
        for at in 0..rules {
            let part = if at % 2 == 0 { 4 } else { 1000 };
            let sides = [numbers.span((0x7f00_0000, 0x7fff_ffff), part), WHOLE[1], WHOLE[2], numbers.span(WHOLE[3], part)];
            let action = if numbers.below(8) == 0 { Action::Allow } else { Action::Deny };
            set.push(Direction::Ingress, Family::V4, Rule { priority: 1 + (at * 99 / rules) as u8, ..rule(at, action, sides) });
        }
        groups.push(Rules { set: std::sync::Arc::new(set), groups: Vec::new() });
    }
    case_of(SecurityGroupState::Groups { groups, stateful: true }, NetworkAclState::Absent)
}
