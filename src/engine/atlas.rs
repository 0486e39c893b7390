//! One dimension as the rules of a filter cut it: the numbers that the same sets of spans hold are one class.
//!
//! Found once for all questions about a filter, whatever rules each of them has: sorting where spans begin and end is most of
//! the work of a question otherwise.

use std::{collections::HashMap, hash::Hash};

use super::{
    Bound, Span,
    work::{Exhausted, Work},
};

/// Where a list of spans is held: rules that name one address group share it.
type Place<T> = (*const Span<T>, usize);

/// A number of a line.
pub(crate) trait Value: Bound + Hash + Into<u128> + TryFrom<u128> {}

impl<T: Bound + Hash + Into<u128> + TryFrom<u128>> Value for T {}

/// A class that more sets than this hold is not looked for again: it is taken for a new one each time.
const FEW: usize = 24;

/// A dimension, cut into classes.
#[derive(Clone, Debug)]
pub(crate) struct Atlas<'a, T> {
    sets: HashMap<Place<T>, usize>,
    lists: Vec<&'a [Span<T>]>,
    /// Where each segment of the line begins, and its class. It ends before the next.
    segments: Vec<(T, usize)>,
    /// For each class where its part of `turned` ends: the sets that hold it and not the class before, or the reverse.
    ends: Vec<usize>,
    turned: Vec<u32>,
}

impl<'a, T: Value> Atlas<'a, T> {
    /// Cuts the whole line by the spans of these lists.
    pub(crate) fn new(lists: impl Iterator<Item = &'a [Span<T>]>, work: &mut Work) -> Result<Self, Exhausted> {
        let mut out = Self {
            sets: HashMap::new(),
            lists: Vec::new(),
            segments: Vec::new(),
            ends: Vec::new(),
            turned: Vec::new(),
        };
        for list in lists {
            let fresh = out.lists.len();
            if *out.sets.entry(place(list)).or_insert(fresh) == fresh {
                out.lists.push(list);
            }
        }
        let turns: usize = out.lists.iter().map(|list| 2 * list.len()).sum();
        work.spend(out.lists.len() + 8 * turns)?;
        let turns = turns_of(&out.lists);
        let mut open = Open::new(out.lists.len());
        let mut seen: HashMap<u64, usize> = HashMap::new();
        // The sets that hold each class of few sets, to be sure of what the hash says.
        let mut holders: Vec<u32> = Vec::new();
        let mut holder_ends: Vec<usize> = Vec::new();
        let (mut pending, mut limit): (Vec<u32>, usize) = (Vec::new(), 64);
        let mut turns = turns.into_iter().peekable();
        let mut from = T::try_from(0).ok();
        while let Some(first) = from {
            while let Some((_, set)) = turns.next_if(|(at, _)| *at == first) {
                open.turn(set);
                pending.push(set);
            }
            let few = open.sets.len() <= FEW;
            let known = few.then(|| seen.get(&open.hash).copied()).flatten().filter(|class| {
                let end = |class: usize| holder_ends.get(class).copied().unwrap_or(0);
                let from = class.checked_sub(1).map_or(0, end);
                let own = holders.get(from..end(*class)).unwrap_or_default();
                own.len() == open.sets.len() && own.iter().all(|set| open.is_open(*set))
            });
            let class = known.unwrap_or(out.ends.len());
            if known.is_none() {
                odd(&mut pending);
                out.turned.append(&mut pending);
                out.ends.push(out.turned.len());
                if few {
                    seen.insert(open.hash, class);
                    holders.extend(&open.sets);
                }
                holder_ends.push(holders.len());
            } else if pending.len() > limit {
                odd(&mut pending);
                limit = 2 * pending.len() + 64;
            }
            out.segments.push((first, class));
            from = turns.peek().map(|(at, _)| *at);
        }
        Ok(out)
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> usize {
        self.ends.len()
    }

    /// What going through it takes.
    pub(crate) fn size(&self) -> usize {
        self.lists.len() + self.segments.len() + self.turned.len()
    }

    /// How many sets there are.
    pub(crate) fn sets(&self) -> usize {
        self.lists.len()
    }

    /// The set of a list of spans.
    pub(crate) fn set(&self, list: &[Span<T>]) -> Option<usize> {
        self.sets.get(&place(list)).copied()
    }

    /// For each class the sets that hold it and not the class before, or the reverse.
    pub(crate) fn turned(&self) -> impl Iterator<Item = &[u32]> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let own = self.turned.get(from..*end).unwrap_or_default();
            from = *end;
            own
        })
    }

    /// The parts of the sorted spans of a window with the class of each, in order.
    pub(crate) fn inside<'b>(
        &'b self,
        window: &'b [Span<T>],
    ) -> impl Iterator<Item = (Span<T>, usize)> + use<'b, 'a, T> {
        window.iter().flat_map(move |span| {
            let next = self.segments.partition_point(|(first, _)| *first <= span.first);
            let from = next.saturating_sub(1);
            let own = self.segments.get(from..).unwrap_or_default();
            let own = own
                .iter()
                .enumerate()
                .take_while(move |(_, (first, _))| *first <= span.last);
            own.map(move |(at, (first, class))| {
                let next = self.segments.get(from + at + 1).and_then(|(next, _)| next.before());
                let last = next.map_or(span.last, |last| last.min(span.last));
                (
                    Span {
                        first: (*first).max(span.first),
                        last,
                    },
                    *class,
                )
            })
        })
    }
}

fn place<T>(list: &[Span<T>]) -> Place<T> {
    (list.as_ptr(), list.len())
}

/// Where spans begin and end, each with its set, sorted.
fn turns_of<T: Value>(lists: &[&[Span<T>]]) -> Vec<(T, u32)> {
    let sets = (0u32..).zip(lists);
    let all = sets.flat_map(|(set, list)| {
        list.iter().flat_map(move |span| {
            [Some(span.first), span.last.after()]
                .into_iter()
                .flatten()
                .map(move |at| (at, set))
        })
    });
    let last = lists
        .iter()
        .filter_map(|list| list.last())
        .map(|span| span.last.into())
        .max();
    if last.is_none_or(|last| last >= u128::from(u32::MAX)) {
        let mut out: Vec<_> = all.collect();
        out.sort_unstable();
        return out;
    }
    // Small numbers are sorted as one word with their set.
    let word = |(at, set): (T, u32)| u64::try_from(at.into()).unwrap_or(u64::MAX) << 32 | u64::from(set);
    let mut words: Vec<u64> = all.map(word).collect();
    words.sort_unstable();
    let pair = |word: u64| {
        Some((
            T::try_from(u128::from(word >> 32)).ok()?,
            u32::try_from(word & 0xffff_ffff).ok()?,
        ))
    };
    words.into_iter().filter_map(pair).collect()
}

/// Leaves one of each number that is there an odd number of times.
fn odd(sets: &mut Vec<u32>) {
    sets.sort_unstable();
    let (mut from, mut to) = (0, 0);
    while let Some(set) = sets.get(from).copied() {
        let run = sets
            .get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(|own| **own == set)
            .count();
        if run % 2 == 1 {
            if let Some(slot) = sets.get_mut(to) {
                *slot = set;
            }
            to += 1;
        }
        from += run;
    }
    sets.truncate(to);
}

/// The sets that hold a number.
struct Open {
    sets: Vec<u32>,
    /// Where each set stands in `sets`.
    places: Vec<Option<u32>>,
    hash: u64,
}

impl Open {
    fn new(sets: usize) -> Self {
        Self {
            sets: Vec::new(),
            places: vec![None; sets],
            hash: 0,
        }
    }

    fn is_open(&self, set: u32) -> bool {
        usize::try_from(set)
            .ok()
            .and_then(|set| self.places.get(set))
            .is_some_and(Option::is_some)
    }

    fn turn(&mut self, set: u32) {
        let mut key = u64::from(set).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.hash ^= key ^ (key >> 27);
        let at = |set: u32| usize::try_from(set).unwrap_or(usize::MAX);
        let Some(own) = self.places.get_mut(at(set)) else {
            return;
        };
        let Some(place) = own.take() else {
            *own = u32::try_from(self.sets.len()).ok();
            self.sets.push(set);
            return;
        };
        self.sets.swap_remove(at(place));
        if let Some(moved) = self.sets.get(at(place)).copied()
            && let Some(own) = self.places.get_mut(at(moved))
        {
            *own = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{super::SpanSet, *};

    fn sets() -> impl Strategy<Value = Vec<SpanSet<u8>>> {
        let span = (any::<u8>(), 0u8..40).prop_map(|(first, more)| Span {
            first,
            last: first.saturating_add(more),
        });
        prop::collection::vec(
            prop::collection::vec(span, 0..6).prop_map(|spans| spans.into_iter().collect()),
            0..60,
        )
    }

    proptest! {
        #[test]
        fn numbers_of_a_class_are_in_the_same_sets(sets in sets(), window in sets()) {
            let lists = || sets.iter().map(SpanSet::spans);
            let atlas = Atlas::new(lists(), &mut Work::new(u64::MAX)).unwrap();
            let mut open = BTreeSet::new();
            let mut classes: Vec<BTreeSet<u32>> = Vec::new();
            for turned in atlas.turned() {
                for set in turned {
                    if !open.remove(set) {
                        open.insert(*set);
                    }
                }
                classes.push(open.clone());
            }
            let window = window.first().cloned().unwrap_or_default();
            let mut seen = SpanSet::default();
            for (span, class) in atlas.inside(window.spans()) {
                for number in span.first..=span.last {
                    for own in lists() {
                        let set = u32::try_from(atlas.set(own).unwrap()).unwrap();
                        let holds = own.iter().any(|span| span.contains(number));
                        prop_assert_eq!(classes[class].contains(&set), holds);
                    }
                }
                prop_assert!(seen.intersection(&span.into()).is_empty());
                seen = seen.union(&span.into());
            }
            prop_assert_eq!(seen, window);
        }
    }
}
