//! What the product says about one packet.
//!
//! A status speaks of all health check traffic at once. To make it speak of a single packet, the question is put again for
//! a health check from that address alone, to that port, over that protocol: then only source ports are left to vary, and
//! the status tells those apart by the values of the source port's items.

use elb_doctor::{
    api::v1alpha1::{BackendServerStatus, FailedCheck, ItemImpact},
    world::{Object, World},
};
use serde_json::{Value, json};

use super::{
    oracle::{
        manifests::{Manifests, list, name_of},
        product, values,
    },
    packet::{ICMP, ICMPV6, Layer, Packet, TCP, UDP, Way},
};

/// Whether the packet is dropped on the way in and on the way out; `None`: the status leaves it open.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    pub inbound: Option<bool>,
    pub outbound: Option<bool>,
}

/// The product's answers about one backend server of one world.
pub struct Product<'a> {
    manifests: &'a [Value],
    backend: &'a str,
    world: World,
}

impl<'a> Product<'a> {
    pub fn new(manifests: &'a [Value], backend: &'a str) -> Self {
        Self {
            manifests,
            backend,
            world: product::world(manifests),
        }
    }

    pub fn status(&self) -> BackendServerStatus {
        product::status(&self.world, self.backend)
    }

    /// What becomes of the packet. A probe (`In`) and its reply: only what stops a health check counts, a reply that leaves
    /// through a stateful layer is not stopped. A connection of the server's (`Out`): every outbound rule counts, the port
    /// of the health check is where it goes (security groups) or comes from (ACL).
    pub fn forecast(&mut self, packet: &Packet) -> Forecast {
        let port = match packet.way {
            Way::Out if self.judges_by_source_port() => packet.source_port,
            Way::In | Way::Out => packet.destination_port,
        };
        let status = self.narrowed(packet, port);
        let Some(diagnosis) = &status.diagnosis else {
            panic!("no diagnosis for {packet}: {:?}", status.conditions);
        };
        let counts = |check: &&FailedCheck| match packet.way {
            Way::In => check.impact != ItemImpact::Advisory,
            Way::Out => check.id.ends_with("_egress"),
        };
        let direction = |suffix: &str, varying: &str, value: u16| {
            let failed = diagnosis
                .checks
                .iter()
                .filter(counts)
                .filter(|check| check.id.ends_with(suffix));
            verdict(failed, packet, varying, value)
        };
        let remote_port = match packet.way {
            Way::In => packet.source_port,
            Way::Out => packet.destination_port,
        };
        Forecast {
            inbound: direction("_ingress", "acl_check_hc_source_port_ingress", remote_port),
            outbound: direction("_egress", "acl_check_hc_dest_port_egress", remote_port),
        }
    }

    fn judges_by_source_port(&self) -> bool {
        layers(self.manifests, self.backend).contains(&Layer::NetworkACL)
    }

    fn narrowed(&mut self, packet: &Packet, port: u16) -> BackendServerStatus {
        let world = Manifests(self.manifests);
        let mut backend = world.find("BackendServer", self.backend).unwrap().clone();
        let original = backend.clone();
        let own = json!({ "sources": [packet.remote()], "address": self.probed() });
        backend["spec"]["healthCheck"] = own;
        if packet.has_ports() {
            backend["spec"]["healthCheck"]["port"] = json!(port);
        } else if let Some(port) = original["spec"]["healthCheck"].get("port") {
            backend["spec"]["healthCheck"]["port"] = port.clone();
        }
        let lb = backend["spec"]["loadBalancerRef"]["name"].as_str().unwrap();
        let lb = world.find("LoadBalancer", lb).unwrap().clone();
        let mut changed = lb.clone();
        let groups = changed["spec"]["backendServerGroups"].as_array_mut().unwrap();
        let group = groups
            .iter_mut()
            .find(|g| g["name"] == original["spec"]["backendServerGroup"])
            .unwrap();
        let is_udp = group["healthCheck"]["protocol"] == "UDP_CONNECT";
        let wants_udp = packet.protocol != TCP;
        if is_udp != wants_udp {
            group["protocol"] = if wants_udp { "UDP" } else { "TCP" }.into();
            group["healthCheck"]["protocol"] = if wants_udp { "UDP_CONNECT" } else { "TCP" }.into();
            self.apply(&changed);
        }
        self.apply(&backend);
        let status = self.status();
        self.apply(&lb);
        self.apply(&original);
        status
    }

    fn apply(&mut self, manifest: &Value) {
        let object = match manifest["kind"].as_str() {
            Some("BackendServer") => Object::from(
                serde_json::from_value::<elb_doctor::api::v1alpha1::BackendServer>(manifest.clone()).unwrap(),
            ),
            _ => Object::from(
                serde_json::from_value::<elb_doctor::api::v1alpha1::LoadBalancer>(manifest.clone()).unwrap(),
            ),
        };
        self.world.set(object.into());
    }

    /// The address that is probed.
    pub fn probed(&self) -> String {
        let spec = &Manifests(self.manifests).find("BackendServer", self.backend).unwrap()["spec"];
        let own = spec["healthCheck"]["address"].as_str().or(spec["address"].as_str());
        own.unwrap().to_owned()
    }
}

fn verdict<'a>(
    failed: impl Iterator<Item = &'a FailedCheck>,
    packet: &Packet,
    varying: &str,
    value: u16,
) -> Option<bool> {
    let mut open = false;
    for check in failed {
        let (Some(blocked), Some(witness)) = (&check.blocked, &check.witness) else {
            continue;
        };
        if witness.protocol != packet.protocol_name() {
            // Of two legs that fail the UDP one is shown: of ICMP it says nothing then. Shown ICMP says that UDP is well.
            open |= packet.protocol == ICMP || packet.protocol == ICMPV6;
        } else if blocked.share == "1" {
            return Some(true);
        } else if check.id == varying {
            let ports = blocked.values.iter().flat_map(|text| values::ports(text).unwrap());
            let mut ports = ports.map(|(first, last)| first <= u128::from(value) && u128::from(value) <= last);
            if ports.any(|inside| inside) {
                return Some(true);
            }
            open |= blocked.omitted.is_some();
        } else {
            open = true;
        }
    }
    if open { None } else { Some(false) }
}

/// The layers that are applied to this backend server.
pub fn layers(manifests: &[Value], backend: &str) -> Vec<Layer> {
    let spec = &Manifests(manifests).find("BackendServer", backend).unwrap()["spec"];
    let mut layers = Vec::new();
    if spec["portSecurityEnabled"] != false {
        layers.push(Layer::SecurityGroup);
    }
    if acl(manifests, spec).is_some_and(|acl| acl["spec"]["enabled"] != false) {
        layers.push(Layer::NetworkACL);
    }
    layers
}

/// The ACL of the backend server's subnet.
pub fn acl<'a>(manifests: &'a [Value], spec: &Value) -> Option<&'a Value> {
    Manifests(manifests).all("NetworkACL").find(|acl| {
        list(&acl["spec"]["subnetRefs"])
            .iter()
            .any(|subnet| subnet["name"] == spec["subnetRef"]["name"])
    })
}

/// The same world with only this layer applied.
pub fn only(manifests: &[Value], backend: &str, layer: Layer) -> Vec<Value> {
    let spec = &Manifests(manifests).find("BackendServer", backend).unwrap()["spec"];
    let acl = acl(manifests, spec).map(|acl| name_of(acl).to_owned());
    let mut world = manifests.to_vec();
    for object in &mut world {
        match layer {
            Layer::SecurityGroup if object["kind"] == "NetworkACL" && acl.as_deref() == Some(name_of(object)) => {
                object["spec"]["enabled"] = false.into();
            }
            Layer::NetworkACL if object["kind"] == "BackendServer" && name_of(object) == backend => {
                object["spec"]["portSecurityEnabled"] = false.into();
            }
            _ => {}
        }
    }
    world
}

/// The protocol numbers of a health check's legs.
pub fn legs(protocol: &str, v4: bool) -> Vec<u8> {
    match (protocol, v4) {
        ("UDP_CONNECT", true) => vec![UDP, ICMP],
        ("UDP_CONNECT", false) => vec![UDP, ICMPV6],
        _ => vec![TCP],
    }
}
