//! With no probe dropped: what remains, most likely first given the reported reason.

use crate::{
    api::v1alpha1::{HealthCheck, HealthCheckProtocol, LoadBalancerType},
    engine::Traffic,
    world::Collected,
};

use super::ReportedReason;

/// Something to look at on the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NextStep {
    /// The weight is 0, which a Shared load balancer shows as unhealthy by design.
    ZeroWeight,
    /// Nothing listens on the port.
    NothingListens {
        /// On UDP, else TCP.
        udp: bool,
    },
    /// The answer has another code than the expected ones.
    UnexpectedAnswer(Request),
    /// The TLS handshake fails.
    TlsHandshake {
        /// The name to ask for.
        name: Option<String>,
    },
    /// The service takes connections and drops them.
    DropsConnections,
    /// The service answers with errors over UDP.
    AnswersWithErrors,
    /// The host's own firewall drops probes.
    HostFirewall,
    /// Replies to this address leave another way.
    WayBack {
        /// One of the probing addresses.
        to: Option<u128>,
    },
    /// hosts.deny refuses the service.
    HostsDeny,
    /// The server is overloaded.
    Overload,
}

/// The request that a health check sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// How it is sent.
    pub kind: RequestKind,
    /// Its path.
    pub path: Option<String>,
    /// The host name in it.
    pub name: Option<String>,
    /// The codes that are expected.
    pub codes: Option<String>,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum RequestKind {
    Http,
    Https,
    Grpc,
}

impl Request {
    /// The request of a health check that sends one.
    fn of(check: &HealthCheck) -> Option<Self> {
        let kind = match check.protocol {
            HealthCheckProtocol::HTTP => RequestKind::Http,
            HealthCheckProtocol::HTTPS => RequestKind::Https,
            HealthCheckProtocol::GRPC => RequestKind::Grpc,
            HealthCheckProtocol::TCP | HealthCheckProtocol::TLS | HealthCheckProtocol::UdpConnect => return None,
        };
        Some(Self {
            kind,
            path: check.path.clone(),
            name: check.domain_name.clone(),
            codes: check.expected_codes.clone(),
        })
    }
}

/// What remains.
pub(super) fn next_steps(
    collected: &Collected,
    check: &HealthCheck,
    traffic: &Traffic,
    reported: Option<ReportedReason>,
) -> Vec<NextStep> {
    use NextStep::{HostFirewall, HostsDeny, Overload};
    let listening = NextStep::NothingListens {
        udp: check.protocol == HealthCheckProtocol::UdpConnect,
    };
    let response = Request::of(check).map(NextStep::UnexpectedAnswer);
    // For a check that sends no request: what the service does with a connection.
    let service = match check.protocol {
        HealthCheckProtocol::TCP => Some(NextStep::DropsConnections),
        HealthCheckProtocol::UdpConnect => Some(NextStep::AnswersWithErrors),
        _ => None,
    };
    let tls = matches!(check.protocol, HealthCheckProtocol::HTTPS | HealthCheckProtocol::TLS).then(|| {
        NextStep::TlsHandshake {
            name: check.domain_name.clone(),
        }
    });
    let route = NextStep::WayBack {
        to: traffic.sources.min(),
    };
    let balancer = collected.load_balancer.as_deref();
    let shared = balancer.is_some_and(|balancer| balancer.spec.type_ == LoadBalancerType::Shared);
    let mut out = Vec::new();
    if collected.backend.spec.weight == 0 && shared {
        out.push(NextStep::ZeroWeight);
    }
    match reported {
        Some(ReportedReason::ConnectRefused) => {
            out.extend([listening, HostFirewall, HostsDeny]);
            out.extend(response);
            out.extend(tls);
            out.extend([route, Overload]);
        }
        Some(ReportedReason::ResponseMismatch | ReportedReason::ResponseFormatError) => {
            out.extend(response);
            out.extend(tls);
            out.extend(service);
            out.extend([Overload, listening, HostFirewall, HostsDeny, route]);
        }
        Some(ReportedReason::SslHandshakeError) => {
            out.extend(tls);
            out.extend(response);
            out.extend([listening, Overload, HostFirewall, HostsDeny, route]);
        }
        Some(
            ReportedReason::RecvResponseFailed
            | ReportedReason::RecvResponseTimeout
            | ReportedReason::SendRequestFailed
            | ReportedReason::SendRequestTimeout
            | ReportedReason::ConnectInterrupt,
        ) => {
            out.extend([Overload, HostsDeny]);
            out.extend(response);
            out.extend(tls);
            out.extend(service);
            out.extend([HostFirewall, listening, route]);
        }
        // What swallows packets comes first, but for the usual culprit.
        Some(ReportedReason::ConnectTimeout) => {
            out.extend([HostFirewall, route, listening]);
            out.extend(response);
            out.extend(tls);
            out.extend([HostsDeny, Overload]);
        }
        Some(ReportedReason::ConnectFailed) | None => {
            out.extend([listening, HostFirewall, route]);
            out.extend(response);
            out.extend(tls);
            out.extend([HostsDeny, Overload]);
        }
    }
    out
}
