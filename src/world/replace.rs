//! A change of one object in its namespace, and whose state may differ after it.

use std::sync::Arc;

use crate::api::v1alpha1::Kind;

use super::{
    affected::Names,
    entry::Entry,
    namespace::{Namespace, WorldKind},
    recount::Recount,
    references::Node,
};

impl Namespace {
    /// Puts an entry in the place of the one of that name, or of none, and says whose state may differ now. `None` takes it away.
    pub(super) fn replace<K: WorldKind>(&mut self, name: &Arc<str>, entry: Option<Entry<K>>) -> Names {
        let before = self.entry::<K>(name).cloned();
        let same = match (&before, &entry) {
            (Some(before), Some(entry)) => before.reads_same(entry),
            (None, None) => return Names::default(),
            _ => false,
        };
        let node: Node = (K::KIND, Arc::clone(name));
        let counted = Recount::begin(self, &node, same);
        let group = (K::KIND == Kind::BackendServer).then(|| self.group_of(name));
        let mut affected = Names::default();
        if same {
            let unread = before.as_ref().zip(entry.as_ref());
            if !unread.is_some_and(|(before, entry)| before.concerns_nobody(entry)) {
                affected.itself(&node);
            }
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
        if let Some(before) = group {
            affected.members(self.regroup(name, before));
        }
        if !same {
            affected.through(self, &node);
        }
        affected
    }
}
