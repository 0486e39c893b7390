//! What remains when no probe is dropped, each with what to run on the server.

use std::net::IpAddr;

use crate::{
    engine::{Family, format_address},
    text::shell_quoted,
};

use super::super::report::{NextStep, Report, Request, RequestKind};

/// One step in a sentence.
pub fn step(report: &Report, step: &NextStep) -> String {
    let traffic = &report.traffic;
    let (family, port) = (traffic.family, traffic.port);
    let bare = format_address(family, traffic.local);
    match step {
        NextStep::ZeroWeight => {
            "Its weight is 0, and a Shared load balancer shows such a backend server as unhealthy by design".to_owned()
        }
        NextStep::NothingListens { udp: true } => {
            format!("Nothing may be listening on UDP port {port}: ss -lun 'sport = :{port}'")
        }
        NextStep::NothingListens { udp: false } => {
            format!("Nothing may be listening on port {port}: ss -ltn 'sport = :{port}'")
        }
        NextStep::UnexpectedAnswer(request) => {
            let usual = match request.kind {
                RequestKind::Grpc => "0",
                RequestKind::Http | RequestKind::Https => "200",
            };
            let codes = request.codes.as_deref().unwrap_or(usual);
            let command = command(request, &host(family, &bare), port);
            format!("The answer may not be one of the expected codes {codes}: {command}")
        }
        NextStep::TlsHandshake { name } => {
            let end = shell_quoted(&format!("{}:{port}", host(family, &bare)));
            let name = name.as_ref().map(|name| format!(" -servername {}", shell_quoted(name)));
            let name = name.unwrap_or_default();
            format!("The TLS handshake may fail: openssl s_client -connect {end}{name} </dev/null")
        }
        NextStep::DropsConnections => format!("The service may take connections and drop them: nc -vz {bare} {port}"),
        NextStep::AnswersWithErrors => format!("The service may answer with errors: nc -uvz {bare} {port}"),
        NextStep::HostFirewall => {
            let tables = match family {
                Family::V4 => "iptables",
                Family::V6 => "ip6tables",
            };
            format!("The host's own firewall may drop probes: nft list ruleset || {tables} -nvL")
        }
        NextStep::WayBack { to } => {
            let address = to.map(|address| format_address(family, address)).unwrap_or_default();
            format!("The way back may lead elsewhere: ip route get {address}")
        }
        NextStep::HostsDeny => {
            "The service may be denied by hosts.deny: cat /etc/hosts.allow /etc/hosts.deny".to_owned()
        }
        NextStep::Overload => "The server may be overloaded: uptime; ss -s".to_owned(),
    }
}

/// The health check's own request, ready to run.
fn command(request: &Request, local: &str, port: u16) -> String {
    let path = request.path.as_deref().unwrap_or("/");
    let name = request.name.as_deref();
    let header = name.map(|name| format!(" -H {}", shell_quoted(&format!("Host: {name}"))));
    let header = header.unwrap_or_default();
    match (request.kind, name.filter(|name| is_server_name(name))) {
        (RequestKind::Http, _) => {
            let url = shell_quoted(&format!("http://{local}:{port}{path}"));
            format!("curl -gsi{header} {url}")
        }
        // The name goes into the handshake too, not into the header alone.
        (RequestKind::Https, Some(name)) => {
            let resolve = shell_quoted(&format!("{name}:{port}:{local}"));
            let url = shell_quoted(&format!("https://{name}:{port}{path}"));
            format!("curl -gsik --resolve {resolve} {url}")
        }
        (RequestKind::Https, None) => {
            let url = shell_quoted(&format!("https://{local}:{port}{path}"));
            format!("curl -gsik{header} {url}")
        }
        (RequestKind::Grpc, _) => {
            let method = match path.trim_start_matches('/') {
                "" => "grpc.health.v1.Health/Check".to_owned(),
                own => shell_quoted(own),
            };
            let authority = name
                .map(|name| format!(" -authority {}", shell_quoted(name)))
                .unwrap_or_default();
            let end = shell_quoted(&format!("{local}:{port}"));
            format!("grpcurl -plaintext{authority} {end} {method}")
        }
    }
}

/// Whether a TLS handshake can ask for the name: a host header may have a port too, or be an address.
fn is_server_name(name: &str) -> bool {
    !name.contains(':') && name.parse::<IpAddr>().is_err()
}

fn host(family: Family, address: &str) -> String {
    match family {
        Family::V4 => address.to_owned(),
        Family::V6 => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_health_checks_own_and_safe_in_a_shell() {
        let cases = [
            (
                RequestKind::Http,
                None,
                Some("/a'b"),
                r#"curl -gsi "http://[::1]:81/a'b""#,
            ),
            (
                RequestKind::Http,
                Some("shop.test"),
                None,
                "curl -gsi -H 'Host: shop.test' 'http://[::1]:81/'",
            ),
            (
                RequestKind::Https,
                Some("shop.test"),
                None,
                "curl -gsik --resolve 'shop.test:81:[::1]' 'https://shop.test:81/'",
            ),
            (
                RequestKind::Https,
                Some("shop.test:443"),
                None,
                "curl -gsik -H 'Host: shop.test:443' 'https://[::1]:81/'",
            ),
            (
                RequestKind::Grpc,
                None,
                None,
                "grpcurl -plaintext '[::1]:81' grpc.health.v1.Health/Check",
            ),
            (
                RequestKind::Grpc,
                None,
                Some("/own/Check"),
                "grpcurl -plaintext '[::1]:81' 'own/Check'",
            ),
        ];
        for (kind, name, path, expected) in cases {
            let request = Request {
                kind,
                path: path.map(str::to_owned),
                name: name.map(str::to_owned),
                codes: None,
            };
            assert_eq!(command(&request, "[::1]", 81), expected);
        }
    }
}
