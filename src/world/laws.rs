//! What holds for every world and every change: nobody whose state differs is forgotten, a fork is a world of its own, and the
//! order of news does not matter.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::{prelude::*, sample::Index};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Affected, Incoming, Key, Kind, Settings, Unreadable, World};
use crate::{
    api::v1alpha1::{ACCEPT_ANNOTATION, ApiObject, KindVisitor, Object},
    diagnosis,
};

const NAMESPACE: &str = "orchard";

/// One change: an object comes or changes, cannot be read, or goes.
#[derive(Clone, Debug)]
enum Change {
    Set(Kind, &'static str, Value),
    Damage(Kind, &'static str),
    Remove(Kind, &'static str),
}

fn name(kind: Kind) -> impl Strategy<Value = &'static str> {
    let names: &[&str] = match kind {
        Kind::LoadBalancer => &["gate", "door"],
        Kind::BackendServer => &["plum", "pear", "fig", "kiwi"],
        Kind::SecurityGroup => &["hedge", "fence", "wall"],
        Kind::NetworkACL => &["moat", "ditch"],
        Kind::Subnet => &["lawn", "field", "lane"],
        Kind::AddressGroup => &["bees", "wasps"],
        Kind::TroubleshootRequest => &["why", "how"],
    };
    prop::sample::select(names)
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(words)
}

fn cidr() -> impl Strategy<Value = &'static str> {
    // The last has host bits set.
    one_of(&[
        "10.1.0.0/24",
        "10.2.0.0/24",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "2001:db8::/64",
        "10.1.0.5/24",
    ])
}

fn content(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::LoadBalancer => (any::<bool>(), any::<bool>(), any::<bool>(), prop::collection::vec(name(Kind::Subnet), 0..3), any::<bool>(), port())
            .prop_map(|(shared, enabled, listens, subnets, exact, port)| {
                let groups: &[&str] = if listens { &["herd"] } else { &[] };
                let sources: &[&str] = if exact { &["10.2.0.7"] } else { &[] };
                json!({"spec": {
                    "type": if shared { "Shared" } else { "Dedicated" },
                    "healthCheckSources": sources,
                    "backendSubnetRefs": subnets.into_iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
                    "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": groups}],
                    "backendServerGroups": [{"name": "herd", "protocol": "TCP", "healthCheck": {"protocol": "TCP", "enabled": enabled, "port": port}}],
                }})
            })
            .boxed(),
        Kind::BackendServer => (
            name(Kind::LoadBalancer),
            name(Kind::Subnet),
            prop::collection::vec(name(Kind::SecurityGroup), 0..3),
            one_of(&["herd", "herd", "herd", "flock"]),
            one_of(&["Unhealthy", "Unhealthy", "Healthy", ""]),
            one_of(&["True", "False", ""]),
        )
            .prop_map(|(balancer, subnet, groups, group, health, faulty)| {
                let conditions = if faulty.is_empty() { json!([]) } else {
                    json!([{"type": "FaultFound", "status": faulty, "reason": "R", "message": "m", "lastTransitionTime": "1970-01-01T00:00:00Z"}])
                };
                let health = if health.is_empty() { Value::Null } else { json!({"state": health}) };
                json!({"spec": {
                    "loadBalancerRef": {"name": balancer}, "backendServerGroup": group, "address": "10.1.0.9", "port": 8080,
                    "subnetRef": {"name": subnet},
                    "securityGroupRefs": groups.into_iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
                }, "status": {"health": health, "conditions": conditions}})
            })
            .boxed(),
        Kind::SecurityGroup => (prop::collection::vec(remote(), 0..3), prop::bool::weighted(0.7))
            .prop_map(|(remotes, stateful)| {
                let rules = remotes.into_iter().enumerate().map(|(at, (direction, remote, enabled))| {
                    json!({"name": format!("r{at}"), "direction": direction, "remote": remote, "enabled": enabled})
                });
                json!({"spec": {"stateful": stateful, "rules": rules.collect::<Vec<_>>()}})
            })
            .boxed(),
        Kind::NetworkACL => (prop::bool::weighted(0.8), any::<bool>(), prop::collection::vec(name(Kind::Subnet), 0..3), acl_rules(), acl_rules())
            .prop_map(|(enabled, stateful, subnets, ingress, egress)| {
                json!({"spec": {
                    "enabled": enabled,
                    "stateful": stateful,
                    "subnetRefs": subnets.into_iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
                    "ingress": ingress, "egress": egress,
                }})
            })
            .boxed(),
        Kind::Subnet => prop::collection::vec(cidr(), 1..3).prop_map(|cidrs| json!({"spec": {"cidrs": cidrs}})).boxed(),
        Kind::AddressGroup => prop::collection::vec(one_of(&["10.2.0.7", "10.2.0.0-10.2.0.99", "10.9.0.0/16", "9-8"]), 0..3)
            .prop_map(|addresses| json!({"spec": {"addresses": addresses}}))
            .boxed(),
        Kind::TroubleshootRequest => (name(Kind::LoadBalancer), prop::option::of(name(Kind::BackendServer)), any::<bool>())
            .prop_map(|(balancer, backend, finished)| {
                let status = if finished { json!({"completionTime": "1970-01-01T00:00:00Z", "conditions": []}) } else {
                    json!({"startTime": "1970-01-01T00:00:00Z", "conditions": []})
                };
                json!({"spec": {
                    "loadBalancerRef": {"name": balancer},
                    "backendServerRef": backend.map(|name| json!({"name": name})),
                }, "status": status})
            })
            .boxed(),
    }
}

/// A health check port.
fn port() -> impl Strategy<Value = Option<u16>> {
    prop::option::weighted(0.3, Just(8081))
}

/// What is there before: anything, or two backend servers that are diagnosed with a little that differs.
fn before() -> impl Strategy<Value = Vec<Change>> {
    let diagnosed = (port(), prop::collection::vec(change(), 0..5)).prop_map(|(port, more)| {
        let rules = json!([{"name": "in", "direction": "Ingress"}, {"name": "out", "direction": "Egress"}]);
        let member = json!({"spec": {
            "loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "address": "10.1.0.9", "port": 8080,
            "subnetRef": {"name": "lawn"}, "securityGroupRefs": [{"name": "hedge"}],
        }, "status": {"health": {"state": "Unhealthy"}, "conditions": []}});
        let gate = json!({"spec": {
            "type": "Dedicated", "backendSubnetRefs": [{"name": "lane"}, {"name": "field"}],
            "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["herd"]}],
            "backendServerGroups": [{"name": "herd", "protocol": "TCP", "healthCheck": {"protocol": "TCP", "port": port}}],
        }});
        let subnet = |name, cidr: &str| Change::Set(Kind::Subnet, name, json!({"spec": {"cidrs": [cidr]}}));
        let mut out = vec![
            subnet("lawn", "10.1.0.0/24"),
            subnet("lane", "10.2.0.0/24"),
            subnet("field", "10.3.0.0/24"),
            Change::Set(Kind::SecurityGroup, "hedge", json!({"spec": {"rules": rules}})),
            Change::Set(Kind::LoadBalancer, "gate", gate),
            Change::Set(Kind::BackendServer, "plum", member.clone()),
            Change::Set(Kind::BackendServer, "pear", member),
        ];
        for group in ["bees", "wasps"] {
            out.push(Change::Set(Kind::AddressGroup, group, json!({"spec": {"addresses": ["10.2.0.7"]}})));
        }
        out.extend(more);
        out
    });
    prop_oneof![1 => prop::collection::vec(change(), 4..30), 2 => diagnosed]
}

fn remote() -> impl Strategy<Value = (&'static str, Value, bool)> {
    let remote = prop_oneof![
        cidr().prop_map(|cidr| json!({"cidr": cidr})),
        name(Kind::AddressGroup).prop_map(|name| json!({"addressGroupRef": {"name": name}})),
        name(Kind::SecurityGroup).prop_map(|name| json!({"securityGroupRef": {"name": name}})),
    ];
    (one_of(&["Ingress", "Egress"]), remote, prop::bool::weighted(0.8))
}

fn acl_rules() -> impl Strategy<Value = Vec<Value>> {
    let rule = (
        one_of(&["source", "destination"]),
        endpoint(),
        one_of(&["Allow", "Deny"]),
    );
    prop::collection::vec(rule, 0..3).prop_map(|rules| {
        let rules = rules.into_iter().enumerate();
        let rules = rules
            .map(|(at, (end, endpoint, action))| json!({"name": format!("r{at}"), "action": action, end: endpoint}));
        rules.collect()
    })
}

fn endpoint() -> impl Strategy<Value = Value> {
    prop_oneof![
        cidr().prop_map(|cidr| json!({"cidr": cidr})),
        name(Kind::AddressGroup).prop_map(|name| json!({"addressGroupRef": {"name": name}})),
    ]
}

/// Ids of findings that may be advisory, and one that is none.
fn accepted() -> impl Strategy<Value = &'static str> {
    one_of(&[
        "check_hc_config_port",
        "security_group_check_hc_source_ip_egress, check_hc_config_port",
        "security_group_check_hc_protocol_egress,security_group_check_hc_port_egress,security_group_check_hc_source_ip_egress",
        "acl_check_hc_source_port_ingress",
        "sheep",
    ])
}

fn change() -> impl Strategy<Value = Change> {
    prop::sample::select(Kind::ALL).prop_flat_map(|kind| {
        let content = (content(kind), prop::option::weighted(0.3, accepted())).prop_map(|(mut content, accepted)| {
            content["annotations"] = accepted.map_or(Value::Null, |ids| json!({ ACCEPT_ANNOTATION: ids }));
            content
        });
        prop_oneof![
            8 => (name(kind), content).prop_map(move |(name, content)| Change::Set(kind, name, content)),
            1 => name(kind).prop_map(move |name| Change::Damage(kind, name)),
            2 => name(kind).prop_map(move |name| Change::Remove(kind, name)),
        ]
    })
}

struct Read(Value);

impl KindVisitor for Read {
    type Output = Object;

    fn visit<K: ApiObject>(self) -> Object {
        serde_json::from_value::<K>(self.0).unwrap().into()
    }
}

fn incoming(change: &Change, version: Option<u64>) -> Option<Incoming> {
    match change {
        Change::Remove(..) => None,
        Change::Damage(kind, name) => Some(Incoming::Unreadable(Unreadable {
            kind: *kind,
            key: Key::new(NAMESPACE, *name),
            uid: None,
            version,
            why: "spec: of another version".into(),
        })),
        Change::Set(kind, name, content) => {
            let mut manifest = content.clone();
            manifest["metadata"] = json!({
                "namespace": NAMESPACE, "name": name, "resourceVersion": version.map(|version| version.to_string()),
                "annotations": content["annotations"],
            });
            Some(kind.visit(Read(manifest)).into())
        }
    }
}

fn key(change: &Change) -> (Kind, Key) {
    let (Change::Set(kind, name, _) | Change::Damage(kind, name) | Change::Remove(kind, name)) = change;
    (*kind, Key::new(NAMESPACE, *name))
}

fn make(world: &mut World, change: &Change) -> Affected {
    if let Some(incoming) = incoming(change, None) {
        return world.set(incoming);
    }
    let (kind, key) = key(change);
    world.remove(kind, &key)
}

fn built<'a>(changes: impl IntoIterator<Item = &'a Change>) -> World {
    let mut world = World::new(&Settings::default());
    for change in changes {
        make(&mut world, change);
    }
    world
}

/// Every state that the controller would write, by object.
fn states(world: &World) -> BTreeMap<(Kind, Key), String> {
    fn text(status: &impl Serialize) -> String {
        serde_json::to_string(status).unwrap()
    }
    let now = Time(jiff::Timestamp::UNIX_EPOCH);
    let state = |kind, key: &Key| match kind {
        Kind::BackendServer => Some(text(&diagnosis::backend_server_status(world, key, &now)?)),
        Kind::LoadBalancer => Some(text(&diagnosis::load_balancer_status(world, key, &now)?)),
        Kind::SecurityGroup => Some(text(&diagnosis::security_group_status(world, key, &now)?)),
        Kind::NetworkACL => Some(text(&diagnosis::network_acl_status(world, key, &now)?)),
        Kind::TroubleshootRequest => Some(text(
            &diagnosis::troubleshoot_request_status(world, world.request(key)?, None, &now, &mut || ()).0,
        )),
        Kind::Subnet | Kind::AddressGroup => None,
    };
    let keys = Kind::ALL
        .iter()
        .flat_map(|kind| world.keys(*kind).into_iter().map(|key| (*kind, key)));
    keys.filter_map(|(kind, key)| Some(((kind, key.clone()), state(kind, &key)?)))
        .collect()
}

fn sizes(world: &World) -> Vec<(Kind, usize, usize)> {
    let kinds = Kind::ALL.iter();
    kinds
        .map(|kind| (*kind, world.count(*kind), world.count_unreadable(*kind)))
        .collect()
}

/// What is there after all changes, each object once.
fn last(changes: &[Change]) -> Vec<Change> {
    let mut last = BTreeMap::new();
    for change in changes {
        last.insert(key(change), change.clone());
    }
    last.into_values().collect()
}

fn is_affected(affected: &mut Affected, kind: Kind, key: &Key) -> bool {
    affected.of_mut(kind).is_some_and(|keys| keys.contains(key))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn everyone_whose_state_differs_is_affected(before in before(), change in change()) {
        let mut world = built(&before);
        let old = states(&world);
        let mut affected = make(&mut world, &change);
        let new = states(&world);
        for ((kind, key), state) in &new {
            if old.get(&(*kind, key.clone())) != Some(state) {
                prop_assert!(is_affected(&mut affected, *kind, key), "{kind} {key} differs after {change:?}: {affected:?}");
            }
        }
    }

    #[test]
    fn everyone_whose_state_differs_by_an_annotation_is_affected(
        before in before(), balancer in any::<bool>(), ids in accepted(),
    ) {
        let mut world = built(&before);
        let old = states(&world);
        let annotations = Some([(ACCEPT_ANNOTATION.to_owned(), ids.to_owned())].into());
        let key = |name| Key::new(NAMESPACE, name);
        let incoming: Incoming = if balancer {
            let Some(mut object) = world.load_balancer(&key("gate")).map(|object| (**object).clone()) else { return Ok(()) };
            object.metadata.annotations = annotations;
            object.into()
        } else {
            let Some(mut object) = world.backend_server(&key("plum")).map(|object| (**object).clone()) else { return Ok(()) };
            object.metadata.annotations = annotations;
            object.into()
        };
        let mut affected = world.set(incoming);
        for ((kind, key), state) in &states(&world) {
            if old.get(&(*kind, key.clone())) != Some(state) {
                prop_assert!(is_affected(&mut affected, *kind, key), "{kind} {key} differs: {affected:?}");
            }
        }
    }

    #[test]
    fn a_fork_leaves_the_original_and_equals_a_world_built_from_scratch(
        before in before(), then in prop::collection::vec(change(), 1..8),
    ) {
        let world = built(&before);
        let (old, old_sizes) = (states(&world), sizes(&world));
        let mut fork = world.clone();
        for change in &then {
            make(&mut fork, change);
        }
        prop_assert_eq!(states(&world), old);
        prop_assert_eq!(sizes(&world), old_sizes);
        let scratch = built(&last(&[before, then].concat()));
        prop_assert_eq!(states(&fork), states(&scratch));
        prop_assert_eq!(sizes(&fork), sizes(&scratch));
    }

    #[test]
    fn the_order_of_news_does_not_matter(
        changes in prop::collection::vec(change().prop_filter("a removal has no version", |change| !matches!(change, Change::Remove(..))), 2..20),
        order in prop::collection::vec(any::<Index>(), 20),
    ) {
        let news: Vec<_> = changes.iter().zip(1_u64..).map(|(change, version)| incoming(change, Some(version)).unwrap()).collect();
        let mut shuffled = news.clone();
        for (at, index) in order.iter().enumerate().take(shuffled.len()) {
            let other = index.index(shuffled.len());
            shuffled.swap(at, other);
        }
        let observed = |news: Vec<Incoming>| {
            let mut world = World::new(&Settings::default());
            for incoming in news {
                world.observe(incoming);
            }
            world
        };
        let (one, other) = (observed(news), observed(shuffled));
        prop_assert_eq!(states(&one), states(&other));
        prop_assert_eq!(sizes(&one), sizes(&other));
    }

    #[test]
    fn a_namespace_is_taken_and_put_back_whole(before in prop::collection::vec(change(), 4..30)) {
        let mut world = built(&before);
        let (old, old_sizes) = (states(&world), sizes(&world));
        if let Some(namespace) = world.take_namespace(NAMESPACE) {
            prop_assert!(sizes(&world).into_iter().all(|(_, all, _)| all == 0));
            prop_assert!(states(&world).is_empty());
            world.put_namespace(NAMESPACE, namespace);
        }
        prop_assert_eq!(states(&world), old);
        prop_assert_eq!(sizes(&world), old_sizes);
    }
}
