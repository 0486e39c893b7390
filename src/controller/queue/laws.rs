//! What holds of the queue whatever happens to it, with a clock that the tests set.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

/// A key of a tenant.
type Pair = (String, u32);

impl Tenanted for Pair {
    fn tenant(&self) -> &str {
        &self.0
    }
}

fn pair(tenant: &str, number: u32) -> Pair {
    (tenant.to_owned(), number)
}

fn open(limit: usize) -> Core<Pair> {
    let mut core = Core::new(limit);
    core.open = true;
    core
}

fn popped(core: &mut Core<Pair>) -> Option<Pair> {
    match core.pop() {
        Pop::Key(key, _) => Some(key),
        _ => None,
    }
}

/// Takes everything, each key given back at once.
fn drained(core: &mut Core<Pair>) -> Vec<Pair> {
    std::iter::from_fn(|| {
        let key = popped(core)?;
        core.done(&key);
        Some(key)
    })
    .collect()
}

#[test]
fn a_key_added_twice_is_handed_out_once() {
    let (mut core, now) = (open(9), Instant::now());
    assert!(core.add(pair("a", 1), Lane::Change, now));
    assert!(!core.add(pair("a", 1), Lane::Change, now));
    assert_eq!(drained(&mut core), [pair("a", 1)]);
}

#[test]
fn a_key_added_while_a_worker_has_it_comes_back_only_after_that_worker() {
    let (mut core, now) = (open(9), Instant::now());
    core.add(pair("a", 1), Lane::Change, now);
    assert_eq!(popped(&mut core), Some(pair("a", 1)));
    core.add(pair("a", 1), Lane::Change, now);
    assert_eq!(popped(&mut core), None, "no second worker may have it");
    assert!(core.done(&pair("a", 1)));
    assert_eq!(popped(&mut core), Some(pair("a", 1)));
    assert!(!core.done(&pair("a", 1)));
}

#[test]
fn changes_go_before_sweeps_and_lift_a_swept_key() {
    let (mut core, now) = (open(9), Instant::now());
    for number in [1, 2, 3] {
        core.add(pair("a", number), Lane::Sweep, now);
    }
    assert!(!core.add(pair("a", 3), Lane::Change, now), "it waited already");
    core.add(pair("a", 3), Lane::Sweep, now);
    core.add(pair("a", 1), Lane::Sweep, now);
    assert_eq!(drained(&mut core), [pair("a", 3), pair("a", 1), pair("a", 2)]);
    assert_eq!(core.changes.len() + core.sweeps.len(), 0, "nothing is left behind");
}

#[test]
fn a_key_lifted_and_swept_over_and_over_takes_one_place() {
    let (mut core, now) = (open(9), Instant::now());
    for _ in 0..1_000 {
        core.add(pair("a", 1), Lane::Sweep, now);
        core.add(pair("a", 1), Lane::Change, now);
        assert_eq!((core.changes.len(), core.sweeps.len()), (1, 0));
    }
}

#[test]
fn a_sweep_goes_on_however_many_changes_come() {
    let (mut core, now) = (open(9), Instant::now());
    for number in 0..10 {
        core.add(pair("still", number), Lane::Sweep, now);
    }
    let mut changes = 0..;
    let mut swept_at = Vec::new();
    for turn in 1..=80_u32 {
        // More changes come than can be dealt with.
        for number in changes.by_ref().take(3) {
            core.add(pair("busy", number), Lane::Change, now);
        }
        let key = popped(&mut core).unwrap();
        core.done(&key);
        if key.0 == "still" {
            swept_at.push(turn);
        }
    }
    let each = CHANGES_PER_SWEEP + 1;
    assert_eq!(swept_at, (1..=10).map(|sweep| sweep * each).collect::<Vec<_>>());
}

#[test]
fn a_tenant_with_many_keys_does_not_keep_another_waiting() {
    let (mut core, now) = (open(9), Instant::now());
    for number in 0..1_000 {
        core.add(pair("many", number), Lane::Change, now);
    }
    core.add(pair("few", 1), Lane::Change, now);
    core.add(pair("few", 2), Lane::Change, now);
    let first: Vec<_> = drained(&mut core).into_iter().take(4).map(|key| key.0).collect();
    assert_eq!(first, ["many", "few", "many", "few"]);
}

#[test]
fn one_tenant_never_has_more_workers_than_its_limit() {
    let (mut core, now) = (open(2), Instant::now());
    for number in 0..5 {
        core.add(pair("slow", number), Lane::Change, now);
    }
    assert_eq!(popped(&mut core), Some(pair("slow", 0)));
    assert_eq!(popped(&mut core), Some(pair("slow", 1)));
    assert_eq!(popped(&mut core), None);
    core.add(pair("other", 1), Lane::Sweep, now);
    assert_eq!(popped(&mut core), Some(pair("other", 1)), "a worker is left for it");
    assert!(core.done(&pair("slow", 1)), "somebody may go on");
    assert_eq!(popped(&mut core), Some(pair("slow", 2)));
}

#[test]
fn the_earliest_of_several_delays_counts_and_fires_once() {
    let (mut core, now) = (open(9), Instant::now());
    let second = Duration::from_secs(1);
    for seconds in [5, 1, 9] {
        core.add_at(pair("a", 1), Lane::Change, now + seconds * second);
    }
    assert_eq!(core.pop(), Pop::Nothing(Some(now + second)));
    assert_eq!(core.ripen(now + second), 1);
    assert_eq!(drained(&mut core), [pair("a", 1)]);
    assert_eq!(core.ripen(now + 20 * second), 0);
    assert_eq!(core.pop(), Pop::Nothing(None));
}

#[test]
fn a_delayed_key_keeps_its_lane_unless_a_change_asks_for_it_too() {
    let (mut core, now) = (open(9), Instant::now());
    let second = Duration::from_secs(1);
    core.add_at(pair("a", 1), Lane::Sweep, now);
    core.add_at(pair("a", 2), Lane::Sweep, now);
    core.add_at(pair("a", 2), Lane::Change, now + second);
    core.add_at(pair("a", 3), Lane::Change, now + second);
    core.add_at(pair("a", 3), Lane::Sweep, now);
    assert_eq!(core.ripen(now), 3);
    assert_eq!(drained(&mut core), [pair("a", 2), pair("a", 3), pair("a", 1)]);
}

#[test]
fn a_delay_that_is_taken_back_never_ends() {
    let (mut core, now) = (open(9), Instant::now());
    core.add_at(pair("a", 1), Lane::Change, now);
    core.cancel(&pair("a", 1));
    assert_eq!(core.ripen(now + Duration::from_secs(1)), 0);
    assert!(core.is_idle());
}

#[test]
fn a_closed_or_parked_queue_takes_nothing() {
    let (mut core, now) = (open(9), Instant::now());
    core.add(pair("a", 1), Lane::Change, now);
    core.closed = true;
    assert_eq!(core.pop(), Pop::Closed);
    let mut parked = Core::new(9);
    assert!(!parked.add(pair("a", 1), Lane::Change, now));
    parked.add_at(pair("a", 1), Lane::Change, now);
    assert_eq!(parked.pop(), Pop::Nothing(None));
}

/// Something that happens to a queue.
#[derive(Clone, Debug)]
enum Step {
    Add(Pair, Lane),
    AddAfter(Pair, Lane, u64),
    Cancel(Pair),
    /// A worker asks.
    Pop,
    /// The worker that has had its key longest is done with it.
    Done,
    /// It fails: the key is to come back, as it came.
    Fail(u64),
    /// Time goes on.
    Pass(u64),
}

fn any_pair() -> impl Strategy<Value = Pair> {
    ((0..4_u32), (0..5_u32)).prop_map(|(tenant, number)| (tenant.to_string(), number))
}

fn any_lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Change), Just(Lane::Sweep)]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_pair(), any_lane()).prop_map(|(key, lane)| Step::Add(key, lane)),
        2 => (any_pair(), any_lane(), 0..9_u64).prop_map(|(key, lane, after)| Step::AddAfter(key, lane, after)),
        1 => any_pair().prop_map(Step::Cancel),
        4 => Just(Step::Pop),
        3 => Just(Step::Done),
        1 => (0..9_u64).prop_map(Step::Fail),
        2 => (0..9_u64).prop_map(Step::Pass),
    ]
}

/// Which keys must still be handed out, kept in the plainest way.
#[derive(Default)]
struct Model {
    wanted: HashMap<Pair, Lane>,
    delayed: HashMap<Pair, (Instant, Lane)>,
}

impl Model {
    fn want(&mut self, key: Pair, lane: Lane) {
        let held = self.wanted.entry(key).or_insert(lane);
        if lane == Lane::Change {
            *held = lane;
        }
    }

    fn delay(&mut self, key: Pair, lane: Lane, at: Instant) {
        let held = self.delayed.entry(key).or_insert((at, lane));
        held.0 = held.0.min(at);
        if lane == Lane::Change {
            held.1 = lane;
        }
    }

    fn ripen(&mut self, now: Instant) {
        let due: Vec<_> = self
            .delayed
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(key, (_, lane))| (key.clone(), *lane))
            .collect();
        for (key, lane) in due {
            self.delayed.remove(&key);
            self.want(key, lane);
        }
    }
}

proptest! {
    /// No key is lost, none is with two workers, none is handed out unasked, none loses its priority, no tenant exceeds its limit, and
    /// nothing but what waits takes room.
    #[test]
    fn every_key_is_handed_out_once_for_each_time_it_is_asked_for(
        steps in prop::collection::vec(any_step(), 0..200),
        limit in 1..4_usize,
    ) {
        let (mut core, mut model) = (open(limit), Model::default());
        let start = Instant::now();
        let mut now = start;
        let mut workers: Vec<(Pair, Lane)> = Vec::new();
        for step in steps {
            match step {
                Step::Add(key, lane) => {
                    core.add(key.clone(), lane, now);
                    model.want(key, lane);
                }
                Step::AddAfter(key, lane, after) => {
                    let at = now + Duration::from_secs(after);
                    core.add_at(key.clone(), lane, at);
                    model.delay(key, lane, at);
                }
                Step::Cancel(key) => {
                    core.cancel(&key);
                    model.delayed.remove(&key);
                }
                Step::Pop => match core.pop() {
                    Pop::Key(key, since) => {
                        prop_assert!(since <= now);
                        prop_assert!(workers.iter().all(|(held, _)| *held != key), "two workers have {key:?}");
                        let lane = core.lane_of(&key);
                        prop_assert_eq!(model.wanted.remove(&key), Some(lane), "{:?} came by another lane", key);
                        workers.push((key.clone(), lane));
                        let of_tenant = workers.iter().filter(|(held, _)| held.0 == key.0).count();
                        prop_assert!(of_tenant <= limit);
                    }
                    Pop::Nothing(due) => {
                        prop_assert_eq!(due, model.delayed.values().map(|(at, _)| *at).min());
                        // Whoever waits is with a worker, or its tenant has all that it may have.
                        for key in model.wanted.keys() {
                            let of_tenant = workers.iter().filter(|(held, _)| held.0 == key.0).count();
                            prop_assert!(of_tenant >= limit || workers.iter().any(|(held, _)| held == key));
                        }
                    }
                    Pop::Closed => prop_assert!(false, "nobody closed it"),
                },
                Step::Done => if !workers.is_empty() {
                    let (key, _) = workers.remove(0);
                    core.done(&key);
                },
                Step::Fail(after) => if !workers.is_empty() {
                    let (key, lane) = workers.remove(0);
                    core.fail(&key);
                    let at = now + Duration::from_secs(after);
                    core.add_at(key.clone(), core.lane_of(&key), at);
                    core.done(&key);
                    model.delay(key, lane, at);
                },
                Step::Pass(seconds) => {
                    now += Duration::from_secs(seconds);
                    core.ripen(now);
                    model.ripen(now);
                }
            }
            let busy: HashSet<_> = workers.iter().map(|(key, _)| key).collect();
            let in_lines = model.wanted.keys().filter(|key| !busy.contains(key)).count();
            prop_assert_eq!(core.changes.len() + core.sweeps.len(), in_lines);
            prop_assert_eq!(core.depth(), model.wanted.len());
            prop_assert_eq!(core.delayed.len(), model.delayed.len());
            prop_assert_eq!(core.due.len(), model.delayed.len());
        }
        for (key, _) in workers.drain(..) {
            core.done(&key);
        }
        core.ripen(now + Duration::from_secs(10));
        model.ripen(now + Duration::from_secs(10));
        let rest: HashSet<_> = drained(&mut core).into_iter().collect();
        prop_assert_eq!(rest, model.wanted.into_keys().collect::<HashSet<_>>());
        prop_assert!(core.is_idle() && core.busy.is_empty());
    }

    /// The bound on starvation: with `n` tenants and `k` keys of its own tenant before it in its lane, a key is handed out as one of the
    /// next `(k + 1) * n` of its lane; and while the other lane never runs empty, a sweep gets every 8th key, changes the other seven.
    #[test]
    fn nobody_waits_longer_than_its_fair_share(
        tenants in 1..6_u32,
        before in 0..5_u32,
        lane in any_lane(),
        flood in 1..4_u32,
    ) {
        let (mut core, now) = (open(1), Instant::now());
        for tenant in 0..tenants {
            for number in 0..50 {
                core.add(pair(&tenant.to_string(), number), lane, now);
            }
        }
        let last = tenants.to_string();
        for number in 0..=before {
            core.add(pair(&last, number), lane, now);
        }
        let other = if lane == Lane::Change { Lane::Sweep } else { Lane::Change };
        let mut more = 1_000..;
        let fair = (before + 1) * (tenants + 1);
        let mut turns = 0;
        loop {
            turns += 1;
            // Others keep coming, in both lanes.
            for number in more.by_ref().take(flood as usize) {
                core.add(pair("0", number), lane, now);
                core.add(pair("other", number), other, now);
            }
            let key = popped(&mut core).unwrap();
            core.done(&key);
            if key == pair(&last, before) {
                break;
            }
            let bound = match lane {
                Lane::Sweep => fair * (CHANGES_PER_SWEEP + 1),
                Lane::Change => fair + fair / CHANGES_PER_SWEEP + 1,
            };
            prop_assert!(turns < bound, "waits for more than {bound} turns");
        }
    }
}
