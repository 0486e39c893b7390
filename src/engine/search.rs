//! Which packets of a plane have an allowed packet beside them? The search behind `reach` and `filter`, on numbers alone.
//!
//! The packets are points of a space with up to five axes. Each axis is a row of *classes*: the values of a dimension that
//! the same rules match. The two axes of the plane, remote address and remote port, may be *pinned*: the answer is wanted
//! for each of their classes. All others are free: any class will do. Each class has a *column*, a bit for each rule that
//! matches it, and a *floor*, the first rule that matches it whatever the other axes are. A point is decided by the first
//! bit that all its columns have or its lowest floor, whichever comes first.
//!
//! The search halves the space again and again, and simplifies each part before it goes on:
//!
//! * A rule that matches all of the part is its *ground*: no later rule decides anything there.
//! * A rule that matches all of the part but for one axis, a slab, becomes the floor of that axis' classes.
//! * Neither has a bit any more; nor has a rule that matches nothing, or comes after all floors of some axis.
//! * A class whose floor is a deny before every allow that is left is nobody's example and goes.
//! * Classes with the same column are one class. On a free axis only the best floor of them counts: the first allow, or
//!   else the last deny.
//! * A part without an allow has no example, one without bits is answered by its floors.
//!
//! So block lists, port lists and combs are gone before the first cut. Of n boxes in d axes the cuts leave in each half fewer
//! that are neither slab nor outside, as Chan's method for the measure of a union of boxes does ("Klee's measure problem
//! made easy", 2013: time in n^(d/2), so n² in the four axes of a network ACL). Here there is an order of rules besides, and
//! the place of a cut is chosen by what it leaves. What is held by `bounds` on
//! every kind of list that is known to be hard: no more than 50 n units of work where one axis tells the rules apart, and
//! 100 n² otherwise, of which most is the answer's where that has n² pieces. Rules with arbitrary sets on every axis can ask for more; `work` ends that.

#![allow(
    clippy::similar_names,
    reason = "classes, columns and parts are what they are called"
)]

use std::ops::Range;

use super::work::{Exhausted, Work};

/// What decides over a point, lower before higher: twice the rule's position, and one more when it allows. An even code
/// need not be a rule: it denies and lies between two that allow.
pub(crate) type Code = u32;

/// No rule: denied, after all rules.
pub(crate) const NOTHING: Code = u32::MAX - 1;

/// The code of a rule.
pub(crate) fn code(position: usize, allows: bool) -> Code {
    u32::try_from(position).map_or(NOTHING, |position| (position << 1) | u32::from(allows))
}

fn allows(code: Code) -> bool {
    code & 1 == 1
}

/// What an axis is to the question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Any class will do.
    Free,
    /// The rows of the answer.
    Row,
    /// The columns of the answer.
    Column,
}

/// A row of classes.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) role: Role,
    /// The floor of each class.
    pub(crate) floors: Vec<Code>,
    /// The column of each class, one after the other, [`words`] for each.
    pub(crate) columns: Vec<u64>,
    /// On a pinned axis, the answer's rows or columns that each class stands for: where they end in `members`.
    pub(crate) ends: Vec<u32>,
    pub(crate) members: Vec<u32>,
}

impl Axis {
    fn members(&self, class: usize) -> &[u32] {
        let end = |class: usize| {
            self.ends
                .get(class)
                .and_then(|end| usize::try_from(*end).ok())
                .unwrap_or(0)
        };
        let first = class.checked_sub(1).map_or(0, end);
        self.members.get(first..end(class)).unwrap_or_default()
    }

    fn column(&self, class: usize, width: usize) -> &[u64] {
        let column = self.columns.get(class * width..).and_then(|rest| rest.get(..width));
        column.unwrap_or_default()
    }
}

/// A part of the space.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The codes of the rules that have a bit, ascending.
    pub(crate) codes: Vec<Code>,
    /// The lowest floor of all axes together.
    pub(crate) ground: Code,
    pub(crate) axes: Vec<Axis>,
}

/// Words of a column for so many rules; at least one, so that columns can be told apart.
pub(crate) fn words(rules: usize) -> usize {
    rules.div_ceil(64).max(1)
}

/// The bits of a word that stand for positions below `end`.
fn below(end: usize, word: usize) -> u64 {
    match end.saturating_sub(word * 64) {
        0 => 0,
        bits @ 1..64 => (1 << bits) - 1,
        _ => u64::MAX,
    }
}

/// The answer: a bit for each pair of a row and a column.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    width: usize,
    bits: Vec<u64>,
    /// How many pairs of each row and each column are not in the answer, and of all.
    rows: Vec<u32>,
    columns: Vec<u32>,
    open: usize,
    /// The codes of denies that decide over some pair, where that was asked for.
    deciders: Option<Vec<u64>>,
}

impl Answer {
    /// No pair has an example so far.
    pub(crate) fn new(rows: usize, columns: usize, rules: Option<usize>) -> Self {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let width = words(columns);
        Self {
            width,
            bits: vec![0; width * rows],
            rows: vec![count(columns); rows],
            columns: vec![count(rows); columns],
            open: rows * columns,
            deciders: rules.map(|rules| vec![0; words(rules)]),
        }
    }

    /// The answer's rows: a bit for each column.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.bits.chunks_exact(self.width)
    }

    /// Whether the rule at this position was seen to deny some pair.
    pub(crate) fn has_decider(&self, position: usize) -> bool {
        let deciders = self.deciders.as_deref().unwrap_or_default();
        deciders
            .get(position / 64)
            .is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    fn decider(&mut self, code: Code) {
        let position = usize::try_from(code >> 1).unwrap_or(usize::MAX);
        if let Some(word) = self.deciders.as_mut().and_then(|all| all.get_mut(position / 64)) {
            *word |= 1 << (position % 64);
        }
    }

    /// Adds the columns of `mask` to a row.
    fn add(&mut self, row: u32, mask: &[u64]) {
        let row = usize::try_from(row).unwrap_or(usize::MAX);
        let Some(own) = self
            .bits
            .get_mut(row.saturating_mul(self.width)..)
            .and_then(|own| own.get_mut(..self.width))
        else {
            return;
        };
        let mut fresh_in_row = 0;
        for (word, (own, mask)) in own.iter_mut().zip(mask).enumerate() {
            let mut fresh = mask & !*own;
            *own |= mask;
            fresh_in_row += fresh.count_ones();
            while fresh != 0 {
                let column = word * 64 + bit(fresh);
                if let Some(open) = self.columns.get_mut(column) {
                    *open = open.saturating_sub(1);
                }
                fresh &= fresh - 1;
            }
        }
        if let Some(open) = self.rows.get_mut(row) {
            *open = open.saturating_sub(fresh_in_row);
        }
        self.open = self.open.saturating_sub(usize::try_from(fresh_in_row).unwrap_or(0));
    }

    /// Whether some pair of a class is still open.
    fn is_open(&self, axis: &Axis, class: usize) -> bool {
        let open = match axis.role {
            Role::Free => return true,
            Role::Row => &self.rows,
            Role::Column => &self.columns,
        };
        let open = |member: &u32| {
            usize::try_from(*member)
                .ok()
                .and_then(|at| open.get(at))
                .is_some_and(|open| *open > 0)
        };
        axis.members(class).iter().any(open)
    }
}

/// The position of the lowest bit.
fn bit(word: u64) -> usize {
    usize::try_from(word.trailing_zeros()).unwrap_or(64)
}

/// The position of the lowest bit.
fn first(words: impl Iterator<Item = u64>) -> Option<usize> {
    words
        .enumerate()
        .find(|(_, word)| *word != 0)
        .map(|(at, word)| at * 64 + bit(word))
}

fn count(words: impl Iterator<Item = u64>) -> usize {
    words.map(|word| usize::try_from(word.count_ones()).unwrap_or(0)).sum()
}

/// A class on its way into a smaller part.
#[derive(Clone, Copy)]
struct Kept {
    class: usize,
    floor: Code,
    /// Rules with a bit from this position on do not decide over the class.
    end: usize,
}

/// The bits of one axis: of rules that match some class, and of rules that match every class.
struct Masks {
    any: Vec<u64>,
    every: Vec<u64>,
}

impl Part {
    fn width(&self) -> usize {
        words(self.codes.len())
    }

    /// How many bits come before a floor.
    fn end(&self, floor: Code) -> usize {
        if floor >= NOTHING {
            return self.codes.len();
        }
        self.codes.partition_point(|code| *code < floor)
    }

    fn code_at(&self, position: Option<usize>) -> Code {
        position
            .and_then(|position| self.codes.get(position))
            .copied()
            .unwrap_or(NOTHING)
    }

    /// The classes that are left of each axis: those of `cut` only, and on pinned axes those that still need an answer.
    fn kept(&self, cut: Option<&(usize, Range<usize>)>, answer: &Answer) -> Vec<Vec<Kept>> {
        let exact = answer.deciders.is_some();
        let classes = |(at, axis): (usize, &Axis)| {
            let range = match cut {
                Some((own, range)) if *own == at => range.clone(),
                _ => 0..axis.floors.len(),
            };
            let floors = axis.floors.get(range.clone()).unwrap_or_default();
            let classes = range
                .zip(floors)
                .filter(|(class, _)| exact || answer.is_open(axis, *class));
            let kept = |(class, floor): (usize, &Code)| Kept {
                class,
                floor: *floor,
                end: self.end(*floor),
            };
            classes.map(kept).collect()
        };
        self.axes.iter().enumerate().map(classes).collect()
    }

    fn masks(&self, axis: &Axis, kept: &[Kept]) -> Masks {
        let width = self.width();
        let mut out = Masks {
            any: vec![0; width],
            every: vec![u64::MAX; width],
        };
        for kept in kept {
            let column = axis.column(kept.class, width);
            for (word, (column, (any, every))) in column.iter().zip(out.any.iter_mut().zip(&mut out.every)).enumerate()
            {
                let below = below(kept.end, word);
                *any |= column & below;
                // A rule that comes after the floor makes no difference: it may as well match.
                *every &= column | !below;
            }
        }
        out
    }

    /// The part's classes of `cut` alone, or all, simplified; `None` when none of them is left to answer or has an example.
    fn narrowed(
        &self,
        cut: Option<&(usize, Range<usize>)>,
        answer: &Answer,
        work: &mut Work,
    ) -> Result<Option<Self>, Exhausted> {
        let exact = answer.deciders.is_some();
        let width = self.width();
        let mut kept = self.kept(cut, answer);
        let mut ground = self.ground;
        let mut rest: Vec<u64>;
        let mut permits: Vec<Code>;
        loop {
            if kept.iter().any(Vec::is_empty) {
                return Ok(None);
            }
            work.spend(64 + 2 * kept.iter().map(Vec::len).sum::<usize>() * (width + 1))?;
            let masks: Vec<Masks> = self
                .axes
                .iter()
                .zip(&kept)
                .map(|(axis, kept)| self.masks(axis, kept))
                .collect();
            // By how many axes a rule is told apart here: none, one, more.
            let (mut some, mut more) = (vec![0; width], vec![0; width]);
            let mut alive = vec![u64::MAX; width];
            for masks in &masks {
                for (at, (any, every)) in masks.any.iter().zip(&masks.every).enumerate() {
                    if let (Some(some), Some(more), Some(alive)) =
                        (some.get_mut(at), more.get_mut(at), alive.get_mut(at))
                    {
                        *more |= *some & !every;
                        *some |= !every;
                        *alive &= any;
                    }
                }
            }
            if self.axes.is_empty() {
                alive.fill(0);
            }
            ground = ground.min(self.code_at(first(alive.iter().zip(&some).map(|(alive, some)| alive & !some))));
            let mut limit = ground;
            for ((axis, masks), kept) in self.axes.iter().zip(&masks).zip(&mut kept) {
                let slabs: Vec<u64> = alive
                    .iter()
                    .zip(&some)
                    .zip(&more)
                    .zip(&masks.every)
                    .map(|(((alive, some), more), every)| alive & some & !more & !every)
                    .collect();
                if slabs.iter().any(|word| *word != 0) {
                    for kept in kept.iter_mut() {
                        let column = axis.column(kept.class, width);
                        let slab = first(column.iter().zip(&slabs).map(|(column, slabs)| column & slabs));
                        let floor = self.code_at(slab);
                        if floor < kept.floor {
                            (kept.floor, kept.end) = (floor, self.end(floor));
                        }
                    }
                }
                limit = limit.min(kept.iter().map(|kept| kept.floor).max().unwrap_or(NOTHING));
            }
            let end = self.end(limit);
            let meet = alive.iter().zip(&more).enumerate();
            rest = meet
                .map(|(word, (alive, more))| alive & more & below(end, word))
                .collect();
            permits = self.permits(&rest, &kept, ground, limit);
            if exact {
                break;
            }
            let Some(earliest) = permits.first() else {
                return Ok(None);
            };
            if ground < *earliest {
                return Ok(None);
            }
            let before = kept.iter().map(Vec::len).sum::<usize>();
            for kept in &mut kept {
                kept.retain(|kept| kept.floor >= *earliest);
            }
            if kept.iter().map(Vec::len).sum::<usize>() == before {
                break;
            }
        }
        if !exact {
            for kept in kept.iter_mut().flatten() {
                kept.floor = plain(kept.floor, &permits);
                kept.end = self.end(kept.floor);
            }
            ground = plain(ground, &permits);
        }
        let gather = Gather::new(&rest, self.codes.len());
        let all = gather.all();
        let mut axes = Vec::with_capacity(self.axes.len());
        for (axis, kept) in self.axes.iter().zip(&kept) {
            let axis = gather.axis(axis, width, kept, exact);
            match axis.floors.as_slice() {
                // Every rule that is left matches the only class. (One that does not, since it comes after the floor of one
                // of the classes that were joined to this, is told apart by the axis yet.)
                [floor] if axis.role == Role::Free && axis.columns == all => ground = ground.min(*floor),
                _ => axes.push(axis),
            }
        }
        Ok(Some(Self {
            codes: gather.codes(&self.codes),
            ground,
            axes,
        }))
    }

    /// The codes of all that may still allow something, ascending.
    fn permits(&self, rest: &[u64], kept: &[Vec<Kept>], ground: Code, limit: Code) -> Vec<Code> {
        let bits = rest.iter().enumerate().flat_map(|(word, bits)| {
            let codes = self.codes.get(word * 64..).unwrap_or_default().iter().take(64);
            codes
                .enumerate()
                .filter(move |(at, _)| bits >> at & 1 == 1)
                .map(|(_, code)| *code)
        });
        let floors = kept
            .iter()
            .flatten()
            .map(|kept| kept.floor)
            .filter(|floor| *floor <= limit);
        let mut out: Vec<Code> = bits
            .chain(floors)
            .chain([ground])
            .filter(|code| allows(*code))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// The deny that comes right after the same allow: it stands for all others between the same two.
fn plain(floor: Code, permits: &[Code]) -> Code {
    if allows(floor) {
        return floor;
    }
    let next = permits.partition_point(|permit| *permit < floor);
    next.checked_sub(1)
        .and_then(|last| permits.get(last))
        .map_or(0, |permit| permit + 1)
}

/// The floor that answers for two classes of a free axis that are alike but for it: whatever else matches, it leads to an
/// allow if one of the two does.
fn better(left: Code, right: Code) -> Code {
    match (allows(left), allows(right)) {
        (true, true) => left.min(right),
        (true, false) => left,
        (false, true) => right,
        (false, false) => left.max(right),
    }
}

/// How the bits of a part move into those of a smaller one.
struct Gather {
    rest: Vec<u64>,
    /// For each word: which bits move together by 1, 2, 4 … 32 places; and how many there are. None when all stay.
    moves: Option<Vec<([u64; 6], u32)>>,
    width: usize,
}

impl Gather {
    fn new(rest: &[u64], rules: usize) -> Self {
        let left = count(rest.iter().copied());
        // Bits that no column has do no harm: they go when there are many.
        let moves = (left * 2 <= rules && rules > 0).then(|| {
            rest.iter()
                .map(|word| (compression(*word), word.count_ones()))
                .collect()
        });
        let width = if moves.is_some() { words(left) } else { rest.len() };
        Self {
            rest: rest.to_vec(),
            moves,
            width,
        }
    }

    fn codes(&self, codes: &[Code]) -> Vec<Code> {
        if self.moves.is_none() {
            return codes.to_vec();
        }
        let bit = |at: usize| self.rest.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        codes
            .iter()
            .enumerate()
            .filter(|(at, _)| bit(*at))
            .map(|(_, code)| *code)
            .collect()
    }

    /// The column of a class that has every rule.
    fn all(&self) -> Vec<u64> {
        let mut out = Vec::with_capacity(self.width);
        self.column(&self.rest, usize::MAX, &mut out);
        out
    }

    fn column(&self, column: &[u64], end: usize, out: &mut Vec<u64>) {
        let words = column.iter().zip(&self.rest).enumerate();
        let mut words = words.map(|(word, (column, rest))| column & rest & below(end, word));
        let Some(moves) = &self.moves else {
            out.extend(words);
            return;
        };
        let start = out.len();
        let (mut word, mut filled) = (0u64, 0u32);
        for (moves, count) in moves {
            let bits = compressed(words.next().unwrap_or(0), moves);
            word |= bits << filled;
            if filled + count >= 64 {
                out.push(word);
                word = if filled == 0 { 0 } else { bits >> (64 - filled) };
                filled = filled + count - 64;
            } else {
                filled += count;
            }
        }
        out.push(word);
        out.truncate(start + self.width);
    }

    /// An axis of the kept classes, those that have become alike joined.
    fn axis(&self, axis: &Axis, width: usize, kept: &[Kept], exact: bool) -> Axis {
        let strict = exact || axis.role != Role::Free;
        let mut columns: Vec<u64> = Vec::with_capacity(kept.len() * self.width);
        let mut table = Table::new(kept.len(), self.width, strict);
        let mut into = Vec::with_capacity(kept.len());
        for kept in kept {
            self.column(axis.column(kept.class, width), kept.end, &mut columns);
            into.push(table.add(&mut columns, kept.floor));
        }
        let floors = table.floors;
        let (mut ends, mut members) = (Vec::new(), Vec::new());
        if axis.role != Role::Free {
            ends = vec![0u32; floors.len()];
            // Sorted by class, as many as each has.
            let mut order: Vec<(usize, usize)> =
                into.iter().zip(kept).map(|(into, kept)| (*into, kept.class)).collect();
            order.sort_unstable();
            for (into, class) in order {
                members.extend(axis.members(class));
                if let Some(end) = ends.get_mut(into) {
                    *end = u32::try_from(members.len()).unwrap_or(u32::MAX);
                }
            }
        }
        Axis {
            role: axis.role,
            floors,
            columns,
            ends,
            members,
        }
    }
}

/// Columns seen so far, to find those that are alike.
pub(crate) struct Table {
    pub(crate) floors: Vec<Code>,
    width: usize,
    strict: bool,
    slots: Vec<u32>,
}

const EMPTY: u32 = u32::MAX;

impl Table {
    /// For so many columns of so many words; where `strict`, columns with other floors are not alike.
    pub(crate) fn new(columns: usize, width: usize, strict: bool) -> Self {
        let slots = (columns * 2).next_power_of_two().max(4);
        Self {
            floors: Vec::new(),
            width,
            strict,
            slots: vec![EMPTY; slots],
        }
    }

    /// Adds the last column of `columns`, or takes it off again when it is there already; says which class it is.
    pub(crate) fn add(&mut self, columns: &mut Vec<u64>, floor: Code) -> usize {
        if (self.floors.len() + 1) * 2 > self.slots.len() {
            self.grow(columns);
        }
        let start = self.floors.len() * self.width;
        let (known, fresh) = columns.split_at(start.min(columns.len()));
        let mut at = self.hash(fresh, floor);
        let mask = self.slots.len() - 1;
        loop {
            at &= mask;
            let class = self.slots.get(at).copied().unwrap_or(EMPTY);
            if class == EMPTY {
                let class = self.floors.len();
                if let Some(slot) = self.slots.get_mut(at) {
                    *slot = u32::try_from(class).unwrap_or(EMPTY);
                }
                self.floors.push(floor);
                return class;
            }
            let class = usize::try_from(class).unwrap_or(usize::MAX);
            let same = known.get(class * self.width..).and_then(|own| own.get(..self.width)) == Some(fresh);
            if let Some(own) = self
                .floors
                .get_mut(class)
                .filter(|own| same && (!self.strict || **own == floor))
            {
                *own = if self.strict { floor } else { better(*own, floor) };
                columns.truncate(start);
                return class;
            }
            at += 1;
        }
    }

    fn hash(&self, column: &[u64], floor: Code) -> usize {
        let mut hash = if self.strict { u64::from(floor) } else { 0 };
        for word in column {
            hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        usize::try_from(hash >> 32).unwrap_or(0)
    }

    fn grow(&mut self, columns: &[u64]) {
        let size = self.slots.len() * 2;
        let mask = size - 1;
        let mut slots = vec![EMPTY; size];
        for (class, (column, floor)) in columns.chunks_exact(self.width).zip(&self.floors).enumerate() {
            let mut at = self.hash(column, *floor) & mask;
            while slots.get(at).is_some_and(|slot| *slot != EMPTY) {
                at = (at + 1) & mask;
            }
            if let Some(slot) = slots.get_mut(at) {
                *slot = u32::try_from(class).unwrap_or(EMPTY);
            }
        }
        self.slots = slots;
    }
}

/// The moves that bring the bits of `mask` together at the low end (Warren, Hacker's Delight, 7-4).
fn compression(mut mask: u64) -> [u64; 6] {
    let mut out = [0; 6];
    let mut gaps = !mask << 1;
    for (step, out) in out.iter_mut().enumerate() {
        let mut parity = gaps ^ (gaps << 1);
        for shift in [2, 4, 8, 16, 32] {
            parity ^= parity << shift;
        }
        let moving = parity & mask;
        *out = moving;
        mask = (mask ^ moving) | (moving >> (1 << step));
        gaps &= !parity;
    }
    out
}

/// The bits of a masked word brought together.
fn compressed(mut word: u64, moves: &[u64; 6]) -> u64 {
    for (step, moving) in moves.iter().enumerate() {
        let bits = word & moving;
        word = (word ^ bits) | (bits >> (1 << step));
    }
    word
}

/// Answers for every pair of the part's pinned classes.
pub(crate) fn search(part: &Part, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
    if let Some(part) = part.narrowed(None, answer, work)? {
        halve(&part, answer, work)?;
    }
    Ok(())
}

fn halve(part: &Part, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
    if part.columns_are_empty() {
        return part.settle(answer, work);
    }
    if part.axes.iter().any(|axis| axis.role == Role::Free) {
        part.try_examples(answer, work)?;
        if answer.open == 0 {
            return Ok(());
        }
    }
    let Some((axis, at, left_first)) = part.cut(work)? else {
        // Columns that are not empty tell at least two classes apart.
        return Ok(());
    };
    let classes = part.axes.get(axis).map_or(0, |axis| axis.floors.len());
    let mut halves = [(axis, 0..at), (axis, at..classes)];
    if !left_first {
        halves.reverse();
    }
    for half in &halves {
        if answer.open == 0 {
            break;
        }
        if let Some(part) = part.narrowed(Some(half), answer, work)? {
            halve(&part, answer, work)?;
        }
    }
    Ok(())
}

impl Part {
    fn columns_are_empty(&self) -> bool {
        self.axes.iter().all(|axis| axis.columns.iter().all(|word| *word == 0))
    }

    fn axis(&self, role: Role) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.role == role)
    }

    /// Answers by the floors alone.
    fn settle(&self, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
        let free = self.axes.iter().filter(|axis| axis.role == Role::Free);
        // Without columns all classes of a free axis are alike.
        let base = free
            .map(|axis| axis.floors.iter().copied().reduce(better).unwrap_or(NOTHING))
            .fold(self.ground, Code::min);
        self.mark(base, answer, work, |_, _| NOTHING)
    }

    /// Adds every pair of pinned classes over which an allow decides: the first of `base`, the floors of both, and what
    /// `bits` says.
    fn mark(
        &self,
        base: Code,
        answer: &mut Answer,
        work: &mut Work,
        bits: impl Fn(&[u64], &[u64]) -> Code,
    ) -> Result<(), Exhausted> {
        let width = self.width();
        let rows = pinned(self.axis(Role::Row), width);
        let columns = pinned(self.axis(Role::Column), width);
        work.spend(rows.len() * columns.len())?;
        let mut mask = vec![0u64; answer.width];
        for row in &rows {
            let first = base.min(row.floor);
            let mut empty = true;
            mask.fill(0);
            for column in &columns {
                let decides = first.min(column.floor).min(bits(row.column, column.column));
                if allows(decides) {
                    empty = false;
                    for member in column.members {
                        let member = usize::try_from(*member).unwrap_or(usize::MAX);
                        if let Some(word) = mask.get_mut(member / 64) {
                            *word |= 1 << (member % 64);
                        }
                    }
                } else if answer.deciders.is_some() {
                    answer.decider(decides);
                }
            }
            if !empty {
                work.spend(
                    row.members.len() * answer.width + columns.iter().map(|column| column.members.len()).sum::<usize>(),
                )?;
                for member in row.members {
                    answer.add(*member, &mask);
                }
            }
        }
        Ok(())
    }

    /// Looks at a few points that are likely to be allowed: most that is reachable is found so.
    fn try_examples(&self, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
        let width = self.width();
        let classes: usize = self.axes.iter().map(|axis| axis.floors.len()).sum();
        let pairs = [Role::Column, Role::Row]
            .into_iter()
            .map(|role| self.axis(role).map_or(1, |axis| axis.floors.len()));
        if pairs.product::<usize>() > classes * 2 + 64 {
            return Ok(());
        }
        work.spend(classes * width * 2)?;
        let mut denies = vec![0u64; width];
        let mut allow = None;
        for (at, code) in self.codes.iter().enumerate() {
            if allows(*code) {
                allow = allow.or(Some(at));
            } else if let Some(word) = denies.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
        self.try_example(&denies, None, answer, work)?;
        if answer.open > 0
            && let Some(allow) = allow
        {
            for (word, denies) in denies.iter_mut().enumerate() {
                *denies &= below(allow, word);
            }
            self.try_example(&denies, Some(allow), answer, work)?;
        }
        Ok(())
    }

    /// Tries the free classes with the fewest of these denies, and with this rule.
    fn try_example(
        &self,
        denies: &[u64],
        allow: Option<usize>,
        answer: &mut Answer,
        work: &mut Work,
    ) -> Result<(), Exhausted> {
        let width = self.width();
        let mut met = vec![u64::MAX; width];
        let mut base = self.ground;
        for axis in self.axes.iter().filter(|axis| axis.role == Role::Free) {
            let mut best: Option<((usize, Code), &[u64], Code)> = None;
            for (class, floor) in axis.floors.iter().enumerate() {
                let column = axis.column(class, width);
                let has = |at: usize| column.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
                if allow.is_some_and(|allow| !has(allow)) {
                    continue;
                }
                let refusing = count(
                    column
                        .iter()
                        .zip(denies)
                        .zip(&met)
                        .map(|((column, denies), met)| column & denies & met),
                );
                // A later floor leaves more to others, unless it is what allows.
                let key = (refusing, if allows(*floor) { 0 } else { NOTHING - floor });
                if best.is_none_or(|(least, ..)| key < least) {
                    best = Some((key, column, *floor));
                }
            }
            let Some((_, column, floor)) = best else {
                return Ok(());
            };
            base = base.min(floor);
            for (met, column) in met.iter_mut().zip(column) {
                *met &= column;
            }
        }
        self.mark(base, answer, work, |row, column| {
            // A missing axis has no column.
            let bits_of = |own: &[u64], at: usize| {
                if own.is_empty() {
                    u64::MAX
                } else {
                    own.get(at).copied().unwrap_or(0)
                }
            };
            let bits = met
                .iter()
                .enumerate()
                .map(|(at, met)| met & bits_of(row, at) & bits_of(column, at));
            self.code_at(first(bits))
        })
    }

    /// Where to cut: the axis, the class that begins the second half, and whether the first half has less to it. The cut
    /// that leaves the least counts best; a rule counts for each axis but one by which it is told apart.
    fn cut(&self, work: &mut Work) -> Result<Option<(usize, usize, bool)>, Exhausted> {
        let width = self.width();
        let ends: Vec<Vec<usize>> = self
            .axes
            .iter()
            .map(|axis| axis.floors.iter().map(|floor| self.end(*floor)).collect())
            .collect();
        // The classes of each axis in up to eight blocks.
        let blocks: Vec<Vec<(usize, Masks)>> = self
            .axes
            .iter()
            .zip(&ends)
            .map(|(axis, ends)| {
                let classes = axis.floors.len();
                let blocks = classes.min(8);
                (0..blocks)
                    .map(|block| {
                        let (from, to) = (classes * block / blocks, classes * (block + 1) / blocks);
                        let kept: Vec<Kept> = (from..to)
                            .map(|class| Kept {
                                class,
                                floor: NOTHING,
                                end: ends.get(class).copied().unwrap_or(0),
                            })
                            .collect();
                        (from, self.masks(axis, &kept))
                    })
                    .collect()
            })
            .collect();
        work.spend(
            self.axes.iter().map(|axis| axis.floors.len() * width).sum::<usize>()
                + blocks.iter().map(|blocks| blocks.len() * width * 8).sum::<usize>(),
        )?;
        // By how many axes each rule is told apart: at least two, three, four, five.
        let mut levels = vec![vec![0u64; width]; 5];
        let mut every_of_axis = Vec::with_capacity(self.axes.len());
        for blocks in &blocks {
            let mut every = vec![u64::MAX; width];
            for (_, masks) in blocks {
                for (every, own) in every.iter_mut().zip(&masks.every) {
                    *every &= own;
                }
            }
            for at in 0..width {
                let mut carry = !every.get(at).copied().unwrap_or(0);
                for level in &mut levels {
                    if let Some(word) = level.get_mut(at) {
                        let next = *word & carry;
                        *word |= carry;
                        carry = next;
                    }
                }
            }
            every_of_axis.push(every);
        }
        let mut best: Option<(u64, usize, usize, usize, bool)> = None;
        for (axis, (blocks, every)) in blocks.iter().zip(&every_of_axis).enumerate() {
            let classes = self.axes.get(axis).map_or(0, |axis| axis.floors.len());
            let sides = |from: usize, to: usize| -> u64 {
                let mut any = vec![0u64; width];
                let mut own_every = vec![u64::MAX; width];
                for (_, masks) in blocks.get(from..to).unwrap_or_default() {
                    for ((any, own), (every, more)) in any
                        .iter_mut()
                        .zip(&masks.any)
                        .zip(own_every.iter_mut().zip(&masks.every))
                    {
                        *any |= own;
                        *every &= more;
                    }
                }
                let mut cost = 0;
                for (at, (any, full)) in any.iter().zip(&own_every).enumerate() {
                    let told = !every.get(at).copied().unwrap_or(0);
                    for (level, words) in levels.iter().enumerate().skip(1) {
                        let rules = words.get(at).copied().unwrap_or(0) & any;
                        // One axis fewer tells a rule apart that matches all of the half.
                        let left = if level == 1 { rules & !(told & full) } else { rules };
                        cost += u64::from(left.count_ones());
                    }
                }
                cost
            };
            for (number, (at, _)) in blocks.iter().enumerate().skip(1) {
                let (left, right) = (sides(0, number), sides(number, blocks.len()));
                let score = left * left + right * right;
                if best.is_none_or(|(least, fewest, ..)| (score, classes) < (least, fewest)) {
                    best = Some((score, classes, axis, *at, left <= right));
                }
            }
        }
        Ok(best.map(|(_, _, axis, at, left_first)| (axis, at, left_first)))
    }
}

/// A class of a pinned axis, or all that there is where the axis is not asked about.
struct Pinned<'a> {
    floor: Code,
    column: &'a [u64],
    members: &'a [u32],
}

fn pinned(axis: Option<&Axis>, width: usize) -> Vec<Pinned<'_>> {
    let Some(axis) = axis else {
        return vec![Pinned {
            floor: NOTHING,
            column: &[],
            members: &[0],
        }];
    };
    let classes = axis.floors.iter().enumerate();
    classes
        .map(|(class, floor)| Pinned {
            floor: *floor,
            column: axis.column(class, width),
            members: axis.members(class),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_range_loop)]
    use proptest::prelude::*;

    use super::*;

    /// A part with random columns and floors: most rules in some classes of each axis, some in all.
    fn part() -> impl Strategy<Value = Part> {
        let one_axis = |rules: usize| {
            let class = (prop::collection::vec(0u8..8, rules), prop::option::of(0..rules.max(1)));
            (prop::collection::vec(class, 1..7), 0u8..3)
        };
        (0usize..150, 0u8..8)
            .prop_flat_map(move |(rules, density)| {
                (
                    prop::collection::vec(any::<bool>(), rules + 1),
                    prop::collection::vec(one_axis(rules), 4),
                    prop::collection::vec((0u8..8, 0usize..4), rules),
                    prop::option::of(0..rules.max(1)),
                    Just(density),
                )
            })
            .prop_map(|(actions, axes, whole, ground, density)| {
                // Positions are doubled, so that floors are rules of their own.
                let code_of = |position: usize, allows: bool| code(2 * position + 1, allows);
                let codes: Vec<Code> = (0..whole.len()).map(|at| code(2 * at, actions[at])).collect();
                let width = words(codes.len());
                let axes = axes
                    .into_iter()
                    .zip([Role::Row, Role::Column, Role::Free, Role::Free])
                    .enumerate()
                    .map(|(number, ((classes, kind), role))| {
                        let mut columns = Vec::new();
                        let mut floors = Vec::new();
                        for (bits, floor) in &classes {
                            let mut column = vec![0u64; width];
                            for (at, draw) in bits.iter().enumerate() {
                                let (whole, spared) = whole[at];
                                if *draw < density || (whole < 6 && spared != number) {
                                    column[at / 64] |= 1 << (at % 64);
                                }
                            }
                            columns.extend(column);
                            floors.push(
                                floor
                                    .filter(|_| kind == 0)
                                    .map_or(NOTHING, |at| code_of(at, !actions[at])),
                            );
                        }
                        let ids = 0..u32::try_from(floors.len()).unwrap();
                        let (members, ends) = if role == Role::Free {
                            (vec![], vec![])
                        } else {
                            (ids.clone().collect(), ids.map(|id| id + 1).collect())
                        };
                        Axis {
                            role,
                            floors,
                            columns,
                            ends,
                            members,
                        }
                    })
                    .collect();
                Part {
                    codes,
                    ground: ground.map_or(NOTHING, |at| code_of(at, actions[at])),
                    axes,
                }
            })
    }

    /// What decides over one point.
    fn decides(part: &Part, classes: [usize; 4]) -> Code {
        let width = part.width();
        let mut met = vec![u64::MAX; width];
        let mut floor = part.ground;
        for (axis, class) in part.axes.iter().zip(classes) {
            floor = floor.min(axis.floors[class]);
            for (met, column) in met.iter_mut().zip(axis.column(class, width)) {
                *met &= column;
            }
        }
        floor.min(part.code_at(first(met.into_iter())))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn finds_what_trying_every_point_finds(part in part()) {
            let size = |axis: usize| part.axes[axis].floors.len();
            let mut answer = Answer::new(size(0), size(1), None);
            search(&part, &mut answer, &mut Work::new(u64::MAX)).unwrap();
            let rows: Vec<Vec<u64>> = answer.rows().map(<[u64]>::to_vec).collect();
            prop_assert_eq!(rows.len(), size(0));
            for (row, cells) in rows.iter().enumerate() {
                for column in 0..size(1) {
                    let found = (0..size(2)).any(|a| (0..size(3)).any(|b| allows(decides(&part, [row, column, a, b]))));
                    prop_assert_eq!(cells[column / 64] >> (column % 64) & 1 == 1, found, "{} {}", row, column);
                }
            }
        }

        #[test]
        fn tells_who_decides_where_every_axis_is_pinned(mut part in part()) {
            part.axes.truncate(2);
            let size = |axis: usize| part.axes[axis].floors.len();
            let mut answer = Answer::new(size(0), size(1), Some(400));
            search(&part, &mut answer, &mut Work::new(u64::MAX)).unwrap();
            let rows: Vec<Vec<u64>> = answer.rows().map(<[u64]>::to_vec).collect();
            prop_assert_eq!(rows.len(), size(0));
            let mut denies = vec![false; 400];
            for (row, cells) in rows.iter().enumerate() {
                for column in 0..size(1) {
                    let decides = decides(&part, [row, column, 0, 0]);
                    prop_assert_eq!(cells[column / 64] >> (column % 64) & 1 == 1, allows(decides));
                    if !allows(decides) && decides != NOTHING {
                        denies[usize::try_from(decides >> 1).unwrap()] = true;
                    }
                }
            }
            for (position, denies) in denies.into_iter().enumerate() {
                prop_assert_eq!(answer.has_decider(position), denies);
            }
        }

        #[test]
        fn gathers_the_bits_of_a_mask(word: u64, mask: u64) {
            let moved = compressed(word & mask, &compression(mask));
            let picked = (0..64).filter(|at| mask >> at & 1 == 1).enumerate();
            let expected = picked.fold(0, |out, (to, from)| out | (word >> from & 1) << to);
            prop_assert_eq!(moved, expected);
        }
    }
}
