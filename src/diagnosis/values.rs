//! Values of the engine in the words of manifests.

use crate::{
    api::v1alpha1::{DiagnosisImpact, Direction as ApiDirection, ItemImpact, NearestDimension, RuleKind},
    engine::{
        Dimension, Direction, Family, Impact, Layer, Leg, ProtocolMatch, Span, Values, format_address, format_prefix,
    },
    text,
};

/// Values listed in a status before the rest is only counted.
pub(super) const MAX_VALUES: usize = 16;

/// Values and names in a sentence before the rest is only counted.
const MAX_NAMES: usize = 3;

/// A port range as rules spell it.
pub(super) fn ports(span: Span<u16>) -> String {
    if span.first == span.last {
        span.first.to_string()
    } else {
        format!("{}-{}", span.first, span.last)
    }
}

/// Blocked values, all of them.
pub(super) fn list(values: &Values, family: Family) -> Vec<String> {
    match values {
        Values::Protocol(leg) => vec![leg.name(family).to_owned()],
        Values::Prefixes(family, prefixes) => prefixes.iter().map(|prefix| format_prefix(*family, *prefix)).collect(),
        Values::Ports(spans) => spans.iter().map(|span| ports(*span)).collect(),
    }
}

/// A few values for a sentence: single addresses without their length, the rest counted.
pub(super) fn sentence(values: &Values, family: Family) -> String {
    let Values::Prefixes(family, prefixes) = values else {
        return names(&list(values, family));
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

/// A few names for a sentence, the rest counted.
pub(super) fn names(names: &[String]) -> String {
    text::sentence_list(names, MAX_NAMES)
}

/// A protocol as rules spell it.
pub(super) fn protocol(number: ProtocolMatch, family: Family) -> String {
    match number {
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

pub(super) fn kind(layer: Layer) -> RuleKind {
    match layer {
        Layer::SecurityGroup => RuleKind::SecurityGroup,
        Layer::NetworkAcl => RuleKind::NetworkACL,
    }
}

pub(super) fn direction(direction: Direction) -> ApiDirection {
    match direction {
        Direction::Ingress => ApiDirection::Ingress,
        Direction::Egress => ApiDirection::Egress,
    }
}

pub(super) fn bound(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "inbound",
        Direction::Egress => "outbound",
    }
}

pub(super) fn item_impact(impact: Impact) -> ItemImpact {
    match impact {
        Impact::Blocks => ItemImpact::Blocks,
        Impact::Intermittent => ItemImpact::Intermittent,
        Impact::Advisory | Impact::None => ItemImpact::Advisory,
    }
}

pub(super) fn diagnosis_impact(impact: Impact) -> DiagnosisImpact {
    match impact {
        Impact::Blocks => DiagnosisImpact::Blocks,
        Impact::Intermittent => DiagnosisImpact::Intermittent,
        Impact::Advisory => DiagnosisImpact::Advisory,
        Impact::None => DiagnosisImpact::None,
    }
}

/// A dimension as the layer and direction call it.
pub(super) fn dimension(layer: Layer, direction: Direction, dimension: Dimension) -> NearestDimension {
    match (layer, direction, dimension) {
        (_, _, Dimension::Protocol) => NearestDimension::Protocol,
        (Layer::SecurityGroup, _, Dimension::LocalPort | Dimension::RemotePort) => NearestDimension::Port,
        (_, Direction::Ingress, Dimension::Remote) | (_, Direction::Egress, Dimension::Local) => {
            NearestDimension::Source
        }
        (_, Direction::Ingress, Dimension::Local) | (_, Direction::Egress, Dimension::Remote) => {
            NearestDimension::Destination
        }
        (_, Direction::Ingress, Dimension::RemotePort) | (_, Direction::Egress, Dimension::LocalPort) => {
            NearestDimension::SourcePort
        }
        (_, Direction::Ingress, Dimension::LocalPort) | (_, Direction::Egress, Dimension::RemotePort) => {
            NearestDimension::DestinationPort
        }
    }
}

/// A dimension in a sentence.
pub(super) fn dimension_name(dimension: NearestDimension) -> &'static str {
    match dimension {
        NearestDimension::Protocol => "protocol",
        NearestDimension::Source => "source",
        NearestDimension::SourcePort => "source port",
        NearestDimension::Destination => "destination",
        NearestDimension::DestinationPort => "destination port",
        NearestDimension::Port => "port",
    }
}
