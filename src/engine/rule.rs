//! Rules in the form in which they are judged: one shape for security groups and network ACLs.
//!
//! A packet has two ends, whichever way it goes: *remote* is the load balancer's probing address and port, *local* the
//! backend server's. A rule is written about source and destination; compiling it turns these into remote and local, so
//! that inbound and outbound rules are judged by the same code.

use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use super::{Family, Span, SpanSet, address::prefix_span, span::contains};

/// What a rule does with a packet that it matches.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Let it pass.
    Allow,
    /// Drop it.
    Deny,
}

/// Direction of traffic, seen from the server.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// Towards the server: probes.
    Ingress,
    /// Away from the server: replies.
    Egress,
}

/// Which protocols a rule matches.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ProtocolMatch {
    /// All of 0–255.
    All,
    /// One protocol number.
    One(u8),
    /// TCP and UDP: what a rule with ports and no protocol means, since no other protocol has ports.
    TcpUdp,
}

impl ProtocolMatch {
    /// Whether the rule matches this protocol number.
    #[inline]
    #[must_use]
    pub fn contains(self, protocol: u8) -> bool {
        match self {
            Self::All => true,
            Self::One(own) => own == protocol,
            Self::TcpUdp => protocol == 6 || protocol == 17,
        }
    }

    /// The protocol numbers as sorted spans.
    #[must_use]
    pub fn spans(self) -> &'static [Span<u8>] {
        match self {
            Self::All => &[Span {
                first: 0,
                last: u8::MAX,
            }],
            Self::TcpUdp => &[Span { first: 6, last: 6 }, Span { first: 17, last: 17 }],
            Self::One(own) => {
                let at = usize::from(own);
                SINGLE.get(at..=at).unwrap_or_default()
            }
        }
    }
}

/// The span of each protocol number alone.
static SINGLE: [Span<u8>; 256] = singles();

#[allow(
    clippy::indexing_slicing,
    reason = "256 places for the numbers 0-255; run by the compiler"
)]
const fn singles() -> [Span<u8>; 256] {
    let mut out = [Span { first: 0, last: 0 }; 256];
    let mut number = u8::MAX;
    while number > 0 {
        out[number as usize] = Span {
            first: number,
            last: number,
        };
        number -= 1;
    }
    out
}

/// The addresses of one address group, by family.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressSet {
    /// IPv4 addresses.
    pub v4: SpanSet<u128>,
    /// IPv6 addresses.
    pub v6: SpanSet<u128>,
}

impl AddressSet {
    /// The addresses of one family.
    #[must_use]
    pub fn of(&self, family: Family) -> &SpanSet<u128> {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// The address groups that the rules of one object name, as far as one family goes.
#[derive(Clone, Copy, Debug)]
pub struct AddressGroups<'a> {
    /// The family.
    pub family: Family,
    /// The groups, by the slots of the object's rule set.
    pub by_slot: &'a [Arc<AddressSet>],
}

impl<'a> AddressGroups<'a> {
    /// The addresses of the group in a slot, sorted; none where there is no such slot.
    #[must_use]
    pub fn spans(self, slot: u32) -> &'a [Span<u128>] {
        let group = usize::try_from(slot).ok().and_then(|slot| self.by_slot.get(slot));
        group.map_or(&[], |group| group.of(self.family).spans())
    }
}

/// Which addresses a rule matches at one end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AddressMatch {
    /// Every address of the family, and every interface in a group: no address is given, or the family's whole prefix.
    Any,
    /// These addresses.
    Set(SpanSet<u128>),
    /// The addresses of the address group in this slot of the rule set. Groups are shared, not copied into their rules.
    Group(u32),
    /// The interfaces that carry this security group. Health check sources never do (semantics §3).
    Members(Arc<str>),
}

impl AddressMatch {
    /// The addresses of a prefix. That of the whole family matches interfaces in groups, too; an address group that holds the whole
    /// family does not (semantics §3).
    #[must_use]
    pub fn prefix(prefix: &IpNet) -> Self {
        if prefix.prefix_len() == 0 {
            Self::Any
        } else {
            Self::Set(prefix_span(prefix).into())
        }
    }

    /// Whether the address is matched.
    #[inline]
    #[must_use]
    pub fn contains(&self, groups: AddressGroups<'_>, address: u128) -> bool {
        match self {
            Self::Any => true,
            Self::Set(set) => set.contains(address),
            Self::Group(slot) => contains(groups.spans(*slot), address),
            Self::Members(_) => false,
        }
    }

    /// The addresses as sorted spans; members of groups have no addresses here.
    #[inline]
    #[must_use]
    pub fn spans<'a>(&'a self, groups: AddressGroups<'a>) -> &'a [Span<u128>] {
        match self {
            Self::Any => groups.family.all(),
            Self::Set(set) => set.spans(),
            Self::Group(slot) => groups.spans(*slot),
            Self::Members(_) => &[],
        }
    }

    /// Whether the interfaces that carry `group` are matched.
    #[cfg(test)]
    pub(super) fn contains_members_of(&self, group: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Set(_) | Self::Group(_) => false,
            Self::Members(own) => &**own == group,
        }
    }
}

/// Which ports a rule matches at one end; `None` means all, 0–65535.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PortMatch(Option<SpanSet<u16>>);

const ALL_PORTS: &[Span<u16>] = &[Span {
    first: 0,
    last: u16::MAX,
}];

impl PortMatch {
    /// Every port.
    pub const ALL: Self = Self(None);

    /// Only these ports.
    #[must_use]
    pub fn only(ports: SpanSet<u16>) -> Self {
        Self(Some(ports))
    }

    /// Whether the ports are given and this is one of them.
    #[must_use]
    pub fn names(&self, port: u16) -> bool {
        self.0.as_ref().is_some_and(|ports| ports.contains(port))
    }

    /// Whether the port is matched.
    #[inline]
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.as_ref().is_none_or(|ports| ports.contains(port))
    }

    /// The ports as sorted spans.
    #[inline]
    #[must_use]
    pub fn spans(&self) -> &[Span<u16>] {
        self.0.as_ref().map_or(ALL_PORTS, SpanSet::spans)
    }
}

/// One enabled rule of one direction and family.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// The protocols that it matches.
    pub protocol: ProtocolMatch,
    /// The addresses at the load balancer's end.
    pub remote: AddressMatch,
    /// The ports at the load balancer's end.
    pub remote_ports: PortMatch,
    /// The addresses at the server's end.
    pub local: AddressMatch,
    /// The ports at the server's end. A security group's ports stand here in both directions (semantics §5).
    pub local_ports: PortMatch,
    /// Position in the array in which it is written, from 0.
    pub index: u32,
    /// Priority of a security group rule, 1 first; 0 for a network ACL rule, whose order is its position.
    pub priority: u8,
    /// Its name.
    pub name: Arc<str>,
}

impl Rule {
    /// Whether the rule matches a packet. For a leg without ports the ports given do not matter, since a rule with ports
    /// never matches its protocol.
    #[must_use]
    pub fn matches(
        &self,
        groups: AddressGroups<'_>,
        protocol: u8,
        (remote, remote_port): (u128, u16),
        (local, local_port): (u128, u16),
    ) -> bool {
        self.protocol.contains(protocol)
            && self.remote.contains(groups, remote)
            && self.remote_ports.contains(remote_port)
            && self.local.contains(groups, local)
            && self.local_ports.contains(local_port)
    }
}

/// Lists of rules turned so that they judge packets whose ends are not where the rules' own direction has them.
#[derive(Clone, Debug, Default)]
struct Turned(OnceLock<Box<[Vec<Rule>; 4]>>);

impl Turned {
    fn lists(&self, lists: &[Vec<Rule>; 4], turn: impl Fn(&Rule) -> Rule) -> &[Vec<Rule>; 4] {
        self.0.get_or_init(|| {
            let turned = lists.each_ref().map(|list| list.iter().map(&turn).collect());
            Box::new(turned)
        })
    }
}

/// What was derived makes no difference.
impl PartialEq for Turned {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Turned {}

/// The enabled rules of one object in the order of evaluation, by direction and family.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RuleSet {
    /// Name of the object.
    pub name: Arc<str>,
    lists: [Vec<Rule>; 4],
    /// The security groups whose members rules of each direction name, those of both families; sorted, each once.
    members: [Vec<Arc<str>>; 2],
    /// The lists with both ends swapped, once somebody asked for them.
    swapped: Turned,
    /// The lists with the ports at the other end, once somebody asked for them.
    reply: Turned,
    /// Names of the address groups that its rules refer to, by slot, each once.
    pub group_names: Vec<Arc<str>>,
    /// How many rules of each direction are written in it, disabled ones too: an object holds so many and no more.
    pub written: [usize; 2],
}

impl RuleSet {
    /// An object without rules.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    fn at(direction: Direction, family: Family) -> usize {
        match (direction, family) {
            (Direction::Ingress, Family::V4) => 0,
            (Direction::Ingress, Family::V6) => 1,
            (Direction::Egress, Family::V4) => 2,
            (Direction::Egress, Family::V6) => 3,
        }
    }

    /// The rules of a direction and family in the order of evaluation.
    #[must_use]
    pub fn rules(&self, direction: Direction, family: Family) -> &[Rule] {
        self.lists.get(Self::at(direction, family)).map_or(&[], Vec::as_slice)
    }

    /// The same rules with both ends swapped, as they judge packets where the load balancer's end is the near one (semantics §4):
    /// the source of what leaves its subnet is the prober. Made once for each rule set, when first asked for.
    #[must_use]
    pub fn swapped(&self, direction: Direction, family: Family) -> &[Rule] {
        let lists = self.swapped.lists(&self.lists, |rule| Rule {
            remote: rule.local.clone(),
            remote_ports: rule.local_ports.clone(),
            local: rule.remote.clone(),
            local_ports: rule.remote_ports.clone(),
            ..rule.clone()
        });
        lists.get(Self::at(direction, family)).map_or(&[], Vec::as_slice)
    }

    /// The outbound rules of a security group as they judge replies where it is stateless: a rule's ports are destination ports, so the
    /// prober's (semantics §3). Made once for each rule set, when first asked for.
    #[must_use]
    pub fn reply(&self, family: Family) -> &[Rule] {
        let lists = self.reply.lists(&self.lists, |rule| Rule {
            remote_ports: rule.local_ports.clone(),
            local_ports: PortMatch::ALL,
            ..rule.clone()
        });
        let list = lists.get(Self::at(Direction::Egress, family));
        list.map_or(&[], Vec::as_slice)
    }

    /// The security groups whose members rules of a direction name, whichever family the rules are of: sorted, each once.
    #[must_use]
    pub fn members(&self, direction: Direction) -> &[Arc<str>] {
        let [ingress, egress] = &self.members;
        match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        }
    }

    /// Adds a rule at the end of its list.
    pub fn push(&mut self, direction: Direction, family: Family, rule: Rule) {
        self.forget();
        if let AddressMatch::Members(group) = &rule.remote {
            let [ingress, egress] = &mut self.members;
            let members = match direction {
                Direction::Ingress => ingress,
                Direction::Egress => egress,
            };
            if let Err(at) = members.binary_search(group) {
                members.insert(at, Arc::clone(group));
            }
        }
        if let Some(list) = self.lists.get_mut(Self::at(direction, family)) {
            list.push(rule);
        }
    }

    fn forget(&mut self) {
        (self.swapped, self.reply) = (Turned::default(), Turned::default());
    }

    /// Puts a security group's rules into the order of evaluation: by priority, deny before allow, position (semantics §3).
    pub fn sort_by_priority(&mut self) {
        self.forget();
        for list in &mut self.lists {
            sort_by_priority(list);
        }
    }
}

/// The rules of one object and the address groups that they name.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rules.
    pub set: Arc<RuleSet>,
    /// The address groups by the slots of the rule set; a slot without a group matches nothing.
    pub groups: Vec<Arc<AddressSet>>,
}

#[cfg(test)]
impl Rules {
    /// Rules that name no address group.
    pub(super) fn without_groups(set: RuleSet) -> Self {
        Self {
            set: Arc::new(set),
            groups: Vec::new(),
        }
    }
}

/// The order of evaluation within one security group (semantics §3); position settles what cannot matter.
pub(crate) fn sort_by_priority(rules: &mut [Rule]) {
    rules.sort_by_key(evaluation_key);
}

/// What the order of evaluation within one security group goes by.
pub(crate) fn evaluation_key(rule: &Rule) -> (u8, bool, u32) {
    (rule.priority, rule.action == Action::Allow, rule.index)
}
