//! Which packets of a plane have an allowed packet beside them? The search behind `reach` and `filter`, on numbers alone.
//!
//! The packets are points of a space with up to five axes. Each axis is a row of *classes*: the values of a dimension that
//! the same rules match. The two axes of the plane, remote address and remote port, may be *pinned*: the answer is wanted
//! for each of their classes. All others are free: any class will do. Each class has a *column*, a bit for each rule that
//! matches it, and a *floor*, the first rule that matches it whatever the other axes are. A point is decided by the first
//! bit that all its columns have or its lowest floor, whichever comes first.
//!
//! The search halves the space again and again, and simplifies each part before it goes on:
//!
//! * A rule that matches all of the part is its *ground*: no later rule decides anything there.
//! * A rule that matches all of the part but for one axis, a slab, becomes the floor of that axis' classes.
//! * Neither has a bit any more; nor has a rule that matches nothing, or comes after all floors of some axis.
//! * A class whose floor is a deny before every allow that is left is nobody's example and goes.
//! * Classes with the same column are one class. On a free axis only the best floor of them counts: the first allow, or
//!   else the last deny.
//! * A part without an allow has no example, one without bits is answered by its floors.
//! * A part of few points is not cut: each of them is looked at.
//!
//! So block lists, port lists and combs are gone before the first cut. Of n boxes in d axes the cuts leave in each half fewer
//! that are neither slab nor outside, as Chan's method for the measure of a union of boxes does ("Klee's measure problem
//! made easy", 2013: time in n^(d/2), so n² in the four axes of a network ACL). Here there is an order of rules besides, and
//! the place of a cut is chosen by what it leaves. What is held by `bounds` on
//! every kind of list that is known to be hard: no more than 50 n units of work where one axis tells the rules apart, and
//! 100 n² otherwise, of which most is the answer's where that has n² pieces. Rules with arbitrary sets on every axis can ask for more; `work` ends that.

mod answer;
mod axis;
mod bits;
mod code;
mod cut;
mod example;
mod gather;
mod halve;
mod masks;
mod narrow;
mod points;
mod settle;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use answer::Answer;
pub(crate) use axis::{Axis, Part, Role};
pub(crate) use bits::words;
pub(crate) use code::{Code, NOTHING, code};
pub(crate) use halve::search;
pub(crate) use table::Table;
