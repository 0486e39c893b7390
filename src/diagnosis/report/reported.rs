//! What a reported reason says about the probes, and whether the rules agree.

use crate::{
    api::v1alpha1::{HealthCheckProtocol, ReportedReason},
    engine::Share,
    world::Collected,
};

impl ReportedReason {
    /// The reported reason, where it is one of these.
    pub(super) fn of(collected: &Collected) -> Option<Self> {
        let health = collected.backend.status.as_ref()?.health.as_ref()?;
        let text = health.reason.as_deref()?;
        text.parse().ok()
    }

    /// Whether it proves that probes get through.
    pub(super) fn proves_passage(self, protocol: HealthCheckProtocol) -> bool {
        self.says(protocol) == Says::GetsThrough
    }

    fn says(self, protocol: HealthCheckProtocol) -> Says {
        let udp = protocol == HealthCheckProtocol::UdpConnect;
        match self {
            // There is no connection that could prove anything: a dropped probe looks like a service that does not answer, and
            // sending says nothing about arriving.
            Self::RecvResponseTimeout if udp => Says::NoAnswer,
            Self::SendRequestFailed | Self::SendRequestTimeout if udp => Says::Nothing,
            Self::ConnectRefused
            | Self::ConnectInterrupt
            | Self::SslHandshakeError
            | Self::RecvResponseFailed
            | Self::RecvResponseTimeout
            | Self::SendRequestFailed
            | Self::SendRequestTimeout
            | Self::ResponseFormatError
            | Self::ResponseMismatch => Says::GetsThrough,
            Self::ConnectTimeout => Says::NoAnswer,
            Self::ConnectFailed => Says::Nothing,
        }
    }
}

/// What a reported reason says about the probes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Says {
    /// An answer of some kind came back: probes get through.
    GetsThrough,
    /// No answer came.
    NoAnswer,
    /// Nothing.
    Nothing,
}

/// What is reported cannot be what the rules predict: the rules or the health check sources known here are stale or wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disagreement {
    /// Probes get through, but by the rules every one is dropped.
    AllAreDropped(ReportedReason),
    /// Probes get no answer, but by the rules none is dropped.
    NoneIsDropped(ReportedReason),
}

/// Whether the report and the verdict disagree (semantics §9).
pub(super) fn disagreement(
    reported: Option<ReportedReason>,
    protocol: HealthCheckProtocol,
    dropped: Share,
) -> Option<Disagreement> {
    let reason = reported?;
    match reason.says(protocol) {
        Says::GetsThrough if dropped.is_all() => Some(Disagreement::AllAreDropped(reason)),
        Says::NoAnswer if dropped.is_none() => Some(Disagreement::NoneIsDropped(reason)),
        Says::GetsThrough | Says::NoAnswer | Says::Nothing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_to_a_udp_probe_proves_nothing_to_get_through() {
        let (udp, http) = (HealthCheckProtocol::UdpConnect, HealthCheckProtocol::HTTP);
        assert_eq!(ReportedReason::RecvResponseTimeout.says(udp), Says::NoAnswer);
        assert_eq!(ReportedReason::SendRequestTimeout.says(udp), Says::Nothing);
        assert_eq!(ReportedReason::RecvResponseTimeout.says(http), Says::GetsThrough);
        assert_eq!(ReportedReason::ConnectRefused.says(udp), Says::GetsThrough);
    }
}
