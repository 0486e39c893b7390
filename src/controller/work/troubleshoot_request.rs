//! Troubleshoot requests: wait for what is missing, record the findings once, go when their time is over.
//!
//! All that a request has reached stands in its own status, so a restart goes on where the last process ended. A step is written only
//! over the very version that it was decided from: a stale view can never overwrite a finished record.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;

use crate::{
    api::v1alpha1::{
        TroubleshootRequest, TroubleshootRequestStatus,
        conditions::types::{FAULT_FOUND, SUCCEEDED},
    },
    diagnosis::{self, Next},
    world::Key,
};

use super::{
    context::Context,
    reconcile::{GONE, condition},
    status::OwnStatus,
    worker::Outcome,
    write::Guard,
};
use crate::controller::{cache::Standing, events::Transition, failure::Failure};

/// Brings one request a step further.
pub(in crate::controller) async fn reconcile(context: &Context, key: &Key) -> Result<Outcome, Failure> {
    let Some(request) = open(context, key) else {
        context.catch_up.forget(key);
        return Ok(Outcome::AwaitChange);
    };
    if is_finished(request.status.as_ref()) {
        context.catch_up.forget(key);
        return keep(context, key, &request).await;
    }
    let (behind, again) = match context.catch_up.standing(&context.cache, &request).await {
        Standing::Current => (None, None),
        Standing::Behind { again, message: None } => return Ok(Outcome::RequeueAfter(again)),
        Standing::Behind {
            again,
            message: Some(message),
        } => (Some(message), Some(again)),
    };
    // What was waited for is in a new snapshot only.
    let Some(request) = open(context, key) else {
        return Ok(Outcome::AwaitChange);
    };
    let now = Time(Timestamp::now());
    let world = context.cache.snapshot();
    let (asked, at) = (request.clone(), now.clone());
    let diagnosed = context.pool.run_in_slices(&key.namespace, move |slices| {
        let between = &mut || slices.give_way();
        diagnosis::troubleshoot_request_status(&world, &asked, behind.as_deref(), &at, between)
    });
    let (desired, next) = diagnosed.await?;
    let observed = request.status.as_ref();
    if !observed.is_some_and(|observed| desired.same_ignoring_times(observed)) {
        let Some(written) = context.writer.status(&*request, &desired, Guard::SameVersion).await? else {
            return Ok(Outcome::RequeueAfter(GONE));
        };
        context.events.tell(finished(&desired), request.object_ref(&()));
        context.cache.observe_answer(written.into());
    }
    let deadline = match next {
        Next::Finished => None,
        Next::OnChangeOr(at) => Some(until(&at, &now)),
        // Its record is what is known of it from now on.
        Next::DeleteAt(at) => return Ok(Outcome::RequeueAfter(until(&at, &now))),
    };
    Ok(again
        .into_iter()
        .chain(deadline)
        .min()
        .map_or(Outcome::AwaitChange, Outcome::RequeueAfter))
}

/// The request, unless it is gone or on its way out.
fn open(context: &Context, key: &Key) -> Option<Arc<TroubleshootRequest>> {
    let request = context.cache.snapshot().request(key).cloned()?;
    request.metadata.deletion_timestamp.is_none().then_some(request)
}

/// Looks after a record: says that a changed ttl was seen, and deletes it when its time is over.
async fn keep(context: &Context, key: &Key, request: &TroubleshootRequest) -> Result<Outcome, Failure> {
    let now = Time(Timestamp::now());
    // Its results are not known here, and stay as they are.
    if !diagnosis::is_record_current(request) {
        let Some(written) = context.writer.observed_generation(request).await? else {
            return Ok(Outcome::RequeueAfter(GONE));
        };
        context.cache.observe_answer(written.into());
    }
    match diagnosis::record_end(request) {
        None => Ok(Outcome::AwaitChange),
        Some(at) if now.0 < at.0 => Ok(Outcome::RequeueAfter(until(&at, &now))),
        Some(at) => {
            tracing::debug!(object = %key, expired = %at.0, "deleting the finished request");
            let Some(request) = open(context, key) else {
                return Ok(Outcome::AwaitChange);
            };
            context.writer.delete(&*request).await?;
            Ok(Outcome::AwaitChange)
        }
    }
}

fn until(at: &Time, now: &Time) -> Duration {
    // A moment more: times in a status are whole seconds. And not at once again, where the deadline has passed and it waits on.
    let wait = Duration::try_from(at.0.duration_since(now.0)).unwrap_or_default();
    wait.saturating_add(Duration::from_millis(10))
        .max(Duration::from_millis(100))
}

fn is_finished(status: Option<&TroubleshootRequestStatus>) -> bool {
    status.is_some_and(|status| status.completion_time.is_some())
}

/// The event of a request that has just finished.
fn finished(written: &TroubleshootRequestStatus) -> Option<Transition> {
    if !is_finished(Some(written)) {
        return None;
    }
    let succeeded = condition(&written.conditions, SUCCEEDED)?;
    let faulty = condition(&written.conditions, FAULT_FOUND).is_some_and(|fault| fault.status == "True");
    Some(Transition {
        warning: faulty || succeeded.status != "True",
        reason: succeeded.reason.clone(),
        note: succeeded.message.clone(),
        action: "Troubleshoot",
    })
}
