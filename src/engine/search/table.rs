//! Columns that are alike, found by hash.

use super::code::{Code, better};

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
