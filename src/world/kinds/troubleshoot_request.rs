//! A troubleshoot request: whom it asks about. A finished one asks nothing any more and is kept without its findings.

use std::sync::Arc;

use super::kept_in;
use crate::{
    api::v1alpha1::{Kind, TroubleshootRequest},
    world::{entry::Compile, references::Node, refusal::Violation},
};

kept_in!(TroubleshootRequest, requests);

impl Compile for TroubleshootRequest {
    type Compiled = ();

    fn compile(&self) {}

    fn own_violations((): &Self::Compiled) -> Vec<&Violation> {
        Vec::new()
    }

    fn references(&self) -> Vec<Node> {
        if is_finished(self) {
            return Vec::new();
        }
        let spec = &self.spec;
        let mut out = vec![(Kind::LoadBalancer, spec.load_balancer_ref.name.as_str().into())];
        let backend = spec.backend_server_ref.iter();
        out.extend(backend.map(|backend| (Kind::BackendServer, backend.name.as_str().into())));
        out
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    // Every step of its life stands in its status.
    fn reads_same(&self, other: &Self) -> bool {
        self.metadata.resource_version.is_some() && self.metadata.resource_version == other.metadata.resource_version
    }

    fn lean(mut object: Arc<Self>) -> Arc<Self> {
        if is_finished(&object) {
            let request = Arc::make_mut(&mut object);
            if let Some(status) = request.status.as_mut() {
                status.results = Vec::new();
            }
        }
        object
    }
}

/// Whether a request has become a record.
pub(crate) fn is_finished(request: &TroubleshootRequest) -> bool {
    let status = request.status.as_ref();
    status.is_some_and(|status| status.completion_time.is_some())
}
