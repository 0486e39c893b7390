//! One backend server's diagnosis: all that it reads, validated, or why it does not run (domain §9).

use std::sync::Arc;

use crate::{
    api::v1alpha1::{
        BackendServer, BackendServerGroup, BackendType, HealthCheck, HealthCheckProtocol, HealthState, LoadBalancer,
        LoadBalancerType, conditions::reasons,
    },
    engine::{
        Case, Family, Leg, NetworkAclState, RuleSet, Rules, SecurityGroupState, Span, SpanSet, Traffic, number,
        prefix_span,
    },
};

use super::{
    Key, Kind, World, parse,
    refusal::{Refusal, RefusalReason},
};

/// Where the set of health check source addresses comes from, the most specific first (domain §2).
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

/// Everything about one backend server that its status is made of.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The object.
    pub backend: Arc<BackendServer>,
    /// The health that is shown (domain §9).
    pub displayed: HealthState,
    /// Why: the reported reason, or a word of the condition vocabulary.
    pub displayed_reason: String,
    /// What to diagnose, or why not.
    pub case: Result<Case, Refusal>,
    /// Kind of its load balancer, where that is there.
    pub load_balancer_type: Option<LoadBalancerType>,
    /// The health check of its group, where that is there.
    pub health_check: Option<HealthCheck>,
    /// Where the health check sources come from, where there are any.
    pub source_origin: Option<SourceOrigin>,
    /// The names of its security groups in order.
    pub security_groups: Vec<String>,
}

impl World {
    /// Collects all that the diagnosis of a backend server reads; `None` when there is no such backend server.
    #[must_use]
    pub fn collect(&self, key: &Key) -> Option<Collected> {
        let backend = Arc::clone(self.backend_server(key)?);
        let spec = &backend.spec;
        let balancer = self
            .load_balancer(&key.sibling(&spec.load_balancer_ref.name))
            .map(|balancer| &**balancer);
        let group = balancer.and_then(|balancer| {
            balancer
                .spec
                .backend_server_groups
                .iter()
                .find(|group| group.name == spec.backend_server_group)
        });
        let listens = balancer.is_some_and(|balancer| listens(balancer, &spec.backend_server_group));
        let enabled = group.is_some_and(|group| group.health_check.as_ref().is_some_and(|check| check.enabled));
        let (displayed, displayed_reason) = displayed(&backend, group.is_some(), listens, enabled);
        let sources = balancer.and_then(|balancer| self.sources(key, &backend, balancer));
        let health_check = group.and_then(|group| group.health_check.clone());
        let case = self.case(key, &backend, balancer, group, listens, sources.as_ref());
        Some(Collected {
            displayed,
            displayed_reason,
            case,
            load_balancer_type: balancer.map(|balancer| balancer.spec.type_),
            health_check,
            source_origin: sources.map(|(_, origin)| origin),
            security_groups: spec
                .security_group_refs
                .iter()
                .map(|group| group.name.clone())
                .collect(),
            backend,
        })
    }

    /// The health that is shown of a backend server (domain §9); `None` when there is no such backend server.
    #[must_use]
    pub fn displayed_health(&self, key: &Key) -> Option<HealthState> {
        let backend = self.backend_server(key)?;
        let spec = &backend.spec;
        let balancer = self.load_balancer(&key.sibling(&spec.load_balancer_ref.name));
        let group = balancer.and_then(|balancer| {
            balancer
                .spec
                .backend_server_groups
                .iter()
                .find(|group| group.name == spec.backend_server_group)
        });
        let listens = balancer.is_some_and(|balancer| listens(balancer, &spec.backend_server_group));
        let enabled = group.is_some_and(|group| group.health_check.as_ref().is_some_and(|check| check.enabled));
        Some(displayed(backend, group.is_some(), listens, enabled).0)
    }

    fn case(
        &self,
        key: &Key,
        backend: &BackendServer,
        balancer: Option<&LoadBalancer>,
        group: Option<&BackendServerGroup>,
        listens: bool,
        sources: Option<&(SpanSet<u128>, SourceOrigin)>,
    ) -> Result<Case, Refusal> {
        let faults = self.backend_faults(key, backend);
        if let Some(refusal) = faults.refusal() {
            return Err(refusal);
        }
        let acls = self.acls_of(key, backend);
        if let [first, second, ..] = acls.as_slice() {
            let subnet = backend
                .spec
                .subnet_ref
                .as_ref()
                .map_or("", |subnet| subnet.name.as_str());
            return Err(Refusal::new(
                RefusalReason::AmbiguousNetworkAcl,
                format!(
                    "NetworkACL {} and NetworkACL {} both name Subnet {subnet} in spec.subnetRefs; a subnet has at most one",
                    first.name, second.name
                ),
            ));
        }
        let object = format!("BackendServer {}", key.name);
        if backend.spec.type_ == BackendType::IP {
            return Err(Refusal::new(
                RefusalReason::IpBackendUnsupported,
                format!("{object} spec.type: IP backend servers cannot be troubleshot; only type Instance can"),
            ));
        }
        let group_name = &backend.spec.backend_server_group;
        let balancer_name = &backend.spec.load_balancer_ref.name;
        if !listens {
            return Err(Refusal::new(
                RefusalReason::NotAssociatedWithListener,
                format!(
                    "LoadBalancer {balancer_name} spec.listeners: no listener forwards to backend server group {group_name:?}"
                ),
            ));
        }
        let check = group
            .and_then(|group| group.health_check.as_ref())
            .filter(|check| check.enabled);
        let Some(check) = check else {
            return Err(Refusal::new(
                RefusalReason::HealthCheckDisabled,
                format!(
                    "LoadBalancer {balancer_name} spec.backendServerGroups ({group_name}).healthCheck: the health check is off"
                ),
            ));
        };
        let reported = backend.status.as_ref().and_then(|status| status.health.as_ref());
        if reported.is_none_or(|health| health.state != HealthState::Unhealthy) {
            let state = match reported {
                None => "nothing is reported yet".to_owned(),
                Some(health) => format!("{:?} is reported", health.state),
            };
            return Err(Refusal::new(
                RefusalReason::BackendNotUnhealthy,
                format!("{object} status.health.state: {state}; only an Unhealthy backend server is diagnosed"),
            ));
        }
        self.engine_case(key, backend, check, acls.first(), sources.map(|(sources, _)| sources)).ok_or_else(|| {
            let kind = balancer.map_or("", |balancer| match balancer.spec.type_ {
                LoadBalancerType::Dedicated => "spec.backendSubnetRefs",
                LoadBalancerType::Shared => "spec.healthCheckSources (Shared)",
            });
            let family = probed(backend).map_or("IP", |(family, _)| if family == Family::V4 { "IPv4" } else { "IPv6" });
            Refusal::new(
                RefusalReason::HealthCheckSourcesUnknown,
                format!(
                    "LoadBalancer {balancer_name} {kind}: no {family} health check source is known for BackendServer {}; \
                     set healthCheckSources of the load balancer or healthCheck.sources of the backend server",
                    key.name
                ),
            )
        })
    }

    /// `None` when no health check source of the probed address's family is known.
    fn engine_case(
        &self,
        key: &Key,
        backend: &BackendServer,
        check: &HealthCheck,
        acl: Option<&Key>,
        sources: Option<&SpanSet<u128>>,
    ) -> Option<Case> {
        let spec = &backend.spec;
        let (family, local) = probed(backend)?;
        let sources = sources.filter(|sources| !sources.is_empty())?.clone();
        let configured_port = spec.health_check.as_ref().and_then(|own| own.port).or(check.port);
        let legs = match check.protocol {
            HealthCheckProtocol::UdpConnect => vec![Leg::Udp, Leg::Icmp],
            _ => vec![Leg::Tcp],
        };
        let groups = spec.security_group_refs.iter();
        let security_groups = if spec.port_security_enabled {
            let compiled = groups.filter_map(|group| self.security_groups.get(&key.sibling(&group.name)));
            SecurityGroupState::Groups(compiled.map(|(_, compiled)| self.rules(key, &compiled.rules)).collect())
        } else {
            SecurityGroupState::NotApplied
        };
        let network_acl = match acl.and_then(|key| self.network_acls.get(key)) {
            None => NetworkAclState::Absent,
            Some((acl, compiled)) if !acl.spec.enabled => NetworkAclState::Off(Arc::clone(&compiled.rules.name)),
            Some((acl, compiled)) => NetworkAclState::InForce {
                rules: self.rules(key, &compiled.rules),
                stateful: acl.spec.stateful,
            },
        };
        let subnet = spec
            .subnet_ref
            .as_ref()
            .and_then(|subnet| self.subnets.get(&key.sibling(&subnet.name)));
        let cidrs = subnet.into_iter().flat_map(|subnet| &subnet.spec.cidrs);
        let prefixes = cidrs.filter_map(|cidr| parse::prefix(cidr).ok());
        Some(Case {
            configured_port,
            backend_port: spec.port,
            security_groups,
            network_acl,
            subnet: prefixes
                .filter(|net| Family::of(net.addr()) == family)
                .map(|net| prefix_span(&net))
                .collect(),
            traffic: Traffic {
                family,
                legs,
                sources,
                local,
                port: configured_port.unwrap_or(spec.port),
            },
        })
    }

    /// A rule set with the address groups that it names.
    fn rules(&self, key: &Key, set: &Arc<RuleSet>) -> Rules {
        let groups = set.group_names.iter().map(|name| {
            let group = self.address_groups.get(&key.sibling(name));
            group.map(|(_, group)| Arc::clone(&group.addresses)).unwrap_or_default()
        });
        Rules {
            groups: groups.collect(),
            set: Arc::clone(set),
        }
    }

    /// The network ACLs that claim the backend server's subnet, sorted.
    pub(super) fn acls_of(&self, key: &Key, backend: &BackendServer) -> Vec<Key> {
        let Some(subnet) = &backend.spec.subnet_ref else {
            return Vec::new();
        };
        let node = (Kind::Subnet, key.sibling(&subnet.name));
        self.references
            .users(&node, Kind::NetworkACL)
            .into_iter()
            .cloned()
            .collect()
    }

    /// `S` of domain §2 for the family of the probed address.
    fn sources(
        &self,
        key: &Key,
        backend: &BackendServer,
        balancer: &LoadBalancer,
    ) -> Option<(SpanSet<u128>, SourceOrigin)> {
        let (family, _) = probed(backend)?;
        let of_family = |texts: &[String]| -> SpanSet<u128> {
            let parsed = texts.iter().filter_map(|text| parse::address_or_prefix(text).ok());
            parsed.filter(|(own, _)| *own == family).map(|(_, span)| span).collect()
        };
        let member = backend
            .spec
            .health_check
            .as_ref()
            .map(|own| of_family(&own.sources))
            .unwrap_or_default();
        if !member.is_empty() {
            return Some((member, SourceOrigin::Member));
        }
        let exact = of_family(&balancer.spec.health_check_sources);
        if !exact.is_empty() {
            return Some((exact, SourceOrigin::Exact));
        }
        let (sources, origin) = match balancer.spec.type_ {
            LoadBalancerType::Dedicated => {
                let mut names = Vec::new();
                let mut spans: Vec<Span<u128>> = Vec::new();
                for subnet in &balancer.spec.backend_subnet_refs {
                    let Some(object) = self.subnets.get(&key.sibling(&subnet.name)) else {
                        continue;
                    };
                    let before = spans.len();
                    let prefixes = object.spec.cidrs.iter().filter_map(|cidr| parse::prefix(cidr).ok());
                    spans.extend(
                        prefixes
                            .filter(|net| Family::of(net.addr()) == family)
                            .map(|net| prefix_span(&net)),
                    );
                    if spans.len() > before {
                        names.push(subnet.name.clone());
                    }
                }
                (spans.into_iter().collect::<SpanSet<_>>(), SourceOrigin::Subnets(names))
            }
            LoadBalancerType::Shared => {
                let shared = self.settings.shared_sources.iter();
                let spans = shared.filter(|net| Family::of(net.addr()) == family).map(prefix_span);
                (spans.collect(), SourceOrigin::Shared)
            }
        };
        (!sources.is_empty()).then_some((sources, origin))
    }
}

/// The probed address `b` with its family: the member's own health check address where one is set.
fn probed(backend: &BackendServer) -> Option<(Family, u128)> {
    let own = backend.spec.health_check.as_ref().and_then(|own| own.address.as_ref());
    let ip = parse::address(own.unwrap_or(&backend.spec.address)).ok()?;
    Some((Family::of(ip), number(ip)))
}

fn listens(balancer: &LoadBalancer, group: &str) -> bool {
    balancer
        .spec
        .listeners
        .iter()
        .any(|listener| listener.backend_server_groups.iter().any(|name| name == group))
}

/// The health that is shown, and why (domain §9).
fn displayed(backend: &BackendServer, has_group: bool, listens: bool, enabled: bool) -> (HealthState, String) {
    let reported = backend.status.as_ref().and_then(|status| status.health.as_ref());
    if has_group && !enabled {
        return (HealthState::Unknown, reasons::HEALTH_CHECK_DISABLED.into());
    }
    if has_group && !listens {
        return (HealthState::Unknown, reasons::NOT_ASSOCIATED_WITH_LISTENER.into());
    }
    match reported {
        None => (HealthState::Unknown, reasons::NOT_REPORTED.into()),
        Some(health) => (
            health.state,
            health.reason.clone().unwrap_or_else(|| reasons::REPORTED.into()),
        ),
    }
}
