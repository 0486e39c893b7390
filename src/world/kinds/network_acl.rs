//! A network ACL in the form in which it is judged (semantics §4).

use std::sync::Arc;

use super::{
    CompiledRules, duplicates, kept_in,
    rules::{Reader, Rule as RuleReader, action, family},
};
use crate::{
    api::v1alpha1::{AclEndpoint, AclRule, Kind, NetworkACL},
    engine::{AddressMatch, Direction, Rule, RuleSet, SpanSet},
    world::{entry::Compile, references::Node, refusal::Violation},
};

kept_in!(NetworkACL, network_acls);

impl Compile for NetworkACL {
    type Compiled = CompiledRules;

    fn compile(&self) -> CompiledRules {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let mut reader = Reader::new(format!("NetworkACL {name}"));
        let mut out = RuleSet::new(name);
        let sides = [
            (Direction::Ingress, "spec.ingress", &self.spec.ingress),
            (Direction::Egress, "spec.egress", &self.spec.egress),
        ];
        for (slot, (direction, array, rules)) in sides.into_iter().enumerate() {
            for (at, rule) in rules.iter().enumerate() {
                let rule_name: Arc<str> = rule.name.as_str().into();
                if let Some(written) = out.written.get_mut(slot) {
                    *written += 1;
                }
                if !rule.enabled {
                    continue;
                }
                let family = family(rule.ip_version);
                let mut reader = reader.rule(array, at, &rule_name, family);
                let compiled = compile_rule(&mut reader, direction, at, rule, rule_name);
                out.push(direction, family, compiled);
            }
            let names = rules.iter().map(|rule| rule.name.as_str());
            let twice = duplicates(reader.object(), array, names);
            reader.violations(twice);
        }
        let (group_names, issues) = reader.done();
        out.group_names = group_names;
        CompiledRules {
            rules: Arc::new(out),
            issues,
        }
    }

    fn own_violations(compiled: &Self::Compiled) -> Vec<&Violation> {
        compiled.own_violations()
    }

    fn references(&self) -> Vec<Node> {
        let spec = &self.spec;
        let rules = spec.ingress.iter().chain(&spec.egress);
        let ends = rules
            .flat_map(|rule| [rule.source.as_ref(), rule.destination.as_ref()])
            .flatten();
        // Disabled rules too: enabling one is a change of the ACL itself.
        let groups = ends.filter_map(|end| end.address_group_ref.as_ref());
        let groups = groups.map(|group| (Kind::AddressGroup, group.name.as_str().into()));
        let subnets = spec.subnet_refs.iter();
        let subnets = subnets.map(|subnet| (Kind::Subnet, subnet.name.as_str().into()));
        subnets.chain(groups).collect()
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

fn compile_rule(reader: &mut RuleReader<'_>, direction: Direction, at: usize, rule: &AclRule, name: Arc<str>) -> Rule {
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

fn endpoint(reader: &mut RuleReader<'_>, end: &'static str, endpoint: Option<&AclEndpoint>) -> AddressMatch {
    let Some(endpoint) = endpoint else {
        return AddressMatch::Any;
    };
    match (&endpoint.cidr, &endpoint.address_group_ref) {
        (Some(cidr), None) => reader.cidr(end, cidr),
        (None, Some(group)) => reader.address_group(end, &group.name),
        _ => {
            reader.invalid(end, "exactly one of cidr and addressGroupRef must be set");
            AddressMatch::Set(SpanSet::default())
        }
    }
}
