//! Failed items in the words of the page, with the real names in them (domain §7).

use crate::{
    api::v1alpha1::{Blocked, Decision, FailedCheck, Nearest, NearestDimension, RuleAction, Witness},
    engine::{
        self, Case, CheckId, Dimension, Direction, Evidence, Finding, Has, Layer, Leg, RuleFinding, Values, Verdict,
        format_address,
    },
    text::clean_for_json,
    world::Collected,
};

use super::values;

/// Where the page of an item stands.
fn page(check: CheckId) -> String {
    format!("docs/checks/{}.md", check.id())
}

/// One failed item as it stands in a status.
pub(super) fn failed_check(
    collected: &Collected,
    case: &Case,
    verdict: &Verdict,
    check: CheckId,
    finding: &Finding,
) -> FailedCheck {
    let mut out = FailedCheck {
        id: check.id().to_owned(),
        category: check.category().as_str().to_owned(),
        item: check.item().to_owned(),
        severity: check.severity().as_str().to_owned(),
        reason: String::new(),
        suggestion: String::new(),
        impact: values::item_impact(finding.impact()),
        blocked: None,
        witness: None,
        decided_by: None,
        nearest: None,
    };
    if let Finding::Rules(finding) = finding {
        let (layer, direction, evidence) = (finding.layer, finding.direction, &finding.evidence);
        let text = Text {
            collected,
            case,
            verdict,
            check,
            finding,
            layer,
            direction,
            evidence,
        };
        out.reason = clean_for_json(&text.reason(), 512);
        out.suggestion = clean_for_json(&text.suggestion(), 512);
        out.blocked = Some(text.blocked());
        out.witness = Some(text.witness());
        out.decided_by = Some(text.decided_by());
        out.nearest = text.nearest();
    } else {
        let (port, own) = (case.traffic.port, case.backend_port);
        out.reason =
            format!("The specified health check port {port} is different from that used by the backend server, {own}.");
        out.suggestion = format!(
            "Use the backend port {own} as the health check port; see {}",
            page(check)
        );
    }
    out
}

struct Text<'a> {
    collected: &'a Collected,
    case: &'a Case,
    verdict: &'a Verdict,
    check: CheckId,
    finding: &'a RuleFinding,
    layer: Layer,
    direction: Direction,
    evidence: &'a Evidence,
}

impl Text<'_> {
    fn dimension(&self) -> Dimension {
        self.finding.dimension
    }

    fn protocols(&self) -> String {
        let family = self.case.traffic.family;
        let leg = self.finding.leg.name(family);
        if self.finding.both_legs {
            format!("{leg} and {}", Leg::Icmp.name(family))
        } else {
            leg.to_owned()
        }
    }

    /// The rules of which objects do not allow it.
    fn rules(&self) -> String {
        let bound = values::bound(self.direction);
        match self.layer {
            Layer::NetworkAcl => {
                let name = self.evidence.decided_by.object.as_deref().unwrap_or_default();
                format!("The {bound} rules of network ACL {name}")
            }
            Layer::SecurityGroup => match self.collected.security_groups.as_slice() {
                [] => format!("There is no security group on the interface: no {bound} rules"),
                [only] => format!("The {bound} rules of security group {only}"),
                several => format!("The {bound} rules of security groups {}", values::names(several)),
            },
        }
    }

    fn rules_are_missing(&self) -> bool {
        self.layer == Layer::SecurityGroup && self.collected.security_groups.is_empty()
    }

    fn reason(&self) -> String {
        let traffic = &self.case.traffic;
        let family = traffic.family;
        let server = self.collected.backend.metadata.name.as_deref().unwrap_or_default();
        let local = format_address(family, traffic.local);
        let blocked = match (values::sentence(&self.evidence.values, family), &self.evidence.values) {
            (sentence, Values::Prefixes(..)) if sentence.contains('/') => format!("addresses {sentence}"),
            (sentence, _) => sentence,
        };
        let over = self.protocols();
        let what = match (self.dimension(), self.layer, self.direction) {
            (Dimension::Protocol, ..) => format!("over the health check protocol {over}"),
            (Dimension::Remote, _, Direction::Ingress) => format!("from {blocked} to {server}"),
            (Dimension::Remote, _, Direction::Egress) => format!("from {server} to {blocked}"),
            (Dimension::LocalPort, _, _) => format!("over health check port {}", traffic.port),
            (Dimension::RemotePort, _, Direction::Ingress) => format!("over all source ports: not {blocked}"),
            (Dimension::RemotePort, _, Direction::Egress) => format!("over all destination ports: not {blocked}"),
            (Dimension::Local, _, Direction::Ingress) => format!("to the destination address {local} of {server}"),
            (Dimension::Local, _, Direction::Egress) => format!("from the source address {local} of {server}"),
        };
        let legs = if self.finding.both_legs && self.dimension() != Dimension::Protocol {
            format!(" ({over})")
        } else {
            String::new()
        };
        let not = if self.rules_are_missing() { "" } else { "do not " };
        format!("{} {not}allow traffic {what}{legs}.", self.rules())
    }

    fn suggestion(&self) -> String {
        let side = (self.layer, self.direction);
        let fixed = self
            .verdict
            .fixes
            .iter()
            .any(|plan| (plan.layer, plan.direction) == side);
        let change = if fixed { "Apply the fix" } else { "Allow it" };
        let hint = self.evidence.nearest.as_ref().and_then(|nearest| self.hint(nearest));
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{change}{hint}; see {}", page(self.check))
    }

    /// What the nearest rule lacks, where one change of it would do.
    fn hint(&self, nearest: &engine::Nearest) -> Option<String> {
        let rule = &nearest.rule;
        let family = self.case.traffic.family;
        if let Some(deny) = &nearest.shadowed_by {
            return Some(format!("rule {rule} would allow it, but {deny} comes first and denies"));
        }
        let [only] = nearest.misses.as_slice() else { return None };
        let dimension = values::dimension_name(values::dimension(self.layer, self.direction, *only));
        let wanted = match only {
            Dimension::Protocol => self.finding.leg.name(family).to_owned(),
            Dimension::Remote => format_address(family, self.evidence.witness.remote),
            Dimension::RemotePort => self.evidence.witness.remote_port.to_string(),
            Dimension::Local => format_address(family, self.case.traffic.local),
            Dimension::LocalPort => self.case.traffic.port.to_string(),
        };
        let has = match nearest.has.as_ref()? {
            Has::Values(has) => values::sentence(has, family),
            Has::Protocol(protocol) => values::protocol(*protocol, family),
            Has::MembersOf(group) => {
                return Some(format!(
                    "rule {rule} allows only members of security group {group}, which probes are not"
                ));
            }
        };
        Some(format!(
            "rule {rule} misses only on the {dimension}: {has}, not {wanted}"
        ))
    }

    fn blocked(&self) -> Blocked {
        let mut list = values::list(&self.evidence.values, self.case.traffic.family);
        let omitted = u32::try_from(list.len().saturating_sub(values::MAX_VALUES)).unwrap_or(u32::MAX);
        list.truncate(values::MAX_VALUES);
        Blocked {
            values: list,
            omitted: (omitted > 0).then_some(omitted),
            share: self.evidence.share.to_decimal(),
        }
    }

    fn witness(&self) -> Witness {
        let traffic = &self.case.traffic;
        let packet = &self.evidence.witness;
        let ports = packet.leg.has_ports();
        let remote = Some(format_address(traffic.family, packet.remote));
        let local = Some(format_address(traffic.family, traffic.local));
        let remote_port = ports.then_some(packet.remote_port);
        let local_port = ports.then_some(traffic.port);
        let protocol = packet.leg.name(traffic.family).to_owned();
        match (self.layer, self.direction) {
            // A security group looks at the remote address and, in both directions, the health check port only.
            (Layer::SecurityGroup, Direction::Ingress) => Witness {
                protocol,
                source: remote,
                destination_port: local_port,
                ..Witness::default()
            },
            (Layer::SecurityGroup, Direction::Egress) => Witness {
                protocol,
                destination: remote,
                destination_port: local_port,
                ..Witness::default()
            },
            (Layer::NetworkAcl, Direction::Ingress) => Witness {
                protocol,
                source: remote,
                source_port: remote_port,
                destination: local,
                destination_port: local_port,
            },
            (Layer::NetworkAcl, Direction::Egress) => Witness {
                protocol,
                source: local,
                source_port: local_port,
                destination: remote,
                destination_port: remote_port,
            },
        }
    }

    fn decided_by(&self) -> Decision {
        let decided = &self.evidence.decided_by;
        Decision {
            kind: values::kind(self.layer),
            name: decided.object.as_deref().map(str::to_owned),
            rule: decided.rule.as_deref().map(str::to_owned),
            index: decided.index,
            priority: decided.priority,
            action: RuleAction::Deny,
        }
    }

    fn nearest(&self) -> Option<Nearest> {
        let nearest = self.evidence.nearest.as_ref()?;
        let misses: Vec<NearestDimension> = nearest
            .misses
            .iter()
            .map(|missed| values::dimension(self.layer, self.direction, *missed))
            .collect();
        Some(Nearest {
            kind: values::kind(self.layer),
            name: nearest.object.to_string(),
            rule: nearest.rule.to_string(),
            misses,
            shadowed_by: nearest.shadowed_by.as_deref().map(str::to_owned),
        })
    }
}
