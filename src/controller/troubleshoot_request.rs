//! Troubleshoot requests: wait for what is missing, record the findings once, go when their time is over.
//!
//! All that a request has reached stands in its own status, so a restart goes on where the last process ended. A step is written only
//! over the very version that it was decided from: a stale view can never overwrite a finished record.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;

use crate::{
    api::v1alpha1::{
        TroubleshootRequestStatus,
        conditions::types::{FAULT_FOUND, SUCCEEDED},
    },
    diagnosis::{self, Next},
    world::Key,
};

use super::{
    Context, compare::Says, events::Transition, failure::Failure, reconcile::condition, status::Guard, worker::Done,
};

/// How long to wait for a watch that is behind.
const CATCH_UP: Duration = Duration::from_millis(300);

/// Brings one request a step further.
pub(super) async fn reconcile(context: &Context, key: &Key) -> Result<Done, Failure> {
    let Some(request) = context.shared.request(key) else {
        return Ok(Done::UntilChange);
    };
    if request.metadata.deletion_timestamp.is_some() {
        return Ok(Done::UntilChange);
    }
    let now = Time(Timestamp::now());
    let judge = || diagnosis::troubleshoot_request_status(&context.shared.world(), &request, &now);
    let (mut wanted, mut next) = judge();
    if finishes(request.status.as_ref(), &wanted) {
        if !context.reader.catch_up(&context.shared, &request).await? {
            return Ok(Done::For(CATCH_UP));
        }
        (wanted, next) = judge();
    }

    let mut current = (*request).clone();
    if !request.status.as_ref().is_some_and(|held| wanted.says_as(held)) {
        let Some(mut written) = context.writer.status(&*request, &wanted, Guard::SameVersion).await? else {
            return Ok(Done::UntilChange);
        };
        let transition = finished(request.status.as_ref(), &wanted);
        context.events.tell(transition, request.object_ref(&()));
        super::watch::strip(&mut written);
        context.shared.take_in_request(written.clone());
        current = written;
    }
    let at = match next {
        Next::OnChange | Next::Finished => return Ok(Done::UntilChange),
        Next::OnChangeOr(at) | Next::DeleteAt(at) if now.0 < at.0 => return Ok(Done::For(until(&at, &now))),
        // The deadline has passed and yet the request waits on: look again, and not at once.
        Next::OnChangeOr(_) => return Ok(Done::For(Duration::from_secs(1))),
        Next::DeleteAt(at) => at,
    };
    tracing::debug!(object = %key, expired = %at.0, "deleting the finished request");
    context.writer.delete(&current).await?;
    Ok(Done::UntilChange)
}

fn until(at: &Time, now: &Time) -> Duration {
    // A moment more: times in a status are whole seconds.
    let wait = Duration::try_from(at.0.duration_since(now.0)).unwrap_or_default();
    wait.saturating_add(Duration::from_millis(10))
}

/// Whether this is the step that makes the request a record.
fn finishes(held: Option<&TroubleshootRequestStatus>, wanted: &TroubleshootRequestStatus) -> bool {
    wanted.completion_time.is_some() && held.is_none_or(|held| held.completion_time.is_none())
}

/// The event of a request that has just finished.
fn finished(held: Option<&TroubleshootRequestStatus>, wanted: &TroubleshootRequestStatus) -> Option<Transition> {
    if !finishes(held, wanted) {
        return None;
    }
    let succeeded = condition(&wanted.conditions, SUCCEEDED)?;
    let faulty = condition(&wanted.conditions, FAULT_FOUND).is_some_and(|fault| fault.status == "True");
    Some(Transition {
        warning: faulty || succeeded.status != "True",
        reason: succeeded.reason.clone(),
        note: succeeded.message.clone(),
        action: "Troubleshoot",
    })
}
