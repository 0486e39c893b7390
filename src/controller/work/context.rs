//! What every reconcile works with.

use std::sync::Arc;

use crate::{
    controller::{
        cache::{Cache, CatchUp},
        events::Events,
    },
    telemetry::Metrics,
};

use super::{pool::DiagnosisPool, write::Writer};

/// What a reconcile works with.
pub(in crate::controller) struct Context {
    pub(in crate::controller) cache: Arc<Cache>,
    pub(in crate::controller) catch_up: CatchUp,
    pub(in crate::controller) writer: Writer,
    pub(in crate::controller) pool: DiagnosisPool,
    pub(in crate::controller) events: Arc<Events>,
    pub(in crate::controller) metrics: Arc<Metrics>,
}
