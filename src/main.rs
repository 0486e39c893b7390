//! The `elb-doctor` program.
#![forbid(unsafe_code)]
fn main() {}
