//! Sets of pairs of remote address and remote port.
//!
//! Of all that a probe or a reply is made of, only these two vary: protocol, server address and health check port are
//! fixed. So a set of required packets is a set in the plane. It is held as blocks, each a set of addresses times a set of
//! ports: cutting a block by a rule leaves two blocks, however many prefixes and port ranges the rule has. No port is in two
//! blocks, so that two sets are joined in one walk along the ports.

use std::collections::BTreeMap;

use super::{
    Family, Span, SpanSet,
    share::Count,
    span::{clip, meet},
    work::{Exhausted, Work},
};

/// All pairs of an address of one set and a port of another; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// The remote addresses.
    pub remotes: SpanSet<u128>,
    /// The remote ports.
    pub ports: SpanSet<u16>,
}

/// A set of pairs, as blocks of different addresses and disjoint ports.
#[derive(Clone, Debug, Default)]
pub struct Region(Vec<Block>);

impl From<Block> for Region {
    fn from(block: Block) -> Self {
        Self(vec![block])
    }
}

/// Which pairs of two sets an operation keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keep {
    Either,
    Both,
    FirstOnly,
}

/// A block of one set and one of another, by their positions; none stands for the outside of the set.
type Pair = (Option<usize>, Option<usize>);

impl Region {
    /// The set of blocks with disjoint ports.
    pub(crate) fn of(blocks: Vec<Block>) -> Self {
        let mut out = Self(
            blocks
                .into_iter()
                .filter(|block| !block.remotes.is_empty() && !block.ports.is_empty())
                .collect(),
        );
        out.merge();
        out
    }

    /// Whether no pair is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many spans it is made of.
    pub(crate) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|block| block.remotes.spans().len() + block.ports.spans().len())
            .sum()
    }

    /// Whether some pair of an address and a port of these sorted spans is in the set.
    #[must_use]
    pub fn meets(&self, remotes: &[Span<u128>], ports: &[Span<u16>]) -> bool {
        self.0
            .iter()
            .any(|block| meet(block.ports.spans(), ports) && meet(block.remotes.spans(), remotes))
    }

    /// Takes all pairs of an address and a port of these sorted spans out, and returns those that were in.
    pub(crate) fn take(&mut self, remotes: &[Span<u128>], ports: &[Span<u16>]) -> Self {
        let mut taken = Vec::new();
        if !self.meets(remotes, ports) {
            return Self(taken);
        }
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        for block in self.0.drain(..) {
            let hit = SpanSet::intersection_of(block.ports.spans(), ports);
            let inside = SpanSet::intersection_of(block.remotes.spans(), remotes);
            if inside.is_empty() || hit.is_empty() {
                rest.push(block);
                continue;
            }
            let missed = SpanSet::difference_of(block.ports.spans(), ports);
            let outside = SpanSet::difference_of(block.remotes.spans(), remotes);
            if !missed.is_empty() {
                rest.push(Block {
                    remotes: block.remotes,
                    ports: missed,
                });
            }
            if !outside.is_empty() {
                rest.push(Block {
                    remotes: outside,
                    ports: hit.clone(),
                });
            }
            taken.push(Block {
                remotes: inside,
                ports: hit,
            });
        }
        self.0 = rest;
        self.merge();
        let mut taken = Self(taken);
        taken.merge();
        taken
    }

    /// Joins blocks of equal addresses: their number stays that of the different sets of addresses.
    fn merge(&mut self) {
        if self.0.len() < 2 {
            return;
        }
        self.0.sort_unstable_by(|a, b| a.remotes.spans().cmp(b.remotes.spans()));
        let mut merged: Vec<Block> = Vec::with_capacity(self.0.len());
        let mut ports: Vec<Span<u16>> = Vec::new();
        for block in self.0.drain(..) {
            match merged.last_mut() {
                Some(last) if last.remotes == block.remotes => {
                    if ports.is_empty() {
                        ports.extend(last.ports.spans());
                    }
                    ports.extend(block.ports.spans());
                }
                last => {
                    if let Some(last) = last
                        && !ports.is_empty()
                    {
                        last.ports = ports.drain(..).collect();
                    }
                    merged.push(block);
                }
            }
        }
        if let Some(last) = merged.last_mut()
            && !ports.is_empty()
        {
            last.ports = ports.into_iter().collect();
        }
        self.0 = merged;
    }

    /// An operation, pair by pair. Ports of one set's blocks are disjoint, so that what meets is found along one line.
    fn overlay(&self, other: &Self, keep: Keep, work: &mut Work) -> Result<Self, Exhausted> {
        match (keep, self.is_empty(), other.is_empty()) {
            (Keep::Both | Keep::FirstOnly, true, _) | (Keep::Both, _, true) => return Ok(Self::default()),
            (Keep::Either | Keep::FirstOnly, _, true) => return Ok(self.clone()),
            (Keep::Either, true, _) => return Ok(other.clone()),
            _ => {}
        }
        let (left, right) = (self.by_ports(), other.by_ports());
        work.spend(8 * (left.len() + right.len()))?;
        // The spans of ports that each pair of blocks has in common; no block of a set stands for its outside.
        let mut common: BTreeMap<Pair, Vec<Span<u16>>> = BTreeMap::new();
        let (mut left, mut right) = (left.as_slice(), right.as_slice());
        let mut next = Some(0u16);
        while let Some(from) = next {
            let (own, own_end) = at(&mut left, from);
            let (others, others_end) = at(&mut right, from);
            let last = own_end.min(others_end);
            if own.is_some() || others.is_some() {
                common
                    .entry((own, others))
                    .or_default()
                    .push(Span { first: from, last });
            }
            next = last.checked_add(1);
        }
        let empty = SpanSet::default();
        let mut out = Vec::with_capacity(common.len());
        for ((own, others), ports) in common {
            let remotes = |region: &Self, at: Option<usize>| {
                at.and_then(|at| region.0.get(at))
                    .map(|block| block.remotes.spans().len())
            };
            work.spend(4 * (remotes(self, own).unwrap_or(0) + remotes(other, others).unwrap_or(0) + ports.len()))?;
            let own = own
                .and_then(|own| self.0.get(own))
                .map_or(&empty, |block| &block.remotes);
            let others = others
                .and_then(|others| other.0.get(others))
                .map_or(&empty, |block| &block.remotes);
            let remotes = match keep {
                Keep::Either => own.union(others),
                Keep::Both => own.intersection(others),
                Keep::FirstOnly => own.difference(others),
            };
            out.push(Block {
                remotes,
                ports: ports.into_iter().collect(),
            });
        }
        Ok(Self::of(out))
    }

    /// The spans of ports of all blocks in order, with the block's place.
    fn by_ports(&self) -> Vec<(Span<u16>, usize)> {
        let blocks = self.0.iter().enumerate();
        let mut out: Vec<_> = blocks
            .flat_map(|(at, block)| block.ports.spans().iter().map(move |span| (*span, at)))
            .collect();
        out.sort_unstable();
        out
    }

    /// The pairs of this set that are not in `other`.
    pub(crate) fn difference(&self, other: &Self, work: &mut Work) -> Result<Self, Exhausted> {
        self.overlay(other, Keep::FirstOnly, work)
    }

    /// The pairs of either set.
    pub(crate) fn union(&self, other: &Self, work: &mut Work) -> Result<Self, Exhausted> {
        self.overlay(other, Keep::Either, work)
    }

    /// The pairs of both sets.
    pub(crate) fn intersection(&self, other: &Self, work: &mut Work) -> Result<Self, Exhausted> {
        self.overlay(other, Keep::Both, work)
    }

    /// The remote addresses of all pairs.
    #[must_use]
    pub fn remotes(&self) -> SpanSet<u128> {
        SpanSet::union_of(self.0.iter().map(|block| &block.remotes))
    }

    /// The remote ports of all pairs.
    #[must_use]
    pub fn ports(&self) -> SpanSet<u16> {
        SpanSet::union_of(self.0.iter().map(|block| &block.ports))
    }

    /// The pair to show as an example: the smallest one with a port of `likely` and an address that a host can have; failing these, with
    /// such a port, with such an address, or at all.
    pub(crate) fn example(&self, family: Family, likely: Span<u16>) -> Option<(u128, u16)> {
        let candidates = self.0.iter().filter_map(|block| {
            let port = clip(block.ports.spans(), likely).next().map(|span| span.first);
            let host = first_host(family, &block.remotes);
            // The ranks of the block's best pair; within a rank, the smallest address and the smallest port make it.
            Some((
                port.is_none(),
                host.is_none(),
                host.or_else(|| block.remotes.min())?,
                port.or_else(|| block.ports.min())?,
            ))
        });
        candidates.min().map(|(_, _, remote, port)| (remote, port))
    }

    /// How many pairs there are with a port of these.
    #[must_use]
    pub fn count(&self, ports: Span<u16>) -> Count {
        let mut out = Count::default();
        for block in &self.0 {
            out.add(Count::product(&block.remotes, clip(block.ports.spans(), ports)));
        }
        out
    }
}

/// The smallest address of the set that a host can have, by its last octet or, of IPv6, its last 16 bits (semantics §7).
fn first_host(family: Family, set: &SpanSet<u128>) -> Option<u128> {
    let host = |span: &Span<u128>| {
        let from = span.first;
        let past = match (family, from & 0xff, from & 0xffff) {
            (Family::V4, 0, _) | (Family::V6, _, 0) => 1,
            (Family::V4, 0xff, _) => 2,
            _ => 0,
        };
        from.checked_add(past).filter(|address| *address <= span.last)
    };
    set.spans().iter().find_map(host)
}

/// The block at a port, and the last port for which that holds; passes over spans that end before.
fn at(spans: &mut &[(Span<u16>, usize)], port: u16) -> (Option<usize>, u16) {
    while let Some(((span, _), rest)) = spans.split_first()
        && span.last < port
    {
        *spans = rest;
    }
    match spans.first() {
        Some((span, block)) if span.first <= port => (Some(*block), span.last),
        Some((span, _)) => (None, span.first - 1),
        None => (None, u16::MAX),
    }
}

impl IntoIterator for Region {
    type Item = Block;
    type IntoIter = std::vec::IntoIter<Block>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const SIDE: u16 = 12;

    fn block() -> impl Strategy<Value = Block> {
        let set = || prop::collection::vec((0..SIDE, 0..SIDE), 1..4);
        (set(), set()).prop_map(|(remotes, ports)| Block {
            remotes: remotes
                .into_iter()
                .map(|(a, b)| Span {
                    first: a.min(b).into(),
                    last: a.max(b).into(),
                })
                .collect(),
            ports: ports
                .into_iter()
                .map(|(a, b)| Span {
                    first: a.min(b),
                    last: a.max(b),
                })
                .collect(),
        })
    }

    fn holds(blocks: &[Block], remote: u16, port: u16) -> usize {
        blocks
            .iter()
            .filter(|b| b.remotes.contains(remote.into()) && b.ports.contains(port))
            .count()
    }

    fn built(blocks: &[Block]) -> Region {
        blocks.iter().fold(Region::default(), |region, block| {
            region.union(&block.clone().into(), &mut Work::new(u64::MAX)).unwrap()
        })
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership_of_every_pair(
            a in prop::collection::vec(block(), 0..4), b in prop::collection::vec(block(), 0..4),
        ) {
            let (left, right) = (built(&a), built(&b));
            let work = &mut Work::new(u64::MAX);
            let rest = left.difference(&right, work).unwrap();
            let both = left.union(&right, work).unwrap();
            let common = left.intersection(&right, work).unwrap();
            for remote in 0..SIDE {
                for port in 0..SIDE {
                    let (in_a, in_b) = (holds(&a, remote, port) > 0, holds(&b, remote, port) > 0);
                    // Disjoint: no pair is held twice.
                    prop_assert_eq!(holds(&left.0, remote, port), usize::from(in_a));
                    prop_assert_eq!(holds(&rest.0, remote, port), usize::from(in_a && !in_b));
                    prop_assert_eq!(holds(&both.0, remote, port), usize::from(in_a || in_b));
                    prop_assert_eq!(holds(&common.0, remote, port), usize::from(in_a && in_b));
                    prop_assert_eq!(left.meets(&[Span::one(remote.into())], &[Span::one(port)]), in_a);
                }
            }
            for region in [&left, &rest, &both, &common] {
                for (at, block) in region.0.iter().enumerate() {
                    let others = region.0.iter().skip(at + 1);
                    prop_assert!(others.clone().all(|other| other.remotes != block.remotes), "blocks of the same addresses");
                    prop_assert!(others.clone().all(|other| !meet(other.ports.spans(), block.ports.spans())));
                }
            }
            let likely = Span { first: SIDE / 2, last: u16::MAX };
            let pairs = || (0..SIDE).flat_map(|r| (0..SIDE).map(move |p| (r, p))).filter(|(r, p)| holds(&a, *r, *p) > 0);
            let best = pairs().min_by_key(|(r, p)| (!likely.contains(*p), *r == 0, *r, *p));
            prop_assert_eq!(left.example(Family::V4, likely), best.map(|(r, p)| (u128::from(r), p)));
            let count = pairs().filter(|(_, p)| likely.contains(*p)).count();
            let ones = (0..count).fold(Count::default(), |mut sum, _| {
                sum.add(Count::product(&Span::one(0).into(), std::iter::once(Span::one(1))));
                sum
            });
            prop_assert_eq!(left.count(likely), ones);
        }

        #[test]
        fn taking_splits_a_region_in_two(a in prop::collection::vec(block(), 0..4), hole in block()) {
            let mut rest = built(&a);
            let taken = rest.take(hole.remotes.spans(), hole.ports.spans());
            for remote in 0..SIDE {
                for port in 0..SIDE {
                    let was = holds(&a, remote, port) > 0;
                    let out = holds(std::slice::from_ref(&hole), remote, port) > 0;
                    prop_assert_eq!(holds(&taken.0, remote, port), usize::from(was && out));
                    prop_assert_eq!(holds(&rest.0, remote, port), usize::from(was && !out));
                }
            }
        }
    }

    /// Semantics §7: neither the network's address nor the broadcast address, as far as an octet tells, unless there are no others.
    #[test]
    fn examples_are_hosts_where_there_are_hosts() {
        let likely = Span {
            first: 1024,
            last: u16::MAX,
        };
        let example = |family, spans: &[(u128, u128)]| {
            let remotes = spans.iter().map(|(first, last)| Span {
                first: *first,
                last: *last,
            });
            let ports = Span::one(2000).into();
            let region = Region::from(Block {
                remotes: remotes.collect(),
                ports,
            });
            region.example(family, likely).unwrap().0
        };
        assert_eq!(example(Family::V4, &[(0, 0xffff_ffff)]), 1);
        assert_eq!(example(Family::V4, &[(0x0a00_00ff, 0x0a00_0200)]), 0x0a00_0101);
        assert_eq!(
            example(Family::V4, &[(0xff, 0x100), (0x200, 0x200), (0x305, 0x306)]),
            0x305
        );
        assert_eq!(example(Family::V4, &[(0x1ff, 0x200), (0x300, 0x300)]), 0x1ff, "no host");
        assert_eq!(example(Family::V4, &[(0xffff_ffff, 0xffff_ffff)]), 0xffff_ffff);
        assert_eq!(example(Family::V6, &[(0x1_0000, 0x1_ffff)]), 0x1_0001);
        assert_eq!(example(Family::V6, &[(0xff, 0xff)]), 0xff);
        assert_eq!(example(Family::V6, &[(0, 0), (u128::MAX, u128::MAX)]), u128::MAX);
    }

    /// The likely port goes before the host's address, the address before the rest.
    #[test]
    fn a_likely_port_counts_more_than_a_hosts_address() {
        let block = |remote: u128, port: u16| Block {
            remotes: Span::one(remote).into(),
            ports: Span::one(port).into(),
        };
        let likely = Span {
            first: 1024,
            last: u16::MAX,
        };
        let region = built(&[block(1, 7), block(0x100, 5000)]);
        assert_eq!(region.example(Family::V4, likely), Some((0x100, 5000)));
        let region = built(&[block(0, 7), block(9, 8)]);
        assert_eq!(region.example(Family::V4, likely), Some((9, 8)));
    }
}
