//! What security groups and network ACLs have in common: rules as manifests write them into rules as the engine judges them.
//!
//! Address groups stay names here (slots of the rule set), so that a change of one recompiles nobody; a diagnosis puts the
//! addresses in as they are then.

use std::{collections::HashMap, sync::Arc};

use super::invalid;
use crate::{
    api::v1alpha1::{IpVersion, RuleAction},
    engine::{Action, AddressMatch, Family, PortMatch, ProtocolMatch, RuleSet, SpanSet},
    world::{parse, refusal::Violation},
};

/// A security group or network ACL, ready to judge, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct CompiledRules {
    /// Its rules; those that are disabled do not exist (semantics §3, §4).
    pub(crate) rules: Arc<RuleSet>,
    /// What is wrong with its own fields or may be with address groups that enabled rules name, in the order of the rules.
    pub(crate) issues: Vec<Issue>,
}

impl CompiledRules {
    /// What is wrong with its own fields.
    pub(super) fn own_violations(&self) -> Vec<&Violation> {
        let own = self.issues.iter().filter_map(|issue| match issue {
            Issue::Invalid(violation) => Some(violation),
            Issue::Uses(_) => None,
        });
        own.collect()
    }
}

/// Something that is wrong with rules, or may be.
#[derive(Debug)]
pub(crate) enum Issue {
    /// A value that no rule can be made of.
    Invalid(Violation),
    /// An address group that must be there and in order.
    Uses(GroupUse),
}

/// Where an enabled rule names an address group.
#[derive(Debug)]
pub(crate) struct GroupUse {
    /// Name of the address group.
    pub(crate) group: Arc<str>,
    array: &'static str,
    index: usize,
    end: &'static str,
    rule: Arc<str>,
}

impl GroupUse {
    /// The path of the field that names the group.
    pub(crate) fn field(&self) -> String {
        let Self {
            array,
            index,
            end,
            rule,
            ..
        } = self;
        format!("{array}[{index}] ({rule}).{end}.addressGroupRef.name")
    }
}

pub(super) fn family(version: IpVersion) -> Family {
    match version {
        IpVersion::IPv4 => Family::V4,
        IpVersion::IPv6 => Family::V6,
    }
}

pub(super) fn action(action: RuleAction) -> Action {
    match action {
        RuleAction::Allow => Action::Allow,
        RuleAction::Deny => Action::Deny,
    }
}

/// Reads the rules of one object; collects every violation instead of stopping at the first.
pub(super) struct Reader {
    object: String,
    slots: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    issues: Vec<Issue>,
}

impl Reader {
    /// For an object of that kind and name, such as `SecurityGroup web`.
    pub(super) fn new(object: String) -> Self {
        Self {
            object,
            slots: HashMap::new(),
            names: Vec::new(),
            issues: Vec::new(),
        }
    }

    /// The reader of one rule.
    pub(super) fn rule(&mut self, array: &'static str, index: usize, name: &Arc<str>, family: Family) -> Rule<'_> {
        Rule {
            reader: self,
            array,
            index,
            name: Arc::clone(name),
            family,
        }
    }

    /// Notes violations that no single rule has.
    pub(super) fn violations(&mut self, violations: Vec<Violation>) {
        self.issues.extend(violations.into_iter().map(Issue::Invalid));
    }

    /// What the object is called in violations.
    pub(super) fn object(&self) -> &str {
        &self.object
    }

    /// The names of the address groups by slot, and all that is or may be wrong.
    pub(super) fn done(self) -> (Vec<Arc<str>>, Vec<Issue>) {
        (self.names, self.issues)
    }

    fn slot(&mut self, group: &str) -> (u32, Arc<str>) {
        if let Some((name, slot)) = self.slots.get_key_value(group) {
            return (*slot, Arc::clone(name));
        }
        let name: Arc<str> = group.into();
        let slot = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.slots.insert(Arc::clone(&name), slot);
        self.names.push(Arc::clone(&name));
        (slot, name)
    }
}

/// Reads the fields of one rule.
pub(super) struct Rule<'a> {
    reader: &'a mut Reader,
    array: &'static str,
    index: usize,
    name: Arc<str>,
    family: Family,
}

impl Rule<'_> {
    pub(super) fn invalid(&mut self, field: &str, message: impl Into<String>) {
        let field = format!("{}[{}] ({}).{field}", self.array, self.index, self.name);
        let violation = invalid(&self.reader.object, field, message);
        self.reader.issues.push(Issue::Invalid(violation));
    }

    pub(super) fn protocol(&mut self, protocol: Option<&str>, has_ports: bool) -> ProtocolMatch {
        let Some(text) = protocol else {
            return if has_ports {
                ProtocolMatch::TcpUdp
            } else {
                ProtocolMatch::All
            };
        };
        match parse::protocol(text, self.family) {
            Ok(protocol) => {
                if has_ports && !matches!(protocol, ProtocolMatch::One(6 | 17)) {
                    let message = format!("{text:?} has no ports; only tcp and udp rules may have them");
                    self.invalid("protocol", message);
                }
                protocol
            }
            Err(message) => {
                self.invalid("protocol", message);
                ProtocolMatch::All
            }
        }
    }

    pub(super) fn ports(&mut self, field: &str, ports: Option<&str>) -> PortMatch {
        let Some(text) = ports else { return PortMatch::ALL };
        parse::ports(text).unwrap_or_else(|message| {
            self.invalid(field, message);
            PortMatch::ALL
        })
    }

    pub(super) fn cidr(&mut self, end: &str, text: &str) -> AddressMatch {
        let message = match parse::prefix(text) {
            Ok(net) if Family::of(net.addr()) == self.family => return AddressMatch::prefix(&net),
            Ok(_) => {
                let family = if self.family == Family::V4 { "IPv4" } else { "IPv6" };
                format!("{text:?} is not an {family} prefix, but the rule is for {family}")
            }
            Err(message) => message,
        };
        self.invalid(&format!("{end}.cidr"), message);
        AddressMatch::Set(SpanSet::default())
    }

    pub(super) fn address_group(&mut self, end: &'static str, name: &str) -> AddressMatch {
        let (slot, group) = self.reader.slot(name);
        self.reader.issues.push(Issue::Uses(GroupUse {
            group,
            array: self.array,
            index: self.index,
            end,
            rule: Arc::clone(&self.name),
        }));
        AddressMatch::Group(slot)
    }
}
