//! What the search has found so far.

use super::{
    axis::{Axis, Role},
    bits::{bit, words},
    code::Code,
};

/// The answer: a bit for each pair of a row and a column.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(super) width: usize,
    bits: Vec<u64>,
    /// How many pairs of each row and each column are not in the answer, and of all.
    rows: Vec<u32>,
    columns: Vec<u32>,
    pub(super) open: usize,
    /// The codes of denies that decide over some pair, where that was asked for.
    pub(super) deciders: Option<Vec<u64>>,
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

    pub(super) fn decider(&mut self, code: Code) {
        let position = usize::try_from(code >> 1).unwrap_or(usize::MAX);
        if let Some(word) = self.deciders.as_mut().and_then(|all| all.get_mut(position / 64)) {
            *word |= 1 << (position % 64);
        }
    }

    /// Adds the columns of `mask` to a row.
    pub(super) fn add(&mut self, row: u32, mask: &[u64]) {
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
    pub(super) fn is_open(&self, axis: &Axis, class: usize) -> bool {
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
