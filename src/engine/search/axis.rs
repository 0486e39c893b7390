//! The space of the search: axes of classes, and the part of it that is looked at.

use super::{
    bits::words,
    code::{Code, NOTHING},
};

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
    pub(super) fn members(&self, class: usize) -> &[u32] {
        let end = |class: usize| {
            self.ends
                .get(class)
                .and_then(|end| usize::try_from(*end).ok())
                .unwrap_or(0)
        };
        let first = class.checked_sub(1).map_or(0, end);
        self.members.get(first..end(class)).unwrap_or_default()
    }

    pub(super) fn column(&self, class: usize, width: usize) -> &[u64] {
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

impl Part {
    pub(super) fn width(&self) -> usize {
        words(self.codes.len())
    }

    /// How many bits come before a floor.
    pub(super) fn end(&self, floor: Code) -> usize {
        if floor >= NOTHING {
            return self.codes.len();
        }
        self.codes.partition_point(|code| *code < floor)
    }

    pub(super) fn code_at(&self, position: Option<usize>) -> Code {
        position
            .and_then(|position| self.codes.get(position))
            .copied()
            .unwrap_or(NOTHING)
    }

    pub(super) fn columns_are_empty(&self) -> bool {
        self.axes.iter().all(|axis| axis.columns.iter().all(|word| *word == 0))
    }

    pub(super) fn axis(&self, role: Role) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.role == role)
    }
}
