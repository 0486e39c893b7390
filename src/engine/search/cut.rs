//! Where to cut a part in two.

use super::{
    super::work::{Exhausted, Work},
    axis::{Axis, Part},
    masks::{Kept, Masks},
};

/// Cuts are tried between so many blocks of classes of each axis.
const BLOCKS: usize = 8;

/// The classes of an axis in blocks.
struct Blocks {
    /// The first class of each.
    starts: Vec<usize>,
    /// What some class of the blocks from the first on matches, and what every class does, block by block.
    left: Vec<Masks>,
    /// The same from the last on, back to this block.
    right: Vec<Masks>,
}

/// How many axes tell each rule apart: a row of bits for those that at least one, two, … five do.
struct Levels {
    rows: [Vec<u64>; 5],
}

impl Levels {
    fn new(width: usize) -> Self {
        Self {
            rows: std::array::from_fn(|_| vec![0; width]),
        }
    }

    /// One axis more tells apart all rules but these.
    fn add(&mut self, every: &[u64]) {
        for (at, every) in every.iter().enumerate() {
            let mut carry = !every;
            for row in &mut self.rows {
                if let Some(word) = row.get_mut(at) {
                    let next = *word & carry;
                    *word |= carry;
                    carry = next;
                }
            }
        }
    }

    /// What a half with these rules costs: each counts for each axis but one by which it is told apart. Of the axis that is
    /// cut, `every` are the rules that match all of it.
    fn cost(&self, half: &Masks, every: &[u64]) -> u64 {
        let [_, two, more @ ..] = &self.rows;
        let words = half.any.iter().zip(&half.every).zip(every).zip(two).enumerate();
        let mut cost = 0;
        for (at, (((any, full), every), two)) in words {
            // One axis fewer tells a rule apart that matches all of the half.
            let rules = two & any & !(!every & full);
            cost += u64::from(rules.count_ones());
            for row in more {
                cost += u64::from((row.get(at).copied().unwrap_or(0) & any).count_ones());
            }
        }
        cost
    }
}

impl Part {
    /// Where to cut: the axis, the class that begins the second half, and whether the first half has less to it. The cut
    /// that leaves the least counts best; a rule counts for each axis but one by which it is told apart.
    pub(super) fn cut(&self, work: &mut Work) -> Result<Option<(usize, usize, bool)>, Exhausted> {
        let width = self.width();
        let blocks: Vec<Blocks> = self.axes.iter().map(|axis| self.blocks(axis)).collect();
        work.spend(
            self.axes.iter().map(|axis| axis.floors.len() * width).sum::<usize>()
                + blocks
                    .iter()
                    .map(|blocks| blocks.starts.len() * width * 8)
                    .sum::<usize>(),
        )?;
        let mut levels = Levels::new(width);
        for whole in blocks.iter().filter_map(|blocks| blocks.left.last()) {
            levels.add(&whole.every);
        }
        let mut best: Option<(u64, usize, usize, usize, bool)> = None;
        for (axis, blocks) in blocks.iter().enumerate() {
            let classes = self.axes.get(axis).map_or(0, |axis| axis.floors.len());
            let Some(whole) = blocks.left.last() else {
                continue;
            };
            let cuts = blocks.left.iter().zip(blocks.right.iter().zip(&blocks.starts).skip(1));
            for (left, (right, at)) in cuts {
                let (left, right) = (levels.cost(left, &whole.every), levels.cost(right, &whole.every));
                let score = left * left + right * right;
                if best.is_none_or(|(least, fewest, ..)| (score, classes) < (least, fewest)) {
                    best = Some((score, classes, axis, *at, left <= right));
                }
            }
        }
        Ok(best.map(|(_, _, axis, at, left_first)| (axis, at, left_first)))
    }

    fn blocks(&self, axis: &Axis) -> Blocks {
        let classes = axis.floors.len();
        let count = classes.min(BLOCKS);
        let starts: Vec<usize> = (0..count).map(|block| classes * block / count).collect();
        let ends = starts.iter().skip(1).copied().chain([classes]);
        let mut left: Vec<Masks> = starts
            .iter()
            .zip(ends)
            .map(|(from, to)| {
                let floors = axis.floors.get(*from..to).unwrap_or_default();
                let kept = (*from..).zip(floors).map(|(class, floor)| Kept {
                    class,
                    floor: *floor,
                    end: self.end(*floor),
                });
                self.masks(axis, kept)
            })
            .collect();
        let mut right = left.clone();
        for at in 1..count {
            join(&mut left, at - 1, at);
            join(&mut right, count - at, count - at - 1);
        }
        Blocks { starts, left, right }
    }
}

/// Joins the masks at one place to those at another.
fn join(masks: &mut [Masks], from: usize, to: usize) {
    if let Ok([from, to]) = masks.get_disjoint_mut([from, to]) {
        to.join(from);
    }
}
