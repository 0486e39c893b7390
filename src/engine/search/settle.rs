//! Pairs of pinned classes, decided one by one.

use super::{
    super::work::{Exhausted, Work},
    answer::Answer,
    axis::{Axis, Part, Role},
    code::{Code, NOTHING, allows, better},
};

impl Part {
    /// Answers by the floors alone.
    pub(super) fn settle(&self, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
        let free = self.axes.iter().filter(|axis| axis.role == Role::Free);
        // Without columns all classes of a free axis are alike.
        let base = free
            .map(|axis| axis.floors.iter().copied().reduce(better).unwrap_or(NOTHING))
            .fold(self.ground, Code::min);
        self.mark(answer, work, |row, column| base.min(row.floor).min(column.floor))
    }

    /// Adds every pair of pinned classes over which an allow decides.
    pub(super) fn mark(
        &self,
        answer: &mut Answer,
        work: &mut Work,
        decides: impl Fn(&Pinned<'_>, &Pinned<'_>) -> Code,
    ) -> Result<(), Exhausted> {
        let width = self.width();
        let rows = pinned(self.axis(Role::Row), width);
        let columns = pinned(self.axis(Role::Column), width);
        work.spend(rows.len() * columns.len())?;
        let mut mask = vec![0u64; answer.width];
        for row in &rows {
            let mut empty = true;
            mask.fill(0);
            for column in &columns {
                let decides = decides(row, column);
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
}

/// A class of a pinned axis, or all that there is where the axis is not asked about.
pub(super) struct Pinned<'a> {
    pub(super) floor: Code,
    /// None where the axis is not asked about.
    pub(super) column: &'a [u64],
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
