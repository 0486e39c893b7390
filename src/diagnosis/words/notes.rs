//! The sentences of notes.

use crate::{
    api::v1alpha1::ACCEPT_ANNOTATION,
    engine::{Family, Values, format_address},
    text::clean_for_json,
    world::UnjudgedSubnet,
};

use super::{
    super::report::{AboutAcl, DecidingGroup, Disagreement, Note, OtherFamily, Report},
    steps::ZERO_WEIGHT,
    values::{address_group, sentence, version},
};

/// Longest note, in bytes of JSON.
const MAX: usize = 512;

/// All notes about a report, the disagreement last.
pub fn notes(report: &Report) -> Vec<String> {
    let notes = report.notes.iter().map(|one| note(report, one));
    let all = notes.chain(report.disagreement.map(disagreement));
    all.map(|text| clean_for_json(&text, MAX)).collect()
}

fn note(report: &Report, note: &Note) -> String {
    let family = report.traffic.family;
    match note {
        Note::PortSecurityOff => "Port security is off on the interface, so security groups are not applied".to_owned(),
        Note::NoNetworkAcl { subnet } => format!("Subnet {subnet} has no network ACL"),
        Note::NetworkAclOff { acl, subnet } => format!("Network ACL {acl} on subnet {subnet} is switched off"),
        Note::NetworkAcl { acl, about } => format!("Network ACL {acl} {}", about_acl(about)),
        Note::SecurityGroupsAreStateful => {
            "Security groups are stateful: their outbound rules cannot stop replies to probes".to_owned()
        }
        Note::AssumedNoMembers => "Assumption: the load balancer is in no security group".to_owned(),
        // The load balancer lists them: a status is to stay small.
        Note::AssumedWholeSubnets(subnets) => match subnets.as_slice() {
            [only] => format!("Assumption: any address of subnet {only} may send probes"),
            _ => "Assumption: any address of the load balancer's backend subnets may send probes".to_owned(),
        },
        Note::AssumedWholeShared(prefixes) => {
            let prefixes = sentence(&Values::Prefixes(family, prefixes.clone()), family);
            format!("Assumption: any address of {prefixes} may send probes")
        }
        Note::AcceptedButDrops(check) => {
            format!("{} is accepted, but drops probes, so it is shown", check.id())
        }
        Note::AcceptsUnknown { id, near } => {
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            format!("{ACCEPT_ANNOTATION} lists {id:?}, which is no check{hint}")
        }
        Note::OtherFamily(rule) => other_family(rule, family),
        Note::DecidingGroup(DecidingGroup { rule, group, addresses }) => {
            format!("Rule {rule} is for {}", address_group(group, addresses, family))
        }
        Note::ZeroWeight => ZERO_WEIGHT.to_owned(),
        Note::SecondSharedPrefix => "Some regions also probe from 100.126.0.0/16: see --shared-source".to_owned(),
        Note::SubnetNotJudged(UnjudgedSubnet { subnet, acls }) => {
            let [first, second] = acls;
            format!("Not judged: network ACLs {first} and {second} both claim subnet {subnet}")
        }
        Note::AddressOutsideSubnet { subnet } => {
            let local = format_address(family, report.traffic.local);
            format!("The probed address {local} is not in subnet {subnet}")
        }
    }
}

fn other_family(found: &OtherFamily, family: Family) -> String {
    let OtherFamily {
        layer,
        object,
        rule,
        family: other,
    } = found;
    let kind = if layer.is_security_group() {
        "security group"
    } else {
        "network ACL"
    };
    let (other, own) = (version(*other), version(family));
    format!("Rule {rule} of {kind} {object} covers {other} only; probes of this server are {own}")
}

fn about_acl(about: &AboutAcl) -> String {
    match about {
        AboutAcl::WithinSubnet(subnet) => {
            format!("does not apply: all probes come from the server's own subnet {subnet}")
        }
        AboutAcl::Stateful => "is stateful: its outbound rules cannot stop replies to probes".to_owned(),
        AboutAcl::AlwaysOutbound => "is stateless, but replies to 100.125.0.0/16 always pass".to_owned(),
        AboutAcl::Stateless => "is stateless: replies need a rule too".to_owned(),
        AboutAcl::PartlyWithinSubnet(subnet) => {
            format!("does not apply to probes from the server's own subnet {subnet}")
        }
        AboutAcl::PartlyAlwaysOutbound => "does not apply to replies to 100.125.0.0/16".to_owned(),
    }
}

/// What is reported cannot be what the rules predict, in few words.
pub fn reported(disagreement: Disagreement) -> String {
    match disagreement {
        Disagreement::AllAreDropped(reason) => format!("{} proves that some get through", reason.as_str()),
        Disagreement::NoneIsDropped(reason) => format!("{} is reported", reason.as_str()),
    }
}

/// What is reported cannot be what the rules predict.
fn disagreement(disagreement: Disagreement) -> String {
    match disagreement {
        Disagreement::AllAreDropped(reason) => format!(
            "Disagreement: {} means that probes get through, but these rules drop every one: the rules or the probe addresses given \
             here are wrong or out of date",
            reason.as_str()
        ),
        Disagreement::NoneIsDropped(reason) => format!(
            "Disagreement: {} means that probes get no answer, but these rules drop none: either something else drops them, or the \
             rules or the probe addresses given here are wrong or out of date",
            reason.as_str()
        ),
    }
}
