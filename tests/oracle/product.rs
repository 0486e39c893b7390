//! The same questions put to the product, through the library path that the command line uses, and the comparison.

use elb_doctor::{
    api::v1alpha1::{
        BackendServerStatus, DiagnosisImpact, Direction, FailedCheck, FixKind, ItemImpact, NearestDimension,
        RuleAction, RuleKind,
    },
    diagnosis::backend_server_status,
    world::{Key, Object, Settings, World},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::{
    fixes::{self, Offer},
    manifests::{Manifests, name_of},
    values::{self, Family, Range, fewest_prefixes, normal},
    verdict::{Findings, Outcome, Verdict, is_tip, judge},
    walk::{Dimension, Evidence, Failed, Impact},
};

/// From where Shared load balancers probe in these tests.
pub const SHARED: &[&str] = &["100.125.0.0/16"];
pub const NAMESPACE: &str = "shop";

/// What was compared, for the statistics at the end.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub worlds: usize,
    pub accepted: usize,
    pub configuration_fixes: usize,
    pub backends: usize,
    pub outcomes: std::collections::BTreeMap<String, usize>,
    pub items: std::collections::BTreeMap<&'static str, usize>,
    pub fixes: usize,
    /// Failing directions that have an object to change, and those of them with a fix that is right.
    pub failing_directions: usize,
    pub healed_directions: usize,
    /// Failing directions without a fix, for the report.
    pub unhealed: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.worlds += other.worlds;
        self.backends += other.backends;
        for (name, n) in other.outcomes {
            *self.outcomes.entry(name).or_default() += n;
        }
        for (name, n) in other.items {
            *self.items.entry(name).or_default() += n;
        }
        self.fixes += other.fixes;
        self.accepted += other.accepted;
        self.configuration_fixes += other.configuration_fixes;
        self.failing_directions += other.failing_directions;
        self.healed_directions += other.healed_directions;
        self.unhealed.extend(other.unhealed);
    }
}

/// Puts manifests into the product's own world.
pub fn world(manifests: &[Value]) -> World {
    let shared_sources = SHARED.iter().map(|s| s.parse().expect("a prefix")).collect();
    let mut world = World::new(&Settings { shared_sources });
    for manifest in manifests {
        let parsed = |what: &str| format!("{what} {} is a valid manifest", name_of(manifest));
        macro_rules! object {
            ($kind:ident) => {
                Object::from(
                    serde_json::from_value::<elb_doctor::api::v1alpha1::$kind>(manifest.clone())
                        .expect(&parsed(stringify!($kind))),
                )
            };
        }
        let object = match manifest["kind"].as_str().unwrap_or("") {
            "LoadBalancer" => object!(LoadBalancer),
            "BackendServer" => object!(BackendServer),
            "SecurityGroup" => object!(SecurityGroup),
            "NetworkACL" => object!(NetworkACL),
            "Subnet" => object!(Subnet),
            "AddressGroup" => object!(AddressGroup),
            other => panic!("no kind {other:?}"),
        };
        world.set(object.into());
    }
    world
}

pub fn backends(manifests: &[Value]) -> Vec<String> {
    Manifests(manifests)
        .all("BackendServer")
        .map(|b| name_of(b).to_owned())
        .collect()
}

pub fn status(world: &World, backend: &str) -> BackendServerStatus {
    let now = Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    let mut status =
        backend_server_status(world, &Key::new(NAMESPACE, backend), &now).expect("the backend is in the world");
    if let Some(diagnosis) = &mut status.diagnosis {
        expand(&mut diagnosis.checks);
        expand(&mut diagnosis.beyond);
    }
    status
}

/// Evidence is written once per direction: a check without a witness has the witness, what decides and the nearest rule of the
/// check before it in the same layer and direction, one without what decides has that.
fn expand(checks: &mut [FailedCheck]) {
    fn side(check: &FailedCheck) -> (&str, bool) {
        (check.category.as_str(), check.id.ends_with("_ingress"))
    }
    for at in 1..checks.len() {
        let (before, rest) = checks.split_at_mut(at);
        let (before, check) = (&before[at - 1], &mut rest[0]);
        if side(before) != side(check) || check.blocked.is_none() {
            continue;
        }
        if check.witness.is_none() {
            assert!(check.decided_by.is_none() && check.nearest.is_none(), "of no witness");
            check.witness.clone_from(&before.witness);
            check.nearest.clone_from(&before.nearest);
        }
        if check.decided_by.is_none() {
            check.decided_by.clone_from(&before.decided_by);
        }
    }
}

/// Compares every backend server of a world; the first disagreement in words.
pub fn compare(manifests: &[Value]) -> Result<Tally, String> {
    let world = world(manifests);
    let mut tally = Tally {
        worlds: 1,
        ..Tally::default()
    };
    for backend in backends(manifests) {
        let expected = judge(Manifests(manifests), SHARED, &backend);
        let said = status(&world, &backend);
        compare_one(manifests, &backend, &expected, &said, &mut tally).map_err(|e| format!("{backend}: {e}"))?;
    }
    Ok(tally)
}

macro_rules! same {
    ($what:expr, $product:expr, $oracle:expr) => {
        match (&$product, &$oracle) {
            (product, oracle) => {
                if product != oracle {
                    return Err(format!("{}: product {product:?}, oracle {oracle:?}", $what));
                }
            }
        }
    };
}

/// Status and reason of a condition.
pub fn condition(status: &BackendServerStatus, type_: &str) -> (String, String) {
    status.conditions.iter().find(|c| c.type_ == type_).map_or_else(
        || ("absent".into(), String::new()),
        |c| (c.status.clone(), c.reason.clone()),
    )
}

fn compare_one(
    manifests: &[Value],
    backend: &str,
    expected: &Verdict,
    said: &BackendServerStatus,
    tally: &mut Tally,
) -> Result<(), String> {
    tally.backends += 1;
    let healthy = match expected.displayed.as_str() {
        "Healthy" => "True",
        "Unhealthy" => "False",
        _ => "Unknown",
    };
    same!("displayed health", condition(said, "Healthy").0.as_str(), healthy);
    let diagnosed = condition(said, "Diagnosed");
    match &expected.outcome {
        Outcome::Refused(reason) => {
            *tally.outcomes.entry((*reason).to_owned()).or_default() += 1;
            same!("Diagnosed", diagnosed, ("False".to_owned(), (*reason).to_owned()));
            same!("diagnosis is there", said.diagnosis.is_some(), false);
            same!("FaultFound", condition(said, "FaultFound").0.as_str(), "Unknown");
            let not_ready = ["ReferenceNotFound", "InvalidSpec", "AmbiguousNetworkACL"].contains(reason);
            same!(
                "Ready",
                condition(said, "Ready").0.as_str(),
                if not_ready { "False" } else { "True" }
            );
            Ok(())
        }
        Outcome::Ran(findings) => {
            let faulty = !findings.failed.is_empty() || !findings.beyond.is_empty();
            let reason = if faulty { "FaultsFound" } else { "NoFaultFound" };
            *tally.outcomes.entry(reason.to_owned()).or_default() += 1;
            same!("Diagnosed", diagnosed, ("True".to_owned(), reason.to_owned()));
            let found = if faulty { "True" } else { "False" };
            same!("FaultFound", condition(said, "FaultFound").0.as_str(), found);
            same!("Ready", condition(said, "Ready").0.as_str(), "True");
            if let Some(id) = findings.gravest() {
                same!(
                    "gravest",
                    condition(said, "FaultFound").1.as_str(),
                    condition_reason(id)
                );
            }
            compare_findings(manifests, backend, findings, said, tally)
        }
    }
}

fn compare_findings(
    manifests: &[Value],
    backend: &str,
    expected: &Findings,
    said: &BackendServerStatus,
    tally: &mut Tally,
) -> Result<(), String> {
    let said = said.diagnosis.as_ref().ok_or("no diagnosis")?;
    let ids: Vec<&str> = said.checks.iter().map(|c| c.id.as_str()).collect();
    let failed: Vec<&str> = expected.failed.iter().map(|c| c.id).collect();
    same!("failed items", ids, failed);
    let ids: Vec<&str> = said.beyond.iter().map(|c| c.id.as_str()).collect();
    let beyond: Vec<&str> = expected.beyond.iter().map(|c| c.id).collect();
    same!("findings beyond", ids, beyond);
    let accepted: Vec<&str> = said.accepted.iter().map(String::as_str).collect();
    same!("accepted", accepted, expected.accepted);
    tally.accepted += accepted.len();
    for id in &expected.noted {
        same!(
            format!("a note about accepting {id}"),
            said.notes.iter().any(|note| note.contains(id)),
            true
        );
    }
    same!(
        "number of failed items",
        said.failed as usize,
        failed.len() + beyond.len()
    );
    same!("number of items", said.checked, 17);

    let traffic = &expected.traffic;
    let hc = &said.health_check;
    same!(
        "protocol",
        serde_json::to_value(hc.protocol).unwrap(),
        Value::from(traffic.protocol.clone())
    );
    same!("port", hc.port, traffic.port);
    same!(
        "destination",
        values::address(&hc.destination)?,
        (traffic.family, traffic.backend)
    );
    compare_addresses("sources", &hc.sources, hc.omitted_sources, &traffic.sources)?;

    let shown = said.checks.iter().chain(&said.beyond);
    for (check, failed) in shown.zip(expected.failed.iter().chain(&expected.beyond)) {
        *tally.items.entry(failed.id).or_default() += 1;
        compare_item(check, failed).map_err(|e| format!("{}: {e}", failed.id))?;
    }

    let impact = match said.impact {
        DiagnosisImpact::Blocks => Impact::Blocks,
        DiagnosisImpact::Intermittent => Impact::Intermittent,
        DiagnosisImpact::Advisory => Impact::Advisory,
        DiagnosisImpact::None => Impact::None,
    };
    if !expected.dropped.is_said_by(&said.dropped_share) {
        return Err(format!(
            "dropped share: product {}, oracle {:?}",
            said.dropped_share, expected.dropped
        ));
    }
    same!("impact", impact, expected.impact);
    compare_fixes(manifests, backend, expected, said, tally)
}

fn compare_item(check: &FailedCheck, expected: &Failed) -> Result<(), String> {
    let impact = match check.impact {
        ItemImpact::Blocks => Impact::Blocks,
        ItemImpact::Intermittent => Impact::Intermittent,
        ItemImpact::Advisory => Impact::Advisory,
    };
    same!(
        "severity",
        check.severity.as_str(),
        if is_tip(expected.id) { "Tips" } else { "Major" }
    );
    let category = match expected.id {
        "check_hc_config_port" => "Config",
        id if id.starts_with("security_group") => "SecurityGroup",
        _ => "NetworkACL",
    };
    same!("category", check.category.as_str(), category);
    same!("impact", impact, expected.impact);
    let Some(evidence) = &expected.evidence else {
        same!("blocked is there", check.blocked.is_some(), false);
        same!("witness is there", check.witness.is_some(), false);
        return Ok(());
    };
    let blocked = check.blocked.as_ref().ok_or("no blocked set")?;
    if !evidence.share.is_said_by(&blocked.share) {
        return Err(format!("share: product {}, oracle {:?}", blocked.share, evidence.share));
    }
    compare_values(evidence, &blocked.values, blocked.omitted)?;
    compare_witness(check, evidence)?;
    let decision = check.decided_by.as_ref().ok_or("no decidedBy")?;
    let kind = if category == "NetworkACL" {
        RuleKind::NetworkACL
    } else {
        RuleKind::SecurityGroup
    };
    same!("decided by kind", decision.kind, kind);
    if let Some(rule) = &evidence.decided_by {
        same!(
            "decided by object",
            decision.name.as_deref(),
            Some(rule.object.as_str())
        );
        same!("decided by rule", decision.rule.as_deref(), Some(rule.name.as_str()));
        same!(
            "decided by index",
            decision.index,
            Some(u32::try_from(rule.index).unwrap())
        );
        same!("decided by priority", decision.priority.map(u64::from), rule.priority);
        same!("the oracle's decision denies", rule.allow, false);
    } else {
        same!("decided by rule", decision.rule, None::<String>);
        same!("decided by index", decision.index, None::<u32>);
        // With several groups no single one is to blame: any of them may be named.
        let objects = &expected.objects;
        let named = decision.name.as_ref();
        let right = named.map_or(objects.len() != 1, |name| objects.contains(name));
        same!("the implicit deny names its object", (right, named), (true, named));
    }
    same!("decided by action", decision.action, RuleAction::Deny);
    compare_nearest(check, evidence)
}

/// "the allow rule that misses the witness on the fewest dimensions and which ones; ties go to the rule evaluated first".
fn compare_nearest(check: &FailedCheck, evidence: &Evidence) -> Result<(), String> {
    // Of a security group's ports there is one kind.
    let word = |dimension: NearestDimension| match dimension {
        NearestDimension::Port if check.id == "security_group_reply_egress" => NearestDimension::DestinationPort,
        other => other,
    };
    let said = check.nearest.as_ref().map(|near| {
        let misses: Vec<NearestDimension> = near.misses.iter().map(|&miss| word(miss)).collect();
        (near.name.as_str(), near.rule.as_str(), misses)
    });
    let expected = evidence.nearest.as_ref().map(|(rule, misses)| {
        let misses = misses.iter().map(|d| match d {
            Dimension::Protocol => NearestDimension::Protocol,
            Dimension::Source => NearestDimension::Source,
            Dimension::SourcePort => NearestDimension::SourcePort,
            Dimension::Destination => NearestDimension::Destination,
            Dimension::DestinationPort => NearestDimension::DestinationPort,
            Dimension::Port => NearestDimension::Port,
        });
        (rule.object.as_str(), rule.name.as_str(), misses.collect())
    });
    if evidence.leg_has_ports {
        same!("nearest", said, expected);
    } else {
        // Whether a packet without ports misses a port is a matter of words.
        same!("nearest is there", said.is_some(), expected.is_some());
    }
    // A rule that misses nothing is shadowed by the deny that decided.
    if let Some(near) = &check.nearest {
        let shadow = evidence.decided_by.as_ref().filter(|_| near.misses.is_empty());
        same!(
            "nearest is shadowed by",
            near.shadowed_by.as_deref(),
            shadow.map(|rule| rule.name.as_str())
        );
    }
    Ok(())
}

fn protocol_name(number: u128) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        other => other.to_string(),
    }
}

fn compare_values(evidence: &Evidence, said: &[String], omitted: Option<u32>) -> Result<(), String> {
    match evidence.dimension {
        Dimension::Protocol => {
            let names: Vec<String> = evidence
                .values
                .iter()
                .flat_map(|&(first, last)| first..=last)
                .map(protocol_name)
                .collect();
            same!("blocked protocols", said, names.as_slice());
        }
        Dimension::Source | Dimension::Destination => {
            compare_addresses("blocked addresses", said, omitted, &evidence.values)?;
        }
        Dimension::SourcePort | Dimension::DestinationPort | Dimension::Port => {
            let read: Result<Vec<Range>, String> = said
                .iter()
                .map(|text| values::ports(text).map(|ranges| ranges[0]))
                .collect();
            let read = read?;
            if omitted.is_some() {
                same!(
                    "blocked ports, cut",
                    read.iter().all(|range| evidence.values.contains(range)),
                    true
                );
            } else {
                same!("blocked ports", normal(read), evidence.values);
            }
            same!(
                "fewest port ranges",
                said.len() + omitted.unwrap_or(0) as usize,
                evidence.values.len()
            );
        }
    }
    Ok(())
}

fn compare_addresses(what: &str, said: &[String], omitted: Option<u32>, expected: &[Range]) -> Result<(), String> {
    let read: Result<Vec<(Family, Range)>, String> = said.iter().map(|text| values::address_or_prefix(text)).collect();
    let read = normal(read?.into_iter().map(|(_, range)| range).collect());
    if omitted.is_some() {
        same!(
            format!("{what}, cut"),
            values::without(&read, expected),
            Vec::<Range>::new()
        );
    } else {
        same!(what, read, expected);
    }
    same!(
        format!("fewest prefixes of {what}"),
        said.len() + omitted.unwrap_or(0) as usize,
        fewest_prefixes(expected)
    );
    Ok(())
}

fn compare_witness(check: &FailedCheck, evidence: &Evidence) -> Result<(), String> {
    let witness = check.witness.as_ref().ok_or("no witness")?;
    let value = |wanted: Dimension| {
        evidence
            .witness
            .iter()
            .find(|(d, _)| *d == wanted)
            .map(|(_, value)| (evidence.family, *value))
    };
    let port = |wanted| value(wanted).map(|(_, port)| u16::try_from(port).unwrap());
    let address = |text: &Option<String>| text.as_deref().map(values::address).transpose();
    same!(
        "witness protocol",
        Some(&witness.protocol),
        value(Dimension::Protocol).map(|(_, p)| protocol_name(p)).as_ref()
    );
    same!("witness source", address(&witness.source)?, value(Dimension::Source));
    same!("witness source port", witness.source_port, port(Dimension::SourcePort));
    same!(
        "witness destination",
        address(&witness.destination)?,
        value(Dimension::Destination)
    );
    let to = port(Dimension::DestinationPort).or(port(Dimension::Port));
    same!("witness destination port", witness.destination_port, to);
    Ok(())
}

/// Every offered change keeps its promise; whoever applies all that heal rules, in the order in which they stand, is left
/// with nothing but what no fix was offered for.
fn compare_fixes(
    manifests: &[Value],
    backend: &str,
    expected: &Findings,
    said: &elb_doctor::api::v1alpha1::Diagnosis,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut together = manifests.to_vec();
    let mut healed: Vec<String> = Vec::new();
    let mut configuration = Vec::new();
    for fix in &said.fixes {
        let kind = match fix.kind {
            FixKind::SecurityGroup => "SecurityGroup",
            FixKind::NetworkACL => "NetworkACL",
            FixKind::BackendServer => "BackendServer",
            FixKind::LoadBalancer => "LoadBalancer",
        };
        let is_of_rules = matches!(fix.kind, FixKind::SecurityGroup | FixKind::NetworkACL);
        same!("a fix has a direction", fix.direction.is_some(), is_of_rules);
        let Some(patch) = &fix.patch else {
            same!("a fix without a patch claims to be verified", fix.verified, false);
            continue;
        };
        same!("a right fix is verified", fix.verified, true);
        let offer = Offer {
            kind,
            name: &fix.name,
            ingress: fix.direction == Some(Direction::Ingress),
            patch,
        };
        if !is_of_rules {
            configuration.push(offer);
            continue;
        }
        let checked = fixes::check(Manifests(manifests), SHARED, backend, expected, &offer);
        healed.extend(checked.map_err(|e| format!("fix of {kind} {} {:?}: {e}: {patch}", fix.name, fix.direction))?);
        tally.fixes += 1;
        together = fixes::apply(Manifests(&together), &offer).map_err(|e| format!("all fixes together: {e}"))?;
        fixes::within_limits(Manifests(&together), &offer).map_err(|e| format!("all fixes together: {e}"))?;
    }
    let Outcome::Ran(after) = judge(Manifests(&together), SHARED, backend).outcome else {
        return Err("refused after all fixes together".into());
    };
    same!(
        "drops after all fixes together",
        fixes::still_dropping(&after, &healed),
        Vec::<String>::new()
    );
    for judged in expected.judged() {
        if judged.is_shown && !judged.direction.objects.is_empty() {
            tally.failing_directions += 1;
            if healed.contains(&judged.name) {
                tally.healed_directions += 1;
            } else {
                tally.unhealed.push(format!("{backend} {}", judged.name));
            }
        }
    }
    compare_configuration_fix(manifests, backend, expected, &configuration, tally)
}

/// "Offered only when it is verified" (§8).
fn compare_configuration_fix(
    manifests: &[Value],
    backend: &str,
    expected: &Findings,
    offers: &[Offer],
    tally: &mut Tally,
) -> Result<(), String> {
    let is_shown = expected.failed.iter().any(|item| item.id == "check_hc_config_port");
    let right = fixes::configuration(Manifests(manifests), SHARED, backend, expected).filter(|_| is_shown);
    let said: Vec<(&str, &str)> = offers.iter().map(|offer| (offer.kind, offer.name)).collect();
    let wanted: Vec<(&str, &str)> = right.iter().map(|(kind, name, _)| (*kind, *name)).collect();
    same!("fixes of the configuration", said, wanted);
    for (offer, (_, _, changed)) in offers.iter().zip(&right) {
        let applied = fixes::apply(Manifests(manifests), offer)?;
        same!("the changed object", target(&applied, offer), target(changed, offer));
        tally.configuration_fixes += 1;
    }
    Ok(())
}

/// The object that the offer changes; whether an empty health check stays there is nobody's concern.
fn target(world: &[Value], offer: &Offer) -> Value {
    let mut object = Manifests(world).find(offer.kind, offer.name).unwrap().clone();
    let spec = object["spec"].as_object_mut().unwrap();
    if spec
        .get("healthCheck")
        .is_some_and(|check| *check == serde_json::json!({}))
    {
        spec.remove("healthCheck");
    }
    object
}

/// The reason of condition `FaultFound` when that finding is the gravest.
fn condition_reason(id: &str) -> &'static str {
    match id {
        "security_group_check_hc_protocol_ingress" => "SecurityGroupInboundProtocol",
        "security_group_check_hc_source_ip_ingress" => "SecurityGroupInboundSource",
        "security_group_check_hc_port_ingress" => "SecurityGroupInboundPort",
        "security_group_check_hc_protocol_egress" => "SecurityGroupOutboundProtocol",
        "security_group_check_hc_source_ip_egress" => "SecurityGroupOutboundDestination",
        "security_group_check_hc_port_egress" => "SecurityGroupOutboundPort",
        "acl_check_hc_protocol_ingress" => "NetworkACLInboundProtocol",
        "acl_check_hc_source_ip_ingress" => "NetworkACLInboundSource",
        "acl_check_hc_source_port_ingress" => "NetworkACLInboundSourcePort",
        "acl_check_hc_dest_ip_ingress" => "NetworkACLInboundDestination",
        "acl_check_hc_dest_port_ingress" => "NetworkACLInboundDestinationPort",
        "acl_check_hc_protocol_egress" => "NetworkACLOutboundProtocol",
        "acl_check_hc_source_ip_egress" => "NetworkACLOutboundSource",
        "acl_check_hc_source_port_egress" => "NetworkACLOutboundSourcePort",
        "acl_check_hc_dest_ip_egress" => "NetworkACLOutboundDestination",
        "acl_check_hc_dest_port_egress" => "NetworkACLOutboundDestinationPort",
        "check_hc_config_port" => "HealthCheckPort",
        "load_balancer_acl_egress" => "LoadBalancerACLOutbound",
        "load_balancer_acl_ingress" => "LoadBalancerACLInbound",
        "security_group_reply_egress" => "SecurityGroupReplyOutbound",
        other => panic!("no finding {other}"),
    }
}
