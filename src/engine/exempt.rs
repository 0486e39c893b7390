//! Packets that pass a network ACL before any of its rules (semantics §4).

use super::{Case, Direction, Family, LoadBalancerEnd, Span, SpanSet};

/// Outbound traffic to this prefix always passes the network ACL: 100.125.0.0/16.
pub const ALWAYS_OUTBOUND: Span<u128> = Span {
    first: 0x647d_0000,
    last: 0x647d_ffff,
};

/// How many of the probing addresses something holds for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Part {
    /// None of them.
    #[default]
    None,
    /// Some of them.
    Some,
    /// All of them.
    All,
}

impl Part {
    fn of(sources: &SpanSet<u128>, set: &SpanSet<u128>) -> Self {
        if sources.is_subset(set) {
            Self::All
        } else if sources.intersection(set).is_empty() {
            Self::None
        } else {
            Self::Some
        }
    }
}

/// How many of the probing addresses a network ACL does not apply to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Exempt {
    /// In both directions: those in the server's own subnet.
    pub own_subnet: Part,
    /// Outbound: those to which traffic always passes.
    pub always_outbound: Part,
}

impl Exempt {
    pub(crate) fn of(case: &Case) -> Self {
        let sources = &case.traffic.sources;
        Self {
            own_subnet: Part::of(sources, &own_subnet(case).collect()),
            always_outbound: Part::of(sources, &always_outbound(case).into_iter().collect()),
        }
    }
}

/// The remote addresses whose packets are exempt in one direction.
pub(crate) fn exempt(case: &Case, direction: Direction) -> SpanSet<u128> {
    let always = always_outbound(case).filter(|_| direction == Direction::Egress);
    own_subnet(case).chain(always).collect()
}

/// Whether no packet passes the rules at one of the load balancer's ends: all of them stay within its subnet, or all go to the prefix to
/// which outbound traffic always passes. They all have the same other end, the probed address.
pub(crate) fn load_balancer_end_is_exempt(case: &Case, direction: Direction, end: &LoadBalancerEnd) -> bool {
    let holds_server = |prefix: Span<u128>| prefix.contains(case.traffic.local);
    let always = always_outbound(case).filter(|_| direction == Direction::Egress);
    end.prefixes.iter().copied().chain(always).any(holds_server)
}

/// The prefixes of the server's subnet, when the probed address is in it.
fn own_subnet(case: &Case) -> impl Iterator<Item = Span<u128>> + '_ {
    let inside = case.subnet.iter().any(|prefix| prefix.contains(case.traffic.local));
    case.subnet.iter().copied().filter(move |_| inside)
}

fn always_outbound(case: &Case) -> Option<Span<u128>> {
    (case.traffic.family == Family::V4).then_some(ALWAYS_OUTBOUND)
}
