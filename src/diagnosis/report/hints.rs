//! Hints beside findings: what is not the cause by the rules, and often is all the same.

use std::sync::Arc;

use crate::{
    api::v1alpha1::LoadBalancerType,
    engine::{
        Action, AddressMatch, Case, Direction, Family, Layer, NetworkAclState, Rule, RuleFinding, Rules,
        SecurityGroupState, Values, covering_prefixes,
    },
    world::Collected,
};

use super::{Findings, Found};

/// Whether the weight alone makes the server show as unhealthy.
pub(super) fn zero_weight(collected: &Collected) -> bool {
    let balancer = collected.load_balancer.as_ref();
    let shared = balancer.is_some_and(|balancer| balancer.spec.type_ == LoadBalancerType::Shared);
    shared && collected.backend.spec.weight == 0
}

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
    let beyond = findings.faults().filter(Found::is_beyond);
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
    let objects = objects(case, found.layer, subnet);
    let meant = |family| {
        let port = case.traffic.port;
        let meant = move |rule: &&Rule| {
            rule.action == Action::Allow
                && rule.protocol.contains(found.leg.protocol(family))
                && (!found.leg.has_ports() || ports_are_meant(found.layer, rule, port))
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

/// The objects whose rules decide at one layer.
fn objects<'a>(case: &'a Case, layer: Layer, subnet: Option<&Arc<str>>) -> Vec<&'a Rules> {
    match layer {
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
    }
}

/// Whether a rule's ports are for the health check.
fn ports_are_meant(layer: Layer, rule: &Rule, port: u16) -> bool {
    match layer {
        Layer::SecurityGroup | Layer::NetworkAcl => rule.local_ports.contains(port),
        // The server is at its other end.
        Layer::LoadBalancerAcl => rule.remote_ports.contains(port),
        // Those of a reply's destination: any of many.
        Layer::SecurityGroupReply => true,
    }
}

/// A deny rule that decides, and the address group that it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecidingGroup {
    /// The rule.
    pub rule: Arc<str>,
    /// The address group.
    pub group: Arc<str>,
    /// Its addresses.
    pub addresses: Values,
}

/// The address groups of the deny rules that decide, each once.
pub(super) fn deciding_groups(case: &Case, findings: &Findings) -> Vec<DecidingGroup> {
    let mut out: Vec<DecidingGroup> = Vec::new();
    for found in findings.faults() {
        let of_rules = found.rules();
        if let Some(group) = of_rules.and_then(|rules| deciding_group(case, rules, found.subnet))
            && !out.contains(&group)
        {
            out.push(group);
        }
    }
    out
}

fn deciding_group(case: &Case, found: &RuleFinding, subnet: Option<&Arc<str>>) -> Option<DecidingGroup> {
    let decided = &found.evidence.decided_by;
    let (object, name) = (decided.object.as_ref()?, decided.rule.as_ref()?);
    let family = case.traffic.family;
    let objects = objects(case, found.layer, subnet);
    let object = objects.into_iter().find(|own| own.set.name == *object)?;
    let mut rules = object.set.rules(found.direction, family).iter();
    let rule = rules.find(|rule| rule.name == *name)?;
    let slot = [&rule.remote, &rule.local].into_iter().find_map(|end| match end {
        AddressMatch::Group(slot) => usize::try_from(*slot).ok(),
        _ => None,
    })?;
    let addresses = object.groups.get(slot)?.of(family);
    Some(DecidingGroup {
        rule: Arc::clone(name),
        group: Arc::clone(object.set.group_names.get(slot)?),
        addresses: Values::Prefixes(family, covering_prefixes(family, addresses)),
    })
}
