//! Sets of pairs of remote address and remote port.
//!
//! Of all that a probe or a reply is made of, only these two vary: protocol, server address and health check port are
//! fixed. So a set of required packets is a set in the plane. It is held as blocks, each a set of addresses times a set of
//! ports: cutting a block by a rule leaves two blocks, however many prefixes and port ranges the rule has.

use super::{Span, SpanSet, share::Count, span::meet};

/// All pairs of an address of one set and a port of another; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// The remote addresses.
    pub remotes: SpanSet<u128>,
    /// The remote ports.
    pub ports: SpanSet<u16>,
}

/// A set of pairs, as disjoint blocks.
#[derive(Clone, Debug, Default)]
pub struct Region(Vec<Block>);

impl From<Block> for Region {
    fn from(block: Block) -> Self {
        Self(vec![block])
    }
}

impl Region {
    /// Whether no pair is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds pairs that are not in the set yet.
    pub fn add_disjoint(&mut self, more: impl IntoIterator<Item = Block>) {
        self.0.extend(more);
        self.merge();
    }

    /// Whether some pair of an address and a port of these sorted spans is in the set.
    #[must_use]
    pub fn meets(&self, remotes: &[Span<u128>], ports: &[Span<u16>]) -> bool {
        self.0
            .iter()
            .any(|block| meet(block.ports.spans(), ports) && meet(block.remotes.spans(), remotes))
    }

    /// Takes all pairs of an address and a port of these sorted spans out, and returns those that were in.
    pub fn take(&mut self, remotes: &[Span<u128>], ports: &[Span<u16>]) -> Vec<Block> {
        let mut taken = Vec::new();
        if !self.meets(remotes, ports) {
            return taken;
        }
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        for block in self.0.drain(..) {
            let inside = SpanSet::intersection_of(block.remotes.spans(), remotes);
            let hit = SpanSet::intersection_of(block.ports.spans(), ports);
            if inside.is_empty() || hit.is_empty() {
                rest.push(block);
                continue;
            }
            let outside = SpanSet::difference_of(block.remotes.spans(), remotes);
            let missed = SpanSet::difference_of(block.ports.spans(), ports);
            if !outside.is_empty() {
                rest.push(Block {
                    remotes: outside,
                    ports: block.ports,
                });
            }
            if !missed.is_empty() {
                rest.push(Block {
                    remotes: inside.clone(),
                    ports: missed,
                });
            }
            taken.push(Block {
                remotes: inside,
                ports: hit,
            });
        }
        self.0 = rest;
        self.merge();
        taken
    }

    /// Joins blocks of equal ports: their number stays that of the different port sets.
    fn merge(&mut self) {
        if self.0.len() < 2 {
            return;
        }
        self.0.sort_unstable_by(|a, b| a.ports.spans().cmp(b.ports.spans()));
        let mut merged: Vec<Block> = Vec::with_capacity(self.0.len());
        for block in self.0.drain(..) {
            match merged.last_mut() {
                Some(last) if last.ports == block.ports => last.remotes = last.remotes.union(&block.remotes),
                _ => merged.push(block),
            }
        }
        self.0 = merged;
    }

    /// The pairs of this set that are not in `other`.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        for hole in &other.0 {
            self.take(hole.remotes.spans(), hole.ports.spans());
        }
        self
    }

    /// Adds the pairs of `other`.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        let fresh = other.clone().difference(&self);
        self.add_disjoint(fresh.0);
        self
    }

    /// The remote addresses of all pairs.
    #[must_use]
    pub fn remotes(&self) -> SpanSet<u128> {
        self.0.iter().flat_map(|block| block.remotes.spans()).copied().collect()
    }

    /// The remote ports of all pairs.
    #[must_use]
    pub fn ports(&self) -> SpanSet<u16> {
        self.0.iter().flat_map(|block| block.ports.spans()).copied().collect()
    }

    /// The smallest pair, by address and then port.
    #[must_use]
    pub fn min(&self) -> Option<(u128, u16)> {
        self.0
            .iter()
            .filter_map(|block| block.remotes.min().zip(block.ports.min()))
            .min()
    }

    /// How many pairs there are.
    #[must_use]
    pub fn count(&self) -> Count {
        let mut out = Count::default();
        for block in &self.0 {
            out.add(Count::product(&block.remotes, &block.ports));
        }
        out
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
        blocks
            .iter()
            .fold(Region::default(), |region, block| region.union(&block.clone().into()))
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership_of_every_pair(
            a in prop::collection::vec(block(), 0..4), b in prop::collection::vec(block(), 0..4),
        ) {
            let (left, right) = (built(&a), built(&b));
            let rest = left.clone().difference(&right);
            let both = left.clone().union(&right);
            for remote in 0..SIDE {
                for port in 0..SIDE {
                    let (in_a, in_b) = (holds(&a, remote, port) > 0, holds(&b, remote, port) > 0);
                    // Disjoint: no pair is held twice.
                    prop_assert_eq!(holds(&left.0, remote, port), usize::from(in_a));
                    prop_assert_eq!(holds(&rest.0, remote, port), usize::from(in_a && !in_b));
                    prop_assert_eq!(holds(&both.0, remote, port), usize::from(in_a || in_b));
                    prop_assert_eq!(left.meets(&[Span::one(remote.into())], &[Span::one(port)]), in_a);
                }
            }
            let smallest = (0..SIDE).flat_map(|r| (0..SIDE).map(move |p| (r, p))).find(|(r, p)| holds(&a, *r, *p) > 0);
            prop_assert_eq!(left.min(), smallest.map(|(r, p)| (u128::from(r), p)));
        }

        #[test]
        fn taking_splits_a_region_in_two(a in prop::collection::vec(block(), 0..4), hole in block()) {
            let mut rest = built(&a);
            let taken = rest.take(hole.remotes.spans(), hole.ports.spans());
            for remote in 0..SIDE {
                for port in 0..SIDE {
                    let was = holds(&a, remote, port) > 0;
                    let out = holds(std::slice::from_ref(&hole), remote, port) > 0;
                    prop_assert_eq!(holds(&taken, remote, port), usize::from(was && out));
                    prop_assert_eq!(holds(&rest.0, remote, port), usize::from(was && !out));
                }
            }
        }
    }
}
