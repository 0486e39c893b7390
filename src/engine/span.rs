//! Sets of numbers on one line, as inclusive spans.
//!
//! Invariant of [`SpanSet`]: spans are sorted, disjoint and not adjacent, so that equal sets are equal values and a set has
//! the fewest spans possible. Every operation restores it.

/// A number that can bound a span: it has neighbours and ends.
pub trait Bound: Copy + Ord {
    /// The next number, unless this is the last.
    fn after(self) -> Option<Self>;
    /// The number before, unless this is the first.
    fn before(self) -> Option<Self>;
}

macro_rules! bound {
    ($($number:ty),*) => {$(
        impl Bound for $number {
            #[inline]
            fn after(self) -> Option<Self> {
                self.checked_add(1)
            }
            #[inline]
            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}
bound!(u8, u16, u128);

/// All numbers from `first` to `last`, both included; never empty.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Span<T> {
    /// The smallest number.
    pub first: T,
    /// The greatest number.
    pub last: T,
}

impl<T: Bound> Span<T> {
    /// The span of one number.
    #[inline]
    pub const fn one(number: T) -> Self {
        Self {
            first: number,
            last: number,
        }
    }

    /// The span between two numbers; `None` when it would end before it begins.
    #[inline]
    pub fn new(first: T, last: T) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// Whether the number lies in the span.
    #[inline]
    pub fn contains(&self, number: T) -> bool {
        self.first <= number && number <= self.last
    }

    /// The numbers in both.
    #[inline]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }
}

/// A set of numbers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SpanSet<T>(Vec<Span<T>>);

impl<T> Default for SpanSet<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Bound> SpanSet<T> {
    /// Whether no number is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The spans, sorted.
    #[must_use]
    pub fn spans(&self) -> &[Span<T>] {
        &self.0
    }

    /// The set of spans each of which begins no earlier than the one before.
    pub(crate) fn of_sorted(spans: impl Iterator<Item = Span<T>>) -> Self {
        let mut out = Vec::new();
        for span in spans {
            append(&mut out, span);
        }
        Self(out)
    }

    /// The smallest number.
    #[must_use]
    pub fn min(&self) -> Option<T> {
        self.0.first().map(|span| span.first)
    }

    /// Whether the number is in the set.
    #[must_use]
    pub fn contains(&self, number: T) -> bool {
        contains(&self.0, number)
    }

    /// The numbers in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::intersection_of(&self.0, &other.0)
    }

    /// The numbers that lie in both of two sorted lists of spans.
    #[must_use]
    pub fn intersection_of(left: &[Span<T>], right: &[Span<T>]) -> Self {
        let mut out = Vec::new();
        let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            out.extend(a.intersection(b));
            if a.last < b.last {
                left.next();
            } else {
                right.next();
            }
        }
        Self(out)
    }

    /// The numbers of one sorted list of spans that lie in none of another.
    #[must_use]
    pub fn difference_of(left: &[Span<T>], right: &[Span<T>]) -> Self {
        let mut out = Vec::new();
        for span in left {
            out.extend(gaps(right, *span));
        }
        Self(out)
    }

    /// The numbers in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut out = Vec::with_capacity(self.0.len().max(other.0.len()));
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a.first <= b.first => left.next(),
                (Some(_), None) => left.next(),
                _ => right.next(),
            };
            let Some(next) = next else {
                return Self(out);
            };
            append(&mut out, *next);
        }
    }

    /// The numbers in any of several sets: neighbours joined two by two, so that each number is looked at a few times only.
    #[must_use]
    pub fn union_of<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self
    where
        T: 'a,
    {
        let mut waiting: Vec<(u32, Self)> = Vec::new();
        for set in sets {
            let (mut rank, mut joined) = (0, set.clone());
            while let Some((_, other)) = waiting.pop_if(|(own, _)| *own <= rank) {
                joined = joined.union(&other);
                rank += 1;
            }
            waiting.push((rank, joined));
        }
        waiting.into_iter().rev().fold(
            Self::default(),
            |all, (_, set)| if all.is_empty() { set } else { all.union(&set) },
        )
    }

    /// The numbers of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self::difference_of(&self.0, &other.0)
    }

    /// Whether every number of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|span| gaps(&other.0, *span).next().is_none())
    }
}

impl<T: Bound> FromIterator<Span<T>> for SpanSet<T> {
    fn from_iter<I: IntoIterator<Item = Span<T>>>(spans: I) -> Self {
        let mut spans: Vec<_> = spans.into_iter().collect();
        spans.sort_unstable();
        let mut out: Vec<Span<T>> = Vec::with_capacity(spans.len());
        for span in spans {
            append(&mut out, span);
        }
        Self(out)
    }
}

impl<T: Bound> From<Span<T>> for SpanSet<T> {
    fn from(span: Span<T>) -> Self {
        Self(vec![span])
    }
}

/// Adds a span that begins no earlier than the last one.
fn append<T: Bound>(out: &mut Vec<Span<T>>, span: Span<T>) {
    match out.last_mut() {
        // Touching spans merge too: the invariant asks for the fewest.
        Some(previous) if previous.last.after().is_none_or(|next| span.first <= next) => {
            previous.last = previous.last.max(span.last);
        }
        _ => out.push(span),
    }
}

/// Whether the number lies in one of the sorted spans.
#[inline]
pub(crate) fn contains<T: Bound>(spans: &[Span<T>], number: T) -> bool {
    // By far the most common: a rule with one prefix or one port.
    if let [only] = spans {
        return only.contains(number);
    }
    let next = spans.partition_point(|span| span.first <= number);
    let before = next.checked_sub(1).and_then(|at| spans.get(at));
    before.is_some_and(|span| span.contains(number))
}

/// Whether two sorted lists of spans have a number in common.
#[inline]
pub(crate) fn meet<T: Bound>(left: &[Span<T>], right: &[Span<T>]) -> bool {
    let (few, many) = if left.len() <= right.len() {
        (left, right)
    } else {
        (right, left)
    };
    if few.len() * 8 < many.len() {
        return few.iter().any(|span| clip(many, *span).next().is_some());
    }
    let (mut left, mut right) = (few.iter().peekable(), many.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        if a.last < b.first {
            left.next();
        } else if b.last < a.first {
            right.next();
        } else {
            return true;
        }
    }
    false
}

/// The parts of the sorted spans that lie in `window`, in order.
pub(crate) fn clip<T: Bound>(spans: &[Span<T>], window: Span<T>) -> impl Iterator<Item = Span<T>> {
    let start = spans.partition_point(|span| span.last < window.first);
    spans
        .get(start..)
        .unwrap_or_default()
        .iter()
        .map_while(move |span| span.intersection(&window))
}

/// The parts of `window` that lie in none of the sorted spans, in order.
pub(crate) fn gaps<T: Bound>(spans: &[Span<T>], window: Span<T>) -> impl Iterator<Item = Span<T>> {
    let mut inside = clip(spans, window);
    let mut next = Some(window.first);
    let mut done = false;
    std::iter::from_fn(move || {
        while !done {
            let from = next?;
            if let Some(span) = inside.next() {
                next = span.last.after();
                if let Some(gap) = span.first.before().and_then(|last| Span::new(from, last)) {
                    return Some(gap);
                }
            } else {
                done = true;
                return Span::new(from, window.last);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn set() -> impl Strategy<Value = SpanSet<u8>> {
        prop::collection::vec((any::<u8>(), any::<u8>()), 0..8).prop_map(|pairs| {
            pairs
                .into_iter()
                .map(|(a, b)| Span {
                    first: a.min(b),
                    last: a.max(b),
                })
                .collect()
        })
    }

    fn members(set: &SpanSet<u8>) -> Vec<bool> {
        (0..=255)
            .map(|n| set.spans().iter().any(|s| s.first <= n && n <= s.last))
            .collect()
    }

    fn holds_invariant(set: &SpanSet<u8>) -> bool {
        set.spans().iter().all(|s| s.first <= s.last)
            && set
                .spans()
                .windows(2)
                .all(|w| u16::from(w[0].last) + 1 < u16::from(w[1].first))
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership_of_every_number(a in set(), b in set()) {
            let (ma, mb) = (members(&a), members(&b));
            let both = a.intersection(&b);
            let left = a.difference(&b);
            let either = a.union(&b);
            prop_assert!([&a, &both, &left, &either].into_iter().all(holds_invariant));
            prop_assert_eq!(meet(a.spans(), b.spans()), !both.is_empty());
            for n in 0..=255u8 {
                let at = usize::from(n);
                prop_assert_eq!(a.contains(n), ma[at]);
                prop_assert_eq!(both.contains(n), ma[at] && mb[at]);
                prop_assert_eq!(left.contains(n), ma[at] && !mb[at]);
                prop_assert_eq!(either.contains(n), ma[at] || mb[at]);
            }
            prop_assert_eq!(a.is_subset(&b), ma.iter().zip(&mb).all(|(x, y)| !x || *y));
        }
    }
}
