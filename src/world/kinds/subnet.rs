//! A subnet as spans of addresses for each family.

use super::{invalid, kept_in};
use crate::{
    api::v1alpha1::Subnet,
    engine::{Family, Span, prefix_span},
    world::{entry::Compile, parse, references::Node, refusal::Violation},
};

/// The prefixes of a subnet, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct CompiledSubnet {
    v4: Vec<Span<u128>>,
    v6: Vec<Span<u128>>,
    /// Prefixes that are none.
    pub(crate) violations: Vec<Violation>,
}

impl CompiledSubnet {
    /// Its prefixes of a family.
    pub(crate) fn prefixes(&self, family: Family) -> &[Span<u128>] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

kept_in!(Subnet, subnets);

impl Compile for Subnet {
    type Compiled = CompiledSubnet;

    fn compile(&self) -> CompiledSubnet {
        let object = format!("Subnet {}", self.metadata.name.as_deref().unwrap_or_default());
        let mut out = CompiledSubnet::default();
        for (at, cidr) in self.spec.cidrs.iter().enumerate() {
            match parse::prefix(cidr) {
                Ok(net) if net.addr().is_ipv4() => out.v4.push(prefix_span(&net)),
                Ok(net) => out.v6.push(prefix_span(&net)),
                Err(message) => out
                    .violations
                    .push(invalid(&object, format!("spec.cidrs[{at}]"), message)),
            }
        }
        out
    }

    fn own_violations(compiled: &Self::Compiled) -> Vec<&Violation> {
        compiled.violations.iter().collect()
    }

    fn references(&self) -> Vec<Node> {
        Vec::new()
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    // It has no status that tells its generation.
    fn reads_same(&self, other: &Self) -> bool {
        self.same_spec(other)
    }
}
