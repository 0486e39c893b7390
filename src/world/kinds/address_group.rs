//! An address group as a set of addresses for each family, shared by all rules that name it.

use std::sync::Arc;

use super::{invalid, kept_in};
use crate::{
    api::v1alpha1::AddressGroup,
    engine::{AddressSet, Family, Span},
    world::{entry::Compile, parse, references::Node, refusal::Violation},
};

/// The addresses of a group, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct CompiledAddressGroup {
    /// Its addresses.
    pub(crate) addresses: Arc<AddressSet>,
    /// Entries that are no addresses.
    pub(crate) violations: Vec<Violation>,
}

kept_in!(AddressGroup, address_groups);

impl Compile for AddressGroup {
    type Compiled = CompiledAddressGroup;

    fn compile(&self) -> CompiledAddressGroup {
        let object = format!("AddressGroup {}", self.metadata.name.as_deref().unwrap_or_default());
        let (mut v4, mut v6): (Vec<Span<u128>>, Vec<Span<u128>>) = Default::default();
        let mut violations = Vec::new();
        for (at, text) in self.spec.addresses.iter().enumerate() {
            match parse::address_group_entry(text) {
                Ok((Family::V4, span)) => v4.push(span),
                Ok((Family::V6, span)) => v6.push(span),
                Err(message) => violations.push(invalid(&object, format!("spec.addresses[{at}]"), message)),
            }
        }
        let addresses = AddressSet {
            v4: v4.into_iter().collect(),
            v6: v6.into_iter().collect(),
        };
        CompiledAddressGroup {
            addresses: Arc::new(addresses),
            violations,
        }
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
