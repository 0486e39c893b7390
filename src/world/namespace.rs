//! All objects of one namespace. References never leave one, so nothing else takes part in a diagnosis.
//!
//! Every part is a persistent map: cloning costs a few reference counts, and changing a clone leaves the original as it was and
//! copies no more than the path to what changes.

use std::sync::Arc;

use crate::api::v1alpha1::{
    AddressGroup, BackendCounts, BackendServer, Kind, LoadBalancer, NetworkACL, SecurityGroup, Subnet,
    TroubleshootRequest,
};

use super::{
    counts::Counts,
    entry::{Compile, Entries, Entry, Readable},
    members::Members,
    references::References,
};

/// A kind of which a namespace has objects.
pub(crate) trait WorldKind: Compile {
    /// Where a namespace keeps them.
    fn entries(namespace: &Namespace) -> &Entries<Self>;

    /// The same, to change.
    fn entries_mut(namespace: &mut Namespace) -> &mut Entries<Self>;
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    pub(super) load_balancers: Entries<LoadBalancer>,
    pub(super) backend_servers: Entries<BackendServer>,
    pub(super) security_groups: Entries<SecurityGroup>,
    pub(super) network_acls: Entries<NetworkACL>,
    pub(super) subnets: Entries<Subnet>,
    pub(super) address_groups: Entries<AddressGroup>,
    pub(super) requests: Entries<TroubleshootRequest>,
    pub(super) references: References,
    /// Network ACLs of which nothing can be read: which subnets they claim is not known, so each may be any subnet's.
    pub(super) unreadable_acls: imbl::OrdSet<Arc<str>>,
    counts: Counts,
    pub(super) members: Members,
}

impl Namespace {
    /// The object of that name, if it is there.
    pub(crate) fn entry<K: WorldKind>(&self, name: &str) -> Option<&Entry<K>> {
        K::entries(self).get(name)
    }

    /// The object of that name, if it is there and can be read.
    pub(crate) fn readable<K: WorldKind>(&self, name: &str) -> Option<&Readable<K>> {
        self.entry::<K>(name)?.readable()
    }

    /// The names of the objects of a kind that refer to `target`, sorted.
    pub(crate) fn users<'a>(
        &'a self,
        target: Kind,
        name: &'a str,
        kind: Kind,
    ) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.references.users(target, name, kind)
    }

    /// How many backend servers a load balancer has, by displayed health.
    pub(crate) fn counts(&self, load_balancer: &str) -> BackendCounts {
        self.counts.of(load_balancer)
    }

    /// The first network ACL of which nothing can be read.
    pub(crate) fn unreadable_acl(&self) -> Option<&Arc<str>> {
        self.unreadable_acls.get_min()
    }

    /// True when there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            load_balancers,
            backend_servers,
            security_groups,
            network_acls,
            subnets,
            address_groups,
            requests,
            references: _,
            unreadable_acls: _,
            counts: _,
            members: _,
        } = self;
        load_balancers.is_empty()
            && backend_servers.is_empty()
            && security_groups.is_empty()
            && network_acls.is_empty()
            && subnets.is_empty()
            && address_groups.is_empty()
            && requests.is_empty()
    }

    pub(super) fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// The backend servers of a load balancer, sorted.
    pub(crate) fn backend_servers_of<'a>(
        &'a self,
        load_balancer: &'a str,
    ) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.users(Kind::LoadBalancer, load_balancer, Kind::BackendServer)
    }

    /// All backend servers.
    pub(super) fn all_backend_servers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.backend_servers.keys()
    }
}
