//! When a diagnosis is refused (domain §9): a chain of reasons, tried in this order; the first that applies is the answer.

use std::cell::OnceCell;

use crate::{
    api::v1alpha1::{BackendServer, BackendType, HealthState, Kind, LoadBalancer, LoadBalancerType},
    engine::{Family, SpanSet},
};

use super::{
    Namespace,
    entry::Readable,
    faults,
    kinds::Group,
    refusal::{Faults, Refusal, RefusalReason, first},
    sources::SourceOrigin,
};

/// All that decides whether a backend server is diagnosed.
pub(super) struct Input<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) name: &'a str,
    pub(super) backend: &'a Readable<BackendServer>,
    /// Its load balancer, where that is there.
    pub(super) balancer: Option<&'a Readable<LoadBalancer>>,
    /// Its group, where that is there.
    pub(super) group: Option<&'a Group>,
    /// From where it is probed, where that is known.
    pub(super) sources: Option<&'a (SpanSet<u128>, SourceOrigin)>,
    faults: OnceCell<Faults>,
}

impl<'a> Input<'a> {
    pub(super) fn new(
        (namespace, name): (&'a Namespace, &'a str),
        backend: &'a Readable<BackendServer>,
        balancer: Option<&'a Readable<LoadBalancer>>,
        sources: Option<&'a (SpanSet<u128>, SourceOrigin)>,
    ) -> Self {
        let group = balancer.and_then(|found| found.compiled.group(&backend.object.spec.backend_server_group));
        Self {
            namespace,
            name,
            backend,
            balancer,
            group,
            sources,
            faults: OnceCell::new(),
        }
    }

    fn faults(&self) -> &Faults {
        self.faults
            .get_or_init(|| faults::of_backend_server(self.namespace, self.name))
    }

    fn balancer_name(&self) -> &str {
        &self.backend.object.spec.load_balancer_ref.name
    }

    fn group_name(&self) -> &str {
        &self.backend.object.spec.backend_server_group
    }
}

/// One reason: whether it applies, and how it is told.
type Check = fn(&Input<'_>) -> Option<Refusal>;

/// The reasons in the order of domain §9.
const CHAIN: &[Check] = &[
    reference_not_found,
    invalid_spec,
    ambiguous_network_acl,
    ip_backend_unsupported,
    not_associated_with_listener,
    health_check_disabled,
    backend_not_unhealthy,
    health_check_sources_unknown,
];

/// Why a backend server is not diagnosed; `None`: it is.
pub(super) fn refusal(input: &Input<'_>) -> Option<Refusal> {
    CHAIN.iter().find_map(|check| check(input))
}

fn reference_not_found(input: &Input<'_>) -> Option<Refusal> {
    first(&input.faults().missing, RefusalReason::ReferenceNotFound)
}

fn invalid_spec(input: &Input<'_>) -> Option<Refusal> {
    first(&input.faults().invalid, RefusalReason::InvalidSpec)
}

fn ambiguous_network_acl(input: &Input<'_>) -> Option<Refusal> {
    let subnet = &input.backend.object.spec.subnet_ref.as_ref()?.name;
    let mut acls = input.namespace.users(Kind::Subnet, subnet, Kind::NetworkACL);
    let (first, second) = (acls.next()?, acls.next()?);
    let message = format!(
        "NetworkACL {first} and NetworkACL {second} both name Subnet {subnet} in spec.subnetRefs; a subnet has at most one"
    );
    Some(Refusal::new(RefusalReason::AmbiguousNetworkAcl, message))
}

fn ip_backend_unsupported(input: &Input<'_>) -> Option<Refusal> {
    (input.backend.object.spec.type_ == BackendType::IP).then(|| {
        let name = input.name;
        let message =
            format!("BackendServer {name} spec.type: IP backend servers cannot be troubleshot; only type Instance can");
        Refusal::new(RefusalReason::IpBackendUnsupported, message)
    })
}

fn not_associated_with_listener(input: &Input<'_>) -> Option<Refusal> {
    (!input.group.is_some_and(|group| group.listens)).then(|| {
        let message = format!(
            "LoadBalancer {} spec.listeners: no listener forwards to backend server group {:?}",
            input.balancer_name(),
            input.group_name()
        );
        Refusal::new(RefusalReason::NotAssociatedWithListener, message)
    })
}

fn health_check_disabled(input: &Input<'_>) -> Option<Refusal> {
    (!input.group.is_some_and(Group::checked)).then(|| {
        let message = format!(
            "LoadBalancer {} spec.backendServerGroups ({}).healthCheck: the health check is off",
            input.balancer_name(),
            input.group_name()
        );
        Refusal::new(RefusalReason::HealthCheckDisabled, message)
    })
}

fn backend_not_unhealthy(input: &Input<'_>) -> Option<Refusal> {
    let status = input.backend.object.status.as_ref();
    let reported = status
        .and_then(|status| status.health.as_ref())
        .map(|health| health.state);
    let state = match reported {
        Some(HealthState::Unhealthy) => return None,
        None => "nothing is reported yet".to_owned(),
        Some(state) => format!("{state:?} is reported"),
    };
    let name = input.name;
    let message =
        format!("BackendServer {name} status.health.state: {state}; only an Unhealthy backend server is diagnosed");
    Some(Refusal::new(RefusalReason::BackendNotUnhealthy, message))
}

fn health_check_sources_unknown(input: &Input<'_>) -> Option<Refusal> {
    input.sources.is_none().then(|| sources_unknown(input))
}

/// Nothing is known that probes it.
pub(super) fn sources_unknown(input: &Input<'_>) -> Refusal {
    let field = input.balancer.map_or("", |balancer| match balancer.object.spec.type_ {
        LoadBalancerType::Dedicated => "spec.backendSubnetRefs",
        LoadBalancerType::Shared => "spec.healthCheckSources (Shared)",
    });
    let family = match input.backend.compiled.probed {
        Some((Family::V4, _)) => "IPv4",
        Some((Family::V6, _)) => "IPv6",
        None => "IP",
    };
    let message = format!(
        "LoadBalancer {} {field}: no {family} health check source is known for BackendServer {}; \
         set healthCheckSources of the load balancer or healthCheck.sources of the backend server",
        input.balancer_name(),
        input.name
    );
    Refusal::new(RefusalReason::HealthCheckSourcesUnknown, message)
}
