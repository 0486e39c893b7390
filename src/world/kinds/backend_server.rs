//! A backend server: the address that is probed, and from where where it says so itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{invalid, kept_in};
use crate::{
    api::v1alpha1::{BackendServer, BackendType, Diagnosis, Kind, ReportedHealth},
    engine::{Family, SpanSet, number},
    world::{accept, entry::Compile, parse, references::Node, refusal::Violation},
};

/// What diagnoses read of a backend server, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct CompiledBackendServer {
    /// The probed address `b` with its family: the member's own health check address where one is set. `None` when it is no
    /// address.
    pub(crate) probed: Option<(Family, u128)>,
    sources_v4: SpanSet<u128>,
    sources_v6: SpanSet<u128>,
    /// It is an Instance and has no subnet.
    pub(crate) lacks_subnet: Option<Violation>,
    /// Other values of its own that nothing can be made of.
    pub(crate) violations: Vec<Violation>,
}

impl CompiledBackendServer {
    /// Its own health check sources of a family; empty where it says none.
    pub(crate) fn sources(&self, family: Family) -> &SpanSet<u128> {
        match family {
            Family::V4 => &self.sources_v4,
            Family::V6 => &self.sources_v6,
        }
    }
}

kept_in!(BackendServer, backend_servers);

impl Compile for BackendServer {
    type Compiled = CompiledBackendServer;

    fn compile(&self) -> CompiledBackendServer {
        let spec = &self.spec;
        let object = format!("BackendServer {}", self.metadata.name.as_deref().unwrap_or_default());
        let mut violations = Vec::new();
        let mut address = |field: &str, text: &str| match parse::address(text) {
            Ok(ip) => Some((Family::of(ip), number(ip))),
            Err(message) => {
                violations.push(invalid(&object, field, message));
                None
            }
        };
        let own = address("spec.address", &spec.address);
        let check = spec.health_check.as_ref();
        let probed = match check.and_then(|check| check.address.as_deref()) {
            Some(text) => address("spec.healthCheck.address", text),
            None => own,
        };
        let (mut sources_v4, mut sources_v6) = (Vec::new(), Vec::new());
        for (at, text) in check.iter().flat_map(|check| &check.sources).enumerate() {
            match parse::address_or_prefix(text) {
                Ok((Family::V4, span)) => sources_v4.push(span),
                Ok((Family::V6, span)) => sources_v6.push(span),
                Err(message) => violations.push(invalid(&object, format!("spec.healthCheck.sources[{at}]"), message)),
            }
        }
        let lacks_subnet = (spec.type_ == BackendType::Instance && spec.subnet_ref.is_none()).then(|| {
            let message = "required for a backend server of type Instance";
            invalid(&object, "spec.subnetRef", message)
        });
        CompiledBackendServer {
            probed,
            sources_v4: sources_v4.into_iter().collect(),
            sources_v6: sources_v6.into_iter().collect(),
            lacks_subnet,
            violations,
        }
    }

    fn own_violations(compiled: &Self::Compiled) -> Vec<&Violation> {
        compiled.lacks_subnet.iter().chain(&compiled.violations).collect()
    }

    fn references(&self) -> Vec<Node> {
        let spec = &self.spec;
        let mut out = vec![(Kind::LoadBalancer, spec.load_balancer_ref.name.as_str().into())];
        let subnet = spec.subnet_ref.iter();
        out.extend(subnet.map(|subnet| (Kind::Subnet, subnet.name.as_str().into())));
        let groups = spec.security_group_refs.iter();
        out.extend(groups.map(|group| (Kind::SecurityGroup, group.name.as_str().into())));
        out
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    fn reads_same(&self, other: &Self) -> bool {
        self.same_spec(other)
            && self.metadata.generation == other.metadata.generation
            && accept::written(&self.metadata) == accept::written(&other.metadata)
            && report(self) == report(other)
    }

    fn same_own_status(&self, other: &Self) -> bool {
        own_status(self) == own_status(other)
    }
}

/// What is ours of its status: all but the report. A condition of another manager counts as ours; that costs a look.
fn own_status(backend: &BackendServer) -> Option<(Option<i64>, &[Condition], Option<&Diagnosis>)> {
    let status = backend.status.as_ref()?;
    let own = (
        status.observed_generation,
        &*status.conditions,
        status.diagnosis.as_ref(),
    );
    (own != (None, &[], None)).then_some(own)
}

/// What counts of a report. Its message and its time are shown where they stand and decide nothing: a reporter that writes new
/// ones each time makes no work.
fn report(backend: &BackendServer) -> Option<(crate::api::v1alpha1::HealthState, Option<&str>)> {
    let health: &ReportedHealth = backend.status.as_ref()?.health.as_ref()?;
    Some((health.state, health.reason.as_deref()))
}
