//! From where health checks come: `S` of semantics §2, for the family of the probed address.

use crate::{
    api::v1alpha1::{BackendServer, LoadBalancer, LoadBalancerType, Subnet},
    engine::{Family, Span, SpanSet},
};

use super::{Namespace, SharedSources, entry::Readable};

/// Where the set of health check source addresses comes from, the most specific first (semantics §2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceOrigin {
    /// The backend server's own health check sources.
    Member,
    /// The load balancer's exact probe addresses.
    Exact,
    /// The prefixes of these backend subnets: the exact addresses are not known.
    Subnets(Vec<String>),
    /// The provider's shared prefixes.
    Shared,
}

/// The sources and their origin; `None` when no source of the family is known.
pub(super) fn find(
    namespace: &Namespace,
    shared: &SharedSources,
    backend: &Readable<BackendServer>,
    balancer: &Readable<LoadBalancer>,
) -> Option<(SpanSet<u128>, SourceOrigin)> {
    let (family, _) = backend.compiled.probed?;
    let member = backend.compiled.sources(family);
    if !member.is_empty() {
        return Some((member.clone(), SourceOrigin::Member));
    }
    let exact = balancer.compiled.exact_sources(family);
    if !exact.is_empty() {
        return Some((exact.clone(), SourceOrigin::Exact));
    }
    let (sources, origin) = match balancer.object.spec.type_ {
        LoadBalancerType::Dedicated => subnets(namespace, &balancer.object, family),
        LoadBalancerType::Shared => (shared.of(family).clone(), SourceOrigin::Shared),
    };
    (!sources.is_empty()).then_some((sources, origin))
}

fn subnets(namespace: &Namespace, balancer: &LoadBalancer, family: Family) -> (SpanSet<u128>, SourceOrigin) {
    let mut names = Vec::new();
    let mut spans: Vec<Span<u128>> = Vec::new();
    for subnet in &balancer.spec.backend_subnet_refs {
        let found = namespace.readable::<Subnet>(&subnet.name);
        let prefixes = found.map(|found| found.compiled.prefixes(family)).unwrap_or_default();
        if !prefixes.is_empty() {
            names.push(subnet.name.clone());
            spans.extend_from_slice(prefixes);
        }
    }
    (spans.into_iter().collect(), SourceOrigin::Subnets(names))
}
