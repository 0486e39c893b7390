//! Which causes remain for a reported reason, the most likely first (semantics §9).
//!
//! What the reason rules out is left out: a server that answered with the wrong code is not behind a firewall that drops.

use crate::api::v1alpha1::ReportedReason as Reason;

/// A cause that the rules do not show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    /// The weight is 0.
    ZeroWeight,
    /// No address is bound to the load balancer.
    NoAddress,
    /// Nothing listens on the port, or the check goes to the wrong one.
    Port,
    /// The check goes to another port than the service's, where something answers.
    WrongPort,
    /// A Kubernetes node port without endpoints.
    NodePort,
    /// A health port of Kubernetes, on which kube-proxy answers.
    KubeProxy,
    /// Path, host name or codes.
    Answer,
    /// No host name is sent.
    HostName,
    /// The service does not speak the protocol of the check.
    Protocol,
    /// TLS.
    Tls,
    /// The answer takes too long.
    Slow,
    /// The service drops connections.
    Connection,
    /// The host's firewall.
    Firewall,
    /// The way back.
    Route,
    /// hosts.deny.
    HostsDeny,
    /// Overload.
    Overload,
    /// Pings are ignored.
    Pings,
    /// ICMP errors are limited.
    IcmpErrors,
    /// The timeout is too short.
    Timeout,
    /// Probes come from elsewhere.
    Sources,
}

#[allow(clippy::enum_glob_use, reason = "these are tables")]
use Cause::*;

/// The causes that remain for a check over TCP.
fn over_tcp(reason: Option<Reason>) -> &'static [Cause] {
    match reason {
        Some(Reason::ConnectRefused) => &[
            ZeroWeight, Port, NodePort, KubeProxy, Firewall, HostsDeny, Overload, Route, NoAddress,
        ],
        // Something swallows packets.
        Some(Reason::ConnectTimeout) => &[
            ZeroWeight, NodePort, Firewall, Route, Sources, NoAddress, Port, Overload, HostsDeny, Connection, Answer,
            KubeProxy,
        ],
        Some(Reason::ConnectFailed) => &[
            ZeroWeight, Port, NodePort, Firewall, Route, NoAddress, HostsDeny, Overload, Sources, KubeProxy, Connection,
        ],
        Some(Reason::ConnectInterrupt) => &[
            ZeroWeight, Protocol, HostsDeny, Tls, Overload, Connection, Answer, WrongPort, Firewall, Route, NoAddress,
        ],
        Some(Reason::SslHandshakeError) => &[ZeroWeight, Protocol, Tls, WrongPort, Overload, HostsDeny, NoAddress],
        Some(Reason::RecvResponseTimeout) => &[
            ZeroWeight, Slow, Overload, Protocol, WrongPort, Answer, KubeProxy, HostsDeny, Firewall, Route, NoAddress,
        ],
        Some(Reason::RecvResponseFailed) => &[
            ZeroWeight, Protocol, Answer, Overload, HostsDeny, Tls, WrongPort, Connection, KubeProxy, Firewall,
            NoAddress,
        ],
        Some(Reason::SendRequestFailed | Reason::SendRequestTimeout) => &[
            ZeroWeight, Overload, Protocol, HostsDeny, Tls, Connection, Answer, WrongPort, Firewall, Route, NoAddress,
        ],
        Some(Reason::ResponseFormatError) => &[
            ZeroWeight, Protocol, Answer, WrongPort, Tls, HostName, KubeProxy, Overload, Connection, NoAddress,
        ],
        Some(Reason::ResponseMismatch) => &[
            ZeroWeight, Answer, HostName, KubeProxy, Protocol, WrongPort, Tls, Overload, Connection, NoAddress,
        ],
        None => &[
            ZeroWeight, NoAddress, Port, NodePort, KubeProxy, Answer, HostName, Protocol, Tls, Firewall, Route,
            Connection, HostsDeny, Overload, Sources,
        ],
    }
}

/// The causes that remain for a `UDP_CONNECT` check.
fn over_udp(reason: Option<Reason>) -> &'static [Cause] {
    match reason {
        // The server answered that the port is closed.
        Some(Reason::ConnectRefused) => &[
            ZeroWeight, Port, NodePort, Firewall, Pings, IcmpErrors, Timeout, HostsDeny, Overload, NoAddress,
        ],
        None => &[
            ZeroWeight, NoAddress, Pings, IcmpErrors, Timeout, Port, NodePort, Firewall, Route, Overload, Sources,
            HostsDeny,
        ],
        Some(_) => &[
            ZeroWeight, Pings, IcmpErrors, Timeout, Port, NodePort, Firewall, Route, Sources, Overload, NoAddress,
            HostsDeny,
        ],
    }
}

/// The causes that remain, the most likely first.
pub(super) fn causes(reason: Option<Reason>, udp: bool) -> &'static [Cause] {
    if udp { over_udp(reason) } else { over_tcp(reason) }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn no_cause_comes_twice_and_what_is_by_design_comes_first() {
        let reasons = Reason::VARIANTS.iter().copied().map(Some).chain([None]);
        for (reason, udp) in reasons.flat_map(|reason| [(reason, false), (reason, true)]) {
            let causes = causes(reason, udp);
            assert_eq!(causes.first(), Some(&ZeroWeight), "{reason:?}");
            assert!(causes.contains(&NoAddress), "{reason:?}");
            for (at, cause) in causes.iter().enumerate() {
                let before = causes.iter().take(at);
                assert!(before.into_iter().all(|other| other != cause), "{reason:?}: {cause:?}");
            }
        }
    }
}
