//! Addresses as numbers, prefixes as spans.
//!
//! Addresses of both families are held as `u128`; the family is known from the traffic or the rule, so that `0.0.0.1`
//! and `::1` never meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Span, SpanSet};

/// An address family.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// IPv4, 32 bits.
    V4,
    /// IPv6, 128 bits.
    V6,
}

const ALL_V4: &[Span<u128>] = &[Span {
    first: 0,
    last: u32::MAX as u128,
}];
const ALL_V6: &[Span<u128>] = &[Span {
    first: 0,
    last: u128::MAX,
}];

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Number of bits of an address.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// Every address of the family, as one span.
    #[must_use]
    pub fn all(self) -> &'static [Span<u128>] {
        match self {
            Self::V4 => ALL_V4,
            Self::V6 => ALL_V6,
        }
    }

    /// The protocol number that this family's ICMP has: 1, or 58 for `ICMPv6`.
    #[must_use]
    pub fn icmp(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 58,
        }
    }
}

/// An address as a number of its family.
#[must_use]
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The addresses of a prefix.
#[must_use]
pub fn prefix_span(prefix: &IpNet) -> Span<u128> {
    Span {
        first: number(prefix.network()),
        last: number(prefix.broadcast()),
    }
}

/// An address in its usual text form.
#[must_use]
pub fn format_address(family: Family, address: u128) -> String {
    match family {
        // Numbers of the IPv4 family have 32 bits.
        Family::V4 => Ipv4Addr::from_bits(u32::try_from(address).unwrap_or(u32::MAX)).to_string(),
        Family::V6 => Ipv6Addr::from_bits(address).to_string(),
    }
}

/// A prefix: its first address and the number of its fixed bits.
pub type Prefix = (u128, u8);

/// A prefix in CIDR form.
#[must_use]
pub fn format_prefix(family: Family, (first, length): Prefix) -> String {
    format!("{}/{length}", format_address(family, first))
}

/// The last address of a prefix.
#[must_use]
pub fn prefix_last(family: Family, (first, length): Prefix) -> u128 {
    first | host_mask(family.bits() - length.min(family.bits()))
}

fn host_mask(bits: u8) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// The fewest prefixes whose union is the set, in order.
///
/// Greedy from the left is the fewest: each step takes the largest prefix that begins at the first address not yet
/// covered and ends inside the span, and no other prefix could hold that address and more of the set.
#[must_use]
pub fn covering_prefixes(family: Family, set: &SpanSet<u128>) -> Vec<Prefix> {
    let mut out = Vec::new();
    for span in set.spans() {
        let mut next = Some(span.first);
        while let Some(first) = next.filter(|first| *first <= span.last) {
            // Host bits that alignment allows, then as many as still fit.
            let mut host = u8::try_from(first.trailing_zeros()).unwrap_or(128).min(family.bits());
            while host > 0 && first | host_mask(host) > span.last {
                host -= 1;
            }
            out.push((first, family.bits() - host));
            next = (first | host_mask(host)).checked_add(1);
        }
    }
    out
}

/// The smallest prefix that holds both addresses.
#[must_use]
pub fn common_prefix(family: Family, a: u128, b: u128) -> Prefix {
    let host = 128 - u8::try_from((a ^ b).leading_zeros()).unwrap_or(128);
    (a & !host_mask(host), family.bits() - host.min(family.bits()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn span(first: u128, last: u128) -> SpanSet<u128> {
        Span { first, last }.into()
    }

    #[test]
    fn whole_families_are_one_prefix() {
        assert_eq!(covering_prefixes(Family::V4, &span(0, u128::from(u32::MAX))), [(0, 0)]);
        assert_eq!(covering_prefixes(Family::V6, &span(0, u128::MAX)), [(0, 0)]);
        assert_eq!(
            covering_prefixes(Family::V6, &span(u128::MAX, u128::MAX)),
            [(u128::MAX, 128)]
        );
    }

    #[test]
    fn ragged_span_is_cut_at_its_alignment() {
        let prefixes = covering_prefixes(Family::V4, &span(0x0a00_0001, 0x0a00_0006));
        let text: Vec<_> = prefixes.into_iter().map(|p| format_prefix(Family::V4, p)).collect();
        assert_eq!(text, ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]);
    }

    proptest! {
        #[test]
        fn prefixes_cover_the_span_exactly_and_in_order(a: u32, b: u32) {
            let (first, last) = (u128::from(a.min(b)), u128::from(a.max(b)));
            let mut at = first;
            for prefix in covering_prefixes(Family::V4, &span(first, last)) {
                prop_assert_eq!(prefix.0, at);
                at = prefix_last(Family::V4, prefix) + 1;
            }
            prop_assert_eq!(at, last + 1);
        }

        #[test]
        fn common_prefix_holds_both_and_none_smaller_does(a: u32, b: u32) {
            let (x, y) = (u128::from(a), u128::from(b));
            let prefix = common_prefix(Family::V4, x, y);
            let holds = |p: Prefix| p.0 <= x.min(y) && x.max(y) <= prefix_last(Family::V4, p);
            prop_assert!(holds(prefix));
            if prefix.1 < 32 {
                let longer = prefix.1 + 1;
                let first = x & !((1u128 << (32 - longer)) - 1);
                prop_assert!(!holds((first, longer)));
            }
        }
    }
}
