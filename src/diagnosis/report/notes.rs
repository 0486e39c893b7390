//! What is to be noted beside the items: why a layer passed as a whole, and the assumptions made.

use std::sync::Arc;

use crate::{
    engine::{
        AddressMatch, Case, CheckId, Direction, Has, Layer, NetworkAclState, Part, Prefix, RuleFinding,
        SecurityGroupState, Verdict, Why, covering_prefixes,
    },
    world::{Collected, SourceOrigin, UnjudgedSubnet},
};

use super::{
    Findings,
    findings::every_check,
    hints::{self, DecidingGroup, OtherFamily},
};

/// One note.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// Port security is off on the interface.
    PortSecurityOff,
    /// The subnet has no network ACL.
    NoNetworkAcl {
        /// Name of the subnet.
        subnet: String,
    },
    /// The subnet's network ACL is switched off.
    NetworkAclOff {
        /// Name of the ACL.
        acl: Arc<str>,
        /// Name of the subnet.
        subnet: String,
    },
    /// Something about the network ACL in force.
    NetworkAcl {
        /// Name of the ACL.
        acl: Arc<str>,
        /// What.
        about: AboutAcl,
    },
    /// A stateful security group fails outbound, which stops no reply.
    SecurityGroupsAreStateful,
    /// A rule that allows members of a security group may have decided.
    AssumedNoMembers,
    /// Where in these backend subnets the probing addresses are is not known.
    AssumedWholeSubnets(Vec<String>),
    /// The rules for the probes' protocol and port are for the other address family only.
    OtherFamily(OtherFamily),
    /// What the address group of a deny rule holds.
    DecidingGroup(DecidingGroup),
    /// Beside what the rules drop: the weight is 0, which a Shared load balancer shows as unhealthy by design.
    ZeroWeight,
    /// Some regions have a second shared prefix, and nobody set it.
    SecondSharedPrefix,
    /// Where in these prefixes, shared by many, the probing addresses are is not known.
    AssumedWholeShared(Vec<Prefix>),
    /// Probes leave a subnet of the load balancer that two network ACLs claim.
    SubnetNotJudged(UnjudgedSubnet),
    /// It is accepted, and shown all the same because it drops probes.
    AcceptedButDrops(CheckId),
    /// An id that is to be accepted is none.
    AcceptsUnknown {
        /// What is written.
        id: String,
        /// The id that is most like it.
        near: Option<&'static str>,
    },
    /// The probed address is not in the server's subnet.
    AddressOutsideSubnet {
        /// Name of the subnet.
        subnet: String,
    },
}

/// What is to be noted about the network ACL in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AboutAcl {
    /// All probes come from the server's own subnet of this name.
    WithinSubnet(String),
    /// It is stateful, and its outbound rules do not allow the replies.
    Stateful,
    /// It is stateless, but all replies go to the prefix that always passes.
    AlwaysOutbound,
    /// It is stateless.
    Stateless,
    /// Some probes come from the server's own subnet of this name.
    PartlyWithinSubnet(String),
    /// Some replies go to the prefix that always passes.
    PartlyAlwaysOutbound,
}

/// All notes about one verdict. `unexplained`: the rules leave open why the server is reported unhealthy.
pub(super) fn notes(
    collected: &Collected,
    case: &Case,
    verdict: &Verdict,
    findings: &Findings,
    unexplained: bool,
) -> Vec<Note> {
    let subnet = collected.backend.spec.subnet_ref.as_ref();
    let subnet = || subnet.map(|subnet| subnet.name.clone()).unwrap_or_default();
    let outcomes = findings.outcomes();
    let fails = |layer, direction| findings.of_side((layer, direction, None)).next().is_some();
    let mut out = Vec::new();
    if let Some(Why::PortSecurityOff) = outcomes.not_applicable(Layer::SecurityGroup, Direction::Ingress) {
        out.push(Note::PortSecurityOff);
    }
    match outcomes.not_applicable(Layer::NetworkAcl, Direction::Ingress) {
        Some(Why::NoNetworkAcl) => out.push(Note::NoNetworkAcl { subnet: subnet() }),
        Some(Why::NetworkAclOff(acl)) => out.push(Note::NetworkAclOff {
            acl: Arc::clone(acl),
            subnet: subnet(),
        }),
        _ => out.extend(about_acl(case, verdict, findings, subnet)),
    }
    let stateful = matches!(&case.security_groups, SecurityGroupState::Groups { stateful: true, .. });
    if stateful && fails(Layer::SecurityGroup, Direction::Egress) {
        out.push(Note::SecurityGroupsAreStateful);
    }
    let both = [Direction::Ingress, Direction::Egress];
    let assumed = |direction| {
        let mut found = findings.of_side((Layer::SecurityGroup, direction, None)).peekable();
        // Where the closest rule is such a one, its own sentence says it.
        let says = |found: &RuleFinding| {
            let nearest = found.evidence.nearest.as_ref();
            matches!(nearest.and_then(|near| near.has.as_ref()), Some(Has::MembersOf(_)))
        };
        found.peek().is_some() && names_members(case, direction) && !found.any(says)
    };
    if both.into_iter().any(assumed) {
        out.push(Note::AssumedNoMembers);
    }
    out.extend(hints::other_family(case, findings).into_iter().map(Note::OtherFamily));
    let groups = hints::deciding_groups(case, findings).into_iter();
    out.extend(groups.map(Note::DecidingGroup));
    // Where the rules do not explain the report, steps say this and the second prefix.
    if !unexplained && hints::zero_weight(collected) {
        out.push(Note::ZeroWeight);
    }
    match &collected.source_origin {
        Some(SourceOrigin::Subnets(names)) => out.push(Note::AssumedWholeSubnets(names.clone())),
        Some(SourceOrigin::Shared) => {
            let prefixes = covering_prefixes(case.traffic.family, &case.traffic.sources);
            out.push(Note::AssumedWholeShared(prefixes));
            if collected.default_shared_sources && !verdict.dropped.is_none() && !unexplained {
                out.push(Note::SecondSharedPrefix);
            }
        }
        Some(SourceOrigin::Member | SourceOrigin::Exact) | None => {}
    }
    let unjudged = collected.unjudged_subnets.iter().cloned();
    out.extend(unjudged.map(Note::SubnetNotJudged));
    if !case.subnet.is_empty() && !case.subnet.iter().any(|prefix| prefix.contains(case.traffic.local)) {
        out.push(Note::AddressOutsideSubnet { subnet: subnet() });
    }
    out.extend(about_accepting(findings));
    out
}

/// What the annotation lists in vain.
fn about_accepting(findings: &Findings) -> impl Iterator<Item = Note> {
    let accept = findings.accept();
    let mut drops: Vec<CheckId> = findings
        .faults()
        .filter(|found| accept.lists(found))
        .map(|found| found.check)
        .collect();
    drops.dedup();
    let unknown = accept.unknown.iter().map(|id| Note::AcceptsUnknown {
        id: id.clone(),
        near: nearest(id),
    });
    drops.into_iter().map(Note::AcceptedButDrops).chain(unknown)
}

/// The id that is most like what is written, where one is like it at all.
fn nearest(written: &str) -> Option<&'static str> {
    // The time that the distance takes grows with the square of the length.
    if written.len() > 64 {
        return None;
    }
    let written = written.to_lowercase().replace('-', "_");
    let distances = every_check().map(|check| (strsim::damerau_levenshtein(&written, check.id()), check.id()));
    distances.min().filter(|(distance, _)| *distance <= 4).map(|(_, id)| id)
}

fn about_acl(case: &Case, verdict: &Verdict, findings: &Findings, subnet: impl Fn() -> String) -> Vec<Note> {
    let NetworkAclState::InForce { rules, stateful } = &case.network_acl else {
        return Vec::new();
    };
    let outbound = (Layer::NetworkAcl, Direction::Egress, None);
    let fails_outbound = findings.of_side(outbound).next().is_some();
    let outbound_counts = !*stateful || fails_outbound;
    let exempt = verdict.exempt;
    let mut out = Vec::new();
    if exempt.own_subnet == Part::All {
        out.push(AboutAcl::WithinSubnet(subnet()));
    } else if *stateful {
        out.extend(fails_outbound.then_some(AboutAcl::Stateful));
    } else if exempt.always_outbound == Part::All {
        out.push(AboutAcl::AlwaysOutbound);
    } else {
        out.push(AboutAcl::Stateless);
    }
    if exempt.own_subnet == Part::Some {
        out.push(AboutAcl::PartlyWithinSubnet(subnet()));
    }
    if outbound_counts && exempt.always_outbound == Part::Some {
        out.push(AboutAcl::PartlyAlwaysOutbound);
    }
    out.into_iter()
        .map(|about| Note::NetworkAcl {
            acl: Arc::clone(&rules.set.name),
            about,
        })
        .collect()
}

/// Whether a rule of the direction allows or denies members of a security group.
fn names_members(case: &Case, direction: Direction) -> bool {
    let SecurityGroupState::Groups { groups, .. } = &case.security_groups else {
        return false;
    };
    let mut rules = groups
        .iter()
        .flat_map(|group| group.set.rules(direction, case.traffic.family));
    rules.any(|rule| matches!(rule.remote, AddressMatch::Members(_)))
}
