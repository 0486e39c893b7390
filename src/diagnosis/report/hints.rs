//! Hints beside findings: what is not the cause by the rules, and often is all the same.

use std::sync::Arc;

use crate::engine::{
    Action, AddressMatch, Case, Direction, Family, Layer, NetworkAclState, Rule, RuleFinding, Rules, SecurityGroupState,
};

use super::Findings;

/// A rule that allows the probes' protocol and port in the other address family, where no rule does in their own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtherFamily {
    /// The layer.
    pub layer: Layer,
    /// The object.
    pub object: Arc<str>,
    /// The rule.
    pub rule: Arc<str>,
    /// The family that it is for.
    pub family: Family,
}

/// For the directions that drop something: the first rule for the other family of each object list.
pub(super) fn other_family(case: &Case, findings: &Findings) -> Vec<OtherFamily> {
    let stateless = matches!(&case.network_acl, NetworkAclState::InForce { stateful: false, .. });
    // Outbound rules that stop no reply need no hint.
    let mut sides = vec![
        (Layer::SecurityGroup, Direction::Ingress),
        (Layer::NetworkAcl, Direction::Ingress),
    ];
    if stateless {
        sides.push((Layer::NetworkAcl, Direction::Egress));
    }
    let on_page = sides
        .into_iter()
        .filter_map(|(layer, direction)| findings.of_side((layer, direction, None)).next());
    let beyond = findings.faults().filter(|found| found.is_beyond());
    let beyond = beyond.filter_map(|beyond| Some((beyond.rules()?, beyond.subnet)));
    let found = on_page.map(|found| (found, None)).chain(beyond);
    found
        .filter_map(|(found, subnet)| in_other_family(case, found, subnet))
        .collect()
}

fn in_other_family(case: &Case, found: &RuleFinding, subnet: Option<&Arc<str>>) -> Option<OtherFamily> {
    let own = case.traffic.family;
    let other = match own {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    let objects: Vec<&Rules> = match found.layer {
        Layer::SecurityGroup | Layer::SecurityGroupReply => match &case.security_groups {
            SecurityGroupState::Groups { groups, .. } => groups.iter().collect(),
            SecurityGroupState::NotApplied => Vec::new(),
        },
        Layer::NetworkAcl => match &case.network_acl {
            NetworkAclState::InForce { rules, .. } => vec![rules],
            NetworkAclState::Absent | NetworkAclState::Off(_) => Vec::new(),
        },
        Layer::LoadBalancerAcl => {
            let ends = case.load_balancer_ends.iter();
            ends.filter(|end| Some(&end.subnet) == subnet)
                .map(|end| &end.rules)
                .collect()
        }
    };
    let meant = |family| {
        let port = case.traffic.port;
        let meant = move |rule: &&Rule| {
            rule.action == Action::Allow
                && rule.protocol.contains(found.leg.protocol(family))
                && (!found.leg.has_ports() || rule.local_ports.contains(port))
                && !matches!(rule.remote, AddressMatch::Members(_))
        };
        objects.iter().find_map(move |object| {
            let rule = object.set.rules(found.direction, family).iter().find(meant)?;
            Some((&object.set.name, &rule.name))
        })
    };
    if meant(own).is_some() {
        return None;
    }
    let (object, rule) = meant(other)?;
    Some(OtherFamily {
        layer: found.layer,
        object: Arc::clone(object),
        rule: Arc::clone(rule),
        family: other,
    })
}
