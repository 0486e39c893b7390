//! The 17 items of the troubleshooting page (semantics §5), and what is looked at beyond the page (semantics §3, §4): one table, a row
//! for each, read by everything that names one.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{Dimension, Direction, Layer};

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

/// What decides over an item.
#[derive(Clone, Copy, Debug)]
pub enum JudgedBy {
    /// The rules of one direction of one layer, as far as one dimension goes (semantics §6).
    Rules {
        /// The layer.
        layer: Layer,
        /// The direction.
        direction: Direction,
        /// The dimension.
        dimension: Dimension,
    },
    /// The configuration of the health check.
    Configuration(Setting),
}

/// What an item of the configuration looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Setting {
    /// The port of the health check.
    Port,
}

const fn rules(layer: Layer, direction: Direction, dimension: Dimension) -> JudgedBy {
    JudgedBy::Rules {
        layer,
        direction,
        dimension,
    }
}

/// A row of the table: everything that an item is, but for the sentence about a failure and its page.
struct Row {
    id: &'static str,
    severity: Severity,
    judged_by: JudgedBy,
    condition_reason: &'static str,
    item: &'static str,
    page_reason: &'static str,
}

macro_rules! checks {
    (
        items: $($(#[doc = $doc:literal])* $name:ident { $($field:ident: $value:expr,)* })*;
        beyond: $($(#[doc = $more_doc:literal])* $more:ident { $($more_field:ident: $more_value:expr,)* })*
    ) => {
        /// One of the items, in table order, or one of what is looked at beyond them.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum CheckId {
            $($(#[doc = $doc])* $name,)*
            $($(#[doc = $more_doc])* $more,)*
        }

        impl CheckId {
            /// How many items the page has.
            pub const COUNT: usize = [$(stringify!($name),)*].len();

            /// All items of the page in table order.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name,)*];

            /// What is looked at beyond the page.
            pub const BEYOND: &'static [Self] = &[$(Self::$more,)*];

            fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => {
                        const ROW: Row = Row { $($field: $value,)* };
                        &ROW
                    })*
                    $(Self::$more => {
                        const ROW: Row = Row { $($more_field: $more_value,)* };
                        &ROW
                    })*
                }
            }
        }
    };
}

checks! {
    items:

    /// Item 1.
    SecurityGroupInboundProtocol {
        id: "security_group_check_hc_protocol_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::SecurityGroup, Direction::Ingress, Dimension::Protocol),
        condition_reason: "SecurityGroupInboundProtocol",
        item: "The protocol configured for the inbound rule",
        page_reason: "The inbound rules of the security group do not allow traffic over the health check protocol.",
    }
    /// Item 2.
    SecurityGroupInboundSource {
        id: "security_group_check_hc_source_ip_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::SecurityGroup, Direction::Ingress, Dimension::Remote),
        condition_reason: "SecurityGroupInboundSource",
        item: "The source configured for the inbound rule",
        page_reason: "The inbound rules of the security group do not allow traffic from the health check IP address to the backend server.",
    }
    /// Item 3.
    SecurityGroupInboundPort {
        id: "security_group_check_hc_port_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::SecurityGroup, Direction::Ingress, Dimension::LocalPort),
        condition_reason: "SecurityGroupInboundPort",
        item: "The port configured for the inbound rule",
        page_reason: "The inbound rules of the security group do not allow traffic over the health check port.",
    }
    /// Item 4.
    SecurityGroupOutboundProtocol {
        id: "security_group_check_hc_protocol_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::SecurityGroup, Direction::Egress, Dimension::Protocol),
        condition_reason: "SecurityGroupOutboundProtocol",
        item: "The protocol configured for the outbound rule",
        page_reason: "The outbound rules of the security group do not allow traffic over the health check protocol.",
    }
    /// Item 5.
    SecurityGroupOutboundDestination {
        id: "security_group_check_hc_source_ip_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::SecurityGroup, Direction::Egress, Dimension::Remote),
        condition_reason: "SecurityGroupOutboundDestination",
        item: "The destination configured for the outbound rule",
        page_reason: "The outbound rules of the security group do not allow traffic from the backend server to the health check IP address.",
    }
    /// Item 6.
    SecurityGroupOutboundPort {
        id: "security_group_check_hc_port_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::SecurityGroup, Direction::Egress, Dimension::LocalPort),
        condition_reason: "SecurityGroupOutboundPort",
        item: "The port configured for the outbound rule",
        page_reason: "The outbound rules of the security group do not allow traffic over the health check port.",
    }
    /// Item 7.
    NetworkAclInboundProtocol {
        id: "acl_check_hc_protocol_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Ingress, Dimension::Protocol),
        condition_reason: "NetworkACLInboundProtocol",
        item: "The protocol configured for the inbound rule",
        page_reason: "The inbound rules of the network ACL do not allow traffic over the health check protocol.",
    }
    /// Item 8.
    NetworkAclInboundSource {
        id: "acl_check_hc_source_ip_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Ingress, Dimension::Remote),
        condition_reason: "NetworkACLInboundSource",
        item: "The source configured for the inbound rule",
        page_reason: "The inbound rules of the network ACL do not allow traffic from the health check IP address to the backend server.",
    }
    /// Item 9.
    NetworkAclInboundSourcePort {
        id: "acl_check_hc_source_port_ingress",
        severity: Severity::Tips,
        judged_by: rules(Layer::NetworkAcl, Direction::Ingress, Dimension::RemotePort),
        condition_reason: "NetworkACLInboundSourcePort",
        item: "The source port configured for the inbound rule",
        page_reason: "The inbound rules of the network ACL do not allow traffic over all source ports.",
    }
    /// Item 10.
    NetworkAclInboundDestination {
        id: "acl_check_hc_dest_ip_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Ingress, Dimension::Local),
        condition_reason: "NetworkACLInboundDestination",
        item: "The destination address configured for the inbound rule",
        page_reason: "The inbound rules of the network ACL do not allow traffic to the destination address.",
    }
    /// Item 11.
    NetworkAclInboundDestinationPort {
        id: "acl_check_hc_dest_port_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Ingress, Dimension::LocalPort),
        condition_reason: "NetworkACLInboundDestinationPort",
        item: "The destination port configured for the inbound rule",
        page_reason: "The inbound rules of the network ACL do not allow traffic over the destination port.",
    }
    /// Item 12.
    NetworkAclOutboundProtocol {
        id: "acl_check_hc_protocol_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Egress, Dimension::Protocol),
        condition_reason: "NetworkACLOutboundProtocol",
        item: "The protocol configured for the outbound rule",
        page_reason: "The outbound rules of the network ACL do not allow traffic over the health check protocol.",
    }
    /// Item 13. The page's English label says "destination", a slip: the id and the Chinese page both say source (semantics §5).
    NetworkAclOutboundSource {
        id: "acl_check_hc_source_ip_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Egress, Dimension::Local),
        condition_reason: "NetworkACLOutboundSource",
        item: "The destination configured for the outbound rule",
        page_reason: "The outbound rules of the network ACL do not allow traffic from the health check IP address to the backend server.",
    }
    /// Item 14.
    NetworkAclOutboundSourcePort {
        id: "acl_check_hc_source_port_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Egress, Dimension::LocalPort),
        condition_reason: "NetworkACLOutboundSourcePort",
        item: "The source port configured for the outbound rule",
        page_reason: "The outbound rules of the network ACL do not allow traffic over the health check port.",
    }
    /// Item 15.
    NetworkAclOutboundDestination {
        id: "acl_check_hc_dest_ip_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Egress, Dimension::Remote),
        condition_reason: "NetworkACLOutboundDestination",
        item: "The destination address configured for the outbound rule",
        page_reason: "The outbound rules of the network ACL do not allow traffic to the destination address.",
    }
    /// Item 16.
    NetworkAclOutboundDestinationPort {
        id: "acl_check_hc_dest_port_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::NetworkAcl, Direction::Egress, Dimension::RemotePort),
        condition_reason: "NetworkACLOutboundDestinationPort",
        item: "The destination port configured for the outbound rule",
        page_reason: "The outbound rules of the network ACL do not allow traffic over all destination ports.",
    }
    /// Item 17.
    HealthCheckPort {
        id: "check_hc_config_port",
        severity: Severity::Tips,
        judged_by: JudgedBy::Configuration(Setting::Port),
        condition_reason: "HealthCheckPort",
        item: "The port configured for the health check",
        page_reason: "The specified health check port is different from that used by the backend server.",
    };

    beyond:

    /// The probes leave a subnet of the load balancer.
    LoadBalancerAclOutbound {
        id: "load_balancer_acl_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::LoadBalancerAcl, Direction::Egress, Dimension::Remote),
        condition_reason: "LoadBalancerACLOutbound",
        item: "The outbound rules at the load balancer's subnet",
        page_reason: "The outbound rules of the network ACL on the load balancer's subnet do not allow the probes.",
    }
    /// The replies enter a subnet of the load balancer.
    LoadBalancerAclInbound {
        id: "load_balancer_acl_ingress",
        severity: Severity::Major,
        judged_by: rules(Layer::LoadBalancerAcl, Direction::Ingress, Dimension::Remote),
        condition_reason: "LoadBalancerACLInbound",
        item: "The inbound rules at the load balancer's subnet",
        page_reason: "The inbound rules of the network ACL on the load balancer's subnet do not allow the replies.",
    }
    /// The replies leave an interface with stateless security groups.
    SecurityGroupReplyOutbound {
        id: "security_group_reply_egress",
        severity: Severity::Major,
        judged_by: rules(Layer::SecurityGroupReply, Direction::Egress, Dimension::Remote),
        condition_reason: "SecurityGroupReplyOutbound",
        item: "The outbound rules of stateless security groups",
        page_reason: "The outbound rules of the stateless security groups do not allow the replies.",
    }
}

impl CheckId {
    /// The stable id: the name that the cloud's own API uses.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// The severity.
    #[must_use]
    pub fn severity(self) -> Severity {
        self.row().severity
    }

    /// What decides over it.
    #[must_use]
    pub fn judged_by(self) -> JudgedBy {
        self.row().judged_by
    }

    /// The category.
    #[must_use]
    pub fn category(self) -> Category {
        match self.judged_by() {
            JudgedBy::Rules {
                layer: Layer::SecurityGroup | Layer::SecurityGroupReply,
                ..
            } => Category::SecurityGroup,
            JudgedBy::Rules {
                layer: Layer::NetworkAcl | Layer::LoadBalancerAcl,
                ..
            } => Category::NetworkAcl,
            JudgedBy::Configuration(_) => Category::Config,
        }
    }

    /// The item in `CamelCase`, as conditions and events name it.
    #[must_use]
    pub fn condition_reason(self) -> &'static str {
        self.row().condition_reason
    }

    /// The item as the page calls it.
    #[must_use]
    pub fn item(self) -> &'static str {
        self.row().item
    }

    /// The page's reason sentence.
    #[must_use]
    pub fn page_reason(self) -> &'static str {
        self.row().page_reason
    }

    /// The items of one direction of one layer in table order, with the dimension that each looks at.
    #[must_use]
    pub fn of(layer: Layer, direction: Direction) -> &'static [(Self, Dimension)] {
        type Sides = BTreeMap<(Layer, Direction), Vec<(CheckId, Dimension)>>;
        static SIDES: LazyLock<Sides> = LazyLock::new(|| {
            let mut out = Sides::new();
            for check in CheckId::ALL.into_iter().chain(CheckId::BEYOND.iter().copied()) {
                if let JudgedBy::Rules {
                    layer,
                    direction,
                    dimension,
                } = check.judged_by()
                {
                    out.entry((layer, direction)).or_default().push((check, dimension));
                }
            }
            out
        });
        SIDES.get(&(layer, direction)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_items_share_a_name() {
        let every = || CheckId::ALL.iter().chain(CheckId::BEYOND);
        let ids: BTreeSet<_> = every().map(|check| check.id()).collect();
        let reasons: BTreeSet<_> = every().map(|check| check.condition_reason()).collect();
        assert_eq!((ids.len(), reasons.len()), (every().count(), every().count()));
    }

    #[test]
    fn security_groups_look_at_three_dimensions_and_network_acls_at_five() {
        for direction in [Direction::Ingress, Direction::Egress] {
            assert_eq!(CheckId::of(Layer::SecurityGroup, direction).len(), 3);
            assert_eq!(CheckId::of(Layer::NetworkAcl, direction).len(), 5);
        }
    }
}
