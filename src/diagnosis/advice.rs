//! What is said beside the failed items: notes, disagreement with the report, and what remains when nothing failed.

use std::net::IpAddr;

use crate::{
    api::v1alpha1::{HealthCheck, HealthCheckProtocol, LoadBalancerType},
    engine::{
        ALWAYS_OUTBOUND, AddressMatch, Case, Direction, Family, Impact, Layer, NetworkAclState, SecurityGroupState,
        SpanSet, Values, Verdict, covering_prefixes, format_address,
    },
    text::shell_quoted,
    world::{Collected, SourceOrigin},
};

use super::values;

/// How a note on disagreement between the report and the prediction begins.
pub const DISAGREEMENT: &str = "Disagreement: ";

/// What a reported reason says about the probes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Report {
    /// An answer of some kind came back: probes get through.
    GetsThrough,
    /// No answer came.
    NoAnswer,
    /// Nothing can be told from it.
    Silent,
}

fn report(reason: &str, protocol: Option<HealthCheckProtocol>) -> Report {
    let udp = protocol == Some(HealthCheckProtocol::UdpConnect);
    match reason {
        // There is no connection that could prove anything: a dropped probe looks like a service that does not answer, and
        // sending says nothing about arriving.
        "RecvResponseTimeout" if udp => Report::NoAnswer,
        "SendRequestFailed" | "SendRequestTimeout" if udp => Report::Silent,
        "ConnectRefused"
        | "ConnectInterrupt"
        | "SslHandshakeError"
        | "RecvResponseFailed"
        | "RecvResponseTimeout"
        | "SendRequestFailed"
        | "SendRequestTimeout"
        | "ResponseFormatError"
        | "ResponseMismatch" => Report::GetsThrough,
        "ConnectTimeout" => Report::NoAnswer,
        _ => Report::Silent,
    }
}

/// The reported reason, where one is given.
pub(super) fn reported_reason(collected: &Collected) -> Option<&str> {
    collected.backend.status.as_ref()?.health.as_ref()?.reason.as_deref()
}

/// Says so when what is reported cannot be what the rules predict (domain §9): stale rules or a wrong source set.
pub(super) fn disagreement(collected: &Collected, verdict: &Verdict) -> Option<String> {
    let reason = reported_reason(collected)?;
    match report(reason, collected.health_check.as_ref().map(|check| check.protocol)) {
        Report::GetsThrough if verdict.impact == Impact::Blocks => Some(format!(
            "{DISAGREEMENT}{reason} is reported, so probes get through, but by these rules every probe is dropped; the rules \
             or the health check sources known here are stale or wrong"
        )),
        Report::NoAnswer if verdict.dropped.is_none() => Some(format!(
            "{DISAGREEMENT}{reason} is reported, so probes get no answer, but by these rules none is dropped; something else \
             drops them, or the rules or health check sources known here are stale or wrong"
        )),
        _ => None,
    }
}

/// Why a layer passed as a whole, and the assumptions made.
pub(super) fn notes(collected: &Collected, case: &Case, verdict: &Verdict) -> Vec<String> {
    let mut out = Vec::new();
    let spec = &collected.backend.spec;
    let subnet = spec.subnet_ref.as_ref().map_or("", |subnet| subnet.name.as_str());
    if matches!(case.security_groups, SecurityGroupState::NotApplied) {
        out.push("Security groups are not applied: port security is disabled on the interface".to_owned());
    }
    match &case.network_acl {
        NetworkAclState::Absent => out.push(format!("No network ACL on subnet {subnet}")),
        NetworkAclState::Off(name) => out.push(format!("Network ACL {name} on subnet {subnet} is switched off")),
        NetworkAclState::InForce { rules, stateful } => {
            let name = &rules.set.name;
            let sources = &case.traffic.sources;
            let inside = case.subnet.iter().any(|prefix| prefix.contains(case.traffic.local));
            let own: SpanSet<u128> = case.subnet.iter().copied().filter(|_| inside).collect();
            let always: SpanSet<u128> = (case.traffic.family == Family::V4)
                .then_some(ALWAYS_OUTBOUND)
                .into_iter()
                .collect();
            let outbound = !*stateful || fails(verdict, Layer::NetworkAcl, Direction::Egress);
            if sources.is_subset(&own) {
                out.push(format!(
                    "Network ACL {name} does not apply: all health check sources are in the server's own subnet {subnet}"
                ));
            } else if *stateful {
                if outbound {
                    out.push(format!(
                        "Network ACL {name} is stateful: its outbound rules cannot stop replies to probes"
                    ));
                }
            } else if sources.is_subset(&always) {
                out.push(format!(
                    "Network ACL {name} is stateless, but replies to 100.125.0.0/16 always pass"
                ));
            } else {
                out.push(format!(
                    "Network ACL {name} is stateless: replies need an outbound rule"
                ));
            }
            let partly =
                |exempt: &SpanSet<u128>| !sources.is_subset(exempt) && !sources.intersection(exempt).is_empty();
            if partly(&own) {
                out.push(format!(
                    "Network ACL {name} does not apply to probes from the server's own subnet {subnet}"
                ));
            }
            if outbound && partly(&always) {
                out.push(format!(
                    "Network ACL {name} does not apply to replies to 100.125.0.0/16"
                ));
            }
        }
    }
    if fails(verdict, Layer::SecurityGroup, Direction::Egress) {
        out.push("Security groups are stateful: their outbound rules cannot stop replies to probes".to_owned());
    }
    if let SecurityGroupState::Groups(groups) = &case.security_groups
        && [Direction::Ingress, Direction::Egress].into_iter().any(|direction| {
            let mut rules = groups
                .iter()
                .flat_map(|group| group.set.rules(direction, case.traffic.family));
            fails(verdict, Layer::SecurityGroup, direction)
                && rules.any(|rule| matches!(rule.remote, AddressMatch::Members(_)))
        })
    {
        out.push("Assumed: probes come from members of no security group".to_owned());
    }
    match &collected.source_origin {
        Some(SourceOrigin::Subnets(names)) => {
            // The load balancer lists them: a status is to stay small.
            let all = match names.as_slice() {
                [only] => format!("subnet {only}"),
                _ => "the backend subnets".to_owned(),
            };
            out.push(format!("Assumed: probes come from all of {all}"));
        }
        Some(SourceOrigin::Shared) => {
            let family = case.traffic.family;
            let prefixes = covering_prefixes(family, &case.traffic.sources);
            let prefixes = values::sentence(&Values::Prefixes(family, prefixes), family);
            out.push(format!("Assumed: probes come from all of shared {prefixes}"));
        }
        Some(SourceOrigin::Member | SourceOrigin::Exact) | None => {}
    }
    if !case.subnet.is_empty() && !case.subnet.iter().any(|prefix| prefix.contains(case.traffic.local)) {
        let local = format_address(case.traffic.family, case.traffic.local);
        out.push(format!("The probed address {local} is not in subnet {subnet}"));
    }
    out
}

fn fails(verdict: &Verdict, layer: Layer, direction: Direction) -> bool {
    verdict.outcomes.of_side(layer, direction).next().is_some()
}

/// With no probe dropped: what remains, most likely first given the reported reason, each with what to run on the server.
pub(super) fn next_steps(collected: &Collected, case: &Case) -> Vec<String> {
    let Some(check) = &collected.health_check else {
        return Vec::new();
    };
    let traffic = &case.traffic;
    let port = traffic.port;
    let udp = check.protocol == HealthCheckProtocol::UdpConnect;
    let listening = if udp {
        format!("Nothing may be listening on UDP port {port}: ss -lun 'sport = :{port}'")
    } else {
        format!("Nothing may be listening on port {port}: ss -ltn 'sport = :{port}'")
    };
    let bare = format_address(traffic.family, traffic.local);
    let local = host(traffic.family, &bare);
    let end = shell_quoted(&format!("{local}:{port}"));
    let response = request(check, &local, port).map(|command| {
        let codes = check.expected_codes.as_deref();
        let codes = codes.unwrap_or(if check.protocol == HealthCheckProtocol::GRPC {
            "0"
        } else {
            "200"
        });
        format!("The answer may not be one of the expected codes {codes}: {command}")
    });
    let service = service(check, &bare, port);
    let tls = matches!(check.protocol, HealthCheckProtocol::HTTPS | HealthCheckProtocol::TLS).then(|| {
        let name = check
            .domain_name
            .as_ref()
            .map(|name| format!(" -servername {}", shell_quoted(name)));
        let name = name.unwrap_or_default();
        format!("The TLS handshake may fail: openssl s_client -connect {end}{name} </dev/null")
    });
    let tables = if traffic.family == Family::V4 {
        "iptables"
    } else {
        "ip6tables"
    };
    let firewall = format!("The host's own firewall may drop probes: nft list ruleset || {tables} -nvL");
    let address = traffic
        .sources
        .min()
        .map(|first| format_address(traffic.family, first))
        .unwrap_or_default();
    let route = format!("The way back may lead elsewhere: ip route get {address}");
    let denied = "The service may be denied by hosts.deny: cat /etc/hosts.allow /etc/hosts.deny".to_owned();
    let overload = "The server may be overloaded: uptime; ss -s".to_owned();
    let weight = (collected.backend.spec.weight == 0 && collected.load_balancer_type == Some(LoadBalancerType::Shared))
        .then(|| {
            "Its weight is 0, and a Shared load balancer shows such a backend server as unhealthy by design".to_owned()
        });

    let reason = reported_reason(collected);
    let mut out: Vec<String> = weight.into_iter().collect();
    match reason {
        Some("ConnectRefused") => {
            out.push(listening);
            out.extend([firewall, denied]);
            out.extend(response);
            out.extend(tls);
            out.extend([route, overload]);
        }
        Some("ResponseMismatch" | "ResponseFormatError") => {
            out.extend(response);
            out.extend(tls);
            out.extend(service);
            out.extend([overload, listening, firewall, denied, route]);
        }
        Some("SslHandshakeError") => {
            out.extend(tls);
            out.extend(response);
            out.extend([listening, overload, firewall, denied, route]);
        }
        Some(
            "RecvResponseFailed"
            | "RecvResponseTimeout"
            | "SendRequestFailed"
            | "SendRequestTimeout"
            | "ConnectInterrupt",
        ) => {
            out.extend([overload, denied]);
            out.extend(response);
            out.extend(tls);
            out.extend(service);
            out.extend([firewall, listening, route]);
        }
        _ => {
            // ConnectTimeout, ConnectFailed, or nothing said: what swallows packets comes first, but for the usual culprit.
            if reason == Some("ConnectTimeout") {
                out.extend([firewall, route, listening]);
            } else {
                out.extend([listening, firewall, route]);
            }
            out.extend(response);
            out.extend(tls);
            out.extend([denied, overload]);
        }
    }
    out
}

/// For a check that sends no request: what the service does with a connection.
fn service(check: &HealthCheck, address: &str, port: u16) -> Option<String> {
    match check.protocol {
        HealthCheckProtocol::TCP => Some(format!(
            "The service may take connections and drop them: nc -vz {address} {port}"
        )),
        HealthCheckProtocol::UdpConnect => {
            Some(format!("The service may answer with errors: nc -uvz {address} {port}"))
        }
        _ => None,
    }
}

/// The health check's own request, ready to run, where it sends one.
fn request(check: &HealthCheck, local: &str, port: u16) -> Option<String> {
    let path = check.path.as_deref().unwrap_or("/");
    let name = check.domain_name.as_deref();
    let header = name.map(|name| format!(" -H {}", shell_quoted(&format!("Host: {name}"))));
    let header = header.unwrap_or_default();
    match (check.protocol, server_name(check)) {
        (HealthCheckProtocol::HTTP, _) => {
            let url = shell_quoted(&format!("http://{local}:{port}{path}"));
            Some(format!("curl -gsi{header} {url}"))
        }
        // The name goes into the handshake too, not into the header alone.
        (HealthCheckProtocol::HTTPS, Some(name)) => {
            let resolve = shell_quoted(&format!("{name}:{port}:{local}"));
            let url = shell_quoted(&format!("https://{name}:{port}{path}"));
            Some(format!("curl -gsik --resolve {resolve} {url}"))
        }
        (HealthCheckProtocol::HTTPS, None) => {
            let url = shell_quoted(&format!("https://{local}:{port}{path}"));
            Some(format!("curl -gsik{header} {url}"))
        }
        (HealthCheckProtocol::GRPC, _) => {
            let method = match path.trim_start_matches('/') {
                "" => "grpc.health.v1.Health/Check".to_owned(),
                own => shell_quoted(own),
            };
            let authority = name
                .map(|name| format!(" -authority {}", shell_quoted(name)))
                .unwrap_or_default();
            let end = shell_quoted(&format!("{local}:{port}"));
            Some(format!("grpcurl -plaintext{authority} {end} {method}"))
        }
        (HealthCheckProtocol::TCP | HealthCheckProtocol::TLS | HealthCheckProtocol::UdpConnect, _) => None,
    }
}

/// The name that a TLS handshake can ask for: a host header may have a port too, or be an address.
fn server_name(check: &HealthCheck) -> Option<&str> {
    let name = check.domain_name.as_deref()?;
    (!name.contains(':') && name.parse::<IpAddr>().is_err()).then_some(name)
}

fn host(family: Family, address: &str) -> String {
    if family == Family::V6 {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(protocol: HealthCheckProtocol, name: Option<&str>, path: Option<&str>) -> HealthCheck {
        HealthCheck {
            enabled: true,
            protocol,
            port: None,
            delay_seconds: None,
            timeout_seconds: None,
            max_retries: None,
            path: path.map(str::to_owned),
            domain_name: name.map(str::to_owned),
            expected_codes: None,
        }
    }

    #[test]
    fn the_request_is_the_health_checks_own_and_safe_in_a_shell() {
        let cases = [
            (
                HealthCheckProtocol::HTTP,
                None,
                Some("/a'b"),
                r#"curl -gsi "http://[::1]:81/a'b""#,
            ),
            (
                HealthCheckProtocol::HTTP,
                Some("shop.test"),
                None,
                "curl -gsi -H 'Host: shop.test' 'http://[::1]:81/'",
            ),
            (
                HealthCheckProtocol::HTTPS,
                Some("shop.test"),
                None,
                "curl -gsik --resolve 'shop.test:81:[::1]' 'https://shop.test:81/'",
            ),
            (
                HealthCheckProtocol::HTTPS,
                Some("shop.test:443"),
                None,
                "curl -gsik -H 'Host: shop.test:443' 'https://[::1]:81/'",
            ),
            (
                HealthCheckProtocol::GRPC,
                None,
                None,
                "grpcurl -plaintext '[::1]:81' grpc.health.v1.Health/Check",
            ),
            (
                HealthCheckProtocol::GRPC,
                None,
                Some("/own/Check"),
                "grpcurl -plaintext '[::1]:81' 'own/Check'",
            ),
        ];
        for (protocol, name, path, command) in cases {
            assert_eq!(
                request(&check(protocol, name, path), "[::1]", 81).as_deref(),
                Some(command)
            );
        }
        assert_eq!(request(&check(HealthCheckProtocol::TCP, None, None), "[::1]", 81), None);
    }

    #[test]
    fn no_answer_to_a_udp_probe_proves_nothing_to_get_through() {
        let udp = Some(HealthCheckProtocol::UdpConnect);
        assert_eq!(report("RecvResponseTimeout", udp), Report::NoAnswer);
        assert_eq!(report("SendRequestTimeout", udp), Report::Silent);
        assert_eq!(
            report("RecvResponseTimeout", Some(HealthCheckProtocol::HTTP)),
            Report::GetsThrough
        );
        assert_eq!(report("ConnectRefused", udp), Report::GetsThrough);
    }
}
