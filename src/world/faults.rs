//! What is wrong with the objects that a diagnosis reads: references to nothing, values that no rule can be made of
//! (`ReferenceNotFound` and `InvalidSpec` of domain §9).

use std::collections::BTreeSet;

use crate::api::v1alpha1::{BackendServer, BackendServerGroup, BackendType, LoadBalancer};

use super::{
    Key, Kind, World, compile, parse,
    refusal::{Fault, Faults},
};

impl World {
    /// What is wrong with anything that the diagnosis of a backend server reads: every reference written down, also where
    /// it would not decide.
    pub(super) fn backend_faults(&self, key: &Key, backend: &BackendServer) -> Faults {
        let spec = &backend.spec;
        let object = format!("BackendServer {}", key.name);
        let mut faults = Faults::default();
        self.note_invalid(Kind::BackendServer, key, &mut faults);

        let balancer_key = key.sibling(&spec.load_balancer_ref.name);
        match self.load_balancer(&balancer_key) {
            Some(balancer) => {
                let named = |group: &BackendServerGroup| group.name == spec.backend_server_group;
                if !balancer.spec.backend_server_groups.iter().any(named) {
                    faults.missing.push(Fault {
                        object: object.clone(),
                        field: "spec.backendServerGroup".into(),
                        message: format!(
                            "LoadBalancer {} has no backend server group {:?}",
                            balancer_key.name, spec.backend_server_group
                        ),
                    });
                }
                faults.merge(&self.load_balancer_faults(&balancer_key, balancer));
            }
            None => self.missing(
                Kind::LoadBalancer,
                &balancer_key,
                &object,
                "spec.loadBalancerRef.name",
                &mut faults,
            ),
        }

        if let Some(subnet) = &spec.subnet_ref {
            self.subnet_faults(&key.sibling(&subnet.name), &object, "spec.subnetRef.name", &mut faults);
            for acl in self.acls_of(key, backend) {
                faults.merge(&self.network_acl_faults(&acl));
            }
            // Which subnets an unreadable ACL claims is not known: it may be this one.
            if let Some(acl) = self.unreadable_acl(&key.namespace) {
                self.note_invalid(Kind::NetworkACL, acl, &mut faults);
            }
        } else if spec.type_ == BackendType::Instance {
            faults.invalid.push(Fault {
                object: object.clone(),
                field: "spec.subnetRef".into(),
                message: "a backend server of type Instance needs a subnet".into(),
            });
        }

        for (at, group) in spec.security_group_refs.iter().enumerate() {
            let group_key = key.sibling(&group.name);
            if self.security_groups.contains_key(&group_key) {
                faults.merge(&self.security_group_faults(&group_key));
            } else {
                let field = format!("spec.securityGroupRefs[{at}].name");
                self.missing(Kind::SecurityGroup, &group_key, &object, &field, &mut faults);
            }
        }

        let mut invalid = |field: String, result: Result<(), String>| {
            if let Err(message) = result {
                faults.invalid.push(Fault {
                    object: object.clone(),
                    field,
                    message,
                });
            }
        };
        invalid("spec.address".into(), parse::address(&spec.address).map(drop));
        if let Some(own) = &spec.health_check {
            if let Some(address) = &own.address {
                invalid("spec.healthCheck.address".into(), parse::address(address).map(drop));
            }
            for (at, source) in own.sources.iter().enumerate() {
                invalid(
                    format!("spec.healthCheck.sources[{at}]"),
                    parse::address_or_prefix(source).map(drop),
                );
            }
        }
        faults
    }

    /// What is wrong with a load balancer and its backend subnets.
    #[must_use]
    pub fn load_balancer_faults(&self, key: &Key, balancer: &LoadBalancer) -> Faults {
        let spec = &balancer.spec;
        let object = format!("LoadBalancer {}", key.name);
        let mut faults = Faults::default();
        self.note_invalid(Kind::LoadBalancer, key, &mut faults);
        for (at, subnet) in spec.backend_subnet_refs.iter().enumerate() {
            let field = format!("spec.backendSubnetRefs[{at}].name");
            self.subnet_faults(&key.sibling(&subnet.name), &object, &field, &mut faults);
        }
        let lists = [
            ("addresses", &spec.addresses, false),
            ("healthCheckSources", &spec.health_check_sources, true),
        ];
        for (field, texts, prefixes) in lists {
            for (at, text) in texts.iter().enumerate() {
                let result = if prefixes {
                    parse::address_or_prefix(text).map(drop)
                } else {
                    parse::address(text).map(drop)
                };
                if let Err(message) = result {
                    let field = format!("spec.{field}[{at}]");
                    faults.invalid.push(Fault {
                        object: object.clone(),
                        field,
                        message,
                    });
                }
            }
        }
        let listeners = spec.listeners.iter().map(|listener| listener.name.as_str());
        compile::duplicates(&object, "spec.listeners", listeners, &mut faults);
        let groups = spec.backend_server_groups.iter().map(|group| group.name.as_str());
        compile::duplicates(&object, "spec.backendServerGroups", groups, &mut faults);
        faults
    }

    /// What is wrong with a security group and the address groups that it names.
    #[must_use]
    pub fn security_group_faults(&self, key: &Key) -> Faults {
        let mut faults = self
            .security_groups
            .get(key)
            .map(|(_, rules)| rules.faults.clone())
            .unwrap_or_default();
        self.note_invalid(Kind::SecurityGroup, key, &mut faults);
        if let Some(group) = self.security_group(key).filter(|_| !self.invalid.is_empty()) {
            let rules = group.spec.rules.iter().filter(|rule| rule.enabled);
            let remotes = rules.filter_map(|rule| rule.remote.as_ref()?.address_group_ref.as_ref());
            let names = remotes.map(|group| group.name.as_str());
            self.existing_but_invalid(key, names, &mut faults);
        }
        faults
    }

    /// What is wrong with a network ACL and the address groups that it names.
    #[must_use]
    pub fn network_acl_faults(&self, key: &Key) -> Faults {
        let mut faults = self
            .network_acls
            .get(key)
            .map(|(_, rules)| rules.faults.clone())
            .unwrap_or_default();
        self.note_invalid(Kind::NetworkACL, key, &mut faults);
        if let Some(acl) = self.network_acl(key).filter(|_| !self.invalid.is_empty()) {
            let rules = acl
                .spec
                .ingress
                .iter()
                .chain(&acl.spec.egress)
                .filter(|rule| rule.enabled);
            let ends = rules
                .flat_map(|rule| [rule.source.as_ref(), rule.destination.as_ref()])
                .flatten();
            let names = ends
                .filter_map(|end| end.address_group_ref.as_ref())
                .map(|group| group.name.as_str());
            self.existing_but_invalid(key, names, &mut faults);
        }
        faults
    }

    /// Every invalid value of every object, used by a backend server or not, with the object's key; by kind and name.
    /// Objects marked invalid as a whole are left out: whoever marked them knows.
    #[must_use]
    pub fn invalid_values(&self) -> Vec<(Key, Fault)> {
        let kinds = [
            Kind::LoadBalancer,
            Kind::BackendServer,
            Kind::SecurityGroup,
            Kind::NetworkACL,
            Kind::Subnet,
            Kind::AddressGroup,
        ];
        let mut out = Vec::new();
        for kind in kinds {
            for key in self.keys(kind) {
                if self.invalid.contains_key(&(kind, key.clone())) {
                    continue;
                }
                let own = format!("{kind:?} {}", key.name);
                let faults = self.faults_of(kind, &key).invalid.into_iter();
                let faults = faults.filter(|fault| fault.object == own && !fault.field.is_empty());
                out.extend(faults.map(|fault| (key.clone(), fault)));
            }
        }
        out
    }

    fn faults_of(&self, kind: Kind, key: &Key) -> Faults {
        let mut faults = Faults::default();
        match kind {
            Kind::LoadBalancer => {
                faults = self
                    .load_balancer(key)
                    .map(|o| self.load_balancer_faults(key, o))
                    .unwrap_or_default();
            }
            Kind::BackendServer => {
                faults = self
                    .backend_server(key)
                    .map(|o| self.backend_faults(key, o))
                    .unwrap_or_default();
            }
            Kind::SecurityGroup => faults = self.security_group_faults(key),
            Kind::NetworkACL => faults = self.network_acl_faults(key),
            Kind::Subnet => self.subnet_faults(key, "", "", &mut faults),
            Kind::AddressGroup => {
                faults = self
                    .compiled_addresses(key)
                    .map(|group| group.faults.clone())
                    .unwrap_or_default();
            }
        }
        faults
    }

    /// The other network ACLs that claim a subnet of this one, with the subnet.
    #[must_use]
    pub fn rival_acls(&self, key: &Key) -> Vec<(String, String)> {
        let Some(acl) = self.network_acl(key) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for subnet in &acl.spec.subnet_refs {
            let node = (Kind::Subnet, key.sibling(&subnet.name));
            let rivals = self
                .references
                .users(&node, Kind::NetworkACL)
                .into_iter()
                .filter(|other| *other != key);
            out.extend(rivals.map(|other| (other.name.clone(), subnet.name.clone())));
        }
        out
    }

    /// The subnets that a network ACL names and that are not there, with their position.
    #[must_use]
    pub fn missing_acl_subnets(&self, key: &Key) -> Faults {
        let mut faults = Faults::default();
        let Some(acl) = self.network_acl(key) else {
            return faults;
        };
        for (at, subnet) in acl.spec.subnet_refs.iter().enumerate() {
            let subnet = key.sibling(&subnet.name);
            if !self.subnets.contains_key(&subnet) {
                let field = format!("spec.subnetRefs[{at}].name");
                self.missing(
                    Kind::Subnet,
                    &subnet,
                    &format!("NetworkACL {}", key.name),
                    &field,
                    &mut faults,
                );
            }
        }
        faults
    }

    fn subnet_faults(&self, key: &Key, user: &str, field: &str, faults: &mut Faults) {
        let Some(subnet) = self.subnets.get(key) else {
            self.missing(Kind::Subnet, key, user, field, faults);
            return;
        };
        self.note_invalid(Kind::Subnet, key, faults);
        let object = format!("Subnet {}", key.name);
        for (at, cidr) in subnet.spec.cidrs.iter().enumerate() {
            if let Err(message) = parse::prefix(cidr) {
                faults.invalid.push(Fault {
                    object: object.clone(),
                    field: format!("spec.cidrs[{at}]"),
                    message,
                });
            }
        }
    }

    /// A reference to an object that is not there; or that is, but so broken that nothing of it could be read.
    fn missing(&self, kind: Kind, key: &Key, user: &str, field: &str, faults: &mut Faults) {
        if self.invalid.contains_key(&(kind, key.clone())) {
            self.note_invalid(kind, key, faults);
        } else {
            let message = format!("{kind:?} {:?} not found", key.name);
            faults.missing.push(Fault {
                object: user.to_owned(),
                field: field.to_owned(),
                message,
            });
        }
    }

    fn note_invalid(&self, kind: Kind, key: &Key, faults: &mut Faults) {
        if let Some(message) = self.invalid.get(&(kind, key.clone())) {
            let object = format!("{kind:?} {}", key.name);
            faults.invalid.push(Fault {
                object,
                field: String::new(),
                message: message.clone(),
            });
        }
    }

    /// Address groups that enabled rules name and that are there but broken: invalid, not missing.
    fn existing_but_invalid<'a>(&self, user: &Key, names: impl Iterator<Item = &'a str>, faults: &mut Faults) {
        let keys: BTreeSet<Key> = names.map(|name| user.sibling(name)).collect();
        for key in keys {
            if self.invalid.contains_key(&(Kind::AddressGroup, key.clone())) {
                let text = format!("AddressGroup {:?} not found", key.name);
                faults.missing.retain(|fault| fault.message != text);
                self.note_invalid(Kind::AddressGroup, &key, faults);
            }
        }
    }

    /// The first network ACL of a namespace of which nothing could be read.
    fn unreadable_acl(&self, namespace: &str) -> Option<&Key> {
        self.invalid
            .range((Kind::NetworkACL, Key::new(namespace, ""))..)
            .map(|((kind, key), _)| (*kind, key))
            .take_while(|(kind, key)| *kind == Kind::NetworkACL && key.namespace == namespace)
            .map(|(_, key)| key)
            .find(|key| !self.network_acls.contains_key(*key))
    }
}
