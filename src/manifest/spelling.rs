//! How clouds and people spell what these manifests spell otherwise: the right word, offered.

use super::hint::{self, letters, suggestion};
use strum::VariantNames as _;

use crate::{api::v1alpha1::ReportedReason, text::excerpt};

/// Other words for the words of our enums, as [`letters`].
const SYNONYMS: &[(&str, &str)] = &[
    ("in", "Ingress"),
    ("inbound", "Ingress"),
    ("incoming", "Ingress"),
    ("out", "Egress"),
    ("outbound", "Egress"),
    ("outgoing", "Egress"),
    ("accept", "Allow"),
    ("permit", "Allow"),
    ("pass", "Allow"),
    ("drop", "Deny"),
    ("reject", "Deny"),
    ("block", "Deny"),
    ("refuse", "Deny"),
    ("4", "IPv4"),
    ("v4", "IPv4"),
    ("inet", "IPv4"),
    ("6", "IPv6"),
    ("v6", "IPv6"),
    ("inet6", "IPv6"),
    ("guaranteed", "Dedicated"),
    ("exclusive", "Dedicated"),
    ("application", "Dedicated"),
    ("network", "Dedicated"),
    ("classic", "Shared"),
    ("up", "Healthy"),
    ("online", "Healthy"),
    ("ok", "Healthy"),
    ("normal", "Healthy"),
    ("inservice", "Healthy"),
    ("passing", "Healthy"),
    ("down", "Unhealthy"),
    ("offline", "Unhealthy"),
    ("error", "Unhealthy"),
    ("abnormal", "Unhealthy"),
    ("outofservice", "Unhealthy"),
    ("failing", "Unhealthy"),
    ("critical", "Unhealthy"),
    ("nomonitor", "Unknown"),
    ("unused", "Unknown"),
    ("initial", "Unknown"),
    ("draining", "Unknown"),
    ("unavailable", "Unknown"),
    ("ssl", "TLS"),
    ("tlshello", "TLS"),
    ("udp", "UDP_CONNECT"),
    ("ecs", "Instance"),
    ("vm", "Instance"),
    ("server", "Instance"),
];

/// Other words for the cloud's reasons.
const REASON_SYNONYMS: &[(&str, &str)] = &[
    ("timeout", "ConnectTimeout"),
    ("timedout", "ConnectTimeout"),
    ("etimedout", "ConnectTimeout"),
    ("connectiontimedout", "ConnectTimeout"),
    ("targettimeout", "ConnectTimeout"),
    ("refused", "ConnectRefused"),
    ("econnrefused", "ConnectRefused"),
    ("connectionreset", "ConnectInterrupt"),
    ("econnreset", "ConnectInterrupt"),
    ("targetresponsecodemismatch", "ResponseMismatch"),
    ("statuscodemismatch", "ResponseMismatch"),
];

/// Protocols by other words than a rule takes.
const PROTOCOL_SYNONYMS: &[(&str, &str)] = &[
    ("icmp6", "icmpv6"),
    ("ipv6icmp", "icmpv6"),
    ("icmpipv6", "icmpv6"),
    ("http", "tcp"),
    ("https", "tcp"),
    ("tls", "tcp"),
    ("ssl", "tcp"),
    ("grpc", "tcp"),
    ("quic", "udp"),
    ("dns", "udp"),
    ("igmp", "2"),
    ("ipip", "4"),
    ("dccp", "33"),
    ("gre", "47"),
    ("esp", "50"),
    ("ah", "51"),
    ("ospf", "89"),
    ("pim", "103"),
    ("vrrp", "112"),
    ("sctp", "132"),
    ("udplite", "136"),
];

/// Words for "all of them".
fn means_all(text: &str) -> bool {
    let text = text.trim();
    matches!(text, "*" | "-1" | "-")
        || matches!(
            letters(text).as_str(),
            "any" | "all" | "every" | "anywhere" | "alltraffic"
        )
}

/// The one of these words that is meant.
pub fn one_of<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let spelled = letters(word);
    let same = words.iter().find(|candidate| letters(candidate) == spelled);
    let synonym = || {
        let (_, right) = SYNONYMS.iter().find(|(other, _)| *other == spelled)?;
        words.iter().find(|candidate| *candidate == right)
    };
    same.or_else(synonym)
        .copied()
        .or_else(|| hint::nearest(word, words.iter().copied()))
}

/// What to write instead of a value that a field does not take; empty where nothing is known.
pub fn of_value(path: &str, text: &str) -> String {
    let better = match field(path) {
        "protocol" if means_all(text) => return "; leave protocol out: absent means all".into(),
        "protocol" => protocol(text),
        "reason" => return reason(text),
        "ports" | "sourcePorts" | "destinationPorts" => ports(text),
        "cidr" | "cidrs" | "healthCheckSources" | "sources" => {
            if means_all(text) {
                let (rest, end) = path.rsplit_once('.').map_or(("", ""), |(rest, _)| (rest, field(rest)));
                return if rest.is_empty() || !matches!(end, "remote" | "source" | "destination") {
                    String::new()
                } else {
                    format!("; leave {end} out: absent means any address")
                };
            }
            prefix(text)
        }
        _ => None,
    };
    better.map_or_else(String::new, |better| suggestion(&excerpt(&better)))
}

/// What is hardly meant by a value that a field takes.
pub fn doubt(path: &str, text: &str) -> Option<String> {
    match field(path) {
        "protocol" if !path.contains("healthCheck") && text.parse() == Ok(0_u8) => Some(format!(
            "{text:?} is protocol number 0 (HOPOPT) and not all protocols: leave protocol out to match all"
        )),
        "reason" if path == "status.health.reason" && !ReportedReason::VARIANTS.contains(&text) => {
            let near = known_reason(text)?;
            Some(format!(
                "{text:?} is not one of the cloud's reasons; did you mean {near:?}?"
            ))
        }
        _ => None,
    }
}

/// What to write instead of a number where text is wanted.
pub fn of_number(path: &str, number: &serde_json::Number) -> Option<&'static str> {
    let all = field(path) == "protocol" && matches!(number.as_i64(), Some(-1 | 0));
    all.then_some(": leave protocol out: absent means all")
}

/// What to write instead of text where true or false is wanted.
pub fn of_bool(text: &str) -> Option<&'static str> {
    match letters(text).as_str() {
        "true" | "yes" | "on" | "enabled" | "y" | "1" => Some(": write true, without quotes"),
        "false" | "no" | "off" | "disabled" | "n" | "0" => Some(": write false, without quotes"),
        _ => None,
    }
}

/// The last field of a path, without a place in an array.
fn field(path: &str) -> &str {
    let field = path.rsplit_once('.').map_or(path, |(_, field)| field);
    field.split_once('[').map_or(field, |(field, _)| field)
}

fn protocol(text: &str) -> Option<String> {
    let spelled = letters(text);
    let words = ["tcp", "udp", "icmp", "icmpv6"];
    let known = PROTOCOL_SYNONYMS.iter().find(|(other, _)| *other == spelled);
    let same = words.iter().find(|word| **word == spelled);
    let near = || hint::nearest(text, words);
    let right = same.copied().or(known.map(|(_, right)| *right)).or_else(near);
    right.map(str::to_owned)
}

fn known_reason(text: &str) -> Option<&'static str> {
    let spelled = letters(text);
    let synonym = REASON_SYNONYMS.iter().find(|(other, _)| *other == spelled);
    let near = || hint::nearest(text, ReportedReason::VARIANTS.iter().copied());
    synonym.map(|(_, right)| *right).or_else(near)
}

/// A reason is one word in `CamelCase`.
fn reason(text: &str) -> String {
    if let Some(known) = known_reason(text) {
        return suggestion(known);
    }
    let mut camel = String::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        camel.push_str(&letters.as_str().to_ascii_lowercase());
    }
    if camel.starts_with(|c: char| c.is_ascii_uppercase()) {
        suggestion(&excerpt(&camel))
    } else {
        String::new()
    }
}

/// `80:90` and `22, 80` as a list of ports.
fn ports(text: &str) -> Option<String> {
    let mut list: String = text.split_whitespace().collect();
    for (other, right) in [("..", "-"), (":", "-"), ("–", "-"), ("to", "-"), (";", ",")] {
        list = list.replace(other, right);
    }
    let list = list.trim_matches(['[', ']', ',']).to_owned();
    let is_port = |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    let is_range = |range: &str| match range.split_once('-') {
        Some((from, to)) => is_port(from) && is_port(to),
        None => is_port(range),
    };
    (list != text && list.split(',').all(is_range)).then_some(list)
}

/// An address, or one with a mask, as a prefix.
fn prefix(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let (address, mask) = match trimmed.split_once('/') {
        Some((address, mask)) => (address.trim(), Some(mask.trim())),
        None => (trimmed, None),
    };
    let address: std::net::IpAddr = address.parse().ok()?;
    let length = match (mask, address) {
        (None, std::net::IpAddr::V4(_)) => 32,
        (None, std::net::IpAddr::V6(_)) => 128,
        (Some(mask), _) => match mask.parse::<std::net::Ipv4Addr>() {
            Ok(mask) if address.is_ipv4() => {
                let bits = mask.to_bits();
                (bits.leading_ones() + bits.trailing_zeros() >= 32).then_some(bits.leading_ones())?
            }
            _ => mask.parse().ok()?,
        },
    };
    // What an object of ours may not have is not offered.
    let net = ipnet::IpNet::new(address, u8::try_from(length).ok()?).ok()?;
    Some(net.trunc().to_string()).filter(|net| net != text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_clouds_are_understood() {
        let words: &[(&str, &[&str], Option<&str>)] = &[
            ("ingress", &["Ingress", "Egress"], Some("Ingress")),
            ("outbound", &["Ingress", "Egress"], Some("Egress")),
            ("DROP", &["Allow", "Deny"], Some("Deny")),
            ("dedicated", &["Dedicated", "Shared"], Some("Dedicated")),
            ("udp-connect", &["TCP", "UDP_CONNECT"], Some("UDP_CONNECT")),
            ("udp", &["TCP", "UDP"], Some("UDP")),
            ("OFFLINE", &["Healthy", "Unhealthy", "Unknown"], Some("Unhealthy")),
            ("ipv4", &["IPv4", "IPv6"], Some("IPv4")),
            ("weather", &["Allow", "Deny"], None),
        ];
        for (word, candidates, right) in words {
            assert_eq!(one_of(word, candidates), *right, "{word}");
        }
    }

    #[test]
    fn a_value_is_offered_as_the_field_takes_it() {
        for (path, text, hint) in [
            ("spec.rules[0].protocol", "TCP", "; did you mean \"tcp\"?"),
            ("spec.rules[0].protocol", "Ipv6-Icmp", "; did you mean \"icmpv6\"?"),
            ("spec.rules[0].protocol", "sctp", "; did you mean \"132\"?"),
            (
                "spec.rules[0].protocol",
                "any",
                "; leave protocol out: absent means all",
            ),
            ("spec.rules[0].protocol", "-1", "; leave protocol out: absent means all"),
            ("spec.rules[0].protocol", "weather", ""),
            ("spec.rules[0].ports", "80:90", "; did you mean \"80-90\"?"),
            ("spec.rules[0].ports", "22, 80 - 90", "; did you mean \"22,80-90\"?"),
            ("spec.rules[0].ports", "ssh", ""),
            (
                "spec.rules[0].remote.cidr",
                "10.0.0.1",
                "; did you mean \"10.0.0.1/32\"?",
            ),
            (
                "spec.rules[0].remote.cidr",
                "10.0.0.0/255.255.0.0",
                "; did you mean \"10.0.0.0/16\"?",
            ),
            (
                "spec.rules[0].remote.cidr",
                "any",
                "; leave remote out: absent means any address",
            ),
            (
                "spec.ingress[0].source.cidr",
                "*",
                "; leave source out: absent means any address",
            ),
            ("spec.cidrs[0]", "2001:db8::", "; did you mean \"2001:db8::/128\"?"),
            (
                "status.health.reason",
                "CONNECT_TIMEOUT",
                "; did you mean \"ConnectTimeout\"?",
            ),
            (
                "status.health.reason",
                "Target.Timeout",
                "; did you mean \"ConnectTimeout\"?",
            ),
            (
                "status.health.reason",
                "no route to host",
                "; did you mean \"NoRouteToHost\"?",
            ),
            ("spec.backendServerGroup", "x y", ""),
        ] {
            assert_eq!(of_value(path, text), hint, "{path} {text}");
        }
    }

    #[test]
    fn what_is_hardly_meant_is_doubted() {
        let reason = "status.health.reason";
        assert!(
            doubt(reason, "ConnectionRefused").is_some_and(|doubt| doubt.ends_with("did you mean \"ConnectRefused\"?"))
        );
        for fine in ["ConnectRefused", "NoRouteToHost", "MaintenanceWindow"] {
            assert_eq!(doubt(reason, fine), None, "{fine}");
        }
        assert!(doubt("spec.ingress[3].protocol", "0").is_some());
        assert_eq!(doubt("spec.ingress[3].protocol", "6"), None);
    }
}
