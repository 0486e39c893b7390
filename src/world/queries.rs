//! Questions about an object whose kind is known at run time only.

use std::sync::Arc;

use crate::api::v1alpha1::Object;

use super::{
    Key, Namespace, World,
    entry::{Entry, WorldKind},
    kinds::WorldVisitor,
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

pub(super) struct OfHead<'a> {
    pub(super) world: &'a World,
    pub(super) key: &'a Key,
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

pub(super) struct Get<'a> {
    pub(super) world: &'a World,
    pub(super) key: &'a Key,
}

impl WorldVisitor for Get<'_> {
    type Output = Option<Object>;

    fn visit<K: WorldKind>(self) -> Option<Object> {
        let object = self.world.object::<K>(self.key)?;
        Some(K::into_object(Arc::clone(object)))
    }
}

pub(super) struct Keys<'a>(pub(super) &'a World);

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

pub(super) struct Size<'a>(pub(super) &'a Namespace);

impl WorldVisitor for Size<'_> {
    type Output = usize;

    fn visit<K: WorldKind>(self) -> usize {
        K::entries(self.0).len()
    }
}

pub(super) struct CountUnreadable<'a>(pub(super) &'a World);

impl WorldVisitor for CountUnreadable<'_> {
    type Output = usize;

    fn visit<K: WorldKind>(self) -> usize {
        let namespaces = self.0.namespaces.values();
        let entries = namespaces.flat_map(|namespace| K::entries(namespace).values());
        entries.filter(|entry| entry.readable().is_none()).count()
    }
}
