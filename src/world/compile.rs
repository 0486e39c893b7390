//! Security groups, network ACLs and address groups into rule sets that the engine judges. Done once for each change and
//! shared by all backends.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    api::v1alpha1::{
        AclEndpoint, AclRule, AddressGroup, Direction as ApiDirection, IpVersion, NetworkACL, RuleAction,
        SecurityGroup, SecurityGroupRule,
    },
    engine::{
        Action, AddressMatch, AddressSet, Direction, Family, PortMatch, ProtocolMatch, Rule, RuleSet, Span, SpanSet,
        prefix_span,
    },
};

use super::{
    parse,
    refusal::{Fault, Faults},
};

/// An address group by family.
#[derive(Clone, Debug, Default)]
pub struct CompiledAddresses {
    pub(super) addresses: Arc<AddressSet>,
    pub(super) faults: Faults,
}

/// A security group or network ACL, ready to judge, or what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct CompiledRules {
    pub(super) rules: Arc<RuleSet>,
    pub(super) faults: Faults,
}

/// Where address groups are looked up, by name; `None` where there is none.
pub(super) type AddressGroups<'a> = dyn Fn(&str) -> Option<&'a CompiledAddresses> + 'a;

/// Reads an address group.
pub(super) fn address_group(name: &str, group: &AddressGroup) -> CompiledAddresses {
    let mut spans: [Vec<Span<u128>>; 2] = Default::default();
    let mut faults = Faults::default();
    for (at, text) in group.spec.addresses.iter().enumerate() {
        match parse::address_group_entry(text) {
            Ok((family, span)) => {
                let [v4, v6] = &mut spans;
                if family == Family::V4 {
                    v4.push(span);
                } else {
                    v6.push(span);
                }
            }
            Err(message) => faults.invalid.push(Fault {
                object: format!("AddressGroup {name}"),
                field: format!("spec.addresses[{at}]"),
                message,
            }),
        }
    }
    let [v4, v6] = spans;
    CompiledAddresses {
        addresses: Arc::new(AddressSet {
            v4: v4.into_iter().collect(),
            v6: v6.into_iter().collect(),
        }),
        faults,
    }
}

pub(super) fn family(version: IpVersion) -> Family {
    match version {
        IpVersion::IPv4 => Family::V4,
        IpVersion::IPv6 => Family::V6,
    }
}

fn action(action: RuleAction) -> Action {
    match action {
        RuleAction::Allow => Action::Allow,
        RuleAction::Deny => Action::Deny,
    }
}

/// The address groups that an object names, each once.
#[derive(Default)]
struct Slots {
    names: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, u32>,
}

impl Slots {
    fn of(&mut self, name: &str) -> u32 {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        let slot = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.by_name.insert(name, slot);
        slot
    }
}

/// Reads the fields of one rule; collects every fault instead of stopping at the first.
struct Reader<'a, 'g> {
    object: &'a str,
    rule: String,
    family: Family,
    groups: &'a AddressGroups<'g>,
    slots: &'a mut Slots,
    faults: &'a mut Faults,
}

impl Reader<'_, '_> {
    fn invalid(&mut self, field: &str, message: impl Into<String>) {
        self.faults.invalid.push(Fault {
            object: self.object.to_owned(),
            field: format!("{}.{field}", self.rule),
            message: message.into(),
        });
    }

    fn protocol(&mut self, protocol: Option<&str>, has_ports: bool) -> ProtocolMatch {
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
                    self.invalid(
                        "protocol",
                        format!("{text:?} has no ports; only tcp and udp rules may have them"),
                    );
                }
                protocol
            }
            Err(message) => {
                self.invalid("protocol", message);
                ProtocolMatch::All
            }
        }
    }

    fn ports(&mut self, field: &str, ports: Option<&str>) -> PortMatch {
        let Some(text) = ports else { return PortMatch::ALL };
        parse::ports(text).unwrap_or_else(|message| {
            self.invalid(field, message);
            PortMatch::ALL
        })
    }

    fn cidr(&mut self, field: &str, text: &str) -> AddressMatch {
        match parse::prefix(text) {
            Ok(net) if Family::of(net.addr()) == self.family => AddressMatch::Set(prefix_span(&net).into()),
            Ok(_) => {
                let family = if self.family == Family::V4 { "IPv4" } else { "IPv6" };
                self.invalid(
                    &format!("{field}.cidr"),
                    format!("{text:?} is not of the rule's family, {family}"),
                );
                AddressMatch::Set(SpanSet::default())
            }
            Err(message) => {
                self.invalid(&format!("{field}.cidr"), message);
                AddressMatch::Set(SpanSet::default())
            }
        }
    }

    fn address_group(&mut self, field: &str, name: &str) -> AddressMatch {
        if let Some(group) = (self.groups)(name) {
            self.faults.merge(&group.faults);
            AddressMatch::Group(self.slots.of(name))
        } else {
            self.faults.missing.push(Fault {
                object: self.object.to_owned(),
                field: format!("{}.{field}.addressGroupRef.name", self.rule),
                message: format!("AddressGroup {name:?} not found"),
            });
            AddressMatch::Set(SpanSet::default())
        }
    }
}

/// Reads a security group; its disabled rules do not exist (domain §3).
pub(super) fn security_group(name: &str, group: &SecurityGroup, groups: &AddressGroups<'_>) -> CompiledRules {
    let object = format!("SecurityGroup {name}");
    let mut out = RuleSet::new(name);
    out.from_server = group.metadata.resource_version.is_some();
    let mut faults = Faults::default();
    let mut slots = Slots::default();
    for (at, rule) in group.spec.rules.iter().enumerate() {
        let (direction, slot) = match rule.direction {
            ApiDirection::Ingress => (Direction::Ingress, 0),
            ApiDirection::Egress => (Direction::Egress, 1),
        };
        let rule_name: Arc<str> = rule.name.as_str().into();
        if let Some(names) = out.names.get_mut(slot) {
            names.push(Arc::clone(&rule_name));
        }
        if !rule.enabled {
            continue;
        }
        let family = family(rule.ethertype);
        let mut reader = Reader {
            object: &object,
            rule: format!("spec.rules[{at}] ({})", rule.name),
            family,
            groups,
            slots: &mut slots,
            faults: &mut faults,
        };
        let compiled = Rule {
            action: action(rule.action),
            protocol: reader.protocol(rule.protocol.as_deref(), rule.ports.is_some()),
            remote: remote(&mut reader, rule),
            remote_ports: PortMatch::ALL,
            local: AddressMatch::Any,
            local_ports: reader.ports("ports", rule.ports.as_deref()),
            index: u32::try_from(at).unwrap_or(u32::MAX),
            priority: rule.priority,
            name: rule_name,
        };
        if !(1..=100).contains(&rule.priority) {
            reader.invalid("priority", format!("{} is not from 1 to 100", rule.priority));
        }
        out.push(direction, family, compiled);
    }
    duplicates(
        &object,
        "spec.rules",
        group.spec.rules.iter().map(|rule| rule.name.as_str()),
        &mut faults,
    );
    out.sort_by_priority();
    out.group_names = slots.names;
    CompiledRules {
        rules: Arc::new(out),
        faults,
    }
}

fn remote(reader: &mut Reader<'_, '_>, rule: &SecurityGroupRule) -> AddressMatch {
    let Some(remote) = &rule.remote else {
        return AddressMatch::Any;
    };
    match (&remote.cidr, &remote.security_group_ref, &remote.address_group_ref) {
        (Some(cidr), None, None) => reader.cidr("remote", cidr),
        (None, Some(group), None) => AddressMatch::Members(group.name.as_str().into()),
        (None, None, Some(group)) => reader.address_group("remote", &group.name),
        _ => {
            reader.invalid(
                "remote",
                "exactly one of cidr, securityGroupRef and addressGroupRef must be set",
            );
            AddressMatch::Set(SpanSet::default())
        }
    }
}

/// Reads a network ACL; its disabled rules do not exist (domain §4).
pub(super) fn network_acl(name: &str, acl: &NetworkACL, groups: &AddressGroups<'_>) -> CompiledRules {
    let object = format!("NetworkACL {name}");
    let mut out = RuleSet::new(name);
    out.from_server = acl.metadata.resource_version.is_some();
    let mut faults = Faults::default();
    let mut slots = Slots::default();
    for (slot, (direction, path, rules)) in [
        (Direction::Ingress, "ingress", &acl.spec.ingress),
        (Direction::Egress, "egress", &acl.spec.egress),
    ]
    .into_iter()
    .enumerate()
    {
        for (at, rule) in rules.iter().enumerate() {
            let rule_name: Arc<str> = rule.name.as_str().into();
            if let Some(names) = out.names.get_mut(slot) {
                names.push(Arc::clone(&rule_name));
            }
            if !rule.enabled {
                continue;
            }
            let family = family(rule.ip_version);
            let mut reader = Reader {
                object: &object,
                rule: format!("spec.{path}[{at}] ({})", rule.name),
                family,
                groups,
                slots: &mut slots,
                faults: &mut faults,
            };
            let compiled = acl_rule(&mut reader, direction, at, rule, rule_name);
            out.push(direction, family, compiled);
        }
        duplicates(
            &object,
            &format!("spec.{path}"),
            rules.iter().map(|rule| rule.name.as_str()),
            &mut faults,
        );
    }
    out.group_names = slots.names;
    CompiledRules {
        rules: Arc::new(out),
        faults,
    }
}

fn acl_rule(reader: &mut Reader<'_, '_>, direction: Direction, at: usize, rule: &AclRule, name: Arc<str>) -> Rule {
    let has_ports = rule.source_ports.is_some() || rule.destination_ports.is_some();
    let source = (
        endpoint(reader, "source", rule.source.as_ref()),
        reader.ports("sourcePorts", rule.source_ports.as_deref()),
    );
    let destination = (
        endpoint(reader, "destination", rule.destination.as_ref()),
        reader.ports("destinationPorts", rule.destination_ports.as_deref()),
    );
    let ((remote, remote_ports), (local, local_ports)) = match direction {
        Direction::Ingress => (source, destination),
        Direction::Egress => (destination, source),
    };
    Rule {
        action: action(rule.action),
        protocol: reader.protocol(rule.protocol.as_deref(), has_ports),
        remote,
        remote_ports,
        local,
        local_ports,
        index: u32::try_from(at).unwrap_or(u32::MAX),
        priority: 0,
        name,
    }
}

fn endpoint(reader: &mut Reader<'_, '_>, field: &str, endpoint: Option<&AclEndpoint>) -> AddressMatch {
    let Some(endpoint) = endpoint else {
        return AddressMatch::Any;
    };
    match (&endpoint.cidr, &endpoint.address_group_ref) {
        (Some(cidr), None) => reader.cidr(field, cidr),
        (None, Some(group)) => reader.address_group(field, &group.name),
        _ => {
            reader.invalid(field, "exactly one of cidr and addressGroupRef must be set");
            AddressMatch::Set(SpanSet::default())
        }
    }
}

/// Reports names that occur twice in an array.
pub(super) fn duplicates<'a>(object: &str, field: &str, names: impl Iterator<Item = &'a str>, faults: &mut Faults) {
    let mut seen = HashSet::new();
    for (at, name) in names.enumerate() {
        if !seen.insert(name) {
            faults.invalid.push(Fault {
                object: object.to_owned(),
                field: format!("{field}[{at}].name"),
                message: format!("{name:?} occurs twice; names must be unique"),
            });
        }
    }
}
