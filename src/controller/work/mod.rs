//! Work: what is done about a key that is due.

mod answer;
mod dispute;
mod leftover;
mod pool;
mod status;
mod write;

pub(super) use pool::DiagnosisPool;
pub(super) use status::OwnStatus;
pub(super) use write::{Guard, Writer, field_manager};
