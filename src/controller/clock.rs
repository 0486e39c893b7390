//! A clock that goes on while the machine is suspended.

use std::{ops::Add, time::Duration};

/// A moment by a clock that never goes back and, unlike [`std::time::Instant`], does not stand still while the machine is suspended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Moment(Duration);

impl Moment {
    #[cfg(target_os = "linux")]
    pub(super) fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Self(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default()))
    }

    /// There is no such clock that is known here: suspended time does not count.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn now() -> Self {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        Self(START.get_or_init(std::time::Instant::now).elapsed())
    }

    #[cfg(test)]
    pub(super) fn at(time: Duration) -> Self {
        Self(time)
    }

    /// The time from then to this moment; `None`: it has passed.
    pub(super) fn checked_since(self, then: Self) -> Option<Duration> {
        self.0.checked_sub(then.0).filter(|left| !left.is_zero())
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_and_never_back() {
        let before = Moment::now();
        std::thread::sleep(Duration::from_millis(20));
        let after = Moment::now();
        let passed = after.checked_since(before).unwrap_or_default();
        assert!(
            (Duration::from_millis(20)..Duration::from_secs(20)).contains(&passed),
            "{passed:?}"
        );
        assert_eq!(before.checked_since(after), None);
    }
}
