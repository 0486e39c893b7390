//! Leader election: of several replicas only the holder of one Lease writes.
//!
//! The scheme is client-go's. The holder renews the lease every two seconds; a candidate that has seen no renewal for the
//! lease's duration (15 s by the candidate's own monotonic clock, so that clocks need not agree) takes it over. Every write of
//! the lease names the resource version that it is based on, so two candidates cannot both win.
//!
//! A holder that cannot renew stops leading 10 s after the start of its last good renewal, 5 s before anyone else may
//! begin: [`Leadership::is_held`] turns false by the clock alone, whether or not this task gets to run. That is asked
//! before every write, and the workers are cancelled at the same moment. The process then goes back to standby instead of
//! exiting: when all workers have ended it holds no state that a restart would clear, its watches stay warm, and an API
//! server that is away does not send every replica into a crash loop. (Workers that do not end in time are the one
//! reason to exit; the caller sees to that.)

use std::{
    sync::{Arc, PoisonError, RwLock},
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
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::telemetry::Metrics;

use super::{FIELD_MANAGER, failure::api_message};

/// How long a lease that is not renewed stays valid; whole seconds.
const DURATION: Duration = Duration::from_secs(15);
/// How long after the start of its last good renewal a holder leads.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two looks at the lease.
const RETRY: Duration = Duration::from_secs(2);
/// How long one request may take: a holder gets a second try before its deadline.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

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
    until: Arc<RwLock<Option<Instant>>>,
    /// Leads without asking anyone.
    always: bool,
}

impl Leadership {
    /// Leads for ever: there is no other replica.
    pub(super) fn always() -> Self {
        Self {
            until: Arc::default(),
            always: true,
        }
    }

    fn none() -> Self {
        Self {
            until: Arc::default(),
            always: false,
        }
    }

    /// True while a write may begin.
    pub(super) fn is_held(&self) -> bool {
        self.always || self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> Option<Instant> {
        *self.until.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.write().unwrap_or_else(PoisonError::into_inner) = until;
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
}

/// The rules of the election, without clock and network.
#[derive(Debug)]
struct Candidate {
    settings: LeaseSettings,
    seen: Option<Seen>,
}

impl Candidate {
    /// Takes note of the lease as it was read or written at that time.
    fn observe(&mut self, lease: Option<Lease>, now: Instant) {
        self.seen = lease.map(|lease| {
            let same = self
                .seen
                .as_ref()
                .filter(|seen| sign_of_life(&seen.lease) == sign_of_life(&lease));
            let since = same.map_or(now, |seen| seen.since);
            Seen { lease, since }
        });
    }

    fn step(&self, now: Instant) -> Step {
        let Some(Seen { lease, since }) = &self.seen else {
            return Step::Create;
        };
        match holder(lease) {
            Some(holder) if holder == self.settings.identity => Step::Renew,
            Some(_) if now.duration_since(*since) < valid_for(lease) => Step::Wait,
            _ => Step::Take,
        }
    }

    /// The lease as it ought to be written to hold it.
    fn claim(&self, now: Timestamp) -> Lease {
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
        let ours = holder(&lease).is_some_and(|holder| holder == self.settings.identity);
        let spec = lease.spec.get_or_insert_default();
        if !ours {
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
        if holder(&lease)? != self.settings.identity {
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

fn valid_for(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DURATION, Duration::from_secs)
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
    /// A write was sent and its answer has not come: it may have been done.
    in_doubt: bool,
    metrics: Arc<Metrics>,
}

impl Elector {
    /// A candidate, the handle that says whether it leads, and the news of changes.
    pub(super) fn new(
        client: Client,
        settings: LeaseSettings,
        metrics: Arc<Metrics>,
    ) -> (Self, Leadership, watch::Receiver<bool>) {
        metrics.set_leader(&settings.name, false);
        let leadership = Leadership::none();
        let (leads, news) = watch::channel(false);
        let elector = Self {
            api: Api::namespaced(client, &settings.namespace),
            candidate: Candidate { settings, seen: None },
            leadership: leadership.clone(),
            leads,
            in_doubt: false,
            metrics,
        };
        (elector, leadership, news)
    }

    /// Takes part until told to stop, which the caller does once nothing writes any more; then gives the lease back.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut complained = false;
        loop {
            let began = Instant::now();
            match stop
                .run_until_cancelled(timeout(REQUEST_TIMEOUT, self.attempt(began)))
                .await
            {
                None => break,
                Some(Ok(Ok(true))) => {
                    complained = false;
                    self.leadership.set(Some(began + RENEW_DEADLINE));
                    self.announce(true);
                }
                Some(Ok(Ok(false))) => {
                    complained = false;
                    self.leadership.set(None);
                    self.announce(false);
                }
                Some(failed) => {
                    let why = match failed {
                        Ok(Err(error)) => api_message(&error),
                        _ => format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
                    };
                    if !complained {
                        warn!(lease = %self.name(), "cannot read or renew the lease: {why}; trying again every {} s", RETRY.as_secs());
                    }
                    complained = true;
                }
            }
            let mut next = began + RETRY;
            if let Some(until) = self.leadership.until() {
                if until <= Instant::now() {
                    warn!(lease = %self.name(), "the lease could not be renewed in time");
                    self.leadership.set(None);
                    self.announce(false);
                } else {
                    next = next.min(until);
                }
            }
            // After a slow request the next try follows at once, but never in a busy loop.
            let next = next.max(Instant::now() + RETRY / 8);
            if stop.run_until_cancelled(sleep_until(next)).await.is_none() {
                break;
            }
        }
        self.give_back().await;
        self.leadership.set(None);
        self.announce(false);
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
        let claim = self.candidate.claim(Timestamp::now());
        let params = params();
        self.in_doubt = true;
        let written = if step == Step::Create {
            self.api.create(&params, &claim).await
        } else {
            self.api.replace(&self.candidate.settings.name, &params, &claim).await
        };
        self.in_doubt = !matches!(written, Ok(_) | Err(kube::Error::Api(_)));
        match written {
            Ok(lease) => {
                self.candidate.observe(Some(lease), now);
                Ok(true)
            }
            // Changed, created or deleted by someone else: look again before the next step.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                debug!(lease = %self.name(), ?step, "the lease was changed by another: {}", status.message);
                let now = self.look().await?;
                // Still ours when an earlier write of ours was done but its answer lost; then the renewal is to be tried
                // again, and until that is done leadership does not grow longer.
                if self.candidate.step(now) == Step::Renew {
                    Err(kube::Error::Api(status))
                } else {
                    Ok(false)
                }
            }
            Err(error) => Err(error),
        }
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
            Ok(Ok(true)) => info!(lease = %self.name(), "gave the lease back"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!(lease = %self.name(), "could not give the lease back: {}", api_message(&error)),
            Err(_) => warn!(lease = %self.name(), "could not give the lease back in time"),
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

    fn announce(&self, leads: bool) {
        self.metrics.set_leader(&self.candidate.settings.name, leads);
        self.leads.send_if_modified(|held| {
            let changed = *held != leads;
            *held = leads;
            changed
        });
    }

    fn name(&self) -> String {
        let LeaseSettings { name, namespace, .. } = &self.candidate.settings;
        format!("{namespace}/{name}")
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
        Candidate { settings, seen: None }
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
        let (anna, mut bert, start) = (candidate("anna"), candidate("bert"), Instant::now());
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
        let (anna, mut bert, now) = (candidate("anna"), candidate("bert"), Instant::now());
        assert!(bert.release(wall(0)).is_none());
        bert.observe(Some(anna.claim(wall(0))), now);
        assert!(bert.release(wall(0)).is_none());
    }

    #[test]
    fn the_holder_s_own_word_on_the_duration_counts() {
        let (anna, mut bert, now) = (candidate("anna"), candidate("bert"), Instant::now());
        let mut lease = anna.claim(wall(0));
        lease.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
        bert.observe(Some(lease), now);
        assert_eq!(bert.step(now + Duration::from_secs(59)), Step::Wait);
        assert_eq!(bert.step(now + Duration::from_mins(1)), Step::Take);
    }

    #[test]
    fn leadership_ends_by_the_clock_alone_and_before_another_may_begin() {
        assert!(RENEW_DEADLINE < DURATION && REQUEST_TIMEOUT * 2 < RENEW_DEADLINE);
        let leadership = Leadership::none();
        assert!(!leadership.is_held());
        leadership.set(Some(Instant::now() + RENEW_DEADLINE));
        assert!(leadership.is_held());
        leadership.set(Some(Instant::now()));
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
        let (mut elector, _, _) = Elector::new(client, anna.settings.clone(), Arc::new(Metrics::new()));
        elector.candidate = anna;
        assert!(elector.release().await.unwrap());
        assert_eq!(*requests.lock().unwrap(), ["PUT", "GET", "PUT"]);
    }
}
