//! Every object now known, and who is affected by a change of one.
//!
//! A [`World`] is a plain value that watches (or files) feed synchronously. Namespaces are separate values in persistent maps:
//! cloning a world costs nothing, a clone is a snapshot to diagnose on or a fork to ask "what if" of, and a change costs the
//! logarithm of a namespace's size, also while clones are held. Every object is validated and compiled once, when its spec comes
//! in, whatever door it comes in by; nothing later reads raw objects to decide.

mod accept;
mod affected;
mod collect;
mod counts;
mod displayed;
mod ends;
mod entry;
mod incoming;
mod key;
mod kinds;
#[cfg(test)]
mod laws;
mod members;
mod namespace;
pub(crate) mod parse;
mod queries;
mod recount;
mod references;
mod refusal;
mod refusals;
mod regroup;
mod replace;
mod sizes;
mod sources;
mod violations;

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use crate::{
    api::v1alpha1::{
        BackendCounts, BackendServer, HealthState, LoadBalancer, NetworkACL, SecurityGroup, TroubleshootRequest,
    },
    engine::{Family, SpanSet, prefix_span},
};

pub use crate::api::v1alpha1::{Kind, Object};
pub use affected::Affected;
pub use collect::Collected;
pub(crate) use collect::RuleObjects;
pub use ends::UnjudgedSubnet;
use entry::Entry;
pub use incoming::{Incoming, Unreadable};
pub use key::Key;
pub(crate) use kinds::own_violations;
pub use namespace::Namespace;
use namespace::WorldKind;
pub(crate) use refusal::{Refusal, RefusalReason};
pub(crate) use regroup::MAX_TOLD;
pub(crate) use sources::SourceOrigin;

/// What holds for every diagnosis of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Prefixes from which Shared load balancers probe, without host bits; `100.125.0.0/16` in most regions.
    pub shared_sources: Vec<IpNet>,
}

/// The prefix from which Shared load balancers probe unless a setting says otherwise (semantics §1).
pub(crate) const DEFAULT_SHARED_SOURCE: &str = "100.125.0.0/16";

impl Default for Settings {
    fn default() -> Self {
        Self {
            shared_sources: parse::prefix(DEFAULT_SHARED_SOURCE).into_iter().collect(),
        }
    }
}

/// From where Shared load balancers probe, by family.
#[derive(Debug, Default)]
struct SharedSources {
    v4: SpanSet<u128>,
    v6: SpanSet<u128>,
    /// Whether they are those that no setting changed.
    are_default: bool,
}

impl SharedSources {
    fn new(settings: &Settings) -> Self {
        let are_default = settings.shared_sources == Settings::default().shared_sources;
        let (v4, v6): (Vec<_>, Vec<_>) = settings.shared_sources.iter().partition(|net| net.addr().is_ipv4());
        Self {
            v4: v4.into_iter().map(prefix_span).collect(),
            v6: v6.into_iter().map(prefix_span).collect(),
            are_default,
        }
    }

    fn of(&self, family: Family) -> &SpanSet<u128> {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// Every object now known.
#[derive(Clone, Debug, Default)]
pub struct World {
    shared_sources: Arc<SharedSources>,
    namespaces: imbl::OrdMap<Arc<str>, Namespace>,
    sizes: BTreeMap<Kind, usize>,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            shared_sources: Arc::new(SharedSources::new(settings)),
            ..Self::default()
        }
    }

    /// Takes note of an object that a watch tells of, and says whose state may differ now. One that is not newer than the
    /// one that is known (by resource version) changes nothing.
    pub fn observe(&mut self, incoming: Incoming) -> Affected {
        let (kind, key) = (incoming.kind(), incoming.key());
        let known = self.head(kind, &key).and_then(|head| head.version);
        match (known, incoming.version()) {
            (Some(known), Some(new)) if new <= known => Affected::default(),
            _ => self.set(incoming),
        }
    }

    /// Takes note of the answer to a read or write of ours: as [`World::observe`], but only of the very object that is known.
    /// `None` when it is not: its deletion may have overtaken the answer, and nothing would ever delete it again.
    pub(crate) fn observe_answer(&mut self, incoming: Incoming) -> Option<Affected> {
        let known = self.head(incoming.kind(), &incoming.key())?;
        (known.uid.as_deref() == incoming.uid()).then(|| self.observe(incoming))
    }

    /// Puts an object in, whatever is known: from a file, for a what-if, from a list, whose word is final. Says whose
    /// state may differ now.
    pub fn set(&mut self, incoming: Incoming) -> Affected {
        let (kind, key) = (incoming.kind(), incoming.key());
        kinds::visit(
            kind,
            Set {
                world: self,
                key: &key,
                incoming,
            },
        )
    }

    /// Takes an object away and says whose state may differ now.
    pub(crate) fn remove(&mut self, kind: Kind, key: &Key) -> Affected {
        kinds::visit(kind, Remove { world: self, key })
    }

    /// The objects of one namespace; `None` when it has none.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// Takes a namespace away whole and gives it back; its objects affect nobody outside it.
    pub fn take_namespace(&mut self, name: &str) -> Option<Namespace> {
        let taken = self.namespaces.remove(name)?;
        for kind in Kind::ALL {
            let size = self.sizes.entry(*kind).or_default();
            *size = size.saturating_sub(sizes::size(&taken, *kind));
        }
        Some(taken)
    }

    /// Puts a namespace in whole, in the place of what is known of it.
    pub fn put_namespace(&mut self, name: &str, namespace: Namespace) {
        self.take_namespace(name);
        for kind in Kind::ALL {
            *self.sizes.entry(*kind).or_default() += sizes::size(&namespace, *kind);
        }
        if !namespace.is_empty() {
            self.namespaces.insert(name.into(), namespace);
        }
    }

    /// How many objects of a kind there are, unreadable ones too.
    #[must_use]
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.sizes.get(&kind).copied().unwrap_or_default()
    }

    /// The object of that type and name, if it can be read.
    pub(crate) fn object<K: WorldKind>(&self, key: &Key) -> Option<&Arc<K>> {
        let namespace = self.namespaces.get(key.namespace.as_str())?;
        Some(&namespace.readable::<K>(&key.name)?.object)
    }

    /// The backend server of that name, if it can be read.
    #[must_use]
    pub(crate) fn backend_server(&self, key: &Key) -> Option<&Arc<BackendServer>> {
        self.object(key)
    }

    /// The load balancer of that name, if it can be read.
    #[must_use]
    pub(crate) fn load_balancer(&self, key: &Key) -> Option<&Arc<LoadBalancer>> {
        self.object(key)
    }

    /// The security group of that name, if it can be read.
    #[must_use]
    pub(crate) fn security_group(&self, key: &Key) -> Option<&Arc<SecurityGroup>> {
        self.object(key)
    }

    /// The network ACL of that name, if it can be read.
    #[must_use]
    pub(crate) fn network_acl(&self, key: &Key) -> Option<&Arc<NetworkACL>> {
        self.object(key)
    }

    /// The request of that name, if it can be read; a finished one without its findings.
    #[must_use]
    pub(crate) fn request(&self, key: &Key) -> Option<&Arc<TroubleshootRequest>> {
        self.object(key)
    }

    /// The backend servers of a load balancer, sorted.
    #[must_use]
    pub(crate) fn backend_servers_of(&self, load_balancer: &Key) -> Vec<Key> {
        let namespace = self.namespaces.get(load_balancer.namespace.as_str());
        let names = namespace
            .into_iter()
            .flat_map(|namespace| namespace.backend_servers_of(&load_balancer.name));
        names.map(|name| load_balancer.sibling(name)).collect()
    }

    /// How many backend servers a load balancer has, by displayed health and verdict; costs the same for any number.
    #[must_use]
    pub(crate) fn backend_counts(&self, load_balancer: &Key) -> BackendCounts {
        let namespace = self.namespaces.get(load_balancer.namespace.as_str());
        namespace
            .map(|namespace| namespace.counts(&load_balancer.name))
            .unwrap_or_default()
    }

    /// The health that is shown of a backend server (semantics §9); `None` when there is no such backend server.
    #[must_use]
    pub(crate) fn displayed_health(&self, key: &Key) -> Option<HealthState> {
        let namespace = self.namespaces.get(key.namespace.as_str())?;
        let backend = namespace.readable::<BackendServer>(&key.name)?;
        Some(displayed::health(namespace, &backend.object).0)
    }

    fn entry<K: WorldKind>(&self, key: &Key) -> Option<&Entry<K>> {
        self.namespaces.get(key.namespace.as_str())?.entry(&key.name)
    }

    /// Puts an entry in, or takes it away.
    fn replace<K: WorldKind>(&mut self, key: &Key, entry: Option<Entry<K>>) -> Affected {
        let (was, is) = (self.entry::<K>(key).is_some(), entry.is_some());
        if !was && !is {
            return Affected::default();
        }
        let size = self.sizes.entry(K::KIND).or_default();
        *size = (*size + usize::from(is)).saturating_sub(usize::from(was));
        let mut namespace = self.namespaces.get(key.namespace.as_str()).cloned().unwrap_or_default();
        let affected = namespace.replace(&key.name.as_str().into(), entry);
        if namespace.is_empty() {
            self.namespaces.remove(key.namespace.as_str());
        } else {
            self.namespaces.insert(key.namespace.as_str().into(), namespace);
        }
        affected.in_namespace(&key.namespace)
    }
}

struct Set<'a> {
    world: &'a mut World,
    key: &'a Key,
    incoming: Incoming,
}

impl kinds::WorldVisitor for Set<'_> {
    type Output = Affected;

    fn visit<K: WorldKind>(self) -> Affected {
        let entry = match self.incoming {
            Incoming::Unreadable(unreadable) => Entry::Unreadable(Arc::new(unreadable)),
            Incoming::Readable { object, refused } => {
                let Some(object) = K::of(&object) else {
                    return Affected::default();
                };
                Entry::new(object, refused, self.world.entry::<K>(self.key))
            }
        };
        self.world.replace::<K>(self.key, Some(entry))
    }
}

struct Remove<'a> {
    world: &'a mut World,
    key: &'a Key,
}

impl kinds::WorldVisitor for Remove<'_> {
    type Output = Affected;

    fn visit<K: WorldKind>(self) -> Affected {
        self.world.replace::<K>(self.key, None)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test may panic, and reads better so"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hedge(version: u64, generation: i64, rules: Value, status: Value) -> Incoming {
        let group: SecurityGroup = serde_json::from_value(json!({
            "metadata": {"namespace": "orchard", "name": "hedge", "uid": "u", "resourceVersion": version.to_string(), "generation": generation},
            "spec": {"rules": rules}, "status": status,
        }))
        .unwrap();
        group.into()
    }

    fn compiled(world: &World) -> Arc<kinds::CompiledRules> {
        let namespace = world.namespace("orchard").unwrap();
        Arc::clone(&namespace.readable::<SecurityGroup>("hedge").unwrap().compiled)
    }

    #[test]
    fn only_a_change_of_the_spec_compiles() {
        let mut world = World::default();
        let rules = json!([{"name": "r", "direction": "Ingress"}]);
        world.observe(hedge(1, 1, rules.clone(), Value::Null));
        let first = compiled(&world);
        let status = json!({"observedGeneration": 1, "conditions": []});
        let affected = world.observe(hedge(2, 1, rules, status));
        assert!(Arc::ptr_eq(&first, &compiled(&world)));
        assert_eq!(affected.security_groups.len(), 1, "it may want its status back");
        world.observe(hedge(3, 2, json!([]), Value::Null));
        assert!(!Arc::ptr_eq(&first, &compiled(&world)));
    }

    #[test]
    fn older_news_changes_nothing_but_a_list_has_the_last_word() {
        let mut world = World::default();
        let key = Key::new("orchard", "hedge");
        let version = |world: &World| world.head(Kind::SecurityGroup, &key).unwrap().version;
        world.observe(hedge(9, 1, json!([]), Value::Null));
        assert!(world.observe(hedge(8, 1, json!([]), Value::Null)).is_empty());
        assert!(world.observe(hedge(9, 1, json!([]), Value::Null)).is_empty());
        assert_eq!(version(&world), Some(9));
        // An etcd restored to an older revision.
        world.set(hedge(5, 1, json!([]), Value::Null));
        assert_eq!(version(&world), Some(5));
    }

    #[test]
    fn the_answer_to_a_write_never_brings_a_deleted_object_back() {
        let mut world = World::default();
        let key = Key::new("orchard", "hedge");
        assert_eq!(world.observe_answer(hedge(9, 1, json!([]), Value::Null)), None);
        world.observe(hedge(9, 1, json!([]), Value::Null));
        assert!(world.observe_answer(hedge(10, 1, json!([]), Value::Null)).is_some());
        world.remove(Kind::SecurityGroup, &key);
        assert_eq!(world.observe_answer(hedge(11, 1, json!([]), Value::Null)), None);
        assert_eq!(world.count(Kind::SecurityGroup), 0);
        assert!(world.namespace("orchard").is_none());
    }
    #[test]
    fn what_is_accepted_concerns_whoever_reads_it_and_other_annotations_nobody() {
        let mut world = World::default();
        let gate = |version: u64, annotations: Value| -> Incoming {
            let balancer: LoadBalancer = serde_json::from_value(json!({
                "metadata": {"namespace": "orchard", "name": "gate", "resourceVersion": version.to_string(), "annotations": annotations},
                "spec": {"type": "Shared"}, "status": null,
            }))
            .unwrap();
            balancer.into()
        };
        let member = |version: u64, name: &str, annotations: Value| -> Incoming {
            let backend: BackendServer = serde_json::from_value(json!({
                "metadata": {"namespace": "orchard", "name": name, "resourceVersion": version.to_string(), "annotations": annotations},
                "spec": {"loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "address": "10.1.0.9", "port": 80},
            }))
            .unwrap();
            backend.into()
        };
        world.observe(gate(1, Value::Null));
        world.observe(member(1, "plum", Value::Null));
        world.observe(member(1, "pear", Value::Null));
        let [plum, pear] = ["plum", "pear"].map(|name| Key::new("orchard", name));

        let other = json!({"shepherd": "tom"});
        assert!(world.observe(gate(2, other.clone())).backend_servers.is_empty());
        assert!(world.observe(member(2, "plum", other)).backend_servers.is_empty());

        let accept = |ids: &str| json!({ (crate::api::v1alpha1::ACCEPT_ANNOTATION): ids });
        let affected = world.observe(gate(3, accept("check_hc_config_port")));
        assert_eq!(
            affected.backend_servers.into_iter().collect::<Vec<_>>(),
            [pear.clone(), plum.clone()]
        );
        let affected = world.observe(member(3, "plum", accept("goats, check_hc_config_port")));
        assert_eq!(affected.backend_servers, [plum.clone()].into());
        assert_eq!(world.collect(&plum).unwrap().accept, ["goats", "check_hc_config_port"]);
        assert_eq!(world.collect(&pear).unwrap().accept, ["check_hc_config_port"]);
        let affected = world.observe(gate(4, Value::Null));
        assert_eq!(affected.backend_servers.len(), 2);
        assert!(world.collect(&pear).unwrap().accept.is_empty());
    }
}
