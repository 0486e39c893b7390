//! A bound on the work that one diagnosis may take.
//!
//! Work is counted, not timed, so that the answer is the same on every machine: a unit is roughly one machine word read or
//! one span touched. Block lists and port lists take work in their length. No list of n rules that was tried takes more than
//! 100 n², most far less (`bounds` holds both, on lists made to be hard: combs, stairs, tilings, boxes that overlap in four
//! dimensions). The limit is what remains to be said about all others; it is more than twice what the hardest known list of
//! 1,000 rules takes.

/// The work of one diagnosis: about a second.
pub(crate) const LIMIT: u64 = 150_000_000;

/// What is left of the work that may be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    left: u64,
    /// How many looks at other rules, or at pieces of the answer, each rule is worth before the search has it.
    pub(crate) patience: usize,
    /// How many words of columns are held at once; larger spaces are taken apart first.
    pub(crate) most_words: usize,
    /// Parts of so many points are looked at point by point, which takes less than a cut.
    pub(crate) few_points: usize,
}

/// The work that may be done was not enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exhausted;

impl Work {
    /// So much work may be done.
    pub(crate) const fn new(limit: u64) -> Self {
        Self {
            left: limit,
            patience: 16,
            most_words: 1 << 20,
            few_points: 1024,
        }
    }

    /// Takes note of work that is about to be done.
    pub(crate) fn spend(&mut self, units: usize) -> Result<(), Exhausted> {
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(units).ok_or(Exhausted)?;
        Ok(())
    }

    /// The work that may still be done.
    #[cfg(test)]
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}
