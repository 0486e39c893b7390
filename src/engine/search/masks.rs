//! Which rules match some class of an axis, and which match every class.

use super::{
    axis::{Axis, Part},
    bits::below,
    code::Code,
};

/// A class on its way into a smaller part.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) class: usize,
    pub(super) floor: Code,
    /// Rules with a bit from this position on do not decide over the class.
    pub(super) end: usize,
}

/// The bits of one axis: of rules that match some class, and of rules that match every class.
#[derive(Clone)]
pub(super) struct Masks {
    pub(super) any: Vec<u64>,
    pub(super) every: Vec<u64>,
}

impl Masks {
    /// Those of this one's classes and another's together.
    pub(super) fn join(&mut self, other: &Self) {
        for (own, other) in self.any.iter_mut().zip(&other.any) {
            *own |= other;
        }
        for (own, other) in self.every.iter_mut().zip(&other.every) {
            *own &= other;
        }
    }
}

impl Part {
    pub(super) fn masks(&self, axis: &Axis, kept: impl Iterator<Item = Kept>) -> Masks {
        let width = self.width();
        let mut out = Masks {
            any: vec![0; width],
            every: vec![u64::MAX; width],
        };
        for kept in kept {
            let column = axis.column(kept.class, width);
            let words = column.iter().zip(out.any.iter_mut().zip(&mut out.every));
            if kept.end >= self.codes.len() {
                for (column, (any, every)) in words {
                    *any |= column;
                    *every &= column;
                }
                continue;
            }
            for (word, (column, (any, every))) in words.enumerate() {
                let below = below(kept.end, word);
                *any |= column & below;
                // A rule that comes after the floor makes no difference: it may as well match.
                *every &= column | !below;
            }
        }
        out
    }
}
