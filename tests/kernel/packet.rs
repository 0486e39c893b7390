//! One packet, and what becomes of it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

/// Which way a flow is opened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Way {
    /// A probe: from the load balancer's side to the server; its reply goes the other way.
    In,
    /// A new connection of the server's: seen by the outbound rules as no reply to anything.
    Out,
}

/// The first packet of a flow. Ports are 0 for ICMP.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Packet {
    pub way: Way,
    pub protocol: u8,
    pub source: IpAddr,
    pub source_port: u16,
    pub destination: IpAddr,
    pub destination_port: u16,
}

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

impl Packet {
    pub fn from(&self) -> SocketAddr {
        (self.source, self.source_port).into()
    }

    pub fn to(&self) -> SocketAddr {
        (self.destination, self.destination_port).into()
    }

    pub fn has_ports(&self) -> bool {
        matches!(self.protocol, TCP | UDP)
    }

    pub fn protocol_name(&self) -> &'static str {
        match self.protocol {
            TCP => "tcp",
            UDP => "udp",
            ICMP => "icmp",
            ICMPV6 => "icmpv6",
            other => panic!("no packets of protocol {other} are sent"),
        }
    }

    /// The end on the load balancer's side.
    pub fn remote(&self) -> IpAddr {
        match self.way {
            Way::In => self.source,
            Way::Out => self.destination,
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, .. } = self;
        write!(f, "{way:?} {} {} -> {}", self.protocol_name(), self.from(), self.to())
    }
}

/// Which layer drops.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Layer {
    SecurityGroup,
    /// At the border of the server's subnet.
    NetworkACL,
    /// At the border of a subnet of the load balancer.
    LoadBalancerACL,
}

/// Who drops, as the kernel's own record says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dropper {
    pub layer: Layer,
    /// On the way to the server. At the load balancer's end those are the outbound rules.
    pub inward: bool,
    /// Object, rule and its index; `None`: no rule matches.
    pub rule: Option<(String, String, usize)>,
}

/// What becomes of a flow's first packet and of the reply to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// The reply came back: the handshake is done, the datagram or the echo came back.
    Completed,
    Dropped(Dropper),
}
