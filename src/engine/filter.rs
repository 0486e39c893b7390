//! Which packets a list of rules drops: the first rule that matches decides, nothing matched is denied.

use std::sync::Arc;

use super::{
    Action, AddressGroups, Family, Leg, Region, Rule, Traffic,
    work::{Exhausted, Work},
};

/// The rules of one object in the order of evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The rules.
    pub rules: &'a [Rule],
    /// The address groups that they name.
    pub groups: AddressGroups<'a>,
    /// The security groups whose members the object's rules name in this direction, those of the other family too.
    pub members: &'a [Arc<str>],
}

/// Rules in the order of evaluation: those of the first object, then of the second, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Family of the traffic and of all rules here.
    pub family: Family,
    /// The rules of each object.
    pub segments: &'a [Segment<'a>],
}

/// A deny rule that decided over some required packet: which object of the filter, which rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Denial<'a> {
    /// Position of the object in the filter.
    pub segment: usize,
    /// The rule.
    pub rule: &'a Rule,
}

/// What a filter does with the required packets of one leg.
#[derive(Clone, Debug, Default)]
pub struct Dropped<'a> {
    /// The packets that do not pass.
    pub region: Region,
    /// Those that do.
    pub passing: Region,
    /// The deny rules that decide over some of them, in the order of evaluation; the rest matches no rule.
    pub denials: Vec<Denial<'a>>,
}

impl<'a> Filter<'a> {
    /// All rules with the position of their object and its address groups.
    pub fn rules(&self) -> impl Iterator<Item = (usize, AddressGroups<'a>, &'a Rule)> + use<'a> {
        self.segments.iter().enumerate().flat_map(|(position, segment)| {
            let groups = segment.groups;
            segment.rules.iter().map(move |rule| (position, groups, rule))
        })
    }

    /// The part of `required`, a block, that is dropped. One pass over the rules; most of them are passed over by protocol,
    /// server address or port alone. Rules that cut the rest into very many pieces are left to the search.
    pub(crate) fn dropped(
        &self,
        traffic: &Traffic,
        leg: Leg,
        required: Region,
        work: &mut Work,
    ) -> Result<Dropped<'a>, Exhausted> {
        let protocol = leg.protocol(self.family);
        let mut undecided = required.clone();
        let mut out = Dropped::default();
        let mut whole = None;
        let (mut looks, mut rules) = (0, 0);
        for (segment, groups, rule) in self.rules() {
            if undecided.is_empty() {
                break;
            }
            rules += 1;
            if !(rule.protocol.contains(protocol)
                && rule.local_ports.contains(traffic.port)
                && rule.local.contains(groups, traffic.local))
            {
                continue;
            }
            let whole = whole.get_or_insert_with(|| undecided.clone());
            looks += undecided.size();
            if looks > work.patience * (rules + 256) {
                work.spend(looks)?;
                return self.dropped_by_search(traffic, leg, whole, work);
            }
            let hit = undecided.take(rule.remote.spans(groups), rule.remote_ports.spans());
            if rule.action == Action::Deny && !hit.is_empty() {
                looks += out.region.size();
                out.region = out.region.union(&hit, work)?;
                out.denials.push(Denial { segment, rule });
            }
        }
        work.spend(rules + looks)?;
        out.region = if out.region.is_empty() {
            undecided
        } else {
            out.region.union(&undecided, work)?
        };
        out.passing = if out.region.is_empty() {
            required
        } else {
            required.difference(&out.region, work)?
        };
        Ok(out)
    }

    fn dropped_by_search(
        &self,
        traffic: &Traffic,
        leg: Leg,
        required: &Region,
        work: &mut Work,
    ) -> Result<Dropped<'a>, Exhausted> {
        let (allowed, denies) = self.allowed(traffic, leg, required, work)?;
        let mut denies = denies.into_iter().peekable();
        let denials = self
            .rules()
            .enumerate()
            .filter(|(at, _)| denies.next_if_eq(at).is_some());
        Ok(Dropped {
            region: required.difference(&allowed, work)?,
            passing: allowed,
            denials: denials
                .map(|(_, (segment, _, rule))| Denial { segment, rule })
                .collect(),
        })
    }

    /// The first rule that matches a packet of the leg, with the position of its object.
    #[must_use]
    pub fn decides(&self, traffic: &Traffic, leg: Leg, (remote, port): (u128, u16)) -> Option<(usize, &'a Rule)> {
        let protocol = leg.protocol(self.family);
        self.rules()
            .find(|(_, groups, rule)| rule.matches(*groups, protocol, (remote, port), (traffic.local, traffic.port)))
            .map(|(segment, _, rule)| (segment, rule))
    }
}
