//! The consequences that semantics §6 names, and at least one example per check id, small enough to be followed by hand.
//!
//! The stage is the same in all of them: a Dedicated load balancer probes over TCP from the subnets 192.168.0.0/24 and
//! 192.168.2.0/24; the backend server is 192.168.1.10, port 8080, in the subnet 192.168.1.0/24 with one security group. An
//! example says which rules there are and which items fail; both the product and the independent reading of the semantics must
//! say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    missing_docs
)]

mod oracle;

use elb_doctor::api::v1alpha1::{BackendServerStatus, Diagnosis, DiagnosisImpact, ItemImpact};
use oracle::{
    manifests::Manifests,
    product::{self, SHARED},
    verdict::{Outcome, judge},
};
use serde_json::{Value, json};

const STAGE: &str = r#"
{ kind: Subnet, metadata: { name: probes-a, namespace: shop }, spec: { cidrs: [192.168.0.0/24, "2001:db8:a::/64"] } }
---
{ kind: Subnet, metadata: { name: probes-b, namespace: shop }, spec: { cidrs: [192.168.2.0/24] } }
---
{ kind: Subnet, metadata: { name: app, namespace: shop }, spec: { cidrs: [192.168.1.0/24, "2001:db8:1::/64"] } }
---
kind: LoadBalancer
metadata: { name: front, namespace: shop }
spec:
  type: Dedicated
  backendSubnetRefs: [{ name: probes-a }, { name: probes-b }]
  listeners: [{ name: in, protocol: TCP, port: 80, backendServerGroups: [servers] }]
  backendServerGroups: [{ name: servers, protocol: TCP, healthCheck: { protocol: TCP } }]
---
kind: BackendServer
metadata: { name: server, namespace: shop }
spec:
  loadBalancerRef: { name: front }
  backendServerGroup: servers
  address: 192.168.1.10
  port: 8080
  subnetRef: { name: app }
  securityGroupRefs: [{ name: group }]
status: { health: { state: Unhealthy, reason: ConnectTimeout } }
"#;

/// Allows every probe of the stage.
const PROBES: &str =
    "[{ name: probes, direction: Ingress, protocol: tcp, ports: '8080', remote: { cidr: 192.168.0.0/22 } }]";
/// Allows everything.
const ALL: &str = "[{ name: all, action: Allow }]";

/// One example: the stage, changed.
struct Example {
    world: Vec<Value>,
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("valid YAML")
}

/// The stage with these inbound rules, and everything allowed outbound.
fn with_inbound(rules: &str) -> Example {
    with_group(rules, "[{ name: out, direction: Egress }]")
}

/// The stage with these inbound and outbound rules.
fn with_group(inbound: &str, outbound: &str) -> Example {
    let mut world: Vec<Value> = serde_saphyr::from_multiple(STAGE).expect("valid YAML");
    let mut rules = yaml(inbound);
    rules
        .as_array_mut()
        .unwrap()
        .extend(yaml(outbound).as_array().unwrap().clone());
    world.push(object("SecurityGroup", "group", json!({ "rules": rules })));
    Example { world }
}

/// The stage with security groups that let everything needed pass, and this stateless ACL on the server's subnet.
fn with_acl(ingress: &str, egress: &str) -> Example {
    let mut example = with_inbound(PROBES);
    let rules = json!({
        "stateful": false, "subnetRefs": [{ "name": "app" }], "ingress": yaml(ingress), "egress": yaml(egress),
    });
    example.world.push(object("NetworkACL", "border", rules));
    example
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "kind": kind, "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

impl Example {
    /// Changes one field of an object's spec.
    fn but(mut self, kind: &str, pointer: &str, value: Value) -> Self {
        let object = self
            .world
            .iter_mut()
            .find(|o| o["kind"] == kind)
            .expect("the stage has it");
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object
            .pointer_mut(&format!("/spec{parent}"))
            .expect("the field's parent is there")[field] = value;
        self
    }

    /// The same stage with one object more.
    fn also(mut self, kind: &str, name: &str, spec: Value) -> Self {
        self.world.push(object(kind, name, spec));
        self
    }

    /// The same stage where this object accepts findings.
    fn accepting(mut self, kind: &str, ids: &str) -> Self {
        let object = self
            .world
            .iter_mut()
            .find(|o| o["kind"] == kind)
            .expect("the stage has it");
        object["metadata"]["annotations"] = json!({ "elb-doctor.dev/accept": ids });
        self
    }

    /// The same stage with a `UDP_CONNECT` check, which has two legs.
    fn over_udp(self) -> Self {
        let group = json!([{ "name": "servers", "protocol": "UDP", "healthCheck": { "protocol": "UDP_CONNECT" } }]);
        self.but("LoadBalancer", "/backendServerGroups", group)
    }

    fn status(&self) -> BackendServerStatus {
        product::status(&product::world(&self.world), "server")
    }

    fn diagnosis(&self) -> Diagnosis {
        self.status().diagnosis.expect("the diagnosis runs")
    }

    /// Exactly these items fail, for the product and for the independent reading; all else about them agrees too.
    #[track_caller]
    fn fails(self, ids: &[&str]) -> Self {
        let Outcome::Ran(read) = judge(Manifests(&self.world), SHARED, "server").outcome else {
            panic!("the independent reading refuses")
        };
        assert_eq!(
            read.failed.iter().map(|item| item.id).collect::<Vec<_>>(),
            ids,
            "the independent reading"
        );
        let said: Vec<String> = self.diagnosis().checks.into_iter().map(|check| check.id).collect();
        assert_eq!(said, ids, "the product");
        product::compare(&self.world).expect("product and independent reading agree in all evidence");
        self
    }

    /// Exactly this is found beyond the items.
    #[track_caller]
    fn finds_beyond(self, ids: &[&str]) -> Self {
        let Outcome::Ran(read) = judge(Manifests(&self.world), SHARED, "server").outcome else {
            panic!("the independent reading refuses")
        };
        let beyond: Vec<&str> = read.beyond.iter().map(|finding| finding.id).collect();
        assert_eq!(beyond, ids, "the independent reading");
        let diagnosis = self.diagnosis();
        let said: Vec<&str> = diagnosis.beyond.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(said, ids, "the product");
        assert_eq!(diagnosis.failed as usize, diagnosis.checks.len() + said.len());
        self
    }

    #[track_caller]
    fn blocks_beyond(self, at: usize, values: &[&str], share: &str, impact: ItemImpact) -> Self {
        let diagnosis = self.diagnosis();
        let blocked = diagnosis.beyond[at].blocked.as_ref().expect("a blocked set");
        assert_eq!(
            (blocked.values.as_slice(), blocked.share.as_str()),
            (values.map_to_strings().as_slice(), share)
        );
        assert_eq!(diagnosis.beyond[at].impact, impact);
        self
    }

    #[track_caller]
    fn accepts(self, ids: &[&str]) -> Self {
        assert_eq!(self.diagnosis().accepted, ids.map_to_strings());
        self
    }

    #[track_caller]
    fn notes(self, what: &str) -> Self {
        let notes = self.diagnosis().notes;
        assert!(
            notes.iter().any(|note| note.contains(what)),
            "no note about {what}: {notes:?}"
        );
        self
    }

    #[track_caller]
    fn refuses(self, reason: &str) {
        let read = judge(Manifests(&self.world), SHARED, "server").outcome;
        assert!(
            matches!(read, Outcome::Refused(r) if r == reason),
            "the independent reading: {read:?}"
        );
        assert_eq!(
            product::condition(&self.status(), "Diagnosed"),
            ("False".to_owned(), reason.to_owned())
        );
    }

    #[track_caller]
    fn blocks(self, at: usize, values: &[&str], share: &str, impact: ItemImpact) -> Self {
        let diagnosis = self.diagnosis();
        let blocked = diagnosis.checks[at].blocked.as_ref().expect("a blocked set");
        assert_eq!(
            (blocked.values.as_slice(), blocked.share.as_str()),
            (values.map_to_strings().as_slice(), share)
        );
        assert_eq!(diagnosis.checks[at].impact, impact);
        self
    }

    #[track_caller]
    fn drops(self, share: &str, impact: DiagnosisImpact) -> Self {
        let diagnosis = self.diagnosis();
        assert_eq!((diagnosis.dropped_share.as_str(), diagnosis.impact), (share, impact));
        self
    }
}

trait MapToStrings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl MapToStrings for [&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

// Security groups, inbound.

#[test]
fn only_udp_from_the_right_source_and_port_fails_the_protocol_item_alone() {
    with_inbound("[{ name: r, direction: Ingress, protocol: udp, ports: '8080', remote: { cidr: 192.168.0.0/22 } }]")
        .fails(&["security_group_check_hc_protocol_ingress"])
        .blocks(0, &["tcp"], "1", ItemImpact::Blocks);
}

#[test]
fn one_missing_probe_subnet_out_of_two_fails_the_source_item_and_names_the_subnet() {
    with_inbound("[{ name: r, direction: Ingress, protocol: tcp, ports: '8080', remote: { cidr: 192.168.0.0/24 } }]")
        .fails(&["security_group_check_hc_source_ip_ingress"])
        .blocks(0, &["192.168.2.0/24"], "0.5", ItemImpact::Intermittent)
        .drops("0.5", DiagnosisImpact::Intermittent);
}

#[test]
fn tcp_from_the_source_on_22_and_tcp_from_elsewhere_on_8080_fails_the_port_item_alone() {
    with_inbound(
        "[{ name: ssh, direction: Ingress, protocol: tcp, ports: '22', remote: { cidr: 192.168.0.0/22 } },
          { name: web, direction: Ingress, protocol: tcp, ports: '8080', remote: { cidr: 10.0.0.0/8 } }]",
    )
    .fails(&["security_group_check_hc_port_ingress"])
    .blocks(0, &["8080"], "1", ItemImpact::Blocks);
}

#[test]
fn no_inbound_rules_at_all_fail_every_inbound_item() {
    with_inbound("[]").fails(&[
        "security_group_check_hc_protocol_ingress",
        "security_group_check_hc_source_ip_ingress",
        "security_group_check_hc_port_ingress",
    ]);
}

#[test]
fn a_group_that_allows_only_its_own_members_fails_the_source_item_alone() {
    with_inbound("[{ name: own, direction: Ingress, remote: { securityGroupRef: { name: group } } }]")
        .fails(&["security_group_check_hc_source_ip_ingress"]);
}

#[test]
fn a_deny_of_one_probe_address_at_a_better_priority_blocks_that_address_alone() {
    with_inbound(
        "[{ name: probes, direction: Ingress, priority: 2, remote: { cidr: 192.168.0.0/22 } },
          { name: one, direction: Ingress, action: Deny, remote: { cidr: 192.168.2.7/32 } }]",
    )
    .fails(&["security_group_check_hc_source_ip_ingress"])
    .blocks(0, &["192.168.2.7/32"], "0.001953125", ItemImpact::Intermittent);
}

#[test]
fn deny_goes_before_allow_at_equal_priority() {
    with_inbound(
        "[{ name: pass, direction: Ingress, protocol: tcp, priority: 5 },
          { name: drop, direction: Ingress, protocol: tcp, priority: 5, action: Deny }]",
    )
    .fails(&[
        "security_group_check_hc_protocol_ingress",
        "security_group_check_hc_source_ip_ingress",
        "security_group_check_hc_port_ingress",
    ]);
}

#[test]
fn disabled_rules_do_not_exist() {
    with_inbound(
        "[{ name: drop, direction: Ingress, action: Deny, enabled: false },
          { name: pass, direction: Ingress, priority: 100 }]",
    )
    .fails(&[]);
}

#[test]
fn a_rule_of_the_other_family_allows_nothing() {
    with_inbound("[{ name: six, direction: Ingress, ethertype: IPv6 }]").fails(&[
        "security_group_check_hc_protocol_ingress",
        "security_group_check_hc_source_ip_ingress",
        "security_group_check_hc_port_ingress",
    ]);
}

#[test]
fn the_first_group_decides_whatever_the_priorities_of_the_second() {
    let mut example = with_inbound("[{ name: drop, direction: Ingress, action: Deny, priority: 100 }]");
    let second = json!({ "rules": [{ "name": "pass", "direction": "Ingress", "priority": 1 }] });
    example.world.push(object("SecurityGroup", "second", second));
    example
        .but(
            "BackendServer",
            "/securityGroupRefs",
            json!([{ "name": "group" }, { "name": "second" }]),
        )
        .fails(&[
            "security_group_check_hc_protocol_ingress",
            "security_group_check_hc_source_ip_ingress",
            "security_group_check_hc_port_ingress",
        ]);
}

#[test]
fn port_security_off_passes_the_six_items() {
    with_group("[]", "[]")
        .but("BackendServer", "/portSecurityEnabled", json!(false))
        .fails(&[]);
}

#[test]
fn no_security_group_on_the_interface_denies_everything() {
    with_inbound(PROBES)
        .but("BackendServer", "/securityGroupRefs", json!([]))
        .fails(&[
            "security_group_check_hc_protocol_ingress",
            "security_group_check_hc_source_ip_ingress",
            "security_group_check_hc_port_ingress",
            "security_group_check_hc_protocol_egress",
            "security_group_check_hc_source_ip_egress",
            "security_group_check_hc_port_egress",
        ]);
}

// Security groups, outbound: never more than advice, since security groups are stateful.

#[test]
fn outbound_rules_for_udp_alone_fail_the_outbound_protocol_item_as_advice() {
    with_group(PROBES, "[{ name: out, direction: Egress, protocol: udp }]")
        .fails(&["security_group_check_hc_protocol_egress"])
        .blocks(0, &["tcp"], "1", ItemImpact::Advisory)
        .drops("0", DiagnosisImpact::Advisory);
}

#[test]
fn outbound_rules_for_one_probe_subnet_fail_the_outbound_destination_item() {
    with_group(
        PROBES,
        "[{ name: out, direction: Egress, remote: { cidr: 192.168.2.0/24 } }]",
    )
    .fails(&["security_group_check_hc_source_ip_egress"])
    .blocks(0, &["192.168.0.0/24"], "0.5", ItemImpact::Advisory);
}

#[test]
fn outbound_rules_for_443_alone_fail_the_outbound_port_item() {
    with_group(
        PROBES,
        "[{ name: out, direction: Egress, protocol: tcp, ports: '443' }]",
    )
    .fails(&["security_group_check_hc_port_egress"])
    .blocks(0, &["8080"], "1", ItemImpact::Advisory);
}

// Network ACLs, inbound.

#[test]
fn an_acl_for_udp_alone_fails_the_inbound_protocol_item() {
    with_acl("[{ name: r, action: Allow, protocol: udp }]", ALL).fails(&["acl_check_hc_protocol_ingress"]);
}

#[test]
fn an_acl_for_one_probe_subnet_fails_the_inbound_source_item() {
    with_acl("[{ name: r, action: Allow, source: { cidr: 192.168.0.0/24 } }]", ALL)
        .fails(&["acl_check_hc_source_ip_ingress"])
        .blocks(0, &["192.168.2.0/24"], "0.5", ItemImpact::Intermittent);
}

#[test]
fn an_acl_for_high_source_ports_alone_fails_the_source_port_item() {
    with_acl(
        "[{ name: r, action: Allow, protocol: tcp, sourcePorts: '17152-65535' }]",
        ALL,
    )
    .fails(&["acl_check_hc_source_port_ingress"])
    // A quarter of 1024-65535.
    .blocks(0, &["1-17151"], "0.25", ItemImpact::Intermittent)
    .drops("0.25", DiagnosisImpact::Intermittent);
}

#[test]
fn a_source_port_item_that_blocks_every_probe_says_so_though_it_is_a_tip() {
    with_acl(
        "[{ name: drop, action: Deny, protocol: tcp, sourcePorts: '1-65535' }, { name: pass, action: Allow }]",
        ALL,
    )
    // Port 0, which no probe comes from, is what is left to hold protocol and source with.
    .fails(&["acl_check_hc_source_port_ingress"])
    .blocks(0, &["1-65535"], "1", ItemImpact::Blocks);
}

#[test]
fn an_acl_for_another_server_fails_the_inbound_destination_item() {
    with_acl(
        "[{ name: r, action: Allow, destination: { cidr: 192.168.1.11/32 } }]",
        ALL,
    )
    .fails(&["acl_check_hc_dest_ip_ingress"])
    .blocks(0, &["192.168.1.10/32"], "1", ItemImpact::Blocks);
}

#[test]
fn an_acl_for_another_port_fails_the_inbound_destination_port_item() {
    with_acl(
        "[{ name: r, action: Allow, protocol: tcp, destinationPorts: '8081-8089' }]",
        ALL,
    )
    .fails(&["acl_check_hc_dest_port_ingress"]);
}

#[test]
fn an_acl_that_denies_before_it_allows_denies() {
    with_acl(
        "[{ name: drop, action: Deny, source: { cidr: 192.168.2.0/25 } }, { name: pass, action: Allow }]",
        ALL,
    )
    .fails(&["acl_check_hc_source_ip_ingress"])
    .blocks(0, &["192.168.2.0/25"], "0.25", ItemImpact::Intermittent);
}

// Network ACLs, outbound: the replies.

#[test]
fn an_acl_for_udp_alone_fails_the_outbound_protocol_item() {
    with_acl(ALL, "[{ name: r, action: Allow, protocol: udp }]")
        .fails(&["acl_check_hc_protocol_egress"])
        .drops("1", DiagnosisImpact::Blocks);
}

#[test]
fn an_acl_for_another_server_fails_the_outbound_source_item() {
    with_acl(ALL, "[{ name: r, action: Allow, source: { cidr: 192.168.1.11/32 } }]")
        .fails(&["acl_check_hc_source_ip_egress"]);
}

#[test]
fn an_acl_for_another_source_port_fails_the_outbound_source_port_item() {
    with_acl(ALL, "[{ name: r, action: Allow, protocol: tcp, sourcePorts: '443' }]")
        .fails(&["acl_check_hc_source_port_egress"])
        .blocks(0, &["8080"], "1", ItemImpact::Blocks);
}

#[test]
fn an_acl_for_one_probe_subnet_fails_the_outbound_destination_item() {
    with_acl(
        ALL,
        "[{ name: r, action: Allow, destination: { cidr: 192.168.2.0/24 } }]",
    )
    .fails(&["acl_check_hc_dest_ip_egress"])
    .blocks(0, &["192.168.0.0/24"], "0.5", ItemImpact::Intermittent);
}

#[test]
fn an_acl_for_ephemeral_ports_alone_fails_the_outbound_destination_port_item() {
    with_acl(
        ALL,
        "[{ name: r, action: Allow, protocol: tcp, destinationPorts: '1024-65535' }]",
    )
    .fails(&["acl_check_hc_dest_port_egress"])
    .blocks(0, &["1-1023"], "0", ItemImpact::Advisory)
    .drops("0", DiagnosisImpact::Advisory);
}

#[test]
fn an_acl_without_rules_fails_every_item_of_both_directions() {
    with_acl("[]", "[]").fails(&[
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
    ]);
}

#[test]
fn replies_blocked_by_a_stateful_acl_are_advice() {
    with_acl(ALL, "[{ name: r, action: Allow, protocol: udp }]")
        .but("NetworkACL", "/stateful", json!(true))
        .fails(&["acl_check_hc_protocol_egress"])
        .drops("0", DiagnosisImpact::Advisory);
}

#[test]
fn an_acl_that_is_switched_off_passes_its_ten_items() {
    with_acl("[]", "[]")
        .but("NetworkACL", "/enabled", json!(false))
        .fails(&[]);
}

#[test]
fn probes_from_the_servers_own_subnet_are_exempt_from_the_acl() {
    with_acl("[]", "[]")
        .but(
            "LoadBalancer",
            "/healthCheckSources",
            json!(["192.168.1.2", "192.168.1.3"]),
        )
        .but(
            "SecurityGroup",
            "/rules",
            json!([{ "name": "in", "direction": "Ingress" }, { "name": "out", "direction": "Egress" }]),
        )
        .fails(&[]);
}

#[test]
fn replies_to_the_shared_prefix_are_exempt_from_the_acl_and_probes_from_there_are_not() {
    with_acl("[]", "[]")
        .but("LoadBalancer", "/type", json!("Shared"))
        .but("LoadBalancer", "/backendSubnetRefs", json!([]))
        .but(
            "SecurityGroup",
            "/rules",
            json!([{ "name": "in", "direction": "Ingress" }, { "name": "out", "direction": "Egress" }]),
        )
        .fails(&[
            "acl_check_hc_protocol_ingress",
            "acl_check_hc_source_ip_ingress",
            "acl_check_hc_source_port_ingress",
            "acl_check_hc_dest_ip_ingress",
            "acl_check_hc_dest_port_ingress",
        ]);
}

#[test]
fn exempt_packets_count_in_the_share() {
    with_acl("[]", ALL)
        .but(
            "LoadBalancer",
            "/healthCheckSources",
            json!(["192.168.1.2", "192.168.0.2"]),
        )
        .fails(&[
            "acl_check_hc_protocol_ingress",
            "acl_check_hc_source_ip_ingress",
            "acl_check_hc_source_port_ingress",
            "acl_check_hc_dest_ip_ingress",
            "acl_check_hc_dest_port_ingress",
        ])
        .blocks(1, &["192.168.0.2/32"], "0.5", ItemImpact::Intermittent);
}

// Two legs.

#[test]
fn a_udp_check_without_icmp_fails_the_protocol_item_for_icmp() {
    with_inbound("[{ name: r, direction: Ingress, protocol: udp, ports: '8080', remote: { cidr: 192.168.0.0/22 } }]")
        .over_udp()
        .fails(&["security_group_check_hc_protocol_ingress"])
        .blocks(0, &["icmp"], "1", ItemImpact::Blocks)
        .drops("1", DiagnosisImpact::Blocks);
}

#[test]
fn a_udp_check_with_icmp_alone_fails_protocol_and_port_of_the_udp_leg() {
    with_inbound("[{ name: r, direction: Ingress, protocol: icmp }]")
        .over_udp()
        .fails(&["security_group_check_hc_protocol_ingress"])
        .blocks(0, &["udp"], "1", ItemImpact::Blocks);
}

#[test]
fn port_rules_never_fail_the_icmp_leg() {
    with_acl(
        "[{ name: p, action: Allow, protocol: icmp }, { name: u, action: Allow, destinationPorts: '8080' }]",
        ALL,
    )
    .but(
        "SecurityGroup",
        "/rules",
        json!([{ "name": "in", "direction": "Ingress" }, { "name": "out", "direction": "Egress" }]),
    )
    .over_udp()
    .fails(&[]);
}

#[test]
fn over_ipv6_icmp_means_icmpv6() {
    with_inbound(
        "[{ name: p, direction: Ingress, ethertype: IPv6, protocol: icmp },
          { name: u, direction: Ingress, ethertype: IPv6, protocol: udp, ports: '8080' },
          { name: o, direction: Egress, ethertype: IPv6 }]",
    )
    .but("BackendServer", "/address", json!("2001:db8:1::10"))
    .over_udp()
    .fails(&[]);
}

// Likely packets: no prober sends from a port below 1024.

#[test]
fn an_acl_that_opens_the_ports_from_1024_fails_the_source_port_item_as_advice() {
    with_acl(
        "[{ name: r, action: Allow, protocol: tcp, sourcePorts: '1024-65535', destinationPorts: '8080' }]",
        ALL,
    )
    .fails(&["acl_check_hc_source_port_ingress"])
    .blocks(0, &["1-1023"], "0", ItemImpact::Advisory)
    .drops("0", DiagnosisImpact::Advisory);
}

#[test]
fn an_acl_that_denies_half_of_the_likely_ports_drops_one_half() {
    with_acl(
        "[{ name: drop, action: Deny, protocol: tcp, sourcePorts: '1024-33279' }, { name: pass, action: Allow }]",
        ALL,
    )
    .fails(&["acl_check_hc_source_port_ingress"])
    .blocks(0, &["1024-33279"], "0.5", ItemImpact::Intermittent)
    .drops("0.5", DiagnosisImpact::Intermittent);
}

#[test]
fn an_item_that_fails_for_unlikely_ports_alone_is_advice_whatever_the_item() {
    // From ports below 1024 to another server only: the destination item fails, for no likely probe.
    with_acl(
        "[{ name: other, action: Allow, protocol: tcp, sourcePorts: '1-1023', destination: { cidr: 192.168.1.11/32 } },
          { name: high, action: Allow, protocol: tcp, sourcePorts: '1024-65535' }]",
        ALL,
    )
    .fails(&["acl_check_hc_dest_ip_ingress"])
    .blocks(0, &["192.168.1.10/32"], "0", ItemImpact::Advisory)
    .drops("0", DiagnosisImpact::Advisory);
}

#[test]
fn every_icmp_packet_is_likely() {
    with_acl("[{ name: u, action: Allow, protocol: udp }]", ALL)
        .but(
            "SecurityGroup",
            "/rules",
            json!([{ "name": "in", "direction": "Ingress" }, { "name": "out", "direction": "Egress" }]),
        )
        .over_udp()
        .fails(&["acl_check_hc_protocol_ingress"])
        .blocks(0, &["icmp"], "1", ItemImpact::Blocks);
}

/// The smallest likely packet of a host: neither 192.168.0.0 nor port 1.
#[test]
fn a_witness_looks_like_a_packet() {
    let example = with_acl("[]", ALL).fails(&[
        "acl_check_hc_protocol_ingress",
        "acl_check_hc_source_ip_ingress",
        "acl_check_hc_source_port_ingress",
        "acl_check_hc_dest_ip_ingress",
        "acl_check_hc_dest_port_ingress",
    ]);
    let witness = example.diagnosis().checks[0].witness.clone().expect("a witness");
    assert_eq!(
        (witness.source.as_deref(), witness.source_port),
        (Some("192.168.0.1"), Some(1024))
    );
}

#[test]
fn the_closest_rule_among_equals_names_the_health_check_port() {
    let example = with_inbound(
        "[{ name: any, direction: Ingress, remote: { cidr: 10.0.0.0/8 } },
          { name: web, direction: Ingress, protocol: tcp, ports: '8080', remote: { cidr: 172.16.0.0/12 } }]",
    )
    .fails(&["security_group_check_hc_source_ip_ingress"]);
    let nearest = example.diagnosis().checks[0].nearest.clone().expect("a nearest rule");
    assert_eq!(nearest.rule, "web");
}

// Abstract addresses of security groups.

/// Both halves of IPv4 are denied: what the open rule still allows is the abstract address alone, and the protocol item passes.
#[test]
fn a_group_named_by_a_rule_of_the_other_family_is_an_address_that_the_whole_prefix_holds() {
    with_inbound(
        "[{ name: low, direction: Ingress, action: Deny, remote: { cidr: 0.0.0.0/1 } },
          { name: high, direction: Ingress, action: Deny, remote: { cidr: 128.0.0.0/1 } },
          { name: all, direction: Ingress, priority: 2, remote: { cidr: 0.0.0.0/0 } },
          { name: own, direction: Ingress, ethertype: IPv6, remote: { securityGroupRef: { name: group } } }]",
    )
    .fails(&["security_group_check_hc_source_ip_ingress"]);
}

/// "And by nothing else": an address group is no rule for the whole family's prefix, also when it has that prefix in it.
#[test]
fn an_abstract_address_is_in_no_address_group() {
    with_inbound(
        "[{ name: low, direction: Ingress, action: Deny, remote: { cidr: 0.0.0.0/1 } },
          { name: high, direction: Ingress, action: Deny, remote: { cidr: 128.0.0.0/1 } },
          { name: all, direction: Ingress, priority: 2, remote: { addressGroupRef: { name: everyone } } },
          { name: own, direction: Ingress, ethertype: IPv6, remote: { securityGroupRef: { name: group } } }]",
    )
    .also("AddressGroup", "everyone", json!({ "addresses": ["0.0.0.0/0"] }))
    .fails(&[
        "security_group_check_hc_protocol_ingress",
        "security_group_check_hc_source_ip_ingress",
        "security_group_check_hc_port_ingress",
    ]);
}

/// From ports below 1024 UDP may only go to another server, and ICMP from nowhere: of the blocked set the ICMP packets are
/// likely.
#[test]
fn of_two_legs_the_one_whose_likely_packets_are_dropped_is_shown() {
    with_acl(
        "[{ name: high, action: Allow, protocol: udp, sourcePorts: '1024-65535' },
          { name: low, action: Allow, protocol: udp, destination: { cidr: 192.168.1.11/32 } },
          { name: ping, action: Allow, protocol: icmp, destination: { cidr: 192.168.1.11/32 } }]",
        ALL,
    )
    .but(
        "SecurityGroup",
        "/rules",
        json!([{ "name": "in", "direction": "Ingress" }, { "name": "out", "direction": "Egress" }]),
    )
    .over_udp()
    .fails(&["acl_check_hc_dest_ip_ingress"])
    .blocks(0, &["192.168.1.10/32"], "1", ItemImpact::Blocks);
}

// The network ACL at the load balancer's end.

#[test]
fn the_acl_where_probes_come_from_must_let_them_out() {
    with_inbound(PROBES)
        .also("NetworkACL", "far", json!({ "subnetRefs": [{ "name": "probes-b" }] }))
        .fails(&[])
        .finds_beyond(&["load_balancer_acl_egress"])
        .blocks_beyond(0, &["192.168.2.0/24"], "0.5", ItemImpact::Intermittent)
        .drops("0.5", DiagnosisImpact::Intermittent);
}

#[test]
fn a_stateless_acl_where_probes_come_from_must_let_replies_in() {
    let spec = |stateful| {
        json!({
            "stateful": stateful, "subnetRefs": [{ "name": "probes-a" }, { "name": "probes-b" }],
            "egress": yaml(ALL),
            "ingress": yaml("[{ name: r, action: Allow, protocol: tcp, sourcePorts: '8080', destinationPorts: '1024-65535' }]"),
        })
    };
    with_inbound(PROBES)
        .also("NetworkACL", "far", spec(true))
        .fails(&[])
        .finds_beyond(&[]);
    with_inbound(PROBES)
        .also("NetworkACL", "far", spec(false))
        .fails(&[])
        .finds_beyond(&["load_balancer_acl_ingress", "load_balancer_acl_ingress"])
        .blocks_beyond(0, &["192.168.0.0/24"], "0", ItemImpact::Advisory)
        .drops("0", DiagnosisImpact::Advisory);
}

#[test]
fn two_acls_at_the_load_balancers_end_are_not_judged_and_noted() {
    with_inbound(PROBES)
        .also("NetworkACL", "far", json!({ "subnetRefs": [{ "name": "probes-b" }] }))
        .also(
            "NetworkACL",
            "older",
            json!({ "enabled": false, "subnetRefs": [{ "name": "probes-b" }] }),
        )
        .fails(&[])
        .finds_beyond(&[])
        .notes("older");
}

#[test]
fn a_server_inside_a_subnet_of_the_load_balancer_is_exempt_from_its_acl() {
    with_inbound(PROBES)
        .also("NetworkACL", "far", json!({ "subnetRefs": [{ "name": "probes-b" }] }))
        .but("BackendServer", "/address", json!("192.168.2.9"))
        .fails(&[])
        .finds_beyond(&[]);
}

#[test]
fn probes_to_the_shared_prefix_leave_without_a_rule() {
    with_inbound(PROBES)
        .also("NetworkACL", "far", json!({ "subnetRefs": [{ "name": "probes-b" }] }))
        .but("BackendServer", "/address", json!("100.125.9.9"))
        .fails(&[])
        .finds_beyond(&[]);
}

#[test]
fn one_acl_at_both_ends_is_judged_at_both() {
    let spec = json!({
        "subnetRefs": [{ "name": "app" }, { "name": "probes-a" }, { "name": "probes-b" }],
        "ingress": yaml(ALL), "egress": yaml("[{ name: r, action: Allow, protocol: udp }]"),
    });
    with_inbound(PROBES)
        .also("NetworkACL", "one", spec)
        .fails(&["acl_check_hc_protocol_egress"])
        .finds_beyond(&["load_balancer_acl_egress", "load_balancer_acl_egress"])
        .drops("1", DiagnosisImpact::Blocks);
}

#[test]
fn an_address_group_of_an_acl_at_the_load_balancers_end_must_be_there_also_when_the_acl_is_off() {
    let spec = |enabled| {
        json!({
            "enabled": false, "subnetRefs": [{ "name": "probes-b" }],
            "egress": [{ "name": "r", "action": "Allow", "enabled": enabled, "source": { "addressGroupRef": { "name": "gone" } } }],
        })
    };
    with_inbound(PROBES)
        .also("NetworkACL", "far", spec(true))
        .refuses("ReferenceNotFound");
    with_inbound(PROBES).also("NetworkACL", "far", spec(false)).fails(&[]);
}

#[test]
fn a_wrong_value_in_an_acl_at_the_load_balancers_end_is_an_invalid_spec() {
    let egress = json!([{ "name": "r", "action": "Allow", "source": { "cidr": "192.168.2.1/24" } }]);
    with_inbound(PROBES)
        .also(
            "NetworkACL",
            "far",
            json!({ "subnetRefs": [{ "name": "probes-b" }], "egress": egress }),
        )
        .refuses("InvalidSpec");
}

// Stateless security groups.

#[test]
fn replies_of_stateless_groups_need_a_rule_for_the_ports_that_probes_come_from() {
    let outbound = "[{ name: out, direction: Egress, protocol: tcp, ports: '8080' }]";
    with_group(PROBES, outbound)
        .fails(&[])
        .finds_beyond(&[])
        .drops("0", DiagnosisImpact::None);
    with_group(PROBES, outbound)
        .but("SecurityGroup", "/stateful", json!(false))
        .fails(&[])
        .finds_beyond(&["security_group_reply_egress"])
        .blocks_beyond(
            0,
            &["192.168.0.0/24", "192.168.2.0/24"],
            "0.999984499007",
            ItemImpact::Intermittent,
        );
}

#[test]
fn outbound_items_of_stateless_groups_are_advice_and_the_finding_beyond_is_not() {
    with_group(PROBES, "[]")
        .but("SecurityGroup", "/stateful", json!(false))
        .fails(&[
            "security_group_check_hc_protocol_egress",
            "security_group_check_hc_source_ip_egress",
            "security_group_check_hc_port_egress",
        ])
        .blocks(0, &["tcp"], "1", ItemImpact::Advisory)
        .finds_beyond(&["security_group_reply_egress"])
        .blocks_beyond(0, &["192.168.0.0/24", "192.168.2.0/24"], "1", ItemImpact::Blocks)
        .drops("1", DiagnosisImpact::Blocks);
}

#[test]
fn stateless_groups_that_let_replies_to_likely_ports_leave_drop_nothing() {
    with_group(
        PROBES,
        "[{ name: out, direction: Egress, protocol: tcp, ports: '1024-65535' }]",
    )
    .but("SecurityGroup", "/stateful", json!(false))
    .fails(&[])
    .finds_beyond(&["security_group_reply_egress"])
    .blocks_beyond(0, &["192.168.0.0/24", "192.168.2.0/24"], "0", ItemImpact::Advisory)
    .drops("0", DiagnosisImpact::Advisory);
}

// Accepting.

#[test]
fn an_accepted_advice_makes_no_fault() {
    with_acl(
        "[{ name: r, action: Allow, protocol: tcp, sourcePorts: '1024-65535' }]",
        ALL,
    )
    .accepting("BackendServer", " acl_check_hc_source_port_ingress , nonsense")
    .fails(&[])
    .accepts(&["acl_check_hc_source_port_ingress"])
    .notes("nonsense")
    .drops("0", DiagnosisImpact::None);
}

#[test]
fn a_finding_that_drops_probes_is_shown_though_it_is_accepted() {
    with_acl(
        "[{ name: r, action: Allow, protocol: tcp, sourcePorts: '17152-65535' }]",
        ALL,
    )
    .accepting("LoadBalancer", "acl_check_hc_source_port_ingress,check_hc_config_port")
    .fails(&["acl_check_hc_source_port_ingress"])
    .accepts(&[])
    .notes("acl_check_hc_source_port_ingress")
    .drops("0.25", DiagnosisImpact::Intermittent);
}

#[test]
fn findings_beyond_the_items_can_be_accepted_too() {
    let spec = json!({
        "subnetRefs": [{ "name": "probes-a" }],
        "egress": yaml("[{ name: r, action: Allow, protocol: tcp, sourcePorts: '1024-65535' }]"),
    });
    with_inbound(PROBES)
        .also("NetworkACL", "far", spec)
        .accepting("LoadBalancer", "load_balancer_acl_egress")
        .fails(&[])
        .finds_beyond(&[])
        .accepts(&["load_balancer_acl_egress"])
        .drops("0", DiagnosisImpact::None);
}

// Layers together, and the configuration.

#[test]
fn two_items_that_each_drop_one_half_drop_everything_together() {
    let mut example = with_acl("[{ name: r, action: Allow, source: { cidr: 192.168.2.0/24 } }]", ALL);
    let rules =
        yaml("[{ name: r, direction: Ingress, remote: { cidr: 192.168.0.0/24 } }, { name: out, direction: Egress }]");
    example = example.but("SecurityGroup", "/rules", rules);
    example
        .fails(&[
            "security_group_check_hc_source_ip_ingress",
            "acl_check_hc_source_ip_ingress",
        ])
        .blocks(0, &["192.168.2.0/24"], "0.5", ItemImpact::Intermittent)
        .blocks(1, &["192.168.0.0/24"], "0.5", ItemImpact::Intermittent)
        .drops("1", DiagnosisImpact::Blocks);
}

#[test]
fn a_health_check_port_that_is_not_the_servers_fails_the_configuration_item() {
    let group = json!([{ "name": "servers", "protocol": "TCP", "healthCheck": { "protocol": "TCP", "port": 8081 } }]);
    with_inbound("[{ name: r, direction: Ingress }]")
        .but("LoadBalancer", "/backendServerGroups", group)
        .fails(&["check_hc_config_port"])
        .drops("0", DiagnosisImpact::Advisory);
}

/// The groups allow 8080 alone, and 8081 is probed: without the port of its own the health check passes.
#[test]
fn the_fix_of_the_configuration_takes_the_port_away_where_that_drops_no_more() {
    use elb_doctor::api::v1alpha1::FixKind;
    let port = |example: Example| example.but("BackendServer", "/healthCheck", json!({ "port": 8081 }));
    let kinds = |example: &Example| {
        let fixes = example.diagnosis().fixes;
        fixes
            .iter()
            .filter(|fix| fix.direction.is_none())
            .map(|fix| fix.kind)
            .collect::<Vec<_>>()
    };
    let helps = port(with_inbound(PROBES)).fails(&["security_group_check_hc_port_ingress", "check_hc_config_port"]);
    assert_eq!(kinds(&helps), [FixKind::BackendServer]);
    let harms = port(with_inbound(
        "[{ name: probes, direction: Ingress, protocol: tcp, ports: '8081', remote: { cidr: 192.168.0.0/22 } }]",
    ))
    .fails(&["check_hc_config_port"]);
    assert_eq!(kinds(&harms), []);
}

#[test]
fn the_servers_own_health_check_port_wins_over_the_groups() {
    let group = json!([{ "name": "servers", "protocol": "TCP", "healthCheck": { "protocol": "TCP", "port": 8081 } }]);
    with_inbound(PROBES)
        .but("LoadBalancer", "/backendServerGroups", group)
        .but("BackendServer", "/healthCheck", json!({ "port": 8080 }))
        .fails(&[]);
}

#[test]
fn everything_allowed_fails_nothing() {
    with_inbound(PROBES).fails(&[]).drops("0", DiagnosisImpact::None);
}

// Refusals, in the order of §9.

#[test]
fn a_missing_reference_is_asked_for_also_where_it_would_not_decide() {
    with_inbound(PROBES)
        .but("BackendServer", "/portSecurityEnabled", json!(false))
        .but("BackendServer", "/securityGroupRefs", json!([{ "name": "gone" }]))
        .refuses("ReferenceNotFound");
}

#[test]
fn a_remote_security_group_need_not_exist() {
    with_inbound("[{ name: r, direction: Ingress, remote: { securityGroupRef: { name: gone } } }]")
        .fails(&["security_group_check_hc_source_ip_ingress"]);
}

#[test]
fn a_missing_address_group_is_refused_unless_its_rule_is_disabled() {
    let rule = |enabled| {
        format!(
            "[{{ name: r, direction: Ingress, enabled: {enabled}, remote: {{ addressGroupRef: {{ name: gone }} }} }},
        {{ name: all, direction: Ingress, priority: 100 }}]"
        )
    };
    with_inbound(&rule(true)).refuses("ReferenceNotFound");
    with_inbound(&rule(false)).fails(&[]);
}

#[test]
fn a_host_bit_in_a_prefix_is_an_invalid_spec() {
    with_inbound("[{ name: r, direction: Ingress, remote: { cidr: 192.168.0.1/24 } }]").refuses("InvalidSpec");
}

#[test]
fn two_acls_on_one_subnet_are_ambiguous_even_when_one_is_off() {
    let mut example = with_acl(ALL, ALL);
    let off = json!({ "enabled": false, "subnetRefs": [{ "name": "app" }] });
    example.world.push(object("NetworkACL", "old", off));
    example.refuses("AmbiguousNetworkACL");
}

#[test]
fn an_ip_backend_is_unsupported() {
    with_inbound(PROBES)
        .but("BackendServer", "/type", json!("IP"))
        .refuses("IPBackendUnsupported");
}

#[test]
fn a_group_without_a_listener_is_refused_and_shown_as_unknown() {
    let example = with_inbound(PROBES).but("LoadBalancer", "/listeners", json!([]));
    assert_eq!(product::condition(&example.status(), "Healthy").0, "Unknown");
    example.refuses("NotAssociatedWithListener");
}

#[test]
fn a_health_check_that_is_off_is_refused_and_shown_as_unknown() {
    let example = with_inbound(PROBES).but(
        "LoadBalancer",
        "/backendServerGroups/0/healthCheck/enabled",
        json!(false),
    );
    assert_eq!(product::condition(&example.status(), "Healthy").0, "Unknown");
    example.refuses("HealthCheckDisabled");
}

#[test]
fn a_healthy_backend_is_not_diagnosed() {
    let mut example = with_inbound(PROBES);
    for object in &mut example.world {
        if object["kind"] == "BackendServer" {
            object["status"]["health"]["state"] = "Healthy".into();
        }
    }
    assert_eq!(product::condition(&example.status(), "Healthy").0, "True");
    example.refuses("BackendNotUnhealthy");
}

#[test]
fn no_source_of_the_family_is_never_a_pass() {
    with_inbound(PROBES)
        .but("BackendServer", "/address", json!("2001:db8:1::10"))
        .but("LoadBalancer", "/backendSubnetRefs", json!([{ "name": "probes-b" }]))
        .refuses("HealthCheckSourcesUnknown");
}
