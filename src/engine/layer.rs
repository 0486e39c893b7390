//! The layers that judge health check traffic: security groups on the interface, the network ACL of the subnet, and beyond the items of
//! the page the network ACLs at the load balancer's end and what stateless security groups make of replies.

use std::{borrow::Cow, sync::Arc};

use super::{
    AddressGroups, Block, Case, Direction, Family, LoadBalancerEnd, NetworkAclState, Region, Rule, RuleSet, Rules,
    SecurityGroupState, SpanSet,
    exempt::{exempt, load_balancer_end_is_exempt},
    filter::{Filter, Segment},
    traffic::EPHEMERAL,
};

/// What an item looks at, seen from both ends of the traffic: *remote* is the load balancer's, *local* the server's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Dimension {
    Protocol,
    Remote,
    RemotePort,
    Local,
    LocalPort,
}

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

    /// What its rules tell packets of a direction apart by, in table order.
    pub(crate) fn dimensions(self, direction: Direction) -> &'static [Dimension] {
        use Dimension::{Local, LocalPort, Protocol, Remote, RemotePort};
        match (self, direction) {
            (Self::SecurityGroup, _) => &[Protocol, Remote, LocalPort],
            (Self::SecurityGroupReply, _) => &[Protocol, Remote, RemotePort],
            // Source before destination, whichever end that is.
            (Self::NetworkAcl, Direction::Ingress) | (Self::LoadBalancerAcl, Direction::Egress) => {
                &[Protocol, Remote, RemotePort, Local, LocalPort]
            }
            (Self::NetworkAcl, Direction::Egress) | (Self::LoadBalancerAcl, Direction::Ingress) => {
                &[Protocol, Local, LocalPort, Remote, RemotePort]
            }
        }
    }
}

/// One direction of one layer that is in force.
#[derive(Clone, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) layer: Layer,
    pub(crate) direction: Direction,
    /// The objects in order of precedence.
    pub(crate) objects: Vec<&'a RuleSet>,
    /// The rules of each object, as they judge this side's packets.
    pub(crate) segments: Vec<Segment<'a>>,
    /// Whether replies leave without a rule, so that findings stop nothing.
    pub(crate) advisory: bool,
    /// The probing addresses whose packets come by here: all, but at the load balancer's end.
    pub(crate) sources: Cow<'a, SpanSet<u128>>,
    /// Those of them whose packets pass before any rule (semantics §4).
    pub(crate) exempt: SpanSet<u128>,
    /// Which of the case's load balancer ends this is, if any.
    pub(crate) end: Option<usize>,
    /// Its subnet.
    pub(crate) subnet: Option<&'a Arc<str>>,
}

const BOTH: [Direction; 2] = [Direction::Ingress, Direction::Egress];

impl<'a> Side<'a> {
    /// The sides of a case that the page looks at and that have rules to go by, in table order.
    pub(crate) fn all(case: &'a Case) -> Vec<Self> {
        let mut out = Vec::with_capacity(4);
        if let SecurityGroupState::Groups { groups, .. } = &case.security_groups {
            for direction in BOTH {
                let side = Self::of(case, Layer::SecurityGroup, direction, groups);
                let advisory = direction == Direction::Egress;
                out.push(Self { advisory, ..side });
            }
        }
        if let NetworkAclState::InForce { rules, stateful } = &case.network_acl {
            for direction in BOTH {
                let side = Self::of(case, Layer::NetworkAcl, direction, std::slice::from_ref(rules));
                let advisory = direction == Direction::Egress && *stateful;
                let exempt = exempt(case, direction);
                out.push(Self {
                    advisory,
                    exempt,
                    ..side
                });
            }
        }
        out
    }

    /// The sides beyond those, in the order of [`super::CheckId::BEYOND`]; all of their packets have to pass.
    pub(crate) fn beyond(case: &'a Case) -> Vec<Self> {
        let mut out = Vec::new();
        // Probes first.
        for direction in [Direction::Egress, Direction::Ingress] {
            let ends = case.load_balancer_ends.iter().enumerate();
            out.extend(ends.filter_map(|(at, end)| Self::load_balancer_end(case, direction, at, end)));
        }
        match &case.security_groups {
            // Without a group everything is denied already.
            SecurityGroupState::Groups { groups, stateful } if !stateful && !groups.is_empty() => {
                out.push(Self::of(case, Layer::SecurityGroupReply, Direction::Egress, groups));
            }
            SecurityGroupState::Groups { .. } | SecurityGroupState::NotApplied => {}
        }
        out
    }

    /// One direction at one of the load balancer's ends; `None` where its rules are not asked.
    fn load_balancer_end(case: &'a Case, direction: Direction, at: usize, end: &'a LoadBalancerEnd) -> Option<Self> {
        if (direction == Direction::Ingress && end.stateful) || load_balancer_end_is_exempt(case, direction, end) {
            return None;
        }
        let here: SpanSet<u128> = end.prefixes.iter().copied().collect();
        let sources = case.traffic.sources.intersection(&here);
        if sources.is_empty() {
            return None;
        }
        let rules = std::slice::from_ref(&end.rules);
        Some(Self {
            sources: Cow::Owned(sources),
            end: Some(at),
            subnet: Some(&end.subnet),
            ..Self::of(case, Layer::LoadBalancerAcl, direction, rules)
        })
    }

    fn of(case: &'a Case, layer: Layer, direction: Direction, rules: &'a [Rules]) -> Self {
        let segment = |rules: &'a Rules| rules.segment(layer, direction, case.traffic.family);
        Self {
            layer,
            direction,
            objects: rules.iter().map(|rules| &*rules.set).collect(),
            segments: rules.iter().map(segment).collect(),
            advisory: false,
            sources: Cow::Borrowed(&case.traffic.sources),
            exempt: SpanSet::default(),
            end: None,
            subnet: None,
        }
    }

    pub(crate) fn filter(&self, case: &Case) -> Filter<'_> {
        Filter {
            family: case.traffic.family,
            segments: &self.segments,
        }
    }

    /// The required packets that this side's rules must allow: all but the exempt ones. A block, or nothing.
    pub(crate) fn required(&self) -> Region {
        let remotes = if self.exempt.is_empty() {
            SpanSet::clone(&self.sources)
        } else {
            self.sources.difference(&self.exempt)
        };
        if remotes.is_empty() {
            return Region::default();
        }
        let ports = EPHEMERAL.into();
        Region::from(Block { remotes, ports })
    }
}

impl Rules {
    fn segment(&self, layer: Layer, direction: Direction, family: Family) -> Segment<'_> {
        let rules: &[Rule] = match layer {
            Layer::SecurityGroup | Layer::NetworkAcl => self.set.rules(direction, family),
            Layer::LoadBalancerAcl => self.set.swapped(direction, family),
            Layer::SecurityGroupReply => self.set.reply(family),
        };
        Segment {
            rules,
            groups: AddressGroups {
                family,
                by_slot: &self.groups,
            },
            members: self.set.members(direction),
        }
    }
}
