//! The search against every point tried.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_range_loop)]
use proptest::prelude::*;

use super::{
    super::work::Work,
    bits::{compressed, compression, first},
    code::allows,
    *,
};

/// A part with random columns and floors: most rules in some classes of each axis, some in all.
fn part() -> impl Strategy<Value = Part> {
    let one_axis = |rules: usize| {
        let class = (prop::collection::vec(0u8..8, rules), prop::option::of(0..rules.max(1)));
        (prop::collection::vec(class, 1..7), 0u8..3)
    };
    (0usize..150, 0u8..8)
        .prop_flat_map(move |(rules, density)| {
            (
                prop::collection::vec(any::<bool>(), rules + 1),
                prop::collection::vec(one_axis(rules), 4),
                prop::collection::vec((0u8..8, 0usize..4), rules),
                prop::option::of(0..rules.max(1)),
                Just(density),
            )
        })
        .prop_map(|(actions, axes, whole, ground, density)| {
            // Positions are doubled, so that floors are rules of their own.
            let code_of = |position: usize, allows: bool| code(2 * position + 1, allows);
            let codes: Vec<Code> = (0..whole.len()).map(|at| code(2 * at, actions[at])).collect();
            let width = words(codes.len());
            let axes = axes
                .into_iter()
                .zip([Role::Row, Role::Column, Role::Free, Role::Free])
                .enumerate()
                .map(|(number, ((classes, kind), role))| {
                    let mut columns = Vec::new();
                    let mut floors = Vec::new();
                    for (bits, floor) in &classes {
                        let mut column = vec![0u64; width];
                        for (at, draw) in bits.iter().enumerate() {
                            let (whole, spared) = whole[at];
                            if *draw < density || (whole < 6 && spared != number) {
                                column[at / 64] |= 1 << (at % 64);
                            }
                        }
                        columns.extend(column);
                        floors.push(
                            floor
                                .filter(|_| kind == 0)
                                .map_or(NOTHING, |at| code_of(at, !actions[at])),
                        );
                    }
                    let ids = 0..u32::try_from(floors.len()).unwrap();
                    let (members, ends) = if role == Role::Free {
                        (vec![], vec![])
                    } else {
                        (ids.clone().collect(), ids.map(|id| id + 1).collect())
                    };
                    Axis {
                        role,
                        floors,
                        columns,
                        ends,
                        members,
                    }
                })
                .collect();
            Part {
                codes,
                ground: ground.map_or(NOTHING, |at| code_of(at, actions[at])),
                axes,
            }
        })
}

/// What decides over one point.
fn decides(part: &Part, classes: [usize; 4]) -> Code {
    let width = part.width();
    let mut met = vec![u64::MAX; width];
    let mut floor = part.ground;
    for (axis, class) in part.axes.iter().zip(classes) {
        floor = floor.min(axis.floors[class]);
        for (met, column) in met.iter_mut().zip(axis.column(class, width)) {
            *met &= column;
        }
    }
    floor.min(part.code_at(first(met.into_iter())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_trying_every_point_finds(part in part(), few_points in prop::sample::select(vec![0, 16, 1024])) {
        let size = |axis: usize| part.axes[axis].floors.len();
        let mut answer = Answer::new(size(0), size(1), None);
        let mut work = Work::new(u64::MAX);
        work.few_points = few_points;
        search(&part, &mut answer, &mut work).unwrap();
        let rows: Vec<Vec<u64>> = answer.rows().map(<[u64]>::to_vec).collect();
        prop_assert_eq!(rows.len(), size(0));
        for (row, cells) in rows.iter().enumerate() {
            for column in 0..size(1) {
                let found = (0..size(2)).any(|a| (0..size(3)).any(|b| allows(decides(&part, [row, column, a, b]))));
                prop_assert_eq!(cells[column / 64] >> (column % 64) & 1 == 1, found, "{} {}", row, column);
            }
        }
    }

    #[test]
    fn tells_who_decides_where_every_axis_is_pinned(mut part in part()) {
        part.axes.truncate(2);
        let size = |axis: usize| part.axes[axis].floors.len();
        let mut answer = Answer::new(size(0), size(1), Some(400));
        search(&part, &mut answer, &mut Work::new(u64::MAX)).unwrap();
        let rows: Vec<Vec<u64>> = answer.rows().map(<[u64]>::to_vec).collect();
        prop_assert_eq!(rows.len(), size(0));
        let mut denies = vec![false; 400];
        for (row, cells) in rows.iter().enumerate() {
            for column in 0..size(1) {
                let decides = decides(&part, [row, column, 0, 0]);
                prop_assert_eq!(cells[column / 64] >> (column % 64) & 1 == 1, allows(decides));
                if !allows(decides) && decides != NOTHING {
                    denies[usize::try_from(decides >> 1).unwrap()] = true;
                }
            }
        }
        for (position, denies) in denies.into_iter().enumerate() {
            prop_assert_eq!(answer.has_decider(position), denies);
        }
    }

    #[test]
    fn gathers_the_bits_of_a_mask(word: u64, mask: u64) {
        let moved = compressed(word & mask, &compression(mask));
        let picked = (0..64).filter(|at| mask >> at & 1 == 1).enumerate();
        let expected = picked.fold(0, |out, (to, from)| out | (word >> from & 1) << to);
        prop_assert_eq!(moved, expected);
    }
}
