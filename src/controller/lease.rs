//! Leader election: of several replicas only the holder of one Lease writes.
//!
//! The scheme is client-go's. The holder renews the lease every two seconds; a candidate that has seen no renewal for 15 s
//! (by its own monotonic clock, so that clocks need not agree, and whatever duration the lease names) takes it over. Every write of
//! the lease names the resource version that it is based on, so two candidates cannot both win.
//!
//! A holder that cannot renew stops leading 10 s after the start of its last good renewal, 5 s before anyone else may
//! begin: [`Leadership::begin`] refuses by the clock alone, whether or not this task gets to run. That is asked
//! before every write, and the workers are cancelled at the same moment. The clock goes on while the machine is suspended. The
//! process then goes back to standby instead of
//! exiting: when all workers have ended it holds no state that a restart would clear, its watches stay warm, and an API
//! server that is away does not send every replica into a crash loop. (Workers that do not end in time are the one
//! reason to exit; the caller sees to that.)
//!
//! Three things that client-go leaves to chance:
//!
//! - A lease that is deleted says nothing about its holder. The holder stops leading with its next renewal; a candidate that has seen a
//!   holder waits as if the lease were there; and whoever creates a lease leads only from its first renewal on, by when a former
//!   holder, who renews as often, has noticed.
//! - The name of the holder may be that of another process, a twin by mistake or a former life. A lease is ours only when
//!   it was acquired at a moment at which this process tried to.
//! - A replica that must not lead ([`Elector::new`]) gives the lease away.

use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::telemetry::Metrics;

use super::{clock::Moment, failure::api_message, names::FIELD_MANAGER};

/// How long a lease that is not renewed stays valid; whole seconds.
const DURATION: Duration = Duration::from_secs(15);
/// How long after the start of its last good renewal a holder leads.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two looks at the lease.
const RETRY: Duration = Duration::from_secs(2);
/// How long one request may take: a holder gets a second try before its deadline.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// How long to wait for writes that have begun before the lease is given away.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// How many attempts to acquire the lease are remembered: an answer may be lost or late.
const REMEMBERED: usize = 8;

/// Which lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Name of the Lease.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// This process among all candidates; must be unique.
    pub identity: String,
}

/// Whether this process leads, asked by all that write.
#[derive(Clone, Debug)]
pub(super) struct Leadership {
    /// Leads until then; `None`: does not lead.
    until: Arc<RwLock<Option<Moment>>>,
    /// Leads without asking anyone.
    always: bool,
    /// Writes that have begun and not ended.
    writes: Arc<AtomicUsize>,
    clock: fn() -> Moment,
}

/// A write that has begun; it ends with this value.
#[derive(Debug)]
pub(super) struct Write(Arc<AtomicUsize>);

impl Drop for Write {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Leadership {
    /// Leads for ever: there is no other replica.
    pub(super) fn always() -> Self {
        Self {
            always: true,
            ..Self::none()
        }
    }

    fn none() -> Self {
        Self {
            until: Arc::default(),
            always: false,
            writes: Arc::default(),
            clock: Moment::now,
        }
    }

    /// Begins a write; `None`: this process may not write now.
    pub(super) fn begin(&self) -> Option<Write> {
        // First counted, then asked: whoever ends the leadership and then waits for the writes misses none.
        self.writes.fetch_add(1, Ordering::SeqCst);
        let write = Write(self.writes.clone());
        self.is_held().then_some(write)
    }

    fn is_held(&self) -> bool {
        self.always || self.until().is_some_and(|until| (self.clock)() < until)
    }

    fn until(&self) -> Option<Moment> {
        *self.until.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Moment>) {
        *self.until.write().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Waits until no write is under way, or long enough.
    async fn at_rest(&self) {
        let deadline = Instant::now() + LAST_WRITES;
        while self.writes.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What to do about the lease now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// There is none: create it.
    Create,
    /// Nobody holds it any more: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// Someone else holds it.
    Wait,
}

/// The lease as last seen, and since when it looks like that.
#[derive(Clone, Debug)]
struct Seen {
    lease: Lease,
    since: Instant,
    /// It was renewed before our eyes.
    renewed: bool,
}

/// The rules of the election, without clock and network.
#[derive(Debug)]
struct Candidate {
    settings: LeaseSettings,
    seen: Option<Seen>,
    /// The lease is gone, but who held it may lead until then.
    gone_until: Option<Instant>,
    /// When this process tried to acquire the lease: one of these is the time in a lease that is its own.
    tried: VecDeque<Timestamp>,
}

impl Candidate {
    fn new(settings: LeaseSettings) -> Self {
        Self {
            settings,
            seen: None,
            gone_until: None,
            tried: VecDeque::new(),
        }
    }

    /// Takes note of the lease as it was read or written at that time.
    fn observe(&mut self, lease: Option<Lease>, now: Instant) {
        let seen = self.seen.take();
        let Some(lease) = lease else {
            // A holder other than this process may not know yet.
            if let Some(seen) = seen
                && holder(&seen.lease).is_some()
                && !self.is_ours(&seen.lease)
            {
                self.gone_until = Some(seen.since + DURATION);
            }
            return;
        };
        self.gone_until = None;
        self.seen = Some(match seen {
            Some(seen) if sign_of_life(&seen.lease) == sign_of_life(&lease) => Seen { lease, ..seen },
            Some(seen) => Seen {
                renewed: holder(&seen.lease) == holder(&lease) && transitions(&seen.lease) == transitions(&lease),
                lease,
                since: now,
            },
            None => Seen {
                lease,
                since: now,
                renewed: false,
            },
        });
    }

    fn step(&self, now: Instant) -> Step {
        let Some(Seen { lease, since, .. }) = &self.seen else {
            return match self.gone_until {
                Some(until) if now < until => Step::Wait,
                _ => Step::Create,
            };
        };
        match holder(lease) {
            Some(_) if self.is_ours(lease) => Step::Renew,
            Some(_) if now.duration_since(*since) < DURATION => Step::Wait,
            _ => Step::Take,
        }
    }

    /// Whether this very process holds the lease.
    fn is_ours(&self, lease: &Lease) -> bool {
        let acquired = lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref());
        holder(lease) == Some(&self.settings.identity) && acquired.is_some_and(|at| self.tried.contains(&at.0))
    }

    /// Whether another process that is alive uses this one's name. Its own former life renews no more.
    fn has_twin(&self) -> bool {
        self.seen.as_ref().is_some_and(|Seen { lease, renewed, .. }| {
            *renewed && holder(lease) == Some(&self.settings.identity) && !self.is_ours(lease)
        })
    }

    /// The lease as it ought to be written to hold it.
    fn claim(&mut self, now: Timestamp) -> Lease {
        // As it comes back: the API has microseconds.
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let mut lease = match &self.seen {
            Some(seen) => seen.lease.clone(),
            None => Lease {
                metadata: ObjectMeta {
                    name: Some(self.settings.name.clone()),
                    namespace: Some(self.settings.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: None,
            },
        };
        let ours = self.is_ours(&lease);
        let spec = lease.spec.get_or_insert_default();
        if !ours {
            self.tried.push_back(now);
            if self.tried.len() > REMEMBERED {
                self.tried.pop_front();
            }
            spec.acquire_time = Some(MicroTime(now));
            // The first holder is no transition.
            if self.seen.is_some() {
                spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            } else {
                spec.lease_transitions = Some(0);
            }
        }
        spec.holder_identity = Some(self.settings.identity.clone());
        spec.lease_duration_seconds = Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX));
        spec.renew_time = Some(MicroTime(now));
        lease
    }

    /// The lease given back, if it is ours.
    fn release(&self, now: Timestamp) -> Option<Lease> {
        let mut lease = self.seen.as_ref()?.lease.clone();
        if !self.is_ours(&lease) {
            return None;
        }
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        // What client-go writes: also a candidate that does not look at the holder waits no longer than this.
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(now));
        Some(lease)
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

fn transitions(lease: &Lease) -> Option<i32> {
    lease.spec.as_ref()?.lease_transitions
}

/// What changes whenever a holder is alive. Not the resource version: anyone may touch a label.
fn sign_of_life(lease: &Lease) -> Option<(&Option<String>, &Option<MicroTime>, &Option<i32>)> {
    let LeaseSpec {
        holder_identity,
        renew_time,
        lease_transitions,
        ..
    } = lease.spec.as_ref()?;
    Some((holder_identity, renew_time, lease_transitions))
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PostParams::default()
    }
}

/// Takes part in the election.
pub(super) struct Elector {
    api: Api<Lease>,
    candidate: Candidate,
    leadership: Leadership,
    leads: watch::Sender<bool>,
    may_lead: watch::Receiver<bool>,
    /// A write was sent and its answer has not come: it may have been done.
    in_doubt: bool,
    metrics: Arc<Metrics>,
}

impl Elector {
    /// A candidate, the handle that says whether it leads, and the news of changes. While `may_lead` is false it gives the lease away
    /// and does not ask for it.
    pub(super) fn new(
        client: Client,
        settings: LeaseSettings,
        may_lead: watch::Receiver<bool>,
        metrics: Arc<Metrics>,
    ) -> (Self, Leadership, watch::Receiver<bool>) {
        metrics.set_leader(&settings.name, false);
        let leadership = Leadership::none();
        let (leads, news) = watch::channel(false);
        let elector = Self {
            api: Api::namespaced(client, &settings.namespace),
            candidate: Candidate::new(settings),
            leadership: leadership.clone(),
            leads,
            may_lead,
            in_doubt: false,
            metrics,
        };
        (elector, leadership, news)
    }

    /// Takes part until told to stop, which the caller does once nothing writes any more; then gives the lease back.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            stop.run_until_cancelled(self.take_part()).await;
            if stop.is_cancelled() {
                break;
            }
            if self.leadership.until().is_some() {
                info!(lease = %self.name(), "this replica cannot lead now: releasing the lease");
            }
            self.end_leadership();
            self.leadership.at_rest().await;
            self.give_back().await;
            stop.run_until_cancelled(until(&mut self.may_lead, true)).await;
        }
        self.give_back().await;
        self.end_leadership();
    }

    /// Asks for the lease and holds it, as long as this replica may lead.
    async fn take_part(&mut self) {
        let (mut warned, mut named_twin) = (false, false);
        let mut may_lead = self.may_lead.clone();
        while *may_lead.borrow_and_update() {
            let (began, began_at) = (Instant::now(), Moment::now());
            match timeout(REQUEST_TIMEOUT, self.attempt(began)).await {
                Ok(Ok(true)) => {
                    warned = false;
                    self.leadership.set(Some(began_at + RENEW_DEADLINE));
                    self.announce(true);
                }
                Ok(Ok(false)) => {
                    warned = false;
                    self.end_leadership();
                }
                failed => {
                    let why = match failed {
                        Ok(Err(error)) => api_message(&error),
                        _ => format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
                    };
                    if !warned {
                        warn!(lease = %self.name(), "cannot read or renew the lease: {why}; retrying every {} s", RETRY.as_secs());
                    }
                    warned = true;
                    // Given up in the middle of the attempt, without a word yet.
                    if self.leadership.until().is_none() {
                        self.end_leadership();
                    }
                }
            }
            if !named_twin && self.candidate.has_twin() {
                warn!(
                    lease = %self.name(),
                    identity = %self.candidate.settings.identity,
                    "another process has the same identity and holds the lease: give each replica its own --identity"
                );
                named_twin = true;
            }
            let mut next = began + RETRY;
            if let Some(until) = self.leadership.until() {
                if let Some(left) = until.checked_since(Moment::now()) {
                    next = next.min(Instant::now() + left);
                } else {
                    warn!(lease = %self.name(), "the lease could not be renewed in time");
                    self.end_leadership();
                }
            }
            // After a slow request the next try follows at once, but never in a busy loop.
            let next = next.max(Instant::now() + RETRY / 8);
            tokio::select! {
                () = sleep_until(next) => {}
                () = until(&mut may_lead, false) => {}
            }
        }
    }

    /// One look at the lease and, where due, one write. True: it is held. A lost race is no error.
    async fn attempt(&mut self, began: Instant) -> Result<bool, kube::Error> {
        let mut now = began;
        // A holder writes without reading first; the resource version tells when someone came between.
        if self.candidate.step(now) != Step::Renew {
            now = self.look().await?;
        }
        let step = self.candidate.step(now);
        if step == Step::Wait {
            return Ok(false);
        }
        match self.claim(step, now).await {
            // Whoever held one that was deleted does not know yet: see the module.
            Ok(()) => Ok(step != Step::Create),
            // Changed, created or deleted by someone else. Until it is known what happened nothing is written.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                debug!(lease = %self.name(), ?step, "another process changed the lease: {}", status.message);
                let held_until = self.leadership.until();
                self.leadership.set(None);
                let now = self.look().await?;
                if step == Step::Renew && self.candidate.step(now) == Step::Renew {
                    // Somebody touched a label, or an earlier write of ours was done but its answer lost.
                    self.leadership.set(held_until);
                    return self.claim(Step::Renew, now).await.map(|()| true);
                }
                if step == Step::Renew {
                    warn!(lease = %self.name(), "the lease was deleted, or another process took it");
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the lease as it is when this process holds it.
    async fn claim(&mut self, step: Step, now: Instant) -> Result<(), kube::Error> {
        let claim = self.candidate.claim(Timestamp::now());
        let params = params();
        self.in_doubt = true;
        let written = if step == Step::Create {
            self.api.create(&params, &claim).await
        } else {
            self.api.replace(&self.candidate.settings.name, &params, &claim).await
        };
        self.in_doubt = !matches!(written, Ok(_) | Err(kube::Error::Api(_)));
        self.candidate.observe(Some(written?), now);
        Ok(())
    }

    /// Reads the lease and says when that was: not before the answer, so that a renewal that came first counts in full. (A holder's
    /// own time counts from before its request, in [`Elector::run`].)
    async fn look(&mut self) -> Result<Instant, kube::Error> {
        let lease = self.api.get_opt(&self.candidate.settings.name).await?;
        let now = Instant::now();
        self.candidate.observe(lease, now);
        Ok(now)
    }

    async fn give_back(&mut self) {
        match timeout(REQUEST_TIMEOUT, self.release()).await {
            Ok(Ok(true)) => info!(lease = %self.name(), "released the lease"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!(lease = %self.name(), "could not release the lease: {}", api_message(&error)),
            Err(_) => warn!(lease = %self.name(), "could not release the lease in time"),
        }
    }

    /// False: it is not ours. What is known of it may be old: a renewal that was cut short may have been done, and anyone may
    /// have touched a label. Then it is read and tried once more.
    async fn release(&mut self) -> Result<bool, kube::Error> {
        if self.in_doubt {
            self.look().await?;
        }
        match self.release_seen().await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.look().await?;
                self.release_seen().await
            }
            other => other,
        }
    }

    async fn release_seen(&self) -> Result<bool, kube::Error> {
        let Some(lease) = self.candidate.release(Timestamp::now()) else {
            return Ok(false);
        };
        let name = &self.candidate.settings.name;
        self.api.replace(name, &params(), &lease).await.map(|_| true)
    }

    fn end_leadership(&self) {
        self.leadership.set(None);
        self.announce(false);
    }

    fn announce(&self, leads: bool) {
        self.metrics.set_leader(&self.candidate.settings.name, leads);
        self.leads.send_if_modified(|leading| {
            let changed = *leading != leads;
            *leading = leads;
            changed
        });
    }

    fn name(&self) -> String {
        let LeaseSettings { name, namespace, .. } = &self.candidate.settings;
        format!("{namespace}/{name}")
    }
}

/// Waits until that is said.
async fn until(said: &mut watch::Receiver<bool>, what: bool) {
    // With nobody left to say it, it stays as it is.
    if said.wait_for(|said| *said == what).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn candidate(identity: &str) -> Candidate {
        let settings = LeaseSettings {
            name: "crown".into(),
            namespace: "castle".into(),
            identity: identity.into(),
        };
        Candidate::new(settings)
    }

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn spec(lease: &Lease) -> &LeaseSpec {
        lease.spec.as_ref().unwrap()
    }

    #[test]
    fn the_first_candidate_creates_the_lease_and_then_renews_it() {
        let (mut anna, now) = (candidate("anna"), Instant::now());
        assert_eq!(anna.step(now), Step::Create);
        let lease = anna.claim(wall(100));
        assert_eq!(holder(&lease), Some("anna"));
        assert_eq!(spec(&lease).lease_transitions, Some(0));
        assert_eq!(spec(&lease).acquire_time, Some(MicroTime(wall(100))));
        anna.observe(Some(lease), now);
        assert_eq!(anna.step(now), Step::Renew);
        let renewed = anna.claim(wall(102));
        assert_eq!(spec(&renewed).renew_time, Some(MicroTime(wall(102))));
        assert_eq!(spec(&renewed).acquire_time, Some(MicroTime(wall(100))), "kept");
        assert_eq!(spec(&renewed).lease_transitions, Some(0), "kept");
    }

    #[test]
    fn a_lease_is_taken_only_when_no_renewal_was_seen_for_its_whole_duration() {
        let (mut anna, mut bert, start) = (candidate("anna"), candidate("bert"), Instant::now());
        // The wall clocks are hours apart: they do not matter.
        let first = anna.claim(wall(7_200));
        bert.observe(Some(first.clone()), start);
        anna.observe(Some(first.clone()), start);
        assert_eq!(bert.step(start + Duration::from_millis(14_999)), Step::Wait);
        let renewed = anna.claim(wall(7_210));
        bert.observe(Some(renewed.clone()), start + Duration::from_secs(10));
        assert_eq!(bert.step(start + Duration::from_secs(20)), Step::Wait);
        // Seen again unchanged: the time still counts from the renewal.
        bert.observe(Some(renewed), start + Duration::from_secs(24));
        assert_eq!(bert.step(start + Duration::from_secs(25)), Step::Take);
        let taken = bert.claim(wall(5));
        assert_eq!(holder(&taken), Some("bert"));
        assert_eq!(spec(&taken).lease_transitions, Some(1));
        assert_eq!(spec(&taken).acquire_time, Some(MicroTime(wall(5))));
    }

    #[test]
    fn a_touched_label_is_no_sign_of_life() {
        let (mut anna, mut bert, start) = (candidate("anna"), candidate("bert"), Instant::now());
        let mut lease = anna.claim(wall(0));
        bert.observe(Some(lease.clone()), start);
        lease.metadata.resource_version = Some("77".into());
        bert.observe(Some(lease), start + Duration::from_secs(9));
        assert_eq!(bert.step(start + Duration::from_secs(15)), Step::Take);
    }

    #[test]
    fn a_lease_given_back_is_taken_at_once() {
        let (mut anna, mut bert, now) = (candidate("anna"), candidate("bert"), Instant::now());
        let lease = anna.claim(wall(0));
        anna.observe(Some(lease), now);
        let released = anna.release(wall(3)).unwrap();
        assert_eq!(holder(&released), None);
        bert.observe(Some(released), now);
        assert_eq!(bert.step(now), Step::Take);
        assert_eq!(spec(&bert.claim(wall(3))).lease_transitions, Some(1));
    }

    #[test]
    fn only_the_holder_gives_back() {
        let (mut anna, mut bert, now) = (candidate("anna"), candidate("bert"), Instant::now());
        assert!(bert.release(wall(0)).is_none());
        bert.observe(Some(anna.claim(wall(0))), now);
        assert!(bert.release(wall(0)).is_none());
    }

    #[test]
    fn a_vanished_holder_is_not_waited_for_longer_because_its_lease_says_so() {
        let (mut anna, mut bert, now) = (candidate("anna"), candidate("bert"), Instant::now());
        let mut lease = anna.claim(wall(0));
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(3600);
        bert.observe(Some(lease), now);
        assert_eq!(bert.step(now + Duration::from_secs(14)), Step::Wait);
        assert_eq!(bert.step(now + DURATION), Step::Take);
    }

    #[test]
    fn the_holder_of_a_deleted_lease_is_given_its_time() {
        let (mut anna, mut bert, now) = (candidate("anna"), candidate("bert"), Instant::now());
        let second = Duration::from_secs(1);
        let lease = anna.claim(wall(0));
        anna.observe(Some(lease.clone()), now);
        bert.observe(Some(lease.clone()), now);
        for after in [3, 5, 14] {
            bert.observe(None, now + after * second);
            assert_eq!(bert.step(now + after * second), Step::Wait, "anna may not know yet");
        }
        assert_eq!(bert.step(now + DURATION), Step::Create);
        // Who held it knows best, and one that was given back has no holder.
        anna.observe(None, now + second);
        assert_eq!(anna.step(now + second), Step::Create);
        anna.observe(Some(lease), now);
        bert.observe(anna.release(wall(3)), now);
        bert.observe(None, now);
        assert_eq!(bert.step(now), Step::Create);
    }

    #[test]
    fn a_process_of_the_same_name_is_another() {
        let (mut anna, mut twin, now) = (candidate("anna"), candidate("anna"), Instant::now());
        let second = Duration::from_secs(1);
        let lease = anna.claim(wall(0));
        anna.observe(Some(lease.clone()), now);
        twin.observe(Some(lease), now);
        assert_eq!((anna.step(now), twin.step(now)), (Step::Renew, Step::Wait));
        assert!(!twin.has_twin(), "it may be a former life");
        let renewed = anna.claim(wall(2));
        anna.observe(Some(renewed.clone()), now + 2 * second);
        twin.observe(Some(renewed), now + 2 * second);
        assert_eq!((anna.has_twin(), twin.has_twin()), (false, true));
        assert!(twin.release(wall(1)).is_none());
        // It takes over like any other, and then the first is no longer the holder.
        let taken = twin.claim(wall(20));
        assert_eq!(spec(&taken).lease_transitions, Some(1));
        twin.observe(Some(taken.clone()), now + DURATION);
        anna.observe(Some(taken), now + DURATION);
        assert_eq!(twin.step(now + DURATION), Step::Renew);
        assert_eq!(anna.step(now + DURATION), Step::Wait);
    }

    #[test]
    fn a_claim_whose_answer_was_lost_is_recognised_also_when_others_followed() {
        let (mut anna, now) = (candidate("anna"), Instant::now());
        let lost = anna.claim("2026-01-01T00:00:00.123456789Z".parse().unwrap());
        for second in 1..5 {
            anna.claim(wall(second));
        }
        // As the API server tells it.
        let text = serde_json::to_string(&lost).unwrap();
        anna.observe(Some(serde_json::from_str(&text).unwrap()), now);
        assert_eq!(anna.step(now), Step::Renew);
        for second in 5..1_000 {
            anna.seen = None;
            anna.claim(wall(second));
        }
        assert_eq!(anna.tried.len(), REMEMBERED);
    }

    #[test]
    fn a_machine_that_was_suspended_does_not_write_on() {
        use std::sync::atomic::AtomicU64;

        static CLOCK: AtomicU64 = AtomicU64::new(0);
        let mut leadership = Leadership::none();
        leadership.clock = || Moment::at(Duration::from_secs(CLOCK.load(Ordering::SeqCst)));
        leadership.set(Some(Moment::at(Duration::from_secs(1)) + RENEW_DEADLINE));
        let write = leadership.begin().unwrap();
        assert_eq!(leadership.writes.load(Ordering::SeqCst), 1);
        drop(write);
        // No timer has run meanwhile.
        CLOCK.store(3_600, Ordering::SeqCst);
        assert!(leadership.begin().is_none());
        assert_eq!(leadership.writes.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn leadership_ends_by_the_clock_alone_and_before_another_may_begin() {
        assert!(RENEW_DEADLINE < DURATION && REQUEST_TIMEOUT * 2 < RENEW_DEADLINE);
        let leadership = Leadership::none();
        assert!(!leadership.is_held());
        leadership.set(Some(Moment::now() + RENEW_DEADLINE));
        assert!(leadership.is_held());
        leadership.set(Some(Moment::now()));
        assert!(!leadership.is_held());
        assert!(Leadership::always().is_held());
    }

    #[tokio::test]
    async fn a_lease_that_was_touched_meanwhile_is_given_back_all_the_same() {
        use axum::http;
        use kube::client::Body;
        use std::sync::Mutex;

        let (mut anna, now) = (candidate("anna"), Instant::now());
        let mut ours = anna.claim(wall(0));
        ours.metadata.resource_version = Some("5".into());
        anna.observe(Some(ours.clone()), now);
        // A label was added since: only a write over version 6 is taken.
        ours.metadata.resource_version = Some("6".into());
        let stored = serde_json::to_vec(&ours).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (seen, stored) = (seen.clone(), stored.clone());
            async move {
                let method = request.method().to_string();
                let body = request.into_body().collect_bytes().await.unwrap();
                let stale = method == "PUT"
                    && serde_json::from_slice::<Lease>(&body)
                        .unwrap()
                        .metadata
                        .resource_version
                        != Some("6".into());
                seen.lock().unwrap().push(method);
                let conflict = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "touched", "reason": "Conflict", "code": 409 });
                let (code, body) = if stale {
                    (409, serde_json::to_vec(&conflict).unwrap())
                } else {
                    (200, stored)
                };
                Ok::<_, std::convert::Infallible>(
                    http::Response::builder().status(code).body(Body::from(body)).unwrap(),
                )
            }
        });
        let client = Client::new(service, "castle");
        let (mut elector, _, _) = Elector::new(
            client,
            anna.settings.clone(),
            watch::channel(true).1,
            Arc::new(Metrics::new()),
        );
        elector.candidate = anna;
        assert!(elector.release().await.unwrap());
        assert_eq!(*requests.lock().unwrap(), ["PUT", "GET", "PUT"]);
    }
}
