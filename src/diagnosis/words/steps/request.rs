//! The health check's own request, ready to run, and the answer that it wants.

use std::net::IpAddr;

use crate::{
    api::v1alpha1::LoadBalancerType,
    text::{excerpt, shell_quoted},
};

use super::super::super::report::{Codes, Request, RequestKind};

/// Answers that often come instead of the expected one, and what they mean.
const OTHERS: [(&str, &[u16]); 4] = [
    ("a redirect", &[301, 302]),
    ("a login", &[401, 403]),
    ("a wrong path", &[404]),
    ("an error", &[500, 503]),
];

/// What the service must answer.
pub(super) fn expectation(request: &Request) -> String {
    if request.kind == RequestKind::Grpc {
        let codes = match &request.codes {
            Codes::Set(codes) => excerpt(codes),
            Codes::UsualOf(_) => "0 (OK)".to_owned(),
        };
        return format!("The service must answer the gRPC health check with status {codes}");
    }
    let path = excerpt(request.path.as_deref().unwrap_or("/"));
    let host = request.name.as_deref();
    let host = host
        .map(|name| format!(" for host {}", excerpt(name)))
        .unwrap_or_default();
    let codes = match &request.codes {
        Codes::Set(codes) => excerpt(codes),
        Codes::UsualOf(LoadBalancerType::Dedicated) => "200 (the default)".to_owned(),
        Codes::UsualOf(LoadBalancerType::Shared) => "200, 202 or 401 (a Shared load balancer's default)".to_owned(),
    };
    let unwanted = |&(what, codes): &(&str, &[u16])| {
        let left = codes.iter().filter(|code| !request.codes.include(**code));
        let left: Vec<String> = left.map(u16::to_string).collect();
        (!left.is_empty()).then(|| format!("{what} ({})", left.join(", ")))
    };
    let unwanted: Vec<String> = OTHERS.iter().filter_map(unwanted).collect();
    let not = match unwanted.as_slice() {
        [] => String::new(),
        [only] => format!("; {only} fails the check"),
        [head @ .., last] => format!("; {} or {last} fails the check", head.join(", ")),
    };
    format!("GET {path}{host} must return {codes}{not}")
}

/// The request as a command.
pub(super) fn command(request: &Request, local: &str, port: u16) -> String {
    let path = request.path.as_deref().unwrap_or("/");
    let name = request.name.as_deref();
    let header = name.map(|name| format!(" -H {}", shell_quoted(&format!("Host: {name}"))));
    let header = header.unwrap_or_default();
    // It waits as long as the check does.
    let wait = request
        .timeout
        .map(|seconds| format!(" -m {seconds}"))
        .unwrap_or_default();
    match (request.kind, name.filter(|name| is_server_name(name))) {
        (RequestKind::Http, _) => {
            let url = shell_quoted(&format!("http://{local}:{port}{path}"));
            format!("curl -gsi{wait}{header} {url}")
        }
        // The name goes into the handshake too, not into the header alone.
        (RequestKind::Https, Some(name)) => {
            let resolve = shell_quoted(&format!("{name}:{port}:{local}"));
            let url = shell_quoted(&format!("https://{name}:{port}{path}"));
            format!("curl -gsik{wait} --resolve {resolve} {url}")
        }
        (RequestKind::Https, None) => {
            let url = shell_quoted(&format!("https://{local}:{port}{path}"));
            format!("curl -gsik{wait}{header} {url}")
        }
        (RequestKind::Grpc, _) => {
            let method = match path.trim_start_matches('/') {
                "" => "grpc.health.v1.Health/Check".to_owned(),
                own => shell_quoted(own),
            };
            let authority = name
                .map(|name| format!(" -authority {}", shell_quoted(name)))
                .unwrap_or_default();
            let wait = request
                .timeout
                .map(|seconds| format!(" -max-time {seconds}"))
                .unwrap_or_default();
            let end = shell_quoted(&format!("{local}:{port}"));
            format!("grpcurl -plaintext{wait}{authority} {end} {method}")
        }
    }
}

/// Whether a TLS handshake can ask for the name: a host header may have a port too, or be an address.
pub(super) fn is_server_name(name: &str) -> bool {
    !name.contains(':') && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: RequestKind, name: Option<&str>, path: Option<&str>) -> Request {
        Request {
            kind,
            path: path.map(str::to_owned),
            name: name.map(str::to_owned),
            codes: Codes::UsualOf(LoadBalancerType::Dedicated),
            timeout: None,
        }
    }

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
            assert_eq!(command(&request(kind, name, path), "[::1]", 81), expected);
        }
        let slow = Request {
            timeout: Some(3),
            ..request(RequestKind::Http, None, None)
        };
        assert_eq!(command(&slow, "[::1]", 81), "curl -gsi -m 3 'http://[::1]:81/'");
    }

    #[test]
    fn what_is_expected_names_path_host_and_codes() {
        let cases = [
            (
                Codes::UsualOf(LoadBalancerType::Dedicated),
                "GET /up for host shop.test must return 200 (the default); a redirect (301, 302), a login (401, 403), a wrong path \
                 (404) or an error (500, 503) fails the check",
            ),
            (
                Codes::UsualOf(LoadBalancerType::Shared),
                "GET /up for host shop.test must return 200, 202 or 401 (a Shared load balancer's default); a redirect (301, 302), \
                 a login (403), a wrong path (404) or an error (500, 503) fails the check",
            ),
            (
                Codes::Set("200-404".into()),
                "GET /up for host shop.test must return 200-404; an error (500, 503) fails the check",
            ),
            (
                Codes::Set("200-503".into()),
                "GET /up for host shop.test must return 200-503",
            ),
        ];
        for (codes, expected) in cases {
            let request = Request {
                codes,
                ..request(RequestKind::Http, Some("shop.test"), Some("/up"))
            };
            assert_eq!(expectation(&request), expected);
        }
    }
}
