//! Who refers to whom inside one namespace.

use std::{cmp::Ordering, ops::Bound, sync::Arc};

use equivalent::{Comparable, Equivalent};

use crate::api::v1alpha1::Kind;

/// One object, there or not: a reference may name what does not exist yet.
pub(crate) type Node = (Kind, Arc<str>);

/// One reference, to be found by its target.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Edge {
    target: Node,
    user: Node,
}

/// All references of a namespace, sorted by target, then kind of user, then name: adding, removing and finding are
/// logarithmic, however many users one target has.
#[derive(Clone, Debug, Default)]
pub(crate) struct References(imbl::OrdSet<Edge>);

impl References {
    pub(crate) fn add(&mut self, user: &Node, targets: Vec<Node>) {
        for target in targets {
            self.0.insert(Edge {
                target,
                user: user.clone(),
            });
        }
    }

    pub(crate) fn remove(&mut self, user: &Node, targets: Vec<Node>) {
        for target in targets {
            self.0.remove(&Edge {
                target,
                user: user.clone(),
            });
        }
    }

    /// The names of the objects of a kind that refer to `target`, sorted.
    pub(crate) fn users<'a>(
        &'a self,
        target: Kind,
        name: &'a str,
        kind: Kind,
    ) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        let first = First { target, name, kind };
        self.0
            .range::<_, First<'_>>((Bound::Included(first), Bound::Unbounded))
            .take_while(move |edge| edge.target.0 == target && &*edge.target.1 == name && edge.user.0 == kind)
            .map(|edge| &edge.user.1)
    }
}

/// Stands before every edge from users of `kind` to the target `name`, without owning the name.
struct First<'a> {
    target: Kind,
    name: &'a str,
    kind: Kind,
}

impl Equivalent<Edge> for First<'_> {
    fn equivalent(&self, edge: &Edge) -> bool {
        self.compare(edge) == Ordering::Equal
    }
}

impl Comparable<Edge> for First<'_> {
    fn compare(&self, edge: &Edge) -> Ordering {
        let own = (self.target, self.name, self.kind, "");
        own.cmp(&(edge.target.0, &*edge.target.1, edge.user.0, &*edge.user.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(kind: Kind, name: &str) -> Node {
        (kind, name.into())
    }

    #[test]
    fn users_are_found_by_target_and_kind() {
        let mut references = References::default();
        references.add(
            &node(Kind::BackendServer, "b"),
            vec![node(Kind::Subnet, "s"), node(Kind::Subnet, "s2")],
        );
        references.add(&node(Kind::BackendServer, "a"), vec![node(Kind::Subnet, "s")]);
        references.add(&node(Kind::NetworkACL, "n"), vec![node(Kind::Subnet, "s")]);
        references.add(&node(Kind::BackendServer, "c"), vec![node(Kind::LoadBalancer, "s")]);
        let users = |references: &References, name, kind| {
            let users = references.users(Kind::Subnet, name, kind);
            users.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(users(&references, "s", Kind::BackendServer), ["a", "b"]);
        assert_eq!(users(&references, "s", Kind::NetworkACL), ["n"]);
        assert_eq!(users(&references, "s2", Kind::BackendServer), ["b"]);
        assert!(users(&references, "s3", Kind::BackendServer).is_empty());
        references.remove(&node(Kind::BackendServer, "a"), vec![node(Kind::Subnet, "s")]);
        assert_eq!(users(&references, "s", Kind::BackendServer), ["b"]);
    }
}
