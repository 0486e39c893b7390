//! Which packets a list of rules drops: the first rule that matches decides, nothing matched is denied.

use super::{Action, Family, Leg, Region, Rule, Traffic};

/// Rules in the order of evaluation: those of the first object, then of the second, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Family of the traffic and of all rules here.
    pub family: Family,
    /// The rules of each object.
    pub segments: &'a [&'a [Rule]],
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
    /// The deny rules that decide over some of them, in the order of evaluation; the rest matches no rule.
    pub denials: Vec<Denial<'a>>,
}

impl<'a> Filter<'a> {
    /// All rules with the position of their object.
    pub fn rules(&self) -> impl Iterator<Item = (usize, &'a Rule)> + use<'a> {
        self.segments
            .iter()
            .enumerate()
            .flat_map(|(segment, rules)| rules.iter().map(move |rule| (segment, rule)))
    }

    /// The part of `required` that is dropped. One pass over the rules; most of them are passed over by protocol, server
    /// address or port alone.
    #[must_use]
    pub fn dropped(&self, traffic: &Traffic, leg: Leg, required: Region) -> Dropped<'a> {
        let protocol = leg.protocol(self.family);
        let mut undecided = required;
        let mut out = Dropped::default();
        for (segment, rule) in self.rules() {
            if undecided.is_empty() {
                break;
            }
            if !(rule.protocol.contains(protocol)
                && rule.local_ports.contains(traffic.port)
                && rule.local.contains(traffic.local))
            {
                continue;
            }
            let hit = undecided.take(rule.remote.spans(self.family), rule.remote_ports.spans());
            if rule.action == Action::Deny && !hit.is_empty() {
                out.region.add_disjoint(hit);
                out.denials.push(Denial { segment, rule });
            }
        }
        out.region.add_disjoint(undecided);
        out
    }

    /// The first rule that matches a packet of the leg, with the position of its object.
    #[must_use]
    pub fn decides(&self, traffic: &Traffic, leg: Leg, (remote, port): (u128, u16)) -> Option<(usize, &'a Rule)> {
        let protocol = leg.protocol(self.family);
        self.rules()
            .find(|(_, rule)| rule.matches(protocol, remote, port, traffic.local, traffic.port))
    }
}
