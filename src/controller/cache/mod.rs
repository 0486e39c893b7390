//! What is known of the cluster: lists and watches feed it, workers read snapshots of it, and it knows how old each view is.

mod catch_up;
mod definitions;
mod freshness;
mod read;
mod start;
mod store;
mod watch;
mod wire;

pub(in crate::controller) use catch_up::{CatchUp, Standing};
pub use freshness::MAX_VIEW_AGE;
pub(in crate::controller) use start::start;
pub(in crate::controller) use store::Cache;
