//! Where the rules do not explain the report: what remains, most likely first given the reported reason (semantics §9).

mod order;
mod request;

use crate::{
    api::v1alpha1::{
        GroupProtocol, HealthCheck, HealthCheckProtocol, ListenerProtocol, LoadBalancer, LoadBalancerType,
    },
    engine::{Family, Share, SpanSet, Traffic},
    world::{Collected, SourceOrigin},
};

use super::hints;
use crate::api::v1alpha1::ReportedReason;
use order::{Cause, causes};

pub use request::{Codes, Request, RequestKind};

/// Steps that are shown where no probe is dropped. Later ones are unlikely, and a status is to stay small.
const MAX: usize = 10;
/// Steps that are shown beside findings that drop probes.
const MAX_BESIDE_FINDINGS: usize = 5;
/// The ports that Kubernetes gives to Services unless it is set up otherwise.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;
/// Where kube-proxy answers health checks of its node unless it is set up otherwise.
const KUBE_PROXY: u16 = 10256;

/// Something to look at, with the values that its sentence needs beside the traffic's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NextStep {
    /// The weight is 0, which a Shared load balancer shows as unhealthy by design.
    ZeroWeight,
    /// The load balancer of this name has no address: servers of TCP and UDP listeners then show as unhealthy.
    NoAddress {
        /// Name of the load balancer.
        load_balancer: String,
    },
    /// Nothing listens on the port, or on the loopback address only.
    NothingListens {
        /// On UDP, else TCP.
        udp: bool,
    },
    /// The check goes to another port than the service's.
    WrongPort {
        /// Over UDP, else TCP.
        udp: bool,
        /// The service's port.
        service: u16,
        /// Whether something answers on the port of the check.
        answers: bool,
    },
    /// The port may be a Kubernetes node port whose Service has no endpoint.
    NodePort,
    /// The port may be a Service's health check node port, where kube-proxy answers.
    HealthCheckNodePort,
    /// The port is usually that of kube-proxy's own health.
    KubeProxy,
    /// The answer has another code than the expected ones.
    UnexpectedAnswer {
        /// What is asked.
        request: Request,
        /// From where to try as well, where it is not sure that probes get through.
        from: Option<Vantage>,
    },
    /// The service may want a host name, of which the check sends none.
    NoHostName(Request),
    /// The service may not speak the protocol of the check.
    OtherProtocol {
        /// Protocol of the group, which the service speaks.
        group: GroupProtocol,
    },
    /// The TLS handshake fails.
    TlsHandshake {
        /// The name to ask for.
        name: Option<String>,
    },
    /// The answer comes too late.
    SlowAnswer(Request),
    /// The service takes connections and drops them.
    DropsConnections {
        /// From where to try.
        from: Vantage,
    },
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
    Overload {
        /// Over UDP, else TCP.
        udp: bool,
    },
    /// The server ignores pings.
    PingsIgnored,
    /// The server limits its ICMP errors.
    IcmpErrorsLimited,
    /// The check gives up too soon.
    ShortTimeout {
        /// Seconds for which it waits.
        seconds: Option<u8>,
        /// From where to try.
        from: Vantage,
    },
    /// Probes come from other addresses than those known.
    OtherSources {
        /// Why they may.
        why: OtherSources,
        /// Over UDP, else TCP.
        udp: bool,
    },
}

/// From where one sees what the load balancer sees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Vantage {
    /// A host in this subnet.
    Subnet(String),
    /// A host in the load balancer's subnet.
    LoadBalancerSubnet,
    /// Any other host: nobody has one where Shared load balancers are.
    OtherHost,
}

/// Why probes may come from other addresses than those known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OtherSources {
    /// After a change of the backend subnets, old addresses go on probing.
    FormerSubnets,
    /// Some regions have a second shared prefix, and nobody set it.
    SecondSharedPrefix,
    /// What is set is wrong.
    WrongSetting,
}

/// Whether the rules leave open why the server is reported unhealthy: no probe is dropped, or the report proves that probes
/// get through.
pub(super) fn unexplained(dropped: Share, reported: Option<ReportedReason>, protocol: HealthCheckProtocol) -> bool {
    dropped.is_none() || reported.is_some_and(|reason| reason.proves_passage(protocol))
}

/// What remains where the rules do not explain the report.
pub(super) fn next_steps(
    collected: &Collected,
    traffic: &Traffic,
    dropped: Share,
    reported: Option<ReportedReason>,
) -> Vec<NextStep> {
    let (Some(check), Some(balancer)) = (&collected.health_check, &collected.load_balancer) else {
        return Vec::new();
    };
    let facts = Facts {
        collected,
        check,
        balancer,
        traffic,
        passes: reported.is_some_and(|reason| reason.proves_passage(check.protocol)),
    };
    let causes = causes(reported, facts.udp());
    let mut out: Vec<NextStep> = causes.iter().filter_map(|cause| facts.step(*cause)).collect();
    // The report and the rules cannot both be true: what is known of the sources may be wrong.
    if dropped.is_all() && !causes.contains(&Cause::Sources) {
        let second = out.len().min(1);
        out.splice(second..second, facts.step(Cause::Sources));
    }
    out.truncate(if dropped.is_none() { MAX } else { MAX_BESIDE_FINDINGS });
    out
}

/// What decides whether a cause is possible.
struct Facts<'a> {
    collected: &'a Collected,
    check: &'a HealthCheck,
    balancer: &'a LoadBalancer,
    traffic: &'a Traffic,
    /// Whether the report proves that probes get through.
    passes: bool,
}

impl Facts<'_> {
    fn udp(&self) -> bool {
        self.check.protocol == HealthCheckProtocol::UdpConnect
    }

    /// The step for a cause, where it is possible here.
    fn step(&self, cause: Cause) -> Option<NextStep> {
        let udp = self.udp();
        let check = self.check;
        let service = self.collected.backend.spec.port;
        let port = self.traffic.port;
        let wrong_port = |answers| NextStep::WrongPort { udp, service, answers };
        let request = || Request::of(check, self.balancer.spec.type_);
        match cause {
            Cause::ZeroWeight => hints::zero_weight(self.collected).then_some(NextStep::ZeroWeight),
            Cause::NoAddress => self.no_address(),
            Cause::Port if port != service => Some(wrong_port(false)),
            Cause::Port => Some(NextStep::NothingListens { udp }),
            Cause::WrongPort => (port != service).then(|| wrong_port(true)),
            Cause::NodePort => {
                (NODE_PORTS.contains(&port) && !self.health_check_node_port()).then_some(NextStep::NodePort)
            }
            Cause::KubeProxy if port == KUBE_PROXY && port != service => Some(NextStep::KubeProxy),
            Cause::KubeProxy => self.health_check_node_port().then_some(NextStep::HealthCheckNodePort),
            Cause::Answer => request().map(|request| NextStep::UnexpectedAnswer {
                request,
                from: (!self.passes).then(|| self.vantage()),
            }),
            Cause::HostName => request()
                .filter(|request| request.name.is_none() && request.kind != RequestKind::Grpc)
                .map(NextStep::NoHostName),
            Cause::Protocol => self.other_protocol(),
            Cause::Tls => matches!(check.protocol, HealthCheckProtocol::HTTPS | HealthCheckProtocol::TLS).then(|| {
                NextStep::TlsHandshake {
                    name: check.domain_name.clone(),
                }
            }),
            Cause::Slow => request().map(NextStep::SlowAnswer),
            Cause::Connection => (check.protocol == HealthCheckProtocol::TCP)
                .then(|| NextStep::DropsConnections { from: self.vantage() }),
            Cause::Firewall => Some(NextStep::HostFirewall),
            Cause::Route => Some(NextStep::WayBack {
                to: a_host(self.traffic.family, &self.traffic.sources),
            }),
            Cause::HostsDeny => Some(NextStep::HostsDeny),
            Cause::Overload => Some(NextStep::Overload { udp }),
            Cause::Pings => Some(NextStep::PingsIgnored),
            Cause::IcmpErrors => Some(NextStep::IcmpErrorsLimited),
            Cause::Timeout => Some(NextStep::ShortTimeout {
                seconds: check.timeout_seconds,
                from: self.vantage(),
            }),
            Cause::Sources => Some(NextStep::OtherSources {
                why: other_sources(self.collected),
                udp,
            }),
        }
    }

    fn no_address(&self) -> Option<NextStep> {
        let spec = &self.balancer.spec;
        let group = &self.collected.backend.spec.backend_server_group;
        let concerned = spec.listeners.iter().any(|listener| {
            matches!(listener.protocol, ListenerProtocol::TCP | ListenerProtocol::UDP)
                && listener.backend_server_groups.contains(group)
        });
        (spec.addresses.is_empty() && concerned).then(|| NextStep::NoAddress {
            load_balancer: self.collected.backend.spec.load_balancer_ref.name.clone(),
        })
    }

    /// Whether the check looks like that of a Service with `externalTrafficPolicy: Local`.
    fn health_check_node_port(&self) -> bool {
        let service = self.collected.backend.spec.port;
        let port = self.traffic.port;
        self.check.protocol == HealthCheckProtocol::HTTP
            && port != service
            && NODE_PORTS.contains(&port)
            && NODE_PORTS.contains(&service)
    }

    /// On the service's own port, a check of another protocol than the group's.
    fn other_protocol(&self) -> Option<NextStep> {
        use {GroupProtocol as Group, HealthCheckProtocol as Check};
        let spec = &self.collected.backend.spec;
        if self.traffic.port != spec.port {
            return None;
        }
        let mut groups = self.balancer.spec.backend_server_groups.iter();
        let group = groups.find(|group| group.name == spec.backend_server_group)?.protocol;
        let other = match self.check.protocol {
            // Whoever speaks anything takes a connection, and UDP is all that UDP groups may be checked by.
            Check::TCP | Check::UdpConnect => false,
            Check::HTTP => group != Group::HTTP,
            Check::HTTPS => group != Group::HTTPS,
            Check::TLS => !matches!(group, Group::TLS | Group::HTTPS),
            Check::GRPC => group != Group::GRPC,
        };
        other.then_some(NextStep::OtherProtocol { group })
    }

    fn vantage(&self) -> Vantage {
        match &self.collected.source_origin {
            Some(SourceOrigin::Subnets(names)) => names
                .first()
                .map_or(Vantage::LoadBalancerSubnet, |name| Vantage::Subnet(name.clone())),
            _ if self.balancer.spec.type_ == LoadBalancerType::Shared => Vantage::OtherHost,
            _ => Vantage::LoadBalancerSubnet,
        }
    }
}

/// Why probes may come from elsewhere.
fn other_sources(collected: &Collected) -> OtherSources {
    match collected.source_origin {
        Some(SourceOrigin::Subnets(_)) => OtherSources::FormerSubnets,
        Some(SourceOrigin::Shared) if collected.default_shared_sources => OtherSources::SecondSharedPrefix,
        _ => OtherSources::WrongSetting,
    }
}

/// A source that can be a host's: not the address of a subnet itself, where there is another.
fn a_host(family: Family, sources: &SpanSet<u128>) -> Option<u128> {
    let first = sources.min()?;
    let network = match family {
        Family::V4 => first.trailing_zeros() >= 8,
        Family::V6 => first.trailing_zeros() >= 16,
    };
    let next = first.saturating_add(1);
    Some(if network && sources.contains(next) { next } else { first })
}

#[cfg(test)]
mod tests {
    use crate::engine::{Block, Leg, Region, Span};

    use super::{super::reported::disagreement, *};

    /// The part of the probes that are dropped: those from the first addresses of two.
    fn dropped(addresses: u128) -> Share {
        let span = |first, last| Span::new(first, last).into_iter().collect::<SpanSet<u128>>();
        let traffic = Traffic {
            family: Family::V4,
            legs: vec![Leg::Tcp],
            sources: span(1, 2),
            local: 9,
            port: 80,
        };
        let Some(last) = addresses.checked_sub(1) else {
            return traffic.share(&Region::default());
        };
        traffic.share(&Region::from(Block {
            remotes: span(1, 1 + last),
            ports: Span::new(1, u16::MAX).into_iter().collect(),
        }))
    }

    #[test]
    fn rules_leave_open_what_drops_nothing_or_is_disproved() {
        use {HealthCheckProtocol as Check, ReportedReason as Reason};
        const AGREES: [bool; 3] = [false; 3];
        const PASSES: [bool; 3] = [false, false, true];
        const NO_ANSWER: [bool; 3] = [true, false, false];
        let (none, some, all) = (dropped(0), dropped(1), dropped(2));
        assert!(none.is_none() && all.is_all() && !some.is_none() && !some.is_all());
        // Reason and check; whether the rules leave it open, and whether they disagree, with nothing, some and all of the
        // probes dropped.
        let table = [
            (None, Check::HTTP, [true, false, false], AGREES),
            (
                Some(Reason::ConnectTimeout),
                Check::HTTP,
                [true, false, false],
                NO_ANSWER,
            ),
            (Some(Reason::ConnectFailed), Check::HTTP, [true, false, false], AGREES),
            (Some(Reason::ConnectRefused), Check::HTTP, [true; 3], PASSES),
            (Some(Reason::ConnectInterrupt), Check::TCP, [true; 3], PASSES),
            (Some(Reason::SslHandshakeError), Check::TLS, [true; 3], PASSES),
            (Some(Reason::RecvResponseTimeout), Check::HTTP, [true; 3], PASSES),
            (Some(Reason::ResponseMismatch), Check::GRPC, [true; 3], PASSES),
            (Some(Reason::ConnectRefused), Check::UdpConnect, [true; 3], PASSES),
            (
                Some(Reason::RecvResponseTimeout),
                Check::UdpConnect,
                [true, false, false],
                NO_ANSWER,
            ),
            (
                Some(Reason::SendRequestFailed),
                Check::UdpConnect,
                [true, false, false],
                AGREES,
            ),
        ];
        for (reason, check, open, disagrees) in table {
            let shares = [none, some, all];
            let found = shares.map(|dropped| unexplained(dropped, reason, check));
            assert_eq!(found, open, "{reason:?} of {check:?}");
            let found = shares.map(|dropped| disagreement(reason, check, dropped).is_some());
            assert_eq!(found, disagrees, "{reason:?} of {check:?}");
        }
    }

    #[test]
    fn the_way_back_is_asked_for_an_address_that_a_host_can_have() {
        let set = |first, last| Span::new(first, last).into_iter().collect::<SpanSet<u128>>();
        let cases = [
            (Family::V4, (0x0a16_0100, 0x0a16_01ff), 0x0a16_0101),
            (Family::V4, (0x0a16_0107, 0x0a16_01ff), 0x0a16_0107),
            (Family::V4, (0x0a16_0100, 0x0a16_0100), 0x0a16_0100),
            (
                Family::V6,
                (0x2001 << 112, (0x2001 << 112) + 0xffff),
                (0x2001 << 112) + 1,
            ),
        ];
        for (family, (first, last), expected) in cases {
            assert_eq!(a_host(family, &set(first, last)), Some(expected));
        }
    }
}
