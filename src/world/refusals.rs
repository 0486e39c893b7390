//! When a diagnosis is refused (semantics §9): a chain of reasons, tried in this order; the first that applies is the answer.

use std::cell::OnceCell;

use crate::{
    api::v1alpha1::{BackendServer, BackendType, HealthState, Kind, LoadBalancer, LoadBalancerType},
    engine::{Family, SpanSet},
};

use super::{
    Namespace,
    entry::Readable,
    kinds::Group,
    refusal::{Refusal, RefusalReason, Violations, first},
    sources::SourceOrigin,
    violations,
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
    violations: OnceCell<Violations>,
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
            violations: OnceCell::new(),
        }
    }

    fn violations(&self) -> &Violations {
        self.violations
            .get_or_init(|| violations::of_backend_server(self.namespace, self.name))
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

/// The reasons in the order of semantics §9.
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
    first(&input.violations().missing, RefusalReason::ReferenceNotFound)
}

fn invalid_spec(input: &Input<'_>) -> Option<Refusal> {
    first(&input.violations().invalid, RefusalReason::InvalidSpec)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::v1alpha1::{ApiObject, KindVisitor, Object},
        world::{Incoming, Key, Settings, Unreadable, World},
    };

    struct Read(Value);

    impl KindVisitor for Read {
        type Output = Object;

        fn visit<K: ApiObject>(self) -> Object {
            serde_json::from_value::<K>(self.0).unwrap().into()
        }
    }

    /// A backend server that is diagnosed, with everything that it reads, by kind and name.
    fn stage() -> Vec<(Kind, &'static str, Value)> {
        vec![
            (
                Kind::LoadBalancer,
                "gate",
                json!({"type": "Dedicated", "backendSubnetRefs": [{"name": "lane"}],
                    "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["herd"]}],
                    "backendServerGroups": [{"name": "herd", "protocol": "TCP", "healthCheck": {"protocol": "TCP"}}]}),
            ),
            (
                Kind::BackendServer,
                "plum",
                json!({"loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "address": "10.1.0.9", "port": 8080,
                    "subnetRef": {"name": "lawn"}, "securityGroupRefs": [{"name": "hedge"}]}),
            ),
            (Kind::Subnet, "lane", json!({"cidrs": ["10.2.0.0/24"]})),
            (Kind::Subnet, "lawn", json!({"cidrs": ["10.1.0.0/24"]})),
            (
                Kind::SecurityGroup,
                "hedge",
                json!({"rules": [{"name": "r", "direction": "Ingress", "remote": {"addressGroupRef": {"name": "bees"}}}]}),
            ),
            (Kind::AddressGroup, "bees", json!({"addresses": ["10.2.0.7"]})),
            (
                Kind::NetworkACL,
                "moat",
                json!({"subnetRefs": [{"name": "lawn"}], "ingress": [], "egress": []}),
            ),
        ]
    }

    enum Change {
        /// Nothing differs from the stage.
        None,
        /// This field is another; null takes it away.
        Field(Kind, &'static str, &'static str, Value),
        Gone(Kind, &'static str),
        Damaged(Kind, &'static str),
        More(Kind, &'static str, Value),
        /// What is reported.
        Health(Value),
    }

    fn world(change: &Change) -> World {
        let mut objects = stage();
        let mut health = json!({"state": "Unhealthy"});
        match change {
            Change::None | Change::Damaged(..) => {}
            Change::Field(kind, name, pointer, value) => {
                let object = objects
                    .iter_mut()
                    .find(|(own, is, _)| (own, is) == (kind, name))
                    .unwrap();
                let (parent, field) = pointer.rsplit_once('/').unwrap();
                object.2.pointer_mut(parent).unwrap()[field] = value.clone();
            }
            Change::Gone(kind, name) => objects.retain(|(own, is, _)| (own, is) != (kind, name)),
            Change::More(kind, name, spec) => objects.push((*kind, name, spec.clone())),
            Change::Health(value) => health = value.clone(),
        }
        let mut world = World::new(&Settings::default());
        for (kind, name, spec) in objects {
            let status = if kind == Kind::BackendServer {
                json!({"health": health, "conditions": []})
            } else {
                Value::Null
            };
            let manifest = json!({"metadata": {"namespace": "orchard", "name": name}, "spec": spec, "status": status});
            world.set(Incoming::from(kind.visit(Read(manifest))));
        }
        if let Change::Damaged(kind, name) = change {
            world.set(Incoming::Unreadable(Unreadable {
                kind: *kind,
                key: Key::new("orchard", *name),
                uid: None,
                version: None,
                why: "it is of another version".into(),
            }));
        }
        world
    }

    /// What one reason says of the changed stage, asked alone.
    fn asked(check: Check, change: &Change) -> Option<String> {
        let world = world(change);
        let namespace = world.namespace("orchard").unwrap();
        let backend = namespace.readable::<BackendServer>("plum").unwrap();
        let balancer = namespace.readable::<LoadBalancer>("gate");
        let sources =
            balancer.and_then(|found| super::super::sources::find(namespace, &world.shared_sources, backend, found));
        let input = Input::new((namespace, "plum"), backend, balancer, sources.as_ref());
        check(&input).map(|refusal| refusal.message)
    }

    /// Each change with a part of the message that it brings, or none.
    fn table(check: Check, rows: Vec<(Change, Option<&str>)>) {
        assert_eq!(asked(check, &Change::None), None, "the stage is in order");
        for (at, (change, expected)) in rows.into_iter().enumerate() {
            let told = asked(check, &change);
            let right = match (&told, expected) {
                (Some(told), Some(expected)) => told.contains(expected),
                (told, expected) => told.is_none() && expected.is_none(),
            };
            assert!(right, "row {at}: {told:?} and not {expected:?}");
        }
    }

    #[test]
    fn a_reference_to_nothing() {
        const ACL_NAMES_NOTHING: &str =
            "NetworkACL ditch spec.egress[0] (e).destination.addressGroupRef.name: AddressGroup \"wasps\" not found";

        let group = |enabled| {
            let rule = json!({"name": "r", "direction": "Ingress", "enabled": enabled, "remote": {"addressGroupRef": {"name": "wasps"}}});
            Change::Field(Kind::SecurityGroup, "hedge", "/rules", json!([rule]))
        };
        let acl = |subnet: &str, enabled: bool, group: &str| {
            let rule = json!({"name": "e", "action": "Allow", "destination": {"addressGroupRef": {"name": group}}});
            let spec = json!({"enabled": enabled, "subnetRefs": [{"name": subnet}], "ingress": [], "egress": [rule]});
            Change::More(Kind::NetworkACL, "ditch", spec)
        };
        table(
            reference_not_found,
            vec![
                (
                    Change::Gone(Kind::LoadBalancer, "gate"),
                    Some("BackendServer plum spec.loadBalancerRef.name: LoadBalancer \"gate\" not found"),
                ),
                (
                    Change::Field(Kind::BackendServer, "plum", "/backendServerGroup", json!("flock")),
                    Some(
                        "BackendServer plum spec.backendServerGroup: LoadBalancer gate has no backend server group \"flock\"",
                    ),
                ),
                (
                    Change::Gone(Kind::Subnet, "lane"),
                    Some("LoadBalancer gate spec.backendSubnetRefs[0].name: Subnet \"lane\" not found"),
                ),
                (
                    Change::Gone(Kind::Subnet, "lawn"),
                    Some("BackendServer plum spec.subnetRef.name: Subnet \"lawn\" not found"),
                ),
                (
                    Change::Gone(Kind::SecurityGroup, "hedge"),
                    Some("BackendServer plum spec.securityGroupRefs[0].name: SecurityGroup \"hedge\" not found"),
                ),
                (
                    Change::Gone(Kind::AddressGroup, "bees"),
                    Some(
                        "SecurityGroup hedge spec.rules[0] (r).remote.addressGroupRef.name: AddressGroup \"bees\" not found",
                    ),
                ),
                (group(true), Some("AddressGroup \"wasps\" not found")),
                (group(false), None),
                // A remote security group need not exist.
                (
                    Change::Field(
                        Kind::SecurityGroup,
                        "hedge",
                        "/rules/0/remote",
                        json!({"securityGroupRef": {"name": "wall"}}),
                    ),
                    None,
                ),
                // Of every network ACL that claims the server's subnet or the load balancer's, also where none would decide.
                (acl("lawn", true, "wasps"), Some(ACL_NAMES_NOTHING)),
                (acl("lane", true, "wasps"), Some(ACL_NAMES_NOTHING)),
                (acl("lane", false, "wasps"), Some(ACL_NAMES_NOTHING)),
                (acl("lane", true, "bees"), None),
                (acl("meadow", true, "wasps"), None),
                // What is there and cannot be read is not missing.
                (Change::Damaged(Kind::LoadBalancer, "gate"), None),
                (Change::Damaged(Kind::Subnet, "lawn"), None),
                (Change::Damaged(Kind::AddressGroup, "bees"), None),
                // Asked also where it would not decide.
                (
                    Change::Field(Kind::BackendServer, "plum", "/portSecurityEnabled", json!(false)),
                    None,
                ),
            ],
        );
    }

    #[test]
    fn an_object_that_cannot_be_used() {
        let acl = |subnet: &str| {
            let rule = json!({"name": "e", "action": "Allow", "destination": {"cidr": "10.1.0.5/24"}});
            let spec = json!({"enabled": false, "subnetRefs": [{"name": subnet}], "ingress": [], "egress": [rule]});
            Change::More(Kind::NetworkACL, "ditch", spec)
        };
        let stateless =
            |name: &'static str| Change::More(Kind::SecurityGroup, name, json!({"stateful": false, "rules": []}));
        let cidr = |kind, name| Change::Field(kind, name, "/cidrs", json!(["10.1.0.5/24"]));
        table(
            invalid_spec,
            vec![
                (
                    Change::Damaged(Kind::LoadBalancer, "gate"),
                    Some("LoadBalancer gate: it is of another version"),
                ),
                (
                    Change::Damaged(Kind::NetworkACL, "moat"),
                    Some("NetworkACL moat: it is of another version"),
                ),
                // It may be any subnet's.
                (
                    Change::Damaged(Kind::NetworkACL, "ditch"),
                    Some("NetworkACL ditch: it is of another version"),
                ),
                (
                    Change::Damaged(Kind::AddressGroup, "bees"),
                    Some("AddressGroup bees: it is of another version"),
                ),
                (Change::Damaged(Kind::SecurityGroup, "fence"), None),
                (cidr(Kind::Subnet, "lane"), Some("Subnet lane spec.cidrs[0]")),
                (cidr(Kind::Subnet, "lawn"), Some("Subnet lawn spec.cidrs[0]")),
                (
                    Change::Field(Kind::AddressGroup, "bees", "/addresses", json!(["9-8"])),
                    Some("AddressGroup bees spec.addresses[0]"),
                ),
                (
                    Change::Field(Kind::BackendServer, "plum", "/subnetRef", Value::Null),
                    Some("BackendServer plum spec.subnetRef: required for a backend server of type Instance"),
                ),
                (
                    Change::Field(Kind::BackendServer, "plum", "/address", json!("10.1.0")),
                    Some("BackendServer plum spec.address"),
                ),
                (Change::Gone(Kind::Subnet, "lawn"), None),
                // Probes leave through it, were it on.
                (
                    acl("lane"),
                    Some("NetworkACL ditch spec.egress[0] (e).destination.cidr"),
                ),
                (acl("meadow"), None),
                // All groups of an interface are of one sort, whatever port security says; others are nobody's concern.
                (stateless("fence"), None),
            ],
        );
    }

    #[test]
    fn stateful_and_stateless_groups_on_one_interface() {
        let world = |sorts: &[bool], port_security: bool| {
            let mut world = world(&Change::None);
            let mut refs = Vec::new();
            for (at, stateful) in sorts.iter().enumerate() {
                let name = ["hedge", "fence", "wall"][at];
                refs.push(json!({"name": name}));
                let manifest = json!({"metadata": {"namespace": "orchard", "name": name}, "spec": {"stateful": stateful, "rules": []}});
                world.set(Incoming::from(Kind::SecurityGroup.visit(Read(manifest))));
            }
            let spec = json!({"loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "port": 8080, "address": "10.1.0.9",
                "subnetRef": {"name": "lawn"}, "securityGroupRefs": refs, "portSecurityEnabled": port_security});
            let status = json!({"health": {"state": "Unhealthy"}, "conditions": []});
            let manifest =
                json!({"metadata": {"namespace": "orchard", "name": "plum"}, "spec": spec, "status": status});
            world.set(Incoming::from(Kind::BackendServer.visit(Read(manifest))));
            world.collect(&Key::new("orchard", "plum")).unwrap().case
        };
        for port_security in [true, false] {
            for of_one_sort in [&[true, true, true][..], &[false, false], &[false], &[]] {
                assert!(world(of_one_sort, port_security).is_ok(), "{of_one_sort:?}");
            }
            let refusal = world(&[false, false, true], port_security).unwrap_err();
            assert_eq!(refusal.reason, RefusalReason::InvalidSpec);
            assert_eq!(
                refusal.message,
                "BackendServer plum spec.securityGroupRefs: security group wall is stateful and hedge is not; \
                 the groups on one interface must be all stateful or all stateless"
            );
        }
    }

    #[test]
    fn two_network_acls_for_one_subnet() {
        let other = |subnet: &str, enabled| {
            let spec = json!({"enabled": enabled, "subnetRefs": [{"name": subnet}], "ingress": [], "egress": []});
            Change::More(Kind::NetworkACL, "ditch", spec)
        };
        table(
            ambiguous_network_acl,
            vec![
                (
                    other("lawn", true),
                    Some("NetworkACL ditch and NetworkACL moat both name Subnet lawn in spec.subnetRefs"),
                ),
                (other("lawn", false), Some("both name Subnet lawn")),
                (other("lane", true), None),
                (Change::Gone(Kind::NetworkACL, "moat"), None),
            ],
        );
    }

    #[test]
    fn an_ip_as_backend_server() {
        table(
            ip_backend_unsupported,
            vec![(
                Change::Field(Kind::BackendServer, "plum", "/type", json!("IP")),
                Some("BackendServer plum spec.type"),
            )],
        );
    }

    #[test]
    fn a_group_that_nobody_listens_for() {
        table(
            not_associated_with_listener,
            vec![
                (
                    Change::Field(Kind::LoadBalancer, "gate", "/listeners", json!([])),
                    Some("no listener forwards to backend server group \"herd\""),
                ),
                (
                    Change::Field(
                        Kind::LoadBalancer,
                        "gate",
                        "/listeners/0/backendServerGroups",
                        json!(["flock"]),
                    ),
                    Some("spec.listeners"),
                ),
            ],
        );
    }

    #[test]
    fn a_health_check_that_is_off() {
        table(
            health_check_disabled,
            vec![
                (
                    Change::Field(
                        Kind::LoadBalancer,
                        "gate",
                        "/backendServerGroups/0/healthCheck/enabled",
                        json!(false),
                    ),
                    Some("LoadBalancer gate spec.backendServerGroups (herd).healthCheck: the health check is off"),
                ),
                (
                    Change::Field(
                        Kind::LoadBalancer,
                        "gate",
                        "/backendServerGroups/0/healthCheck",
                        Value::Null,
                    ),
                    Some("is off"),
                ),
            ],
        );
    }

    #[test]
    fn a_backend_server_that_is_not_unhealthy() {
        table(
            backend_not_unhealthy,
            vec![
                (Change::Health(json!({"state": "Healthy"})), Some("Healthy is reported")),
                (Change::Health(json!({"state": "Unknown"})), Some("Unknown is reported")),
                (Change::Health(Value::Null), Some("nothing is reported yet")),
                (
                    Change::Health(json!({"state": "Unhealthy", "reason": "ConnectTimeout"})),
                    None,
                ),
            ],
        );
    }

    #[test]
    fn nothing_that_probes_is_known() {
        table(
            health_check_sources_unknown,
            vec![
                (
                    Change::Field(Kind::BackendServer, "plum", "/address", json!("2001:db8::9")),
                    Some(
                        "LoadBalancer gate spec.backendSubnetRefs: no IPv6 health check source is known for BackendServer plum",
                    ),
                ),
                (
                    Change::Field(Kind::LoadBalancer, "gate", "/type", json!("Shared")),
                    None,
                ),
                (
                    Change::Field(Kind::LoadBalancer, "gate", "/healthCheckSources", json!(["10.9.0.1"])),
                    None,
                ),
                (
                    Change::Field(
                        Kind::BackendServer,
                        "plum",
                        "/healthCheck",
                        json!({"sources": ["10.9.0.1"]}),
                    ),
                    None,
                ),
            ],
        );
    }

    /// All that is wrong at once: the reasons come in the order of semantics §9, each when those before it are mended.
    #[test]
    fn the_first_reason_that_applies_is_the_answer() {
        let reasons = [
            RefusalReason::ReferenceNotFound,
            RefusalReason::InvalidSpec,
            RefusalReason::AmbiguousNetworkAcl,
            RefusalReason::IpBackendUnsupported,
            RefusalReason::NotAssociatedWithListener,
            RefusalReason::HealthCheckDisabled,
            RefusalReason::BackendNotUnhealthy,
            RefusalReason::HealthCheckSourcesUnknown,
        ];
        for (mended, expected) in reasons.into_iter().enumerate() {
            let spoilt = |at: usize| mended <= at;
            let mut world = world(&Change::None);
            let mut put = |kind: Kind, name: &str, spec: Value, status: Value| {
                let manifest =
                    json!({"metadata": {"namespace": "orchard", "name": name}, "spec": spec, "status": status});
                world.set(Incoming::from(kind.visit(Read(manifest))));
            };
            let groups = if spoilt(0) {
                json!([{"name": "hedge"}, {"name": "gone"}])
            } else {
                json!([{"name": "hedge"}])
            };
            let spec = json!({"loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "port": 8080,
                "address": if spoilt(7) { "2001:db8::9" } else { "10.1.0.9" }, "type": if spoilt(3) { "IP" } else { "Instance" },
                "subnetRef": {"name": "lawn"}, "securityGroupRefs": groups});
            let state = if spoilt(6) { "Healthy" } else { "Unhealthy" };
            put(
                Kind::BackendServer,
                "plum",
                spec,
                json!({"health": {"state": state}, "conditions": []}),
            );
            if spoilt(1) {
                put(Kind::AddressGroup, "bees", json!({"addresses": ["9-8"]}), Value::Null);
            }
            if spoilt(2) {
                put(
                    Kind::NetworkACL,
                    "ditch",
                    json!({"subnetRefs": [{"name": "lawn"}], "ingress": [], "egress": []}),
                    Value::Null,
                );
            }
            let listened: &[&str] = if spoilt(4) { &[] } else { &["herd"] };
            let spec = json!({"type": "Dedicated", "backendSubnetRefs": [{"name": "lane"}],
                "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": listened}],
                "backendServerGroups": [{"name": "herd", "protocol": "TCP", "healthCheck": {"protocol": "TCP", "enabled": !spoilt(5)}}]});
            put(Kind::LoadBalancer, "gate", spec, Value::Null);
            let collected = world.collect(&Key::new("orchard", "plum")).unwrap();
            assert_eq!(collected.case.unwrap_err().reason, expected);
        }
    }
}
