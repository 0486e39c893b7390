//! How old the view of each kind is.
//!
//! A watch that is silent looks like a cluster at rest. So each view carries the time of its last proof: a list that was read to its end,
//! an event or bookmark of its watch, or the orderly end of a quiet watch after which the API server answered. A view without proof for
//! longer than a bound is stale: nothing is written that was read from it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};

use crate::{api::v1alpha1::Kind, controller::clock::Moment};

/// How old the view of a kind may be.
pub const MAX_VIEW_AGE: Duration = Duration::from_secs(90);

/// What is known of the view of one kind.
#[derive(Clone, Debug, Default)]
struct View {
    /// The last proof that the view is the cluster's state; `None` before the first list.
    proved: Option<Instant>,
    /// All changes up to this resource version have been taken in.
    version: u64,
    /// What is wrong with its list or watch, if something is.
    trouble: Option<String>,
    /// The cluster does not serve the kind (any more).
    missing: bool,
    /// The cluster went back in time: only a list proves anything.
    to_be_listed: bool,
    /// It was said that the view is stale.
    told: bool,
}

impl View {
    fn is_stale(&self, bound: Duration, now: Instant) -> bool {
        self.missing || self.proved.is_none_or(|proved| now.duration_since(proved) > bound)
    }
}

/// By how much the clocks must differ for the machine to have been suspended.
const SUSPENDED: Duration = Duration::from_secs(1);

/// A kind whose view cannot be trusted, as a person reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Stale {
    kind: Kind,
    why: String,
}

/// The age of all views.
#[derive(Debug)]
pub(in crate::controller) struct Freshness {
    bound: Duration,
    views: Mutex<BTreeMap<Kind, View>>,
    /// Whether all views are fresh.
    fresh: watch::Sender<bool>,
    /// Says that a view went back in time: every kind is to be listed anew.
    relist: watch::Sender<u64>,
}

impl Freshness {
    /// Of kinds that have not been listed yet.
    pub(in crate::controller) fn new(bound: Duration) -> Self {
        Self {
            bound,
            views: Mutex::new(Kind::ALL.iter().map(|kind| (*kind, View::default())).collect()),
            fresh: watch::Sender::new(false),
            relist: watch::Sender::new(0),
        }
    }

    /// How old a view may be.
    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    /// The view of the kind is the cluster's state, or was at that time. With a version: all changes up to it are in.
    pub(super) fn prove(&self, kind: Kind, version: Option<u64>, at: Instant) {
        let mut views = self.lock();
        let view = views.entry(kind).or_default();
        if view.to_be_listed {
            return;
        }
        let first = view.proved.is_none() || view.missing;
        view.proved = view.proved.max(Some(at));
        view.version = view.version.max(version.unwrap_or(0));
        view.missing = false;
        let healed = view.trouble.take().is_some();
        drop(views);
        if first || healed {
            self.look(at);
        }
    }

    /// The kind was listed whole at that version, which counts also if an earlier one was higher: the cluster may have been restored.
    pub(super) fn listed(&self, kind: Kind, version: Option<u64>, at: Instant) {
        {
            let mut views = self.lock();
            let view = views.entry(kind).or_default();
            view.version = 0;
            view.to_be_listed = false;
        }
        self.prove(kind, version, at);
    }

    /// The list or watch of the kind does not work; what the view holds stands until the bound.
    pub(super) fn trouble(&self, kind: Kind, why: String) {
        self.lock().entry(kind).or_default().trouble = Some(why);
    }

    /// The cluster does not serve the kind: its view is stale from now on, and what it holds is no longer to be told of.
    pub(super) fn missing(&self, kind: Kind, why: String, at: Instant) {
        let mut views = self.lock();
        let view = views.entry(kind).or_default();
        view.missing = true;
        view.trouble = Some(why);
        drop(views);
        self.look(at);
    }

    /// All changes of the kind up to this version have been taken in.
    pub(super) fn version(&self, kind: Kind) -> u64 {
        self.lock().get(&kind).map_or(0, |view| view.version)
    }

    /// The highest version seen of any kind. All kinds count by one clock, that of the cluster's store.
    pub(super) fn highest_version(&self) -> u64 {
        self.lock().values().map(|view| view.version).max().unwrap_or(0)
    }

    /// The cluster went back in time: every kind is to be listed anew, and until then nothing is told from any view.
    pub(super) fn went_back(&self) {
        let mut views = self.lock();
        for view in views.values_mut() {
            view.version = 0;
            view.proved = None;
            view.to_be_listed = true;
        }
        drop(views);
        self.look(Instant::now());
        self.relist.send_modify(|round| *round = round.wrapping_add(1));
    }

    /// All views are so much older than the clock says.
    fn age(&self, by: Duration) {
        for view in self.lock().values_mut() {
            view.proved = view.proved.and_then(|proved| proved.checked_sub(by));
        }
    }

    /// News of [`Self::went_back`].
    pub(super) fn relists(&self) -> watch::Receiver<u64> {
        self.relist.subscribe()
    }

    /// True while the views of all kinds are known and none is stale.
    pub(in crate::controller) fn is_fresh(&self) -> bool {
        self.is_fresh_at(Instant::now())
    }

    fn is_fresh_at(&self, now: Instant) -> bool {
        self.lock().values().all(|view| !view.is_stale(self.bound, now))
    }

    /// The same, to be awaited. It changes no later than a second after the fact.
    pub(in crate::controller) fn changes(&self) -> watch::Receiver<bool> {
        self.fresh.subscribe()
    }

    /// The age of each view that there is.
    pub(super) fn ages(&self, now: Instant) -> Vec<(Kind, Duration)> {
        let views = self.lock();
        let ages = views
            .iter()
            .filter_map(|(kind, view)| Some((*kind, now.duration_since(view.proved?))));
        ages.collect()
    }

    /// Says what has become stale or fresh since the last look, each once.
    pub(super) fn look(&self, now: Instant) {
        let (mut stale, mut again) = (Vec::new(), Vec::new());
        let mut views = self.lock();
        for (kind, view) in views.iter_mut() {
            // Before the first list nothing was ever told from the view; readiness names it.
            if view.proved.is_none() {
                continue;
            }
            let is_stale = view.is_stale(self.bound, now);
            if is_stale && !view.told {
                stale.push(Stale {
                    kind: *kind,
                    why: Self::why(view, now),
                });
            } else if !is_stale && view.told {
                again.push(*kind);
            }
            view.told = is_stale;
        }
        drop(views);
        for Stale { kind, why } in stale {
            warn!(%kind, "the cache of {kind} is stale: {why}; nothing is written until it is up to date again");
        }
        for kind in again {
            info!(%kind, "the cache of {kind} is up to date again");
        }
        let fresh = self.is_fresh_at(now);
        self.fresh
            .send_if_modified(|before| std::mem::replace(before, fresh) != fresh);
    }

    fn why(view: &View, now: Instant) -> String {
        let age = view.proved.map_or(0, |proved| now.duration_since(proved).as_secs());
        match (&view.trouble, view.missing) {
            (Some(trouble), true) => trouble.clone(),
            (Some(trouble), false) => format!("nothing was heard for {age} s ({trouble})"),
            (None, _) => format!("nothing was heard for {age} s"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is not fresh, in words of readiness.
    pub(super) fn waits_for(&self, now: Instant) -> Vec<String> {
        let views = self.lock();
        let stale = views.iter().filter(|(_, view)| view.is_stale(self.bound, now));
        let words = stale.map(|(kind, view)| match (&view.proved, &view.trouble) {
            (None, None) => format!("the first list of {kind}"),
            (None, Some(trouble)) => format!("the first list of {kind} ({trouble})"),
            (Some(_), _) => format!("a fresh view of {kind} ({})", Self::why(view, now)),
        });
        words.collect()
    }
}

/// Looks at the views often enough that staleness is noticed within a second. Never ends.
pub(super) async fn keep_watch(freshness: Arc<Freshness>, mut each: impl FnMut(Instant)) {
    let often = (freshness.bound / 10).clamp(Duration::from_millis(100), Duration::from_secs(1));
    let mut ticks = tokio::time::interval(often);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut last, mut last_moment) = (Instant::now(), Moment::now());
    loop {
        ticks.tick().await;
        let (now, moment) = (Instant::now(), Moment::now());
        let passed = moment.checked_since(last_moment).unwrap_or_default();
        // This clock stands still while the machine is suspended; views age all the same.
        let suspended = passed.saturating_sub(now.duration_since(last));
        if suspended > SUSPENDED {
            warn!(
                "the machine was suspended for {} s: the cache is that much older",
                suspended.as_secs()
            );
            freshness.age(suspended);
        }
        (last, last_moment) = (now, moment);
        freshness.look(now);
        each(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(90);

    fn all_listed(at: Instant) -> Freshness {
        let freshness = Freshness::new(BOUND);
        for kind in Kind::ALL {
            freshness.listed(*kind, Some(5), at);
        }
        freshness
    }

    fn prove_all_but(freshness: &Freshness, out: Kind, at: Instant) {
        for kind in Kind::ALL.iter().filter(|kind| **kind != out) {
            freshness.prove(*kind, None, at);
        }
    }

    #[test]
    fn nothing_is_fresh_before_every_kind_was_listed() {
        let (freshness, now) = (Freshness::new(BOUND), Instant::now());
        for (at, kind) in Kind::ALL.iter().enumerate() {
            assert!(!freshness.is_fresh_at(now) && !*freshness.changes().borrow());
            assert_eq!(freshness.waits_for(now).len(), Kind::ALL.len() - at);
            freshness.listed(*kind, Some(1), now);
        }
        assert!(freshness.is_fresh_at(now) && *freshness.changes().borrow());
        assert!(freshness.waits_for(now).is_empty());
    }

    #[test]
    fn a_view_without_proof_is_stale_after_the_bound_and_named() {
        let start = Instant::now();
        let freshness = all_listed(start);
        let late = start + BOUND + Duration::from_secs(1);
        freshness.trouble(Kind::SecurityGroup, "may not watch".into());
        prove_all_but(&freshness, Kind::SecurityGroup, late);
        assert!(freshness.is_fresh_at(start + BOUND));
        assert!(!freshness.is_fresh_at(late));
        freshness.look(late);
        assert!(!*freshness.changes().borrow());
        let waits = freshness.waits_for(late);
        assert_eq!(
            waits,
            ["a fresh view of SecurityGroup (nothing was heard for 91 s (may not watch))"]
        );
        freshness.prove(Kind::SecurityGroup, None, late);
        assert!(freshness.is_fresh_at(late) && *freshness.changes().borrow());
    }

    #[test]
    fn a_kind_that_is_no_longer_served_is_stale_at_once_until_it_is_listed_again() {
        let start = Instant::now();
        let freshness = all_listed(start);
        freshness.missing(Kind::Subnet, "the cluster does not know subnets".into(), start);
        assert!(!freshness.is_fresh_at(start) && !*freshness.changes().borrow());
        freshness.listed(Kind::Subnet, Some(9), start);
        assert!(freshness.is_fresh_at(start) && *freshness.changes().borrow());
    }

    #[test]
    fn a_list_may_lower_the_version_and_an_event_may_not() {
        let start = Instant::now();
        let freshness = all_listed(start);
        freshness.prove(Kind::Subnet, Some(20), start);
        freshness.prove(Kind::Subnet, Some(7), start);
        assert_eq!((freshness.version(Kind::Subnet), freshness.highest_version()), (20, 20));
        freshness.listed(Kind::Subnet, Some(7), start);
        assert_eq!((freshness.version(Kind::Subnet), freshness.highest_version()), (7, 7));
    }

    #[test]
    fn an_older_proof_does_not_make_a_view_older() {
        let start = Instant::now();
        let freshness = all_listed(start + BOUND);
        freshness.prove(Kind::Subnet, None, start);
        assert!(freshness.is_fresh_at(start + BOUND + BOUND));
    }

    #[test]
    fn views_age_while_the_machine_is_suspended() {
        let now = Instant::now() + 10 * BOUND;
        let freshness = all_listed(now);
        assert!(freshness.is_fresh_at(now));
        freshness.age(BOUND / 2);
        assert!(freshness.is_fresh_at(now));
        freshness.age(BOUND);
        assert!(!freshness.is_fresh_at(now));
        for kind in Kind::ALL {
            freshness.prove(*kind, None, now);
        }
        assert!(freshness.is_fresh_at(now));
    }
}
