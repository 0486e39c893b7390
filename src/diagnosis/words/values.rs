//! Values in words: addresses, ports, protocols, shares.

use crate::{
    api::v1alpha1::HealthCheckProtocol,
    engine::{
        Direction, Family, Impact, Layer, Leg, ProtocolMatch, Share, Span, Values, covering_prefixes, format_address,
        format_prefix,
    },
    text,
};

use super::super::report::Report;

/// Values and names in a sentence before the rest is only counted.
const MAX_NAMES: usize = 3;

/// A port range as rules spell it.
fn ports(span: Span<u16>) -> String {
    if span.first == span.last {
        span.first.to_string()
    } else {
        format!("{}-{}", span.first, span.last)
    }
}

/// Values, as manifests spell them.
pub fn list(values: &Values, family: Family) -> Vec<String> {
    match values {
        Values::Protocol(leg) => vec![leg.name(family).to_owned()],
        Values::Prefixes(family, prefixes) => prefixes.iter().map(|prefix| format_prefix(*family, *prefix)).collect(),
        Values::Ports(spans) => spans.iter().map(|span| ports(*span)).collect(),
    }
}

/// A few values for a sentence: single addresses without their length, the rest counted.
pub fn sentence(values: &Values, family: Family) -> String {
    let Values::Prefixes(family, prefixes) = values else {
        return text::sentence_list(list(values, family), MAX_NAMES);
    };
    let shown = |&(first, length): &(u128, u8)| {
        if length == family.bits() {
            format_address(*family, first)
        } else {
            format_prefix(*family, (first, length))
        }
    };
    text::sentence_list(prefixes.iter().map(shown), MAX_NAMES)
}

/// A family as people call it.
pub fn version(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// An address group with a few of its addresses.
pub fn address_group(name: &str, addresses: &Values, family: Family) -> String {
    match addresses {
        Values::Prefixes(_, prefixes) if prefixes.is_empty() => {
            let version = version(family);
            format!("address group {name} (no {version} address)")
        }
        _ => format!("address group {name} ({})", sentence(addresses, family)),
    }
}

/// A few names for a sentence, the rest counted.
pub fn names(names: &[String]) -> String {
    text::sentence_list(names, MAX_NAMES)
}

/// The prefixes from which probes come.
pub fn sources(report: &Report) -> Vec<String> {
    let family = report.traffic.family;
    let prefixes = covering_prefixes(family, &report.traffic.sources);
    prefixes
        .into_iter()
        .map(|prefix| format_prefix(family, prefix))
        .collect()
}

/// A protocol as rules spell it.
pub fn protocol(protocol: ProtocolMatch, family: Family) -> String {
    match protocol {
        ProtocolMatch::All => "all protocols".into(),
        ProtocolMatch::TcpUdp => "tcp and udp".into(),
        ProtocolMatch::One(6) => "tcp".into(),
        ProtocolMatch::One(17) => "udp".into(),
        ProtocolMatch::One(number) if number == family.icmp() => Leg::Icmp.name(family).into(),
        ProtocolMatch::One(1) => "icmp".into(),
        ProtocolMatch::One(58) => "icmpv6".into(),
        ProtocolMatch::One(number) => format!("protocol {number}"),
    }
}

/// The protocol of a health check, as manifests spell it.
pub fn health_check(protocol: HealthCheckProtocol) -> &'static str {
    match protocol {
        HealthCheckProtocol::TCP => "TCP",
        HealthCheckProtocol::UdpConnect => "UDP_CONNECT",
        HealthCheckProtocol::HTTP => "HTTP",
        HealthCheckProtocol::HTTPS => "HTTPS",
        HealthCheckProtocol::TLS => "TLS",
        HealthCheckProtocol::GRPC => "GRPC",
    }
}

/// The effect of a failed item, or of all.
pub fn impact(impact: Impact) -> &'static str {
    match impact {
        Impact::Blocks => "Blocks",
        Impact::Intermittent => "Intermittent",
        Impact::Advisory => "Advisory",
        Impact::None => "None",
    }
}

/// The kind of the objects of a layer.
pub fn kind(layer: Layer) -> &'static str {
    if layer.is_security_group() {
        "SecurityGroup"
    } else {
        "NetworkACL"
    }
}

/// The direction of rules.
pub fn bound(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "inbound",
        Direction::Egress => "outbound",
    }
}

/// A share as a percentage.
pub fn percentage(share: Share) -> String {
    text::percentage(share.ratio())
}
