//! Sets of pairs of remote address and remote port.
//!
//! Of all that a probe or a reply is made of, only these two vary: protocol, server address and health check port are
//! fixed. So a set of required packets is a set in the plane.

use super::{Span, SpanSet, share::Count};

/// All pairs of an address span and a port span.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rect {
    /// The remote addresses.
    pub remote: Span<u128>,
    /// The remote ports.
    pub port: Span<u16>,
}

impl Rect {
    /// The pairs in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Some(Self {
            remote: self.remote.intersection(&other.remote)?,
            port: self.port.intersection(&other.port)?,
        })
    }

    /// The pairs of this rectangle that are not in `hole`, which must lie in it or cross it.
    fn around(&self, hole: &Self) -> impl Iterator<Item = Self> {
        let (remote, port) = (self.remote, self.port);
        let middle = remote.intersection(&hole.remote);
        let sides = [remote.below(&hole.remote), remote.above(&hole.remote)]
            .into_iter()
            .flatten()
            .map(move |remote| Self { remote, port });
        let ends = [port.below(&hole.port), port.above(&hole.port)].into_iter().flatten();
        sides.chain(ends.filter_map(move |port| middle.map(|remote| Self { remote, port })))
    }
}

/// A set of pairs, as disjoint rectangles.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Region(Vec<Rect>);

impl FromIterator<Rect> for Region {
    /// The caller sees to it that the rectangles are disjoint.
    fn from_iter<I: IntoIterator<Item = Rect>>(rects: I) -> Self {
        Self(rects.into_iter().collect())
    }
}

impl Region {
    /// Whether no pair is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The disjoint rectangles, in no order.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        &self.0
    }

    /// Adds pairs that are not in the set yet.
    pub fn add_disjoint(&mut self, rects: impl IntoIterator<Item = Rect>) {
        self.0.extend(rects);
    }

    /// Whether some pair of the rectangle is in the set.
    #[must_use]
    pub fn meets(&self, rect: &Rect) -> bool {
        self.0.iter().any(|own| own.intersection(rect).is_some())
    }

    /// Takes the pairs of `hole` out; what was taken is appended to `taken`.
    pub fn take(&mut self, hole: &Rect, taken: &mut Vec<Rect>) {
        let mut at = 0;
        while let Some(rect) = self.0.get(at).copied() {
            match rect.intersection(hole) {
                None => at += 1,
                Some(hit) => {
                    taken.push(hit);
                    self.0.swap_remove(at);
                    // The rest of this rectangle lies outside the hole, so that looking at it again is harmless.
                    self.0.extend(rect.around(&hit));
                }
            }
        }
    }

    /// Takes the pairs of `hole` out.
    pub fn subtract(&mut self, hole: &Rect) {
        self.take(hole, &mut Vec::new());
    }

    /// The pairs of this set that are not in `other`.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        for hole in &other.0 {
            self.subtract(hole);
        }
        self
    }

    /// Adds the pairs of `other`.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        let mut out = self;
        let fresh = other.clone().difference(&out);
        out.0.extend(fresh.0);
        out
    }

    /// The remote addresses of all pairs.
    #[must_use]
    pub fn remotes(&self) -> SpanSet<u128> {
        self.0.iter().map(|rect| rect.remote).collect()
    }

    /// The remote ports of all pairs.
    #[must_use]
    pub fn ports(&self) -> SpanSet<u16> {
        self.0.iter().map(|rect| rect.port).collect()
    }

    /// The smallest pair, by address and then port.
    #[must_use]
    pub fn min(&self) -> Option<(u128, u16)> {
        self.0.iter().map(|rect| (rect.remote.first, rect.port.first)).min()
    }

    /// How many pairs there are.
    #[must_use]
    pub fn count(&self) -> Count {
        let mut out = Count::default();
        for rect in &self.0 {
            out.add(Count::rectangle(
                rect.remote.last - rect.remote.first,
                rect.port.last - rect.port.first,
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIDE: u16 = 12;

    fn rect() -> impl Strategy<Value = Rect> {
        (0..SIDE, 0..SIDE, 0..SIDE, 0..SIDE).prop_map(|(a, b, c, d)| Rect {
            remote: Span {
                first: a.min(b).into(),
                last: a.max(b).into(),
            },
            port: Span {
                first: c.min(d),
                last: c.max(d),
            },
        })
    }

    fn holds(rects: &[Rect], remote: u16, port: u16) -> usize {
        rects
            .iter()
            .filter(|r| r.remote.contains(remote.into()) && r.port.contains(port))
            .count()
    }

    fn built(rects: &[Rect]) -> Region {
        rects
            .iter()
            .fold(Region::default(), |region, rect| region.union(&Region(vec![*rect])))
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership_of_every_pair(
            a in prop::collection::vec(rect(), 0..5), b in prop::collection::vec(rect(), 0..5),
        ) {
            let (left, right) = (built(&a), built(&b));
            let rest = left.clone().difference(&right);
            let both = left.clone().union(&right);
            for remote in 0..SIDE {
                for port in 0..SIDE {
                    let (in_a, in_b) = (holds(&a, remote, port) > 0, holds(&b, remote, port) > 0);
                    // Disjoint: no pair is held twice.
                    prop_assert_eq!(holds(left.rects(), remote, port), usize::from(in_a));
                    prop_assert_eq!(holds(rest.rects(), remote, port), usize::from(in_a && !in_b));
                    prop_assert_eq!(holds(both.rects(), remote, port), usize::from(in_a || in_b));
                }
            }
            let smallest = (0..SIDE).flat_map(|r| (0..SIDE).map(move |p| (u128::from(r), p)))
                .find(|(r, p)| left.rects().iter().any(|x| x.remote.contains(*r) && x.port.contains(*p)));
            prop_assert_eq!(left.min(), smallest);
        }
    }
}
