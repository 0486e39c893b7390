//! What events tell.

/// A change of state that an admin should hear of.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::controller) struct Transition {
    pub(in crate::controller) warning: bool,
    /// `CamelCase`: the finding.
    pub(in crate::controller) reason: String,
    pub(in crate::controller) note: String,
    /// What the controller did, in the imperative.
    pub(in crate::controller) action: &'static str,
}
