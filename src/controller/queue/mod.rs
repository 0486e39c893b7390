//! The work queue: keys that ought to be looked at, each at most once at a time.
//!
//! The meaning is that of client-go's workqueue. A key that is added twice before a worker takes it is handed out once;
//! a key that is added while a worker has it is handed out again after that worker is done, and never to two workers
//! at once. Keys that failed come back after a delay that grows with each failure; keys can be added for later.
//!
//! Two lanes: what has just changed goes before what is only looked at again ([`Lane::Sweep`]: after a start, a change of
//! leader, a resync), so that a fresh mark does not wait behind a hundred thousand unchanged objects. But only seven changes
//! go before each swept key that waits: a sweep ends however many changes come. Within a lane the tenants take turns,
//! and of one tenant no more keys than the limit are with workers at once, so that no tenant keeps another waiting. A key that
//! is put back keeps the lane that it came by.
//!
//! [`untimed::Core`] is the queue without a clock; [`Queue`] adds the clock, the lock and the waiting. Neither knows what a key is.

mod key;
mod line;
mod timed;
mod untimed;

pub(super) use key::{Lane, Tenanted};
pub(super) use line::Line;
pub(super) use timed::Queue;
