//! A line of keys in which every tenant has its turn.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::key::Tenanted;

/// Keys that wait, in order for each tenant; the tenants take turns. Every operation is logarithmic, and what is removed leaves
/// nothing behind.
#[derive(Debug)]
pub(in crate::controller) struct Line<K> {
    tenants: HashMap<Arc<str>, Tenant<K>>,
    /// Whose turn it is next, by number.
    turns: BTreeMap<u64, Arc<str>>,
    next: u64,
}

#[derive(Debug)]
struct Tenant<K> {
    turn: u64,
    keys: BTreeMap<u64, K>,
}

impl<K> Default for Line<K> {
    fn default() -> Self {
        Self {
            tenants: HashMap::new(),
            turns: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<K: Tenanted> Line<K> {
    /// Lets a key wait behind all others of its tenant, and says at which place.
    pub(in crate::controller) fn push(&mut self, key: K) -> u64 {
        let place = self.number();
        if let Some(tenant) = self.tenants.get_mut(key.tenant()) {
            tenant.keys.insert(place, key);
        } else {
            let name: Arc<str> = key.tenant().into();
            let turn = self.number();
            self.turns.insert(turn, name.clone());
            let keys = BTreeMap::from([(place, key)]);
            self.tenants.insert(name, Tenant { turn, keys });
        }
        place
    }

    /// Takes the key at that place out.
    pub(in crate::controller) fn remove(&mut self, tenant: &str, place: u64) {
        if let Some(held) = self.tenants.get_mut(tenant) {
            held.keys.remove(&place);
            if held.keys.is_empty() {
                let turn = held.turn;
                self.tenants.remove(tenant);
                self.turns.remove(&turn);
            }
        }
    }

    /// The oldest key of the next tenant that may have one now. A tenant that is passed over keeps its turn.
    pub(in crate::controller) fn pop(&mut self, may: impl Fn(&str) -> bool) -> Option<K> {
        let (turn, name) = self.turns.iter().find(|(_, name)| may(name))?;
        let (turn, name) = (*turn, name.clone());
        self.turns.remove(&turn);
        let number = self.number();
        let tenant = self.tenants.get_mut(&name)?;
        let (_, key) = tenant.keys.pop_first()?;
        if tenant.keys.is_empty() {
            self.tenants.remove(&name);
        } else {
            tenant.turn = number;
            self.turns.insert(number, name);
        }
        Some(key)
    }

    pub(in crate::controller) fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// How many keys wait.
    #[cfg(test)]
    pub(in crate::controller) fn len(&self) -> usize {
        assert_eq!(self.tenants.len(), self.turns.len(), "a turn for each tenant");
        self.tenants.values().map(|tenant| tenant.keys.len()).sum()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
