//! The kinds, each once: the table at the end of this file has a row for each.
//!
//! Whatever must be done for every kind is a [`KindVisitor`], a generic function over [`ApiObject`], and no list of kinds of
//! its own; whatever differs by kind is a trait bound of [`ApiObject`] or a `match` over [`Kind`] without a default arm. So
//! a new row makes the compiler name every place that has something to decide.

use std::{fmt, sync::Arc};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt, Resource, api::ObjectMeta, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};

use super::{AddressGroup, BackendServer, LoadBalancer, NetworkACL, SecurityGroup, Subnet, TroubleshootRequest};

/// One of our kinds as a type.
pub trait ApiObject:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + CustomResourceExt
    + Clone
    + fmt::Debug
    + PartialEq
    + Serialize
    + DeserializeOwned
    + Into<Object>
    + Send
    + Sync
    + 'static
{
    /// Its row.
    const KIND: Kind;

    /// The object, if it is of this kind.
    fn of(object: &Object) -> Option<&Arc<Self>>;

    /// As an object of any kind.
    fn into_object(object: Arc<Self>) -> Object;
}

/// Something that is done for one kind, chosen at run time: see [`Kind::visit`].
pub trait KindVisitor {
    /// What comes of it.
    type Output;

    /// Does it for this kind.
    fn visit<K: ApiObject>(self) -> Self::Output;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// One of our kinds, in the order of the table.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its name, as a manifest spells it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)*
                }
            }

            /// Does for this kind what the visitor does for any.
            pub fn visit<V: KindVisitor>(self, visitor: V) -> V::Output {
                match self {
                    $(Self::$kind => visitor.visit::<$kind>(),)*
                }
            }
        }

        /// An object of any of our kinds.
        #[derive(Clone, Debug)]
        #[allow(missing_docs, reason = "the words say it")]
        pub enum Object {
            $($kind(Arc<$kind>),)*
        }

        impl Object {
            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// Its metadata.
            #[must_use]
            pub fn meta(&self) -> &ObjectMeta {
                match self {
                    $(Self::$kind(object) => object.meta(),)*
                }
            }
        }

        $(
            impl From<$kind> for Object {
                fn from(object: $kind) -> Self {
                    Self::$kind(Arc::new(object))
                }
            }

            impl From<Arc<$kind>> for Object {
                fn from(object: Arc<$kind>) -> Self {
                    Self::$kind(object)
                }
            }

            impl ApiObject for $kind {
                const KIND: Kind = Kind::$kind;

                fn of(object: &Object) -> Option<&Arc<Self>> {
                    match object {
                        Object::$kind(object) => Some(object),
                        _ => None,
                    }
                }

                fn into_object(object: Arc<Self>) -> Object {
                    Object::$kind(object)
                }
            }
        )*
    };
}

kinds! {
    /// A load balancer.
    LoadBalancer,
    /// A member of a backend server group.
    BackendServer,
    /// Rules on network interfaces.
    SecurityGroup,
    /// Rules at the border of subnets.
    NetworkACL,
    /// Address prefixes of servers and load balancers.
    Subnet,
    /// Addresses that rules refer to.
    AddressGroup,
    /// A question: it decides nothing.
    TroubleshootRequest,
}

impl Kind {
    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The name that the API server's paths have, such as `loadbalancers`.
    #[must_use]
    pub fn plural(self) -> String {
        struct Plural;
        impl KindVisitor for Plural {
            type Output = String;

            fn visit<K: ApiObject>(self) -> String {
                K::plural(&()).into_owned()
            }
        }
        self.visit(Plural)
    }

    /// Its definition, as derived from its type.
    #[must_use]
    pub fn crd(self) -> CustomResourceDefinition {
        struct Crd;
        impl KindVisitor for Crd {
            type Output = CustomResourceDefinition;

            fn visit<K: ApiObject>(self) -> CustomResourceDefinition {
                K::crd()
            }
        }
        self.visit(Crd)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Object {
    /// Its resource version as a number; `None` for an object that comes from a file. Those of one kind can be compared
    /// (KEP-5504).
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.meta().resource_version.as_deref()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_name_and_names_its_definition() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(*kind));
            assert_eq!(kind.crd().spec.names.kind, kind.name());
            assert_eq!(kind.crd().spec.names.plural, kind.plural());
        }
        assert_eq!(Kind::from_name("Listener"), None);
    }
}
