//! What is said beside the failed items: notes, disagreement with the report, and what remains when nothing failed.

use crate::{
    api::v1alpha1::{HealthCheckProtocol, LoadBalancerType},
    engine::{
        AddressMatch, Case, Direction, Family, Impact, Layer, NetworkAclState, SecurityGroupState, Verdict,
        format_address,
    },
    world::{Collected, SourceOrigin},
};

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

fn report(reason: Option<&str>) -> Report {
    match reason {
        Some(
            "ConnectRefused"
            | "ConnectInterrupt"
            | "SslHandshakeError"
            | "RecvResponseFailed"
            | "RecvResponseTimeout"
            | "SendRequestFailed"
            | "SendRequestTimeout"
            | "ResponseFormatError"
            | "ResponseMismatch",
        ) => Report::GetsThrough,
        Some("ConnectTimeout") => Report::NoAnswer,
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
    match report(Some(reason)) {
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
            let inside = case.subnet.iter().any(|prefix| prefix.contains(case.traffic.local));
            let all_inside = inside
                && case
                    .traffic
                    .sources
                    .spans()
                    .iter()
                    .all(|span| case.subnet.iter().any(|prefix| prefix.covers(span)));
            if all_inside {
                out.push(format!(
                    "Network ACL {} does not apply: all health check sources are in the server's own subnet {subnet}",
                    rules.name
                ));
            } else if *stateful && fails(verdict, Layer::NetworkAcl, Direction::Egress) {
                out.push(format!(
                    "Network ACL {} is stateful: its outbound rules cannot stop replies to probes",
                    rules.name
                ));
            } else if !*stateful {
                out.push(format!(
                    "Network ACL {} is stateless: replies need an outbound rule",
                    rules.name
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
                .flat_map(|group| group.rules(direction, case.traffic.family));
            fails(verdict, Layer::SecurityGroup, direction)
                && rules.any(|rule| matches!(rule.remote, AddressMatch::Members(_)))
        })
    {
        out.push(
            "Assumed: health check sources are members of no security group, so rules for members miss them".to_owned(),
        );
    }
    match &collected.source_origin {
        Some(SourceOrigin::Subnets(names)) => {
            let s = if names.len() == 1 { "" } else { "s" };
            out.push(format!(
                "Assumed: probes come from all of subnet{s} {}",
                names.join(", ")
            ));
        }
        Some(SourceOrigin::Shared) => {
            out.push("Assumed: probes come from all of the shared prefixes".to_owned());
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
    verdict
        .findings
        .iter()
        .any(|finding| finding.side == Some((layer, direction)))
}

/// With no fault: what remains, most likely first given the reported reason, each with what to run on the server.
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
    let url = url(collected, case);
    let response = url.as_ref().map(|curl| {
        let codes = check.expected_codes.as_deref().unwrap_or("200");
        format!("The answer may not be one of the expected codes {codes}: {curl}")
    });
    let local = host(traffic.family, &format_address(traffic.family, traffic.local));
    let tls = matches!(check.protocol, HealthCheckProtocol::HTTPS | HealthCheckProtocol::TLS)
        .then(|| format!("The TLS handshake may fail: openssl s_client -connect {local}:{port} </dev/null"));
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

/// The health check's own request, ready to run.
fn url(collected: &Collected, case: &Case) -> Option<String> {
    let check = collected.health_check.as_ref()?;
    let scheme = match check.protocol {
        HealthCheckProtocol::HTTP => "http",
        HealthCheckProtocol::HTTPS => "https",
        _ => return None,
    };
    let traffic = &case.traffic;
    let local = host(traffic.family, &format_address(traffic.family, traffic.local));
    let path = check.path.as_deref().unwrap_or("/");
    let header = check
        .domain_name
        .as_ref()
        .map(|name| format!(" -H {}", quoted(&format!("Host: {name}"))))
        .unwrap_or_default();
    let insecure = if scheme == "https" { "k" } else { "" };
    Some(format!(
        "curl -si{insecure}{header} {}",
        quoted(&format!("{scheme}://{local}:{}{path}", traffic.port))
    ))
}

fn host(family: Family, address: &str) -> String {
    if family == Family::V6 {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}

/// Quoted for a POSIX shell, so that a resource's text cannot become a command.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
