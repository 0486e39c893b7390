//! Text of manifests into values: addresses, prefixes, port lists, protocols. Errors say what would be right.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::{Family, PortMatch, ProtocolMatch, Span, SpanSet, number, prefix_span};

/// An address such as `192.168.1.10` or `2001:db8::1`.
///
/// # Errors
/// The text is no IP address.
pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an IP address such as 192.168.1.10 or 2001:db8::1"))
}

/// A prefix in CIDR form without host bits.
///
/// # Errors
/// The text is no prefix, or has host bits set.
pub(crate) fn prefix(text: &str) -> Result<IpNet, String> {
    cidr(text).map_err(|why| format!("{text:?} {why}"))
}

/// The same for whoever shows the text beside the error, as clap does.
///
/// # Errors
/// What is wrong with the text, which is not repeated.
pub(crate) fn cidr(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .parse()
        .map_err(|_| "is not a prefix in CIDR form such as 192.168.1.0/24 or 2001:db8::/64")?;
    if net == net.trunc() {
        Ok(net)
    } else {
        Err(format!("has host bits set; the prefix is {}", net.trunc()))
    }
}

/// A single address or a prefix, with its family.
///
/// # Errors
/// The text is neither.
pub(crate) fn address_or_prefix(text: &str) -> Result<(Family, Span<u128>), String> {
    if text.contains('/') {
        prefix(text).map(|net| (Family::of(net.addr()), prefix_span(&net)))
    } else {
        address(text).map(|ip| (Family::of(ip), Span::one(number(ip))))
    }
}

/// An entry of an address group: an address, a prefix, or a range `first-last`.
///
/// # Errors
/// The text is none of them, a range mixes families, or ends before it begins.
pub(crate) fn address_group_entry(text: &str) -> Result<(Family, Span<u128>), String> {
    let Some((first, last)) = text.split_once('-') else {
        return address_or_prefix(text);
    };
    let (first, last) = (address(first)?, address(last)?);
    if first.is_ipv4() != last.is_ipv4() {
        return Err(format!("{text:?} mixes IPv4 and IPv6; a range has one family"));
    }
    Span::new(number(first), number(last))
        .map(|span| (Family::of(first), span))
        .ok_or_else(|| format!("{text:?} ends before it begins; write the smaller address first"))
}

/// A port list such as `22,80-90`.
///
/// # Errors
/// A number is no port, or a range ends before it begins.
pub(crate) fn ports(text: &str) -> Result<PortMatch, String> {
    let port = |part: &str| {
        part.parse::<u16>()
            .map_err(|_| format!("{part:?} in {text:?} is not a port; ports are numbers from 0 to 65535"))
    };
    let mut spans = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(part)?, port(part)?),
        };
        let span = Span::new(first, last)
            .ok_or_else(|| format!("range {part:?} in {text:?} ends before it begins; write the smaller port first"))?;
        spans.push(span);
    }
    Ok(PortMatch::only(spans.into_iter().collect::<SpanSet<_>>()))
}

/// A protocol's name or number. `icmp` in an IPv6 rule means `ICMPv6` (semantics §3).
///
/// # Errors
/// The text is no protocol.
pub(crate) fn protocol(text: &str, family: Family) -> Result<ProtocolMatch, String> {
    let number = match text {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => family.icmp(),
        "icmpv6" => 58,
        _ => text
            .parse::<u8>()
            .map_err(|_| format!("{text:?} is not a protocol; use tcp, udp, icmp, icmpv6 or a number from 0 to 255"))?,
    };
    Ok(ProtocolMatch::One(number))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn host_bits_are_refused_and_the_prefix_is_named() {
        assert!(prefix("10.0.0.5/8").unwrap_err().contains("10.0.0.0/8"));
        assert!(prefix("10.0.0.0/8").is_ok());
        assert!(prefix("10.0.0.0/33").is_err());
        assert!(prefix("2001:db8::1/64").unwrap_err().contains("2001:db8::/64"));
    }

    #[test]
    fn ranges_must_not_be_inverted_or_mixed() {
        assert!(
            address_group_entry("10.0.0.9-10.0.0.1")
                .unwrap_err()
                .contains("ends before it begins")
        );
        assert!(
            address_group_entry("10.0.0.9-2001:db8::1")
                .unwrap_err()
                .contains("mixes")
        );
        assert!(ports("90-80").unwrap_err().contains("ends before it begins"));
        assert!(ports("70000").unwrap_err().contains("0 to 65535"));
        assert!(ports("22,80-90,").is_err());
        assert_eq!(
            ports("80-90,22,91").unwrap().spans(),
            [Span::one(22), Span { first: 80, last: 91 }]
        );
    }

    #[test]
    fn icmp_is_read_by_family() {
        assert_eq!(protocol("icmp", Family::V4), Ok(ProtocolMatch::One(1)));
        assert_eq!(protocol("icmp", Family::V6), Ok(ProtocolMatch::One(58)));
        assert_eq!(protocol("icmpv6", Family::V4), Ok(ProtocolMatch::One(58)));
        assert!(protocol("300", Family::V4).is_err());
        assert!(protocol("sctp", Family::V4).is_err());
    }
}
