//! Addresses, prefixes, ports and protocols as they stand in manifests. An error says that the value is wrong, which
//! makes the diagnosis `InvalidSpec` (semantics §9).

use std::{cmp::Ordering, net::IpAddr};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn bits(self) -> u32 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The highest address of the family; the lowest is 0.
    pub fn last(self) -> u128 {
        match self {
            Self::V4 => u128::from(u32::MAX),
            Self::V6 => u128::MAX,
        }
    }

    /// As a rule's `ethertype` or `ipVersion` names it.
    pub fn named(text: Option<&str>) -> Self {
        match text {
            Some("IPv6") => Self::V6,
            _ => Self::V4,
        }
    }
}

/// First and last value, both included.
pub type Range = (u128, u128);
/// What is wrong with a value.
pub type Wrong = String;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

pub fn address(text: &str) -> Result<(Family, u128), Wrong> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(a)) => Ok((Family::V4, u128::from(u32::from(a)))),
        Ok(IpAddr::V6(a)) => Ok((Family::V6, u128::from(a))),
        Err(_) => Err(format!("{text:?} is not an address")),
    }
}

/// A prefix in CIDR form; a host bit set is wrong.
pub fn prefix(text: &str) -> Result<(Family, Range), Wrong> {
    let (network, length) = text.split_once('/').ok_or(format!("{text:?} is not a prefix"))?;
    let (family, first) = address(network)?;
    let length: u32 = length.parse().map_err(|_| format!("{text:?}: no length"))?;
    if length > family.bits() {
        return Err(format!("{text:?}: too long"));
    }
    let free = family.bits() - length;
    let hosts = if free == 128 { u128::MAX } else { (1u128 << free) - 1 };
    if first & hosts != 0 {
        return Err(format!("{text:?}: host bit set"));
    }
    Ok((family, (first, first | hosts)))
}

/// An address or a prefix.
pub fn address_or_prefix(text: &str) -> Result<(Family, Range), Wrong> {
    if text.contains('/') {
        return prefix(text);
    }
    address(text).map(|(family, a)| (family, (a, a)))
}

/// An entry of an address group: "single IP, `a-b` range, or CIDR" (semantics §1).
pub fn address_group_entry(text: &str) -> Result<(Family, Range), Wrong> {
    let Some((first, last)) = text.split_once('-') else {
        return address_or_prefix(text);
    };
    let ((family, first), (other, last)) = (address(first)?, address(last)?);
    if family != other || first > last {
        return Err(format!("{text:?} is not a range"));
    }
    Ok((family, (first, last)))
}

/// "ports such as `22,80-90`" (semantics §3).
pub fn ports(text: &str) -> Result<Vec<Range>, Wrong> {
    let port = |t: &str| match t.parse::<u16>() {
        Ok(p) if p > 0 => Ok(u128::from(p)),
        _ => Err(format!("{t:?} is not a port")),
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(format!("{part:?} ends before it begins"));
        }
        all.push((first, last));
    }
    Ok(normal(all))
}

/// "`tcp`, `udp`, `icmp`, `icmpv6`, a number 0–255 …; `icmp` in an IPv6 rule means `ICMPv6`" (semantics §3).
pub fn protocol(text: &str, family: Family) -> Result<u8, Wrong> {
    match (text, family) {
        ("tcp", _) => Ok(TCP),
        ("udp", _) => Ok(UDP),
        ("icmp", Family::V4) => Ok(ICMP),
        ("icmp", Family::V6) | ("icmpv6", _) => Ok(ICMPV6),
        _ => text.parse().map_err(|_| format!("{text:?} is not a protocol")),
    }
}

/// Sorted, without overlaps, neighbours joined.
pub fn normal(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if before.1.checked_add(1).is_none_or(|next| first <= next) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// The values of `all` that are not in `out`.
pub fn without(all: &[Range], out: &[Range]) -> Vec<Range> {
    let mut rest = normal(all.to_vec());
    for &(first, last) in out {
        rest = rest
            .into_iter()
            .flat_map(|(a, b)| {
                let below = (a < first).then(|| (a, b.min(first - 1)));
                let above = (b > last).then(|| (a.max(last + 1), b));
                below.into_iter().chain(above)
            })
            .collect();
    }
    rest
}

/// The values that are in both.
pub fn common(one: &[Range], other: &[Range]) -> Vec<Range> {
    without(one, &without(one, other))
}

pub fn contains(ranges: &[Range], value: u128) -> bool {
    ranges.iter().any(|&(first, last)| first <= value && value <= last)
}

/// How many values there are.
pub fn count(ranges: &[Range]) -> u128 {
    ranges.iter().map(|&(first, last)| last - first + 1).sum()
}

/// How many prefixes it takes at least to write down these addresses: from the left, always the largest aligned block.
pub fn fewest_prefixes(ranges: &[Range]) -> usize {
    let mut prefixes = 0;
    for (mut first, last) in normal(ranges.to_vec()) {
        loop {
            let aligned = if first == 0 {
                127
            } else {
                first.trailing_zeros().min(127)
            };
            let fits = (0..=aligned)
                .rev()
                .find(|&k| (last - first) >= (1u128 << k) - 1)
                .unwrap();
            prefixes += 1;
            let end = first + ((1u128 << fits) - 1);
            if end == last {
                break;
            }
            first = end + 1;
        }
    }
    prefixes
}

/// A part of a whole, exactly.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub part: u128,
    pub whole: u128,
}

impl Share {
    pub fn is_all(self) -> bool {
        self.part == self.whole
    }

    pub fn is_none(self) -> bool {
        self.part == 0
    }

    /// The greater of the two, exactly: whole parts first, then what remains, upside down (Euclid), so that no product of
    /// two large counts is needed.
    pub fn worse(self, other: Self) -> Self {
        if self.is_less_than(other) { other } else { self }
    }

    pub fn is_less_than(self, other: Self) -> bool {
        fn less(a: (u128, u128), b: (u128, u128)) -> bool {
            match ((a.0 / a.1).cmp(&(b.0 / b.1)), a.0 % a.1, b.0 % b.1) {
                (Ordering::Equal, _, 0) => false,
                (Ordering::Equal, 0, _) => true,
                (Ordering::Equal, rest_a, rest_b) => less((b.1, rest_b), (a.1, rest_a)),
                (order, _, _) => order == Ordering::Less,
            }
        }
        less((self.part, self.whole), (other.part, other.whole))
    }

    /// Near enough for comparing with a decimal string; "all" and "none" are judged on the exact counts.
    #[allow(clippy::cast_precision_loss, reason = "12 digits are compared")]
    pub fn number(self) -> f64 {
        self.part as f64 / self.whole as f64
    }

    /// Whether a decimal string says this share: "0" and "1" only when it is exactly that, at least six digits else.
    pub fn is_said_by(self, text: &str) -> bool {
        let Ok(said) = text.parse::<f64>() else { return false };
        match (self.is_none(), self.is_all()) {
            (true, _) => text == "0",
            (_, true) => text == "1",
            _ => text != "1" && text != "0" && (said - self.number()).abs() <= 1e-9 * self.number(),
        }
    }
}
