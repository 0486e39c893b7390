//! Each kind as a world keeps it: what is made of it when it comes in, and what it refers to. One file each.

mod address_group;
mod backend_server;
mod load_balancer;
mod network_acl;
mod rules;
mod security_group;
mod subnet;
mod troubleshoot_request;

use super::{namespace::WorldKind, refusal::Violation};
use crate::api::v1alpha1::{
    AddressGroup, BackendServer, Kind, LoadBalancer, NetworkACL, Object, SecurityGroup, Subnet, TroubleshootRequest,
};

pub(crate) use load_balancer::Group;
pub(crate) use rules::{CompiledRules, Issue};

/// Something that a world does for one kind, chosen at run time.
pub(crate) trait WorldVisitor {
    /// What comes of it.
    type Output;

    /// Does it for this kind.
    fn visit<K: WorldKind>(self) -> Self::Output;
}

/// Does for a kind what the visitor does for any.
pub(crate) fn visit<V: WorldVisitor>(kind: Kind, visitor: V) -> V::Output {
    match kind {
        Kind::LoadBalancer => visitor.visit::<LoadBalancer>(),
        Kind::BackendServer => visitor.visit::<BackendServer>(),
        Kind::SecurityGroup => visitor.visit::<SecurityGroup>(),
        Kind::NetworkACL => visitor.visit::<NetworkACL>(),
        Kind::Subnet => visitor.visit::<Subnet>(),
        Kind::AddressGroup => visitor.visit::<AddressGroup>(),
        Kind::TroubleshootRequest => visitor.visit::<TroubleshootRequest>(),
    }
}

/// What is wrong with an object by itself, whoever uses it.
pub(crate) fn own_violations(object: &Object) -> Vec<Violation> {
    struct Own<'a>(&'a Object);
    impl WorldVisitor for Own<'_> {
        type Output = Vec<Violation>;

        fn visit<K: WorldKind>(self) -> Vec<Violation> {
            let compiled = K::of(self.0).map(|object| object.compile());
            let own = compiled.as_ref().map(K::own_violations);
            own.into_iter().flatten().cloned().collect()
        }
    }
    visit(object.kind(), Own(object))
}

/// Says where a namespace keeps a kind.
macro_rules! kept_in {
    ($kind:ident, $field:ident) => {
        impl $crate::world::namespace::WorldKind for $kind {
            fn entries(namespace: &$crate::world::Namespace) -> &$crate::world::entry::Entries<Self> {
                &namespace.$field
            }

            fn entries_mut(namespace: &mut $crate::world::Namespace) -> &mut $crate::world::entry::Entries<Self> {
                &mut namespace.$field
            }
        }
    };
}
use kept_in;

/// A value that nothing can be made of.
fn invalid(object: &str, field: impl Into<String>, message: impl Into<String>) -> Violation {
    Violation {
        object: object.to_owned(),
        field: field.into(),
        message: message.into(),
    }
}

/// Names that occur twice in an array.
fn duplicates<'a>(object: &str, field: &str, names: impl Iterator<Item = &'a str>) -> Vec<Violation> {
    let mut seen = std::collections::HashSet::new();
    let twice = names.enumerate().filter(|(_, name)| !seen.insert(*name));
    twice
        .map(|(at, name)| {
            let message = format!("{name:?} is used twice; names must be unique");
            invalid(object, format!("{field}[{at}].name"), message)
        })
        .collect()
}
