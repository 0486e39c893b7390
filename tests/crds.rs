//! The custom resource definitions: those in crds/ are those in the code, a real API server takes them, and every rule
//! refuses what it should in words that help. The same table goes through the offline admission, so that both agree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
#[path = "crds/hostile_values.rs"]
mod hostile_values;

use std::{collections::BTreeMap, path::Path};

use common::ControlPlane;
use elb_doctor::{api::v1alpha1::crds, manifest};
use kube::{
    Api, Client, Config,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

#[test]
fn the_files_in_crds_are_what_the_code_generates() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let generated: BTreeMap<String, String> = crds::files().unwrap().into_iter().collect();
    let mut on_disk = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        on_disk.insert(name, std::fs::read_to_string(&path).unwrap());
    }
    assert_eq!(
        on_disk.keys().collect::<Vec<_>>(),
        generated.keys().collect::<Vec<_>>(),
        "run `make crds`"
    );
    for (name, text) in generated {
        assert!(
            on_disk[&name] == text,
            "crds/{name} differs from the code: run `make crds`"
        );
    }
}

/// The offline admission knows these keywords and no others: a new one in a schema must be taught to it first.
#[test]
fn the_schemas_use_no_keyword_that_the_offline_admission_does_not_know() {
    const KNOWN: [&str; 20] = [
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-validations",
    ];
    fn look(schema: &Value, at: &str) {
        let Some(map) = schema.as_object() else { return };
        for (keyword, value) in map {
            assert!(KNOWN.contains(&keyword.as_str()), "{at}: {keyword}");
            match keyword.as_str() {
                "properties" => value
                    .as_object()
                    .unwrap()
                    .iter()
                    .for_each(|(k, v)| look(v, &format!("{at}.{k}"))),
                "items" | "additionalProperties" => look(value, &format!("{at}[]")),
                "format" => assert!(
                    ["date-time", "int32", "int64"].contains(&value.as_str().unwrap()),
                    "{at}: format {value}"
                ),
                _ => {}
            }
        }
    }
    for crd in crds::values().unwrap() {
        look(
            crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap(),
            crd.pointer("/spec/names/kind").unwrap().as_str().unwrap(),
        );
    }
}

/// One change to an otherwise valid object, and a part of what is said to it; none when it is to be admitted.
struct Case {
    kind: &'static str,
    field: &'static str,
    /// `null` takes the field away.
    value: Value,
    refusal: Option<&'static str>,
}

fn refused(kind: &'static str, field: &'static str, value: Value, part: &'static str) -> Case {
    Case {
        kind,
        field,
        value,
        refusal: Some(part),
    }
}

fn admitted(kind: &'static str, field: &'static str, value: Value) -> Case {
    Case {
        kind,
        field,
        value,
        refusal: None,
    }
}

fn valid(kind: &str) -> Value {
    let spec = match kind {
        "Subnet" => json!({"cidrs": ["192.168.1.0/24"]}),
        "AddressGroup" => json!({"addresses": ["192.168.0.21", "192.168.0.30-192.168.0.40", "2001:db8::/32"]}),
        "LoadBalancer" => json!({
            "type": "Dedicated", "backendSubnetRefs": [{"name": "lb-a"}],
            "listeners": [{"name": "http", "protocol": "HTTP", "port": 80, "backendServerGroups": ["web"]}],
            "backendServerGroups": [{"name": "web", "protocol": "HTTP", "healthCheck": {"protocol": "HTTP", "port": 8081}}],
        }),
        "BackendServer" => json!({
            "loadBalancerRef": {"name": "web"}, "backendServerGroup": "web", "address": "192.168.1.10", "port": 8080,
            "subnetRef": {"name": "app"}, "healthCheck": {},
        }),
        "SecurityGroup" => {
            json!({"rules": [{"name": "probes", "direction": "Ingress", "protocol": "tcp", "ports": "80"}]})
        }
        "NetworkACL" => json!({
            "subnetRefs": [{"name": "app"}], "ingress": [{"name": "in-1", "action": "Allow", "protocol": "tcp"}], "egress": [],
        }),
        "TroubleshootRequest" => json!({"loadBalancerRef": {"name": "web"}}),
        other => panic!("{other}"),
    };
    json!({"apiVersion": "elb-doctor.dev/v1alpha1", "kind": kind, "metadata": {"name": "subject", "namespace": "default"}, "spec": spec})
}

impl Case {
    fn object(&self) -> Value {
        let mut object = valid(self.kind);
        let (parent, last) = self.field.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{}", self.field));
        match parent {
            Value::Object(map) if self.value.is_null() => {
                map.remove(last).unwrap();
            }
            Value::Object(map) => {
                map.insert(last.into(), self.value.clone());
            }
            Value::Array(items) => items[last.parse::<usize>().unwrap()] = self.value.clone(),
            other => panic!("{other}"),
        }
        object
    }

    fn name(&self) -> String {
        let value: String = self.value.to_string().chars().take(100).collect();
        format!("{} {} = {value}", self.kind, self.field)
    }
}

fn rules(count: usize) -> Value {
    (0..count)
        .map(|i| json!({"name": format!("r{i}"), "direction": "Ingress", "action": "Allow"}))
        .collect()
}

fn acl_rules(count: usize) -> Value {
    (0..count)
        .map(|i| json!({"name": format!("r{i}"), "action": "Allow"}))
        .collect()
}

fn refs(count: usize) -> Value {
    (0..count).map(|i| json!({"name": format!("r{i}")})).collect()
}

fn group(protocol: &str, check: &str) -> Value {
    json!([{"name": "web", "protocol": protocol, "healthCheck": {"protocol": check}}])
}

const GE1: &str = "should be greater than or equal to 1";
const FORM: &str = "in body should match";
const REQUIRED: &str = "Required value";
const OBJECT_NAME: &str = "must be the name of an object";
const ADDRESS: &str = "must be an IPv4 or IPv6 address";
const CIDR: &str = "must be a prefix in CIDR form";
const PORTS: &str = "must be ports and ranges without spaces";
const PROTOCOL: &str = "must be tcp, udp, icmp, icmpv6 or a protocol number";
const TOO_LONG: &str = "Too long";
const TOO_MANY: &str = "must have at most";
const WORDS: &str = "supported values";
const TYPE: &str = "must be of type";

#[allow(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let long = |n: usize| json!("a".repeat(n));
    let mut cases = vec![
        // Subnet
        refused("Subnet", "/spec", Value::Null, REQUIRED),
        refused("Subnet", "/spec/cidrs", Value::Null, REQUIRED),
        refused("Subnet", "/spec/cidrs", json!([]), "should have at least 1 items"),
        refused("Subnet", "/spec/cidrs", json!(vec!["10.0.0.0/8"; 33]), TOO_MANY),
        refused("Subnet", "/spec/cidrs", json!("10.0.0.0/8"), TYPE),
        refused("Subnet", "/spec/cidrs/0", json!("10.0.0.0"), FORM),
        refused("Subnet", "/spec/cidrs/0", json!("net/8"), FORM),
        refused("Subnet", "/spec/cidrs/0", json!(10), TYPE),
        admitted("Subnet", "/spec/cidrs/0", json!("10.0.0.5/8")),
        admitted("Subnet", "/spec/cidrs/0", json!("10.0.0.0/99")),
        admitted("Subnet", "/spec/cidrs/0", json!("::::/64")),
        admitted("Subnet", "/spec/cidrs", json!(["10.0.0.0/8", "2001:db8::/32"])),
        // AddressGroup
        refused(
            "AddressGroup",
            "/spec/addresses",
            json!(vec!["10.0.0.1"; 1001]),
            TOO_MANY,
        ),
        refused("AddressGroup", "/spec/addresses/0", json!("10.0.0.1 - 10.0.0.2"), FORM),
        refused("AddressGroup", "/spec/addresses/0", json!("host"), FORM),
        refused("AddressGroup", "/spec/addresses/0", json!(""), FORM),
        admitted("AddressGroup", "/spec/addresses", json!(vec!["10.0.0.1"; 1000])),
        admitted("AddressGroup", "/spec/addresses/0", json!("10.0.0.9-10.0.0.1")),
        admitted("AddressGroup", "/spec/addresses", Value::Null),
        // LoadBalancer
        refused("LoadBalancer", "/spec/type", Value::Null, REQUIRED),
        refused("LoadBalancer", "/spec/type", json!("dedicated"), WORDS),
        refused(
            "LoadBalancer",
            "/spec/backendSubnetRefs",
            Value::Null,
            "a Dedicated load balancer needs at least one of backendSubnetRefs",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendSubnetRefs",
            json!([]),
            "a Dedicated load balancer needs at least one of backendSubnetRefs",
        ),
        refused("LoadBalancer", "/spec/backendSubnetRefs", refs(101), TOO_MANY),
        refused(
            "LoadBalancer",
            "/spec/backendSubnetRefs/0/name",
            json!("Lb_A"),
            OBJECT_NAME,
        ),
        refused(
            "LoadBalancer",
            "/spec/backendSubnetRefs/0/name",
            json!(""),
            "should be at least 1 chars long",
        ),
        refused("LoadBalancer", "/spec/addresses", json!(["web"]), FORM),
        refused("LoadBalancer", "/spec/healthCheckSources", json!(["web"]), FORM),
        refused(
            "LoadBalancer",
            "/spec/healthCheckSources",
            json!(vec!["10.0.0.1"; 1001]),
            TOO_MANY,
        ),
        refused(
            "LoadBalancer",
            "/spec/listeners/0/port",
            json!(0),
            "port must be 1 to 65535; only a listener of protocol IP has port 0",
        ),
        refused(
            "LoadBalancer",
            "/spec/listeners/0/port",
            json!(65536),
            "should be less than or equal to 65535",
        ),
        refused("LoadBalancer", "/spec/listeners/0/port", json!("80"), TYPE),
        refused("LoadBalancer", "/spec/listeners/0/port", Value::Null, REQUIRED),
        refused("LoadBalancer", "/spec/listeners/0/protocol", json!("http"), WORDS),
        refused("LoadBalancer", "/spec/listeners/0/name", json!("a\nb"), FORM),
        refused(
            "LoadBalancer",
            "/spec/listeners",
            json!([{"name": "a", "protocol": "TCP", "port": 1}, {"name": "a", "protocol": "TCP", "port": 2}]),
            "Duplicate value",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups",
            json!([{"name": "a", "protocol": "TCP"}, {"name": "a", "protocol": "TCP"}]),
            "Duplicate value",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/protocol",
            json!("SCTP"),
            WORDS,
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups",
            group("UDP", "TCP"),
            "health check protocol TCP is not possible in a group of protocol UDP; possible: UDP_CONNECT",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups",
            group("QUIC", "HTTP"),
            "health check protocol HTTP is not possible in a group of protocol QUIC; possible",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups",
            group("TCP", "GRPC"),
            "health check protocol GRPC is not possible in a group of protocol TCP; possible: TCP, HTTP, HTTPS",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups",
            group("IP", "TLS"),
            "health check protocol TLS is not possible in a group of protocol IP; possible",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups",
            group("HTTP", "UDP_CONNECT"),
            "health check protocol UDP_CONNECT is not possible in a group of protocol HTTP; possible: TCP, HTTP, HTTPS, TLS, GRPC",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/port",
            json!(0),
            GE1,
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/port",
            json!(65536),
            "should be less than or equal to 65535",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/protocol",
            json!("ICMP"),
            WORDS,
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/delaySeconds",
            json!(0),
            GE1,
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/delaySeconds",
            json!(51),
            "should be less than or equal to 50",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/timeoutSeconds",
            json!(0),
            GE1,
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/timeoutSeconds",
            json!(51),
            "should be less than or equal to 50",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/maxRetries",
            json!(0),
            GE1,
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/maxRetries",
            json!(11),
            "should be less than or equal to 10",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/path",
            json!("healthz"),
            "must start with a slash",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/domainName",
            json!("a b"),
            "must be a host name",
        ),
        refused(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/expectedCodes",
            json!("2xx"),
            "must be codes and ranges",
        ),
        admitted("LoadBalancer", "/spec/backendSubnetRefs", refs(100)),
        admitted("LoadBalancer", "/spec/type", json!("Shared")),
        admitted(
            "LoadBalancer",
            "/spec/listeners/0",
            json!({"name": "ip", "protocol": "IP", "port": 0}),
        ),
        admitted(
            "LoadBalancer",
            "/spec/listeners/0/backendServerGroups",
            json!(["not-there"]),
        ),
        admitted("LoadBalancer", "/spec/listeners/0/protocol", json!("TERMINATED_HTTPS")),
        admitted("LoadBalancer", "/spec/addresses", json!(["999.1.1.1"])),
        admitted(
            "LoadBalancer",
            "/spec/healthCheckSources",
            json!(["192.168.0.21", "192.168.0.0/33"]),
        ),
        admitted(
            "LoadBalancer",
            "/spec/backendServerGroups/0/healthCheck/expectedCodes",
            json!("204-200,999"),
        ),
        admitted(
            "LoadBalancer",
            "/spec/backendServerGroups",
            json!([{"name": "a", "protocol": "UDP"}]),
        ),
        // BackendServer
        refused("BackendServer", "/spec/loadBalancerRef", Value::Null, REQUIRED),
        refused(
            "BackendServer",
            "/spec/loadBalancerRef/name",
            json!("-web"),
            OBJECT_NAME,
        ),
        refused("BackendServer", "/spec/loadBalancerRef/name", long(254), TOO_LONG),
        refused(
            "BackendServer",
            "/spec/backendServerGroup",
            json!(""),
            "should be at least 1 chars long",
        ),
        refused("BackendServer", "/spec/type", json!("instance"), WORDS),
        refused("BackendServer", "/spec/address", json!("web-1.example.com"), ADDRESS),
        refused("BackendServer", "/spec/address", Value::Null, REQUIRED),
        refused("BackendServer", "/spec/port", json!(0), GE1),
        refused(
            "BackendServer",
            "/spec/port",
            json!(65536),
            "should be less than or equal to 65535",
        ),
        refused("BackendServer", "/spec/port", json!(80.5), TYPE),
        refused(
            "BackendServer",
            "/spec/weight",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        refused(
            "BackendServer",
            "/spec/weight",
            json!(101),
            "should be less than or equal to 100",
        ),
        refused(
            "BackendServer",
            "/spec/subnetRef",
            Value::Null,
            "subnetRef is required for type Instance",
        ),
        refused("BackendServer", "/spec/securityGroupRefs", refs(17), TOO_MANY),
        refused("BackendServer", "/spec/portSecurityEnabled", json!("false"), TYPE),
        refused("BackendServer", "/spec/healthCheck/port", json!(0), GE1),
        refused(
            "BackendServer",
            "/spec/healthCheck/address",
            json!("localhost"),
            ADDRESS,
        ),
        refused("BackendServer", "/spec/healthCheck/sources", json!(["any"]), FORM),
        refused(
            "BackendServer",
            "/spec/healthCheck/sources",
            json!(vec!["10.0.0.1"; 101]),
            TOO_MANY,
        ),
        admitted("BackendServer", "/spec/address", json!("300.0.0.1")),
        admitted("BackendServer", "/spec/address", json!("2001:db8::1")),
        admitted("BackendServer", "/spec/weight", json!(0)),
        admitted("BackendServer", "/spec/port", json!(8080.0)),
        admitted("BackendServer", "/spec/securityGroupRefs", refs(16)),
        admitted(
            "BackendServer",
            "/spec/healthCheck/sources",
            json!(["192.168.1.2", "192.168.1.5/24"]),
        ),
        // SecurityGroup
        refused("SecurityGroup", "/spec/rules", rules(1001), TOO_MANY),
        refused(
            "SecurityGroup",
            "/spec/rules",
            json!([{"name": "a", "direction": "Ingress"}, {"name": "a", "direction": "Egress"}]),
            "Duplicate value",
        ),
        refused("SecurityGroup", "/spec/rules/0/name", Value::Null, REQUIRED),
        refused(
            "SecurityGroup",
            "/spec/rules/0/name",
            json!(""),
            "should be at least 1 chars long",
        ),
        refused("SecurityGroup", "/spec/rules/0/name", json!("a\u{1b}[31m"), FORM),
        refused("SecurityGroup", "/spec/rules/0/name", long(256), TOO_LONG),
        refused("SecurityGroup", "/spec/rules/0/direction", Value::Null, REQUIRED),
        refused("SecurityGroup", "/spec/rules/0/direction", json!("ingress"), WORDS),
        refused("SecurityGroup", "/spec/rules/0/ethertype", json!("ipv4"), WORDS),
        refused("SecurityGroup", "/spec/rules/0/protocol", json!("TCP"), PROTOCOL),
        refused("SecurityGroup", "/spec/rules/0/protocol", json!("all"), PROTOCOL),
        refused("SecurityGroup", "/spec/rules/0/protocol", json!(6), TYPE),
        refused("SecurityGroup", "/spec/rules/0/protocol", json!("1000"), PROTOCOL),
        refused(
            "SecurityGroup",
            "/spec/rules/0/protocol",
            json!("icmp"),
            "ports are only possible with protocol tcp or udp",
        ),
        refused(
            "SecurityGroup",
            "/spec/rules/0/protocol",
            Value::Null,
            "ports are only possible with protocol tcp or udp",
        ),
        refused("SecurityGroup", "/spec/rules/0/ports", json!("80, 90"), PORTS),
        refused("SecurityGroup", "/spec/rules/0/ports", json!("http"), PORTS),
        refused("SecurityGroup", "/spec/rules/0/ports", json!("80-"), PORTS),
        refused("SecurityGroup", "/spec/rules/0/ports", json!(80), TYPE),
        refused("SecurityGroup", "/spec/rules/0/ports", json!("1".repeat(256)), TOO_LONG),
        refused("SecurityGroup", "/spec/rules/0/action", json!("allow"), WORDS),
        refused("SecurityGroup", "/spec/rules/0/priority", json!(0), GE1),
        refused(
            "SecurityGroup",
            "/spec/rules/0/priority",
            json!(101),
            "should be less than or equal to 100",
        ),
        refused(
            "SecurityGroup",
            "/spec/rules/0/remote",
            json!({}),
            "must have exactly one of cidr, securityGroupRef and addressGroupRef",
        ),
        refused(
            "SecurityGroup",
            "/spec/rules/0/remote",
            json!({"cidr": "10.0.0.0/8", "addressGroupRef": {"name": "a"}}),
            "must have exactly one of cidr, securityGroupRef and addressGroupRef",
        ),
        refused(
            "SecurityGroup",
            "/spec/rules/0/remote",
            json!({"cidr": "10.0.0.1"}),
            CIDR,
        ),
        refused(
            "SecurityGroup",
            "/spec/rules/0/remote",
            json!({"securityGroupRef": {"name": "A"}}),
            OBJECT_NAME,
        ),
        refused(
            "SecurityGroup",
            "/spec/rules/0/remote",
            json!({"addressGroupRef": {}}),
            REQUIRED,
        ),
        refused("SecurityGroup", "/spec/rules/0/enabled", json!("yes"), TYPE),
        admitted("SecurityGroup", "/spec/rules", Value::Null),
        admitted("SecurityGroup", "/spec/rules", rules(1000)),
        admitted("SecurityGroup", "/spec/rules/0/protocol", json!("17")),
        admitted(
            "SecurityGroup",
            "/spec/rules/0",
            json!({"name": "a", "direction": "Egress", "protocol": "300"}),
        ),
        admitted("SecurityGroup", "/spec/rules/0/ports", json!("22,90-80,70000")),
        admitted("SecurityGroup", "/spec/rules/0/remote", json!({"cidr": "10.0.0.5/8"})),
        admitted(
            "SecurityGroup",
            "/spec/rules/0/remote",
            json!({"securityGroupRef": {"name": "not-there"}}),
        ),
        // NetworkACL
        refused("NetworkACL", "/spec/ingress", acl_rules(1001), TOO_MANY),
        refused("NetworkACL", "/spec/egress", acl_rules(1001), TOO_MANY),
        refused(
            "NetworkACL",
            "/spec/egress",
            json!([{"name": "a", "action": "Deny"}, {"name": "a", "action": "Deny"}]),
            "Duplicate value",
        ),
        refused("NetworkACL", "/spec/ingress/0/action", Value::Null, REQUIRED),
        refused("NetworkACL", "/spec/ingress/0/action", json!("Drop"), WORDS),
        refused("NetworkACL", "/spec/ingress/0/ipVersion", json!("6"), WORDS),
        refused("NetworkACL", "/spec/ingress/0/protocol", json!("any"), PROTOCOL),
        refused("NetworkACL", "/spec/ingress/0/sourcePorts", json!("1 - 2"), PORTS),
        refused("NetworkACL", "/spec/ingress/0/destinationPorts", json!("-"), PORTS),
        refused(
            "NetworkACL",
            "/spec/ingress/0",
            json!({"name": "a", "action": "Allow", "protocol": "icmp", "sourcePorts": "1"}),
            "ports are only possible with protocol tcp or udp",
        ),
        refused(
            "NetworkACL",
            "/spec/ingress/0",
            json!({"name": "a", "action": "Allow", "protocol": "icmpv6", "destinationPorts": "1"}),
            "ports are only possible with protocol tcp or udp",
        ),
        refused(
            "NetworkACL",
            "/spec/ingress/0",
            json!({"name": "a", "action": "Allow", "protocol": "47", "destinationPorts": "1"}),
            "ports are only possible with protocol tcp or udp",
        ),
        refused(
            "NetworkACL",
            "/spec/ingress/0/source",
            json!({}),
            "must have exactly one of cidr and addressGroupRef",
        ),
        refused(
            "NetworkACL",
            "/spec/ingress/0/destination",
            json!({"cidr": "10.0.0.0/8", "addressGroupRef": {"name": "a"}}),
            "must have exactly one of cidr and addressGroupRef",
        ),
        refused(
            "NetworkACL",
            "/spec/ingress/0/destination",
            json!({"cidr": "ten"}),
            CIDR,
        ),
        refused("NetworkACL", "/spec/subnetRefs/0/name", json!("App"), OBJECT_NAME),
        admitted("NetworkACL", "/spec/ingress", acl_rules(1000)),
        admitted(
            "NetworkACL",
            "/spec/ingress/0",
            json!({"name": "a", "action": "Allow", "sourcePorts": "1-65535", "destinationPorts": "70000"}),
        ),
        admitted(
            "NetworkACL",
            "/spec/ingress/0/source",
            json!({"cidr": "2001:db8::1/32"}),
        ),
        // TroubleshootRequest
        refused("TroubleshootRequest", "/spec/loadBalancerRef", Value::Null, REQUIRED),
        refused(
            "TroubleshootRequest",
            "/spec/backendServerRef",
            json!({"name": "a b"}),
            OBJECT_NAME,
        ),
        refused("TroubleshootRequest", "/spec/subject", json!("all"), WORDS),
        refused("TroubleshootRequest", "/spec/activeDeadlineSeconds", json!(0), GE1),
        refused(
            "TroubleshootRequest",
            "/spec/activeDeadlineSeconds",
            json!(86401),
            "should be less than or equal to 86400",
        ),
        refused(
            "TroubleshootRequest",
            "/spec/ttlSecondsAfterFinished",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        admitted("TroubleshootRequest", "/spec/ttlSecondsAfterFinished", json!(0)),
        admitted(
            "TroubleshootRequest",
            "/spec/backendServerRef",
            json!({"name": "web-1"}),
        ),
        // Names of objects
        refused("Subnet", "/metadata/name", json!("Web"), "metadata.name: Invalid value"),
        refused(
            "Subnet",
            "/metadata/name",
            json!("a..b"),
            "metadata.name: Invalid value",
        ),
    ];
    cases.extend(
        [
            "Subnet",
            "AddressGroup",
            "LoadBalancer",
            "BackendServer",
            "SecurityGroup",
            "NetworkACL",
            "TroubleshootRequest",
        ]
        .map(|kind| admitted(kind, "/metadata/labels", json!({"app": "web"}))),
    );
    cases
}

#[test]
fn the_offline_admission_refuses_and_admits_what_it_should() {
    let mut wrong = Vec::new();
    for case in cases() {
        let loaded = manifest::load_text("case.json", &case.object().to_string());
        let said = loaded
            .errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        match case.refusal {
            None if said.is_empty() => {}
            Some(part) if said.contains(part) => {}
            _ => wrong.push(format!("{}: wanted {:?}, got {said:?}", case.name(), case.refusal)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn client() -> Client {
    let control_plane = ControlPlane::get();
    control_plane.install_crds();
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let plural = elb_doctor::world::Kind::ALL
        .iter()
        .find(|known| known.name() == kind)
        .unwrap()
        .plural();
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("elb-doctor.dev", "v1alpha1", kind), &plural);
    Api::namespaced_with(client.clone(), "default", &resource)
}

fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_api_server_refuses_and_admits_the_same() {
    let client = client().await;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut wrong = Vec::new();
    for case in cases() {
        let object: DynamicObject = serde_json::from_value(case.object()).unwrap();
        let said = match api(&client, case.kind).create(&dry_run, &object).await {
            Ok(_) => String::new(),
            Err(error) => said(&error),
        };
        match case.refusal {
            None if said.is_empty() => {}
            Some(part) if said.contains(part) => {}
            _ => wrong.push(format!("{}: wanted {:?}, got {said:?}", case.name(), case.refusal)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A finished request is a record of what was asked: only how long it is kept may change.
#[tokio::test]
async fn a_request_cannot_be_changed_but_for_its_ttl() {
    let requests = api(&client().await, "TroubleshootRequest");
    let mut object = valid("TroubleshootRequest");
    object["metadata"]["name"] = json!("fixed");
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    requests.create(&PostParams::default(), &object).await.unwrap();
    let patch = |spec: Value| {
        let requests = requests.clone();
        async move {
            let patch = Patch::Merge(json!({"spec": spec}));
            requests.patch("fixed", &PatchParams::default(), &patch).await
        }
    };
    for (field, value) in [
        ("loadBalancerRef", json!({"name": "other"})),
        ("backendServerRef", json!({"name": "added"})),
        ("subject", json!("Config")),
        ("activeDeadlineSeconds", json!(301)),
    ] {
        let refusal = said(&patch(json!({field: value})).await.unwrap_err());
        let wanted = format!("{field} cannot be changed: make another TroubleshootRequest");
        assert!(refusal.contains(&wanted), "{field}: {refusal}");
    }
    for ttl in [json!(60), json!(30), Value::Null] {
        patch(json!({"ttlSecondsAfterFinished": ttl})).await.unwrap();
    }

    let mut object = valid("TroubleshootRequest");
    object["metadata"]["name"] = json!("of-one");
    object["spec"]["backendServerRef"] = json!({"name": "web-1"});
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    requests.create(&PostParams::default(), &object).await.unwrap();
    for change in [Value::Null, json!({"name": "web-2"})] {
        let patch = Patch::Merge(json!({"spec": {"backendServerRef": change}}));
        let refusal = said(
            &requests
                .patch("of-one", &PatchParams::default(), &patch)
                .await
                .unwrap_err(),
        );
        assert!(refusal.contains("backendServerRef cannot be changed"), "{refusal}");
    }
}

/// The reporter's part of the status is judged too, by the API server and offline alike.
#[tokio::test]
async fn reported_health_is_judged() {
    let backends = api(&client().await, "BackendServer");
    let mut object = valid("BackendServer");
    object["metadata"]["name"] = json!("reported");
    let created: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    backends.create(&PostParams::default(), &created).await.unwrap();
    for (health, part) in [
        (json!({"state": "unhealthy"}), WORDS),
        (json!({"reason": "ConnectTimeout"}), REQUIRED),
        (json!({"state": "Unhealthy", "reason": "connect timeout"}), FORM),
        (
            json!({"state": "Unhealthy", "reason": format!("C{}", "o".repeat(64))}),
            TOO_LONG,
        ),
        (json!({"state": "Unhealthy", "message": "m".repeat(1025)}), TOO_LONG),
        (
            json!({"state": "Unhealthy", "reportedAt": "yesterday"}),
            "must be of type date-time",
        ),
        (
            json!({"state": "Unhealthy", "reason": "ConnectTimeout", "message": "m", "reportedAt": "2026-01-31T12:00:00Z"}),
            "",
        ),
    ] {
        let patch = Patch::Merge(json!({"status": {"health": health}}));
        let answer = backends.patch_status("reported", &PatchParams::default(), &patch).await;
        object["status"] = json!({"health": health});
        let offline = manifest::load_text("case.json", &object.to_string()).errors;
        if part.is_empty() {
            answer.unwrap();
            assert!(offline.is_empty(), "{offline:?}");
        } else {
            let refusal = said(&answer.unwrap_err());
            assert!(refusal.contains(part), "{health}: {refusal}");
            assert!(
                offline.iter().any(|p| p.message.contains(part)),
                "{health}: {offline:?}"
            );
        }
    }
}

#[test]
fn kubectl_explains_and_lists_every_kind_by_its_short_name() {
    let control_plane = ControlPlane::get();
    control_plane.install_crds();
    for short in ["elb", "bes", "sg", "nacl", "tsr", "esn", "ag", "elb-doctor"] {
        let listed = control_plane.kubectl().args(["get", short, "-A"]).output().unwrap();
        assert!(
            listed.status.success(),
            "{short}: {}",
            String::from_utf8_lossy(&listed.stderr)
        );
    }
    let explained = control_plane
        .kubectl()
        .args(["explain", "securitygroup.spec.rules.ports"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&explained.stdout).contains("Destination ports such as"));
}

/// What an admin exports is what the command line takes, with all that the API server has added.
#[test]
fn what_kubectl_exports_is_admitted_offline() {
    let control_plane = ControlPlane::get();
    control_plane.install_crds();
    control_plane.namespace("exported");
    let mut objects = String::new();
    for kind in [
        "Subnet",
        "AddressGroup",
        "LoadBalancer",
        "BackendServer",
        "SecurityGroup",
        "NetworkACL",
        "TroubleshootRequest",
    ] {
        let mut object = valid(kind);
        object["metadata"]["namespace"] = json!("exported");
        object["metadata"]["annotations"] = json!({"note": "kept"});
        objects.push_str("---\n");
        objects.push_str(&object.to_string());
        objects.push('\n');
    }
    let applied = control_plane.kubectl_with_input(&["apply", "-f", "-"], &objects);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    for format in ["yaml", "json"] {
        let exported = control_plane
            .kubectl()
            .args([
                "get",
                "elb-doctor",
                "-n",
                "exported",
                "--show-managed-fields",
                "-o",
                format,
            ])
            .output()
            .unwrap();
        let loaded = manifest::load_text("export", &String::from_utf8(exported.stdout).unwrap());
        assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
        assert_eq!(loaded.objects.len(), 7);
    }
}
