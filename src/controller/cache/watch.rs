//! One list and watch for each kind: keeps the view of it like the cluster.
//!
//! The client library's watcher is not used: it reads a list as a whole, so that one unreadable object stops its kind, and it hides
//! bookmarks, so that nobody can tell a watch that is silent from a cluster at rest.
//!
//! - Objects are read one by one. One that cannot be read is there all the same: it is handed on as unreadable.
//! - A list is authoritative: what it shows is so, and what it does not show is gone, whatever was seen before.
//! - A watch is asked to end after a while, and each end proves that nothing was missed: see [`super::freshness`].
//! - Objects that vanish are forgotten a moment later, when it is sure that not their whole kind is being removed.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use kube::Client;
use serde::Deserialize;
use tokio::{
    sync::watch as channel,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

use crate::{
    api::v1alpha1::Kind,
    telemetry::{LogLimiter, Metrics},
    text::clean,
    world::{Incoming, Key},
};

use super::{
    freshness::Freshness,
    read,
    store::Cache,
    wire::{self, PageEnd, WatchLine, WireError},
};

/// Objects in one page of a list.
const PAGE: &str = "500";
/// How long the next piece of a list may take.
const LIST_PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer to a small question may take.
const ASK_PATIENCE: Duration = Duration::from_secs(5);
/// How much longer than agreed a watch may be silent before it is given up as dead.
const GRACE: Duration = Duration::from_secs(5);
/// Seconds of the first watch after one that broke: its end proves soon that all is well again.
const BRIEF: u64 = 10;
/// First and longest wait before the next attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long objects that vanished are kept until it is known whether their kind vanishes.
const DELETION_DELAY: Duration = Duration::from_millis(300);

/// Waits that grow with each failure in a row, spread so that what failed together does not come back together.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next attempt, at least as long as the API server asks for.
    fn next(&mut self, asked: Option<Duration>) -> Duration {
        let full = FIRST_WAIT.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(16);
        let full = full.min(LONGEST_WAIT);
        let asked = asked.unwrap_or_default();
        asked + spread(full.max(asked / 4))
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Between a half and the whole of a time.
fn spread(time: Duration) -> Duration {
    let half = time / 2;
    half + half.mul_f64(fastrand::f64())
}

/// What all watches share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) client: Client,
    pub(super) namespace: Option<String>,
    pub(super) cache: Arc<Cache>,
    pub(super) freshness: Arc<Freshness>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limiter: Arc<LogLimiter>,
}

/// How a watch ended.
#[derive(Debug)]
enum End {
    /// In order, after the agreed time. True: it told something meanwhile.
    InTime(bool),
    /// The API server has forgotten the version that it was at.
    Expired,
    /// All kinds are to be listed anew.
    Relist,
    /// By a failure.
    Failed(WireError),
}

/// The list and watch of one kind.
struct Watcher {
    all: Surroundings,
    kind: Kind,
    plural: String,
    backoff: Backoff,
    relists: channel::Receiver<u64>,
    /// Objects that vanished and are not forgotten yet.
    vanished: BTreeSet<Key>,
    /// When they are to be forgotten.
    forget_at: Option<Instant>,
    /// The last version that the watch told.
    version: u64,
    /// The object that was changed last, and in which version.
    last: Option<(Key, u64)>,
    /// Whether the last watch ended well.
    calm: bool,
    /// How often in a row the API server refused to go on from the version, for another reason than that it is too old.
    refusals: u32,
}

/// Refusals in a row after which the version is given up: whatever the server has against it, a list does without.
const REFUSALS: u32 = 3;

/// Keeps the view of one kind like the cluster. Never ends.
pub(super) async fn follow(all: Surroundings, kind: Kind) {
    let mut watcher = Watcher::new(all, kind);
    let mut listed = false;
    loop {
        if !listed {
            watcher.refusals = 0;
            match watcher.list().await {
                Ok(()) => listed = true,
                Err(error) => watcher.fail(&error).await,
            }
            continue;
        }
        match watcher.watch().await {
            End::InTime(told) => {
                watcher.refusals = 0;
                let check = !told || !watcher.calm;
                watcher.calm = true;
                if check {
                    listed = watcher.still_ahead().await;
                }
            }
            End::Expired => {
                debug!(kind = %kind, "the watch has expired; listing again");
                listed = false;
            }
            End::Relist => listed = false,
            End::Failed(error) => {
                watcher.calm = false;
                let gone = error.is_not_served();
                watcher.refusals += u32::from(error.is_refusal());
                watcher.fail(&error).await;
                if watcher.refusals >= REFUSALS {
                    listed = false;
                    continue;
                }
                // A kind that comes back comes back without its objects. And where the connection broke, the cluster may be
                // another one: restored from a backup.
                listed = !gone && (matches!(error.code(), Some(401 | 403)) || watcher.still_ahead().await);
            }
        }
    }
}

impl Watcher {
    fn new(all: Surroundings, kind: Kind) -> Self {
        Self {
            relists: all.freshness.relists(),
            all,
            kind,
            plural: kind.plural(),
            backoff: Backoff::default(),
            vanished: BTreeSet::new(),
            forget_at: None,
            version: 0,
            last: None,
            calm: true,
            refusals: 0,
        }
    }

    /// Reads all objects, page by page; then forgets what was not among them.
    async fn list(&mut self) -> Result<(), WireError> {
        self.vanished.clear();
        self.forget_at = None;
        self.relists.mark_unchanged();
        let before = self.all.cache.snapshot().keys(self.kind);
        let began = Instant::now();
        let mut listed = HashSet::new();
        let mut last: Option<(Key, u64)> = None;
        let mut next = String::new();
        let version = loop {
            let mut parameters = vec![("limit", PAGE)];
            if !next.is_empty() {
                parameters.push(("continue", next.as_str()));
            }
            let uri = wire::uri(self.all.namespace.as_deref(), &self.plural, &parameters);
            let answer = wire::get(&self.all.client, &uri, wire::WHOLE, LIST_PATIENCE).await?;
            let end = answer
                .list(|item| {
                    if let Some(incoming) = self.read(item) {
                        let (key, version) = (incoming.key(), incoming.version().unwrap_or(0));
                        if last.as_ref().is_none_or(|(_, latest)| *latest < version) {
                            last = Some((key.clone(), version));
                        }
                        listed.insert(key);
                        self.all.cache.set(incoming);
                    }
                })
                .await?;
            let PageEnd {
                resource_version,
                next: token,
            } = end;
            if token.is_empty() {
                break resource_version;
            }
            next = token;
        };
        // Only what was held before: an answer to a write may have come in meanwhile.
        let gone: Vec<&Key> = before.iter().filter(|key| !listed.contains(key)).collect();
        if !gone.is_empty() && !is_served(&self.all.client, &self.plural).await.unwrap_or(true) {
            return Err(WireError::Removed);
        }
        for key in gone {
            self.all.cache.remove(self.kind, key);
        }
        self.version = version.parse().unwrap_or(0);
        self.last = last;
        info!(kind = %self.kind, objects = listed.len(), "listed");
        self.all.metrics.count_list(self.kind.name());
        self.all.freshness.listed(self.kind, Some(self.version), began);
        self.backoff.reset();
        self.calm = true;
        Ok(())
    }

    /// Follows the changes until something ends the watch.
    async fn watch(&mut self) -> End {
        let bound = self.all.freshness.bound();
        let longest = if self.calm {
            bound / 3
        } else {
            (bound / 3).min(Duration::from_secs(BRIEF))
        };
        let seconds = spread(longest).as_secs().max(1);
        let (timeout, version) = (seconds.to_string(), self.version.to_string());
        let parameters = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", timeout.as_str()),
            ("resourceVersion", version.as_str()),
        ];
        let uri = wire::uri(self.all.namespace.as_deref(), &self.plural, &parameters);
        let patience = Duration::from_secs(seconds) + GRACE;
        let began = Instant::now();
        let mut lines = match wire::get(&self.all.client, &uri, wire::WHOLE, patience).await {
            Ok(answer) => answer.lines(),
            Err(error) if error.code() == Some(410) => return End::Expired,
            Err(error) => return End::Failed(error),
        };
        let mut told = false;
        // A server that trickles empty lines is as dead as a silent one.
        let dead = sleep_until(began + patience);
        tokio::pin!(dead);
        loop {
            let forget_at = self.forget_at.unwrap_or(began + patience);
            tokio::select! {
                line = lines.next() => match line {
                    Ok(Some(line)) => match self.take(&line) {
                        Ok(()) => told = true,
                        Err(error) if error.code() == Some(410) => return End::Expired,
                        Err(error) => return End::Failed(error),
                    },
                    Ok(None) => {
                        if !self.forget().await {
                            return End::Failed(WireError::Removed);
                        }
                        if began.elapsed() + Duration::from_secs(1) < Duration::from_secs(seconds) {
                            // The API server went away in good order; or somebody in between cuts watches short.
                            return End::Failed(WireError::Cut);
                        }
                        return End::InTime(told);
                    }
                    Err(error) => return End::Failed(error),
                },
                () = sleep_until(forget_at), if self.forget_at.is_some() => {
                    if !self.forget().await {
                        return End::Failed(WireError::Removed);
                    }
                }
                () = &mut dead => return End::Failed(WireError::Silent(patience.as_secs())),
                _ = self.relists.changed() => return End::Relist,
            }
        }
    }

    /// Takes in one line of a watch.
    fn take(&mut self, line: &[u8]) -> Result<(), WireError> {
        let WatchLine { what, object } = WatchLine::read(line)?;
        let json = object;
        let version = match what {
            "ADDED" | "MODIFIED" => {
                let Some(incoming) = self.read(json) else { return Ok(()) };
                let key = incoming.key();
                // Made anew since it vanished.
                if self.vanished.remove(&key) {
                    self.all.cache.remove(self.kind, &key);
                }
                let version = incoming.version();
                self.all.cache.observe(incoming);
                self.last = version.map(|version| (key, version));
                version
            }
            "DELETED" => {
                let Some(head) = read::head(json) else { return Ok(()) };
                if self.last.as_ref().is_some_and(|(last, _)| *last == head.key()) {
                    self.last = None;
                }
                self.vanished.insert(head.key());
                self.forget_at.get_or_insert(Instant::now() + DELETION_DELAY);
                head.version()
            }
            "BOOKMARK" => bookmark(json),
            "ERROR" => return Err(wire::watch_error(object)),
            other => {
                debug!(kind = %self.kind, "a watch tells of {:?}", clean(other));
                return Ok(());
            }
        };
        self.version = self.version.max(version.unwrap_or(0));
        let settled = self.vanished.is_empty().then_some(self.version);
        self.all.freshness.prove(self.kind, settled, Instant::now());
        self.backoff.reset();
        Ok(())
    }

    /// Forgets the objects that vanished. False: the whole kind vanishes, so they stay.
    async fn forget(&mut self) -> bool {
        self.forget_at = None;
        if self.vanished.is_empty() {
            return true;
        }
        // Without an answer nothing is known but what the watch told: and that is, the objects are gone.
        if let Ok(false) = is_served(&self.all.client, &self.plural).await {
            self.vanished.clear();
            return false;
        }
        for key in std::mem::take(&mut self.vanished) {
            self.all.cache.remove(self.kind, &key);
        }
        self.all.freshness.prove(self.kind, Some(self.version), Instant::now());
        true
    }

    /// Asks for the version that the cluster is at, and for the object that was changed last. False: list anew. Where either is older
    /// than what was seen, the cluster was restored from a backup, and every kind is to be listed anew: a watch from the later version
    /// on would never tell. An answer is also the proof that a quiet watch missed nothing.
    async fn still_ahead(&mut self) -> bool {
        let selector = self.last.as_ref().map(|(key, _)| format!("metadata.name={}", key.name));
        let mut parameters = vec![("limit", "1")];
        parameters.extend(selector.as_deref().map(|selector| ("fieldSelector", selector)));
        let namespace = self.last.as_ref().map(|(key, _)| key.namespace.as_str());
        let uri = wire::uri(namespace.or(self.all.namespace.as_deref()), &self.plural, &parameters);
        let began = Instant::now();
        // What is seen of other kinds while the answer is under way may be later than it.
        let seen = self.all.freshness.highest_version();
        let mut found = None;
        let answer = match wire::get(&self.all.client, &uri, wire::METADATA_ONLY, ASK_PATIENCE).await {
            Ok(answer) => {
                answer
                    .list(|item| found = read::head(item).and_then(|head| head.version()))
                    .await
            }
            Err(error) => Err(error),
        };
        let end = match answer {
            Ok(end) => end,
            Err(error) => {
                self.calm = false;
                self.fail(&error).await;
                return !error.is_not_served();
            }
        };
        let now = end.resource_version.parse::<u64>().unwrap_or(u64::MAX);
        let last = self.last.as_ref().map(|(_, version)| *version);
        let object_is_older = last.zip(found).is_some_and(|(last, found)| found < last);
        if now < seen || object_is_older {
            if self.relists.has_changed().unwrap_or(false) {
                // Another kind has noticed already.
                return false;
            }
            warn!("the cluster went back to an older state, as after a restore; listing everything again");
            self.all.freshness.went_back();
            return false;
        }
        // It was deleted meanwhile, or never made.
        if last.is_some() && found.is_none() && !self.calm {
            return false;
        }
        if self.calm {
            self.all.freshness.prove(self.kind, None, began);
            self.backoff.reset();
        }
        true
    }

    /// Says what is wrong and waits.
    async fn fail(&mut self, error: &WireError) {
        self.all.metrics.count_watch_error(self.kind.name());
        let text = explain(&self.plural, error);
        if error.is_not_served() {
            self.missing(&text);
        } else {
            self.say(&text);
            self.all.freshness.trouble(self.kind, text);
        }
        self.wait(error.retry_after()).await;
    }

    /// The cluster does not serve the kind.
    fn missing(&mut self, text: &str) {
        self.say(text);
        self.all.freshness.missing(self.kind, text.to_owned(), Instant::now());
    }

    fn say(&self, text: &str) {
        if let Some(suppressed) = self.all.limiter.allow(text, std::time::Instant::now()) {
            warn!("{text}; retrying{suppressed}");
        }
    }

    async fn wait(&mut self, asked: Option<Duration>) {
        sleep(self.backoff.next(asked)).await;
    }

    fn read(&self, json: &[u8]) -> Option<Incoming> {
        let incoming = read::read(self.kind, json);
        match &incoming {
            None => debug!(kind = %self.kind, "an object without a name"),
            Some(Incoming::Unreadable(unreadable)) => {
                self.all.metrics.count_unreadable(self.kind.name());
                let text = format!("{} {}: {}", self.kind, unreadable.key, unreadable.why);
                if let Some(suppressed) = self.all.limiter.allow(&text, std::time::Instant::now()) {
                    let why = clean(&unreadable.why);
                    warn!(kind = %self.kind, object = %unreadable.key, "cannot be read: {why}{suppressed}");
                }
            }
            Some(Incoming::Readable { .. }) => {}
        }
        incoming
    }
}

/// The version that a bookmark tells.
fn bookmark(json: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        resource_version: String,
    }
    #[derive(Deserialize)]
    struct Bookmark {
        metadata: Meta,
    }
    let bookmark: Bookmark = serde_json::from_slice(json).ok()?;
    bookmark.metadata.resource_version.parse().ok()
}

/// Whether the API server serves the kind and will go on to do so: of one whose definition is being deleted objects cannot be created.
async fn is_served(client: &Client, plural: &str) -> Result<bool, WireError> {
    #[derive(Deserialize)]
    struct Resource {
        name: String,
        #[serde(default)]
        verbs: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Resources {
        resources: Vec<Resource>,
    }
    let uri = format!("/apis/{}", crate::api::v1alpha1::API_VERSION);
    let text = match wire::get(client, &uri, wire::WHOLE, ASK_PATIENCE).await {
        Ok(answer) => answer.text().await?,
        Err(error) if error.code() == Some(404) => return Ok(false),
        Err(error) => return Err(error),
    };
    let all: Resources = serde_json::from_slice(&text).map_err(|error| WireError::Garbled(error.to_string()))?;
    let found = all.resources.iter().find(|resource| resource.name == plural);
    Ok(found.is_some_and(|resource| resource.verbs.iter().any(|verb| verb == "create")))
}

/// What is wrong with a list or watch and what would be right.
fn explain(plural: &str, error: &WireError) -> String {
    match (error.code(), error) {
        (_, WireError::Removed) => {
            format!("the cluster is about to forget {plural}: their definition is being deleted")
        }
        (Some(404), _) => format!(
            "the cluster does not know {plural}.elb-doctor.dev/v1alpha1: install the CRDs with `kubectl apply -k deploy/`"
        ),
        (Some(401), _) => "the API server does not accept this process's credentials".into(),
        (Some(403), _) => format!(
            "may not list or watch {plural}; the rights are in deploy/ (or give one namespace with --namespace): {}",
            clean(&error.to_string())
        ),
        (None, WireError::Lost(_) | WireError::Silent(_)) => {
            format!("cannot reach the API server: {}", clean(&error.to_string()))
        }
        _ => format!("cannot watch {plural}: {}", clean(&error.to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use axum::http;
    use kube::{client::Body, core::Status};

    use super::*;
    use crate::world::Settings;

    fn refused(code: u16) -> WireError {
        WireError::Refused {
            status: Status::failure("subnets is \u{1b}[31mforbidden", "Reason")
                .with_code(code)
                .boxed(),
            retry_after: None,
        }
    }

    #[test]
    fn a_watch_that_cannot_start_says_what_would_be_right() {
        assert_eq!(
            explain("subnets", &refused(404)),
            "the cluster does not know subnets.elb-doctor.dev/v1alpha1: install the CRDs with `kubectl apply -k deploy/`"
        );
        let forbidden = explain("subnets", &refused(403));
        assert!(
            forbidden.contains("--namespace") && forbidden.contains("deploy/"),
            "{forbidden}"
        );
        assert!(!forbidden.contains('\u{1b}'), "{forbidden}");
    }

    #[test]
    fn waits_grow_are_bounded_and_never_shorter_than_the_api_server_asks_for() {
        let mut backoff = Backoff::default();
        for failure in 0..40 {
            let full = FIRST_WAIT.saturating_mul(1 << failure.min(10)).min(LONGEST_WAIT);
            let wait = backoff.next(None);
            assert!(full / 2 <= wait && wait <= full, "{failure}: {wait:?}");
        }
        assert!(backoff.next(Some(Duration::from_mins(1))) >= Duration::from_mins(1));
        backoff.reset();
        assert!(backoff.next(None) <= FIRST_WAIT);
    }

    /// A watcher of subnets, and an API server whose answer is of that version; meanwhile another kind is seen in another.
    async fn asked(seen_before: u64, answer: u64, seen_meanwhile: u64) -> (bool, bool) {
        let cache = Arc::new(Cache::new(&Settings::default(), Duration::from_mins(1), |_| {}));
        let freshness = cache.freshness().clone();
        freshness.prove(Kind::LoadBalancer, Some(seen_before), Instant::now());
        let meanwhile = freshness.clone();
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let meanwhile = meanwhile.clone();
            async move {
                meanwhile.prove(Kind::LoadBalancer, Some(seen_meanwhile), Instant::now());
                let list = format!(r#"{{"metadata": {{"resourceVersion": "{answer}"}}, "items": []}}"#);
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(list.into_bytes())))
            }
        });
        let all = Surroundings {
            client: kube::Client::new(service, "default"),
            namespace: None,
            cache,
            freshness: freshness.clone(),
            metrics: Arc::new(Metrics::new()),
            limiter: Arc::default(),
        };
        let mut watcher = Watcher::new(all, Kind::Subnet);
        let ahead = watcher.still_ahead().await;
        (
            ahead,
            freshness.relists().has_changed().unwrap() || *freshness.relists().borrow() > 0,
        )
    }

    #[tokio::test]
    async fn a_busy_cluster_is_not_taken_for_a_restored_one() {
        assert_eq!(
            asked(90, 100, 105).await,
            (true, false),
            "a change came while the answer was under way"
        );
        assert_eq!(
            asked(200, 100, 200).await,
            (false, true),
            "the cluster is older than what was seen before"
        );
    }
}
