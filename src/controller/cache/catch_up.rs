//! Whether what is known is as new as a request.
//!
//! Each kind has its own watch, and each breaks and comes back by itself. So a request may be seen long before the mark that it asks
//! about, or before the rule that was mended before it was made; and its record never changes again. Hence it is judged only by a view
//! of every kind it reads that is at least as new as itself. All versions come from one store and count up, so a kind of which a later
//! version was heard than the request's own is new enough. Of a quiet kind nothing later is heard: the API server is asked for the
//! versions that it holds, names and versions alone, and what differs is waited for.
//!
//! One answer serves all requests of a namespace that wait for it, and questions are paced.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use kube::Client;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use crate::{
    api::v1alpha1::{Kind, TroubleshootRequest},
    text::clean,
    world::{Key, World},
};

use super::{
    read,
    store::Cache,
    wire::{self, WireError},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Objects in one page of an answer.
const PAGE: &str = "500";
/// Between two questions of the same content: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a request waits before its status says so: most waits are over sooner than they could be written.
const SILENT: Duration = Duration::from_secs(1);
/// Questions and requests that are remembered before the idle ones are forgotten.
const REMEMBERED: usize = 1024;

/// Some objects of one kind and namespace.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Question {
    kind: Kind,
    namespace: String,
    which: Which,
}

/// Which objects.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Which {
    /// All.
    All,
    /// The one of that name.
    Named(String),
    /// The backend servers of that load balancer.
    Of(String),
}

impl Question {
    /// All that a request reads.
    fn of(request: &TroubleshootRequest) -> Vec<Self> {
        let namespace = Key::of(request).namespace;
        let balancer = &request.spec.load_balancer_ref.name;
        let which = |kind: Kind| match kind {
            Kind::LoadBalancer => Some(Which::Named(balancer.clone())),
            Kind::BackendServer => Some(match &request.spec.backend_server_ref {
                Some(backend) => Which::Named(backend.name.clone()),
                None => Which::Of(balancer.clone()),
            }),
            Kind::SecurityGroup | Kind::NetworkACL | Kind::Subnet | Kind::AddressGroup => Some(Which::All),
            Kind::TroubleshootRequest => None,
        };
        let asked = Kind::ALL.iter().filter_map(|kind| {
            Some(Self {
                kind: *kind,
                namespace: namespace.clone(),
                which: which(*kind)?,
            })
        });
        asked.collect()
    }

    fn selector(&self) -> Option<String> {
        match &self.which {
            Which::All => None,
            Which::Named(name) => Some(format!("metadata.name={name}")),
            Which::Of(balancer) => Some(format!("spec.loadBalancerRef.name={balancer}")),
        }
    }

    /// The keys that are known by the same choice.
    fn known(&self, world: &World) -> Vec<Key> {
        match &self.which {
            Which::Named(name) => vec![Key::new(self.namespace.as_str(), name.as_str())],
            Which::Of(balancer) => world.backend_servers_of(&Key::new(self.namespace.as_str(), balancer.as_str())),
            Which::All => {
                let mut own = World::default();
                if let Some(namespace) = world.namespace(&self.namespace) {
                    own.put_namespace(&self.namespace, namespace.clone());
                }
                own.keys(self.kind)
            }
        }
    }

    /// Asks the API server: names and versions of the objects, and the version of the answer. Without a selector it tells of more
    /// objects than the question is about.
    async fn ask(&self, client: &Client, selector: Option<String>) -> Result<Listed, WireError> {
        let plural = self.kind.plural();
        let mut listed = Listed::default();
        let mut next = String::new();
        loop {
            let mut parameters = vec![("limit", PAGE)];
            if let Some(selector) = &selector {
                parameters.push(("fieldSelector", selector));
            }
            if !next.is_empty() {
                parameters.push(("continue", next.as_str()));
            }
            let uri = wire::uri(Some(&self.namespace), &plural, &parameters);
            let answer = wire::get(client, &uri, wire::METADATA_ONLY, PATIENCE).await?;
            let end = answer
                .list(|item| {
                    if let Some(head) = read::head(item) {
                        let version = head.version().unwrap_or(0);
                        listed.objects.insert(head.key(), (head.uid, version));
                    }
                })
                .await?;
            if end.next.is_empty() {
                listed.version = end.resource_version.parse().unwrap_or(0);
                return Ok(listed);
            }
            next = end.next;
        }
    }
}

/// What the API server holds.
#[derive(Debug, Default)]
struct Listed {
    version: u64,
    objects: HashMap<Key, (String, u64)>,
}

/// How an object that is known differs from what the API server holds.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Behind {
    /// It is there, in that version at least.
    New { key: Key, uid: String, version: u64 },
    /// It was gone at that version.
    Gone { key: Key, version: u64 },
}

impl Behind {
    fn key(&self) -> &Key {
        match self {
            Self::New { key, .. } | Self::Gone { key, .. } => key,
        }
    }

    /// Whether it is known by now.
    fn is_over(&self, kind: Kind, world: &World) -> bool {
        let known = world.head(kind, self.key());
        match self {
            Self::New { uid, version, .. } => known.is_some_and(|known| {
                let own = known.version.unwrap_or(0);
                own > *version || (own == *version && known.uid.as_deref() == Some(uid))
            }),
            Self::Gone { version, .. } => known.is_none_or(|known| known.version.is_some_and(|own| own > *version)),
        }
    }
}

/// What is known of one question.
#[derive(Debug, Default)]
struct Answered {
    /// The version of the last answer.
    version: u64,
    /// Where the view was behind that answer, and still is.
    behind: Vec<Behind>,
    /// Not to be asked again before.
    pause: Option<(Instant, Duration)>,
    /// Why there was no answer.
    error: Option<String>,
}

impl Answered {
    /// Takes note of an answer.
    fn take(&mut self, question: &Question, listed: Listed, world: &World) {
        let gone = question.known(world).into_iter().filter_map(|key| {
            let missing = !listed.objects.contains_key(&key);
            missing.then_some(Behind::Gone {
                key,
                version: listed.version,
            })
        });
        let gone: Vec<Behind> = gone.collect();
        let there = listed
            .objects
            .into_iter()
            .map(|(key, (uid, version))| Behind::New { key, uid, version });
        self.behind = gone.into_iter().chain(there).collect();
        self.version = listed.version;
        self.error = None;
        self.look(question, world);
        self.behind.sort_by(|a, b| a.key().cmp(b.key()));
    }

    /// Forgets what has been told by now.
    fn look(&mut self, question: &Question, world: &World) {
        self.behind.retain(|behind| !behind.is_over(question.kind, world));
    }

    /// Whether the view is as new as that version.
    fn covers(&self, version: u64) -> bool {
        self.version >= version && self.behind.is_empty() && self.error.is_none()
    }

    /// Lets no one ask again for a while.
    fn pause(&mut self, now: Instant, asked: Option<Duration>) {
        let length = match self.pause {
            // Asked again as soon as it was allowed: longer this time.
            Some((until, length)) if now < until + length => (length * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.pause = Some((now + length.max(asked.unwrap_or_default()), length));
    }

    fn left(&self, now: Instant) -> Duration {
        let until = self.pause.map(|(until, _)| until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn message(&self, question: &Question) -> String {
        let kind = question.kind;
        match (&self.error, self.behind.first()) {
            (Some(error), _) => {
                format!("Cannot tell whether what is known of {kind} is as new as this request: {error}")
            }
            (None, Some(behind)) => format!(
                "What is known of {kind} is older than this request: {} has changed",
                behind.key().name
            ),
            (None, None) => format!("What is known of {kind} is older than this request"),
        }
    }
}

/// What is known of a request that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Its own version when it was first seen; later ones are steps of ours.
    version: u64,
    since: Instant,
    done: bool,
}

/// Whether a request may be judged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::controller) enum Standing {
    /// All that it reads is as new as it is.
    Current,
    /// Not yet; look again after this time.
    Behind {
        /// When to look again.
        again: Duration,
        /// What is waited for. `None`: it is too early to say so.
        message: Option<String>,
    },
}

/// See the module.
pub(in crate::controller) struct CatchUp {
    client: Client,
    answers: Mutex<HashMap<Question, Arc<AsyncMutex<Answered>>>>,
    waiting: Mutex<HashMap<(Key, Option<String>), Waiting>>,
}

impl CatchUp {
    /// Asks that API server.
    pub(in crate::controller) fn new(client: Client) -> Self {
        Self {
            client,
            answers: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Whether what is known is as new as the request. Once it is, it stays so.
    pub(in crate::controller) async fn standing(&self, cache: &Cache, request: &TroubleshootRequest) -> Standing {
        self.standing_at(cache, request, Instant::now()).await
    }

    async fn standing_at(&self, cache: &Cache, request: &TroubleshootRequest, now: Instant) -> Standing {
        let id = (Key::of(request), request.metadata.uid.clone());
        let version = request.metadata.resource_version.as_deref();
        let version = version.and_then(|version| version.parse().ok()).unwrap_or(0);
        let waiting = {
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            *all.entry(id.clone()).or_insert(Waiting {
                version,
                since: now,
                done: false,
            })
        };
        if waiting.done {
            return Standing::Current;
        }
        let questions = Question::of(request);
        let looks = questions
            .iter()
            .map(|question| self.look(cache, question, waiting.version, now));
        let behind: Vec<(Duration, String)> = join_all(looks).await.into_iter().flatten().collect();
        let Some(first) = behind.first().map(|(_, message)| message.clone()) else {
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(id, Waiting { done: true, ..waiting });
            return Standing::Current;
        };
        let again = behind.iter().map(|(again, _)| *again).min().unwrap_or(FIRST_PAUSE);
        Standing::Behind {
            again: again.max(FIRST_PAUSE / 3),
            message: (now.duration_since(waiting.since) >= SILENT).then_some(first),
        }
    }

    /// Forgets a request that waits no more.
    pub(in crate::controller) fn forget(&self, key: &Key) {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(known, _), _| known != key);
    }

    /// `None`: the view of those objects is as new as that version. Else when to look again, and what is waited for.
    async fn look(&self, cache: &Cache, question: &Question, version: u64, now: Instant) -> Option<(Duration, String)> {
        if cache.freshness().version(question.kind) >= version {
            return None;
        }
        let answered = {
            let mut all = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() > REMEMBERED {
                all.retain(|_, answered| Arc::strong_count(answered) > 1);
            }
            all.entry(question.clone()).or_default().clone()
        };
        // Whoever waits here for another's question has its answer then.
        let mut answered = answered.lock().await;
        answered.look(question, &cache.snapshot());
        if !answered.covers(version) && answered.left(now).is_zero() {
            let mut listed = question.ask(&self.client, question.selector()).await;
            // An older definition knows no such field. Then all of the namespace must be as new.
            if matches!(&listed, Err(error) if error.code() == Some(400)) && question.selector().is_some() {
                cache.definitions().doubt();
                listed = question.ask(&self.client, None).await;
            }
            let asked = listed.as_ref().err().and_then(WireError::retry_after);
            answered.pause(now, asked);
            match listed {
                Ok(listed) => answered.take(question, listed, &cache.snapshot()),
                Err(error) => answered.error = Some(clean(&error.to_string()).into_owned()),
            }
        }
        if answered.covers(version) {
            return None;
        }
        Some((answered.left(now), answered.message(question)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::world::{Incoming, Settings};

    fn ewe(name: &str, uid: &str, version: u64) -> Value {
        json!({
            "apiVersion": "elb-doctor.dev/v1alpha1",
            "kind": "BackendServer",
            "metadata": { "namespace": "meadow", "name": name, "uid": uid, "resourceVersion": version.to_string() },
            "spec": { "loadBalancerRef": { "name": "gate" }, "backendServerGroup": "herd", "address": "10.2.0.11", "port": 80 },
        })
    }

    fn incoming(object: &Value) -> Incoming {
        read::read(Kind::BackendServer, object.to_string().as_bytes()).unwrap()
    }

    fn request(version: u64) -> TroubleshootRequest {
        serde_json::from_value(json!({
            "apiVersion": "elb-doctor.dev/v1alpha1",
            "kind": "TroubleshootRequest",
            "metadata": { "namespace": "meadow", "name": "why", "uid": "r", "resourceVersion": version.to_string() },
            "spec": { "loadBalancerRef": { "name": "gate" } },
        }))
        .unwrap()
    }

    /// What the API server answers to lists of backend servers; of all else it holds nothing.
    struct Server {
        lists: Arc<AtomicUsize>,
        start: Instant,
        catch_up: CatchUp,
        cache: Cache,
    }

    fn server(known: &[Value], version: u64, items: Vec<Value>, code: u16) -> Server {
        let lists = Arc::new(AtomicUsize::new(0));
        let seen = lists.clone();
        let service = tower::service_fn(move |request: axum::http::Request<Body>| {
            let uri = request.uri().to_string();
            assert!(
                request.headers()["accept"]
                    .to_str()
                    .unwrap()
                    .contains("PartialObjectMetadataList"),
                "{uri}"
            );
            let backends = uri.contains("/namespaces/meadow/backendservers?");
            assert!(
                !backends || uri.contains("fieldSelector=spec.loadBalancerRef.name%3Dgate"),
                "{uri}"
            );
            seen.fetch_add(usize::from(backends), Ordering::SeqCst);
            let list = json!({
                "metadata": { "resourceVersion": version.to_string() },
                "items": if backends { items.clone() } else { Vec::new() },
            });
            let code = if backends { code } else { 200 };
            let text = if code == 200 {
                list.to_string()
            } else {
                "Forbidden".into()
            };
            let answer = axum::http::Response::builder().status(code);
            let answer = answer.body(Body::from(text.into_bytes())).unwrap();
            async move { Ok::<_, Infallible>(answer) }
        });
        let cache = Cache::new(&Settings::default(), Duration::from_secs(90), |_| {});
        for object in known {
            cache.observe(incoming(object));
        }
        Server {
            lists,
            start: Instant::now(),
            catch_up: CatchUp::new(Client::new(service, "default")),
            cache,
        }
    }

    impl Server {
        async fn standing(&self, version: u64, after: Duration) -> Standing {
            let now = self.start + after;
            self.catch_up.standing_at(&self.cache, &request(version), now).await
        }
    }

    #[tokio::test]
    async fn what_is_known_already_is_enough() {
        let one = ewe("ewe-1", "a", 5);
        let server = server(std::slice::from_ref(&one), 9, vec![one.clone()], 200);
        assert_eq!(server.standing(8, Duration::ZERO).await, Standing::Current);
        assert_eq!(server.standing(8, Duration::ZERO).await, Standing::Current);
        assert_eq!(server.lists.load(Ordering::SeqCst), 1, "once is enough");
    }

    #[tokio::test]
    async fn a_kind_of_which_a_later_version_was_heard_is_not_asked_for() {
        let server = server(&[], 9, Vec::new(), 200);
        let now = Instant::now();
        for kind in Kind::ALL {
            server.cache.freshness().prove(*kind, Some(8), now);
        }
        assert_eq!(server.standing(8, Duration::ZERO).await, Standing::Current);
        assert_eq!(server.lists.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn what_is_new_changed_gone_or_made_anew_is_waited_for_and_named() {
        let (one, two) = (ewe("ewe-1", "a", 5), ewe("ewe-2", "b", 7));
        for (what, known, there, then) in [
            ("new", vec![&one], vec![&one, &two], Some(two.clone())),
            (
                "changed",
                vec![&one, &two],
                vec![&one, &ewe("ewe-2", "b", 8)],
                Some(ewe("ewe-2", "b", 8)),
            ),
            (
                "made anew",
                vec![&one, &two],
                vec![&one, &ewe("ewe-2", "c", 8)],
                Some(ewe("ewe-2", "c", 8)),
            ),
            ("gone", vec![&one, &two], vec![&one], None),
        ] {
            let known: Vec<Value> = known.into_iter().cloned().collect();
            let server = server(&known, 9, there.into_iter().cloned().collect(), 200);
            let Standing::Behind { message: None, .. } = server.standing(8, Duration::ZERO).await else {
                panic!("{what}: nothing is said in the first second");
            };
            let Standing::Behind {
                message: Some(message), ..
            } = server.standing(8, SILENT).await
            else {
                panic!("{what}");
            };
            assert!(
                message.contains("BackendServer") && message.contains("ewe-2"),
                "{what}: {message}"
            );
            // The watch tells; the API server need not be asked again.
            let lists = server.lists.load(Ordering::SeqCst);
            match then {
                Some(object) => server.cache.observe(incoming(&object)),
                None => server.cache.remove(Kind::BackendServer, &Key::new("meadow", "ewe-2")),
            }
            assert_eq!(server.standing(8, SILENT).await, Standing::Current, "{what}");
            assert_eq!(server.lists.load(Ordering::SeqCst), lists, "{what}");
        }
    }

    #[tokio::test]
    async fn a_view_that_is_ahead_of_the_answer_is_current() {
        let known = [ewe("ewe-1", "a", 12), ewe("ewe-2", "b", 13)];
        let server = server(&known, 9, vec![ewe("ewe-1", "a", 5)], 200);
        assert_eq!(server.standing(8, Duration::ZERO).await, Standing::Current);
    }

    #[tokio::test]
    async fn questions_are_paced_however_often_they_are_asked() {
        let server = server(&[], 9, vec![ewe("ewe-1", "a", 5)], 200);
        let mut time = Duration::ZERO;
        while time < Duration::from_secs(20) {
            let Standing::Behind { again, .. } = server.standing(8, time).await else {
                panic!("it is not known");
            };
            // Twenty requests wait, each looks when it may.
            for _ in 0..20 {
                server.standing(8, time).await;
            }
            time += again;
        }
        let lists = server.lists.load(Ordering::SeqCst);
        assert!((4..=10).contains(&lists), "{lists}");
    }

    #[tokio::test]
    async fn a_list_that_is_refused_is_told() {
        let server = server(&[], 9, Vec::new(), 403);
        server.standing(8, Duration::ZERO).await;
        let Standing::Behind {
            message: Some(message), ..
        } = server.standing(8, SILENT).await
        else {
            panic!("it was refused");
        };
        assert!(
            message.contains("BackendServer") && message.contains("Forbidden"),
            "{message}"
        );
    }

    #[test]
    fn every_kind_that_is_read_is_asked_for() {
        let kinds: Vec<Kind> = Question::of(&request(1)).iter().map(|question| question.kind).collect();
        let read = Kind::ALL
            .iter()
            .copied()
            .filter(|kind| *kind != Kind::TroubleshootRequest);
        assert_eq!(kinds, read.collect::<Vec<_>>());
    }
}
