//! What is wrong with the objects that a diagnosis reads: references to nothing, values that no rule can be made of, objects that
//! cannot be read (`ReferenceNotFound` and `InvalidSpec` of semantics §9).
//!
//! What is wrong with an object by itself was found when it came in; here only references are looked up.

use std::collections::HashSet;

use crate::api::v1alpha1::{
    AddressGroup, BackendServer, BackendServerSpec, Kind, LoadBalancer, LoadBalancerType, NetworkACL, SecurityGroup,
    Subnet,
};

use super::{
    Key, Namespace, World, ends,
    entry::{Entry, Readable},
    kinds::{CompiledRules, Issue},
    namespace::WorldKind,
    refusal::{Absent, Violation, Violations},
};

/// Collects what is wrong. Each object is looked at once, since many rules may refer to one faulty address group.
struct Search<'n> {
    namespace: &'n Namespace,
    seen: HashSet<(Kind, &'n str)>,
    violations: Violations,
}

/// An object that is looked at for the first time, if it can be read, or one that was looked at before.
enum Found<'n, K: WorldKind> {
    New(&'n str, &'n Readable<K>),
    Again(&'n Readable<K>),
}

impl<'n, K: WorldKind> Found<'n, K> {
    fn readable(&self) -> &'n Readable<K> {
        match self {
            Self::New(_, readable) | Self::Again(readable) => readable,
        }
    }
}

impl<'n> Search<'n> {
    fn new(namespace: &'n Namespace) -> Self {
        Self {
            namespace,
            seen: HashSet::new(),
            violations: Violations::default(),
        }
    }

    /// Looks up an object that `user` names in `field`; notes when it is not there or cannot be trusted.
    fn named<K: WorldKind>(&mut self, name: &str, user: &str, field: impl FnOnce() -> String) -> Option<Found<'n, K>> {
        if self.namespace.entry::<K>(name).is_none() {
            self.violations.absent.push(Absent {
                place: self.violations.missing.len(),
                kind: K::KIND,
                name: name.to_owned(),
            });
            self.violations.missing.push(Violation {
                object: user.to_owned(),
                field: field(),
                message: format!("{} {name:?} not found", K::KIND),
            });
        }
        self.there(name)
    }

    /// Looks up an object; notes when it cannot be trusted. `None` when it cannot be read, or is not there.
    fn there<K: WorldKind>(&mut self, name: &str) -> Option<Found<'n, K>> {
        let (name, entry) = K::entries(self.namespace).get_key_value(name)?;
        let new = self.seen.insert((K::KIND, name));
        let untrusted = match entry {
            Entry::Unreadable(unreadable) => Some(&unreadable.why),
            Entry::Readable(readable) => readable.refused.as_ref(),
        };
        if let Some(why) = untrusted.filter(|_| new) {
            self.violations.invalid.push(Violation {
                object: format!("{} {name}", K::KIND),
                field: String::new(),
                message: why.to_string(),
            });
        }
        let readable = entry.readable()?;
        Some(if new {
            Found::New(name, readable)
        } else {
            Found::Again(readable)
        })
    }

    fn invalid<'f>(&mut self, violations: impl IntoIterator<Item = &'f Violation>) {
        self.violations.invalid.extend(violations.into_iter().cloned());
    }

    /// Everything that the diagnosis of a backend server reads: every reference written down, also where it would not decide.
    fn backend_server(&mut self, name: &str) {
        let Some(found) = self.there::<BackendServer>(name) else {
            return;
        };
        let Readable { object, compiled, .. } = found.readable();
        let spec = &object.spec;
        let user = format!("BackendServer {name}");

        let balancer = &spec.load_balancer_ref.name;
        if let Some(found) = self.named(balancer, &user, || "spec.loadBalancerRef.name".into()) {
            let group = &spec.backend_server_group;
            let known: &Readable<LoadBalancer> = found.readable();
            if known.compiled.group(group).is_none() {
                self.violations.missing.push(Violation {
                    object: user.clone(),
                    field: "spec.backendServerGroup".into(),
                    message: format!("LoadBalancer {balancer} has no backend server group {group:?}"),
                });
            }
            self.load_balancer(&found);
        }

        if let Some(subnet) = &spec.subnet_ref {
            self.subnet(&subnet.name, &user, || "spec.subnetRef.name".into());
            self.network_acls_of(&subnet.name);
        } else {
            self.invalid(&compiled.lacks_subnet);
        }

        for (at, group) in spec.security_group_refs.iter().enumerate() {
            let found =
                self.named::<SecurityGroup>(&group.name, &user, || format!("spec.securityGroupRefs[{at}].name"));
            if let Some(Found::New(name, group)) = found {
                self.rules(&format!("SecurityGroup {name}"), &group.compiled);
            }
        }
        self.mixed_groups(&object.spec, &user);
        self.invalid(&compiled.violations);

        // Probes of a Dedicated load balancer leave through the network ACLs of these.
        let balancer = self.namespace.readable::<LoadBalancer>(balancer);
        let balancer = balancer.filter(|balancer| balancer.object.spec.type_ == LoadBalancerType::Dedicated);
        let subnets = balancer.map(|balancer| &balancer.object.spec.backend_subnet_refs);
        for subnet in subnets.into_iter().flatten() {
            self.network_acls_of(&subnet.name);
        }
        // Which subnets an unreadable ACL claims is not known: it may be one of these.
        if (spec.subnet_ref.is_some() || subnets.is_some_and(|subnets| !subnets.is_empty()))
            && let Some(acl) = self.namespace.unreadable_acl()
        {
            self.network_acl(acl);
        }
    }

    /// The groups of one interface are all stateful or all stateless.
    fn mixed_groups(&mut self, spec: &BackendServerSpec, user: &str) {
        let known = |name: &str| self.namespace.readable::<SecurityGroup>(name);
        let of_sort = |stateful: bool| {
            let mut groups = spec.security_group_refs.iter();
            groups.find(|group| known(&group.name).is_some_and(|known| known.object.spec.stateful == stateful))
        };
        if let (Some(stateful), Some(stateless)) = (of_sort(true), of_sort(false)) {
            let (stateful, stateless) = (&stateful.name, &stateless.name);
            self.invalid(&[Violation {
                object: user.to_owned(),
                field: "spec.securityGroupRefs".into(),
                message: format!(
                    "security group {stateful} is stateful and {stateless} is not; the groups on one interface must be all stateful or all stateless"
                ),
            }]);
        }
    }

    fn load_balancer(&mut self, found: &Found<'n, LoadBalancer>) {
        let Found::New(name, balancer) = found else { return };
        let user = format!("LoadBalancer {name}");
        for (at, subnet) in balancer.object.spec.backend_subnet_refs.iter().enumerate() {
            self.subnet(&subnet.name, &user, || format!("spec.backendSubnetRefs[{at}].name"));
        }
        self.invalid(&balancer.compiled.violations);
    }

    fn subnet(&mut self, name: &str, user: &str, field: impl FnOnce() -> String) {
        if let Some(Found::New(_, subnet)) = self.named::<Subnet>(name, user, field) {
            self.invalid(&subnet.compiled.violations);
        }
    }

    /// All network ACLs that claim a subnet, switched on or not.
    fn network_acls_of(&mut self, subnet: &str) {
        for acl in ends::claims(self.namespace, subnet) {
            self.network_acl(acl);
        }
    }

    fn network_acl(&mut self, name: &str) {
        if let Some(Found::New(name, acl)) = self.there::<NetworkACL>(name) {
            self.rules(&format!("NetworkACL {name}"), &acl.compiled);
        }
    }

    /// The violations of an object that holds rules, and of the address groups that its enabled rules name.
    fn rules(&mut self, user: &str, rules: &CompiledRules) {
        for issue in &rules.issues {
            match issue {
                Issue::Invalid(violation) => self.invalid([violation]),
                Issue::Uses(place) => {
                    let found = self.named::<AddressGroup>(&place.group, user, || place.field());
                    if let Some(Found::New(_, group)) = found {
                        self.invalid(&group.compiled.violations);
                    }
                }
            }
        }
    }
}

/// What is wrong with anything that the diagnosis of a backend server reads.
pub(super) fn of_backend_server(namespace: &Namespace, name: &str) -> Violations {
    let mut search = Search::new(namespace);
    search.backend_server(name);
    search.violations
}

impl World {
    /// What is wrong with anything that the diagnosis of a backend server reads; nothing when there is no such backend server.
    #[must_use]
    pub(crate) fn backend_server_violations(&self, key: &Key) -> Violations {
        self.search(key, |search| search.backend_server(&key.name))
    }

    /// The namespaces that have an object of that kind and name, sorted.
    #[must_use]
    pub(crate) fn namespaces_with(&self, kind: Kind, name: &str) -> Vec<&str> {
        let keys = self.namespaces.keys().map(|namespace| &**namespace);
        keys.filter(|namespace| self.head(kind, &Key::new(*namespace, name)).is_some())
            .collect()
    }

    /// What is wrong with a load balancer and its backend subnets; nothing when there is no such load balancer.
    #[must_use]
    pub(crate) fn load_balancer_violations(&self, key: &Key) -> Violations {
        self.search(key, |search| {
            if let Some(found) = search.there(&key.name) {
                search.load_balancer(&found);
            }
        })
    }

    /// What is wrong with a security group and the address groups that it names; nothing when there is no such group.
    #[must_use]
    pub(crate) fn security_group_violations(&self, key: &Key) -> Violations {
        self.search(key, |search| {
            if let Some(Found::New(name, group)) = search.there::<SecurityGroup>(&key.name) {
                search.rules(&format!("SecurityGroup {name}"), &group.compiled);
            }
        })
    }

    /// What is wrong with a network ACL: subnets that it claims and that are not there, its own rules, the address groups that they
    /// name. Nothing when there is no such ACL.
    #[must_use]
    pub(crate) fn network_acl_violations(&self, key: &Key) -> Violations {
        self.search(key, |search| {
            let Some(acl) = search.namespace.readable::<NetworkACL>(&key.name) else {
                return;
            };
            let user = format!("NetworkACL {}", key.name);
            for (at, subnet) in acl.object.spec.subnet_refs.iter().enumerate() {
                // A prefix of a subnet that is wrong says nothing about the ACL.
                if search.namespace.readable::<Subnet>(&subnet.name).is_none() {
                    search.subnet(&subnet.name, &user, || format!("spec.subnetRefs[{at}].name"));
                }
            }
            search.network_acl(&key.name);
        })
    }

    fn search<'w>(&'w self, key: &Key, look: impl FnOnce(&mut Search<'w>)) -> Violations {
        let Some(namespace) = self.namespace(&key.namespace) else {
            return Violations::default();
        };
        let mut search = Search::new(namespace);
        look(&mut search);
        search.violations
    }

    /// The other network ACLs that claim a subnet of this one, with the subnet.
    #[must_use]
    pub(crate) fn rival_acls(&self, key: &Key) -> Vec<(String, String)> {
        let Some(namespace) = self.namespace(&key.namespace) else {
            return Vec::new();
        };
        let Some(acl) = namespace.readable::<NetworkACL>(&key.name) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for subnet in &acl.object.spec.subnet_refs {
            let rivals = namespace.users(Kind::Subnet, &subnet.name, Kind::NetworkACL);
            let rivals = rivals.filter(|rival| ***rival != *key.name);
            out.extend(rivals.map(|rival| (rival.to_string(), subnet.name.clone())));
        }
        out
    }
}
