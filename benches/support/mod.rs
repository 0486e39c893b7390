//! Worlds of a given size for benchmarks: two layers, so many rules in each direction of each layer, one backend server.

use elb_doctor::{
    api::v1alpha1::{BackendServer, LoadBalancer, NetworkACL, SecurityGroup, Subnet},
    world::{Key, Settings, World},
};
use serde_json::{Value, json};

/// What the rules do with health check traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Traffic {
    /// The last rule of each list allows it.
    Passes,
    /// No rule allows it.
    Dropped,
}

/// A rule that has nothing to do with the health check, as most rules of a real list.
fn bystander(number: usize) -> (Value, String, String) {
    let cidr = format!("10.{}.{}.0/24", number / 250, number % 250);
    (
        json!({ "cidr": cidr }),
        ["tcp", "udp"][number % 2].to_owned(),
        format!("{}", 1000 + number % 5000),
    )
}

/// A world whose backend server `web-1` in namespace `bench` is marked unhealthy.
pub fn world(rules: usize, traffic: Traffic) -> (World, Key) {
    let mut group = Vec::new();
    let mut acl = [Vec::new(), Vec::new()];
    for (side, direction) in ["Ingress", "Egress"].into_iter().enumerate() {
        for number in 0..rules {
            let last = number + 1 == rules && traffic == Traffic::Passes;
            let (remote, protocol, port) = bystander(number);
            let priority = 1 + number * 99 / rules.max(1);
            let action = if number % 5 == 4 { "Deny" } else { "Allow" };
            let name = format!("{}-{number}", direction.to_lowercase());
            group.push(if last {
                json!({"name": name, "direction": direction, "protocol": "tcp", "remote": {"cidr": "192.168.0.0/24"}, "priority": 100})
            } else {
                json!({"name": name, "direction": direction, "protocol": protocol, "ports": port, "action": action, "remote": remote,
                       "priority": priority})
            });
            let end = if side == 0 { "source" } else { "destination" };
            acl[side].push(if last {
                json!({"name": name, "action": "Allow", "protocol": "tcp"})
            } else {
                json!({"name": name, "action": action, "protocol": protocol, "destinationPorts": port, end: remote})
            });
        }
    }
    let [ingress, egress] = acl;
    let mut world = World::new(&Settings::default());
    let meta = |name: &str| json!({"name": name, "namespace": "bench", "generation": 1});
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "elb-doctor.dev/v1alpha1", "kind": kind, "metadata": meta(name), "spec": spec});
    world.set(read::<Subnet>(object("Subnet", "lb", json!({"cidrs": ["192.168.0.0/24"]}))).into());
    world.set(read::<Subnet>(object("Subnet", "app", json!({"cidrs": ["192.168.1.0/24"]}))).into());
    world.set(read::<SecurityGroup>(object("SecurityGroup", "web", json!({"rules": group}))).into());
    world.set(
        read::<NetworkACL>(object(
            "NetworkACL",
            "app",
            json!({"subnetRefs": [{"name": "app"}], "stateful": false, "ingress": ingress, "egress": egress}),
        ))
        .into(),
    );
    world.set(
        read::<LoadBalancer>(object(
            "LoadBalancer",
            "web",
            json!({"type": "Dedicated", "backendSubnetRefs": [{"name": "lb"}],
               "listeners": [{"name": "http", "protocol": "HTTP", "port": 80, "backendServerGroups": ["web"]}],
               "backendServerGroups": [{"name": "web", "protocol": "HTTP", "healthCheck": {"protocol": "HTTP"}}]}),
        ))
        .into(),
    );
    let mut backend = object(
        "BackendServer",
        "web-1",
        json!({"loadBalancerRef": {"name": "web"}, "backendServerGroup": "web", "address": "192.168.1.10", "port": 8080,
               "subnetRef": {"name": "app"}, "securityGroupRefs": [{"name": "web"}]}),
    );
    backend["status"] = json!({"health": {"state": "Unhealthy", "reason": "ConnectTimeout"}});
    world.set(read::<BackendServer>(backend).into());
    (world, Key::new("bench", "web-1"))
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a benchmark's manifest is valid")
}
