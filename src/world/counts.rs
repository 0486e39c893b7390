//! How many backend servers each load balancer has, by displayed health: kept current with each change, so that telling it
//! costs the same for one backend server as for a hundred thousand.

use std::sync::Arc;

use crate::api::v1alpha1::{BackendCounts, HealthState};

/// Counts by the name of the load balancer, which need not be there.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(imbl::OrdMap<Arc<str>, BackendCounts>);

impl Counts {
    pub(super) fn of(&self, load_balancer: &str) -> BackendCounts {
        self.0.get(load_balancer).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, counted: &Counted, sign: Sign) {
        let mut counts = self.of(&counted.load_balancer);
        let step = |number: &mut u32, by: bool| {
            if by {
                *number = match sign {
                    Sign::Plus => number.saturating_add(1),
                    Sign::Minus => number.saturating_sub(1),
                };
            }
        };
        step(&mut counts.total, true);
        step(&mut counts.healthy, counted.displayed == HealthState::Healthy);
        step(&mut counts.unhealthy, counted.displayed == HealthState::Unhealthy);
        step(&mut counts.unknown, counted.displayed == HealthState::Unknown);
        step(&mut counts.faulty, counted.faulty);
        if counts.total == 0 {
            self.0.remove(&counted.load_balancer);
        } else {
            self.0.insert(Arc::clone(&counted.load_balancer), counts);
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Sign {
    Plus,
    Minus,
}

/// What one backend server counts as.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Counted {
    pub(super) load_balancer: Arc<str>,
    pub(super) displayed: HealthState,
    pub(super) faulty: bool,
}
