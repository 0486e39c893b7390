//! A part of the space simplified: what every rule decides alone, and what no rule can change, is taken out.

use std::ops::Range;

use super::{
    super::work::{Exhausted, Work},
    answer::Answer,
    axis::{Axis, Part, Role},
    bits::{below, first},
    code::{Code, NOTHING, allows, plain},
    gather::Gather,
    masks::{Kept, Masks},
};

impl Part {
    /// The classes that are left of each axis: those of `cut` only, and on pinned axes those that still need an answer.
    fn kept(&self, cut: Option<&(usize, Range<usize>)>, answer: &Answer) -> Vec<Vec<Kept>> {
        let exact = answer.deciders.is_some();
        let classes = |(at, axis): (usize, &Axis)| {
            let range = match cut {
                Some((own, range)) if *own == at => range.clone(),
                _ => 0..axis.floors.len(),
            };
            let floors = axis.floors.get(range.clone()).unwrap_or_default();
            let classes = range
                .zip(floors)
                .filter(|(class, _)| exact || answer.is_open(axis, *class));
            let kept = |(class, floor): (usize, &Code)| Kept {
                class,
                floor: *floor,
                end: self.end(*floor),
            };
            classes.map(kept).collect()
        };
        self.axes.iter().enumerate().map(classes).collect()
    }

    /// The part's classes of `cut` alone, or all, simplified; `None` when none of them is left to answer or has an example.
    pub(super) fn narrowed(
        &self,
        cut: Option<&(usize, Range<usize>)>,
        answer: &Answer,
        work: &mut Work,
    ) -> Result<Option<Self>, Exhausted> {
        let exact = answer.deciders.is_some();
        let width = self.width();
        let mut kept = self.kept(cut, answer);
        let mut ground = self.ground;
        let mut rest: Vec<u64>;
        let mut permits: Vec<Code>;
        loop {
            if kept.iter().any(Vec::is_empty) {
                return Ok(None);
            }
            work.spend(64 + 2 * kept.iter().map(Vec::len).sum::<usize>() * (width + 1))?;
            let masks: Vec<Masks> = self
                .axes
                .iter()
                .zip(&kept)
                .map(|(axis, kept)| self.masks(axis, kept.iter().copied()))
                .collect();
            // By how many axes a rule is told apart here: none, one, more.
            let (mut some, mut more) = (vec![0; width], vec![0; width]);
            let mut alive = vec![u64::MAX; width];
            for masks in &masks {
                for (at, (any, every)) in masks.any.iter().zip(&masks.every).enumerate() {
                    if let (Some(some), Some(more), Some(alive)) =
                        (some.get_mut(at), more.get_mut(at), alive.get_mut(at))
                    {
                        *more |= *some & !every;
                        *some |= !every;
                        *alive &= any;
                    }
                }
            }
            if self.axes.is_empty() {
                alive.fill(0);
            }
            ground = ground.min(self.code_at(first(alive.iter().zip(&some).map(|(alive, some)| alive & !some))));
            let mut limit = ground;
            for ((axis, masks), kept) in self.axes.iter().zip(&masks).zip(&mut kept) {
                let slabs: Vec<u64> = alive
                    .iter()
                    .zip(&some)
                    .zip(&more)
                    .zip(&masks.every)
                    .map(|(((alive, some), more), every)| alive & some & !more & !every)
                    .collect();
                if slabs.iter().any(|word| *word != 0) {
                    for kept in kept.iter_mut() {
                        let column = axis.column(kept.class, width);
                        let slab = first(column.iter().zip(&slabs).map(|(column, slabs)| column & slabs));
                        let floor = self.code_at(slab);
                        if floor < kept.floor {
                            (kept.floor, kept.end) = (floor, self.end(floor));
                        }
                    }
                }
                limit = limit.min(kept.iter().map(|kept| kept.floor).max().unwrap_or(NOTHING));
            }
            let end = self.end(limit);
            let meet = alive.iter().zip(&more).enumerate();
            rest = meet
                .map(|(word, (alive, more))| alive & more & below(end, word))
                .collect();
            permits = self.permits(&rest, &kept, ground, limit);
            if exact {
                break;
            }
            let Some(earliest) = permits.first() else {
                return Ok(None);
            };
            if ground < *earliest {
                return Ok(None);
            }
            let before = kept.iter().map(Vec::len).sum::<usize>();
            for kept in &mut kept {
                kept.retain(|kept| kept.floor >= *earliest);
            }
            if kept.iter().map(Vec::len).sum::<usize>() == before {
                break;
            }
        }
        if !exact {
            for class in kept.iter_mut().flatten() {
                class.floor = plain(class.floor, &permits);
                class.end = self.end(class.floor);
            }
            ground = plain(ground, &permits);
        }
        let gather = Gather::new(&rest, self.codes.len());
        let all = gather.all();
        let mut left = Vec::with_capacity(self.axes.len());
        for (axis, kept) in self.axes.iter().zip(&kept) {
            let own = gather.axis(axis, width, kept, exact);
            match own.floors.as_slice() {
                // Every rule that is left matches the only class. (One that does not, since it comes after the floor of one
                // of the classes that were joined to this, is told apart by the axis yet.)
                [floor] if own.role == Role::Free && own.columns == all => ground = ground.min(*floor),
                _ => left.push(own),
            }
        }
        Ok(Some(Self {
            codes: gather.codes(&self.codes),
            ground,
            axes: left,
        }))
    }

    /// The codes of all that may still allow something, ascending.
    fn permits(&self, rest: &[u64], kept: &[Vec<Kept>], ground: Code, limit: Code) -> Vec<Code> {
        let bits = rest.iter().enumerate().flat_map(|(word, bits)| {
            let codes = self.codes.get(word * 64..).unwrap_or_default().iter().take(64);
            codes
                .enumerate()
                .filter(move |(at, _)| bits >> at & 1 == 1)
                .map(|(_, code)| *code)
        });
        let floors = kept
            .iter()
            .flatten()
            .map(|kept| kept.floor)
            .filter(|floor| *floor <= limit);
        let mut out: Vec<Code> = bits
            .chain(floors)
            .chain([ground])
            .filter(|code| allows(*code))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}
