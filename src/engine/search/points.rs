//! Parts of few points, each of which is looked at.

use super::{
    super::work::{Exhausted, Work},
    answer::Answer,
    axis::{Axis, Part, Role},
    bits::first,
    code::{Code, allows},
    settle::Pinned,
};

/// Words of a column, in such a part.
const WORDS: usize = 2;

impl Part {
    /// Whether the part is so small that its points are looked at one by one.
    pub(super) fn has_few_points(&self, work: &Work) -> bool {
        let points = self.axes.iter().map(|axis| axis.floors.len());
        self.width() <= WORDS && points.fold(1, usize::saturating_mul) <= work.few_points
    }

    /// Answers by looking at every point.
    pub(super) fn try_points(&self, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
        let points: usize = self.axes.iter().map(|axis| axis.floors.len()).product();
        work.spend(2 * points * self.width())?;
        let free: Vec<&Axis> = self.axes.iter().filter(|axis| axis.role == Role::Free).collect();
        let pair = |row: &Pinned<'_>, column: &Pinned<'_>| {
            let met = narrow(narrow([u64::MAX; WORDS], row.column), column.column);
            let floor = self.ground.min(row.floor).min(column.floor);
            self.example(&free, met, floor).unwrap_or(0)
        };
        self.mark(answer, work, pair)
    }

    /// What allows some point of these axes, the rules that match the other axes and their lowest floor given.
    fn example(&self, free: &[&Axis], met: [u64; WORDS], floor: Code) -> Option<Code> {
        let Some((axis, rest)) = free.split_first() else {
            let decides = floor.min(self.code_at(first(met.into_iter())));
            return allows(decides).then_some(decides);
        };
        let width = self.width();
        let mut classes = axis.floors.iter().enumerate();
        classes.find_map(|(class, own)| self.example(rest, narrow(met, axis.column(class, width)), floor.min(*own)))
    }
}

/// Those of the rules that have a bit in a column. A missing axis has no column.
fn narrow(mut met: [u64; WORDS], column: &[u64]) -> [u64; WORDS] {
    for (met, column) in met.iter_mut().zip(column) {
        *met &= column;
    }
    met
}
