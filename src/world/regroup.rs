//! How many other members of its group a change of the health check port would touch.

use std::{collections::BTreeSet, sync::Arc};

use crate::api::v1alpha1::{BackendServer, LoadBalancer};

use super::{
    Namespace,
    members::{Group, Names},
};

/// Up to so many others a change of the health check port is said to touch them; of more it is said that there are more. A group of ten
/// thousand would else write ten thousand statuses for each that comes or goes.
pub const MAX_TOLD: usize = 20;

impl Namespace {
    /// The group whose health check port is that of the backend server; `None` where it has its own, or cannot be read.
    pub(super) fn group_of(&self, backend: &str) -> Option<Group> {
        let spec = &self.readable::<BackendServer>(backend)?.object.spec;
        if spec.health_check.as_ref().is_some_and(|own| own.port.is_some()) {
            return None;
        }
        Some((
            spec.load_balancer_ref.name.as_str().into(),
            spec.backend_server_group.as_str().into(),
        ))
    }

    /// How many other members of its group are probed on the port of the group's health check, where that has one and this backend
    /// server has none of its own; no more than one more than are told.
    pub(super) fn other_members(&self, backend: &str) -> usize {
        let group = self.group_of(backend).filter(|group| self.has_port(group));
        // It is one of them itself.
        group.map_or(0, |group| {
            self.members.count(&group).saturating_sub(1).min(MAX_TOLD + 1)
        })
    }

    /// A backend server has left `before` for the group that it is in now: the members whose state tells how many others there are.
    pub(super) fn regroup(&mut self, backend: &Arc<str>, before: Option<Group>) -> BTreeSet<Arc<str>> {
        let after = self.group_of(backend);
        let mut told = BTreeSet::new();
        if before == after {
            return told;
        }
        if let Some(group) = before {
            let left = self.members.remove(&group, backend);
            self.tell(&group, &left, &mut told);
        }
        if let Some(group) = after {
            let members = self.members.add(group.clone(), backend);
            self.tell(&group, &members, &mut told);
        }
        told
    }

    fn tell(&self, group: &Group, members: &Names, told: &mut BTreeSet<Arc<str>>) {
        // Of more than that, each has more others than are told before and after.
        if members.len() <= MAX_TOLD + 2 && self.has_port(group) {
            told.extend(members.iter().cloned());
        }
    }

    fn has_port(&self, (balancer, group): &Group) -> bool {
        let balancer = self.readable::<LoadBalancer>(balancer);
        let groups = balancer
            .into_iter()
            .flat_map(|found| &found.object.spec.backend_server_groups);
        let mut groups = groups.filter(|own| *own.name == **group);
        let check = groups.next().and_then(|own| own.health_check.as_ref());
        check.is_some_and(|check| check.port.is_some())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::world::{Key, World};

    fn balancer(port: Option<u16>) -> LoadBalancer {
        serde_json::from_value(json!({"metadata": {"name": "gate", "namespace": "fold"}, "spec": {"type": "Shared",
            "backendServerGroups": [{"name": "herd", "protocol": "TCP", "healthCheck": {"protocol": "TCP", "port": port}}]}}))
        .unwrap()
    }

    fn member(number: usize, own: &Value) -> BackendServer {
        serde_json::from_value(json!({"metadata": {"name": format!("ewe-{number:02}"), "namespace": "fold"}, "spec": {
            "loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "address": "10.1.0.9", "port": 80, "healthCheck": own}}))
        .unwrap()
    }

    fn others(world: &World) -> usize {
        world.collect(&Key::new("fold", "ewe-00")).unwrap().other_members
    }

    #[test]
    fn members_are_counted_that_the_port_of_the_group_touches_and_told_as_long_as_they_are_few() {
        let mut world = World::default();
        world.set(balancer(Some(81)).into());
        for number in 0..=MAX_TOLD + 1 {
            assert_eq!(
                world.set(member(number, &json!(null)).into()).backend_servers.len(),
                number + 1
            );
            assert_eq!(others(&world), number);
        }
        // From here on it only says that there are more.
        for number in MAX_TOLD + 2..MAX_TOLD + 5 {
            world.set(member(number, &json!(null)).into());
            assert_eq!(others(&world), MAX_TOLD + 1);
        }
        assert_eq!(
            world
                .set(member(MAX_TOLD + 5, &json!(null)).into())
                .backend_servers
                .len(),
            1
        );
        for number in (1..=MAX_TOLD + 5).rev() {
            world.set(member(number, &json!({"port": 82})).into());
        }
        assert_eq!(others(&world), 0, "these have a port of their own");
        world.set(member(3, &json!(null)).into());
        assert_eq!(others(&world), 1);
        world.set(balancer(None).into());
        assert_eq!(others(&world), 0, "there is no port to take away");
    }
}
