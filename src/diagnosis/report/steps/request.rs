//! The request that a health check sends, and the answer that it wants.

use crate::api::v1alpha1::{HealthCheck, HealthCheckProtocol, LoadBalancerType};

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
    pub codes: Codes,
    /// Seconds for which the check waits.
    pub timeout: Option<u8>,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum RequestKind {
    Http,
    Https,
    Grpc,
}

/// The codes that count as healthy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Codes {
    /// Those that are set.
    Set(String),
    /// None is set: what a load balancer of this kind takes.
    UsualOf(LoadBalancerType),
}

impl Codes {
    /// Whether an HTTP answer with this code is a healthy one.
    #[must_use]
    pub fn include(&self, code: u16) -> bool {
        match self {
            Self::UsualOf(LoadBalancerType::Dedicated) => code == 200,
            Self::UsualOf(LoadBalancerType::Shared) => [200, 202, 401].contains(&code),
            // Admission holds them to this form.
            Self::Set(codes) => codes.split(',').any(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let ends = (first.parse::<u16>(), last.parse::<u16>());
                matches!(ends, (Ok(first), Ok(last)) if (first..=last).contains(&code))
            }),
        }
    }
}

impl Request {
    /// The request of a health check that sends one.
    pub(super) fn of(check: &HealthCheck, balancer: LoadBalancerType) -> Option<Self> {
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
            codes: match &check.expected_codes {
                Some(codes) => Codes::Set(codes.clone()),
                None => Codes::UsualOf(balancer),
            },
            timeout: check.timeout_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_include_what_the_load_balancer_takes() {
        let set = |codes: &str| Codes::Set(codes.to_owned());
        let cases = [
            (Codes::UsualOf(LoadBalancerType::Dedicated), vec![200]),
            (Codes::UsualOf(LoadBalancerType::Shared), vec![200, 202, 401]),
            (set("204"), vec![204]),
            (set("200-202,404"), vec![200, 201, 202, 404]),
        ];
        for (codes, expected) in cases {
            let included: Vec<u16> = (0..1000).filter(|code| codes.include(*code)).collect();
            assert_eq!(included, expected, "{codes:?}");
        }
    }
}
