//! A token bucket.

use tokio::time::Instant;

/// How many in the long run, and how many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    pub(super) burst: f64,
}

/// Lets so many pass.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            filled: now,
        }
    }

    /// How many may pass now; below zero after more were taken than there were.
    pub(super) fn level(&self, rate: Rate, now: Instant) -> f64 {
        let passed = now.duration_since(self.filled).as_secs_f64();
        passed.mul_add(rate.per_second, self.tokens).min(rate.burst)
    }

    pub(super) fn take(&mut self, number: usize, rate: Rate, now: Instant) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.tokens = self.level(rate, now) - f64::from(number);
        self.filled = now;
    }
}
