//! Exit statuses besides 0.

/// A fault was found.
pub const FAULTS: u8 = 1;
/// Input could not be read, an object is invalid, or the program could not do its work.
pub const INVALID: u8 = 2;
/// There was nothing to diagnose, or everything was refused.
pub const NOTHING_DIAGNOSED: u8 = 3;
