//! What becomes of each item: passed, not applicable and why, or failed with what was found.

use std::sync::Arc;

use super::{CheckId, Dimension, Direction, Layer, Leg, evidence::Evidence};

/// Effect on the health check, the least first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Impact {
    /// No item failed.
    None,
    /// Items failed, but no probe is dropped for it.
    Advisory,
    /// Some probes are dropped.
    Intermittent,
    /// Every probe is dropped.
    Blocks,
}

/// Why there is nothing that an item could fail for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// Port security is off: security groups are not applied.
    PortSecurityOff,
    /// The subnet has no network ACL.
    NoNetworkAcl,
    /// The subnet's network ACL of this name is switched off.
    NetworkAclOff(Arc<str>),
    /// Every required packet stays within the server's own subnet.
    WithinSubnet,
    /// Every required packet goes to the prefix to which outbound traffic always passes.
    AlwaysOutbound,
    /// Every required packet does the one or the other.
    WithinSubnetOrAlwaysOutbound,
    /// No health check port is set.
    NoHealthCheckPort,
}

/// What was found about a failed item of a layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleFinding {
    /// The layer.
    pub layer: Layer,
    /// The direction.
    pub direction: Direction,
    /// What the item looks at.
    pub dimension: Dimension,
    /// The leg that is shown.
    pub leg: Leg,
    /// Whether the other leg fails the item too, beside the one shown.
    pub both_legs: bool,
    /// Effect of this item by itself, as far as likely packets go.
    pub impact: Impact,
    /// The evidence.
    pub evidence: Evidence,
}

/// What was found about a failed item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// Rules drop some required packet.
    Rules(Box<RuleFinding>),
    /// The health check port is not the backend server's own.
    Configuration {
        /// The health check port.
        port: u16,
        /// The backend server's own port.
        own: u16,
    },
}

impl Finding {
    /// Effect of this item by itself.
    #[must_use]
    pub fn impact(&self) -> Impact {
        match self {
            Self::Rules(found) => found.impact,
            Self::Configuration { .. } => Impact::Advisory,
        }
    }
}

/// What was found beyond the items of the page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BeyondFinding {
    /// Which of [`CheckId::BEYOND`].
    pub check: CheckId,
    /// The load balancer's subnet, where it is about one.
    pub subnet: Option<Arc<str>>,
    /// What was found.
    pub found: RuleFinding,
}

/// What became of one item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Every required packet passes.
    Passed,
    /// There is nothing that it could fail for.
    NotApplicable(Why),
    /// It failed.
    Failed(Finding),
}

/// What became of each item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcomes([Outcome; CheckId::COUNT]);

impl Default for Outcomes {
    fn default() -> Self {
        Self([const { Outcome::Passed }; CheckId::COUNT])
    }
}

impl Outcomes {
    /// What became of an item.
    #[must_use]
    pub fn get(&self, check: CheckId) -> &Outcome {
        // There is one for each item.
        self.0.get(check as usize).unwrap_or(&Outcome::Passed)
    }

    pub(crate) fn set(&mut self, check: CheckId, outcome: Outcome) {
        if let Some(own) = self.0.get_mut(check as usize) {
            *own = outcome;
        }
    }

    /// Every item with what became of it, in table order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (CheckId, &Outcome)> {
        CheckId::ALL.into_iter().zip(&self.0)
    }

    /// The failed items in table order.
    #[must_use]
    pub fn findings(&self) -> impl DoubleEndedIterator<Item = (CheckId, &Finding)> {
        self.iter().filter_map(|(check, outcome)| match outcome {
            Outcome::Failed(finding) => Some((check, finding)),
            Outcome::Passed | Outcome::NotApplicable(_) => None,
        })
    }

    /// What was found about one direction of one layer, in table order.
    pub fn of_side(&self, layer: Layer, direction: Direction) -> impl Iterator<Item = &RuleFinding> {
        self.findings().filter_map(move |(_, finding)| match finding {
            Finding::Rules(found) if (found.layer, found.direction) == (layer, direction) => Some(&**found),
            Finding::Rules(_) | Finding::Configuration { .. } => None,
        })
    }

    /// Why one direction of one layer does not apply as a whole.
    #[must_use]
    pub fn not_applicable(&self, layer: Layer, direction: Direction) -> Option<&Why> {
        let (check, _) = CheckId::of(layer, direction).first()?;
        match self.get(*check) {
            Outcome::NotApplicable(why) => Some(why),
            Outcome::Passed | Outcome::Failed(_) => None,
        }
    }

    /// The gravest failed item: by effect, then severity, then table order.
    #[must_use]
    pub fn gravest(&self) -> Option<(CheckId, &Finding)> {
        self.findings()
            .rev()
            .max_by_key(|(check, finding)| (finding.impact(), check.severity()))
    }
}
