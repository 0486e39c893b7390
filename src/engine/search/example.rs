//! Points that are likely to be allowed, looked at before the space is cut.

use super::{
    super::work::{Exhausted, Work},
    answer::Answer,
    axis::{Part, Role},
    bits::{below, count, first},
    code::{Code, NOTHING, allows},
};

impl Part {
    /// Looks at a few points that are likely to be allowed: most that is reachable is found so.
    pub(super) fn try_examples(&self, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
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
        self.mark(answer, work, |row, column| {
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
                .map(|(at, met)| met & bits_of(row.column, at) & bits_of(column.column, at));
            base.min(row.floor).min(column.floor).min(self.code_at(first(bits)))
        })
    }
}
