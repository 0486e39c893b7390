//! One backend server's diagnosis: all that it reads, validated, or why it does not run.

use std::sync::Arc;

use crate::{
    api::v1alpha1::{
        AddressGroup, BackendServer, HealthCheck, HealthCheckProtocol, HealthState, LoadBalancer, NetworkACL,
        SecurityGroup, Subnet,
    },
    engine::{
        Case, HealthCheckPorts, Leg, LoadBalancerEnd, NetworkAclState, RuleSet, Rules, SecurityGroupState, SpanSet,
        Traffic,
    },
};

use super::{
    Key, Namespace, SourceOrigin, UnjudgedSubnet, World, accept, displayed,
    ends::{self, Ends},
    entry::Readable,
    refusal::Refusal,
    refusals::{self, Input},
    sources,
};

/// Everything about one backend server that its status is made of.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The object.
    pub backend: Arc<BackendServer>,
    /// The health that is shown (semantics §9).
    pub displayed: HealthState,
    /// Why: the reported reason, or a word of the condition vocabulary.
    pub displayed_reason: String,
    /// What to diagnose, or why not.
    pub case: Result<Case, Refusal>,
    /// Its load balancer, where that is there.
    pub load_balancer: Option<Arc<LoadBalancer>>,
    /// How many other members of its group have the group's health check port; of more than [`MAX_TOLD`](super::MAX_TOLD) one more.
    pub other_members: usize,
    /// The health check of its group, where that is there.
    pub health_check: Option<Arc<HealthCheck>>,
    /// Where the health check sources come from, where there are any.
    pub source_origin: Option<SourceOrigin>,
    /// Whether nobody set from where Shared load balancers probe: some regions use other prefixes too.
    pub default_shared_sources: bool,
    /// The names of its security groups in order.
    pub security_groups: Vec<String>,
    /// The ids that the annotation `elb-doctor.dev/accept` of the backend server and of its load balancer lists, each once; of
    /// those that are no ids the first few.
    pub accept: Vec<String>,
    /// The subnets of its load balancer that are not judged although probes leave there, since two network ACLs claim each.
    pub unjudged_subnets: Vec<UnjudgedSubnet>,
    /// The objects whose rules decide: what a fix changes.
    pub rule_objects: RuleObjects,
}

/// The objects whose rules decide over one backend server, as users wrote them.
#[derive(Clone, Debug, Default)]
pub struct RuleObjects {
    /// Its security groups in order, those that can be read.
    pub security_groups: Vec<Arc<SecurityGroup>>,
    /// The network ACL of its subnet.
    pub network_acl: Option<Arc<NetworkACL>>,
    /// The network ACLs in force where the load balancer probes from; one of several subnets more than once.
    pub load_balancer_acls: Vec<Arc<NetworkACL>>,
}

impl World {
    /// Collects all that the diagnosis of a backend server reads; `None` when there is no such backend server, or it cannot be
    /// read.
    #[must_use]
    pub fn collect(&self, key: &Key) -> Option<Collected> {
        let namespace = self.namespace(&key.namespace)?;
        let backend = namespace.readable::<BackendServer>(&key.name)?;
        let spec = &backend.object.spec;
        let balancer = namespace.readable::<LoadBalancer>(&spec.load_balancer_ref.name);
        let sources = balancer.and_then(|found| sources::find(namespace, &self.shared_sources, backend, found));
        let input = Input::new((namespace, &key.name), backend, balancer, sources.as_ref());
        let health_check = input.group.and_then(|group| group.health_check.clone());
        let refusal = refusals::refusal(&input);
        let ends = match (&refusal, balancer, &sources) {
            (None, Some(balancer), Some((sources, _))) => ends::find(namespace, backend, balancer, sources),
            _ => Ends::default(),
        };
        let case = match refusal {
            Some(refusal) => Err(refusal),
            None => case(&input, &ends).ok_or_else(|| refusals::sources_unknown(&input)),
        };
        let annotated = [
            Some(&backend.object.metadata),
            balancer.map(|found| &found.object.metadata),
        ];
        let annotations = annotated.into_iter().flatten().filter_map(accept::written);
        let (displayed, displayed_reason) = displayed::health(namespace, &backend.object);
        Some(Collected {
            rule_objects: RuleObjects {
                security_groups: readable_groups(namespace, backend)
                    .map(|group| Arc::clone(&group.object))
                    .collect(),
                network_acl: readable_acl(namespace, backend).map(|acl| Arc::clone(&acl.object)),
                load_balancer_acls: ends.judged.iter().map(|end| Arc::clone(&end.acl.object)).collect(),
            },
            unjudged_subnets: ends.unjudged,
            accept: accept::ids(annotations),
            displayed,
            displayed_reason: displayed_reason.to_owned(),
            case,
            load_balancer: balancer.map(|balancer| Arc::clone(&balancer.object)),
            other_members: namespace.other_members(&key.name),
            health_check,
            source_origin: sources.map(|(_, origin)| origin),
            default_shared_sources: self.shared_sources.are_default,
            security_groups: spec
                .security_group_refs
                .iter()
                .map(|group| group.name.clone())
                .collect(),
            backend: Arc::clone(&backend.object),
        })
    }
}

/// The case of a backend server that is diagnosed; `None` when what probes it is not known, which is a refusal.
fn case(input: &Input<'_>, ends: &Ends<'_>) -> Option<Case> {
    let Input { namespace, backend, .. } = input;
    let spec = &backend.object.spec;
    let (family, local) = backend.compiled.probed?;
    let check = input.group?.health_check.as_ref()?;
    let (sources, _) = input.sources?;
    let health_check_ports = HealthCheckPorts {
        own: spec.health_check.as_ref().and_then(|own| own.port),
        group: check.port,
    };
    let legs = match check.protocol {
        HealthCheckProtocol::UdpConnect => vec![Leg::Udp, Leg::Icmp],
        HealthCheckProtocol::TCP
        | HealthCheckProtocol::HTTP
        | HealthCheckProtocol::HTTPS
        | HealthCheckProtocol::TLS
        | HealthCheckProtocol::GRPC => vec![Leg::Tcp],
    };
    let subnet = spec.subnet_ref.as_ref();
    let prefixes = subnet.and_then(|subnet| namespace.readable::<Subnet>(&subnet.name));
    let prefixes = prefixes.map(|subnet| subnet.compiled.prefixes(family));
    let ends = ends.judged.iter().map(|end| LoadBalancerEnd {
        subnet: end.subnet.into(),
        prefixes: end.prefixes.to_vec(),
        rules: rules(namespace, &end.acl.compiled.rules),
        stateful: end.acl.object.spec.stateful,
    });
    Some(Case {
        health_check_ports,
        backend_port: spec.port,
        security_groups: security_groups(namespace, backend),
        network_acl: network_acl(namespace, backend),
        load_balancer_ends: ends.collect(),
        subnet: prefixes.unwrap_or_default().to_vec(),
        traffic: Traffic {
            family,
            legs,
            sources: SpanSet::clone(sources),
            local,
            port: health_check_ports.configured().unwrap_or(spec.port),
        },
    })
}

fn security_groups(namespace: &Namespace, backend: &Readable<BackendServer>) -> SecurityGroupState {
    let spec = &backend.object.spec;
    if !spec.port_security_enabled {
        return SecurityGroupState::NotApplied;
    }
    let groups = readable_groups(namespace, backend);
    SecurityGroupState::Groups {
        groups: groups.map(|group| rules(namespace, &group.compiled.rules)).collect(),
        stateful: readable_groups(namespace, backend).all(|group| group.object.spec.stateful),
    }
}

fn readable_groups<'a>(
    namespace: &'a Namespace,
    backend: &'a Readable<BackendServer>,
) -> impl Iterator<Item = &'a Readable<SecurityGroup>> {
    let groups = backend.object.spec.security_group_refs.iter();
    groups.filter_map(|group| namespace.readable::<SecurityGroup>(&group.name))
}

fn readable_acl<'a>(namespace: &'a Namespace, backend: &Readable<BackendServer>) -> Option<&'a Readable<NetworkACL>> {
    let subnet = backend.object.spec.subnet_ref.as_ref()?;
    let acl = ends::claims(namespace, &subnet.name).next()?;
    namespace.readable::<NetworkACL>(acl)
}

fn network_acl(namespace: &Namespace, backend: &Readable<BackendServer>) -> NetworkAclState {
    match readable_acl(namespace, backend) {
        None => NetworkAclState::Absent,
        Some(acl) if !acl.object.spec.enabled => NetworkAclState::Off(Arc::clone(&acl.compiled.rules.name)),
        Some(acl) => NetworkAclState::InForce {
            rules: rules(namespace, &acl.compiled.rules),
            stateful: acl.object.spec.stateful,
        },
    }
}

/// A rule set with the addresses that its address groups have now.
fn rules(namespace: &Namespace, set: &Arc<RuleSet>) -> Rules {
    let groups = set.group_names.iter().map(|name| {
        let group = namespace.readable::<AddressGroup>(name);
        group
            .map(|group| Arc::clone(&group.compiled.addresses))
            .unwrap_or_default()
    });
    Rules {
        groups: groups.collect(),
        set: Arc::clone(set),
    }
}
