//! The 17 items of the troubleshooting page (domain §5): one table, read by everything that names an item.

use super::{Direction, Layer};

/// Category of an item on the page.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Category {
    SecurityGroup,
    NetworkAcl,
    Config,
}

impl Category {
    /// The word used in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecurityGroup => "SecurityGroup",
            Self::NetworkAcl => "NetworkACL",
            Self::Config => "Config",
        }
    }
}

/// Severity of an item on the page.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Severity {
    Tips,
    Major,
}

impl Severity {
    /// The word used in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Major => "Major",
            Self::Tips => "Tips",
        }
    }
}

/// What an item looks at, seen from both ends of the traffic: *remote* is the load balancer's, *local* the server's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Dimension {
    Protocol,
    Remote,
    RemotePort,
    Local,
    LocalPort,
}

macro_rules! checks {
    ($($(#[doc = $doc:literal])* $name:ident = $id:literal, $category:ident, $severity:ident, $reason:literal, $item:literal, $page:literal;)*) => {
        /// One of the 17 items, in table order.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum CheckId {
            $($(#[doc = $doc])* $name,)*
        }

        impl CheckId {
            /// All items in table order.
            pub const ALL: [Self; 17] = [$(Self::$name,)*];

            /// The stable id: the name that the cloud's own API uses.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The category.
            #[must_use]
            pub fn category(self) -> Category {
                match self { $(Self::$name => Category::$category,)* }
            }

            /// The severity.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// The item in `CamelCase`, as conditions and events name it.
            #[must_use]
            pub fn condition_reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }

            /// The item as the page calls it.
            #[must_use]
            pub fn item(self) -> &'static str {
                match self { $(Self::$name => $item,)* }
            }

            /// The page's reason sentence.
            #[must_use]
            pub fn page_reason(self) -> &'static str {
                match self { $(Self::$name => $page,)* }
            }
        }
    };
}

checks! {
    /// Item 1.
    SecurityGroupInboundProtocol = "security_group_check_hc_protocol_ingress", SecurityGroup, Major, "SecurityGroupInboundProtocol",
        "The protocol configured for the inbound rule",
        "The inbound rules of the security group do not allow traffic over the health check protocol.";
    /// Item 2.
    SecurityGroupInboundSource = "security_group_check_hc_source_ip_ingress", SecurityGroup, Major, "SecurityGroupInboundSource",
        "The source configured for the inbound rule",
        "The inbound rules of the security group do not allow traffic from the health check IP address to the backend server.";
    /// Item 3.
    SecurityGroupInboundPort = "security_group_check_hc_port_ingress", SecurityGroup, Major, "SecurityGroupInboundPort",
        "The port configured for the inbound rule",
        "The inbound rules of the security group do not allow traffic over the health check port.";
    /// Item 4.
    SecurityGroupOutboundProtocol = "security_group_check_hc_protocol_egress", SecurityGroup, Major, "SecurityGroupOutboundProtocol",
        "The protocol configured for the outbound rule",
        "The outbound rules of the security group do not allow traffic over the health check protocol.";
    /// Item 5.
    SecurityGroupOutboundDestination = "security_group_check_hc_source_ip_egress", SecurityGroup, Major, "SecurityGroupOutboundDestination",
        "The destination configured for the outbound rule",
        "The outbound rules of the security group do not allow traffic from the backend server to the health check IP address.";
    /// Item 6.
    SecurityGroupOutboundPort = "security_group_check_hc_port_egress", SecurityGroup, Major, "SecurityGroupOutboundPort",
        "The port configured for the outbound rule",
        "The outbound rules of the security group do not allow traffic over the health check port.";
    /// Item 7.
    NetworkAclInboundProtocol = "acl_check_hc_protocol_ingress", NetworkAcl, Major, "NetworkACLInboundProtocol",
        "The protocol configured for the inbound rule",
        "The inbound rules of the network ACL do not allow traffic over the health check protocol.";
    /// Item 8.
    NetworkAclInboundSource = "acl_check_hc_source_ip_ingress", NetworkAcl, Major, "NetworkACLInboundSource",
        "The source configured for the inbound rule",
        "The inbound rules of the network ACL do not allow traffic from the health check IP address to the backend server.";
    /// Item 9.
    NetworkAclInboundSourcePort = "acl_check_hc_source_port_ingress", NetworkAcl, Tips, "NetworkACLInboundSourcePort",
        "The source port configured for the inbound rule",
        "The inbound rules of the network ACL do not allow traffic over all source ports.";
    /// Item 10.
    NetworkAclInboundDestination = "acl_check_hc_dest_ip_ingress", NetworkAcl, Major, "NetworkACLInboundDestination",
        "The destination address configured for the inbound rule",
        "The inbound rules of the network ACL do not allow traffic to the destination address.";
    /// Item 11.
    NetworkAclInboundDestinationPort = "acl_check_hc_dest_port_ingress", NetworkAcl, Major, "NetworkACLInboundDestinationPort",
        "The destination port configured for the inbound rule",
        "The inbound rules of the network ACL do not allow traffic over the destination port.";
    /// Item 12.
    NetworkAclOutboundProtocol = "acl_check_hc_protocol_egress", NetworkAcl, Major, "NetworkACLOutboundProtocol",
        "The protocol configured for the outbound rule",
        "The outbound rules of the network ACL do not allow traffic over the health check protocol.";
    /// Item 13. The page's English label says "destination", a slip: the id and the Chinese page both say source (domain §5).
    NetworkAclOutboundSource = "acl_check_hc_source_ip_egress", NetworkAcl, Major, "NetworkACLOutboundSource",
        "The destination configured for the outbound rule",
        "The outbound rules of the network ACL do not allow traffic from the health check IP address to the backend server.";
    /// Item 14.
    NetworkAclOutboundSourcePort = "acl_check_hc_source_port_egress", NetworkAcl, Major, "NetworkACLOutboundSourcePort",
        "The source port configured for the outbound rule",
        "The outbound rules of the network ACL do not allow traffic over the health check port.";
    /// Item 15.
    NetworkAclOutboundDestination = "acl_check_hc_dest_ip_egress", NetworkAcl, Major, "NetworkACLOutboundDestination",
        "The destination address configured for the outbound rule",
        "The outbound rules of the network ACL do not allow traffic to the destination address.";
    /// Item 16.
    NetworkAclOutboundDestinationPort = "acl_check_hc_dest_port_egress", NetworkAcl, Major, "NetworkACLOutboundDestinationPort",
        "The destination port configured for the outbound rule",
        "The outbound rules of the network ACL do not allow traffic over all destination ports.";
    /// Item 17.
    HealthCheckPort = "check_hc_config_port", Config, Tips, "HealthCheckPort",
        "The port configured for the health check",
        "The specified health check port is different from that used by the backend server.";
}

impl CheckId {
    /// The items of one direction of one layer in table order, with the dimension that each looks at.
    #[must_use]
    pub fn of(layer: Layer, direction: Direction) -> &'static [(Self, Dimension)] {
        match (layer, direction) {
            (Layer::SecurityGroup, Direction::Ingress) => &[
                (Self::SecurityGroupInboundProtocol, Dimension::Protocol),
                (Self::SecurityGroupInboundSource, Dimension::Remote),
                (Self::SecurityGroupInboundPort, Dimension::LocalPort),
            ],
            (Layer::SecurityGroup, Direction::Egress) => &[
                (Self::SecurityGroupOutboundProtocol, Dimension::Protocol),
                (Self::SecurityGroupOutboundDestination, Dimension::Remote),
                (Self::SecurityGroupOutboundPort, Dimension::LocalPort),
            ],
            (Layer::NetworkAcl, Direction::Ingress) => &[
                (Self::NetworkAclInboundProtocol, Dimension::Protocol),
                (Self::NetworkAclInboundSource, Dimension::Remote),
                (Self::NetworkAclInboundSourcePort, Dimension::RemotePort),
                (Self::NetworkAclInboundDestination, Dimension::Local),
                (Self::NetworkAclInboundDestinationPort, Dimension::LocalPort),
            ],
            (Layer::NetworkAcl, Direction::Egress) => &[
                (Self::NetworkAclOutboundProtocol, Dimension::Protocol),
                (Self::NetworkAclOutboundSource, Dimension::Local),
                (Self::NetworkAclOutboundSourcePort, Dimension::LocalPort),
                (Self::NetworkAclOutboundDestination, Dimension::Remote),
                (Self::NetworkAclOutboundDestinationPort, Dimension::RemotePort),
            ],
        }
    }
}
