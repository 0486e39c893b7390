//! The rules that are left of a part, moved together, and classes that have become alike joined.

use super::{
    axis::{Axis, Role},
    bits::{below, compressed, compression, count, words},
    code::Code,
    masks::Kept,
    table::Table,
};

/// How the bits of a part move into those of a smaller one.
pub(super) struct Gather {
    rest: Vec<u64>,
    /// For each word: which bits move together by 1, 2, 4 … 32 places; and how many there are. None when all stay.
    moves: Option<Vec<([u64; 6], u32)>>,
    width: usize,
}

impl Gather {
    pub(super) fn new(rest: &[u64], rules: usize) -> Self {
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

    pub(super) fn codes(&self, codes: &[Code]) -> Vec<Code> {
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
    pub(super) fn all(&self) -> Vec<u64> {
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
    pub(super) fn axis(&self, axis: &Axis, width: usize, kept: &[Kept], exact: bool) -> Axis {
        let strict = exact || axis.role != Role::Free;
        let mut columns: Vec<u64> = Vec::with_capacity(kept.len() * self.width);
        let mut table = Table::new(kept.len(), self.width, strict);
        let mut into = Vec::with_capacity(kept.len());
        for kept in kept {
            self.column(axis.column(kept.class, width), kept.end, &mut columns);
            into.push(table.add(&mut columns, kept.floor));
        }
        let floors = table.floors;
        let (mut ends, mut members): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        if axis.role != Role::Free {
            ends = vec![0u32; floors.len()];
            // Sorted by class: as many as each has, then each where the last of its class ended.
            for (into, kept) in into.iter().zip(kept) {
                if let Some(end) = ends.get_mut(*into) {
                    *end += u32::try_from(axis.members(kept.class).len()).unwrap_or(0);
                }
            }
            let mut total = 0;
            for end in &mut ends {
                (*end, total) = (total, total + *end);
            }
            members = vec![0; usize::try_from(total).unwrap_or(0)];
            for (into, kept) in into.iter().zip(kept) {
                let own = axis.members(kept.class);
                if let Some(end) = ends.get_mut(*into) {
                    let at = usize::try_from(*end).unwrap_or(usize::MAX);
                    if let Some(slots) = members.get_mut(at..at.saturating_add(own.len())) {
                        slots.copy_from_slice(own);
                    }
                    *end += u32::try_from(own.len()).unwrap_or(0);
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
