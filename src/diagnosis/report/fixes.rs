//! Fixes as values: which object, which rules under which names, which operations on its manifest (semantics §8).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::Resource;

use crate::{
    engine::{Case, Direction, FixPlan, Layer, Leg, NetworkAclState, Placement, Prefix},
    world::{Collected, RuleObjects},
};

use super::{Findings, Side};

/// A change that heals one direction of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// The layer.
    pub layer: Layer,
    /// The direction.
    pub direction: Direction,
    /// The load balancer's subnet, where it is of that one's network ACL.
    pub subnet: Option<Arc<str>>,
    /// The object to change.
    pub target: Target,
    /// The rules to add, in order.
    pub rules: Vec<NewRule>,
    /// Where.
    pub placement: Placement,
    /// Name of the rule before which they go, in a network ACL.
    pub ahead_of: Option<Arc<str>>,
    /// What to do with the object's manifest, in order; empty when the object is still to be created.
    pub operations: Vec<Operation>,
    /// Whether the changed rules were judged again, dropped nothing and opened nothing but health check traffic.
    pub verified: bool,
}

/// The object to change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// An object that is there.
    Existing(Arc<str>),
    /// A security group that is still to be created, and attached.
    New(String),
}

impl Target {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Existing(name) => name,
            Self::New(name) => name,
        }
    }
}

/// An allow rule to add.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRule {
    /// A name that no rule of its array has yet.
    pub name: String,
    /// The direction.
    pub direction: Direction,
    /// The packets' leg.
    pub leg: Leg,
    /// The remote prefix.
    pub remote: Prefix,
    /// Its priority, in a security group.
    pub priority: u8,
    /// Whether it allows replies, which go to the ports that the probes came from.
    pub replies: bool,
}

/// One operation on the array of rules.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Gives the rule at this position another priority.
    SetPriority {
        /// The position.
        index: u32,
        /// The priority.
        priority: u8,
    },
    /// Sets the array as a whole, since it may be absent.
    SetRules(Vec<NewRule>),
    /// Puts a rule in before the one at this position, or at the end.
    Insert {
        /// The position; `None`: at the end.
        before: Option<usize>,
        /// The rule.
        rule: NewRule,
    },
}

/// The fixes of a verdict: those of which something makes a fault.
pub(super) fn fixes(collected: &Collected, case: &Case, plans: &[FixPlan], findings: &Findings) -> Vec<Fix> {
    let mut plans: Vec<&FixPlan> = plans.iter().filter(|plan| is_wanted(plan, findings)).collect();
    in_order(&mut plans);
    let mut names = Names::default();
    let mut out: Vec<(Fix, bool)> = plans
        .iter()
        .map(|plan| fix(collected, case, plan, &mut names))
        .collect();
    // An array that may be absent can only be set as a whole. A security group has one for both directions: the fix of either
    // sets the rules of both, so that applying one after the other loses nothing.
    let absent: Vec<Fix> = out
        .iter()
        .filter(|(_, absent)| *absent)
        .map(|(fix, _)| fix.clone())
        .collect();
    for (fix, _) in out.iter_mut().filter(|(_, absent)| *absent) {
        let same_array = absent.iter().filter(|other| other.array() == fix.array());
        let rules = same_array.flat_map(|other| &other.rules).cloned().collect();
        fix.operations.push(Operation::SetRules(rules));
    }
    out.into_iter().map(|(fix, _)| fix).collect()
}

fn is_wanted(plan: &FixPlan, findings: &Findings) -> bool {
    let side = (plan.layer, plan.direction, plan.subnet.as_deref());
    findings.of_side(side).next().is_some()
}

/// One network ACL can be that of the server's subnet and of several of the load balancer's. What is put in furthest back comes first, so
/// that no position that a later fix names has moved by then.
fn in_order(plans: &mut [&FixPlan]) {
    let array = |plan: &FixPlan| (plan.layer.is_security_group(), plan.object.clone(), plan.direction);
    let position = |plan: &FixPlan| match plan.placement {
        Placement::Before(index) => index,
        Placement::Priority { .. } | Placement::Append | Placement::NewGroup => u32::MAX,
    };
    // A handful at most, so that looking at each pair costs nothing. Those of other arrays stay where they are.
    for at in 0..plans.len() {
        for later in at + 1..plans.len() {
            if let (Some(one), Some(other)) = (plans.get(at), plans.get(later))
                && array(one) == array(other)
                && position(other) > position(one)
            {
                plans.swap(at, later);
            }
        }
    }
}

/// The names of the rules of each array, those of the fixes before among them.
#[derive(Default)]
struct Names(BTreeMap<(RuleArray, String), BTreeSet<String>>);

/// Which array of an object's manifest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RuleArray {
    /// `spec.rules` of a security group: both directions.
    Rules,
    /// `spec.ingress` of a network ACL.
    Ingress,
    /// `spec.egress` of a network ACL.
    Egress,
}

impl RuleArray {
    fn of(layer: Layer, direction: Direction) -> Self {
        match (layer.is_security_group(), direction) {
            (true, _) => Self::Rules,
            (false, Direction::Ingress) => Self::Ingress,
            (false, Direction::Egress) => Self::Egress,
        }
    }
}

/// Whether what passes there is replies. What the page asks of a security group outbound is no reply, but a packet to the health check
/// port.
fn allows_replies(layer: Layer, direction: Direction) -> bool {
    match (layer, direction) {
        (Layer::NetworkAcl | Layer::SecurityGroupReply, Direction::Egress)
        | (Layer::LoadBalancerAcl, Direction::Ingress) => true,
        (Layer::NetworkAcl | Layer::SecurityGroupReply, Direction::Ingress)
        | (Layer::LoadBalancerAcl, Direction::Egress)
        | (Layer::SecurityGroup, _) => false,
    }
}

impl Fix {
    /// Whether it lets replies pass.
    #[must_use]
    pub fn replies(&self) -> bool {
        allows_replies(self.layer, self.direction)
    }

    /// The rules that it heals.
    #[must_use]
    pub fn side(&self) -> Side<'_> {
        (self.layer, self.direction, self.subnet.as_deref())
    }

    /// The array that it changes.
    #[must_use]
    pub fn array(&self) -> (RuleArray, &str) {
        (RuleArray::of(self.layer, self.direction), self.target.name())
    }
}

/// One fix, and whether the array to which its rules go may be absent: then it lacks the operation that sets it.
fn fix(collected: &Collected, case: &Case, plan: &FixPlan, names: &mut Names) -> (Fix, bool) {
    let object = plan.object.as_deref();
    let array = object.and_then(|name| Array::of(&collected.rule_objects, plan.layer, plan.direction, name));
    let key = (
        RuleArray::of(plan.layer, plan.direction),
        object.unwrap_or_default().to_owned(),
    );
    let taken = names.0.entry(key).or_default();
    if let Some(array) = &array {
        taken.extend(array.names.iter().map(|name| (*name).to_owned()));
    }
    let priority = match plan.placement {
        Placement::Priority { priority, .. } => priority,
        Placement::Before(_) | Placement::Append | Placement::NewGroup => 1,
    };
    let rules: Vec<NewRule> = plan
        .rules
        .iter()
        .zip(free_names(taken, plan.direction))
        .map(|(rule, name)| NewRule {
            name,
            direction: plan.direction,
            leg: rule.leg,
            remote: rule.remote,
            priority,
            replies: allows_replies(plan.layer, plan.direction),
        })
        .collect();
    taken.extend(rules.iter().map(|rule| rule.name.clone()));
    let mut operations = Vec::new();
    if let Placement::Priority { moves, .. } = &plan.placement {
        let moves = moves
            .iter()
            .map(|&(index, priority)| Operation::SetPriority { index, priority });
        operations.extend(moves);
    }
    let absent = array.is_some_and(|array| array.may_be_absent);
    if plan.object.is_some() && !absent {
        let before = |at| match plan.placement {
            Placement::Before(index) => Some(index as usize + at),
            Placement::Priority { .. } | Placement::Append | Placement::NewGroup => None,
        };
        operations.extend(rules.iter().enumerate().map(|(at, rule)| Operation::Insert {
            before: before(at),
            rule: rule.clone(),
        }));
    }
    let backend = collected.backend.metadata.name.as_deref().unwrap_or_default();
    let fix = Fix {
        layer: plan.layer,
        direction: plan.direction,
        subnet: plan.subnet.clone(),
        target: match &plan.object {
            Some(name) => Target::Existing(Arc::clone(name)),
            None => Target::New(format!("{backend}-health-check")),
        },
        ahead_of: ahead_of(case, plan),
        rules,
        placement: plan.placement.clone(),
        operations,
        verified: plan.verified,
    };
    (fix, absent)
}

fn ahead_of(case: &Case, plan: &FixPlan) -> Option<Arc<str>> {
    let Placement::Before(index) = &plan.placement else {
        return None;
    };
    let rules = match (&plan.subnet, &case.network_acl) {
        (Some(subnet), _) => {
            let mut ends = case.load_balancer_ends.iter();
            &ends.find(|end| end.subnet == *subnet)?.rules
        }
        (None, NetworkAclState::InForce { rules, .. }) => rules,
        (None, NetworkAclState::Absent | NetworkAclState::Off(_)) => return None,
    };
    let rules = rules.set.rules(plan.direction, case.traffic.family);
    let rule = rules.iter().find(|rule| rule.index == *index)?;
    Some(Arc::clone(&rule.name))
}

/// The array of an object to which new rules go.
struct Array<'a> {
    names: BTreeSet<&'a str>,
    /// Whether the manifest may lack it: it holds nothing, and no API server has put the empty array in.
    may_be_absent: bool,
}

impl<'a> Array<'a> {
    fn of(objects: &'a RuleObjects, layer: Layer, direction: Direction, name: &str) -> Option<Self> {
        fn array<'a>(object: &impl Resource, names: impl Iterator<Item = &'a str>) -> Array<'a> {
            let names: BTreeSet<&str> = names.collect();
            Array {
                may_be_absent: names.is_empty() && object.meta().resource_version.is_none(),
                names,
            }
        }
        match layer {
            Layer::SecurityGroup | Layer::SecurityGroupReply => {
                let mut groups = objects.security_groups.iter();
                let group = groups.find(|group| group.metadata.name.as_deref() == Some(name))?;
                let rules = group.spec.rules.iter();
                Some(array(&**group, rules.map(|rule| rule.name.as_str())))
            }
            Layer::NetworkAcl | Layer::LoadBalancerAcl => {
                let mut acls = objects.network_acl.iter().chain(&objects.load_balancer_acls);
                let acl = acls.find(|acl| acl.metadata.name.as_deref() == Some(name))?;
                let rules = match direction {
                    Direction::Ingress => &acl.spec.ingress,
                    Direction::Egress => &acl.spec.egress,
                };
                Some(array(&**acl, rules.iter().map(|rule| rule.name.as_str())))
            }
        }
    }
}

/// Names that are not taken.
fn free_names(taken: &BTreeSet<String>, direction: Direction) -> impl Iterator<Item = String> + '_ {
    let stem = match direction {
        Direction::Ingress => "health-check-in",
        Direction::Egress => "health-check-out",
    };
    let names = (1u32..).map(move |number| {
        if number == 1 {
            stem.to_owned()
        } else {
            format!("{stem}-{number}")
        }
    });
    names.filter(|name| !taken.contains(name))
}
