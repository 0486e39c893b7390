//! Every object now known, and who is affected by a change of one.
//!
//! A `World` is a plain value: watches (or files) feed it synchronously, and it can be cloned to ask "what if".

mod key;
mod object;

use std::collections::BTreeSet;

use ipnet::IpNet;

pub use key::Key;
pub use object::{Kind, Object};

/// What holds for every diagnosis of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Prefixes from which Shared load balancers probe; `100.125.0.0/16` in most regions.
    pub shared_sources: Vec<IpNet>,
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
#[derive(Clone, Debug)]
pub struct World {
    settings: Settings,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Takes in an object, new or changed, and says whose state may differ now. An object older than the one held
    /// (by resource version) changes nothing.
    pub fn apply(&mut self, _object: Object) -> Affected {
        unimplemented!()
    }

    /// Forgets an object and says whose state may differ now.
    pub fn delete(&mut self, _kind: Kind, _key: &Key) -> Affected {
        unimplemented!()
    }

    /// The keys of all objects of a kind, sorted.
    #[must_use]
    pub fn keys(&self, _kind: Kind) -> Vec<Key> {
        unimplemented!()
    }

    /// The object of that kind and name.
    #[must_use]
    pub fn get(&self, _kind: Kind, _key: &Key) -> Option<Object> {
        unimplemented!()
    }
}
