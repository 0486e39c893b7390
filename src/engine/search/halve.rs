//! The search itself: halve and simplify until floors alone decide.

use super::{
    super::work::{Exhausted, Work},
    answer::Answer,
    axis::{Part, Role},
};

/// Answers for every pair of the part's pinned classes.
pub(crate) fn search(part: &Part, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
    if let Some(part) = part.narrowed(None, answer, work)? {
        halve(&part, answer, work)?;
    }
    Ok(())
}

fn halve(part: &Part, answer: &mut Answer, work: &mut Work) -> Result<(), Exhausted> {
    if part.columns_are_empty() {
        return part.settle(answer, work);
    }
    if answer.deciders.is_none() && part.has_few_points(work) {
        return part.try_points(answer, work);
    }
    if part.axes.iter().any(|axis| axis.role == Role::Free) {
        part.try_examples(answer, work)?;
        if answer.open == 0 {
            return Ok(());
        }
    }
    let Some((axis, at, left_first)) = part.cut(work)? else {
        // Columns that are not empty tell at least two classes apart.
        return Ok(());
    };
    let classes = part.axes.get(axis).map_or(0, |axis| axis.floors.len());
    let mut halves = [(axis, 0..at), (axis, at..classes)];
    if !left_first {
        halves.reverse();
    }
    for half in &halves {
        if answer.open == 0 {
            break;
        }
        if let Some(part) = part.narrowed(Some(half), answer, work)? {
            halve(&part, answer, work)?;
        }
    }
    Ok(())
}
