//! The two layers that judge health check traffic: security groups on the interface, the network ACL of the subnet.

use super::{
    AddressGroups, Case, Direction, Family, NetworkAclState, Region, RuleSet, Rules, SecurityGroupState, SpanSet,
    exempt::exempt,
    filter::{Filter, Segment},
};

/// Where rules stand, and what of the traffic they are asked about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Layer {
    /// The server's network interface, as the page looks at it.
    SecurityGroup,
    /// The border of the server's subnet.
    NetworkAcl,
    /// The border of a subnet from which the load balancer probes: probes leave it, replies enter it (semantics §4).
    LoadBalancerAcl,
    /// Stateless security groups on the server's network interface, asked about the replies (semantics §3).
    SecurityGroupReply,
}

impl Layer {
    /// Whether its rules are those of security groups; else of a network ACL.
    #[must_use]
    pub fn is_security_group(self) -> bool {
        matches!(self, Self::SecurityGroup | Self::SecurityGroupReply)
    }
}

/// One direction of one layer that is in force.
#[derive(Clone, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) layer: Layer,
    pub(crate) direction: Direction,
    /// The objects in order of precedence.
    pub(crate) objects: Vec<&'a RuleSet>,
    /// The rules of each object.
    pub(crate) segments: Vec<Segment<'a>>,
    /// Whether replies leave without a rule, so that outbound findings stop nothing.
    pub(crate) stateful: bool,
    /// Remote addresses whose packets pass before any rule (semantics §4).
    pub(crate) exempt: SpanSet<u128>,
}

impl<'a> Side<'a> {
    /// The sides of a case that have rules to go by, in table order.
    pub(crate) fn all(case: &'a Case) -> Vec<Self> {
        let mut out = Vec::with_capacity(4);
        let family = case.traffic.family;
        let both = [Direction::Ingress, Direction::Egress];
        if let SecurityGroupState::Groups { groups, .. } = &case.security_groups {
            for direction in both {
                let objects: Vec<_> = groups.iter().map(|group| &*group.set).collect();
                let segments = groups.iter().map(|group| group.segment(direction, family)).collect();
                let exempt = SpanSet::default();
                out.push(Self {
                    layer: Layer::SecurityGroup,
                    direction,
                    objects,
                    segments,
                    stateful: true,
                    exempt,
                });
            }
        }
        if let NetworkAclState::InForce { rules, stateful } = &case.network_acl {
            for direction in both {
                let (objects, segments) = (vec![&*rules.set], vec![rules.segment(direction, family)]);
                let exempt = exempt(case, direction);
                out.push(Self {
                    layer: Layer::NetworkAcl,
                    direction,
                    objects,
                    segments,
                    stateful: *stateful,
                    exempt,
                });
            }
        }
        out
    }

    pub(crate) fn filter(&self, case: &Case) -> Filter<'_> {
        Filter {
            family: case.traffic.family,
            segments: &self.segments,
        }
    }

    /// The required packets that this side's rules must allow: all but the exempt ones.
    pub(crate) fn required(&self, case: &Case) -> Region {
        let mut out = case.traffic.required();
        out.take(self.exempt.spans(), &[super::traffic::EPHEMERAL]);
        out
    }

    /// Whether a finding on this side cannot stop the health check.
    pub(crate) fn is_advisory(&self) -> bool {
        self.direction == Direction::Egress && self.stateful
    }
}

impl Rules {
    fn segment(&self, direction: Direction, family: Family) -> Segment<'_> {
        Segment {
            rules: self.set.rules(direction, family),
            groups: AddressGroups {
                family,
                by_slot: &self.groups,
            },
            members: self.set.members(direction),
        }
    }
}
