//! Publishes what waits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use super::{
    pending::{Lost, Next, ObjectTransitions, Pending},
    transition::Transition,
};
use crate::{
    controller::{failure::api_message, gate::Gate, names::FIELD_MANAGER},
    telemetry::{LogLimiter, Metrics},
    text::{clean, truncate},
};

/// How long publishing one may take.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// The API server takes notes of less than this many bytes.
const NOTE_BYTES: usize = 1024;
/// Limit of the API for `reportingInstance`.
const INSTANCE_BYTES: usize = 128;
/// Limit of the API for names.
const NAME_BYTES: usize = 253;
/// Times that an event is tried again which the API server has no room for.
const TRIES: u32 = 3;
/// The most seconds that are waited before one is.
const LONGEST_WAIT: u32 = 60;
/// How often to look whether the API server accepts writes again.
const GATE_TICK: Duration = Duration::from_millis(500);
/// An event that comes again within this time is counted up.
const SERIES: Duration = Duration::from_mins(6);
/// Events that are known by name, to be counted up.
const KNOWN: usize = 4_096;

/// Where transitions are handed in.
pub(in crate::controller) struct Events {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    pending: Pending,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// Starts to publish; the task ends when the returned value is dropped and all that waited is published.
    pub(in crate::controller) fn start(
        client: Client,
        identity: &str,
        gate: Gate,
        metrics: Arc<Metrics>,
    ) -> (Self, JoinHandle<()>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                pending: Pending::new(Instant::now()),
                closed: false,
            }),
            wake: Notify::new(),
        });
        let publisher = Publisher {
            client,
            instance: truncate(identity, INSTANCE_BYTES).into_owned(),
            known: HashMap::new(),
        };
        let task = tokio::spawn(publish(publisher, shared.clone(), gate, metrics.clone()));
        (Self { shared, metrics }, task)
    }

    /// Hands the latest transitions of an object in. Never waits.
    pub(in crate::controller) fn tell(
        &self,
        transitions: impl IntoIterator<Item = Transition>,
        object: ObjectReference,
    ) {
        let transitions: Vec<_> = transitions.into_iter().collect();
        if transitions.is_empty() {
            return;
        }
        let at = Timestamp::now();
        let Lost { superseded, dropped } = self.shared.lock().pending.add(ObjectTransitions {
            object,
            transitions,
            at,
        });
        self.metrics.count_events("superseded", superseded);
        self.metrics.count_events("dropped", dropped);
        self.shared.wake.notify_one();
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

/// How long the API server asked for a pause before the event is tried again; `None`: it did not refuse for want of room.
fn asked_to_wait(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    matches!(status.code, 429 | 503).then(|| Duration::from_secs(asked.clamp(1, LONGEST_WAIT).into()))
}

async fn publish(mut publisher: Publisher, shared: Arc<Shared>, gate: Gate, metrics: Arc<Metrics>) {
    let limiter = LogLimiter::default();
    loop {
        // An API server that takes no verdicts is not to be asked to take events.
        if let Some(wait) = gate.closed_for() {
            sleep(wait.min(GATE_TICK)).await;
            continue;
        }
        let (next, closed) = {
            let mut state = shared.lock();
            let next = state.pending.next(Instant::now());
            metrics.set_events_waiting(state.pending.waiting());
            (next, state.closed)
        };
        match next {
            Next::Publish(told) => {
                for transition in &told.transitions {
                    let mut tries = 0;
                    let failed = loop {
                        let answer = timeout(PUBLISH_TIMEOUT, publisher.publish(&told, transition)).await;
                        let wait = answer
                            .as_ref()
                            .ok()
                            .and_then(|answer| asked_to_wait(answer.as_ref().err()?));
                        match wait {
                            // What comes meanwhile waits, and takes the place of what it supersedes.
                            Some(wait) if tries < TRIES => sleep(wait).await,
                            _ => break answer,
                        }
                        tries += 1;
                    };
                    let failed = match failed {
                        Ok(Ok(())) => None,
                        Ok(Err(error)) => Some(api_message(&error)),
                        Err(_) => Some(format!("no answer within {} s", PUBLISH_TIMEOUT.as_secs())),
                    };
                    metrics.count_events(if failed.is_none() { "published" } else { "failed" }, 1);
                    if let Some(why) = failed
                        && let Some(suppressed) = limiter.allow(&why, Instant::now().into_std())
                    {
                        warn!("cannot publish an event: {why}{suppressed}");
                    }
                }
            }
            Next::Wait(time) => sleep(time).await,
            Next::Empty if closed => return,
            Next::Empty => shared.wake.notified().await,
        }
    }
}

/// An event that may come again.
#[derive(Debug)]
struct Known {
    name: String,
    count: i32,
    last: Timestamp,
}

/// Writes events. What kube's recorder does, and besides: a name that is too long is shortened, and an event with another note
/// is another event.
struct Publisher {
    client: Client,
    instance: String,
    /// By uid of the object and what is told of it.
    known: HashMap<(Option<String>, Transition), Known>,
}

impl Publisher {
    async fn publish(&mut self, told: &ObjectTransitions, transition: &Transition) -> Result<(), kube::Error> {
        let now = Timestamp::now();
        self.known
            .retain(|_, known| Duration::try_from(now.duration_since(known.last)).is_ok_and(|age| age < SERIES));
        let namespace = told.object.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let key = (told.object.uid.clone(), transition.clone());
        if let Some(known) = self.known.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            known.last = told.at;
            let series = EventSeries {
                count: known.count,
                last_observed_time: MicroTime(told.at),
            };
            let patch = Patch::Merge(json!({ "series": series }));
            match api.patch(&known.name, &PatchParams::default(), &patch).await {
                // It was deleted: told anew.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => return other.map(|_| ()),
            }
        }
        let event = self.event(told, transition);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        if self.known.len() < KNOWN {
            let last = told.at;
            self.known.insert(key, Known { name, count: 1, last });
        }
        Ok(())
    }

    fn event(&self, told: &ObjectTransitions, transition: &Transition) -> Event {
        let object = told.object.name.as_deref().unwrap_or(FIELD_MANAGER);
        Event {
            action: Some(transition.action.into()),
            event_time: Some(MicroTime(told.at)),
            metadata: ObjectMeta {
                namespace: told.object.namespace.clone(),
                name: Some(event_name(object, Timestamp::now())),
                ..ObjectMeta::default()
            },
            note: Some(truncate(&clean(&transition.note), NOTE_BYTES - 1).into_owned()),
            reason: Some(transition.reason.clone()),
            regarding: Some(told.object.clone()),
            reporting_controller: Some(FIELD_MANAGER.into()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if transition.warning { "Warning" } else { "Normal" }.into()),
            ..Event::default()
        }
    }
}

/// The name of an event: as much of the object's name as there is room for, and the time.
fn event_name(object: &str, now: Timestamp) -> String {
    let time = format!("{:x}", now.as_nanosecond());
    let room = NAME_BYTES - time.len() - 1;
    // Names are ASCII; a part of one may not end in these.
    let mut name: String = object.chars().filter(char::is_ascii).take(room).collect();
    name.truncate(name.trim_end_matches(['-', '.']).len());
    format!("{name}.{time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_event_is_a_name_however_long_that_of_the_object_is() {
        let now = Timestamp::now();
        assert!(event_name("ewe-1", now).starts_with("ewe-1.1"));
        for length in [1, 200, 235, 236, 237, 253] {
            for unit in ["a", "a.", "a-", "a-b.c-"] {
                let object: String = unit.chars().cycle().take(length - 1).chain(['z']).collect();
                let name = event_name(&object, now);
                assert!(name.len() <= NAME_BYTES, "{length} {name}");
                assert!(!name.contains("..") && !name.contains("-."), "{name}");
                assert!(object.len() > 230 || name.starts_with(&object));
            }
        }
    }
}
