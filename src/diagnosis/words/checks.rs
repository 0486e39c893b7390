//! The sentences about a failed item: why it failed, with the real names in it, and what to do.

use crate::{
    engine::{CheckId, Dimension, Finding, Has, Layer, Leg, Nearest, Outcome, RuleFinding, format_address},
    text::clean_for_json,
};

use super::{
    super::{report::Report, values},
    values::{address_group, bound, names, names_a_prefix, page, protocol, sentence},
};

/// Longest sentence, in bytes of JSON.
const MAX: usize = 512;

/// The page's reason with the real names in it.
pub fn reason(report: &Report, check: CheckId, finding: &Finding) -> String {
    clean_for_json(&failure(report, check, finding), MAX)
}

/// The same, of an item by its id.
pub fn reason_of(report: &Report, check: CheckId) -> String {
    match report.outcomes.get(check) {
        Outcome::Failed(finding) => reason(report, check, finding),
        Outcome::Passed | Outcome::NotApplicable(_) => String::new(),
    }
}

/// The change to make.
pub fn suggestion(report: &Report, check: CheckId, finding: &Finding) -> String {
    let change = match finding {
        Finding::Rules(found) => change_of_rules(report, found),
        Finding::Configuration { own, .. } => format!("Use the backend port {own} as the health check port"),
    };
    clean_for_json(&format!("{change}; see {}", page(check)), MAX)
}

/// The sentence of each item.
fn failure(report: &Report, check: CheckId, finding: &Finding) -> String {
    let found = match finding {
        Finding::Rules(found) => found,
        Finding::Configuration { port, own } => {
            return format!(
                "The specified health check port {port} is different from that used by the backend server, {own}."
            );
        }
    };
    let (traffic, server) = (&report.traffic, &report.backend);
    let local = format_address(traffic.family, traffic.local);
    let values = &found.evidence.values;
    let blocked = sentence(values, traffic.family);
    let addresses = if names_a_prefix(values) {
        format!("addresses {blocked}")
    } else {
        blocked.clone()
    };
    let what = match check {
        CheckId::SecurityGroupInboundProtocol
        | CheckId::SecurityGroupOutboundProtocol
        | CheckId::NetworkAclInboundProtocol
        | CheckId::NetworkAclOutboundProtocol => {
            return rules_do_not_allow(
                report,
                found,
                &format!("over the health check protocol {}", legs(report, found)),
            );
        }
        CheckId::SecurityGroupInboundSource | CheckId::NetworkAclInboundSource => {
            format!("from {addresses} to {server}")
        }
        CheckId::SecurityGroupOutboundDestination | CheckId::NetworkAclOutboundDestination => {
            format!("from {server} to {addresses}")
        }
        CheckId::SecurityGroupInboundPort
        | CheckId::SecurityGroupOutboundPort
        | CheckId::NetworkAclInboundDestinationPort
        | CheckId::NetworkAclOutboundSourcePort => format!("over health check port {}", traffic.port),
        CheckId::NetworkAclInboundSourcePort => format!("over all source ports: not {blocked}"),
        CheckId::NetworkAclOutboundDestinationPort => format!("over all destination ports: not {blocked}"),
        CheckId::NetworkAclInboundDestination => format!("to the destination address {local} of {server}"),
        CheckId::NetworkAclOutboundSource => format!("from the source address {local} of {server}"),
        CheckId::LoadBalancerAclOutbound => format!("from {addresses} to {server}"),
        CheckId::LoadBalancerAclInbound | CheckId::SecurityGroupReplyOutbound => {
            format!("from {server} to {addresses}")
        }
        // No rules judge it: its sentence stands above.
        CheckId::HealthCheckPort => return check.page_reason().to_owned(),
    };
    let both = if found.both_legs {
        format!(" ({})", legs(report, found))
    } else {
        String::new()
    };
    rules_do_not_allow(report, found, &format!("{what}{both}"))
}

/// The legs that fail.
fn legs(report: &Report, found: &RuleFinding) -> String {
    let family = report.traffic.family;
    let leg = found.leg.name(family);
    if found.both_legs {
        format!("{leg} and {}", Leg::Icmp.name(family))
    } else {
        leg.to_owned()
    }
}

/// The rules of which objects do not allow it.
fn rules_do_not_allow(report: &Report, found: &RuleFinding, what: &str) -> String {
    let bound = bound(found.direction);
    let rules = match (found.layer, report.security_groups.as_slice()) {
        (Layer::NetworkAcl | Layer::LoadBalancerAcl, _) => {
            let name = found.evidence.decided_by.object.as_deref().unwrap_or_default();
            format!("The {bound} rules of network ACL {name}")
        }
        (Layer::SecurityGroup | Layer::SecurityGroupReply, []) => {
            return format!("There is no security group on the interface: no {bound} rules allow traffic {what}.");
        }
        (Layer::SecurityGroup | Layer::SecurityGroupReply, [only]) => {
            format!("The {bound} rules of security group {only}")
        }
        (Layer::SecurityGroup | Layer::SecurityGroupReply, several) => {
            format!("The {bound} rules of security groups {}", names(several))
        }
    };
    format!("{rules} do not allow traffic {what}.")
}

fn change_of_rules(report: &Report, found: &RuleFinding) -> String {
    let fixed = report.fix_of(found.layer, found.direction).is_some();
    let change = if fixed { "Apply the fix" } else { "Allow it" };
    let hint = found
        .evidence
        .nearest
        .as_ref()
        .and_then(|near| hint(report, found, near));
    match hint {
        Some(hint) => format!("{change}; {hint}"),
        None => change.to_owned(),
    }
}

/// What the nearest rule lacks, where one change of it would do.
fn hint(report: &Report, found: &RuleFinding, nearest: &Nearest) -> Option<String> {
    let rule = &nearest.rule;
    let family = report.traffic.family;
    if let Some(deny) = &nearest.shadowed_by {
        return Some(format!("rule {rule} would allow it, but {deny} comes first and denies"));
    }
    let [only] = nearest.misses.as_slice() else { return None };
    let has = match nearest.has.as_ref()? {
        Has::Values(has) => sentence(has, family),
        Has::Protocol(has) => protocol(*has, family),
        Has::AddressGroup(name, has) => address_group(name, has, family),
        Has::MembersOf(group) => {
            return Some(format!(
                "rule {rule} allows only members of security group {group}, which probes are not"
            ));
        }
    };
    let needed = match only {
        Dimension::Protocol => found.leg.name(family).to_owned(),
        Dimension::Remote => format_address(family, found.evidence.witness.remote),
        Dimension::RemotePort => found.evidence.witness.remote_port.to_string(),
        Dimension::Local => format_address(family, report.traffic.local),
        Dimension::LocalPort => report.traffic.port.to_string(),
    };
    let dimension = values::dimension_name(values::dimension(found.layer, found.direction, *only));
    Some(format!(
        "rule {rule} misses only on the {dimension}: {has}, not {needed}"
    ))
}
