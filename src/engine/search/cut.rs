//! Where to cut a part in two.

use super::{
    super::work::{Exhausted, Work},
    axis::Part,
    code::NOTHING,
    masks::{Kept, Masks},
};

impl Part {
    /// Where to cut: the axis, the class that begins the second half, and whether the first half has less to it. The cut
    /// that leaves the least counts best; a rule counts for each axis but one by which it is told apart.
    pub(super) fn cut(&self, work: &mut Work) -> Result<Option<(usize, usize, bool)>, Exhausted> {
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
