//! Writes of status: server-side apply of our own fields on the status subresource, bounded in time. What we leave out is gone after a
//! write, whoever else owns it.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _, sync::Arc, time::Duration};

use axum::http::{self, HeaderMap, Method, StatusCode, header};
use kube::{
    Client, ResourceExt,
    api::ObjectMeta,
    client::Body,
    core::{Status, object::HasStatus},
};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::{
    api::v1alpha1::{API_VERSION, ApiObject, Kind},
    controller::{
        events::{Events, Transition},
        failure::{Failure, write_result},
        gate::Gate,
        lease::Leadership,
    },
    telemetry::{LogLimiter, Metrics, WriteResult},
    text,
};

use super::{
    answer::{Answer, other_managers},
    dispute::{Advice, Disputes},
    leftover::{over_version, removal},
    status::{OwnStatus, digest, own_part},
};

/// How long a write may take. The client itself retries nothing (a retry could outlive the lease): the queue does.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Content types of patches.
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";
const JSON: &str = "application/json";

/// What must not have changed since the object was read, for a write to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::controller) enum Guard {
    /// It is still the same object and not a new one of that name. Fields of others may have changed: ours are ours.
    SameObject,
    /// Nothing has changed: the write is a step in the object's life that must not be done from a stale view.
    SameVersion,
}

/// Writes while the lease is held and the API server takes writes.
pub(in crate::controller) struct Writer {
    client: Client,
    /// As whom.
    manager: String,
    leadership: Leadership,
    gate: Gate,
    disputes: Disputes,
    hasher: RandomState,
    /// Called when the API server does not know a field that we write.
    schema_doubt: Box<dyn Fn() + Send + Sync>,
    limiter: LogLimiter,
    events: Arc<Events>,
    metrics: Arc<Metrics>,
}

/// The field manager of an installation that looks after that namespace, or after all.
pub(in crate::controller) fn field_manager(namespace: Option<&str>) -> String {
    match namespace {
        None => "elb-doctor".into(),
        Some(namespace) => format!("elb-doctor/{namespace}"),
    }
}

impl Writer {
    pub(in crate::controller) fn new(
        client: Client,
        manager: String,
        leadership: Leadership,
        gate: Gate,
        events: Arc<Events>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            client,
            manager,
            leadership,
            gate,
            disputes: Disputes::default(),
            hasher: RandomState::new(),
            schema_doubt: Box::new(|| {}),
            limiter: LogLimiter::default(),
            events,
            metrics,
        }
    }

    /// Has this called whenever the API server does not know a field that we write.
    pub(in crate::controller) fn on_schema_doubt(mut self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.schema_doubt = Box::new(call);
        self
    }

    /// Writes the status of the object and returns the object as it is then. `None`: there is nothing to know of it but by its watch, for
    /// the object is gone as a rule.
    pub(in crate::controller) async fn status<K>(
        &self,
        observed: &K,
        desired: &K::Status,
        guard: Guard,
    ) -> Result<Option<K>, Failure>
    where
        K: ApiObject + HasStatus<Status: OwnStatus>,
    {
        let target = Target::of(observed);
        let number = self.hasher.hash_one(&target);
        self.mind_others(observed, &target, number).await?;

        let own = own_part(desired)?;
        self.disputes.intended(number, digest(desired, &self.hasher)?);
        let answer = match self.apply_whole(observed, &target, &own, guard).await {
            Err(Failure::Schema(error)) if guard == Guard::SameObject => {
                self.apply_taken::<K::Status>(&target, number, &own, &error).await?;
                return Err(Failure::Schema(error));
            }
            other => other?,
        };
        let Some(mut text) = answer else {
            return Ok(None);
        };
        let answer = Answer::read(&text)?;
        let operations = removal::<K::Status>(&answer.status()?, &own, answer.version());
        if !operations.is_empty() {
            if let Some(status) = answer.object::<K>().as_ref().and_then(HasStatus::status) {
                self.disputes.intended(number, digest(status, &self.hasher)?);
            }
            match self.patch(&target, OPERATIONS, &Value::Array(operations)).await? {
                Some(cleaned) => text = cleaned,
                None => return Ok(None),
            }
        }
        let Some(written) = Answer::read(&text)?.object::<K>() else {
            return Ok(None);
        };
        if let Some(status) = written.status() {
            self.disputes
                .written(number, digest(status, &self.hasher)?, Instant::now());
        }
        Ok(Some(written))
    }

    /// To be called when writing begins anew: what another replica has written since is no dispute.
    pub(in crate::controller) fn begin(&self) {
        self.disputes.forget_written();
    }

    /// Says that the generation that the object has now was seen, in its status and in the conditions that are ours, and changes nothing else.
    pub(in crate::controller) async fn observed_generation<K>(&self, object: &K) -> Result<Option<K>, Failure>
    where
        K: ApiObject + HasStatus<Status: OwnStatus>,
    {
        let (Some(version), Some(status), Some(generation)) =
            (object.resource_version(), object.status(), object.meta().generation)
        else {
            return Ok(None);
        };
        let set = |path: String| json!({ "op": "add", "path": path, "value": generation });
        let mut operations = vec![over_version(&version), set("/status/observedGeneration".into())];
        for (place, condition) in status.conditions().iter().enumerate() {
            if K::Status::CONDITIONS.contains(&condition.type_.as_str()) {
                operations.push(set(format!("/status/conditions/{place}/observedGeneration")));
            }
        }
        let text = self
            .patch(&Target::of(object), OPERATIONS, &Value::Array(operations))
            .await?;
        Ok(text.and_then(|text| Answer::read(&text).ok()?.object::<K>()))
    }

    /// Deletes the object if nothing about it has changed.
    pub(in crate::controller) async fn delete<K: ApiObject>(&self, object: &K) -> Result<(), Failure> {
        let preconditions = json!({ "uid": object.uid(), "resourceVersion": object.resource_version() });
        let options = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions });
        let target = Target::of(object);
        self.send(target.kind, Method::DELETE, &target.path, JSON, &options)
            .await?;
        Ok(())
    }

    /// Applies all that is ours.
    async fn apply_whole<K>(
        &self,
        observed: &K,
        target: &Target,
        own: &Map<String, Value>,
        guard: Guard,
    ) -> Result<Option<String>, Failure>
    where
        K: ApiObject + HasStatus<Status: OwnStatus>,
    {
        let mut version = match guard {
            Guard::SameObject => None,
            Guard::SameVersion => observed.resource_version(),
        };
        let fields = match self.apply(target, own, version.clone()).await {
            Err(Failure::Write(kube::Error::Api(status))) if !broken_fields::<K::Status>(&status).is_empty() => {
                broken_fields::<K::Status>(&status)
            }
            other => return other,
        };
        // What we leave out is owned by another in part, and that part alone is not valid. So first all of it goes.
        let Some(cleared) = self.clear(target, &fields, observed.resource_version()).await? else {
            return Ok(None);
        };
        if version.is_some() {
            version = Some(Answer::read(&cleared)?.version().to_owned());
        }
        match self.apply(target, own, version).await {
            // Nobody else has a part in it any more: an older definition wants more of it than there is.
            Err(Failure::Write(kube::Error::Api(status))) if !broken_fields::<K::Status>(&status).is_empty() => {
                (self.schema_doubt)();
                Err(Failure::Schema(kube::Error::Api(status)))
            }
            other => other,
        }
    }

    /// Applies what an older definition takes: all but the fields that it names. A diagnosis of which it cannot hold all goes as a
    /// whole, for a part of one would say that there is no more; the conditions still tell what was found.
    async fn apply_taken<S: OwnStatus>(
        &self,
        target: &Target,
        number: u64,
        own: &Map<String, Value>,
        refusal: &kube::Error,
    ) -> Result<(), Failure> {
        let kube::Error::Api(status) = refusal else {
            return Ok(());
        };
        let Some(taken) = taken(own, &status.message) else {
            return Ok(());
        };
        let status: S = serde_json::from_value(Value::Object(taken.clone()))?;
        let digest = digest(&status, &self.hasher)?;
        self.disputes.intended(number, digest);
        if self.apply(target, &taken, None).await?.is_some() {
            self.disputes.written(number, digest, Instant::now());
        }
        Ok(())
    }

    async fn apply(
        &self,
        target: &Target,
        own: &Map<String, Value>,
        version: Option<String>,
    ) -> Result<Option<String>, Failure> {
        let metadata = ObjectMeta {
            name: Some(target.name.clone()),
            uid: target.uid.clone(),
            resource_version: version,
            ..ObjectMeta::default()
        };
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": target.kind.name(),
            "metadata": metadata,
            "status": own,
        });
        self.patch(target, APPLY, &body).await
    }

    /// Removes these fields of the status.
    async fn clear(
        &self,
        target: &Target,
        fields: &[&'static str],
        version: Option<String>,
    ) -> Result<Option<String>, Failure> {
        let nothing: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), Value::Null)).collect();
        let body = json!({ "metadata": { "uid": target.uid, "resourceVersion": version }, "status": nothing });
        self.patch(target, MERGE, &body).await
    }

    async fn patch(&self, target: &Target, kind: &'static str, body: &Value) -> Result<Option<String>, Failure> {
        let force = if kind == APPLY { "&force=true" } else { "" };
        let path = format!("{}/status?fieldManager={}{force}", target.path, self.manager);
        self.send(target.kind, Method::PATCH, &path, kind, body).await
    }

    /// One write. `None`: the object is gone.
    async fn send(
        &self,
        kind: Kind,
        method: Method,
        path: &str,
        content: &'static str,
        body: &Value,
    ) -> Result<Option<String>, Failure> {
        let request = request(method, path, content, serde_json::to_vec(body)?)?;
        let pass = self.gate.enter().await.map_err(Failure::PushedBack)?;
        let Some(_write) = self.leadership.begin() else {
            return Err(Failure::NotLeader);
        };
        let count = |result| self.metrics.count_write(kind.name(), result);
        let Ok(answer) = timeout(WRITE_TIMEOUT, self.answer(request)).await else {
            count(WriteResult::Timeout);
            return Err(Failure::Timeout(WRITE_TIMEOUT.as_secs()));
        };
        let (error, retry_after) = match answer {
            Ok(text) => {
                pass.taken();
                count(WriteResult::Success);
                return Ok(Some(text));
            }
            Err(refused) => refused,
        };
        let result = write_result(&error);
        count(result);
        match result {
            WriteResult::Throttled => {
                let why = crate::controller::failure::api_message(&error);
                Err(Failure::PushedBack(pass.pushed_back(retry_after, &why)))
            }
            WriteResult::Gone => {
                pass.taken();
                Ok(None)
            }
            _ => {
                if let kube::Error::Api(status) = &error {
                    pass.taken();
                    if [
                        "field not declared in schema",
                        "field label not supported",
                        "Unsupported value",
                    ]
                    .iter()
                    .any(|words| status.message.contains(words))
                    {
                        (self.schema_doubt)();
                        return Err(Failure::Schema(error));
                    }
                }
                Err(Failure::Write(error))
            }
        }
    }

    /// The body of the answer, or the error with the time that the server asks to wait.
    async fn answer(&self, request: http::Request<Body>) -> Result<String, (kube::Error, Option<Duration>)> {
        let answer = self.client.send(request).await.map_err(|error| (error, None))?;
        let (code, wait) = (answer.status(), retry_after(answer.headers()));
        let body = answer
            .into_body()
            .collect_bytes()
            .await
            .map_err(|error| (error, None))?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if code.is_success() {
            Ok(text)
        } else {
            Err((refusal(code, &text), wait))
        }
    }

    /// Whether this object may be written now, with a view to others who write it too.
    async fn mind_others<K>(&self, observed: &K, target: &Target, number: u64) -> Result<(), Failure>
    where
        K: ApiObject + HasStatus<Status: OwnStatus>,
    {
        let now = Instant::now();
        let status = match observed.status() {
            Some(status) => digest(status, &self.hasher)?,
            None => digest(&K::Status::default(), &self.hasher)?,
        };
        let advice = self.disputes.advice(number, status, now);
        self.metrics.set_disputes(self.disputes.count(now));
        if self.disputes.to_be_named(number) {
            let others = self.others::<K>(target).await;
            let note = format!(
                "this status is also written by {others}, with another content; {} leaves it alone for a minute after each write until that ends: \
                 only one installation may look after a namespace",
                self.manager,
            );
            if let Some(suppressed) = self.limiter.allow(&note, now.into_std()) {
                warn!(kind = %target.kind, object = %format_args!("{}/{}", target.namespace, target.name), "{note}{suppressed}");
            }
            let transition = Transition {
                warning: true,
                reason: "StatusDisputed".into(),
                note,
                action: "Write",
            };
            self.events.tell([transition], observed.object_ref(&()));
        }
        match advice {
            Advice::Write => Ok(()),
            Advice::Wait(wait) => Err(Failure::Disputed(wait)),
        }
    }

    /// Who else writes the status, in words.
    async fn others<K: ApiObject + HasStatus<Status: OwnStatus>>(&self, target: &Target) -> String {
        // A list, for to read one object is no right that is needed for anything else.
        let path = format!(
            "{}?fieldSelector=metadata.name%3D{}&limit=1",
            K::url_path(&(), Some(&target.namespace)),
            target.name
        );
        let list = match request(Method::GET, &path, JSON, Vec::new()) {
            Ok(request) => timeout(WRITE_TIMEOUT, self.answer(request))
                .await
                .ok()
                .and_then(Result::ok),
            Err(_) => None,
        };
        let others = other_managers::<K::Status>(&list.unwrap_or_default(), &self.manager);
        if others.is_empty() {
            return format!("another process that calls itself {}", self.manager);
        }
        text::clean(&text::sentence_list(others, 3)).into_owned()
    }
}

/// The object that is written.
#[derive(Debug, Hash)]
struct Target {
    kind: Kind,
    namespace: String,
    name: String,
    uid: Option<String>,
    path: String,
}

impl Target {
    fn of<K: ApiObject>(object: &K) -> Self {
        let namespace = object.namespace().unwrap_or_else(|| "default".into());
        let name = object.name_any();
        Self {
            kind: K::KIND,
            path: format!("{}/{name}", K::url_path(&(), Some(&namespace))),
            namespace,
            name,
            uid: object.uid(),
        }
    }
}

fn request(method: Method, path: &str, content: &'static str, body: Vec<u8>) -> Result<http::Request<Body>, Failure> {
    http::Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, JSON)
        .header(header::CONTENT_TYPE, content)
        .body(Body::from(body))
        .map_err(Failure::Request)
}

/// How long the server asks to wait. It may be a date, too, but no API server does that.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What the server said when it did not take a write.
fn refusal(code: StatusCode, text: &str) -> kube::Error {
    let status = serde_json::from_str::<Status>(text)
        .unwrap_or_else(|_| Status::failure(&text::clean_for_json(text, 512), "").with_code(code.as_u16()));
    // The code of the answer counts, whatever its body says.
    kube::Error::Api(status.with_code(code.as_u16()).boxed())
}

/// Our fields of which a part is missing, when that is why the status was refused.
fn broken_fields<S: OwnStatus>(status: &Status) -> Vec<&'static str> {
    if status.code != 422 || !status.message.contains("Required value") {
        return Vec::new();
    }
    let fields = S::FIELDS.iter().copied();
    fields
        .filter(|field| status.message.contains(&format!("status.{field}.")))
        .collect()
}

/// What is left of a status without the fields that a refusal names; `None` when it names none, or the conditions.
fn taken(own: &Map<String, Value>, message: &str) -> Option<Map<String, Value>> {
    let named = |field: &str| message.contains(&format!("status.{field}"));
    let mut taken = own.clone();
    taken.retain(|field, _| !named(field));
    (taken.len() < own.len() && taken.contains_key("conditions")).then_some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_definition_is_given_what_it_takes_unless_that_says_nothing() {
        let own =
            json!({ "conditions": [{ "type": "Ready" }], "diagnosis": { "beyond": [1] }, "observedGeneration": 2 });
        let Value::Object(own) = own else {
            unreachable!("it is written above")
        };
        let kept = |message: &str| taken(&own, message).map(|taken| taken.keys().cloned().collect::<Vec<_>>());
        let refused = "failed to create typed patch object (meadow/ewe-1; elb-doctor.dev/v1alpha1, Kind=BackendServer): \
                       .status.diagnosis.beyond: field not declared in schema";
        assert_eq!(
            kept(refused),
            Some(vec!["conditions".into(), "observedGeneration".into()])
        );
        assert_eq!(
            kept("BackendServer is invalid: status.diagnosis.fixes[0].kind: Unsupported value: \"LoadBalancer\""),
            Some(vec!["conditions".into(), "observedGeneration".into()])
        );
        assert_eq!(kept(".status.conditions: field not declared in schema"), None);
        assert_eq!(kept("exceeded quota"), None);
    }
}
