//! Every object now known, and who is affected by a change of one.
//!
//! A [`World`] is a plain value: watches (or files) feed it synchronously, and it can be cloned to ask "what if". Objects
//! go in as users wrote them; what comes out for a diagnosis is a validated engine case, and nothing later reads the
//! raw objects to decide.

mod collect;
mod compile;
mod faults;
mod key;
mod object;
pub mod parse;
mod references;
mod refusal;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ipnet::IpNet;

use crate::api::v1alpha1::{AddressGroup, BackendServer, LoadBalancer, NetworkACL, SecurityGroup, Subnet};

pub use collect::{Collected, SourceOrigin};
use compile::{CompiledAddresses, CompiledRules};
pub use key::Key;
pub use object::{Kind, Object};
use references::References;
pub use refusal::{Fault, Faults, Refusal, RefusalReason};

/// What holds for every diagnosis of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Prefixes from which Shared load balancers probe, without host bits; `100.125.0.0/16` in most regions.
    pub shared_sources: Vec<IpNet>,
}

/// The prefix from which Shared load balancers probe unless a setting says otherwise (domain §1).
pub const DEFAULT_SHARED_SOURCE: &str = "100.125.0.0/16";

impl Default for Settings {
    fn default() -> Self {
        Self {
            shared_sources: parse::prefix(DEFAULT_SHARED_SOURCE).into_iter().collect(),
        }
    }
}

/// The objects whose state may differ after a change, by kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs, reason = "the words say it")]
pub struct Affected {
    pub backend_servers: BTreeSet<Key>,
    pub load_balancers: BTreeSet<Key>,
    pub security_groups: BTreeSet<Key>,
    pub network_acls: BTreeSet<Key>,
}

/// Every object now known.
#[derive(Clone, Debug, Default)]
pub struct World {
    settings: Settings,
    backend_servers: HashMap<Key, Arc<BackendServer>>,
    load_balancers: HashMap<Key, Arc<LoadBalancer>>,
    subnets: HashMap<Key, Arc<Subnet>>,
    security_groups: HashMap<Key, (Arc<SecurityGroup>, CompiledRules)>,
    network_acls: HashMap<Key, (Arc<NetworkACL>, CompiledRules)>,
    address_groups: HashMap<Key, (Arc<AddressGroup>, CompiledAddresses)>,
    /// Objects that admission would have refused, with what is wrong: they exist, but nothing in them can be trusted.
    invalid: BTreeMap<references::Node, String>,
    references: References,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Takes in an object, new or changed, and says whose state may differ now. An object older than the one held
    /// (by resource version), or the same, changes nothing.
    pub fn apply(&mut self, object: impl Into<Object>) -> Affected {
        let object = object.into();
        let node = (object.kind(), object.key());
        let held = self.get(node.0, &node.1);
        if held.as_ref().is_some_and(|held| is_stale(held, &object)) {
            return Affected::default();
        }
        let same_spec = held.as_ref().is_some_and(|held| reads_the_same(held, &object));
        // Those that an ACL or a backend let go of are affected as much as those that it took on.
        let mut affected = if same_spec {
            Affected::default()
        } else {
            self.references.affected(&node)
        };
        self.invalid.remove(&node);
        self.references.set(&node, references::targets(&object));
        self.insert(&node, &object);
        if same_spec {
            // Only a status changed: its own object may want it back, and its load balancer counts it.
            match &object {
                Object::BackendServer(backend) => {
                    affected
                        .load_balancers
                        .insert(node.1.sibling(&backend.spec.load_balancer_ref.name));
                    affected.backend_servers.insert(node.1);
                }
                Object::LoadBalancer(_) => drop(affected.load_balancers.insert(node.1)),
                Object::SecurityGroup(_) => drop(affected.security_groups.insert(node.1)),
                Object::NetworkACL(_) => drop(affected.network_acls.insert(node.1)),
                Object::Subnet(_) | Object::AddressGroup(_) => {}
            }
            return affected;
        }
        self.recompile_users(&node);
        merge(&mut affected, self.references.affected(&node));
        affected
    }

    /// Forgets an object and says whose state may differ now.
    pub fn delete(&mut self, kind: Kind, key: &Key) -> Affected {
        let node = (kind, key.clone());
        let mut affected = self.references.affected(&node);
        self.invalid.remove(&node);
        self.references.set(&node, Vec::new());
        match kind {
            Kind::BackendServer => drop(self.backend_servers.remove(key)),
            Kind::LoadBalancer => drop(self.load_balancers.remove(key)),
            Kind::Subnet => drop(self.subnets.remove(key)),
            Kind::SecurityGroup => drop(self.security_groups.remove(key)),
            Kind::NetworkACL => drop(self.network_acls.remove(key)),
            Kind::AddressGroup => drop(self.address_groups.remove(key)),
        }
        self.recompile_users(&node);
        merge(&mut affected, self.references.affected(&node));
        affected
    }

    /// Notes that an object exists that admission would have refused: whatever reads it is refused as `InvalidSpec`.
    pub fn mark_invalid(&mut self, kind: Kind, key: &Key, message: impl Into<String>) {
        self.invalid.insert((kind, key.clone()), message.into());
    }

    /// The keys of all objects of a kind, sorted.
    #[must_use]
    pub fn keys(&self, kind: Kind) -> Vec<Key> {
        let mut out: Vec<Key> = match kind {
            Kind::BackendServer => self.backend_servers.keys().cloned().collect(),
            Kind::LoadBalancer => self.load_balancers.keys().cloned().collect(),
            Kind::Subnet => self.subnets.keys().cloned().collect(),
            Kind::SecurityGroup => self.security_groups.keys().cloned().collect(),
            Kind::NetworkACL => self.network_acls.keys().cloned().collect(),
            Kind::AddressGroup => self.address_groups.keys().cloned().collect(),
        };
        out.sort_unstable();
        out
    }

    /// How many objects of a kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::BackendServer => self.backend_servers.len(),
            Kind::LoadBalancer => self.load_balancers.len(),
            Kind::Subnet => self.subnets.len(),
            Kind::SecurityGroup => self.security_groups.len(),
            Kind::NetworkACL => self.network_acls.len(),
            Kind::AddressGroup => self.address_groups.len(),
        }
    }

    /// The object of that kind and name.
    #[must_use]
    pub fn get(&self, kind: Kind, key: &Key) -> Option<Object> {
        match kind {
            Kind::BackendServer => self.backend_server(key).cloned().map(Object::BackendServer),
            Kind::LoadBalancer => self.load_balancer(key).cloned().map(Object::LoadBalancer),
            Kind::Subnet => self.subnets.get(key).cloned().map(Object::Subnet),
            Kind::SecurityGroup => self.security_group(key).cloned().map(Object::SecurityGroup),
            Kind::NetworkACL => self.network_acl(key).cloned().map(Object::NetworkACL),
            Kind::AddressGroup => self
                .address_groups
                .get(key)
                .map(|(o, _)| Object::AddressGroup(Arc::clone(o))),
        }
    }

    /// The backend server of that name.
    #[must_use]
    pub fn backend_server(&self, key: &Key) -> Option<&Arc<BackendServer>> {
        self.backend_servers.get(key)
    }

    /// The load balancer of that name.
    #[must_use]
    pub fn load_balancer(&self, key: &Key) -> Option<&Arc<LoadBalancer>> {
        self.load_balancers.get(key)
    }

    /// The security group of that name.
    #[must_use]
    pub fn security_group(&self, key: &Key) -> Option<&Arc<SecurityGroup>> {
        self.security_groups.get(key).map(|(group, _)| group)
    }

    /// The network ACL of that name.
    #[must_use]
    pub fn network_acl(&self, key: &Key) -> Option<&Arc<NetworkACL>> {
        self.network_acls.get(key).map(|(acl, _)| acl)
    }

    /// The backend servers of a load balancer, sorted.
    #[must_use]
    pub fn backend_servers_of(&self, load_balancer: &Key) -> Vec<Key> {
        let node = (Kind::LoadBalancer, load_balancer.clone());
        self.references
            .users(&node, Kind::BackendServer)
            .into_iter()
            .cloned()
            .collect()
    }

    fn insert(&mut self, (_, key): &references::Node, object: &Object) {
        let key = key.clone();
        match object {
            Object::BackendServer(o) => drop(self.backend_servers.insert(key, Arc::clone(o))),
            Object::LoadBalancer(o) => drop(self.load_balancers.insert(key, Arc::clone(o))),
            Object::Subnet(o) => drop(self.subnets.insert(key, Arc::clone(o))),
            Object::SecurityGroup(o) => {
                let compiled = self.compile_security_group(&key, o);
                self.security_groups.insert(key, (Arc::clone(o), compiled));
            }
            Object::NetworkACL(o) => {
                let compiled = self.compile_network_acl(&key, o);
                self.network_acls.insert(key, (Arc::clone(o), compiled));
            }
            Object::AddressGroup(o) => {
                let compiled = compile::address_group(&key.name, o);
                self.address_groups.insert(key, (Arc::clone(o), compiled));
            }
        }
    }

    fn compile_security_group(&self, key: &Key, group: &SecurityGroup) -> CompiledRules {
        compile::security_group(&key.name, group, &|name| self.compiled_addresses(&key.sibling(name)))
    }

    fn compile_network_acl(&self, key: &Key, acl: &NetworkACL) -> CompiledRules {
        compile::network_acl(&key.name, acl, &|name| self.compiled_addresses(&key.sibling(name)))
    }

    fn compiled_addresses(&self, key: &Key) -> Option<&CompiledAddresses> {
        self.address_groups.get(key).map(|(_, compiled)| compiled)
    }

    /// Rule sets hold the addresses of the groups that they name, so that these change with them.
    fn recompile_users(&mut self, node: &references::Node) {
        if node.0 != Kind::AddressGroup {
            return;
        }
        let users = |kind| {
            self.references
                .users(node, kind)
                .into_iter()
                .cloned()
                .collect::<Vec<Key>>()
        };
        let (groups, acls) = (users(Kind::SecurityGroup), users(Kind::NetworkACL));
        for key in groups {
            if let Some(group) = self.security_group(&key).cloned() {
                let compiled = self.compile_security_group(&key, &group);
                self.security_groups.insert(key, (group, compiled));
            }
        }
        for key in acls {
            if let Some(acl) = self.network_acl(&key).cloned() {
                let compiled = self.compile_network_acl(&key, &acl);
                self.network_acls.insert(key, (acl, compiled));
            }
        }
    }
}

fn merge(into: &mut Affected, more: Affected) {
    into.backend_servers.extend(more.backend_servers);
    into.load_balancers.extend(more.load_balancers);
    into.security_groups.extend(more.security_groups);
    into.network_acls.extend(more.network_acls);
}

/// Whether `new` is not newer than `held`. Resource versions of one kind are ordered as numbers (KEP-5504); an object
/// re-created under the same name has another uid and later version. Files have no versions and replace each other.
fn is_stale(held: &Object, new: &Object) -> bool {
    match (held.version(), new.version()) {
        (Some(held), Some(new)) => new <= held,
        _ => false,
    }
}

/// Whether everything that a diagnosis reads is equal in both.
pub(crate) fn reads_the_same(held: &Object, new: &Object) -> bool {
    match (held, new) {
        (Object::BackendServer(a), Object::BackendServer(b)) => {
            let health = |backend: &BackendServer| backend.status.as_ref().and_then(|status| status.health.clone());
            a.metadata.generation == b.metadata.generation && a.spec == b.spec && health(a) == health(b)
        }
        (Object::LoadBalancer(a), Object::LoadBalancer(b)) => {
            a.metadata.generation == b.metadata.generation && a.spec == b.spec
        }
        (Object::SecurityGroup(a), Object::SecurityGroup(b)) => {
            a.metadata.generation == b.metadata.generation && a.spec == b.spec
        }
        (Object::NetworkACL(a), Object::NetworkACL(b)) => {
            a.metadata.generation == b.metadata.generation && a.spec == b.spec
        }
        (Object::Subnet(a), Object::Subnet(b)) => a.spec == b.spec,
        (Object::AddressGroup(a), Object::AddressGroup(b)) => a.spec == b.spec,
        _ => false,
    }
}
