//! Items that look at how the health check is configured, not at rules.

use super::{
    Case,
    check::Setting,
    outcome::{Finding, Outcome, Why},
};

/// Judges one of them.
pub(crate) fn judge(setting: Setting, case: &Case) -> Outcome {
    match setting {
        Setting::Port => port(case),
    }
}

/// A health check port is set, for the member or the group, and is not the backend server's own.
fn port(case: &Case) -> Outcome {
    match case.configured_port {
        None => Outcome::NotApplicable(Why::NoHealthCheckPort),
        Some(port) if port == case.backend_port => Outcome::Passed,
        Some(port) => Outcome::Failed(Finding::Configuration {
            port,
            own: case.backend_port,
        }),
    }
}
