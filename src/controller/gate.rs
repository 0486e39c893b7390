//! All writers wait together when the API server asks for it.
//!
//! An API server that is over its capacity answers 429 or 503, often with a Retry-After. A writer that tried again by itself
//! would be one of hundreds. So one gate for all of them closes for as long as the server says (else for a moment that
//! doubles), opens to a single write, and with each write that is taken to twice as many, until it is open.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

/// The longest that a Retry-After is trusted.
const LONGEST: Duration = Duration::from_mins(1);
/// How long the gate stays closed when the server does not say; doubles up to the second.
const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(4);
/// Writes at once from which on the gate counts as open.
const OPEN: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// No write begins before.
    closed_until: Option<Instant>,
    /// Writes that may be under way at once; `None`: any number.
    allowed: Option<usize>,
    under_way: usize,
    /// How often it has closed: what a write that began before has to say is no news.
    closings: u64,
    /// How often in a row it closed without a write that was taken in between.
    in_a_row: u32,
}

/// A write that is under way. It ends with this value.
#[derive(Debug)]
pub(in crate::controller) struct Pass {
    gate: Gate,
    /// After how many closings.
    began: u64,
}

impl State {
    /// A place for a write; `None`: all places are taken. An error: not for that time.
    fn enter(&mut self, now: Instant) -> Result<Option<u64>, Duration> {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        if self.allowed.is_some_and(|allowed| self.under_way >= allowed) {
            return Ok(None);
        }
        self.under_way += 1;
        Ok(Some(self.closings))
    }

    /// The server asks a write to wait that has begun after so many closings. The time, where that is worth a word.
    fn close(&mut self, retry_after: Option<Duration>, began: u64, jitter: f64, now: Instant) -> Option<Duration> {
        let again = began == self.closings;
        if again {
            self.closings += 1;
            self.in_a_row = self.in_a_row.saturating_add(1);
        } else if retry_after.is_none() {
            return None;
        }
        let doublings = self.in_a_row.saturating_sub(1);
        let doubled = FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let wait = retry_after.map_or(doubled.min(LAST), |wait| wait.min(LONGEST));
        // Not all replicas and programs at the same moment.
        let until = now + wait + wait.min(Duration::from_secs(1)).mul_f64(jitter / 4.0);
        self.closed_until = Some(self.closed_until.map_or(until, |closed| closed.max(until)));
        self.allowed = Some(1);
        (again && self.in_a_row == 1).then_some(wait)
    }

    /// The server took a write. True: from now on it takes any number again.
    fn taken(&mut self, began: u64) -> bool {
        if began != self.closings {
            return false;
        }
        self.in_a_row = 0;
        let Some(allowed) = self.allowed else { return false };
        let more = allowed.saturating_mul(2);
        self.allowed = (more < OPEN).then_some(more);
        if self.allowed.is_none() {
            self.closed_until = None;
        }
        self.allowed.is_none()
    }
}

impl Gate {
    /// Waits until a write may begin. An error: not for that time, so do something else.
    pub(in crate::controller) async fn enter(&self) -> Result<Pass, Duration> {
        let patience = Instant::now() + LAST;
        loop {
            let woken = self.0.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if let Some(began) = self.lock().enter(Instant::now())? {
                return Ok(Pass {
                    gate: self.clone(),
                    began,
                });
            }
            // Whoever has the places is done in a moment. If not, what was to be written may be old by then.
            tokio::select! {
                () = woken => {}
                () = sleep_until(patience) => return Err(Duration::ZERO),
            }
        }
    }

    /// For how long nothing is written.
    pub(in crate::controller) fn closed_for(&self) -> Option<Duration> {
        let until = self.lock().closed_until?;
        until
            .checked_duration_since(Instant::now())
            .filter(|wait| !wait.is_zero())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The server took the write, or refused it for a reason of its own.
    pub(in crate::controller) fn taken(&self) {
        let opened = self.gate.lock().taken(self.began);
        if opened {
            info!("the API server accepts writes again");
        }
        self.gate.0.wake.notify_waiters();
    }

    /// The server asks to wait. How long everybody waits now.
    pub(in crate::controller) fn pushed_back(&self, retry_after: Option<Duration>, why: &str) -> Duration {
        let now = Instant::now();
        let said = self.gate.lock().close(retry_after, self.began, fastrand::f64(), now);
        if let Some(wait) = said {
            warn!(
                "the API server asked for a pause: no writes for {:.1} s: {why}",
                wait.as_secs_f64()
            );
        }
        self.gate.closed_for().unwrap_or_default()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.gate.0.wake.notify_waiters();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn retry_after_holds_everybody_back_and_then_writes_trickle() {
        let (mut gate, mut now) = (State::default(), Instant::now());
        let many: Vec<_> = (0..100).map(|_| gate.enter(now).unwrap().unwrap()).collect();
        let said = many
            .iter()
            .filter_map(|began| gate.close(Some(TEN), *began, 0.5, now))
            .count();
        assert_eq!(said, 1, "said once");
        gate.under_way = 0;
        assert!(gate.enter(now + TEN - Duration::from_millis(1)).is_err(), "honoured");
        now += TEN + Duration::from_millis(250);
        // One, then two, then four at once.
        for allowed in [1, 2, 4, 8, 16, 32] {
            let passes: Vec<_> = (0..allowed).map(|_| gate.enter(now).unwrap().unwrap()).collect();
            assert_eq!(gate.enter(now), Ok(None), "no more than {allowed}");
            assert_eq!(gate.taken(*passes.first().unwrap()), allowed == 32);
            gate.under_way = 0;
        }
        assert_eq!((gate.allowed, gate.closed_until), (None, None), "open");
    }

    #[test]
    fn a_server_that_does_not_say_how_long_is_asked_ever_more_rarely_but_soon_enough() {
        let (mut gate, mut now) = (State::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            let began = gate.enter(now).unwrap().unwrap();
            gate.close(None, began, 1.0, now);
            // Others that began with it close it no longer.
            gate.close(None, began, 1.0, now);
            gate.under_way = 0;
            let wait = gate.enter(now).unwrap_err();
            waits.push(wait.as_millis());
            now += wait;
        }
        assert_eq!(waits, [625, 1_250, 2_250, 4_250, 4_250, 4_250, 4_250, 4_250]);
        let began = gate.enter(now).unwrap().unwrap();
        gate.taken(began);
        gate.close(None, began, 0.0, now);
        assert_eq!(gate.enter(now), Err(FIRST), "it starts anew");
    }

    #[tokio::test]
    async fn who_waits_in_the_trickle_goes_on_and_nobody_is_forgotten() {
        let gate = Gate::default();
        gate.enter()
            .await
            .unwrap()
            .pushed_back(Some(Duration::from_millis(50)), "429");
        assert!(gate.enter().await.is_err());
        tokio::time::sleep(Duration::from_millis(80)).await;
        let began = Instant::now();
        futures::future::join_all((0..500).map(|_| async {
            let pass = gate.enter().await.unwrap();
            tokio::time::sleep(Duration::from_millis(3)).await;
            pass.taken();
        }))
        .await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(gate.lock().under_way, 0);
    }
}
