//! What remains where the rules do not explain the report, each with what to run and where.

mod request;

use crate::{
    api::v1alpha1::{GroupProtocol, HealthCheckProtocol},
    engine::{Family, Traffic, Values, covering_prefixes, format_address},
    text::{clean, excerpt, shell_quoted},
};

use super::{
    super::report::{NextStep, OtherSources, Report, Vantage},
    values::{self, health_check},
};
use request::{command, expectation, is_server_name};

/// What a weight of 0 means.
pub const ZERO_WEIGHT: &str = "Its weight is 0: a Shared load balancer shows such a server as unhealthy by design. To use \
                               it, give it a weight of 1 or more";

/// One step in a sentence or two.
pub fn step(report: &Report, step: &NextStep) -> String {
    clean(&sentence(report, step)).into_owned()
}

fn sentence(report: &Report, step: &NextStep) -> String {
    let traffic = &report.traffic;
    let port = traffic.port;
    match step {
        NextStep::ZeroWeight => ZERO_WEIGHT.to_owned(),
        NextStep::NoAddress { load_balancer } => format!(
            "Load balancer {load_balancer} has no address (spec.addresses is empty): until an EIP or a private IP address is \
             bound to it, servers of TCP and UDP listeners show as unhealthy"
        ),
        NextStep::NothingListens { udp } => {
            let (loopback, ss) = (loopback(traffic.family), ss(*udp));
            let port_words = port_words(*udp, port);
            format!(
                "Nothing may be listening on {port_words}, or only on {loopback}. On the server: {ss} 'sport = :{port}'"
            )
        }
        NextStep::WrongPort { udp, service, answers } => wrong_port(port, *service, *udp, *answers),
        NextStep::NodePort => format!(
            "If {port} is a Kubernetes node port (ss does not list those), its Service may have no ready endpoint, or none on this \
             node (externalTrafficPolicy: Local): kubectl get endpointslices -A"
        ),
        NextStep::HealthCheckNodePort => format!(
            "If {port} is a Service's healthCheckNodePort, kube-proxy answers 503 if no pod on this node is \
             ready: kubectl get endpointslices -A"
        ),
        NextStep::KubeProxy => format!(
            "{port} is usually kube-proxy's health port; kube-proxy may be down on this node: kubectl -n kube-system get pods -o wide"
        ),
        NextStep::UnexpectedAnswer { request, from } => {
            let (expected, command) = (expectation(request), command(request, &host(traffic), port));
            let also = from.as_ref().map(|from| format!(", then {}", place(from)));
            format!("{expected}. On the server{}: {command}", also.unwrap_or_default())
        }
        NextStep::NoHostName(_) => {
            let local = host(traffic);
            format!(
                "The check sends no host name, only Host: {local}. If the service needs its own name, set domainName in the \
                 health check"
            )
        }
        NextStep::OtherProtocol { group } => other_protocol(report, *group),
        NextStep::TlsHandshake { name } => tls(traffic, name.as_deref()),
        NextStep::SlowAnswer(request) => {
            let waits = waits(request.timeout);
            let command = command(request, &host(traffic), port);
            format!("The service may answer too slowly{waits}. On the server: time {command}")
        }
        NextStep::DropsConnections { from } => {
            let (place, bare) = (capitalized(&place(from)), bare(traffic));
            format!("The service may accept connections and drop them. {place}: nc -v -w 3 {bare} {port}")
        }
        NextStep::HostFirewall => {
            let tables = match traffic.family {
                Family::V4 => "iptables",
                Family::V6 => "ip6tables",
            };
            let sources = sources(report);
            format!(
                "The server's own firewall may drop or reject probes from {sources}. On the server: nft list ruleset; {tables} \
                 -nvL"
            )
        }
        NextStep::WayBack { to } => way_back(traffic, *to),
        NextStep::HostsDeny => {
            let sources = sources(report);
            format!("hosts.deny may refuse {sources}. On the server: cat /etc/hosts.allow /etc/hosts.deny")
        }
        NextStep::Overload { udp } => {
            let counter = if *udp {
                "UdpRcvbufErrors"
            } else {
                "TcpExtListenOverflows"
            };
            format!(
                "The server may be overloaded (a high load, a count that grows). On the server: uptime; nstat -az {counter}"
            )
        }
        NextStep::PingsIgnored => pings(traffic.family),
        NextStep::IcmpErrorsLimited => icmp_errors(traffic.family),
        NextStep::ShortTimeout { seconds, from } => {
            let (waits, place, bare) = (waits(*seconds), capitalized(&place(from)), bare(traffic));
            format!("The check's timeout may be too short{waits}. {place}: ping -c 5 {bare}")
        }
        NextStep::OtherSources { why, udp } => other_sources(traffic, *why, *udp),
    }
}

/// A few of the prefixes from which probes come.
fn sources(report: &Report) -> String {
    let traffic = &report.traffic;
    let prefixes = covering_prefixes(traffic.family, &traffic.sources);
    values::sentence(&Values::Prefixes(traffic.family, prefixes), traffic.family)
}

/// The server's address as a URL has it.
fn host(traffic: &Traffic) -> String {
    match traffic.family {
        Family::V4 => bare(traffic),
        Family::V6 => format!("[{}]", bare(traffic)),
    }
}

fn bare(traffic: &Traffic) -> String {
    format_address(traffic.family, traffic.local)
}

fn port_words(udp: bool, port: u16) -> String {
    if udp {
        format!("UDP port {port}")
    } else {
        format!("port {port}")
    }
}

fn ss(udp: bool) -> &'static str {
    if udp { "ss -lunp" } else { "ss -ltnp" }
}

/// Addresses on which a service can listen without hearing probes.
fn loopback(family: Family) -> &'static str {
    match family {
        Family::V4 => "127.0.0.1",
        Family::V6 => "::1 or IPv4",
    }
}

fn wrong_port(port: u16, service: u16, udp: bool, answers: bool) -> String {
    let ss = ss(udp);
    let what = if answers {
        "Some other program may answer on"
    } else {
        "Nothing may be listening on"
    };
    format!(
        "{what} {port}, the health check port; the service is on {service}. On the server: {ss} 'sport = :{port} or sport = \
         :{service}'"
    )
}

fn pings(family: Family) -> String {
    let setting = match family {
        Family::V4 => "net.ipv4.icmp_echo_ignore_all",
        Family::V6 => "net.ipv6.icmp.echo_ignore_all",
    };
    format!("A UDP check also pings the server. On the server, this must be 0: sysctl {setting}")
}

fn icmp_errors(family: Family) -> String {
    let settings = match family {
        Family::V4 => "net.ipv4.icmp_ratelimit net.ipv4.icmp_ratemask",
        Family::V6 => "net.ipv6.icmp.ratelimit net.ipv6.icmp.ratemask",
    };
    // The kernel has one limit on all ICMP messages, of both families.
    format!(
        "ICMP errors may be rate-limited, and the check needs them. On the server: sysctl {settings} \
         net.ipv4.icmp_msgs_per_sec"
    )
}

fn place(from: &Vantage) -> String {
    match from {
        Vantage::Subnet(name) => format!("from a host in subnet {name}"),
        Vantage::LoadBalancerSubnet => "from a host in the load balancer's subnet".to_owned(),
        Vantage::OtherHost => "from another host".to_owned(),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// For how long the check waits, where that is known.
fn waits(seconds: Option<u8>) -> String {
    seconds.map_or_else(
        || " (timeoutSeconds is not set)".to_owned(),
        |seconds| format!(" (timeoutSeconds: {seconds})"),
    )
}

fn other_protocol(report: &Report, group: GroupProtocol) -> String {
    let check = health_check(report.protocol);
    let (group, instead) = match group {
        GroupProtocol::TCP | GroupProtocol::IP => ("TCP", HealthCheckProtocol::TCP),
        GroupProtocol::UDP | GroupProtocol::QUIC => ("UDP", HealthCheckProtocol::UdpConnect),
        GroupProtocol::HTTP => ("HTTP", HealthCheckProtocol::HTTP),
        GroupProtocol::HTTPS => ("HTTPS", HealthCheckProtocol::HTTPS),
        GroupProtocol::GRPC => ("GRPC", HealthCheckProtocol::GRPC),
        GroupProtocol::TLS => ("TLS", HealthCheckProtocol::TLS),
    };
    let instead = health_check(instead);
    let port = report.traffic.port;
    format!(
        "The group's protocol is {group}, but the check uses {check} on the same port, {port}: the service may not speak {check}. \
         If so, set the check's protocol to {instead}"
    )
}

fn tls(traffic: &Traffic, name: Option<&str>) -> String {
    let end = shell_quoted(&format!("{}:{}", host(traffic), traffic.port));
    let (said, option) = match name.filter(|name| is_server_name(name)) {
        Some(name) => (
            format!(" or server name {}", excerpt(name)),
            format!(" -servername {}", shell_quoted(name)),
        ),
        // A name with a port, or an address, is no name for a handshake.
        None if name.is_some() => (String::new(), " -noservername".to_owned()),
        None => (
            ", or the missing server name: domainName is not set".to_owned(),
            " -noservername".to_owned(),
        ),
    };
    format!(
        "The TLS handshake may fail (protocol version, ciphers{said}). On the server: openssl s_client -connect {end}{option} \
         </dev/null"
    )
}

fn way_back(traffic: &Traffic, to: Option<u128>) -> String {
    let local = bare(traffic);
    let to = to.map(|to| format_address(traffic.family, to)).unwrap_or_default();
    let route = format!("ip route get {to} from {local}");
    match traffic.family {
        Family::V4 => format!(
            "Replies may be routed elsewhere (default route, policy routes), or strict rp_filter (1) may drop probes. On the \
             server: {route}; sysctl -ar '\\.rp_filter'"
        ),
        Family::V6 => format!("Replies may be routed elsewhere (default route, policy routes). On the server: {route}"),
    }
}

fn other_sources(traffic: &Traffic, why: OtherSources, udp: bool) -> String {
    let why = match why {
        OtherSources::FormerSubnets => {
            "If a backend subnet of the load balancer was changed, its old addresses may go on probing"
        }
        OtherSources::SecondSharedPrefix => {
            "Some regions also probe from 100.126.0.0/16; if yours does, run elb-doctor with --shared-source 100.125.0.0/16,100.126.0.0/16"
        }
        OtherSources::WrongSetting => "Probes may come from other addresses than the health check sources set here",
    };
    let port = traffic.port;
    let filter = match (udp, traffic.family) {
        (false, _) => format!("tcp port {port}"),
        (true, Family::V4) => format!("'udp port {port} or icmp'"),
        (true, Family::V6) => format!("'udp port {port} or icmp6'"),
    };
    format!("{why}. To see what arrives, on the server: tcpdump -ni any {filter}")
}
