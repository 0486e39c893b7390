//! A load balancer: which of its groups are checked and listened to, and from where it probes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{duplicates, invalid, kept_in};
use crate::{
    api::v1alpha1::{HealthCheck, Kind, LoadBalancer},
    engine::{Family, SpanSet},
    world::{accept, entry::Compile, parse, references::Node, refusal::Violation},
};

/// What diagnoses read of a load balancer, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct CompiledLoadBalancer {
    groups: HashMap<Arc<str>, Group>,
    exact_v4: SpanSet<u128>,
    exact_v6: SpanSet<u128>,
    /// Values of its own that nothing can be made of.
    pub(crate) violations: Vec<Violation>,
}

/// One of its backend server groups.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The health check, where there is one, on or off.
    pub(crate) health_check: Option<Arc<HealthCheck>>,
    /// Whether a listener forwards to it.
    pub(crate) listens: bool,
}

impl Group {
    /// Whether the health check is on.
    pub(crate) fn checked(&self) -> bool {
        self.health_check.as_ref().is_some_and(|check| check.enabled)
    }
}

impl CompiledLoadBalancer {
    /// The group of that name.
    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Its exact probe addresses of a family; empty where they are not known.
    pub(crate) fn exact_sources(&self, family: Family) -> &SpanSet<u128> {
        match family {
            Family::V4 => &self.exact_v4,
            Family::V6 => &self.exact_v6,
        }
    }
}

kept_in!(LoadBalancer, load_balancers);

impl Compile for LoadBalancer {
    type Compiled = CompiledLoadBalancer;

    fn compile(&self) -> CompiledLoadBalancer {
        let spec = &self.spec;
        let object = format!("LoadBalancer {}", self.metadata.name.as_deref().unwrap_or_default());
        let mut violations = Vec::new();
        for (at, text) in spec.addresses.iter().enumerate() {
            if let Err(message) = parse::address(text) {
                violations.push(invalid(&object, format!("spec.addresses[{at}]"), message));
            }
        }
        let (mut exact_v4, mut exact_v6) = (Vec::new(), Vec::new());
        for (at, text) in spec.health_check_sources.iter().enumerate() {
            match parse::address_or_prefix(text) {
                Ok((Family::V4, span)) => exact_v4.push(span),
                Ok((Family::V6, span)) => exact_v6.push(span),
                Err(message) => violations.push(invalid(&object, format!("spec.healthCheckSources[{at}]"), message)),
            }
        }
        let listeners = spec.listeners.iter().map(|listener| listener.name.as_str());
        violations.extend(duplicates(&object, "spec.listeners", listeners));
        let names = spec.backend_server_groups.iter().map(|group| group.name.as_str());
        violations.extend(duplicates(&object, "spec.backendServerGroups", names));

        let listened: HashSet<&str> = spec
            .listeners
            .iter()
            .flat_map(|listener| &listener.backend_server_groups)
            .map(String::as_str)
            .collect();
        let mut groups = HashMap::with_capacity(spec.backend_server_groups.len());
        for group in &spec.backend_server_groups {
            // Of two of one name, which is a violation, the first counts.
            groups.entry(group.name.as_str().into()).or_insert_with(|| Group {
                health_check: group.health_check.clone().map(Arc::new),
                listens: listened.contains(group.name.as_str()),
            });
        }
        CompiledLoadBalancer {
            groups,
            exact_v4: exact_v4.into_iter().collect(),
            exact_v6: exact_v6.into_iter().collect(),
            violations,
        }
    }

    fn own_violations(compiled: &Self::Compiled) -> Vec<&Violation> {
        compiled.violations.iter().collect()
    }

    fn references(&self) -> Vec<Node> {
        let subnets = self.spec.backend_subnet_refs.iter();
        subnets
            .map(|subnet| (Kind::Subnet, subnet.name.as_str().into()))
            .collect()
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    fn reads_same(&self, other: &Self) -> bool {
        self.same_spec(other)
            && self.metadata.generation == other.metadata.generation
            && accept::written(&self.metadata) == accept::written(&other.metadata)
    }
}
