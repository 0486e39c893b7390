//! Keeps one cause that fails thousands of times from filling the log.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a message that was logged is not logged again.
const SAME_MESSAGE: Duration = Duration::from_mins(1);
/// In each of these, at most [`MESSAGES`] different messages are logged.
const WINDOW: Duration = Duration::from_secs(10);
const MESSAGES: u32 = 10;

/// Says whether a message may be logged: the same one once a minute, and at most ten in ten seconds.
///
/// ```text
/// if let Some(suppressed) = limiter.allow(&text, Instant::now()) {
///     warn!("{text}; retrying{suppressed}");
/// }
/// ```
///
/// Its memory is bounded, whatever the messages are: only those that were logged in the last minute are known, by their hash.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    logged: HashMap<u64, Logged>,
    window_began: Option<Instant>,
    logged_in_window: u32,
    /// What was suppressed and belongs to no message that is known now.
    others: u64,
}

#[derive(Debug)]
struct Logged {
    at: Instant,
    suppressed_since: u64,
}

/// How many messages were suppressed before one that may be logged. Displayed as an addition to it, empty for none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Suppressed {
    same: u64,
    others: u64,
}

impl LogLimiter {
    /// `None`: not now. The message is what decides whether two are the same, so that it should name no object where many
    /// objects fail for one reason.
    pub(crate) fn allow(&self, message: &str, now: Instant) -> Option<Suppressed> {
        let key = self.hasher.hash_one(message);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.allow(key, now)
    }
}

impl State {
    fn allow(&mut self, key: u64, now: Instant) -> Option<Suppressed> {
        let recent = |logged: &Logged| now.duration_since(logged.at) < SAME_MESSAGE;
        if let Some(logged) = self.logged.get_mut(&key).filter(|logged| recent(logged)) {
            logged.suppressed_since = logged.suppressed_since.saturating_add(1);
            return None;
        }
        if self
            .window_began
            .is_none_or(|began| now.duration_since(began) >= WINDOW)
        {
            self.window_began = Some(now);
            self.logged_in_window = 0;
        }
        if self.logged_in_window >= MESSAGES {
            self.others = self.others.saturating_add(1);
            return None;
        }
        self.logged_in_window += 1;
        let same = self.logged.remove(&key).map_or(0, |logged| logged.suppressed_since);
        let mut others = mem::take(&mut self.others);
        self.logged.retain(|_, logged| {
            let keep = recent(logged);
            if !keep {
                others = others.saturating_add(logged.suppressed_since);
            }
            keep
        });
        let logged = Logged {
            at: now,
            suppressed_since: 0,
        };
        self.logged.insert(key, logged);
        Some(Suppressed { same, others })
    }
}

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.same, self.others) {
            (0, 0) => Ok(()),
            (same, 0) => write!(f, " (not logged since: {same} like this)"),
            (0, others) => write!(f, " (not logged since: {others} others)"),
            (same, others) => write!(f, " (not logged since: {same} like this, {others} others)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limiter: &LogLimiter, messages: impl IntoIterator<Item = String>, now: Instant) -> usize {
        let allowed = messages
            .into_iter()
            .filter(|message| limiter.allow(message, now).is_some());
        allowed.count()
    }

    #[test]
    fn the_same_message_is_logged_once_a_minute_and_then_counted() {
        let (limiter, start) = (LogLimiter::default(), Instant::now());
        let times = lines(&limiter, (0..1_000).map(|_| "away".into()), start);
        assert_eq!(times, 1);
        assert_eq!(limiter.allow("away", start + Duration::from_millis(59_999)), None);
        let other = limiter
            .allow("forbidden", start)
            .map(|suppressed| suppressed.to_string());
        assert_eq!(other.as_deref(), Some(""));
        let again = limiter
            .allow("away", start + SAME_MESSAGE)
            .map(|suppressed| suppressed.to_string());
        assert_eq!(again.as_deref(), Some(" (not logged since: 1000 like this)"));
    }

    #[test]
    fn different_messages_are_few_in_each_window_and_the_rest_is_counted() {
        let (limiter, start) = (LogLimiter::default(), Instant::now());
        assert_eq!(
            lines(&limiter, (0..1_000).map(|n| n.to_string()), start),
            MESSAGES as usize
        );
        assert_eq!(limiter.allow("x", start + Duration::from_millis(9_999)), None);
        let next = limiter
            .allow("x", start + WINDOW)
            .map(|suppressed| suppressed.to_string());
        assert_eq!(next.as_deref(), Some(" (not logged since: 991 others)"));
    }

    #[test]
    fn what_was_suppressed_of_a_message_that_never_comes_again_is_counted_with_the_others() {
        let (limiter, start) = (LogLimiter::default(), Instant::now());
        lines(&limiter, (0..5).map(|_| "once".into()), start);
        let later = limiter.allow("other", start + SAME_MESSAGE);
        assert_eq!(later, Some(Suppressed { same: 0, others: 4 }));
    }

    #[test]
    fn memory_is_bounded_whatever_the_messages_are() {
        let (limiter, start) = (LogLimiter::default(), Instant::now());
        for second in 0..600 {
            lines(
                &limiter,
                (0..100).map(|n| format!("{second} {n}")),
                start + Duration::from_secs(second),
            );
            let known = limiter.state.lock().map_or(usize::MAX, |state| state.logged.len());
            assert!(known <= 70, "{known}");
        }
    }
}
