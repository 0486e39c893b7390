//! What a failed item carries (semantics §7): blocked values, witness, who decided, the nearest rule.

use std::sync::Arc;

use super::{
    Action, AddressGroups, AddressMatch, Dimension, Family, Layer, Leg, PortMatch, ProtocolMatch, Region, Rule, Share,
    Span, Traffic,
    address::{Prefix, covering_prefixes},
    filter::Filter,
    layer::Side,
    traffic::LIKELY,
};

/// A blocked set's values on the item's own dimension.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Values {
    /// The health check protocol: a leg.
    Protocol(Leg),
    /// The fewest prefixes.
    Prefixes(Family, Vec<Prefix>),
    /// The fewest port ranges.
    Ports(Vec<Span<u16>>),
}

/// One required packet, by its remote end; protocol, server address and port are the traffic's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet {
    /// The leg that it belongs to.
    pub leg: Leg,
    /// The load balancer's address.
    pub remote: u128,
    /// The load balancer's port; of no meaning where the leg has none.
    pub remote_port: u16,
}

/// What decides over a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// The object; `None` when no single one decides: no security group, or no match in any of several.
    pub object: Option<Arc<str>>,
    /// The deny rule; `None` when no rule matches.
    pub rule: Option<Arc<str>>,
    /// Its position in the array in which it is written.
    pub index: Option<u32>,
    /// Its priority, on security groups.
    pub priority: Option<u8>,
}

/// What a rule has on one dimension.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Has {
    /// A protocol.
    Protocol(ProtocolMatch),
    /// Addresses or ports.
    Values(Values),
    /// The addresses of the address group of this name.
    AddressGroup(Arc<str>, Values),
    /// The interfaces that carry this security group.
    MembersOf(Arc<str>),
}

/// The allow rule that comes nearest to a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nearest {
    /// Its object.
    pub object: Arc<str>,
    /// Its name.
    pub rule: Arc<str>,
    /// The dimensions on which it misses, in table order; none when an earlier deny shadows it.
    pub misses: Vec<Dimension>,
    /// What the rule has on the only dimension that it misses, where it misses on one.
    pub has: Option<Has>,
    /// The rule that comes first and denies, where it would have matched.
    pub shadowed_by: Option<Arc<str>>,
}

/// The evidence of a failed item of a layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    /// The blocked set's values on the item's dimension.
    pub values: Values,
    /// Its part of the leg's likely packets.
    pub share: Share,
    /// The smallest packet of the blocked set, likely ones and those of a host's address first.
    pub witness: Packet,
    /// What decides over it.
    pub decided_by: Decision,
    /// The allow rule that comes nearest to it.
    pub nearest: Option<Nearest>,
}

/// Packets of one side that were judged already: the items of a side often have the same witness.
pub(crate) type Judged = Vec<(Packet, Decision, Option<Nearest>)>;

/// The evidence for a blocked set; `None` only when the set is empty.
pub(crate) fn evidence(
    side: &Side<'_>,
    traffic: &Traffic,
    leg: Leg,
    dimension: Dimension,
    blocked: &Region,
    judged: &mut Judged,
) -> Option<Evidence> {
    let witness = witness(traffic, leg, blocked)?;
    let family = traffic.family;
    let values = match dimension {
        Dimension::Protocol => Values::Protocol(leg),
        Dimension::Remote => Values::Prefixes(family, covering_prefixes(family, &blocked.remotes())),
        Dimension::RemotePort => Values::Ports(blocked.ports().spans().to_vec()),
        Dimension::Local => Values::Prefixes(family, vec![(traffic.local, family.bits())]),
        Dimension::LocalPort => Values::Ports(vec![Span::one(traffic.port)]),
    };
    let known = judged.iter().find(|(packet, ..)| *packet == witness);
    let (decided_by, nearest) = if let Some((_, decided_by, nearest)) = known {
        (decided_by.clone(), nearest.clone())
    } else {
        let (decided_by, nearest) = judge(side, traffic, &witness);
        judged.push((witness, decided_by.clone(), nearest.clone()));
        (decided_by, nearest)
    };
    Some(Evidence {
        values,
        share: traffic.share(blocked),
        witness,
        decided_by,
        nearest,
    })
}

/// The packet of a blocked set that is shown (semantics §7); `None` only when the set is empty.
pub(crate) fn witness(traffic: &Traffic, leg: Leg, blocked: &Region) -> Option<Packet> {
    let (remote, remote_port) = blocked.example(traffic.family, LIKELY)?;
    Some(Packet {
        leg,
        remote,
        remote_port,
    })
}

/// What decides over a dropped packet, and the allow rule that comes nearest to it.
pub(crate) fn judge(side: &Side<'_>, traffic: &Traffic, packet: &Packet) -> (Decision, Option<Nearest>) {
    let filter = Filter {
        family: traffic.family,
        segments: &side.segments,
    };
    let decided = filter.decides(traffic, packet.leg, (packet.remote, packet.remote_port));
    (decision(side, decided), nearest(side, traffic, packet, decided))
}

fn decision(side: &Side<'_>, decided: Option<(usize, &Rule)>) -> Decision {
    let Some((segment, rule)) = decided else {
        // Nothing matched: a single object's implicit deny has its name, that of several groups together has none.
        let object = match side.objects.as_slice() {
            [only] => Some(Arc::clone(&only.name)),
            _ => None,
        };
        return Decision {
            object,
            rule: None,
            index: None,
            priority: None,
        };
    };
    Decision {
        object: side.objects.get(segment).map(|object| Arc::clone(&object.name)),
        rule: Some(Arc::clone(&rule.name)),
        index: Some(rule.index),
        priority: side.layer.is_security_group().then_some(rule.priority),
    }
}

fn nearest(side: &Side<'_>, traffic: &Traffic, packet: &Packet, decided: Option<(usize, &Rule)>) -> Option<Nearest> {
    // Asked about replies, the ports of a security group's rule are the prober's; the health check port there is the usual mistake.
    let names_port = |rule: &Rule| match side.layer {
        Layer::SecurityGroupReply => rule.remote_ports.names(traffic.port),
        Layer::SecurityGroup | Layer::NetworkAcl | Layer::LoadBalancerAcl => rule.local_ports.names(traffic.port),
    };
    let mut best: Option<((u8, bool), usize, &Rule)> = None;
    for (position, segment) in side.segments.iter().enumerate() {
        for rule in segment.rules.iter().filter(|rule| rule.action == Action::Allow) {
            let flags = misses(traffic, packet, segment.groups, rule).into_iter();
            // Among equals one that is about this very port comes first, then the one that is evaluated first.
            let rank = (flags.map(u8::from).sum(), !names_port(rule));
            if best.is_none_or(|(least, ..)| rank < least) {
                best = Some((rank, position, rule));
            }
        }
    }
    let ((count, _), position, rule) = best?;
    let object = side.objects.get(position)?;
    let groups = side.segments.get(position)?.groups;
    let flags = misses(traffic, packet, groups, rule);
    let order = side.layer.dimensions(side.direction).iter().copied();
    let missed: Vec<_> = order
        .filter(|dimension| flags.get(slot(*dimension)).copied().unwrap_or(false))
        .collect();
    let only = if let [only] = missed.as_slice() {
        Some(*only)
    } else {
        None
    };
    Some(Nearest {
        object: Arc::clone(&object.name),
        rule: Arc::clone(&rule.name),
        has: only.and_then(|dimension| has(groups, &object.group_names, rule, dimension)),
        misses: missed,
        shadowed_by: decided.filter(|_| count == 0).map(|(_, deny)| Arc::clone(&deny.name)),
    })
}

fn slot(dimension: Dimension) -> usize {
    match dimension {
        Dimension::Protocol => 0,
        Dimension::Remote => 1,
        Dimension::RemotePort => 2,
        Dimension::Local => 3,
        Dimension::LocalPort => 4,
    }
}

/// The dimensions on which a rule misses a packet, by [`slot`].
fn misses(traffic: &Traffic, packet: &Packet, groups: AddressGroups<'_>, rule: &Rule) -> [bool; 5] {
    let ports = packet.leg.has_ports();
    [
        !rule.protocol.contains(packet.leg.protocol(traffic.family)),
        !rule.remote.contains(groups, packet.remote),
        ports && !rule.remote_ports.contains(packet.remote_port),
        !rule.local.contains(groups, traffic.local),
        ports && !rule.local_ports.contains(traffic.port),
    ]
}

/// What a rule has on a dimension; `None` where it says nothing about it.
fn has(groups: AddressGroups<'_>, names: &[Arc<str>], rule: &Rule, dimension: Dimension) -> Option<Has> {
    let family = groups.family;
    let prefixes = |address: &AddressMatch| {
        let set = address.spans(groups).iter().copied().collect();
        Values::Prefixes(family, covering_prefixes(family, &set))
    };
    let addresses = |address: &AddressMatch| match address {
        AddressMatch::Set(_) => Some(Has::Values(prefixes(address))),
        AddressMatch::Group(slot) => {
            let name = usize::try_from(*slot).ok().and_then(|slot| names.get(slot))?;
            Some(Has::AddressGroup(Arc::clone(name), prefixes(address)))
        }
        AddressMatch::Members(group) => Some(Has::MembersOf(Arc::clone(group))),
        AddressMatch::Any => None,
    };
    let ports = |ports: &PortMatch| Some(Has::Values(Values::Ports(ports.spans().to_vec())));
    match dimension {
        Dimension::Protocol => Some(Has::Protocol(rule.protocol)),
        Dimension::Remote => addresses(&rule.remote),
        Dimension::Local => addresses(&rule.local),
        Dimension::RemotePort => ports(&rule.remote_ports),
        Dimension::LocalPort => ports(&rule.local_ports),
    }
}
