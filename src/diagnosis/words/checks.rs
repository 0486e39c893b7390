//! The sentences about a failed check: why it failed, with the real names in it, and what to do.

use crate::{
    api::v1alpha1::ACCEPT_ANNOTATION,
    engine::{CheckId, Dimension, Has, Impact, Layer, Nearest, RuleFinding, format_address},
    text::{clean_for_json, shell_word},
};

use super::{
    super::{
        report::{Found, Report, What},
        values,
    },
    values::{address_group, bound, names, protocol, sentence},
};

/// Longest sentence, in bytes of JSON.
const MAX: usize = 512;

/// The reason with what a person may wonder about, for whoever need not be as small as a status.
pub fn explained(report: &Report, found: &Found<'_>) -> String {
    clean_for_json(&failure(report, found, true), MAX)
}

/// The page's reason with the real names in it.
pub fn reason(report: &Report, found: &Found<'_>) -> String {
    clean_for_json(&failure(report, found, false), MAX)
}

/// The same, of the first fault of that id.
pub fn reason_of(report: &Report, check: CheckId) -> String {
    let mut faults = report.findings.faults();
    faults
        .find(|found| found.check == check)
        .map(|found| reason(report, &found))
        .unwrap_or_default()
}

/// The change to make. The nearest rule and on what it misses stand in a field of their own, but for the default group: that probes are
/// no members needs a word.
pub fn suggestion(report: &Report, found: &Found<'_>) -> String {
    let change = change(report, found, &[], None);
    let nearest = found.rules().and_then(|rules| rules.evidence.nearest.as_ref());
    let text = match nearest.map(|nearest| (&nearest.rule, nearest.has.as_ref())) {
        Some((rule, Some(Has::MembersOf(group)))) => format!("{change}; {}", members_only(rule, group)),
        _ => change,
    };
    clean_for_json(&format!("{text}. {}", explain(found.check)), MAX)
}

/// The change to make, where the nearest rule is shown apart; commands name the namespace. `checks` are all that have this cause.
pub fn advice(report: &Report, found: &Found<'_>, checks: &[CheckId], namespace: &str) -> String {
    let change = change(report, found, checks, Some(namespace));
    match found.what {
        What::Rules(_) if found.impact() > Impact::Advisory && report.fix_of(found).is_some() => {
            format!("{change} below")
        }
        What::Rules(_) | What::Port { .. } => change,
    }
}

/// The command that prints the page about a check.
pub fn explain(check: CheckId) -> String {
    format!("elb-doctor explain {}", check.id())
}

fn change(report: &Report, found: &Found<'_>, checks: &[CheckId], namespace: Option<&str>) -> String {
    let fixed = report.fix_of(found).is_some();
    match found.what {
        // It stops no probe: there is no need to change anything.
        What::Rules(_) if found.impact() <= Impact::Advisory => {
            let clear = match (fixed, namespace) {
                (true, Some(_)) => "apply the fix below",
                (true, None) => "apply the fix",
                (false, _) => "add a rule that allows it",
            };
            // A status says in few words what the page about the check says with the command.
            let accept = match namespace {
                Some(_) => format!("accept it: {}", accept(report, checks, namespace)),
                None => "accept it".to_owned(),
            };
            format!("This drops no probe, so it is not the cause. To clear the finding, {clear} or {accept}")
        }
        What::Rules(_) if fixed => "Apply the fix".to_owned(),
        What::Rules(_) => "Add a rule that allows it".to_owned(),
        What::Port { port, own } => {
            let taken = if report.port_removal.is_some() {
                let below = if namespace.is_some() { " below" } else { "" };
                format!("apply the fix{below}, so that port {own} is probed")
            } else {
                format!("set it to {own}")
            };
            let accept = accept(report, &[found.check], namespace);
            format!("Port {port} may be meant. If it is not, {taken}. If it is, accept it: {accept}")
        }
    }
}

/// The command that accepts checks for this backend server.
fn accept(report: &Report, checks: &[CheckId], namespace: Option<&str>) -> String {
    let mut ids = report.accept_also.clone();
    let overwrite = if ids.is_empty() { "" } else { " --overwrite" };
    ids.extend(checks.iter().map(|check| check.id().to_owned()));
    let namespace = namespace.map(|name| format!(" -n {}", shell_word(name)));
    format!(
        "kubectl annotate bes/{}{}{overwrite} {}",
        shell_word(&report.backend),
        namespace.unwrap_or_default(),
        shell_word(&format!("{ACCEPT_ANNOTATION}={}", ids.join(",")))
    )
}

/// The sentence of each check.
fn failure(report: &Report, failed: &Found<'_>, explained: bool) -> String {
    let check = failed.check;
    let found = match failed.what {
        What::Rules(found) => found,
        What::Port { port, own } => {
            return format!("The health check port {port} is different from the backend server's port {own}.");
        }
    };
    let (traffic, server) = (&report.traffic, &report.backend);
    let local = format_address(traffic.family, traffic.local);
    let blocked = sentence(&found.evidence.values, traffic.family);
    let rules = rules(report, failed, found);
    let what = match check {
        CheckId::SecurityGroupInboundProtocol
        | CheckId::SecurityGroupOutboundProtocol
        | CheckId::NetworkAclInboundProtocol
        | CheckId::NetworkAclOutboundProtocol => {
            let why = if found.leg.has_ports() && !found.both_legs {
                ""
            } else {
                " (a UDP check also pings the server)"
            };
            let legs = legs(report, found);
            return format!("{rules} do not allow the health check protocol, {legs}{why}.");
        }
        CheckId::SecurityGroupInboundSource | CheckId::NetworkAclInboundSource => {
            format!("from {blocked}")
        }
        CheckId::SecurityGroupOutboundDestination | CheckId::NetworkAclOutboundDestination => {
            format!("to {blocked}")
        }
        CheckId::SecurityGroupInboundPort
        | CheckId::SecurityGroupOutboundPort
        | CheckId::NetworkAclInboundDestinationPort => {
            let both = both(report, found);
            return format!("{rules} do not allow health check port {}{both}.", traffic.port);
        }
        CheckId::NetworkAclOutboundSourcePort => format!("from health check port {}", traffic.port),
        CheckId::NetworkAclInboundSourcePort => {
            let label = label(found);
            return format!("{label}: Blocks source ports {blocked} (all source ports must be allowed).");
        }
        CheckId::NetworkAclOutboundDestinationPort => {
            let label = label(found);
            let why = if explained {
                " (all must be allowed: a reply goes to the port that the probe came from)"
            } else {
                ""
            };
            return format!("{label}: Blocks destination ports {blocked}{why}.");
        }
        CheckId::NetworkAclInboundDestination => format!("to {local}, the address of {server}"),
        CheckId::NetworkAclOutboundSource => format!("from {local}, the address of {server}"),
        CheckId::LoadBalancerAclOutbound => {
            return format!("{rules} do not allow probes from {blocked}{}.", both(report, found));
        }
        CheckId::LoadBalancerAclInbound | CheckId::SecurityGroupReplyOutbound => {
            return format!("{rules} do not allow replies to {blocked}{}.", both(report, found));
        }
        // No rules judge it: its sentence stands above.
        CheckId::HealthCheckPort => return check.page_reason().to_owned(),
    };
    format!("{rules} do not allow traffic {what}{}.", both(report, found))
}

/// The legs, where both fail.
fn both(report: &Report, found: &RuleFinding) -> String {
    if found.both_legs {
        format!(" ({})", legs(report, found))
    } else {
        String::new()
    }
}

/// The legs that fail.
fn legs(report: &Report, found: &RuleFinding) -> String {
    let family = report.traffic.family;
    if found.both_legs {
        let legs: Vec<&str> = report.traffic.legs.iter().map(|leg| leg.name(family)).collect();
        legs.join(" and ")
    } else {
        found.leg.name(family).to_owned()
    }
}

/// `Network ACL app, inbound`.
fn label(found: &RuleFinding) -> String {
    let acl = found.evidence.decided_by.object.as_deref().unwrap_or_default();
    format!("Network ACL {acl}, {}", bound(found.direction))
}

/// The rules of which objects do not allow it.
fn rules(report: &Report, failed: &Found<'_>, found: &RuleFinding) -> String {
    let bound = bound(found.direction);
    let sort = match found.layer {
        Layer::SecurityGroupReply => "stateless security group",
        Layer::SecurityGroup | Layer::NetworkAcl | Layer::LoadBalancerAcl => "security group",
    };
    match (found.layer, report.security_groups.as_slice()) {
        (Layer::NetworkAcl | Layer::LoadBalancerAcl, _) => {
            let acl = found.evidence.decided_by.object.as_deref().unwrap_or_default();
            match failed.subnet {
                Some(subnet) => {
                    format!("The {bound} rules of network ACL {acl} on the load balancer's subnet {subnet}")
                }
                None => format!("The {bound} rules of network ACL {acl}"),
            }
        }
        (Layer::SecurityGroup | Layer::SecurityGroupReply, []) => {
            format!("There is no security group on the interface: {bound} rules")
        }
        (Layer::SecurityGroup | Layer::SecurityGroupReply, [only]) => format!("The {bound} rules of {sort} {only}"),
        (Layer::SecurityGroup | Layer::SecurityGroupReply, several) => {
            format!("The {bound} rules of {sort}s {}", names(several))
        }
    }
}

fn members_only(rule: &str, group: &str) -> String {
    format!("rule {rule} allows only members of security group {group}, and the load balancer is not one")
}

/// What the nearest rule has where it misses, if it is one thing only: `rule a has port 80, not 81`.
fn hint(report: &Report, found: &RuleFinding, nearest: &Nearest) -> Option<String> {
    let rule = &nearest.rule;
    let [only] = nearest.misses.as_slice() else { return None };
    let family = report.traffic.family;
    let has = match nearest.has.as_ref()? {
        Has::Values(has) => sentence(has, family),
        Has::Protocol(has) => protocol(*has, family),
        Has::AddressGroup(name, has) => address_group(name, has, family),
        Has::MembersOf(group) => {
            return Some(members_only(rule, group));
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
    // One port, or several.
    let several = matches!(only, Dimension::LocalPort | Dimension::RemotePort) && has.parse::<u16>().is_err();
    let s = if several { "s" } else { "" };
    Some(format!("rule {rule} has {dimension}{s} {has}, not {needed}"))
}

/// The allow rule that comes nearest, and why it does not allow the packet; nothing where there is none.
pub fn nearest(report: &Report, found: &RuleFinding) -> Option<String> {
    let near = found.evidence.nearest.as_ref()?;
    // What decides is named beside it.
    let of = if found.evidence.decided_by.object.as_ref() == Some(&near.object) {
        String::new()
    } else {
        format!(" in {} {}", values::kind_name(found.layer), near.object)
    };
    if let Some(deny) = &near.shadowed_by {
        return Some(format!(
            "rule {}{of} would allow it, but rule {deny} comes first",
            near.rule
        ));
    }
    if let Some(hint) = hint(report, found, near) {
        return Some(format!("{hint}{of}"));
    }
    let misses = near.misses.iter();
    let misses = misses.map(|missed| values::dimension_name(values::dimension(found.layer, found.direction, *missed)));
    let misses = misses.map(str::to_owned).collect::<Vec<_>>();
    Some(format!("rule {}{of} differs in {}", near.rule, names(&misses)))
}
