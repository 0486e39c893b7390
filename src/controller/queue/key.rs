//! What the queue knows of a key.

use std::{fmt::Debug, hash::Hash};

/// A key that belongs to somebody.
pub(in crate::controller) trait Tenanted: Clone + Debug + Eq + Hash + Ord {
    /// To whom.
    fn tenant(&self) -> &str;
}

/// How soon a key is handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::controller) enum Lane {
    /// Something changed.
    Change,
    /// Nothing is known to have changed.
    Sweep,
}
