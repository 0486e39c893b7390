//! Questions about an object whose kind is known at run time only.

use std::sync::Arc;

use crate::api::v1alpha1::{Kind, Object};

use super::{
    Incoming, Key, World,
    entry::Entry,
    kinds::{self, WorldVisitor},
    namespace::WorldKind,
};

/// What is known of an object beside its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// Its uid; `None` for one from a file.
    pub uid: Option<String>,
    /// Its resource version as a number; `None` for one from a file.
    pub version: Option<u64>,
    /// Why it cannot be read, where it cannot.
    pub unreadable: Option<Arc<str>>,
}

impl World {
    /// The keys of all objects of a kind, unreadable ones too, sorted.
    #[must_use]
    pub fn keys(&self, kind: Kind) -> Vec<Key> {
        kinds::visit(kind, Keys(self))
    }

    /// How many objects of a kind are there but cannot be read; walks all of the kind.
    #[cfg(test)]
    pub(crate) fn count_unreadable(&self, kind: Kind) -> usize {
        kinds::visit(kind, CountUnreadable(self))
    }

    /// What is known of an object beside its content; `None` when there is no such object.
    #[must_use]
    pub(crate) fn head(&self, kind: Kind, key: &Key) -> Option<Head> {
        kinds::visit(kind, OfHead { world: self, key })
    }

    /// Whether all that is ever read of the object is the same in what is known.
    #[must_use]
    pub(crate) fn reads_the_same(&self, incoming: &Incoming) -> bool {
        let key = incoming.key();
        let Incoming::Readable { object, refused: None } = incoming else {
            return false;
        };
        let ask = ReadsTheSame {
            world: self,
            key: &key,
            object,
        };
        kinds::visit(object.kind(), ask)
    }

    /// The object of that kind and name, if it can be read.
    #[must_use]
    pub(crate) fn get(&self, kind: Kind, key: &Key) -> Option<Object> {
        kinds::visit(kind, Get { world: self, key })
    }
}

struct OfHead<'a> {
    world: &'a World,
    key: &'a Key,
}

impl WorldVisitor for OfHead<'_> {
    type Output = Option<Head>;

    fn visit<K: WorldKind>(self) -> Option<Head> {
        let entry = self.world.entry::<K>(self.key)?;
        Some(Head {
            uid: entry.uid().map(str::to_owned),
            version: entry.version(),
            unreadable: match entry {
                Entry::Readable(_) => None,
                Entry::Unreadable(unreadable) => Some(Arc::clone(&unreadable.why)),
            },
        })
    }
}

struct ReadsTheSame<'a> {
    world: &'a World,
    key: &'a Key,
    object: &'a Object,
}

impl WorldVisitor for ReadsTheSame<'_> {
    type Output = bool;

    fn visit<K: WorldKind>(self) -> bool {
        let known = self.world.object::<K>(self.key);
        known
            .zip(K::of(self.object))
            .is_some_and(|(known, new)| known.reads_same(new))
    }
}

struct Get<'a> {
    world: &'a World,
    key: &'a Key,
}

impl WorldVisitor for Get<'_> {
    type Output = Option<Object>;

    fn visit<K: WorldKind>(self) -> Option<Object> {
        let object = self.world.object::<K>(self.key)?;
        Some(K::into_object(Arc::clone(object)))
    }
}

struct Keys<'a>(&'a World);

impl WorldVisitor for Keys<'_> {
    type Output = Vec<Key>;

    fn visit<K: WorldKind>(self) -> Vec<Key> {
        let namespaces = self.0.namespaces.iter();
        let keys = namespaces.flat_map(|(namespace, own)| {
            let names = K::entries(own).keys();
            names.map(|name| Key::new(&**namespace, &**name))
        });
        keys.collect()
    }
}

#[cfg(test)]
struct CountUnreadable<'a>(&'a World);

#[cfg(test)]
impl WorldVisitor for CountUnreadable<'_> {
    type Output = usize;

    fn visit<K: WorldKind>(self) -> usize {
        let namespaces = self.0.namespaces.values();
        let entries = namespaces.flat_map(|namespace| K::entries(namespace).values());
        entries.filter(|entry| entry.readable().is_none()).count()
    }
}
