//! The health check traffic of one backend server (semantics §2).

use super::{Block, Family, Region, Share, Span, SpanSet, share::Count};

/// One kind of packets that a health check needs. A `UDP_CONNECT` check needs two: UDP and ICMP.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Leg {
    /// TCP to the health check port.
    Tcp,
    /// UDP to the health check port.
    Udp,
    /// `ICMP`, or `ICMPv6` for an IPv6 backend; it has no ports.
    Icmp,
}

impl Leg {
    /// The protocol number.
    #[must_use]
    pub fn protocol(self, family: Family) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => family.icmp(),
        }
    }

    /// Whether its packets have ports.
    #[must_use]
    pub fn has_ports(self) -> bool {
        self != Self::Icmp
    }

    /// The protocol's name as rules spell it.
    #[must_use]
    pub fn name(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Tcp, _) => "tcp",
            (Self::Udp, _) => "udp",
            (Self::Icmp, Family::V4) => "icmp",
            (Self::Icmp, Family::V6) => "icmpv6",
        }
    }
}

/// The source ports of probes, and so the destination ports of replies: every port but 0.
pub(crate) const EPHEMERAL: Span<u16> = Span {
    first: 1,
    last: u16::MAX,
};

/// Those of them that a prober may well use: none sends from a privileged port. Shares and impacts count the packets with these.
pub(crate) const LIKELY: Span<u16> = Span {
    first: 1024,
    last: u16::MAX,
};

/// What goes back and forth between the probing addresses ("remote") and the backend server ("local").
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Traffic {
    /// Family of all addresses.
    pub family: Family,
    /// One leg, or UDP and ICMP in this order.
    pub legs: Vec<Leg>,
    /// The probing addresses, `S`; not empty.
    pub sources: SpanSet<u128>,
    /// The probed address, `b`.
    pub local: u128,
    /// The probed port, `p`.
    pub port: u16,
}

impl Traffic {
    /// Every probe or reply of a leg, as pairs of remote address and remote port.
    #[must_use]
    pub fn required(&self) -> Region {
        Region::from(Block {
            remotes: self.sources.clone(),
            ports: EPHEMERAL.into(),
        })
    }

    /// The part of a leg's likely packets that lies in `region`. A leg without ports has every port in its regions or none, so that the
    /// same count is right for it.
    #[must_use]
    pub fn share(&self, region: &Region) -> Share {
        let whole = Count::product(&self.sources, std::iter::once(LIKELY));
        Share::new(region.count(LIKELY), whole)
    }
}
