//! Values of the engine as the API has them.

use crate::{
    api::v1alpha1::{DiagnosisImpact, Direction as ApiDirection, FixKind, ItemImpact, NearestDimension, RuleKind},
    engine::{Dimension, Direction, Impact, Layer, PortFix},
};

pub(super) fn kind(layer: Layer) -> RuleKind {
    if layer.is_security_group() {
        RuleKind::SecurityGroup
    } else {
        RuleKind::NetworkACL
    }
}

/// The kind of the objects of a layer, in a sentence.
pub(super) fn kind_name(layer: Layer) -> &'static str {
    if layer.is_security_group() {
        "security group"
    } else {
        "network ACL"
    }
}

pub(super) fn fix_kind(layer: Layer) -> FixKind {
    if layer.is_security_group() {
        FixKind::SecurityGroup
    } else {
        FixKind::NetworkACL
    }
}

pub(super) fn port_fix_kind(from: PortFix) -> FixKind {
    match from {
        PortFix::BackendServer => FixKind::BackendServer,
        PortFix::Group => FixKind::LoadBalancer,
    }
}

pub(super) fn direction(direction: Direction) -> ApiDirection {
    match direction {
        Direction::Ingress => ApiDirection::Ingress,
        Direction::Egress => ApiDirection::Egress,
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
pub fn dimension(layer: Layer, direction: Direction, dimension: Dimension) -> NearestDimension {
    match (layer, direction, dimension) {
        (_, _, Dimension::Protocol) => NearestDimension::Protocol,
        (Layer::SecurityGroup | Layer::SecurityGroupReply, _, Dimension::LocalPort | Dimension::RemotePort) => {
            NearestDimension::Port
        }
        // Seen from the load balancer's subnet, its own end is the source of what leaves.
        (Layer::LoadBalancerAcl, Direction::Egress, end) => self::dimension(Layer::NetworkAcl, Direction::Ingress, end),
        (Layer::LoadBalancerAcl, Direction::Ingress, end) => self::dimension(Layer::NetworkAcl, Direction::Egress, end),
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
pub fn dimension_name(dimension: NearestDimension) -> &'static str {
    match dimension {
        NearestDimension::Protocol => "protocol",
        NearestDimension::Source => "source",
        NearestDimension::SourcePort => "source port",
        NearestDimension::Destination => "destination",
        NearestDimension::DestinationPort => "destination port",
        NearestDimension::Port => "port",
    }
}
