//! What a status says of one world, and what comes of doing what it says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test may panic, and manifests read best where they are used"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::backend_server_status;
use crate::{
    api::v1alpha1::{
        BackendServer, BackendServerStatus, Diagnosis, FixKind, LoadBalancer, NetworkACL, SecurityGroup, Subnet,
    },
    engine::CheckId,
    world::{Key, Object, World},
};

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": "fair"}, "spec": spec})
}

/// A server on 8080 that is asked on 8081, from two subnets of the load balancer. Its group lets everything pass.
fn fair() -> Vec<Value> {
    let mut server = object(
        "BackendServer",
        "stall",
        json!({"loadBalancerRef": {"name": "gate"}, "backendServerGroup": "stalls", "address": "10.3.0.7", "port": 8080,
               "subnetRef": {"name": "ground"}, "securityGroupRefs": [{"name": "guard"}]}),
    );
    server["status"] = json!({"health": {"state": "Unhealthy", "reason": "ConnectTimeout"}});
    vec![
        object("Subnet", "east", json!({"cidrs": ["10.1.0.0/24"]})),
        object("Subnet", "west", json!({"cidrs": ["10.2.0.0/24"]})),
        object("Subnet", "ground", json!({"cidrs": ["10.3.0.0/24"]})),
        object(
            "LoadBalancer",
            "gate",
            json!({"type": "Dedicated", "backendSubnetRefs": [{"name": "east"}, {"name": "west"}],
                   "listeners": [{"name": "l", "protocol": "TCP", "port": 80, "backendServerGroups": ["stalls"]}],
                   "backendServerGroups": [
                       {"name": "rides", "protocol": "TCP"},
                       {"name": "stalls", "protocol": "TCP", "healthCheck": {"protocol": "TCP", "port": 8081}}]}),
        ),
        object(
            "SecurityGroup",
            "guard",
            json!({"rules": [{"name": "in", "direction": "Ingress"}, {"name": "out", "direction": "Egress"}]}),
        ),
        server,
    ]
}

fn find<'a>(objects: &'a mut [Value], kind: &str, name: &str) -> &'a mut Value {
    let mut found = objects
        .iter_mut()
        .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.next().unwrap()
}

fn accept(objects: &mut [Value], ids: &str) {
    find(objects, "BackendServer", "stall")["metadata"]["annotations"] = json!({ "elb-doctor.dev/accept": ids });
}

fn status(objects: &[Value]) -> BackendServerStatus {
    let mut world = World::default();
    for value in objects.iter().cloned() {
        let object: Object = match value["kind"].as_str().unwrap() {
            "Subnet" => serde_json::from_value::<Subnet>(value).unwrap().into(),
            "LoadBalancer" => serde_json::from_value::<LoadBalancer>(value).unwrap().into(),
            "SecurityGroup" => serde_json::from_value::<SecurityGroup>(value).unwrap().into(),
            "NetworkACL" => serde_json::from_value::<NetworkACL>(value).unwrap().into(),
            "BackendServer" => serde_json::from_value::<BackendServer>(value).unwrap().into(),
            other => panic!("{other}"),
        };
        world.set(object.into());
    }
    backend_server_status(&world, &Key::new("fair", "stall"), &Time(jiff::Timestamp::UNIX_EPOCH)).unwrap()
}

fn diagnosis(objects: &[Value]) -> Diagnosis {
    let status = status(objects);
    status.diagnosis.unwrap_or_else(|| panic!("{:?}", status.conditions))
}

fn reason(status: &BackendServerStatus, type_: &str) -> (String, String) {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|condition| condition.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn words(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn ids(checks: &[crate::api::v1alpha1::FailedCheck]) -> Vec<&str> {
    checks.iter().map(|check| check.id.as_str()).collect()
}

/// Makes the changes one after the other, as they are listed.
fn apply(objects: &mut [Value], found: &Diagnosis) {
    for fix in &found.fixes {
        assert!(fix.verified, "{}", fix.summary);
        let kind = match fix.kind {
            FixKind::SecurityGroup => "SecurityGroup",
            FixKind::NetworkACL => "NetworkACL",
            FixKind::BackendServer => "BackendServer",
            FixKind::LoadBalancer => "LoadBalancer",
        };
        let patch: json_patch::Patch = serde_json::from_str(fix.patch.as_ref().unwrap()).unwrap();
        json_patch::patch(find(objects, kind, &fix.name), &patch).unwrap();
    }
}

#[test]
fn what_is_accepted_makes_no_fault_and_has_no_fix() {
    let mut objects = fair();
    let before = diagnosis(&objects);
    assert_eq!((before.failed, before.fixes.len()), (1, 1));
    accept(&mut objects, "check_hc_config_port");
    let after = status(&objects);
    assert_eq!(reason(&after, "Diagnosed"), words("True", "NoFaultFound"));
    assert_eq!(reason(&after, "FaultFound"), words("False", "NoFaultFound"));
    let found = after.diagnosis.unwrap();
    assert_eq!((found.failed, found.checks.len(), found.fixes.len()), (0, 0, 0));
    assert_eq!(found.accepted, ["check_hc_config_port"]);
    assert_eq!(found.impact, crate::api::v1alpha1::DiagnosisImpact::None);
}

#[test]
fn a_fix_stays_as_long_as_something_of_its_direction_is_not_accepted() {
    let mut objects = fair();
    find(&mut objects, "SecurityGroup", "guard")["spec"]["rules"]
        .as_array_mut()
        .unwrap()
        .pop();
    let all = "check_hc_config_port,security_group_check_hc_protocol_egress,security_group_check_hc_port_egress";
    accept(&mut objects, all);
    let found = diagnosis(&objects);
    assert_eq!(ids(&found.checks), ["security_group_check_hc_source_ip_egress"]);
    assert_eq!((found.accepted.len(), found.fixes.len()), (3, 1));
    accept(
        &mut objects,
        &format!("{all}, security_group_check_hc_source_ip_egress"),
    );
    let found = diagnosis(&objects);
    assert_eq!((found.failed, found.accepted.len(), found.fixes.len()), (0, 4, 0));
}

#[test]
fn what_drops_probes_is_shown_although_it_is_accepted_and_an_unknown_id_is_noted() {
    let mut objects = fair();
    find(&mut objects, "SecurityGroup", "guard")["spec"]["rules"][0]["ports"] = json!("8080");
    find(&mut objects, "SecurityGroup", "guard")["spec"]["rules"][0]["protocol"] = json!("tcp");
    accept(
        &mut objects,
        "security_group_check_hc_port_ingress,check-hc-config-prot",
    );
    let found = diagnosis(&objects);
    assert_eq!(
        ids(&found.checks),
        ["security_group_check_hc_port_ingress", "check_hc_config_port"]
    );
    assert!(found.accepted.is_empty());
    for note in [
        "security_group_check_hc_port_ingress is accepted, but drops probes, so it is shown",
        "elb-doctor.dev/accept lists \"check-hc-config-prot\", which is no check; did you mean check_hc_config_port?",
    ] {
        assert!(found.notes.iter().any(|own| own == note), "{:?}", found.notes);
    }
}

#[test]
fn accepting_more_loses_nothing_that_is_accepted_already() {
    let mut objects = fair();
    accept(&mut objects, "acl_check_hc_source_port_ingress");
    let found = diagnosis(&objects);
    let command = "kubectl annotate bes/stall --overwrite \
                   'elb-doctor.dev/accept=acl_check_hc_source_port_ingress,check_hc_config_port'";
    assert!(
        found.checks[0].suggestion.contains(command),
        "{}",
        found.checks[0].suggestion
    );
}

#[test]
fn the_port_is_taken_away_from_its_own_group_and_that_says_whom_it_touches() {
    let mut objects = fair();
    for (name, own) in [
        ("tent", json!(null)),
        ("booth", json!({"port": 9000})),
        ("kiosk", json!({})),
    ] {
        let mut other = find(&mut objects, "BackendServer", "stall").clone();
        other["metadata"]["name"] = name.into();
        other["spec"]["healthCheck"] = own;
        objects.push(other);
    }
    let found = diagnosis(&objects);
    let fix = &found.fixes[0];
    assert_eq!(
        (fix.kind, fix.name.as_str(), fix.direction),
        (FixKind::LoadBalancer, "gate", None)
    );
    // One of the three has a port of its own.
    let summary = "If port 8081 is not meant, take it away from backend server group stalls (touches 2 other members), so that \
                   port 8080 is probed";
    assert_eq!(fix.summary, summary);
    apply(&mut objects, &found);
    let after = diagnosis(&objects);
    assert_eq!((after.failed, after.health_check.port), (0, 8080));
}

#[test]
fn the_port_is_taken_away_from_the_server_where_it_has_its_own() {
    let mut objects = fair();
    find(&mut objects, "LoadBalancer", "gate")["spec"]["backendServerGroups"][1]["healthCheck"] =
        json!({"protocol": "TCP"});
    find(&mut objects, "BackendServer", "stall")["spec"]["healthCheck"] = json!({"port": 8090});
    let found = diagnosis(&objects);
    assert_eq!(
        (found.fixes[0].kind, found.fixes[0].name.as_str()),
        (FixKind::BackendServer, "stall")
    );
    apply(&mut objects, &found);
    assert_eq!(diagnosis(&objects).failed, 0);
}

/// One network ACL stands at all ends, so that all fixes change its two arrays: the names of their rules differ, and each patch can be
/// made after those before it.
#[test]
fn fixes_of_one_network_acl_at_every_end_can_be_made_one_after_the_other() {
    let deny =
        |name: &str, from: &str| json!({"name": name, "action": "Deny", "protocol": "tcp", "source": {"cidr": from}});
    let pass = |name: &str| json!({"name": name, "action": "Allow", "protocol": "udp"});
    let rest = json!({"name": "rest", "action": "Allow"});
    for rotate in 0..5 {
        let mut rules = vec![
            pass("one"),
            deny("east", "10.1.0.0/24"),
            deny("health-check-out", "10.2.0.0/24"),
            pass("two"),
            deny("health-check-in", "10.3.0.0/24"),
        ];
        rules.rotate_left(rotate);
        rules.push(rest.clone());
        let mut back = rules.clone();
        back[..5].reverse();
        let mut objects = fair();
        accept(&mut objects, "check_hc_config_port");
        objects.push(object(
            "NetworkACL",
            "fence",
            json!({"stateful": false, "subnetRefs": [{"name": "east"}, {"name": "west"}, {"name": "ground"}], "ingress": rules,
                   "egress": back}),
        ));
        let found = diagnosis(&objects);
        assert_eq!(
            (found.beyond.len(), found.fixes.len()),
            (4, 6),
            "{:?}",
            ids(&found.beyond)
        );
        apply(&mut objects, &found);
        let fence = &find(&mut objects, "NetworkACL", "fence")["spec"];
        for array in ["ingress", "egress"] {
            let rules = fence[array].as_array().unwrap();
            let names: std::collections::BTreeSet<_> =
                rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
            assert_eq!(names.len(), rules.len(), "{array} has each name once");
        }
        let after = diagnosis(&objects);
        assert_eq!(
            (after.failed, after.dropped_share.as_str()),
            (0, "0"),
            "{:?}",
            ids(&after.checks)
        );
    }
}

#[test]
fn what_is_beyond_counts_has_its_evidence_and_may_be_the_gravest() {
    let mut objects = fair();
    objects.push(object(
        "NetworkACL",
        "fence",
        json!({"subnetRefs": [{"name": "east"}, {"name": "west"}], "ingress": [], "egress": []}),
    ));
    let status = status(&objects);
    assert_eq!(reason(&status, "FaultFound"), words("True", "LoadBalancerACLOutbound"));
    let found = status.diagnosis.unwrap();
    assert_eq!(ids(&found.checks), ["check_hc_config_port"]);
    assert_eq!(
        ids(&found.beyond),
        ["load_balancer_acl_egress", "load_balancer_acl_egress"]
    );
    assert_eq!((found.checked as usize, found.failed), (CheckId::COUNT, 3));
    for beyond in &found.beyond {
        assert!(beyond.witness.is_some() && beyond.decided_by.is_some());
        let name = |name: &&str| beyond.reason.contains(&format!("on the load balancer's subnet {name}"));
        assert_eq!(
            ["east", "west"].iter().filter(|one| name(one)).count(),
            1,
            "{}",
            beyond.reason
        );
    }
}
