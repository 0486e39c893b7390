//! How many objects of a kind a namespace has.

use crate::api::v1alpha1::Kind;

use super::{
    Namespace,
    kinds::{self, WorldVisitor},
    namespace::WorldKind,
};

/// How many objects of the kind there are, unreadable ones too.
pub(super) fn size(namespace: &Namespace, kind: Kind) -> usize {
    kinds::visit(kind, Size(namespace))
}

struct Size<'a>(&'a Namespace);

impl WorldVisitor for Size<'_> {
    type Output = usize;

    fn visit<K: WorldKind>(self) -> usize {
        K::entries(self.0).len()
    }
}
