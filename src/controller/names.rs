//! The name under which the controller writes.

/// Field manager of every write, and reporting controller of every event.
pub(in crate::controller) const FIELD_MANAGER: &str = "elb-doctor";
