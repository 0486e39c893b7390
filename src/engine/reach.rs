//! Could a packet like this one pass? The question of domain §6: some dimensions are as in the required packet ("pinned"),
//! the others are free over their whole domain; is any such packet allowed?
//!
//! The answer is computed for a whole region of required packets at once. Every allow rule is a box over five dimensions;
//! the denies before it cut pieces out; whatever piece remains is allowed (if not by this rule then by an earlier allow),
//! and its shadow on the plane of remote address and remote port answers "yes" for the packets there. Packets that have
//! their yes are taken out, so that the search ends as soon as all have it. Pieces are plain boxes on the stack. A piece is
//! cut by the deny that covers most of it, so that what is denied as a whole is found to be so at once, and not after all
//! small denies before it have cut the piece to crumbs. Hundreds of denies that each overlap in four dimensions remain a
//! known weakness: their arrangement has that many pieces.

use super::{
    Action, AddressMatch, Bound, Family, Leg, Rect, Region, Rule, Span, Traffic,
    filter::Filter,
    rule::{clip, gaps},
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

const ALL_PROTOCOLS: Span<u8> = Span {
    first: 0,
    last: u8::MAX,
};
const ALL_PORTS: Span<u16> = Span {
    first: 0,
    last: u16::MAX,
};

/// A box of packets. A dimension that is pinned to one value, or not asked about, spans its whole domain and is never cut.
#[derive(Clone, Copy, Debug)]
struct Cell {
    protocol: Span<u8>,
    remote: Span<u128>,
    remote_port: Span<u16>,
    local: Span<u128>,
    local_port: Span<u16>,
}

/// The dimensions of a cell, in the order in which a deny cuts it: those that cast no shadow come first, since a piece
/// that still spans the whole shadow settles the most packets.
const CUTS: [Cut; 5] = [Cut::Protocol, Cut::LocalPort, Cut::Local, Cut::RemotePort, Cut::Remote];

#[derive(Clone, Copy)]
enum Cut {
    Protocol,
    LocalPort,
    Local,
    RemotePort,
    Remote,
}

/// The part of a window that lies in sorted spans, between a number above 0 and 1; 0 if none does.
fn part<T: Bound>(spans: &[Span<T>], window: Span<T>) -> f64 {
    match spans {
        [only] if only.covers(&window) => 1.0,
        _ => {
            let covered: f64 = clip(spans, window).map(|span| span.length()).sum();
            if covered > 0.0 {
                (covered / window.length()).clamp(f64::MIN_POSITIVE.sqrt().sqrt(), 1.0)
            } else {
                0.0
            }
        }
    }
}

struct Search<'a> {
    family: Family,
    pinned: Pinned,
    /// Whether the remote end is an address; otherwise it is the members of a group, and not asked about.
    by_address: bool,
    /// Required packets for which no allowed packet was found yet.
    open: Region,
    denies: Vec<&'a Rule>,
}

impl Filter<'_> {
    /// The packets of `region` for which some packet that agrees with them on the pinned dimensions is allowed.
    #[must_use]
    pub fn reachable(&self, traffic: &Traffic, leg: Leg, pinned: Pinned, region: &Region) -> Region {
        let protocol = leg.protocol(self.family);
        let rules: Vec<&Rule> = self
            .rules()
            .map(|(_, rule)| rule)
            .filter(|rule| {
                (!pinned.protocol || rule.protocol.contains(protocol))
                    && (!pinned.local || rule.local.contains(traffic.local))
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
                .filter_map(|(_, rule)| match &rule.remote {
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
    rules: &[&Rule],
    applies: impl Fn(&AddressMatch) -> bool,
) -> Region {
    let mut search = Search {
        family,
        pinned,
        by_address,
        open,
        denies: Vec::new(),
    };
    for rule in rules.iter().filter(|rule| applies(&rule.remote)) {
        if search.open.is_empty() {
            break;
        }
        match rule.action {
            Action::Deny => search.denies.push(rule),
            Action::Allow => search.allow(rule),
        }
    }
    search.open
}

impl Search<'_> {
    /// Looks for allowed packets among those that this allow rule matches.
    fn allow(&mut self, rule: &Rule) {
        let (protocols, count) = if self.pinned.protocol {
            ([ALL_PROTOCOLS; 2], 1)
        } else {
            rule.protocol.spans()
        };
        let whole = self.whole();
        let denies = self.denies.clone();
        let remotes = if self.by_address {
            rule.remote.spans(self.family)
        } else {
            std::slice::from_ref(&whole.remote)
        };
        let locals = if self.pinned.local {
            std::slice::from_ref(&whole.local)
        } else {
            rule.local.spans(self.family)
        };
        let local_ports = if self.pinned.local_port {
            std::slice::from_ref(&ALL_PORTS)
        } else {
            rule.local_ports.spans()
        };
        for protocol in protocols.into_iter().take(count) {
            for remote in remotes {
                for remote_port in rule.remote_ports.spans() {
                    for local in locals {
                        for local_port in local_ports {
                            self.cell(
                                Cell {
                                    protocol,
                                    remote: *remote,
                                    remote_port: *remote_port,
                                    local: *local,
                                    local_port: *local_port,
                                },
                                &denies,
                            );
                        }
                    }
                }
            }
        }
    }

    fn whole(&self) -> Cell {
        let all = self.family.all().first().copied().unwrap_or(Span::one(0));
        Cell {
            protocol: ALL_PROTOCOLS,
            remote: all,
            remote_port: ALL_PORTS,
            local: all,
            local_port: ALL_PORTS,
        }
    }

    /// The required packets that share the pinned remote dimensions with some packet of the cell.
    fn shadow(&self, cell: &Cell) -> Rect {
        let whole = self.whole();
        Rect {
            remote: if self.pinned.remote { cell.remote } else { whole.remote },
            port: if self.pinned.remote_port {
                cell.remote_port
            } else {
                whole.remote_port
            },
        }
    }

    /// Settles the shadow of what the denies leave of the cell. Their order does not matter: all come before the allow.
    fn cell(&mut self, cell: Cell, denies: &[&Rule]) {
        let shadow = self.shadow(&cell);
        if !self.open.meets(&shadow) {
            return;
        }
        let mut meeting = Vec::new();
        let mut widest: Option<(f64, &Rule)> = None;
        for deny in denies {
            let covered = self.covered(deny, &cell);
            if covered <= 0.0 {
                continue;
            }
            meeting.push(*deny);
            if widest.is_none_or(|(most, _)| covered > most) {
                widest = Some((covered, deny));
            }
        }
        match widest {
            None => self.open.subtract(&shadow),
            Some((_, deny)) => self.cut(cell, deny, &CUTS, &meeting),
        }
    }

    /// The part of the cell that a deny covers, roughly; 0 only if it meets none of it.
    fn covered(&self, deny: &Rule, cell: &Cell) -> f64 {
        let (protocols, count) = deny.protocol.spans();
        let protocols = protocols.get(..count).unwrap_or_default();
        let mut out = 1.0;
        if !self.pinned.protocol {
            out *= part(protocols, cell.protocol);
        }
        if !self.pinned.local_port {
            out *= part(deny.local_ports.spans(), cell.local_port);
        }
        if self.by_address && out > 0.0 {
            out *= part(deny.remote.spans(self.family), cell.remote);
        }
        if out > 0.0 {
            out *= part(deny.remote_ports.spans(), cell.remote_port);
        }
        if !self.pinned.local && out > 0.0 {
            out *= part(deny.local.spans(self.family), cell.local);
        }
        out
    }

    /// Goes on with the pieces of the cell that lie outside the deny, dimension by dimension; what lies inside in all of
    /// them is dropped.
    fn cut(&mut self, cell: Cell, deny: &Rule, cuts: &[Cut], next: &[&Rule]) {
        let Some((cut, rest)) = cuts.split_first() else { return };
        match cut {
            Cut::Protocol if self.pinned.protocol => self.cut(cell, deny, rest, next),
            Cut::LocalPort if self.pinned.local_port => self.cut(cell, deny, rest, next),
            Cut::Local if self.pinned.local => self.cut(cell, deny, rest, next),
            Cut::Remote if !self.by_address => self.cut(cell, deny, rest, next),
            Cut::Protocol => {
                let (spans, count) = deny.protocol.spans();
                let spans = spans.get(..count).unwrap_or_default();
                for protocol in gaps(spans, cell.protocol) {
                    self.cell(Cell { protocol, ..cell }, next);
                }
                for protocol in clip(spans, cell.protocol) {
                    self.cut(Cell { protocol, ..cell }, deny, rest, next);
                }
            }
            Cut::LocalPort => {
                for local_port in gaps(deny.local_ports.spans(), cell.local_port) {
                    self.cell(Cell { local_port, ..cell }, next);
                }
                for local_port in clip(deny.local_ports.spans(), cell.local_port) {
                    self.cut(Cell { local_port, ..cell }, deny, rest, next);
                }
            }
            Cut::RemotePort => {
                for remote_port in gaps(deny.remote_ports.spans(), cell.remote_port) {
                    self.cell(Cell { remote_port, ..cell }, next);
                }
                for remote_port in clip(deny.remote_ports.spans(), cell.remote_port) {
                    self.cut(Cell { remote_port, ..cell }, deny, rest, next);
                }
            }
            Cut::Local => {
                for local in gaps(deny.local.spans(self.family), cell.local) {
                    self.cell(Cell { local, ..cell }, next);
                }
                for local in clip(deny.local.spans(self.family), cell.local) {
                    self.cut(Cell { local, ..cell }, deny, rest, next);
                }
            }
            Cut::Remote => {
                for remote in gaps(deny.remote.spans(self.family), cell.remote) {
                    self.cell(Cell { remote, ..cell }, next);
                }
                for remote in clip(deny.remote.spans(self.family), cell.remote) {
                    self.cut(Cell { remote, ..cell }, deny, rest, next);
                }
            }
        }
    }
}
