//! Whose state may differ after a change.
//!
//! Who reads whom:
//!
//! - a backend server: its load balancer and that one's subnets, its own subnet, its security groups and their address groups, the
//!   network ACLs that claim one of these subnets and their address groups, and every network ACL that cannot be read;
//!   and, where its health check port is its group's, how many other members have it too;
//! - a load balancer: its subnets, and the health that its backend servers show;
//! - a security group: its address groups; a network ACL: these too, its subnets, and other ACLs that claim them;
//! - a request: the backend server that it names, or all of its load balancer.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use crate::api::v1alpha1::{BackendServer, Kind, NetworkACL, TroubleshootRequest};

use super::{Key, Namespace, entry::Entry, references::Node};

/// The objects whose state may differ after a change, by kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs, reason = "the words say it")]
pub struct Affected {
    pub backend_servers: BTreeSet<Key>,
    pub load_balancers: BTreeSet<Key>,
    pub security_groups: BTreeSet<Key>,
    pub network_acls: BTreeSet<Key>,
    pub requests: BTreeSet<Key>,
}

impl Affected {
    /// True when nobody is.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those of a kind; `None` for kinds that have no state of their own.
    pub(crate) fn of_mut(&mut self, kind: Kind) -> Option<&mut BTreeSet<Key>> {
        match kind {
            Kind::BackendServer => Some(&mut self.backend_servers),
            Kind::LoadBalancer => Some(&mut self.load_balancers),
            Kind::SecurityGroup => Some(&mut self.security_groups),
            Kind::NetworkACL => Some(&mut self.network_acls),
            Kind::TroubleshootRequest => Some(&mut self.requests),
            Kind::Subnet | Kind::AddressGroup => None,
        }
    }
}

/// The same inside one namespace, by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    backend_servers: BTreeSet<Arc<str>>,
    load_balancers: BTreeSet<Arc<str>>,
    security_groups: BTreeSet<Arc<str>>,
    network_acls: BTreeSet<Arc<str>>,
    requests: BTreeSet<Arc<str>>,
}

impl Names {
    /// The object alone: only its status was written, and it may want it back.
    pub(super) fn itself(&mut self, (kind, name): &Node) {
        let own = match kind {
            Kind::BackendServer => &mut self.backend_servers,
            Kind::LoadBalancer => &mut self.load_balancers,
            Kind::SecurityGroup => &mut self.security_groups,
            Kind::NetworkACL => &mut self.network_acls,
            Kind::TroubleshootRequest => &mut self.requests,
            Kind::Subnet | Kind::AddressGroup => return,
        };
        own.insert(Arc::clone(name));
    }

    /// All that read the object as the namespace is now; the object itself among them.
    pub(super) fn through(&mut self, namespace: &Namespace, node: &Node) {
        self.itself(node);
        let (kind, name) = node;
        let mut walk = Walk::new(self, namespace);
        match kind {
            Kind::BackendServer => walk.backend_server(name),
            Kind::LoadBalancer => walk.load_balancer(name),
            Kind::Subnet => walk.subnet(name),
            Kind::SecurityGroup => walk.security_group(name),
            Kind::NetworkACL => walk.network_acl(name),
            Kind::AddressGroup => walk.address_group(name),
            Kind::TroubleshootRequest => {}
        }
    }

    /// Load balancers whose counts have changed.
    pub(super) fn counted(&mut self, namespace: &Namespace, load_balancers: &[Arc<str>]) {
        self.load_balancers.extend(load_balancers.iter().cloned());
        let mut walk = Walk::new(self, namespace);
        for name in load_balancers {
            walk.requests_about(name);
        }
    }

    /// Backend servers whose group has another member more or less.
    pub(super) fn members(&mut self, backend_servers: BTreeSet<Arc<str>>) {
        self.backend_servers.extend(backend_servers);
    }

    /// With the namespace's name.
    pub(super) fn in_namespace(self, namespace: &str) -> Affected {
        let keys = |names: BTreeSet<Arc<str>>| names.iter().map(|name| Key::new(namespace, &**name)).collect();
        Affected {
            backend_servers: keys(self.backend_servers),
            load_balancers: keys(self.load_balancers),
            security_groups: keys(self.security_groups),
            network_acls: keys(self.network_acls),
            requests: keys(self.requests),
        }
    }
}

/// A walk from one object to all that read it. Each is walked through once, however many ways lead to it: the cost is that of what is
/// found, and not of all ways.
struct Walk<'n, 'o> {
    names: &'o mut Names,
    namespace: &'n Namespace,
    /// Through what it went, by kind; the requests of a load balancer stand under its name.
    walked: HashSet<(Kind, &'n str)>,
}

impl<'n, 'o> Walk<'n, 'o> {
    fn new(names: &'o mut Names, namespace: &'n Namespace) -> Self {
        Self {
            names,
            namespace,
            walked: HashSet::new(),
        }
    }

    fn backend_server(&mut self, name: &'n Arc<str>) {
        if !self.walked.insert((Kind::BackendServer, name)) {
            return;
        }
        self.names.backend_servers.insert(Arc::clone(name));
        let requests = self
            .namespace
            .users(Kind::BackendServer, name, Kind::TroubleshootRequest);
        self.names.requests.extend(requests.cloned());
        let Some(backend) = self.namespace.readable::<BackendServer>(name) else {
            return;
        };
        self.requests_about(&backend.object.spec.load_balancer_ref.name);
    }

    fn load_balancer(&mut self, name: &'n str) {
        if !self.walked.insert((Kind::LoadBalancer, name)) {
            return;
        }
        for backend in self.namespace.backend_servers_of(name) {
            self.names.backend_servers.insert(Arc::clone(backend));
        }
        let requests = self
            .namespace
            .users(Kind::LoadBalancer, name, Kind::TroubleshootRequest);
        self.names.requests.extend(requests.cloned());
    }

    fn subnet(&mut self, name: &'n str) {
        for backend in self.namespace.users(Kind::Subnet, name, Kind::BackendServer) {
            self.backend_server(backend);
        }
        for balancer in self.namespace.users(Kind::Subnet, name, Kind::LoadBalancer) {
            self.names.load_balancers.insert(Arc::clone(balancer));
            self.load_balancer(balancer);
        }
        // Their own state says whether their subnets are there; whom they block stays.
        let acls = self.namespace.users(Kind::Subnet, name, Kind::NetworkACL);
        self.names.network_acls.extend(acls.cloned());
    }

    fn security_group(&mut self, name: &'n str) {
        for backend in self.namespace.users(Kind::SecurityGroup, name, Kind::BackendServer) {
            self.backend_server(backend);
        }
    }

    fn network_acl(&mut self, name: &'n str) {
        match self.namespace.entry::<NetworkACL>(name) {
            None => {}
            // It may be any subnet's.
            Some(Entry::Unreadable(_)) => {
                for backend in self.namespace.all_backend_servers() {
                    self.backend_server(backend);
                }
            }
            Some(Entry::Readable(acl)) => {
                for subnet in &acl.object.spec.subnet_refs {
                    if !self.walked.insert((Kind::Subnet, &subnet.name)) {
                        continue;
                    }
                    for backend in self.namespace.users(Kind::Subnet, &subnet.name, Kind::BackendServer) {
                        self.backend_server(backend);
                    }
                    // Their probes leave there.
                    for balancer in self.namespace.users(Kind::Subnet, &subnet.name, Kind::LoadBalancer) {
                        self.load_balancer(balancer);
                    }
                    let rivals = self.namespace.users(Kind::Subnet, &subnet.name, Kind::NetworkACL);
                    self.names.network_acls.extend(rivals.cloned());
                }
            }
        }
    }

    fn address_group(&mut self, name: &'n str) {
        for group in self.namespace.users(Kind::AddressGroup, name, Kind::SecurityGroup) {
            self.names.security_groups.insert(Arc::clone(group));
            self.security_group(group);
        }
        for acl in self.namespace.users(Kind::AddressGroup, name, Kind::NetworkACL) {
            self.names.network_acls.insert(Arc::clone(acl));
            self.network_acl(acl);
        }
    }

    /// Requests about all backend servers of a load balancer.
    fn requests_about(&mut self, load_balancer: &'n str) {
        if !self.walked.insert((Kind::TroubleshootRequest, load_balancer)) {
            return;
        }
        for name in self
            .namespace
            .users(Kind::LoadBalancer, load_balancer, Kind::TroubleshootRequest)
        {
            let request = self.namespace.readable::<TroubleshootRequest>(name);
            if request.is_some_and(|request| request.object.spec.backend_server_ref.is_none()) {
                self.names.requests.insert(Arc::clone(name));
            }
        }
    }
}
