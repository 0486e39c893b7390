//! A status stays small: its size is what a storm of verdicts costs the API server (design: "small on purpose").
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(clippy::needless_pass_by_value, reason = "manifests read best where they are used")]

use elb_doctor::{
    api::v1alpha1::{
        BackendServer, BackendServerStatus, Diagnosis, FailedCheck, LoadBalancer, NetworkACL, SecurityGroup, Subnet,
    },
    diagnosis::backend_server_status,
    world::{Key, Object, World},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::{Value, json};

fn diagnosis(objects: Vec<Value>, backend: &str) -> Diagnosis {
    let status = status(objects, backend);
    status.diagnosis.unwrap_or_else(|| panic!("{:?}", status.conditions))
}

fn status(objects: Vec<Value>, backend: &str) -> BackendServerStatus {
    let mut world = World::default();
    for value in objects {
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
    backend_server_status(&world, &Key::new("shop", backend), &Time(Timestamp::UNIX_EPOCH)).unwrap()
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "elb-doctor.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn unhealthy(mut backend: Value) -> Value {
    backend["status"] = json!({"health": {"state": "Unhealthy", "reason": "ConnectTimeout"}});
    backend
}

/// The whole status as it stands in a cluster: conditions, health, diagnosis and the generation, in compact JSON.
#[test]
fn a_status_with_one_usual_fault_is_under_2_kib_whole() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut usual = Vec::new();
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "expected") {
            continue;
        }
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_elb-doctor"))
            .args(["diagnose", "-o", "json", "-f"])
            .arg(path.with_extension("yaml"))
            .output()
            .unwrap();
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        for item in list["items"].as_array().unwrap() {
            let (name, status) = (item["metadata"]["name"].as_str().unwrap(), &item["status"]);
            let diagnosis = &status["diagnosis"];
            let drops = matches!(diagnosis["impact"].as_str(), Some("Blocks" | "Intermittent"));
            if diagnosis["failed"] != 1 || !drops {
                continue;
            }
            let fixes = diagnosis["fixes"].as_array().unwrap();
            assert!(fixes.len() == 1 && fixes[0]["patch"].is_string(), "{name} has its fix");
            let mut whole = status.clone();
            whole["observedGeneration"] = json!(12);
            let size = serde_json::to_vec(&whole).unwrap().len();
            println!("{name}: {size} bytes");
            assert!(size < 2048, "{name}: {size} bytes");
            usual.push(name.to_owned());
        }
    }
    assert!(usual.len() >= 6, "{usual:?}");
}

/// A world of one backend server that is probed from these addresses, with this security group.
fn one_group(sources: &[String], rules: Vec<Value>) -> Vec<Value> {
    vec![
        object("Subnet", "app", json!({"cidrs": ["192.168.1.0/24"]})),
        object(
            "LoadBalancer",
            "web",
            json!({"type": "Dedicated", "healthCheckSources": sources,
                   "listeners": [{"name": "http", "protocol": "HTTP", "port": 80, "backendServerGroups": ["web"]}],
                   "backendServerGroups": [{"name": "web", "protocol": "HTTP", "healthCheck": {"protocol": "HTTP"}}]}),
        ),
        object("SecurityGroup", "web", json!({"rules": rules})),
        unhealthy(object(
            "BackendServer",
            "web-1",
            json!({"loadBalancerRef": {"name": "web"}, "backendServerGroup": "web", "address": "192.168.1.10", "port": 8080,
                   "subnetRef": {"name": "app"}, "securityGroupRefs": [{"name": "web"}]}),
        )),
    ]
}

#[test]
fn a_long_patch_is_there_as_long_as_the_status_is_small() {
    let rule = |n: u32| {
        json!({"name": format!("r-{n}"), "direction": "Ingress", "protocol": "tcp", "ports": "22", "priority": n,
               "remote": {"cidr": format!("10.9.{n}.0/24")}})
    };
    let mut deny_first: Vec<Value> = (1..=81).map(rule).collect();
    deny_first.push(json!({"name": "closed", "direction": "Ingress", "action": "Deny"}));
    deny_first.push(json!({"name": "out", "direction": "Egress"}));
    let scattered: Vec<String> = (0..30).map(|n| format!("10.{n}.0.{}", 2 * n + 1)).collect();
    for (sources, rules) in [(vec!["10.0.0.7".to_owned()], deny_first), (scattered, Vec::new())] {
        let found = diagnosis(one_group(&sources, rules), "web-1");
        assert!(!found.fixes.is_empty());
        for fix in &found.fixes {
            assert!(fix.verified && fix.patch.is_some(), "{}", fix.summary);
        }
    }
}

#[test]
fn without_room_for_a_fix_the_condition_says_what_is_dropped() {
    // A deny in each of the hundred priorities, none of which may join the next, leaves none to go ahead of the first.
    let closed =
        |n: u32| json!({"name": format!("closed-{n}"), "direction": "Ingress", "action": "Deny", "priority": n});
    let mut rules: Vec<Value> = (1..=100).rev().map(closed).collect();
    rules.push(json!({"name": "out", "direction": "Egress"}));
    let status = status(one_group(&["10.0.0.7".to_owned()], rules), "web-1");
    assert!(status.diagnosis.unwrap().fixes.is_empty());
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "FaultFound")
        .unwrap();
    assert_eq!(found.message, "Rule closed-1 in web denies: tcp");
}

#[test]
fn the_worst_status_is_under_32_kib_and_says_what_it_left_out() {
    // With few sources the patches are as long as they may be, with many the lists are cut.
    for sources in [1, 3, 6, 12, 40, 400] {
        for letter in ["y", "𝕏", "\"", "\u{1}"] {
            for deciding in [false, true] {
                worst(sources, letter, deciding);
            }
        }
    }
}

/// 16 items fail for four rules: their evidence is written four times, not sixteen.
#[test]
fn evidence_is_written_once_where_one_rule_decides_a_direction() {
    let everything = json!([{"name": "closed", "action": "Deny"}]);
    let mut objects = one_group(
        &["10.0.0.7".to_owned()],
        vec![
            json!({"name": "in", "direction": "Ingress", "action": "Deny"}),
            json!({"name": "out", "direction": "Egress", "action": "Deny"}),
        ],
    );
    objects.push(object(
        "NetworkACL",
        "border",
        json!({"subnetRefs": [{"name": "app"}], "stateful": false, "ingress": everything, "egress": everything}),
    ));
    let found = diagnosis(objects, "web-1");
    assert_eq!(found.failed, 16);
    let with = |has: fn(&FailedCheck) -> bool| found.checks.iter().filter(|check| has(check)).count();
    assert_eq!(with(|check| check.witness.is_some()), 4);
    assert_eq!(with(|check| check.decided_by.is_some()), 4);
    let size = serde_json::to_vec(&found).unwrap().len();
    println!("16 failed items: {size} bytes");
    assert!(size < 9500, "{size} bytes");
}

/// A load balancer with a hundred subnets, of which neither probes get out nor replies in.
#[test]
fn findings_at_many_subnets_are_cut_and_counted() {
    let long = |stem: &str, number: usize| format!("{stem}{number:03}{}", "x".repeat(247 - stem.len()));
    let subnets: Vec<String> = (0..100).map(|number| long("edge", number)).collect();
    let refs: Vec<Value> = subnets.iter().map(|name| json!({ "name": name })).collect();
    let mut objects = one_group(&[], vec![json!({"name": "in", "direction": "Ingress"})]);
    objects[1]["spec"]["backendSubnetRefs"] = refs.clone().into();
    objects[1]["spec"].as_object_mut().unwrap().remove("healthCheckSources");
    for (number, name) in subnets.iter().enumerate() {
        objects.push(object(
            "Subnet",
            name,
            json!({"cidrs": [format!("10.{number}.0.0/24")]}),
        ));
    }
    objects.push(object(
        "NetworkACL",
        &long("fence", 0),
        json!({"stateful": false, "subnetRefs": refs}),
    ));
    let status = status(objects, "web-1");
    let size = serde_json::to_vec(&status).unwrap().len();
    println!("100 subnets: {size} bytes");
    assert!(size < 32 * 1024, "{size} bytes");
    let found = status.diagnosis.unwrap();
    // Three of the security group's outbound items, and two for each subnet.
    assert_eq!(found.failed, 203);
    assert!(!found.beyond.is_empty() && found.beyond.len() < 200);
    let note = |text: &str| found.notes.iter().any(|note| note.contains(text));
    assert!(
        note("more findings at the load balancer's subnets are not listed"),
        "{:?}",
        found.notes
    );
}

/// What is judged is the size of the whole status, conditions included.
fn worst(count: usize, letter: &str, deciding: bool) {
    // The longest names that admission takes, a thousand rules that miss or decide, two legs, IPv6, sources that no prefix
    // joins.
    let name = |stem: &str| format!("{stem}{}", "x".repeat(253 - stem.len()));
    let rule_name = |number: usize| format!("r{number:04}{}", letter.repeat(250));
    let sources: Vec<String> = (0..count)
        .map(|n| format!("2001:db8:{:x}:{n:x}:ffff:ffff:ffff:fffd", n * 7))
        .collect();
    let bystander = |number: usize| format!("2001:db8:ffff:{number:x}::/64");
    let action = |number: usize| if number.is_multiple_of(2) { "Allow" } else { "Deny" };
    let mut rules: Vec<Value> = (0..988)
        .map(|n| {
            json!({"name": rule_name(n), "direction": if n % 2 == 0 { "Ingress" } else { "Egress" }, "ethertype": "IPv6", "protocol": "tcp",
                   "ports": "2-9", "action": action(n / 2), "priority": 1, "remote": {"cidr": bystander(n)}})
        })
        .collect();
    let mut acl: Vec<Value> = (0..988)
        .map(|n| {
            json!({"name": rule_name(n), "action": action(n), "ipVersion": "IPv6", "protocol": "tcp",
                   "source": {"cidr": bystander(n)}, "sourcePorts": "0", "destination": {"cidr": bystander(n)},
                   "destinationPorts": "9"})
        })
        .collect();
    if deciding {
        for (n, direction) in [(990, "Ingress"), (991, "Egress")] {
            rules.push(json!({"name": rule_name(n), "direction": direction, "ethertype": "IPv6", "action": "Deny"}));
        }
        acl.push(json!({"name": rule_name(992), "action": "Deny", "ipVersion": "IPv6"}));
    }
    let (web, app, server) = (name("web"), name("app"), name("server"));
    let mut backend = unhealthy(object(
        "BackendServer",
        &server,
        json!({"loadBalancerRef": {"name": web}, "backendServerGroup": "g", "address": "2001:db8:aaaa::1", "port": 53,
               "subnetRef": {"name": app}, "securityGroupRefs": [{"name": web}]}),
    ));
    backend["status"]["health"]["message"] = Value::String(letter.repeat(1024));
    let status = status(
        vec![
            object("Subnet", &app, json!({"cidrs": ["2001:db8:aaaa::/64"]})),
            object(
                "LoadBalancer",
                &web,
                json!({"type": "Dedicated", "healthCheckSources": sources,
                       "listeners": [{"name": "l", "protocol": "UDP", "port": 80, "backendServerGroups": ["g"]}],
                       "backendServerGroups": [{"name": "g", "protocol": "UDP", "healthCheck": {"protocol": "UDP_CONNECT", "port": 1}}]}),
            ),
            object("SecurityGroup", &web, json!({"rules": rules})),
            object(
                "NetworkACL",
                &app,
                json!({"subnetRefs": [{"name": app}], "stateful": false, "ingress": acl, "egress": acl}),
            ),
            backend,
        ],
        &server,
    );
    let size = serde_json::to_vec(&status).unwrap().len();
    println!("{count} sources, names of {letter:?}, deciding: {deciding}: {size} bytes");
    assert!(
        size < 32 * 1024,
        "{size} bytes with {count} sources, names of {letter:?}"
    );
    let found = status.diagnosis.unwrap();
    assert_eq!(found.failed, 17, "everything fails");
    assert_eq!(
        found.health_check.sources.len() + found.health_check.omitted_sources.unwrap_or(0) as usize,
        count
    );
    let source = found
        .checks
        .iter()
        .find(|check| check.id.ends_with("source_ip_ingress"))
        .unwrap();
    let blocked = source.blocked.as_ref().unwrap();
    assert_eq!(blocked.values.len() + blocked.omitted.unwrap_or(0) as usize, count);
    // Where the protocol's item shows the same evidence, it is written there.
    let decided = source.decided_by.as_ref().or(found.checks[0].decided_by.as_ref());
    let rule = decided.unwrap().rule.as_deref();
    let shown = rule_name(990).replace('\u{1}', " ");
    let whole = |rule: &str| rule == rule_name(990) || rule == shown || rule.ends_with('…');
    assert!(rule.is_none_or(whole), "a cut name shows that it is cut: {rule:?}");
    assert!(found.fixes.iter().all(|fix| fix.verified == fix.patch.is_some()));
    if found.fixes.iter().any(|fix| fix.patch.is_none()) {
        assert!(
            found.notes.iter().any(|note| note.contains("patches")),
            "{:?}",
            found.notes
        );
    }
}
