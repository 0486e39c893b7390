//! Kubernetes events, for transitions only.
//!
//! Events are a courtesy and conditions are the record: an event never delays a verdict, fails a reconcile or is retried. In a storm of
//! verdicts they are the first thing to go: at most [`RATE`] a second after a burst of [`BURST`], since each costs
//! the API server as much as a verdict does.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tracing::warn;

use crate::{
    telemetry::{LogLimiter, Metrics},
    text::{clean, truncate},
};

use super::{FIELD_MANAGER, failure::api_message};

/// Events for each second in the long run.
const RATE: f64 = 20.0;
/// Events at once.
const BURST: f64 = 300.0;
/// Events that wait to be published.
const WAITING: usize = 1024;
/// How long publishing one may take.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// The API server takes notes of less than this many bytes.
const NOTE_BYTES: usize = 1024;
/// Limit of the API for `reportingInstance`.
const INSTANCE_BYTES: usize = 128;

/// A change of state that an admin should hear of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Transition {
    pub(super) warning: bool,
    /// `CamelCase`. The recorder sends the first note again for the same reason and object within minutes, so the finding is in the reason.
    pub(super) reason: String,
    pub(super) note: String,
    /// What the controller did, in the imperative.
    pub(super) action: &'static str,
}

/// Where transitions are handed in.
pub(super) struct Events {
    waiting: mpsc::Sender<(Transition, ObjectReference)>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Starts to publish; the task ends when the returned handle is dropped and all that waited is published.
    pub(super) fn start(client: Client, identity: String, metrics: Arc<Metrics>) -> (Self, JoinHandle<()>) {
        let (waiting, inbox) = mpsc::channel(WAITING);
        let reporter = Reporter {
            controller: FIELD_MANAGER.into(),
            instance: Some(truncate(&identity, INSTANCE_BYTES).into_owned()),
        };
        let task = tokio::spawn(publish(Recorder::new(client, reporter), inbox, metrics.clone()));
        (Self { waiting, metrics }, task)
    }

    /// Hands a transition in. Never waits.
    pub(super) fn tell(&self, transition: Transition, object: ObjectReference) {
        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = self.waiting.try_send((transition, object)) {
            self.metrics.count_event("dropped");
        }
    }
}

async fn publish(recorder: Recorder, mut inbox: mpsc::Receiver<(Transition, ObjectReference)>, metrics: Arc<Metrics>) {
    let mut tokens = BURST;
    let mut filled = Instant::now();
    let limiter = LogLimiter::default();
    while let Some((transition, object)) = inbox.recv().await {
        let now = Instant::now();
        tokens = (tokens + now.duration_since(filled).as_secs_f64() * RATE).min(BURST);
        filled = now;
        if tokens < 1.0 {
            metrics.count_event("dropped");
            continue;
        }
        tokens -= 1.0;
        let event = Event {
            type_: if transition.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: transition.reason,
            note: Some(truncate(&clean(&transition.note), NOTE_BYTES - 1).into_owned()),
            action: transition.action.into(),
            secondary: None,
        };
        let failed = match timeout(PUBLISH_TIMEOUT, recorder.publish(&event, &object)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(api_message(&error)),
            Err(_) => Some(format!("no answer within {} s", PUBLISH_TIMEOUT.as_secs())),
        };
        metrics.count_event(if failed.is_none() { "published" } else { "failed" });
        if let Some(why) = failed
            && let Some(suppressed) = limiter.allow(&why, Instant::now().into_std())
        {
            warn!("cannot publish an event: {why}{suppressed}");
        }
    }
}
