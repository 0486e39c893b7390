//! The members of each backend server group whose health check port is the group's: kept current with each change, so that telling how
//! many there are does not take a walk over all backend servers of the load balancer.

use std::sync::Arc;

/// Names by load balancer and group, which need not be there.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(imbl::OrdMap<Group, Names>);

/// A load balancer and a group of it.
pub(super) type Group = (Arc<str>, Arc<str>);

/// Names of backend servers.
pub(super) type Names = imbl::OrdSet<Arc<str>>;

impl Members {
    /// How many members a group has.
    pub(super) fn count(&self, group: &Group) -> usize {
        self.0.get(group).map_or(0, Names::len)
    }

    /// Adds a backend server to a group; returns the members of the group from then on.
    pub(super) fn add(&mut self, group: Group, backend: &Arc<str>) -> Names {
        let members = self.0.entry(group).or_default();
        members.insert(Arc::clone(backend));
        members.clone()
    }

    /// Takes a backend server out of a group; returns the members that are left.
    pub(super) fn remove(&mut self, group: &Group, backend: &Arc<str>) -> Names {
        let Some(members) = self.0.get_mut(group) else {
            return Names::default();
        };
        members.remove(backend);
        let left = members.clone();
        if left.is_empty() {
            self.0.remove(group);
        }
        left
    }
}
