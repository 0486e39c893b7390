//! The values of one dimension as classes: values that the same rules match are one class.

use std::collections::BTreeSet;

use super::{
    Span,
    atlas::{Atlas, Value},
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
#[allow(clippy::too_many_arguments, reason = "a line is made of all of them")]
pub(crate) fn line<T: Value>(
    atlas: &Atlas<'_, T>,
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
    let (sets, own) = sets(atlas, rules, &mut builder);
    work.spend(atlas.size() + 4 * rules.len() + window.len())?;
    let mut wanted = vec![false; atlas.classes()];
    for (_, class) in atlas.inside(window) {
        if let Some(wanted) = wanted.get_mut(class) {
            *wanted = true;
        }
    }
    let mut into: Vec<usize> = vec![usize::MAX; atlas.classes()];
    let mut open: BTreeSet<(Code, usize)> = BTreeSet::new();
    let mut now = builder.base.clone();
    let mut last = None;
    for ((turned, wanted), into) in atlas.turned().zip(wanted).zip(&mut into) {
        let turned = turned
            .iter()
            .filter_map(|set| own.get(usize::try_from(*set).ok()?).copied().flatten());
        for set in turned {
            let Some(set_of) = sets.get(set) else {
                continue;
            };
            last = None;
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
        if wanted {
            *into = if let Some(last) = last {
                last
            } else {
                work.spend(builder.width + 4)?;
                builder.add(&now, open.first().map_or(NOTHING, |(floor, _)| *floor))
            };
            last = Some(*into);
        }
    }
    if role != Role::Free {
        for (span, class) in atlas.inside(window) {
            if let Some(class) = into.get(class) {
                builder.value(*class, span);
            }
        }
    }
    beside(&mut builder, points, rules, work)?;
    Ok(builder.done(role))
}

/// The rules of each set, and which of them each set of the atlas is, if any. Rules that match everything go into the base.
fn sets<T: Value>(
    atlas: &Atlas<'_, T>,
    rules: &[(Part, Reach<'_, T>)],
    builder: &mut Builder<T>,
) -> (Vec<Set>, Vec<Option<usize>>) {
    let mut own: Vec<Option<usize>> = vec![None; atlas.sets()];
    let mut out: Vec<Set> = Vec::new();
    for (part, reach) in rules {
        match reach {
            Reach::All => {
                if let Part::Bit(bit) = part {
                    set_bit(&mut builder.base, *bit);
                }
            }
            Reach::Point(_) => {}
            Reach::Spans(spans) => {
                let Some(own) = atlas.set(spans).and_then(|set| own.get_mut(set)) else {
                    continue;
                };
                let at = *own.get_or_insert_with(|| {
                    out.push(Set::default());
                    out.len() - 1
                });
                if let Some(set) = out.get_mut(at) {
                    match part {
                        Part::Bit(bit) => set.bits.push(*bit),
                        Part::Floor(floor) => set.floor = set.floor.min(*floor),
                    }
                }
            }
        }
    }
    for set in &mut out {
        if set.bits.len() > builder.width {
            let mut mask = vec![0; builder.width];
            for bit in set.bits.drain(..) {
                set_bit(&mut mask, bit);
            }
            set.mask = mask;
        }
    }
    (out, own)
}

/// The points beside the line.
fn beside<T: Value>(
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

impl<T: Value> Builder<T> {
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
