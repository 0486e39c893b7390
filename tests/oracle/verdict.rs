//! One backend server, from manifests to the whole answer.

use serde_json::Value;

use super::{
    manifests::{Manifests, list, name_of, names, on, texts},
    packets::{Match, Rule},
    values::{self, Family, ICMP, ICMPV6, Range, Share, TCP, UDP, Wrong, common, contains, normal, without},
    walk::{Dimension, Direction, FIRST_LIKELY, Failed, Impact, Leg, leg_size},
};

/// The answer about one backend server.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Displayed health: Healthy, Unhealthy or Unknown.
    pub displayed: String,
    pub outcome: Outcome,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Refused(&'static str),
    Ran(Box<Findings>),
}

#[derive(Clone, Debug)]
pub struct Findings {
    pub traffic: Traffic,
    /// The failed items, in table order, without the accepted ones.
    pub failed: Vec<Failed>,
    /// "reported apart from the 17 items" (§4), without the accepted ones.
    pub beyond: Vec<Failed>,
    /// "listed in `diagnosis.accepted`, not in `checks`, and makes no fault" (§8).
    pub accepted: Vec<&'static str>,
    /// Ids to accept that are "a note": unknown ones, and those of findings that drop probes.
    pub noted: Vec<String>,
    pub config_fails: bool,
    pub dropped: Share,
    pub impact: Impact,
    pub security_groups: Option<Layer>,
    pub network_acl: Option<Layer>,
    /// The replies that pass stateless security groups.
    pub replies: Option<Direction>,
    pub ends: Vec<End>,
}

/// Inbound and outbound.
#[derive(Clone, Debug)]
pub struct Layer {
    pub ingress: Direction,
    pub egress: Direction,
}

/// The network ACL of one of the load balancer's subnets.
#[derive(Clone, Debug)]
pub struct End {
    pub subnet: String,
    /// The probes that leave the subnet.
    pub egress: Direction,
    /// The replies that enter it, where the ACL is stateless.
    pub ingress: Option<Direction>,
}

/// One list of rules and the packets that are judged by it.
pub struct Judged<'a> {
    /// Tells it apart from the others.
    pub name: String,
    pub kind: &'static str,
    /// Of the list of rules.
    pub ingress: bool,
    pub direction: &'a Direction,
    /// A finding is shown that is about this direction.
    pub is_shown: bool,
}

impl Findings {
    /// Everything that is judged, for looking at fixes.
    pub fn judged(&self) -> Vec<Judged<'_>> {
        let mut all = Vec::new();
        for (kind, layer) in [
            ("SecurityGroup", &self.security_groups),
            ("NetworkACL", &self.network_acl),
        ] {
            let Some(layer) = layer else { continue };
            for (ingress, direction) in [(true, &layer.ingress), (false, &layer.egress)] {
                let mine = |item: &&Failed| direction.dimensions.iter().any(|(_, id)| *id == item.id);
                all.push(Judged {
                    name: format!("{kind} {}", if ingress { "inbound" } else { "outbound" }),
                    kind,
                    ingress,
                    direction,
                    is_shown: self.failed.iter().any(|item| mine(&item)),
                });
            }
        }
        let shows = |id: &str, direction: &Direction| {
            let finding = direction.beyond("").map(|finding| finding.evidence.unwrap().values);
            let mut all = self.beyond.iter().filter(|shown| shown.id == id);
            all.any(|shown| Some(&shown.evidence.as_ref().unwrap().values) == finding.as_ref())
        };
        if let Some(direction) = &self.replies {
            all.push(Judged {
                name: "replies".into(),
                kind: "SecurityGroup",
                ingress: false,
                direction,
                is_shown: shows("security_group_reply_egress", direction),
            });
        }
        for end in &self.ends {
            let directions = [Some(&end.egress), end.ingress.as_ref()];
            let ids = ["load_balancer_acl_egress", "load_balancer_acl_ingress"];
            for ((direction, id), ingress) in directions.into_iter().zip(ids).zip([false, true]) {
                all.extend(direction.map(|direction| Judged {
                    name: format!("{id} of {}", end.subnet),
                    kind: "NetworkACL",
                    ingress,
                    direction,
                    is_shown: shows(id, direction),
                }));
            }
        }
        all
    }

    /// "condition `FaultFound`: the gravest by impact, then severity, then table order", those beyond the table last.
    pub fn gravest(&self) -> Option<&'static str> {
        let all = self.failed.iter().chain(&self.beyond);
        all.min_by_key(|item| (item.impact as u8, is_tip(item.id)))
            .map(|item| item.id)
    }
}

/// Severity `Tips` (§5).
pub fn is_tip(id: &str) -> bool {
    ["acl_check_hc_source_port_ingress", "check_hc_config_port"].contains(&id)
}

/// The ids that can be accepted: those of the table in §5 and those of §3 and §4.
pub const IDS: &[&str] = &[
    "security_group_check_hc_protocol_ingress",
    "security_group_check_hc_source_ip_ingress",
    "security_group_check_hc_port_ingress",
    "security_group_check_hc_protocol_egress",
    "security_group_check_hc_source_ip_egress",
    "security_group_check_hc_port_egress",
    "acl_check_hc_protocol_ingress",
    "acl_check_hc_source_ip_ingress",
    "acl_check_hc_source_port_ingress",
    "acl_check_hc_dest_ip_ingress",
    "acl_check_hc_dest_port_ingress",
    "acl_check_hc_protocol_egress",
    "acl_check_hc_source_ip_egress",
    "acl_check_hc_source_port_egress",
    "acl_check_hc_dest_ip_egress",
    "acl_check_hc_dest_port_egress",
    "check_hc_config_port",
    "load_balancer_acl_egress",
    "load_balancer_acl_ingress",
    "security_group_reply_egress",
];

/// The health check traffic (semantics §2).
#[derive(Clone, Debug)]
pub struct Traffic {
    pub family: Family,
    /// As the group says it.
    pub protocol: String,
    /// UDP before ICMP: "Where both legs fail an item, the UDP leg is shown".
    pub legs: Vec<(u8, bool)>,
    pub sources: Vec<Range>,
    pub backend: u128,
    pub port: u16,
}

/// The answer about the backend server of that name. `shared` are the prefixes from which Shared load balancers probe.
pub fn judge(world: Manifests, shared: &[&str], backend: &str) -> Verdict {
    let backend = world
        .find("BackendServer", backend)
        .expect("the backend server is in the world");
    let look = Look::new(world, shared, backend);
    Verdict {
        displayed: look.displayed_health(),
        outcome: look.outcome(),
    }
}

/// What the references of one backend server lead to.
struct Look<'a> {
    world: Manifests<'a>,
    shared: &'a [&'a str],
    backend: &'a Value,
    spec: &'a Value,
    load_balancer: Option<&'a Value>,
    group: Option<&'a Value>,
}

const GONE: &Value = &Value::Null;

impl<'a> Look<'a> {
    fn new(world: Manifests<'a>, shared: &'a [&'a str], backend: &'a Value) -> Self {
        let spec = &backend["spec"];
        let load_balancer = world.find("LoadBalancer", spec["loadBalancerRef"]["name"].as_str().unwrap_or(""));
        let group = load_balancer.and_then(|lb| {
            list(&lb["spec"]["backendServerGroups"])
                .iter()
                .find(|g| g["name"] == spec["backendServerGroup"])
        });
        Self {
            world,
            shared,
            backend,
            spec,
            load_balancer,
            group,
        }
    }

    /// "a group with the health check on but no listener shows Unknown whatever was reported; health check off: Unknown;
    /// nothing reported yet: Unknown; else what was reported" (§9).
    fn displayed_health(&self) -> String {
        let reported = self.backend["status"]["health"]["state"].as_str();
        if self.group.is_some() && (!self.health_check_is_on() || !self.has_listener()) {
            return "Unknown".into();
        }
        reported.unwrap_or("Unknown").into()
    }

    fn health_check_is_on(&self) -> bool {
        let check = &self.group.unwrap_or(GONE)["healthCheck"];
        !check.is_null() && on(&check["enabled"])
    }

    fn has_listener(&self) -> bool {
        let listeners = &self.load_balancer.unwrap_or(GONE)["spec"]["listeners"];
        list(listeners)
            .iter()
            .any(|listener| list(&listener["backendServerGroups"]).contains(&self.spec["backendServerGroup"]))
    }

    /// "In this order; the first that applies is the answer" (§9).
    fn outcome(&self) -> Outcome {
        if !self.every_reference_is_there() {
            return Outcome::Refused("ReferenceNotFound");
        }
        let findings = match self.read() {
            Err(_wrong) => return Outcome::Refused("InvalidSpec"),
            Ok(findings) => findings,
        };
        // "two network ACLs, switched on or not, claim the backend's subnet"
        if self.acls().len() > 1 {
            return Outcome::Refused("AmbiguousNetworkACL");
        }
        if self.spec["type"] == "IP" {
            return Outcome::Refused("IPBackendUnsupported");
        }
        if !self.has_listener() {
            return Outcome::Refused("NotAssociatedWithListener");
        }
        if !self.health_check_is_on() {
            return Outcome::Refused("HealthCheckDisabled");
        }
        if self.backend["status"]["health"]["state"] != "Unhealthy" {
            return Outcome::Refused("BackendNotUnhealthy");
        }
        match findings {
            None => Outcome::Refused("HealthCheckSourcesUnknown"),
            Some(case) => Outcome::Ran(Box::new(case.diagnose())),
        }
    }

    /// "its load balancer, its backend server group there, its subnet, the load balancer's backend subnets, one of its
    /// security groups, an address group that an enabled rule of those groups or of its ACLs (at the server's end or the load
    /// balancer's) names"; "asked of every reference written down, also where it would not decide" (§9).
    fn every_reference_is_there(&self) -> bool {
        let Some(load_balancer) = self.load_balancer else {
            return false;
        };
        let subnet = self.spec["subnetRef"]["name"].as_str();
        let mut subnets: Vec<&str> = names(&load_balancer["spec"]["backendSubnetRefs"]);
        subnets.extend(subnet);
        let groups = names(&self.spec["securityGroupRefs"]);
        let mut address_groups: Vec<&str> = Vec::new();
        for group in groups.iter().filter_map(|name| self.world.find("SecurityGroup", name)) {
            let rules = list(&group["spec"]["rules"]).iter().filter(|rule| on(&rule["enabled"]));
            address_groups.extend(rules.filter_map(|rule| rule["remote"]["addressGroupRef"]["name"].as_str()));
        }
        let mut acls = self.acls();
        acls.extend(
            self.balancer_subnets()
                .into_iter()
                .flat_map(|subnet| self.acls_of(subnet)),
        );
        for acl in acls {
            for rule in list(&acl["spec"]["ingress"]).iter().chain(list(&acl["spec"]["egress"])) {
                if on(&rule["enabled"]) {
                    address_groups.extend(rule["source"]["addressGroupRef"]["name"].as_str());
                    address_groups.extend(rule["destination"]["addressGroupRef"]["name"].as_str());
                }
            }
        }
        self.group.is_some()
            && subnets.iter().all(|name| self.world.find("Subnet", name).is_some())
            && groups
                .iter()
                .all(|name| self.world.find("SecurityGroup", name).is_some())
            && address_groups
                .iter()
                .all(|name| self.world.find("AddressGroup", name).is_some())
    }

    /// The ACLs that claim the backend's subnet.
    fn acls(&self) -> Vec<&'a Value> {
        let subnet = self.spec["subnetRef"]["name"].as_str();
        subnet.map_or(Vec::new(), |subnet| self.acls_of(subnet))
    }

    fn acls_of(&self, subnet: &str) -> Vec<&'a Value> {
        self.world
            .all("NetworkACL")
            .filter(|acl| names(&acl["spec"]["subnetRefs"]).contains(&subnet))
            .collect()
    }

    /// "each backend subnet X of a Dedicated load balancer that … is not the server's own subnet" (§4).
    fn balancer_subnets(&self) -> Vec<&'a str> {
        let load_balancer = &self.load_balancer.unwrap_or(GONE)["spec"];
        let mut subnets: Vec<&str> = Vec::new();
        for name in names(&load_balancer["backendSubnetRefs"]) {
            let is_own = self.spec["subnetRef"]["name"] == name;
            if load_balancer["type"] == "Dedicated" && !is_own && !subnets.contains(&name) {
                subnets.push(name);
            }
        }
        subnets
    }

    /// "Annotation `elb-doctor.dev/accept: ID[,ID…]` on the load balancer or the backend server" (§8).
    fn accepts(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for object in [self.load_balancer.unwrap_or(GONE), self.backend] {
            let text = object["metadata"]["annotations"]["elb-doctor.dev/accept"]
                .as_str()
                .unwrap_or("");
            ids.extend(
                text.split(',')
                    .map(|id| id.trim().to_owned())
                    .filter(|id| !id.is_empty()),
            );
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Reads every value that this diagnosis uses; any wrong one is an error. `None`: `S` is empty for the family.
    fn read(&self) -> Result<Option<Case>, Wrong> {
        let load_balancer = &self.load_balancer.unwrap_or(GONE)["spec"];
        no_name_twice(&load_balancer["listeners"])?;
        no_name_twice(&load_balancer["backendServerGroups"])?;

        // "`b` is the address probed: the backend's own health check address where one is set, else its address." (§2)
        let own = &self.spec["healthCheck"];
        let address = values::address(self.spec["address"].as_str().unwrap_or(""))?;
        let (family, backend) = own["address"].as_str().map_or(Ok(address), values::address)?;

        // "`S`, per address family, most specific first: the backend's own health check sources; the load balancer's exact
        // probe addresses, where known; else its backend subnets' prefixes (Dedicated) or the shared prefixes (Shared)."
        let mut subnets = Vec::new();
        for name in names(&load_balancer["backendSubnetRefs"]) {
            subnets.extend(self.subnet(name)?);
        }
        let shared = load_balancer["type"] == "Shared";
        let default = if shared { prefixes(self.shared)? } else { subnets };
        let exact = prefixes(&texts(&load_balancer["healthCheckSources"]))?;
        let own_sources = prefixes(&texts(&own["sources"]))?;
        let sources = [own_sources, exact, default]
            .into_iter()
            .map(|all| of_family(&all, family))
            .find(|ranges| !ranges.is_empty())
            .unwrap_or_default();

        let in_subnet = match self.spec["subnetRef"]["name"].as_str() {
            Some(name) => of_family(&self.subnet(name)?, family),
            None => Vec::new(),
        };

        // "`p` is the health check port: the backend's own health check port where one is set, else the group's, else the
        // backend's port." (§2)
        let check = &self.group.unwrap_or(GONE)["healthCheck"];
        let backend_port = port(&self.spec["port"]).unwrap_or(0);
        let set = port(&own["port"]).or(port(&check["port"]));

        // "TCP for TCP, HTTP, HTTPS, TLS, GRPC. A UDP_CONNECT check needs two legs: UDP to the port, and ICMP (ICMPv6 for
        // an IPv6 backend)" (§2)
        let protocol = check["protocol"].as_str().unwrap_or("TCP").to_owned();
        let icmp = if family == Family::V4 { ICMP } else { ICMPV6 };
        let legs = if protocol == "UDP_CONNECT" {
            vec![(UDP, true), (icmp, false)]
        } else {
            vec![(TCP, true)]
        };

        let traffic = Traffic {
            family,
            protocol,
            legs,
            sources,
            backend,
            port: set.unwrap_or(backend_port),
        };
        let (security_groups, replies) = self.security_groups(&traffic)?;
        let network_acl = self.network_acl(&traffic, &in_subnet)?;
        let mut ends = Vec::new();
        for subnet in self.balancer_subnets() {
            ends.extend(self.end(&traffic, subnet)?);
        }
        // "a health check port is set (the backend's own or the group's) and differs from the backend's port" (§5)
        let config_fails = set.is_some_and(|set| set != backend_port);
        let case = Case {
            traffic,
            security_groups,
            network_acl,
            replies,
            ends,
            config_fails,
            accepts: self.accepts(),
        };
        Ok((!case.traffic.sources.is_empty()).then_some(case))
    }

    fn subnet(&self, name: &str) -> Result<Vec<(Family, Range)>, Wrong> {
        let subnet = self.world.find("Subnet", name).unwrap_or(GONE);
        texts(&subnet["spec"]["cidrs"])
            .into_iter()
            .map(values::prefix)
            .collect()
    }

    /// The six items, and the replies where the groups are stateless.
    #[allow(clippy::too_many_lines, reason = "the sentences of one section, in its order")]
    fn security_groups(&self, traffic: &Traffic) -> Result<(Option<Layer>, Option<Direction>), Wrong> {
        let mut referred: Vec<(bool, String)> = Vec::new();
        let mut sorts: Vec<bool> = Vec::new();
        let mut ordered: Vec<(SortKey, bool, Rule)> = Vec::new();
        let groups = names(&self.spec["securityGroupRefs"]);
        for (position, name) in groups.iter().enumerate() {
            let group = self.world.find("SecurityGroup", name).unwrap_or(GONE);
            sorts.push(on(&group["spec"]["stateful"]));
            for (index, rule) in list(&group["spec"]["rules"]).iter().enumerate() {
                let source = rule;
                // "Disabled rules do not exist."
                if !on(&rule["enabled"]) {
                    continue;
                }
                let family = Family::named(rule["ethertype"].as_str());
                let allow = rule["action"] != "Deny";
                let priority = rule["priority"].as_u64().unwrap_or(1);
                let (protocol, ports) = protocol_and_ports(rule, family, &["ports"])?;
                let dimensions = vec![protocol, self.remote(&rule["remote"], family)?, ports[0].clone()];
                // "Evaluation order over all groups on the interface: (1) position of the group in the backend's list,
                // (2) rule priority, 1 first, 100 last, (3) at equal priority deny before allow." (§3)
                let key = (position, priority, allow, index);
                let rule = Rule {
                    object: (*name).to_owned(),
                    name: rule["name"].as_str().unwrap_or("").to_owned(),
                    index,
                    priority: Some(priority),
                    allow,
                    dimensions,
                    server_ports: named_ports(&rule["ports"])?,
                };
                let ingress = source["direction"] == "Ingress";
                let remote = source["remote"]["securityGroupRef"]["name"].as_str();
                referred.extend(remote.map(|group| (ingress, group.to_owned())));
                if family == traffic.family {
                    ordered.push((key, ingress, rule));
                }
            }
        }
        // "an interface has only one sort" (§3)
        if sorts.contains(&true) && sorts.contains(&false) {
            return Err("stateful and stateless security groups on one interface".into());
        }
        // "`portSecurityEnabled: false`: security groups are not applied; their six items pass"
        if !on(&self.spec["portSecurityEnabled"]) {
            return Ok((None, None));
        }
        ordered.sort_by_key(|(key, _, _)| *key);
        let rules = |wanted: bool| {
            ordered
                .iter()
                .filter(|(_, ingress, _)| *ingress == wanted)
                .map(|(_, _, rule)| rule.clone())
                .collect()
        };
        let legs: Vec<Leg> = traffic
            .legs
            .iter()
            .map(|&(protocol, has_ports)| {
                let required = vec![
                    vec![(protocol.into(), protocol.into())],
                    traffic.sources.clone(),
                    vec![(traffic.port.into(), traffic.port.into())],
                ];
                // A security group does not see the other port: one packet per source address.
                let whole = leg_size(&traffic.sources, false);
                Leg {
                    protocol,
                    has_ports,
                    traffic: required.clone(),
                    required,
                    whole,
                }
            })
            .collect();
        let direction = |ingress: bool, dimensions| Direction {
            family: traffic.family,
            dimensions,
            rules: rules(ingress),
            groups: {
                let mut groups: Vec<String> = referred
                    .iter()
                    .filter(|(of, _)| *of == ingress)
                    .map(|(_, name)| name.clone())
                    .collect();
                groups.sort_unstable();
                groups.dedup();
                groups
            },
            legs: legs.clone(),
            // "Security groups are stateful: a reply to an allowed probe always leaves"; of stateless ones "items 4-6 stay as
            // the page has them" (§3): they are about other packets than the replies.
            advisory: !ingress,
            is_probe: ingress,
            port: traffic.port,
            objects: groups.iter().map(|&name| name.to_owned()).collect(),
        };
        let layer = Layer {
            ingress: direction(
                true,
                vec![
                    (Dimension::Protocol, "security_group_check_hc_protocol_ingress"),
                    (Dimension::Source, "security_group_check_hc_source_ip_ingress"),
                    (Dimension::Port, "security_group_check_hc_port_ingress"),
                ],
            ),
            egress: direction(
                false,
                vec![
                    (Dimension::Protocol, "security_group_check_hc_protocol_egress"),
                    (Dimension::Destination, "security_group_check_hc_source_ip_egress"),
                    (Dimension::Port, "security_group_check_hc_port_egress"),
                ],
            ),
        };
        // "then the reply must pass the outbound rules like any packet, `P` from `b` port `p` to `S`, destination ports
        // 1-65535 (a rule's ports are destination ports)" (§3)
        let replies = sorts.contains(&false).then(|| Direction {
            dimensions: vec![
                (Dimension::Protocol, ""),
                (Dimension::Destination, ""),
                (Dimension::DestinationPort, ""),
            ],
            advisory: false,
            legs: traffic
                .legs
                .iter()
                .map(|&(protocol, has_ports)| {
                    let required = vec![
                        vec![(protocol.into(), protocol.into())],
                        traffic.sources.clone(),
                        vec![(1, 65535)],
                    ];
                    Leg {
                        protocol,
                        has_ports,
                        traffic: required.clone(),
                        required,
                        whole: leg_size(&traffic.sources, has_ports),
                    }
                })
                .collect(),
            ..layer.egress.clone()
        });
        Ok((Some(layer), replies))
    }

    fn network_acl(&self, traffic: &Traffic, subnet: &[Range]) -> Result<Option<Layer>, Wrong> {
        let mut layers = Vec::new();
        for acl in self.acls() {
            let directions = [
                self.acl_rules(acl, "ingress", traffic, "destinationPorts")?,
                self.acl_rules(acl, "egress", traffic, "sourcePorts")?,
            ];
            layers.push((acl, directions));
        }
        // "No ACL on the subnet, or an ACL that is switched off: its ten items pass"
        let Some((acl, [ingress, egress])) = layers.pop().filter(|(acl, _)| on(&acl["spec"]["enabled"])) else {
            return Ok(None);
        };
        let stateful = on(&acl["spec"]["stateful"]);

        // "Always allowed, before any rule: traffic between two addresses of the same subnet; outbound to `100.125.0.0/16`.
        // Required packets of these kinds are exempt: take them out of the required set first" (§4)
        let always: Vec<Range> = if contains(subnet, traffic.backend) {
            subnet.to_vec()
        } else {
            Vec::new()
        };
        let inbound_sources = without(&traffic.sources, &always);
        let mut outbound_destinations = inbound_sources.clone();
        if traffic.family == Family::V4 {
            let (_, shared) = values::prefix("100.125.0.0/16")?;
            outbound_destinations = without(&outbound_destinations, &[shared]);
        }

        let direction = |ingress: bool, rules, ids: [&'static str; 5]| {
            // the probe inbound, the reply outbound (§2)
            let required = if ingress {
                &inbound_sources
            } else {
                &outbound_destinations
            };
            let mut direction = acl_direction(traffic, acl, rules, ingress, required);
            direction.advisory = !ingress && stateful;
            for ((_, id), named) in direction.dimensions.iter_mut().zip(ids) {
                *id = named;
            }
            direction
        };
        Ok(Some(Layer {
            ingress: direction(
                true,
                ingress,
                [
                    "acl_check_hc_protocol_ingress",
                    "acl_check_hc_source_ip_ingress",
                    "acl_check_hc_source_port_ingress",
                    "acl_check_hc_dest_ip_ingress",
                    "acl_check_hc_dest_port_ingress",
                ],
            ),
            egress: direction(
                false,
                egress,
                [
                    "acl_check_hc_protocol_egress",
                    "acl_check_hc_source_ip_egress",
                    "acl_check_hc_source_port_egress",
                    "acl_check_hc_dest_ip_egress",
                    "acl_check_hc_dest_port_egress",
                ],
            ),
        }))
    }

    /// "For each backend subnet `X` of a Dedicated load balancer that holds some of `S`, is not the server's own subnet and
    /// has an ACL in force, the probes from `S ∩ X` must pass that ACL's outbound rules, and, where it is stateless, the
    /// replies its inbound rules" (§4).
    fn end(&self, traffic: &Traffic, subnet: &str) -> Result<Option<End>, Wrong> {
        let range = of_family(&self.subnet(subnet)?, traffic.family);
        let mut ends = Vec::new();
        for acl in self.acls_of(subnet) {
            let egress = self.acl_rules(acl, "egress", traffic, "destinationPorts")?;
            ends.push((acl, egress, self.acl_rules(acl, "ingress", traffic, "sourcePorts")?));
        }
        // "Two ACLs that claim `X`: not judged" (§4)
        if ends.len() != 1 {
            return Ok(None);
        }
        let Some((acl, egress, ingress)) = ends.pop().filter(|(acl, _, _)| on(&acl["spec"]["enabled"])) else {
            return Ok(None);
        };
        let probers = common(&traffic.sources, &range);
        // "the exemptions above hold": "traffic between two addresses of the same subnet; outbound to `100.125.0.0/16`"
        let within = contains(&range, traffic.backend);
        let (_, shared) = values::prefix("100.125.0.0/16")?;
        let to_shared = traffic.family == Family::V4 && contains(&[shared], traffic.backend);
        let none: Vec<Range> = Vec::new();
        let leaving = if within || to_shared { &none } else { &probers };
        let entering = if within { &none } else { &probers };
        Ok(Some(End {
            subnet: subnet.to_owned(),
            egress: acl_direction(traffic, acl, egress, true, leaving),
            ingress: (!on(&acl["spec"]["stateful"])).then(|| acl_direction(traffic, acl, ingress, false, entering)),
        }))
    }

    /// "Rules in array order, first match decides, the fixed last rule denies." (§4)
    /// `server_ports` are the ports at the server's end.
    fn acl_rules(
        &self,
        acl: &Value,
        direction: &str,
        traffic: &Traffic,
        server_ports: &str,
    ) -> Result<Vec<Rule>, Wrong> {
        let mut rules = Vec::new();
        for (index, rule) in list(&acl["spec"][direction]).iter().enumerate() {
            if !on(&rule["enabled"]) {
                continue;
            }
            let family = Family::named(rule["ipVersion"].as_str());
            let (protocol, ports) = protocol_and_ports(rule, family, &["sourcePorts", "destinationPorts"])?;
            let dimensions = vec![
                protocol,
                self.remote(&rule["source"], family)?,
                ports[0].clone(),
                self.remote(&rule["destination"], family)?,
                ports[1].clone(),
            ];
            if family == traffic.family {
                rules.push(Rule {
                    object: name_of(acl).to_owned(),
                    name: rule["name"].as_str().unwrap_or("").to_owned(),
                    index,
                    priority: None,
                    allow: rule["action"] != "Deny",
                    dimensions,
                    server_ports: named_ports(&rule[server_ports])?,
                });
            }
        }
        Ok(rules)
    }

    /// "at most one remote: a prefix, another security group, or an address group; no remote = any address" (§3)
    fn remote(&self, remote: &Value, family: Family) -> Result<Match, Wrong> {
        if let Some(text) = remote["cidr"].as_str() {
            let (of, range) = values::prefix(text)?;
            if of != family {
                return Err(format!("{text:?} is of another family than its rule"));
            }
            if range == (0, family.last()) {
                return Ok(Match::Any);
            }
            return Ok(Match::In(vec![range]));
        }
        if let Some(name) = remote["securityGroupRef"]["name"].as_str() {
            return Ok(Match::Group(name.to_owned()));
        }
        if let Some(name) = remote["addressGroupRef"]["name"].as_str() {
            let group = self.world.find("AddressGroup", name).unwrap_or(GONE);
            let entries: Result<Vec<_>, _> = texts(&group["spec"]["addresses"])
                .into_iter()
                .map(values::address_group_entry)
                .collect();
            return Ok(Match::In(of_family(&entries?, family)));
        }
        Ok(Match::Any)
    }
}

/// The ports that a field of a rule names.
fn named_ports(field: &Value) -> Result<Vec<Range>, Wrong> {
    field.as_str().map_or(Ok(Vec::new()), values::ports)
}

/// The rules of an ACL and the probes or replies that must pass them: those of these probers.
fn acl_direction(traffic: &Traffic, acl: &Value, rules: Vec<Rule>, is_probe: bool, probers: &[Range]) -> Direction {
    let one = |value: u128| vec![(value, value)];
    let packets = |protocol: u8, probers: &[Range]| {
        let protocol = one(protocol.into());
        let (backend, port, ports) = (one(traffic.backend), one(traffic.port.into()), vec![(1, 65535)]);
        if is_probe {
            vec![protocol, probers.to_vec(), ports, backend, port]
        } else {
            vec![protocol, backend, port, probers.to_vec(), ports]
        }
    };
    Direction {
        family: traffic.family,
        dimensions: vec![
            (Dimension::Protocol, ""),
            (Dimension::Source, ""),
            (Dimension::SourcePort, ""),
            (Dimension::Destination, ""),
            (Dimension::DestinationPort, ""),
        ],
        rules,
        groups: Vec::new(),
        legs: traffic
            .legs
            .iter()
            .map(|&(protocol, has_ports)| Leg {
                protocol,
                has_ports,
                required: packets(protocol, probers),
                traffic: packets(protocol, &traffic.sources),
                whole: leg_size(&traffic.sources, has_ports),
            })
            .collect(),
        advisory: false,
        is_probe,
        port: traffic.port,
        objects: vec![name_of(acl).to_owned()],
    }
}

/// Position of the group, priority, deny (false) before allow (true), position of the rule.
type SortKey = (usize, u64, bool, usize);

/// What a rule asks of the protocol and of its port fields. A rule with ports is about TCP and UDP packets only.
fn protocol_and_ports(rule: &Value, family: Family, fields: &[&str]) -> Result<(Match, Vec<Match>), Wrong> {
    let mut has_ports = false;
    let mut ports = Vec::new();
    for field in fields {
        ports.push(match rule[*field].as_str() {
            None => Match::Any,
            Some(text) => {
                has_ports = true;
                Match::In(values::ports(text)?)
            }
        });
    }
    let with_ports = [TCP, UDP];
    let protocols = match rule["protocol"].as_str() {
        None if has_ports => with_ports.to_vec(),
        None => return Ok((Match::Any, ports)),
        Some(text) => {
            let protocol = values::protocol(text, family)?;
            if has_ports && !with_ports.contains(&protocol) {
                Vec::new()
            } else {
                vec![protocol]
            }
        }
    };
    Ok((
        Match::In(protocols.into_iter().map(|p| (p.into(), p.into())).collect()),
        ports,
    ))
}

fn port(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|p| u16::try_from(p).ok())
}

fn prefixes(texts: &[&str]) -> Result<Vec<(Family, Range)>, Wrong> {
    texts.iter().map(|text| values::address_or_prefix(text)).collect()
}

fn of_family(all: &[(Family, Range)], family: Family) -> Vec<Range> {
    normal(
        all.iter()
            .filter(|(of, _)| *of == family)
            .map(|(_, range)| *range)
            .collect(),
    )
}

fn no_name_twice(entries: &Value) -> Result<(), Wrong> {
    let mut seen = Vec::new();
    for name in list(entries).iter().map(|entry| &entry["name"]) {
        if seen.contains(&name) {
            return Err(format!("{name} stands there twice"));
        }
        seen.push(name);
    }
    Ok(())
}

/// Everything that a diagnosis judges.
struct Case {
    traffic: Traffic,
    security_groups: Option<Layer>,
    network_acl: Option<Layer>,
    replies: Option<Direction>,
    ends: Vec<End>,
    config_fails: bool,
    accepts: Vec<String>,
}

impl Case {
    fn diagnose(self) -> Findings {
        let mut failed = Vec::new();
        for layer in [&self.security_groups, &self.network_acl].into_iter().flatten() {
            failed.extend(layer.ingress.failed());
            failed.extend(layer.egress.failed());
        }
        if self.config_fails {
            failed.push(Failed {
                id: "check_hc_config_port",
                impact: Impact::Advisory,
                objects: Vec::new(),
                evidence: None,
            });
        }
        let mut beyond: Vec<Failed> = Vec::new();
        beyond.extend(
            self.ends
                .iter()
                .filter_map(|end| end.egress.beyond("load_balancer_acl_egress")),
        );
        let ingress = self.ends.iter().filter_map(|end| end.ingress.as_ref());
        beyond.extend(ingress.filter_map(|direction| direction.beyond("load_balancer_acl_ingress")));
        let replies = self
            .replies
            .as_ref()
            .and_then(|replies| replies.beyond("security_group_reply_egress"));
        beyond.extend(replies.map(|mut finding| {
            // A rule of a group does not look at where the reply comes from: only the witness says it.
            let evidence = finding.evidence.as_mut().unwrap();
            evidence.witness.push((Dimension::Source, self.traffic.backend));
            if evidence.leg_has_ports {
                evidence.witness.push((Dimension::SourcePort, self.traffic.port.into()));
            }
            finding
        }));

        // "a failed item of these ids whose impact is `Advisory` is listed in `diagnosis.accepted`, not in `checks`, and makes
        // no fault. One that drops probes is shown all the same, with a note; an unknown id is a note." (§8)
        let mut accepted: Vec<&'static str> = Vec::new();
        let mut noted: Vec<String> = Vec::new();
        noted.extend(self.accepts.iter().filter(|id| !IDS.contains(&id.as_str())).cloned());
        for list in [&mut failed, &mut beyond] {
            list.retain(|item| {
                let is_named = self.accepts.iter().any(|id| id == item.id);
                let is_accepted = is_named && item.impact == Impact::Advisory;
                if is_accepted && !accepted.contains(&item.id) {
                    accepted.push(item.id);
                } else if is_named && !is_accepted {
                    noted.push(item.id.to_owned());
                }
                !is_accepted
            });
        }

        let dropped = self.dropped();
        // "Impact of the diagnosis: Blocks when that is 1, Intermittent when it is above 0, else Advisory when an item
        // failed, else None." (§7)
        let impact = match (dropped.is_all(), dropped.is_none()) {
            (true, _) => Impact::Blocks,
            (_, false) => Impact::Intermittent,
            _ if !failed.is_empty() || !beyond.is_empty() => Impact::Advisory,
            _ => Impact::None,
        };
        Findings {
            traffic: self.traffic,
            failed,
            beyond,
            accepted,
            noted,
            config_fails: self.config_fails,
            dropped,
            impact,
            security_groups: self.security_groups,
            network_acl: self.network_acl,
            replies: self.replies,
            ends: self.ends,
        }
    }

    /// "the part of the probes - pairs of source address and source port - that do not complete, because a group or the
    /// ACL drops the probe inbound or a stateless ACL drops its reply outbound (the ICMP leg has addresses only); with two
    /// legs, the worse one" (§7); the load balancer's end and stateless groups count (§3, §4), likely packets only (§2).
    fn dropped(&self) -> Share {
        let mut judges: Vec<&Direction> = Vec::new();
        for layer in [&self.security_groups, &self.network_acl].into_iter().flatten() {
            judges.extend(
                [&layer.ingress, &layer.egress]
                    .into_iter()
                    .filter(|direction| !direction.advisory),
            );
        }
        judges.extend(&self.replies);
        for end in &self.ends {
            judges.push(&end.egress);
            judges.extend(&end.ingress);
        }
        let mut worst = Share { part: 0, whole: 1 };
        for (which, &(_, has_ports)) in self.traffic.legs.iter().enumerate() {
            let mut part = 0;
            for (first, last) in self.pieces(&judges, Remote::Address) {
                let ports = if has_ports {
                    self.pieces(&judges, Remote::Port)
                } else {
                    vec![(0, 0)]
                };
                for (from, to) in ports {
                    if judges
                        .iter()
                        .any(|judge| !judge.passes(&judge.legs[which], first, from))
                    {
                        part += (last - first + 1) * (to - from + 1);
                    }
                }
            }
            worst = worst.worse(Share {
                part,
                whole: leg_size(&self.traffic.sources, has_ports),
            });
        }
        worst
    }

    /// The probe's source addresses, or its source ports, cut wherever any direction's rules or exemptions cut.
    fn pieces(&self, judges: &[&Direction], what: Remote) -> Vec<Range> {
        let all = match what {
            Remote::Address => self.traffic.sources.clone(),
            Remote::Port => vec![(FIRST_LIKELY, 65535)],
        };
        let mut starts: Vec<u128> = Vec::new();
        for judge in judges {
            for (d, (dimension, _)) in judge.dimensions.iter().enumerate() {
                let wanted = match (what, dimension) {
                    (Remote::Address, Dimension::Source) | (Remote::Port, Dimension::SourcePort) => judge.is_probe,
                    (Remote::Address, Dimension::Destination) | (Remote::Port, Dimension::DestinationPort) => {
                        !judge.is_probe
                    }
                    _ => false,
                };
                if !wanted {
                    continue;
                }
                let asked = judge.rules.iter().filter_map(|rule| match &rule.dimensions[d] {
                    Match::In(ranges) => Some(ranges),
                    _ => None,
                });
                for &(first, last) in asked.chain(judge.legs.iter().map(|leg| &leg.required[d])).flatten() {
                    starts.push(first);
                    starts.extend(last.checked_add(1));
                }
            }
        }
        starts.sort_unstable();
        starts.dedup();
        let mut pieces = Vec::new();
        for (mut first, last) in all {
            for &start in starts
                .iter()
                .filter(|&&start| first < start && start <= last)
                .collect::<Vec<_>>()
            {
                pieces.push((first, start - 1));
                first = start;
            }
            pieces.push((first, last));
        }
        pieces
    }
}

#[derive(Clone, Copy)]
enum Remote {
    Address,
    Port,
}
