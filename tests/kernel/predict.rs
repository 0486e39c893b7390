//! What the product says about one packet.
//!
//! A status speaks of all health check traffic at once. To make it speak of a single packet, the question is put again for
//! a health check from that address alone, to that port, over that protocol: then only source ports are left to vary, and
//! the status tells those apart by the values of the source port's items.

use elb_doctor::{
    api::v1alpha1::{BackendServerStatus, FailedCheck},
    world::{Object, World},
};
use serde_json::{Value, json};

use super::{
    oracle::{
        manifests::{Manifests, list, name_of, names, on, texts},
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
        let replies_pass = self.acl_is_stateful();
        // Where the rules of a finding stand in the packet's way.
        let way = |id: &str| match (packet.way, id) {
            (Way::In, "load_balancer_acl_egress") => Some(true),
            (_, "load_balancer_acl_ingress") | (Way::In, "security_group_reply_egress") => Some(false),
            // A reply is no packet of the outbound items of groups, nor of those of a stateful ACL.
            (Way::In, id) if id.starts_with("acl_") && id.ends_with("_egress") => (!replies_pass).then_some(false),
            (Way::Out, "load_balancer_acl_egress" | "security_group_reply_egress") => None,
            (Way::Out, id) if id.ends_with("_egress") => Some(false),
            (Way::In, id) if id.ends_with("_ingress") => Some(true),
            _ => None,
        };
        let direction = |inward: bool, varying: &str, value: u16| {
            let all = diagnosis.checks.iter().chain(&diagnosis.beyond);
            verdict(
                all.filter(|check| way(&check.id) == Some(inward)),
                packet,
                varying,
                value,
            )
        };
        let remote_port = match packet.way {
            Way::In => packet.source_port,
            Way::Out => packet.destination_port,
        };
        Forecast {
            inbound: direction(true, "acl_check_hc_source_port_ingress", remote_port),
            outbound: direction(false, "acl_check_hc_dest_port_egress", remote_port),
        }
    }

    fn acl_is_stateful(&self) -> bool {
        let spec = &Manifests(self.manifests).find("BackendServer", self.backend).unwrap()["spec"];
        acl(self.manifests, spec).is_none_or(|acl| on(&acl["spec"]["stateful"]))
    }

    fn judges_by_source_port(&self) -> bool {
        layers(self.manifests, self.backend) != [Layer::SecurityGroup]
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
    // Shares are about likely packets.
    let knows_shares = !packet.has_ports() || value >= 1024;
    for check in failed {
        let (Some(blocked), Some(witness)) = (&check.blocked, &check.witness) else {
            continue;
        };
        if witness.protocol != packet.protocol_name() {
            // Of two legs that fail the UDP one is shown, unless only ICMP drops likely packets. So shown UDP says nothing of ICMP, and
            // shown ICMP nothing of UDP from unlikely ports; from likely ones UDP is well.
            open |= !packet.has_ports() || value < 1024;
        } else if check.id == varying {
            let ports = blocked.values.iter().flat_map(|text| values::ports(text).unwrap());
            let mut ports = ports.map(|(first, last)| first <= u128::from(value) && u128::from(value) <= last);
            if ports.any(|inside| inside) {
                return Some(true);
            }
            open |= blocked.omitted.is_some();
        } else if knows_shares && blocked.share == "1" || check.id.starts_with("security_group_check") {
            return Some(true);
        } else if knows_shares && blocked.share == "0" {
            // Only unlikely packets are dropped for this reason.
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
    if !ends(manifests, backend).is_empty() {
        layers.push(Layer::LoadBalancerACL);
    }
    layers
}

/// A subnet of the load balancer and the ACL in force there.
pub struct End<'a> {
    pub subnet: &'a str,
    cidrs: Vec<&'a str>,
    pub acl: &'a Value,
}

impl End<'_> {
    pub fn ranges(&self, family: values::Family) -> Vec<values::Range> {
        let all = self
            .cidrs
            .iter()
            .map(|cidr| values::prefix(cidr).expect("a right prefix"));
        all.filter(|(of, _)| *of == family).map(|(_, range)| range).collect()
    }

    pub fn is_stateful(&self) -> bool {
        on(&self.acl["spec"]["stateful"])
    }
}

/// "For each backend subnet `X` of a Dedicated load balancer that … is not the server's own subnet and has an ACL in force";
/// "Two ACLs that claim `X`: not judged" (§4).
pub fn ends<'a>(manifests: &'a [Value], backend: &str) -> Vec<End<'a>> {
    let world = Manifests(manifests);
    let spec = &world.find("BackendServer", backend).unwrap()["spec"];
    let lb = world
        .find("LoadBalancer", spec["loadBalancerRef"]["name"].as_str().unwrap())
        .unwrap();
    if lb["spec"]["type"] != "Dedicated" {
        return Vec::new();
    }
    let subnets = names(&lb["spec"]["backendSubnetRefs"]).into_iter();
    subnets
        .filter(|subnet| spec["subnetRef"]["name"] != *subnet)
        .filter_map(|subnet| {
            let claim = |acl: &&Value| names(&acl["spec"]["subnetRefs"]).contains(&subnet);
            let mut acls = world.all("NetworkACL").filter(claim);
            let (acl, second) = (acls.next()?, acls.next());
            (second.is_none() && on(&acl["spec"]["enabled"])).then(|| End {
                subnet,
                cidrs: texts(&world.find("Subnet", subnet).expect("it is there")["spec"]["cidrs"]),
                acl,
            })
        })
        .collect()
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
    let own = &spec["subnetRef"]["name"];
    let mut world = manifests.to_vec();
    for object in &mut world {
        if object["kind"] == "NetworkACL"
            && let Some(claimed) = object["spec"]["subnetRefs"].as_array_mut()
        {
            claimed.retain(|subnet| match layer {
                Layer::SecurityGroup => false,
                Layer::NetworkACL => subnet["name"] == *own,
                Layer::LoadBalancerACL => subnet["name"] != *own,
            });
        }
        if layer != Layer::SecurityGroup && object["kind"] == "BackendServer" && name_of(object) == backend {
            object["spec"]["portSecurityEnabled"] = false.into();
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
