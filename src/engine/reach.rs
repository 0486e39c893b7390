//! Could a packet like this one pass? The question of semantics §6: some dimensions are as in the required packet ("pinned"),
//! the others are free over their whole domain; is any such packet allowed?
//!
//! The answer is computed for a whole region of required packets at once. Most questions are answered by a look at each
//! allow rule and the denies before it: where no earlier deny meets it, what it matches is allowed as it stands. Only so much
//! of that is done; what then is still open goes to the `search`, whose work has a bound for every list of rules.

#![allow(
    clippy::similar_names,
    reason = "classes, columns and parts are what they are called"
)]

use std::collections::HashMap;

use super::{
    Action, AddressGroups, AddressMatch, Block, Bound, Family, Leg, PortMatch, ProtocolMatch, Region, Rule, Span,
    SpanSet, Traffic,
    atlas::{Atlas, Value},
    filter::Filter,
    line::{Part, Reach, line},
    search::{self, Answer, Code, NOTHING, Role, code},
    span::meet,
    work::{Exhausted, Work},
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

impl Pinned {
    /// The dimensions of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            protocol: self.protocol && other.protocol,
            remote: self.remote && other.remote,
            remote_port: self.remote_port && other.remote_port,
            local: self.local && other.local,
            local_port: self.local_port && other.local_port,
        }
    }
}

const ALL_PROTOCOLS: &[Span<u8>] = &[Span {
    first: 0,
    last: u8::MAX,
}];
const ALL_PORTS: &[Span<u16>] = &[Span {
    first: 0,
    last: u16::MAX,
}];

/// A rule as the question sees it: what it matches of the dimensions that are asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    position: usize,
    allows: bool,
    protocol: Reach<'a, u8>,
    remote: Reach<'a, u128>,
    remote_port: Reach<'a, u16>,
    local: Reach<'a, u128>,
    local_port: Reach<'a, u16>,
}

/// A rule and the address groups of its object.
type Placed<'a> = (AddressGroups<'a>, &'a Rule);

/// A region's packets, by whether some packet like them is allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    pub(crate) yes: Region,
    pub(crate) no: Region,
}

impl Reached {
    /// Each of them has such a packet.
    pub(crate) fn all(yes: Region) -> Self {
        Self {
            yes,
            no: Region::default(),
        }
    }

    /// None of them has.
    pub(crate) fn none(no: Region) -> Self {
        Self {
            yes: Region::default(),
            no,
        }
    }
}

impl<'a> Filter<'a> {
    /// The packets of `region` for which some packet that agrees with them on the pinned dimensions is allowed, and the rest.
    pub(crate) fn reachable(
        &self,
        traffic: &Traffic,
        leg: Leg,
        pinned: Pinned,
        region: &Region,
        atlases: &mut Option<Atlases<'a>>,
        work: &mut Work,
    ) -> Result<Reached, Exhausted> {
        let remotes = if pinned.remote {
            region.remotes()
        } else {
            SpanSet::default()
        };
        let ports = if pinned.remote_port {
            region.ports()
        } else {
            SpanSet::default()
        };
        let question = Question {
            protocol: leg.protocol(self.family),
            traffic,
            family: self.family,
            pinned,
            remotes: if pinned.remote {
                remotes.spans()
            } else {
                self.family.all()
            },
            ports: if pinned.remote_port { ports.spans() } else { ALL_PORTS },
        };
        let mut open = region.clone();
        let mut rules: Vec<Placed<'_>> = Vec::new();
        let mut denies: Vec<Placed<'_>> = Vec::new();
        let mut known = Known::new();
        let mut unsure = false;
        let mut looks = 0;
        for (_, groups, rule) in self.rules() {
            let placed = (groups, rule);
            if !question.concerns(placed, &mut known) {
                continue;
            }
            rules.push(placed);
            if rule.action == Action::Deny {
                denies.push(placed);
                continue;
            }
            let worth_while = looks < work.patience * (rules.len() + 64);
            if !worth_while {
                unsure = true;
                continue;
            }
            let (remotes, ports) = question.shadow(placed);
            looks += open.size();
            if !open.meets(remotes, ports) {
                continue;
            }
            if denies
                .iter()
                .inspect(|_| looks += 1)
                .any(|deny| question.meet(*deny, placed))
            {
                unsure = true;
                continue;
            }
            open.take(remotes, ports);
            if open.is_empty() {
                break;
            }
        }
        work.spend(rules.len() + looks)?;
        if unsure && !open.is_empty() {
            let members = if pinned.remote { Vec::new() } else { self.members() };
            let placed = rules.iter().enumerate();
            let items: Vec<Item<'_>> = placed
                .map(|(at, placed)| question.item(at, *placed, &members))
                .collect();
            let space = Space::new(&question, members.len());
            if atlases.is_none() {
                *atlases = Some(Atlases::of(self, work)?);
            }
            let yes = match atlases {
                Some(atlases) => space.search(atlases, &items, &open, None, work)?,
                None => Region::default(),
            };
            open = open.difference(&yes, work)?;
        }
        Ok(Reached {
            yes: region.difference(&open, work)?,
            no: open,
        })
    }

    /// The dimensions by which some rule tells packets apart.
    pub(crate) fn told(&self) -> Pinned {
        let mut out = Pinned::default();
        for (.., rule) in self.rules() {
            out.protocol |= rule.protocol != ProtocolMatch::All;
            out.remote |= rule.remote != AddressMatch::Any;
            out.remote_port |= rule.remote_ports != PortMatch::ALL;
            out.local |= rule.local != AddressMatch::Any;
            out.local_port |= rule.local_ports != PortMatch::ALL;
        }
        out
    }

    /// The packets of `required`, a block, that pass, and the positions among all rules of those that deny some. For when
    /// taking them out rule by rule takes too long.
    pub(crate) fn allowed(
        &self,
        traffic: &Traffic,
        leg: Leg,
        required: &Region,
        work: &mut Work,
    ) -> Result<(Region, Vec<usize>), Exhausted> {
        let (remotes, ports) = (required.remotes(), required.ports());
        let all = true;
        let question = Question {
            protocol: leg.protocol(self.family),
            traffic,
            family: self.family,
            pinned: Pinned {
                protocol: all,
                remote: all,
                remote_port: all,
                local: all,
                local_port: all,
            },
            remotes: remotes.spans(),
            ports: ports.spans(),
        };
        let mut known = Known::new();
        let placed = self.rules().map(|(_, groups, rule)| (groups, rule)).enumerate();
        let (positions, items): (Vec<usize>, Vec<Item<'_>>) = placed
            .filter(|(_, placed)| question.concerns(*placed, &mut known))
            .enumerate()
            .map(|(at, (position, placed))| (position, question.item(at, placed, &[])))
            .unzip();
        work.spend(items.len())?;
        let mut deciders = vec![false; items.len()];
        let space = Space::new(&question, 0);
        let yes = space.search(
            &Atlases::new(&items, work)?,
            &items,
            required,
            Some(&mut deciders),
            work,
        )?;
        let denies = positions
            .into_iter()
            .zip(deciders)
            .filter(|(_, decides)| *decides)
            .map(|(position, _)| position);
        Ok((yes, denies.collect()))
    }

    /// The security groups whose members rules of the direction name: one abstract address each, outside every prefix
    /// (semantics §3). A rule that does not concern the question, or is of the other family, names its group all the same.
    fn members(&self) -> Vec<&str> {
        let segments = self.segments.iter();
        let mut out: Vec<&str> = segments
            .flat_map(|segment| segment.members.iter().map(|group| &**group))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// Lists of addresses with whether they meet those in question.
type Known = HashMap<(*const Span<u128>, usize), bool>;

/// What is asked, of which packets.
struct Question<'a> {
    traffic: &'a Traffic,
    protocol: u8,
    family: Family,
    pinned: Pinned,
    /// The remote addresses and ports in question.
    remotes: &'a [Span<u128>],
    ports: &'a [Span<u16>],
}

impl<'a> Question<'a> {
    /// Whether the rule matches any packet in question.
    fn concerns(&self, (groups, rule): Placed<'a>, known: &mut Known) -> bool {
        (!self.pinned.protocol || rule.protocol.contains(self.protocol))
            && (!self.pinned.local_port || rule.local_ports.contains(self.traffic.port))
            && if self.pinned.local {
                rule.local.contains(groups, self.traffic.local)
            } else {
                !rule.local.spans(groups).is_empty()
            }
            && match &rule.remote {
                AddressMatch::Any => true,
                AddressMatch::Members(_) => !self.pinned.remote,
                own => self.meets_remotes(own.spans(groups), known),
            }
            && meet(rule.remote_ports.spans(), self.ports)
    }

    /// Whether the remote addresses in question meet these. Long lists are address groups, which many rules share.
    fn meets_remotes(&self, own: &'a [Span<u128>], known: &mut Known) -> bool {
        if own.len() < 8 {
            return meet(own, self.remotes);
        }
        let place = (own.as_ptr(), own.len());
        *known.entry(place).or_insert_with(|| meet(own, self.remotes))
    }

    /// The required packets that agree with some packet that the rule matches.
    fn shadow<'b>(&self, (groups, rule): Placed<'b>) -> (&'b [Span<u128>], &'b [Span<u16>]) {
        let remotes = if self.pinned.remote {
            rule.remote.spans(groups)
        } else {
            self.family.all()
        };
        let ports = if self.pinned.remote_port {
            rule.remote_ports.spans()
        } else {
            ALL_PORTS
        };
        (remotes, ports)
    }

    /// Whether two rules that concern the question match a packet in question both. Packets outside the region may count;
    /// that makes the answer no less right, only later.
    fn meet(&self, (own_groups, own): Placed<'_>, (other_groups, other): Placed<'_>) -> bool {
        (self.pinned.protocol || meet(own.protocol.spans(), other.protocol.spans()))
            && (self.pinned.local_port || meet(own.local_ports.spans(), other.local_ports.spans()))
            && meet(own.remote_ports.spans(), other.remote_ports.spans())
            && match (&own.remote, &other.remote) {
                (AddressMatch::Any, _) | (_, AddressMatch::Any) => true,
                (AddressMatch::Members(own), AddressMatch::Members(other)) => own == other,
                (AddressMatch::Members(_), _) | (_, AddressMatch::Members(_)) => false,
                (own, other) => meet(own.spans(own_groups), other.spans(other_groups)),
            }
            && (self.pinned.local || meet(own.local.spans(own_groups), other.local.spans(other_groups)))
    }

    /// The rule as far as it is asked about.
    fn item(&self, position: usize, (groups, rule): Placed<'a>, members: &[&str]) -> Item<'a> {
        fn free<'a, T: Bound>(pinned: bool, own: &'a [Span<T>], all: &[Span<T>]) -> Reach<'a, T> {
            if pinned { Reach::All } else { within(own, all) }
        }
        Item {
            position,
            allows: rule.action == Action::Allow,
            protocol: free(self.pinned.protocol, rule.protocol.spans(), ALL_PROTOCOLS),
            remote: match &rule.remote {
                AddressMatch::Any => Reach::All,
                AddressMatch::Members(group) => {
                    members.binary_search(&&**group).map_or(Reach::Spans(&[]), Reach::Point)
                }
                // Members of groups lie outside of every prefix.
                own if members.is_empty() => within(own.spans(groups), self.remotes),
                own => Reach::Spans(own.spans(groups)),
            },
            remote_port: within(rule.remote_ports.spans(), self.ports),
            local: free(self.pinned.local, rule.local.spans(groups), self.family.all()),
            local_port: free(self.pinned.local_port, rule.local_ports.spans(), ALL_PORTS),
        }
    }
}

/// What sorted spans are of all there is.
fn within<'a, T: Bound>(own: &'a [Span<T>], all: &[Span<T>]) -> Reach<'a, T> {
    let covered = all.first().zip(all.last()).is_some_and(|(first, last)| {
        let next = own.partition_point(|span| span.first <= first.first);
        let before = next.checked_sub(1).and_then(|at| own.get(at));
        before.is_some_and(|span| last.last <= span.last)
    });
    if covered { Reach::All } else { Reach::Spans(own) }
}

/// What a rule matches of a part; `None` for nothing.
fn narrowed<'a, T: Bound>(reach: Reach<'a, T>, part: &[Span<T>]) -> Option<Reach<'a, T>> {
    match reach {
        Reach::Spans(spans) => meet(spans, part).then(|| within(spans, part)),
        reach => Some(reach),
    }
}

/// Where each class is seen first in a window, but for the one at its beginning.
fn firsts<T: Value>(atlas: &Atlas<'_, T>, window: &[Span<T>]) -> Vec<T> {
    let mut seen = vec![false; atlas.classes()];
    let fresh = atlas.inside(window).filter(|(_, class)| {
        let seen = seen.get_mut(*class).filter(|seen| !**seen);
        seen.map(|seen| *seen = true).is_some()
    });
    fresh.skip(1).map(|(span, _)| span.first).collect()
}

/// Cuts a window, held twice, before the number in the middle; false when there is none.
fn cut<T: Bound>(left: &mut Vec<Span<T>>, right: &mut Vec<Span<T>>, mut firsts: Vec<T>) -> bool {
    let middle = firsts.len() / 2;
    if middle >= firsts.len() {
        return false;
    }
    let at = *firsts.select_nth_unstable(middle).1;
    let Some(before) = at.before() else {
        return false;
    };
    let part = |window: &[Span<T>], keep: Span<T>| window.iter().filter_map(|span| span.intersection(&keep)).collect();
    let (Some(first), Some(last)) = (left.first().map(|span| span.first), left.last().map(|span| span.last)) else {
        return false;
    };
    let (lower, upper) = (Span { first, last: before }, Span { first: at, last });
    *left = part(left, lower);
    *right = part(right, upper);
    !left.is_empty() && !right.is_empty()
}

/// The dimensions as the rules of a filter cut them.
#[derive(Clone, Debug)]
pub(crate) struct Atlases<'a> {
    remote: Atlas<'a, u128>,
    remote_port: Atlas<'a, u16>,
    local: Atlas<'a, u128>,
    local_port: Atlas<'a, u16>,
    protocol: Atlas<'a, u8>,
}

impl<'a> Atlases<'a> {
    fn new(items: &[Item<'a>], work: &mut Work) -> Result<Self, Exhausted> {
        fn spans<'b, T>(reach: &Reach<'b, T>) -> Option<&'b [Span<T>]> {
            match reach {
                Reach::Spans(spans) => Some(*spans),
                Reach::All | Reach::Point(_) => None,
            }
        }
        Ok(Self {
            remote: Atlas::new(items.iter().filter_map(|item| spans(&item.remote)), work)?,
            remote_port: Atlas::new(items.iter().filter_map(|item| spans(&item.remote_port)), work)?,
            local: Atlas::new(items.iter().filter_map(|item| spans(&item.local)), work)?,
            local_port: Atlas::new(items.iter().filter_map(|item| spans(&item.local_port)), work)?,
            protocol: Atlas::new(items.iter().filter_map(|item| spans(&item.protocol)), work)?,
        })
    }

    /// Those of all rules of a filter, for every question about it.
    fn of(filter: &Filter<'a>, work: &mut Work) -> Result<Self, Exhausted> {
        let rules = filter.rules();
        let items = rules.enumerate().map(|(position, (_, groups, rule))| Item {
            position,
            allows: rule.action == Action::Allow,
            protocol: within(rule.protocol.spans(), ALL_PROTOCOLS),
            // All addresses are not all that there is where members of groups stand beside them.
            remote: match &rule.remote {
                AddressMatch::Any => Reach::All,
                own => Reach::Spans(own.spans(groups)),
            },
            remote_port: within(rule.remote_ports.spans(), ALL_PORTS),
            local: within(rule.local.spans(groups), filter.family.all()),
            local_port: within(rule.local_ports.spans(), ALL_PORTS),
        });
        Self::new(&items.collect::<Vec<_>>(), work)
    }
}

/// The packets in question: a product of sorted spans, some of the dimensions pinned.
#[derive(Clone, Debug)]
struct Space {
    remote: (Role, Vec<Span<u128>>),
    remote_port: (Role, Vec<Span<u16>>),
    local: Vec<Span<u128>>,
    local_port: Vec<Span<u16>>,
    protocol: Vec<Span<u8>>,
    /// Points beside the remote addresses: members of groups.
    points: usize,
}

impl Space {
    fn new(question: &Question<'_>, points: usize) -> Self {
        let role = |pinned: bool, role: Role| if pinned { role } else { Role::Free };
        Self {
            remote: (role(question.pinned.remote, Role::Column), question.remotes.to_vec()),
            remote_port: (role(question.pinned.remote_port, Role::Row), question.ports.to_vec()),
            local: question.family.all().to_vec(),
            local_port: ALL_PORTS.to_vec(),
            protocol: ALL_PROTOCOLS.to_vec(),
            points,
        }
    }

    /// The packets of `open` that agree with some allowed packet; with every dimension pinned, also which items deny some.
    fn search(
        &self,
        atlases: &Atlases<'_>,
        items: &[Item<'_>],
        open: &Region,
        mut deciders: Option<&mut [bool]>,
        work: &mut Work,
    ) -> Result<Region, Exhausted> {
        let exact = deciders.is_some();
        let sorted = Self::sorted(items);
        work.spend(items.len() * 2)?;
        if let Some((left, right)) = self.halves(atlases, sorted.bits.len(), work)? {
            let yes = left.search(atlases, &left.within(items), open, deciders.as_deref_mut(), work)?;
            let rest = open.difference(&yes, work)?;
            if rest.is_empty() {
                return Ok(yes);
            }
            return right
                .search(atlases, &right.within(items), &rest, deciders, work)?
                .union(&yes, work);
        }
        let bits = sorted.bits.len();
        let (role, window) = &self.remote;
        let remote = line(
            &atlases.remote,
            *role,
            window,
            self.points,
            bits,
            &sorted.remote,
            exact,
            work,
        )?;
        let (role, window) = &self.remote_port;
        let port = line(
            &atlases.remote_port,
            *role,
            window,
            0,
            bits,
            &sorted.remote_port,
            exact,
            work,
        )?;
        let local = line(
            &atlases.local,
            Role::Free,
            &self.local,
            0,
            bits,
            &sorted.local,
            exact,
            work,
        )?;
        let local_port = line(
            &atlases.local_port,
            Role::Free,
            &self.local_port,
            0,
            bits,
            &sorted.local_port,
            exact,
            work,
        )?;
        let protocol = line(
            &atlases.protocol,
            Role::Free,
            &self.protocol,
            0,
            bits,
            &sorted.protocol,
            exact,
            work,
        )?;
        let rows = if port.axis.role == Role::Row {
            port.axis.floors.len()
        } else {
            1
        };
        let columns = if remote.axis.role == Role::Column {
            remote.axis.floors.len()
        } else {
            1
        };
        work.spend(rows * search::words(columns) + rows + columns)?;
        let rules = deciders.as_ref().map(|deciders| deciders.len());
        let mut answer = Answer::new(rows, columns, rules);
        let asked = search::Part {
            codes: sorted.bits,
            ground: sorted.ground,
            axes: vec![remote.axis, port.axis, local.axis, local_port.axis, protocol.axis],
        };
        search::search(&asked, &mut answer, work)?;
        if let Some(deciders) = deciders {
            for (position, decides) in deciders.iter_mut().enumerate() {
                *decides |= answer.has_decider(position);
            }
        }
        self.region(&answer, &remote.values, &port.values, work)?
            .intersection(open, work)
    }

    /// The two halves of a space with more columns than should be held at once: cut in the middle of the ends of what its
    /// rules match, in the dimension that has the most.
    fn halves(&self, atlases: &Atlases<'_>, rules: usize, work: &mut Work) -> Result<Option<(Self, Self)>, Exhausted> {
        let most = work.most_words / search::words(rules);
        let classes = [
            atlases.remote.classes(),
            atlases.remote_port.classes(),
            atlases.local.classes(),
            atlases.local_port.classes(),
        ];
        if classes.iter().sum::<usize>() <= most {
            return Ok(None);
        }
        work.spend(
            atlases.remote.size() + atlases.remote_port.size() + atlases.local.size() + atlases.local_port.size(),
        )?;
        let (remote, local) = (
            firsts(&atlases.remote, &self.remote.1),
            firsts(&atlases.local, &self.local),
        );
        let remote_port = firsts(&atlases.remote_port, &self.remote_port.1);
        let local_port = firsts(&atlases.local_port, &self.local_port);
        let sizes = [remote.len(), remote_port.len(), local.len(), local_port.len()];
        if sizes.iter().sum::<usize>() <= most {
            return Ok(None);
        }
        let (mut left, mut right) = (self.clone(), self.clone());
        let most = sizes.iter().copied().max().unwrap_or(0);
        let done = if sizes.first() == Some(&most) {
            right.points = 0;
            cut(&mut left.remote.1, &mut right.remote.1, remote)
        } else if sizes.get(1) == Some(&most) {
            cut(&mut left.remote_port.1, &mut right.remote_port.1, remote_port)
        } else if sizes.get(2) == Some(&most) {
            cut(&mut left.local, &mut right.local, local)
        } else {
            cut(&mut left.local_port, &mut right.local_port, local_port)
        };
        Ok(done.then_some((left, right)))
    }

    /// The items that match something of the space, as far as they do.
    fn within<'a>(&self, items: &[Item<'a>]) -> Vec<Item<'a>> {
        let inside = |item: &Item<'a>| {
            let remote = match item.remote {
                Reach::Point(point) => (point < self.points).then_some(Reach::Point(point))?,
                // Points beside the line are not matched.
                Reach::Spans(spans) if self.points > 0 => meet(spans, &self.remote.1).then_some(item.remote)?,
                remote => narrowed(remote, &self.remote.1)?,
            };
            Some(Item {
                remote,
                remote_port: narrowed(item.remote_port, &self.remote_port.1)?,
                local: narrowed(item.local, &self.local)?,
                local_port: narrowed(item.local_port, &self.local_port)?,
                ..*item
            })
        };
        items.iter().filter_map(inside).collect()
    }

    /// The answer in addresses and ports.
    fn region(
        &self,
        answer: &Answer,
        remotes: &[Vec<Span<u128>>],
        ports: &[Vec<Span<u16>>],
        work: &mut Work,
    ) -> Result<Region, Exhausted> {
        // Rows with the same columns make one block.
        let mut blocks: Vec<(&[u64], Vec<Span<u16>>)> = Vec::new();
        let mut known: HashMap<&[u64], usize> = HashMap::new();
        for (row, bits) in answer.rows().enumerate() {
            if bits.iter().all(|word| *word == 0) {
                continue;
            }
            work.spend(bits.len())?;
            let at = *known.entry(bits).or_insert_with(|| {
                blocks.push((bits, Vec::new()));
                blocks.len() - 1
            });
            if let Some((_, own)) = blocks.get_mut(at) {
                own.extend(ports.get(row).unwrap_or(&self.remote_port.1));
            }
        }
        let classes = remotes.iter().enumerate();
        let mut values: Vec<(Span<u128>, usize)> = classes
            .flat_map(|(class, values)| values.iter().map(move |span| (*span, class)))
            .collect();
        if self.remote.0 == Role::Free {
            values.extend(self.remote.1.iter().map(|span| (*span, 0)));
        }
        values.sort_unstable();
        let mut out = Vec::with_capacity(blocks.len());
        for (bits, ports) in blocks {
            work.spend(values.len() + ports.len())?;
            let yes = |class: &usize| bits.get(class / 64).is_some_and(|word| word >> (class % 64) & 1 == 1);
            let remotes = SpanSet::of_sorted(values.iter().filter(|(_, class)| yes(class)).map(|(span, _)| *span));
            work.spend(16 * remotes.spans().len())?;
            out.push(Block {
                remotes,
                ports: ports.into_iter().collect(),
            });
        }
        Ok(Region::of(out))
    }

    /// The items by how they take part: those that match everything but for one dimension, and the rest.
    fn sorted<'a>(items: &[Item<'a>]) -> Sorted<'a> {
        let mut out = Sorted {
            ground: NOTHING,
            ..Sorted::default()
        };
        for item in items {
            let code = code(item.position, item.allows);
            let told = [
                is_told(&item.remote),
                is_told(&item.remote_port),
                is_told(&item.local),
                is_told(&item.local_port),
                is_told(&item.protocol),
            ];
            let part = match told.iter().filter(|told| **told).count() {
                0 => {
                    out.ground = code;
                    // Nothing later decides.
                    break;
                }
                1 => Part::Floor(code),
                _ => {
                    out.bits.push(code);
                    Part::Bit(out.bits.len() - 1)
                }
            };
            let floor = matches!(part, Part::Floor(_));
            // A slab takes part in the axis that tells it apart only.
            if !floor || is_told(&item.remote) {
                out.remote.push((part, item.remote));
            }
            if !floor || is_told(&item.remote_port) {
                out.remote_port.push((part, item.remote_port));
            }
            if !floor || is_told(&item.local) {
                out.local.push((part, item.local));
            }
            if !floor || is_told(&item.local_port) {
                out.local_port.push((part, item.local_port));
            }
            if !floor || is_told(&item.protocol) {
                out.protocol.push((part, item.protocol));
            }
        }
        out
    }
}

fn is_told<T>(reach: &Reach<'_, T>) -> bool {
    !matches!(reach, Reach::All)
}

/// Items by how they take part in each axis.
#[derive(Debug, Default)]
struct Sorted<'a> {
    bits: Vec<Code>,
    ground: Code,
    remote: Vec<(Part, Reach<'a, u128>)>,
    remote_port: Vec<(Part, Reach<'a, u16>)>,
    local: Vec<(Part, Reach<'a, u128>)>,
    local_port: Vec<(Part, Reach<'a, u16>)>,
    protocol: Vec<(Part, Reach<'a, u8>)>,
}
