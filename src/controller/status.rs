//! Writes of status: server-side apply of our own fields on the status subresource, one request, bounded in time.

use std::{fmt::Debug, sync::Arc, time::Duration};

use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    api::v1alpha1::{API_VERSION, TroubleshootRequest},
    diagnosis,
    telemetry::{Metrics, WriteResult},
};

use super::{
    FIELD_MANAGER,
    failure::{Failure, write_result},
    lease::Leadership,
};

/// How long a write may take. The client itself retries nothing (a retry could outlive the lease): the queue does.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// What must not have changed since the object was read, for a write to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Guard {
    /// It is still the same object and not a new one of that name. Fields of others may have changed: ours are ours.
    SameObject,
    /// Nothing has changed: the write is a step in the object's life that must not be done from a stale view.
    SameVersion,
}

/// A kind whose status is written.
pub(super) trait HasStatus:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
    /// Its status.
    type Status: Serialize;
    /// Its name.
    const NAME: &'static str;
}

macro_rules! has_status {
    ($($kind:ident: $status:ident),*) => {$(
        impl HasStatus for crate::api::v1alpha1::$kind {
            type Status = crate::api::v1alpha1::$status;
            const NAME: &'static str = stringify!($kind);
        }
    )*};
}
has_status!(
    BackendServer: BackendServerStatus,
    LoadBalancer: LoadBalancerStatus,
    SecurityGroup: SecurityGroupStatus,
    NetworkACL: NetworkACLStatus,
    TroubleshootRequest: TroubleshootRequestStatus
);

/// Writes while the lease is held.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    leadership: Leadership,
    metrics: Arc<Metrics>,
}

impl Writer {
    pub(super) fn new(client: Client, leadership: Leadership, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            leadership,
            metrics,
        }
    }

    /// Writes the status of the object and returns the object as it is then. `None`: the object is gone.
    pub(super) async fn status<K: HasStatus>(
        &self,
        object: &K,
        status: &K::Status,
        guard: Guard,
    ) -> Result<Option<K>, Failure> {
        let name = object.name_any();
        let version = match guard {
            Guard::SameObject => None,
            Guard::SameVersion => object.resource_version(),
        };
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            uid: object.uid(),
            resource_version: version,
            ..ObjectMeta::default()
        };
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": K::NAME,
            "metadata": metadata,
            "status": serde_json::to_value(status)?,
        });
        let api: Api<K> = self.api(object);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&body);
        self.bounded(K::NAME, api.patch_status(&name, &params, &patch)).await
    }

    /// Says in a finished request that its newest generation was seen, and leaves all else as it is. `None`: the object is gone.
    pub(super) async fn record_seen(
        &self,
        request: &TroubleshootRequest,
    ) -> Result<Option<TroubleshootRequest>, Failure> {
        let status = request.status.as_ref();
        let body = json!({
            // Whoever changed anything since is heard first.
            "metadata": { "uid": request.metadata.uid, "resourceVersion": request.metadata.resource_version },
            "status": {
                "observedGeneration": request.metadata.generation,
                // A patch changes the owner of what it changes only: conditions of others stay theirs.
                "conditions": status.map(|status| diagnosis::record_conditions(request, &status.conditions)),
            },
        });
        let name = request.name_any();
        let api: Api<TroubleshootRequest> = self.api(request);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&body);
        self.bounded(TroubleshootRequest::NAME, api.patch_status(&name, &params, &patch))
            .await
    }

    /// Deletes the object if nothing about it has changed.
    pub(super) async fn delete<K: HasStatus>(&self, object: &K) -> Result<(), Failure> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: object.uid(),
                resource_version: object.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let api: Api<K> = self.api(object);
        let name = object.name_any();
        self.bounded(K::NAME, api.delete(&name, &params)).await?;
        Ok(())
    }

    fn api<K: HasStatus>(&self, object: &K) -> Api<K> {
        let namespace = object.namespace().unwrap_or_else(|| "default".into());
        Api::namespaced(self.client.clone(), &namespace)
    }

    async fn bounded<T>(
        &self,
        kind: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<Option<T>, Failure> {
        let Some(_write) = self.leadership.begin() else {
            return Err(Failure::NotLeader);
        };
        match timeout(WRITE_TIMEOUT, request).await {
            Ok(Ok(answer)) => {
                self.metrics.count_write(kind, WriteResult::Success);
                Ok(Some(answer))
            }
            Ok(Err(error)) => {
                let result = write_result(&error);
                self.metrics.count_write(kind, result);
                match result {
                    WriteResult::Gone => Ok(None),
                    _ => Err(Failure::Write(error)),
                }
            }
            Err(_) => {
                self.metrics.count_write(kind, WriteResult::Timeout);
                Err(Failure::Timeout(WRITE_TIMEOUT.as_secs()))
            }
        }
    }
}
