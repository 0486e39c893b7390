//! The network ACLs where a load balancer probes from (semantics §4, "at the load balancer's end").

use std::sync::Arc;

use crate::{
    api::v1alpha1::{BackendServer, Kind, LoadBalancer, LoadBalancerType, NetworkACL, Subnet},
    engine::{Span, SpanSet},
};

use super::{Namespace, entry::Readable};

/// A subnet from which the load balancer probes, other than the server's own, with the network ACL in force on it.
pub(super) struct End<'a> {
    pub(super) subnet: &'a str,
    /// Its prefixes of the traffic's family.
    pub(super) prefixes: &'a [Span<u128>],
    pub(super) acl: &'a Readable<NetworkACL>,
}

/// A subnet from which the load balancer probes that is not judged, since two network ACLs claim it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnjudgedSubnet {
    /// Name of the subnet.
    pub subnet: String,
    /// Names of the first two network ACLs that claim it.
    pub acls: [Arc<str>; 2],
}

/// What the network ACLs at the load balancer's end are, and which of its subnets cannot be judged.
#[derive(Default)]
pub(super) struct Ends<'a> {
    pub(super) judged: Vec<End<'a>>,
    pub(super) unjudged: Vec<UnjudgedSubnet>,
}

impl Ends<'_> {
    /// Whether a subnet that is named once more was found before.
    fn knows(&self, subnet: &str) -> bool {
        self.judged.iter().any(|end| end.subnet == subnet) || self.unjudged.iter().any(|end| end.subnet == subnet)
    }
}

/// The load balancer's ends in the order in which it names its subnets; none where probes do not come from its subnets.
pub(super) fn find<'a>(
    namespace: &'a Namespace,
    backend: &Readable<BackendServer>,
    balancer: &'a Readable<LoadBalancer>,
    sources: &SpanSet<u128>,
) -> Ends<'a> {
    let mut out = Ends::default();
    let Some((family, _)) = backend.compiled.probed else {
        return out;
    };
    if balancer.object.spec.type_ != LoadBalancerType::Dedicated {
        return out;
    }
    let own = backend.object.spec.subnet_ref.as_ref();
    let own = own.map(|own| own.name.as_str());
    let subnets = balancer.object.spec.backend_subnet_refs.iter();
    let subnets = subnets.map(|subnet| subnet.name.as_str());
    for subnet in subnets.filter(|subnet| Some(*subnet) != own) {
        // Most subnets have no network ACL: asked first, since it costs the least.
        let mut acls = claims(namespace, subnet);
        let Some(first) = acls.next() else { continue };
        let Some(found) = namespace.readable::<Subnet>(subnet) else {
            continue;
        };
        let prefixes = found.compiled.prefixes(family);
        let probes = |prefix: &Span<u128>| sources.spans().iter().any(|span| span.intersection(prefix).is_some());
        if out.knows(subnet) || !prefixes.iter().any(probes) {
            continue;
        }
        if let Some(second) = acls.next() {
            out.unjudged.push(UnjudgedSubnet {
                subnet: subnet.to_owned(),
                acls: [Arc::clone(first), Arc::clone(second)],
            });
            continue;
        }
        let acl = namespace.readable::<NetworkACL>(first);
        let in_force = acl.filter(|acl| acl.object.spec.enabled);
        out.judged.extend(in_force.map(|acl| End { subnet, prefixes, acl }));
    }
    out
}

/// The network ACLs that claim a subnet, switched on or not, sorted.
pub(super) fn claims<'a>(namespace: &'a Namespace, subnet: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
    namespace.users(Kind::Subnet, subnet, Kind::NetworkACL)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        api::v1alpha1::{ApiObject, Kind, KindVisitor, Object},
        world::{Collected, Incoming, Key, Settings, World},
    };

    struct Read(Value);

    impl KindVisitor for Read {
        type Output = Object;

        fn visit<K: ApiObject>(self) -> Object {
            serde_json::from_value::<K>(self.0).unwrap().into()
        }
    }

    fn balancer(type_: &str, subnets: &[&str], sources: &[&str]) -> Value {
        let subnets: Vec<_> = subnets.iter().map(|name| json!({"name": name})).collect();
        json!({"type": type_, "backendSubnetRefs": subnets, "healthCheckSources": sources,
            "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["herd"]}],
            "backendServerGroups": [{"name": "herd", "protocol": "TCP", "healthCheck": {"protocol": "TCP"}}]})
    }

    fn acl(subnets: &[&str], enabled: bool) -> Value {
        let subnets: Vec<_> = subnets.iter().map(|name| json!({"name": name})).collect();
        json!({"enabled": enabled, "stateful": false, "subnetRefs": subnets, "ingress": [], "egress": []})
    }

    /// A backend server in subnet lawn, probed from subnets lane and quay, with these network ACLs.
    fn collected(balancer: Value, sources: &[&str], acls: &[(&str, Value)]) -> Collected {
        let member = json!({"loadBalancerRef": {"name": "gate"}, "backendServerGroup": "herd", "address": "10.1.0.9", "port": 8080,
            "subnetRef": {"name": "lawn"}, "securityGroupRefs": [], "healthCheck": {"sources": sources}});
        let mut objects = vec![
            (Kind::LoadBalancer, "gate", balancer),
            (Kind::BackendServer, "plum", member),
            (Kind::Subnet, "lawn", json!({"cidrs": ["10.1.0.0/24"]})),
            (
                Kind::Subnet,
                "lane",
                json!({"cidrs": ["2001:db8::/64", "10.3.0.0/24", "10.2.0.0/24"]}),
            ),
            (Kind::Subnet, "quay", json!({"cidrs": ["10.4.0.0/24"]})),
            (Kind::Subnet, "pier", json!({"cidrs": ["2001:db8:1::/64"]})),
        ];
        objects.extend(acls.iter().map(|(name, spec)| (Kind::NetworkACL, *name, spec.clone())));
        let mut world = World::new(&Settings::default());
        for (kind, name, spec) in objects {
            let status = json!({"health": {"state": "Unhealthy"}, "conditions": []});
            let status = if kind == Kind::BackendServer {
                status
            } else {
                Value::Null
            };
            let manifest = json!({"metadata": {"namespace": "orchard", "name": name}, "spec": spec, "status": status});
            world.set(Incoming::from(kind.visit(Read(manifest))));
        }
        world.collect(&Key::new("orchard", "plum")).unwrap()
    }

    /// The subnet and network ACL of each end.
    fn ends(collected: &Collected) -> Vec<(String, String)> {
        let case = collected.case.as_ref().unwrap();
        let ends = case.load_balancer_ends.iter();
        ends.map(|end| (end.subnet.to_string(), end.rules.set.name.to_string()))
            .collect()
    }

    fn end(subnet: &str, acl: &str) -> (String, String) {
        (subnet.to_owned(), acl.to_owned())
    }

    #[test]
    fn each_subnet_that_probes_leave_through_a_network_acl_in_force_is_an_end() {
        let all = ["lawn", "lane", "quay", "pier", "lane"];
        let acls = [
            ("moat", acl(&["lawn", "lane"], true)),
            ("ditch", acl(&["quay", "pier"], true)),
        ];
        let found = collected(balancer("Dedicated", &all, &[]), &[], &acls);
        // Not the server's own, nor one without a prefix of the family; one that is named twice once.
        assert_eq!(ends(&found), [end("lane", "moat"), end("quay", "ditch")]);
        let ends_of = &found.case.as_ref().unwrap().load_balancer_ends;
        assert_eq!(ends_of[0].prefixes.len(), 2);
        assert!(!ends_of[0].stateful);
        let objects = found.rule_objects.load_balancer_acls.iter();
        let names: Vec<_> = objects.map(|acl| acl.metadata.name.clone().unwrap()).collect();
        assert_eq!(names, ["moat", "ditch"]);
        assert!(found.unjudged_subnets.is_empty());
    }

    #[test]
    fn no_probe_no_network_acl_in_force_or_no_dedicated_load_balancer_is_no_end() {
        let both = ["lane", "quay"];
        let on = [("moat", acl(&both, true))];
        let found = collected(balancer("Dedicated", &both, &["10.3.0.7"]), &[], &on);
        assert_eq!(ends(&found), [end("lane", "moat")]);
        // The member's own sources stand before the load balancer's.
        let found = collected(balancer("Dedicated", &both, &["10.3.0.7"]), &["10.4.0.0/30"], &on);
        assert_eq!(ends(&found), [end("quay", "moat")]);
        let found = collected(balancer("Dedicated", &both, &["10.9.0.7"]), &[], &on);
        assert_eq!(ends(&found), []);
        let found = collected(balancer("Shared", &both, &["10.3.0.7"]), &[], &on);
        assert_eq!(ends(&found), []);
        let found = collected(balancer("Dedicated", &both, &[]), &[], &[("moat", acl(&both, false))]);
        assert_eq!(ends(&found), []);
        assert!(found.rule_objects.load_balancer_acls.is_empty());
    }

    #[test]
    fn a_subnet_that_two_network_acls_claim_is_told_and_not_judged() {
        let acls = [
            ("moat", acl(&["lane", "quay", "pier"], true)),
            ("ditch", acl(&["lane", "pier"], false)),
        ];
        let found = collected(
            balancer("Dedicated", &["lane", "quay", "pier", "lane"], &[]),
            &[],
            &acls,
        );
        assert_eq!(ends(&found), [end("quay", "moat")]);
        let [unjudged] = found.unjudged_subnets.as_slice() else {
            unreachable!("{:?}", found.unjudged_subnets)
        };
        assert_eq!(unjudged.subnet, "lane");
        assert_eq!(unjudged.acls.each_ref().map(|acl| &**acl), ["ditch", "moat"]);
    }
}
