//! One object of any kind that takes part in a diagnosis.

use std::sync::Arc;

use crate::api::v1alpha1::{AddressGroup, BackendServer, LoadBalancer, NetworkACL, SecurityGroup, Subnet};

use super::Key;

/// The kinds of which a world is made. Requests are not among them: they ask, they do not decide.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Kind {
    LoadBalancer,
    BackendServer,
    SecurityGroup,
    NetworkACL,
    Subnet,
    AddressGroup,
}

/// An object of one of those kinds.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Object {
    LoadBalancer(Arc<LoadBalancer>),
    BackendServer(Arc<BackendServer>),
    SecurityGroup(Arc<SecurityGroup>),
    NetworkACL(Arc<NetworkACL>),
    Subnet(Arc<Subnet>),
    AddressGroup(Arc<AddressGroup>),
}

impl Object {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::LoadBalancer(_) => Kind::LoadBalancer,
            Self::BackendServer(_) => Kind::BackendServer,
            Self::SecurityGroup(_) => Kind::SecurityGroup,
            Self::NetworkACL(_) => Kind::NetworkACL,
            Self::Subnet(_) => Kind::Subnet,
            Self::AddressGroup(_) => Kind::AddressGroup,
        }
    }

    /// Its namespace and name.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::LoadBalancer(o) => Key::of(&**o),
            Self::BackendServer(o) => Key::of(&**o),
            Self::SecurityGroup(o) => Key::of(&**o),
            Self::NetworkACL(o) => Key::of(&**o),
            Self::Subnet(o) => Key::of(&**o),
            Self::AddressGroup(o) => Key::of(&**o),
        }
    }

    /// Its resource version as a number; `None` for an object that comes from a file.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        let meta = match self {
            Self::LoadBalancer(o) => &o.metadata,
            Self::BackendServer(o) => &o.metadata,
            Self::SecurityGroup(o) => &o.metadata,
            Self::NetworkACL(o) => &o.metadata,
            Self::Subnet(o) => &o.metadata,
            Self::AddressGroup(o) => &o.metadata,
        };
        meta.resource_version.as_deref()?.parse().ok()
    }
}

macro_rules! from_kind {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Arc::new(object))
            }
        }
    )*};
}
from_kind!(
    LoadBalancer,
    BackendServer,
    SecurityGroup,
    NetworkACL,
    Subnet,
    AddressGroup
);
