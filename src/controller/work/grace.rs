//! A moment for references that are missing: objects that are applied together come one after another.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::world::Key;

/// How long a reference that was not said to be missing before may be missing in silence. Objects that are applied together come
/// moments after one another, in any order.
const GRACE: Duration = Duration::from_millis(250);

/// Objects of one kind whose missing references are not told of yet, and until when.
#[derive(Debug, Default)]
pub(in crate::controller) struct Grace(Mutex<HashMap<Key, Instant>>);

impl Grace {
    /// How long to wait on. `None`: it was long enough, tell now. That is so until it is over, however often the write fails.
    pub(super) fn left(&self, key: &Key, now: Instant) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *all.entry(key.clone()).or_insert(now + GRACE);
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    pub(super) fn over(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_reference_is_waited_for_once_and_not_again() {
        let (grace, key, start) = (Grace::default(), Key::new("meadow", "ewe"), Instant::now());
        assert_eq!(grace.left(&key, start), Some(GRACE));
        assert_eq!(
            grace.left(&key, start + GRACE / 2),
            Some(GRACE / 2),
            "counted from the first look"
        );
        assert_eq!(grace.left(&key, start + GRACE), None);
        assert_eq!(grace.left(&key, start + 2 * GRACE), None, "a failed write");
        // It is told, or came; and another goes much later.
        grace.over(&key);
        assert_eq!(grace.left(&key, start + 9 * GRACE), Some(GRACE));
    }
}
