//! All objects of one namespace. References never leave one, so nothing else takes part in a diagnosis.
//!
//! Every part is a persistent map: cloning costs a few reference counts, and changing a clone leaves the original as it was and
//! copies no more than the path to what changes.

use std::{collections::BTreeSet, sync::Arc};

use crate::api::v1alpha1::{
    AddressGroup, BackendCounts, BackendServer, Kind, LoadBalancer, NetworkACL, SecurityGroup, Subnet,
    TroubleshootRequest,
};

use super::{
    affected::Names,
    counts::{self, Counts},
    entry::{Entries, Entry, Readable, WorldKind},
    references::{Node, References},
};

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
    unreadable_acls: imbl::OrdSet<Arc<str>>,
    counts: Counts,
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
        } = self;
        load_balancers.is_empty()
            && backend_servers.is_empty()
            && security_groups.is_empty()
            && network_acls.is_empty()
            && subnets.is_empty()
            && address_groups.is_empty()
            && requests.is_empty()
    }

    /// Puts an entry in the place of the one of that name, or of none, and says whose state may differ now. `None` takes it away.
    pub(super) fn replace<K: WorldKind>(&mut self, name: &Arc<str>, entry: Option<Entry<K>>) -> Names {
        let before = self.entry::<K>(name).cloned();
        let same = match (&before, &entry) {
            (Some(before), Some(entry)) => before.reads_same(entry),
            (None, None) => return Names::default(),
            _ => false,
        };
        let node: Node = (K::KIND, Arc::clone(name));
        let counted = counts::Changes::begin(self, &node, same);
        let mut affected = Names::default();
        if same {
            affected.itself(&node);
        } else {
            // Those that it lets go of are affected as much as those that it takes on.
            affected.through(self, &node);
            self.references
                .remove(&node, before.as_ref().map(Entry::references).unwrap_or_default());
            self.references
                .add(&node, entry.as_ref().map(Entry::references).unwrap_or_default());
        }
        if K::KIND == Kind::NetworkACL {
            match &entry {
                Some(Entry::Unreadable(_)) => drop(self.unreadable_acls.insert(Arc::clone(name))),
                _ => drop(self.unreadable_acls.remove(name)),
            }
        }
        match entry {
            Some(entry) => drop(K::entries_mut(self).insert(Arc::clone(name), entry)),
            None => drop(K::entries_mut(self).remove(name)),
        }
        let recounted = counted.end(self);
        affected.counted(self, &recounted);
        if !same {
            affected.through(self, &node);
        }
        affected
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
    pub(super) fn all_backend_servers(&self) -> BTreeSet<Arc<str>> {
        self.backend_servers.keys().cloned().collect()
    }
}
