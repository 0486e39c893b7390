//! What an operator sees of a running controller: logs, metrics, probes.

mod admin;
mod log_limiter;
mod logs;
mod metrics;

pub use admin::{AdminServer, Readiness};
pub(crate) use log_limiter::LogLimiter;
pub use logs::{LogFormat, init as init_logs, parse_filter};
pub use metrics::{ControllerMetrics, Metrics, QueueMetrics, WriteResult};
