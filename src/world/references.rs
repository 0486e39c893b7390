//! Who reads whom, and so who is affected by a change.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Affected, Key, Kind, Object};

/// One object, there or not: a reference may name what does not exist yet.
pub(super) type Node = (Kind, Key);

/// The references of all objects, both ways.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    forward: HashMap<Node, Vec<Node>>,
    users: HashMap<Node, HashSet<Node>>,
}

impl References {
    /// Replaces the references of an object.
    pub(super) fn set(&mut self, node: &Node, targets: Vec<Node>) {
        if self.forward.get(node).is_some_and(|old| *old == targets) {
            return;
        }
        for old in self.forward.remove(node).unwrap_or_default() {
            if let Some(users) = self.users.get_mut(&old) {
                users.remove(node);
                if users.is_empty() {
                    self.users.remove(&old);
                }
            }
        }
        for target in &targets {
            self.users.entry(target.clone()).or_default().insert(node.clone());
        }
        if !targets.is_empty() {
            self.forward.insert(node.clone(), targets);
        }
    }

    /// The objects of a kind that refer to this one.
    pub(super) fn users(&self, node: &Node, kind: Kind) -> BTreeSet<&Key> {
        self.users
            .get(node)
            .into_iter()
            .flatten()
            .filter(|(own, _)| *own == kind)
            .map(|(_, key)| key)
            .collect()
    }

    /// Every object whose state may differ when this one changes.
    pub(super) fn affected(&self, changed: &Node) -> Affected {
        let mut out = Affected::default();
        let mut seen = HashSet::from([changed.clone()]);
        let mut next = vec![changed.clone()];
        while let Some(node) = next.pop() {
            let (kind, key) = &node;
            match kind {
                Kind::BackendServer => {
                    out.backend_servers.insert(key.clone());
                }
                Kind::LoadBalancer => {
                    out.load_balancers.insert(key.clone());
                }
                Kind::SecurityGroup => {
                    out.security_groups.insert(key.clone());
                }
                Kind::NetworkACL => {
                    out.network_acls.insert(key.clone());
                }
                Kind::Subnet | Kind::AddressGroup => {}
            }
            // An ACL decides over those in its subnets, which do not refer to it; and other ACLs may claim these too.
            let claimed = (*kind == Kind::NetworkACL).then(|| self.forward.get(&node)).flatten();
            let claimed = claimed.into_iter().flatten().filter(|(kind, _)| *kind == Kind::Subnet);
            for user in claimed
                .filter_map(|subnet| self.users.get(subnet))
                .chain(self.users.get(&node))
                .flatten()
            {
                let through_subnet = *kind == Kind::NetworkACL && user.0 == Kind::LoadBalancer;
                if !through_subnet && seen.insert(user.clone()) {
                    next.push(user.clone());
                }
            }
        }
        // A backend counts in its load balancer.
        for key in &out.backend_servers {
            let targets = self
                .forward
                .get(&(Kind::BackendServer, key.clone()))
                .into_iter()
                .flatten();
            out.load_balancers.extend(
                targets
                    .filter(|(kind, _)| *kind == Kind::LoadBalancer)
                    .map(|(_, key)| key.clone()),
            );
        }
        out
    }
}

/// What an object refers to.
pub(super) fn targets(object: &Object) -> Vec<Node> {
    let key = object.key();
    let to = |kind: Kind, name: &str| (kind, key.sibling(name));
    match object {
        Object::BackendServer(backend) => {
            let spec = &backend.spec;
            let mut out = vec![to(Kind::LoadBalancer, &spec.load_balancer_ref.name)];
            out.extend(spec.subnet_ref.iter().map(|subnet| to(Kind::Subnet, &subnet.name)));
            out.extend(
                spec.security_group_refs
                    .iter()
                    .map(|group| to(Kind::SecurityGroup, &group.name)),
            );
            out
        }
        Object::LoadBalancer(balancer) => balancer
            .spec
            .backend_subnet_refs
            .iter()
            .map(|subnet| to(Kind::Subnet, &subnet.name))
            .collect(),
        Object::SecurityGroup(group) => {
            let remotes = group
                .spec
                .rules
                .iter()
                .filter_map(|rule| rule.remote.as_ref()?.address_group_ref.as_ref());
            remotes.map(|group| to(Kind::AddressGroup, &group.name)).collect()
        }
        Object::NetworkACL(acl) => {
            let rules = acl.spec.ingress.iter().chain(&acl.spec.egress);
            let ends = rules
                .flat_map(|rule| [rule.source.as_ref(), rule.destination.as_ref()])
                .flatten();
            let groups = ends.filter_map(|end| end.address_group_ref.as_ref());
            let subnets = acl.spec.subnet_refs.iter().map(|subnet| to(Kind::Subnet, &subnet.name));
            subnets
                .chain(groups.map(|group| to(Kind::AddressGroup, &group.name)))
                .collect()
        }
        Object::Subnet(_) | Object::AddressGroup(_) => Vec::new(),
    }
}
