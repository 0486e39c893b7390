//! The values of one dimension as classes: values that the same rules match are one class.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use super::{
    Bound, Span,
    search::{Axis, Code, NOTHING, Role, Table, words},
    work::{Exhausted, Work},
};

/// What a rule matches of a dimension.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach<'a, T> {
    /// All of it.
    All,
    /// These values.
    Spans(&'a [Span<T>]),
    /// Of the points beside the line, this one.
    Point(usize),
}

/// How a rule takes part in an axis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// It has this bit.
    Bit(usize),
    /// Only this axis tells it apart: it is a floor.
    Floor(Code),
}

/// The axis of a dimension.
#[derive(Debug)]
pub(crate) struct Line<T> {
    pub(crate) axis: Axis,
    /// The values of each class of a pinned axis, in order.
    pub(crate) values: Vec<Vec<Span<T>>>,
}

/// Cuts the values of `window` (sorted spans), and so many points beside the line, into classes.
#[allow(
    clippy::too_many_lines,
    reason = "one sweep along the line, whose state is used throughout"
)]
pub(crate) fn line<T: Bound + Hash>(
    role: Role,
    window: &[Span<T>],
    points: usize,
    bits: usize,
    rules: &[(Part, Reach<'_, T>)],
    exact: bool,
    work: &mut Work,
) -> Result<Line<T>, Exhausted> {
    let mut builder = Builder {
        width: words(bits),
        base: vec![0; words(bits)],
        columns: Vec::new(),
        table: Table::new(16, words(bits), exact || role != Role::Free),
        values: Vec::new(),
        pinned: role != Role::Free,
    };
    let mut sets: HashMap<(*const Span<T>, usize), usize> = HashMap::new();
    let mut members: Vec<Set> = Vec::new();
    let mut events: Vec<(T, usize)> = Vec::new();
    let hull = window.first().zip(window.last()).map(|(first, last)| Span {
        first: first.first,
        last: last.last,
    });
    let Some(hull) = hull else {
        return Ok(builder.done(role));
    };
    for (part, reach) in rules {
        match reach {
            Reach::All => {
                if let Part::Bit(bit) = part {
                    set_bit(&mut builder.base, *bit);
                }
            }
            Reach::Point(_) => {}
            Reach::Spans(spans) => {
                let fresh = members.len();
                let set = *sets.entry((spans.as_ptr(), spans.len())).or_insert(fresh);
                if set == fresh {
                    members.push(Set::default());
                    let start = spans.partition_point(|span| span.last < hull.first);
                    let inside = spans.get(start..).unwrap_or_default();
                    for span in inside.iter().take_while(|span| span.first <= hull.last) {
                        events.push((span.first.max(hull.first), set));
                        events.extend(
                            span.last
                                .after()
                                .filter(|after| *after <= hull.last)
                                .map(|after| (after, set)),
                        );
                    }
                }
                if let Some(set) = members.get_mut(set) {
                    match part {
                        Part::Bit(bit) => set.bits.push(*bit),
                        Part::Floor(floor) => set.floor = set.floor.min(*floor),
                    }
                }
            }
        }
    }
    work.spend(events.len() * 8)?;
    for set in &mut members {
        if set.bits.len() > builder.width {
            let mut mask = vec![0; builder.width];
            for bit in set.bits.drain(..) {
                set_bit(&mut mask, bit);
            }
            set.mask = mask;
        }
    }
    events.sort_unstable();
    let mut open: BTreeSet<(Code, usize)> = BTreeSet::new();
    let mut now = builder.base.clone();
    let mut from = hull.first;
    let mut events = events.into_iter().peekable();
    let mut rest = window;
    loop {
        // Everything that changes at `from`.
        while let Some((_, set)) = events.next_if(|(at, _)| *at == from) {
            if let Some(set_of) = members.get(set) {
                work.spend(1 + set_of.bits.len() + set_of.mask.len())?;
                for bit in &set_of.bits {
                    flip_bit(&mut now, *bit);
                }
                for (now, mask) in now.iter_mut().zip(&set_of.mask) {
                    *now ^= mask;
                }
                if set_of.floor != NOTHING && !open.remove(&(set_of.floor, set)) {
                    open.insert((set_of.floor, set));
                }
            }
        }
        let next = events.peek().map(|(at, _)| *at);
        let last = next.and_then(Bound::before).unwrap_or(hull.last);
        let segment = Span { first: from, last };
        // The parts of the segment that are asked about.
        let floor = open.first().map_or(NOTHING, |(floor, _)| *floor);
        while let Some(span) = rest.first().filter(|span| span.last < from) {
            let _ = span;
            rest = rest.get(1..).unwrap_or_default();
        }
        let mut class = None;
        for span in rest {
            let Some(inside) = span.intersection(&segment) else {
                break;
            };
            if class.is_none() {
                work.spend(builder.width + 4)?;
                class = Some(builder.add(&now, floor));
            }
            if let Some(class) = class {
                builder.value(class, inside);
            }
        }
        let Some(next) = next else {
            break;
        };
        from = next;
    }
    beside(&mut builder, points, rules, work)?;
    Ok(builder.done(role))
}

/// The points beside the line.
fn beside<T: Bound>(
    builder: &mut Builder<T>,
    points: usize,
    rules: &[(Part, Reach<'_, T>)],
    work: &mut Work,
) -> Result<(), Exhausted> {
    if points == 0 {
        return Ok(());
    }
    let mut at_points: Vec<(usize, Part)> = rules
        .iter()
        .filter_map(|(part, reach)| match reach {
            Reach::Point(point) => Some((*point, *part)),
            _ => None,
        })
        .collect();
    at_points.sort_by_key(|(point, _)| *point);
    let mut at_points = at_points.into_iter().peekable();
    for point in 0..points {
        work.spend(builder.width + 4)?;
        let mut column = builder.base.clone();
        let mut floor = NOTHING;
        while let Some((_, part)) = at_points.next_if(|(own, _)| *own == point) {
            match part {
                Part::Bit(bit) => set_bit(&mut column, bit),
                Part::Floor(own) => floor = floor.min(own),
            }
        }
        builder.add(&column, floor);
    }
    Ok(())
}

/// Rules that match the same values.
#[derive(Debug)]
struct Set {
    bits: Vec<usize>,
    /// Many bits as a mask.
    mask: Vec<u64>,
    floor: Code,
}

impl Default for Set {
    fn default() -> Self {
        Self {
            bits: Vec::new(),
            mask: Vec::new(),
            floor: NOTHING,
        }
    }
}

struct Builder<T> {
    width: usize,
    base: Vec<u64>,
    columns: Vec<u64>,
    table: Table,
    values: Vec<Vec<Span<T>>>,
    pinned: bool,
}

impl<T: Bound> Builder<T> {
    fn add(&mut self, column: &[u64], floor: Code) -> usize {
        self.columns.extend_from_slice(column);
        self.table.add(&mut self.columns, floor)
    }

    fn value(&mut self, class: usize, span: Span<T>) {
        if self.pinned {
            if class >= self.values.len() {
                self.values.resize_with(class + 1, Vec::new);
            }
            if let Some(values) = self.values.get_mut(class) {
                values.push(span);
            }
        }
    }

    fn done(self, role: Role) -> Line<T> {
        let floors = self.table.floors;
        let ids = 0..u32::try_from(floors.len()).unwrap_or(u32::MAX);
        let (members, ends) = if self.pinned {
            (ids.clone().collect(), ids.map(|id| id + 1).collect())
        } else {
            (Vec::new(), Vec::new())
        };
        Line {
            axis: Axis {
                role,
                floors,
                columns: self.columns,
                ends,
                members,
            },
            values: self.values,
        }
    }
}

fn set_bit(words: &mut [u64], bit: usize) {
    if let Some(word) = words.get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}

fn flip_bit(words: &mut [u64], bit: usize) {
    if let Some(word) = words.get_mut(bit / 64) {
        *word ^= 1 << (bit % 64);
    }
}
