//! A report in words: every sentence about one diagnosis, each kind in its own file. Nothing here decides anything, and nothing
//! reads what is made here.

pub mod checks;
pub mod conditions;
pub mod fixes;
pub mod notes;
pub mod refusals;
pub mod steps;
pub mod values;
