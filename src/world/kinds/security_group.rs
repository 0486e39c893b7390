//! A security group in the form in which it is judged (semantics §3).

use std::sync::Arc;

use super::{
    CompiledRules, duplicates, kept_in,
    rules::{Reader, Rule as RuleReader, action, family},
};
use crate::{
    api::v1alpha1::{Direction as ApiDirection, Kind, SecurityGroup, SecurityGroupRule},
    engine::{AddressMatch, Direction, PortMatch, Rule, RuleSet, SpanSet},
    world::{entry::Compile, references::Node, refusal::Violation},
};

kept_in!(SecurityGroup, security_groups);

impl Compile for SecurityGroup {
    type Compiled = CompiledRules;

    fn compile(&self) -> CompiledRules {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let mut reader = Reader::new(format!("SecurityGroup {name}"));
        let mut out = RuleSet::new(name);
        for (at, rule) in self.spec.rules.iter().enumerate() {
            let (direction, slot) = match rule.direction {
                ApiDirection::Ingress => (Direction::Ingress, 0),
                ApiDirection::Egress => (Direction::Egress, 1),
            };
            let rule_name: Arc<str> = rule.name.as_str().into();
            if let Some(written) = out.written.get_mut(slot) {
                *written += 1;
            }
            if !rule.enabled {
                continue;
            }
            let family = family(rule.ethertype);
            let mut reader = reader.rule("spec.rules", at, &rule_name, family);
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
        let names = self.spec.rules.iter().map(|rule| rule.name.as_str());
        let twice = duplicates(reader.object(), "spec.rules", names);
        reader.violations(twice);
        out.sort_by_priority();
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
        // Disabled rules too: enabling one is a change of the group itself.
        let remotes = self.spec.rules.iter();
        let groups = remotes.filter_map(|rule| rule.remote.as_ref()?.address_group_ref.as_ref());
        groups
            .map(|group| (Kind::AddressGroup, group.name.as_str().into()))
            .collect()
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

fn remote(reader: &mut RuleReader<'_>, rule: &SecurityGroupRule) -> AddressMatch {
    let Some(remote) = &rule.remote else {
        return AddressMatch::Any;
    };
    match (&remote.cidr, &remote.security_group_ref, &remote.address_group_ref) {
        (Some(cidr), None, None) => reader.cidr("remote", cidr),
        (None, Some(group), None) => AddressMatch::Members(group.name.as_str().into()),
        (None, None, Some(group)) => reader.address_group("remote", &group.name),
        _ => {
            let message = "exactly one of cidr, securityGroupRef and addressGroupRef must be set";
            reader.invalid("remote", message);
            AddressMatch::Set(SpanSet::default())
        }
    }
}
