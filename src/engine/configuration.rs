//! Items that look at how the health check is configured, not at rules.

use super::{
    Case, HealthCheckPorts,
    check::Setting,
    outcome::{Finding, Outcome, Why},
};

/// Where a health check port is to be taken away, so that the backend server's own port is probed (semantics §8). Only what was judged
/// again is offered: the item passes then, and no more probes are dropped than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortFix {
    /// From the backend server.
    BackendServer,
    /// From its group, at the load balancer.
    Group,
}

/// The ports without the one that counts now; `None` when none is set.
pub(crate) fn without_port(ports: HealthCheckPorts) -> Option<(PortFix, HealthCheckPorts)> {
    match ports {
        HealthCheckPorts { own: Some(_), group } => {
            Some((PortFix::BackendServer, HealthCheckPorts { own: None, group }))
        }
        HealthCheckPorts { group: Some(_), .. } => Some((PortFix::Group, HealthCheckPorts::default())),
        HealthCheckPorts { .. } => None,
    }
}

/// Judges one of them.
pub(crate) fn judge(setting: Setting, case: &Case) -> Outcome {
    match setting {
        Setting::Port => port(case),
    }
}

/// A health check port is set, for the member or the group, and is not the backend server's own.
fn port(case: &Case) -> Outcome {
    match case.health_check_ports.configured() {
        None => Outcome::NotApplicable(Why::NoHealthCheckPort),
        Some(port) if port == case.backend_port => Outcome::Passed,
        Some(port) => Outcome::Failed(Finding::Configuration {
            port,
            own: case.backend_port,
        }),
    }
}
