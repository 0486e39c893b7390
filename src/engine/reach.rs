//! Could a packet like this one pass? The question of domain §6: some dimensions are as in the required packet ("pinned"),
//! the others are free over their whole domain; is any such packet allowed?
//!
//! The answer is computed for a whole region of required packets at once. Every allow rule is a product of five sets, one
//! for each dimension; the denies before it cut pieces out; whatever piece remains is allowed (if not by this rule then
//! by an earlier allow), and its shadow on the plane of remote address and remote port answers "yes" for the packets there.
//! Packets that have their yes are taken out, so that the search ends as soon as all have it.
//!
//! A deny cuts a piece into at most one piece for each dimension, however many prefixes and port ranges it has. The piece is
//! cut by the deny that covers most of it, so that what is denied as a whole is found to be so at once, and not after all
//! small denies before it have cut it to crumbs. Hundreds of denies that overlap each other in four dimensions at once
//! remain a known weakness: their arrangement has that many pieces.

use std::borrow::Cow;

use super::{
    Action, AddressGroups, AddressMatch, Bound, Family, Leg, Region, Rule, Span, SpanSet, Traffic,
    filter::Filter,
    span::{clip, meet},
};

/// Which dimensions are pinned to the required packet's value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "one flag for each dimension is what it is")]
pub struct Pinned {
    /// The protocol.
    pub protocol: bool,
    /// The load balancer's address.
    pub remote: bool,
    /// The load balancer's port.
    pub remote_port: bool,
    /// The server's address.
    pub local: bool,
    /// The server's port.
    pub local_port: bool,
}

const ALL_PORTS: &[Span<u16>] = &[Span {
    first: 0,
    last: u16::MAX,
}];

/// A product of sets of packets, borrowed from a rule until a deny cuts it. A dimension that is pinned to one value, or not
/// asked about, is never cut.
#[derive(Clone, Debug)]
struct Cell<'a> {
    protocol: Cow<'a, [Span<u8>]>,
    local_port: Cow<'a, [Span<u16>]>,
    local: Cow<'a, [Span<u128>]>,
    remote_port: Cow<'a, [Span<u16>]>,
    remote: Cow<'a, [Span<u128>]>,
}

/// A rule and the address groups of its object.
type Placed<'a> = (AddressGroups<'a>, &'a Rule);

struct Search<'a> {
    family: Family,
    pinned: Pinned,
    /// Whether the remote end is an address; otherwise it is the members of a group, and not asked about.
    by_address: bool,
    /// Required packets for which no allowed packet was found yet.
    open: Region,
    denies: Vec<Placed<'a>>,
}

impl Filter<'_> {
    /// The packets of `region` for which some packet that agrees with them on the pinned dimensions is allowed.
    #[must_use]
    pub fn reachable(&self, traffic: &Traffic, leg: Leg, pinned: Pinned, region: &Region) -> Region {
        let protocol = leg.protocol(self.family);
        let rules: Vec<Placed<'_>> = self
            .rules()
            .map(|(_, groups, rule)| (groups, rule))
            .filter(|(groups, rule)| {
                (!pinned.protocol || rule.protocol.contains(protocol))
                    && (!pinned.local || rule.local.contains(*groups, traffic.local))
                    && (!pinned.local_port || rule.local_ports.contains(traffic.port))
            })
            .collect();
        let mut open = search(self.family, pinned, true, region.clone(), &rules, |remote| {
            !matches!(remote, AddressMatch::Members(_))
        });
        if !pinned.remote {
            // Members of each group that a rule names: one abstract address each, outside every prefix (domain §3).
            // A rule that is passed over here names its group all the same.
            let mut groups: Vec<_> = self
                .rules()
                .filter_map(|(.., rule)| match &rule.remote {
                    AddressMatch::Members(group) => Some(group),
                    _ => None,
                })
                .collect();
            groups.sort_unstable();
            groups.dedup();
            for group in groups {
                open = search(self.family, pinned, false, open, &rules, |remote| {
                    remote.contains_members_of(group)
                });
            }
        }
        region.clone().difference(&open)
    }
}

/// What of `open` stays without an allowed packet.
fn search(
    family: Family,
    pinned: Pinned,
    by_address: bool,
    open: Region,
    rules: &[Placed<'_>],
    applies: impl Fn(&AddressMatch) -> bool,
) -> Region {
    let mut search = Search {
        family,
        pinned,
        by_address,
        open,
        denies: Vec::new(),
    };
    for placed in rules.iter().filter(|(_, rule)| applies(&rule.remote)) {
        if search.open.is_empty() {
            break;
        }
        match placed.1.action {
            Action::Deny => search.denies.push(*placed),
            Action::Allow => search.allow(*placed),
        }
    }
    search.open
}

impl<'a> Search<'a> {
    /// Looks for allowed packets among those that this allow rule matches.
    fn allow(&mut self, (groups, rule): Placed<'a>) {
        let cell = Cell {
            protocol: rule.protocol.spans().into(),
            local_port: rule.local_ports.spans().into(),
            local: rule.local.spans(groups).into(),
            remote_port: rule.remote_ports.spans().into(),
            remote: rule.remote.spans(groups).into(),
        };
        // An address group without addresses of the family: the rule matches nothing.
        if cell.local.is_empty() || (self.by_address && cell.remote.is_empty()) {
            return;
        }
        let denies = std::mem::take(&mut self.denies);
        self.cell(&cell, &denies);
        self.denies = denies;
    }

    /// Settles the shadow of what the denies leave of the cell. Their order does not matter: all come before the allow.
    fn cell(&mut self, cell: &Cell<'a>, denies: &[Placed<'a>]) {
        // The required packets that share the pinned remote dimensions with some packet of the cell.
        let remotes = if self.pinned.remote {
            &*cell.remote
        } else {
            self.family.all()
        };
        let ports = if self.pinned.remote_port {
            &*cell.remote_port
        } else {
            ALL_PORTS
        };
        if !self.open.meets(remotes, ports) {
            return;
        }
        let mut meeting = Vec::new();
        let mut widest: Option<(f64, Placed<'a>)> = None;
        for deny in denies {
            if !self.meets(*deny, cell) {
                continue;
            }
            meeting.push(*deny);
            let covered = self.covered(*deny, cell);
            if widest.is_none_or(|(most, _)| covered > most) {
                widest = Some((covered, *deny));
            }
        }
        match widest {
            None => drop(self.open.take(remotes, ports)),
            Some((_, deny)) => self.cut(cell.clone(), deny, &meeting),
        }
    }

    fn meets(&self, (groups, deny): Placed<'_>, cell: &Cell<'_>) -> bool {
        (self.pinned.protocol || meet(deny.protocol.spans(), &cell.protocol))
            && (self.pinned.local_port || meet(deny.local_ports.spans(), &cell.local_port))
            && (!self.by_address || meet(deny.remote.spans(groups), &cell.remote))
            && meet(deny.remote_ports.spans(), &cell.remote_port)
            && (self.pinned.local || meet(deny.local.spans(groups), &cell.local))
    }

    /// The part of the cell that a deny covers, roughly: it only chooses which deny cuts first.
    fn covered(&self, (groups, deny): Placed<'_>, cell: &Cell<'_>) -> f64 {
        let mut out = part(deny.remote_ports.spans(), &cell.remote_port);
        if !self.pinned.protocol {
            out *= part(deny.protocol.spans(), &cell.protocol);
        }
        if !self.pinned.local_port {
            out *= part(deny.local_ports.spans(), &cell.local_port);
        }
        if !self.pinned.local {
            out *= part(deny.local.spans(groups), &cell.local);
        }
        if self.by_address {
            out *= part(deny.remote.spans(groups), &cell.remote);
        }
        out
    }

    /// Goes on with the pieces of the cell that lie outside the deny, dimension by dimension; what lies inside in all of
    /// them is dropped. The dimensions that cast no shadow come first, since a piece that still has the whole shadow
    /// settles the most packets.
    fn cut(&mut self, mut cell: Cell<'a>, (groups, deny): Placed<'a>, next: &[Placed<'a>]) {
        macro_rules! along {
            ($dimension:ident, $spans:expr) => {{
                let outside = SpanSet::difference_of(&cell.$dimension, $spans);
                if !outside.is_empty() {
                    let inside = SpanSet::intersection_of(&cell.$dimension, $spans);
                    cell.$dimension = outside.into_spans().into();
                    self.cell(&cell, next);
                    cell.$dimension = inside.into_spans().into();
                }
            }};
        }
        if !self.pinned.protocol {
            along!(protocol, deny.protocol.spans());
        }
        if !self.pinned.local_port {
            along!(local_port, deny.local_ports.spans());
        }
        if !self.pinned.local {
            along!(local, deny.local.spans(groups));
        }
        along!(remote_port, deny.remote_ports.spans());
        if self.by_address {
            along!(remote, deny.remote.spans(groups));
        }
    }
}

/// The part of a set that lies in sorted spans, between 0 and 1.
fn part<T: Bound>(spans: &[Span<T>], set: &[Span<T>]) -> f64 {
    let mut covered = 0.0;
    let mut whole = 0.0;
    for window in set {
        whole += window.length();
        covered += clip(spans, *window).map(|span| span.length()).sum::<f64>();
    }
    covered / whole
}
