//! All that decides over one backend server's health check, as plain values.

use std::sync::Arc;

use super::{Rules, Span, Traffic};

/// What security groups do on the server's network interface.
#[derive(Clone, Debug)]
pub enum SecurityGroupState {
    /// Port security is off: security groups are not applied (semantics §3).
    NotApplied,
    /// These groups decide; none at all denies everything.
    Groups {
        /// The groups, in order of precedence.
        groups: Vec<Rules>,
        /// Whether replies to allowed packets leave without a rule. Groups of an interface are all of one sort.
        stateful: bool,
    },
}

/// What the network ACL of the server's subnet does.
#[derive(Clone, Debug)]
pub enum NetworkAclState {
    /// No ACL on the subnet.
    Absent,
    /// An ACL of this name that is switched off.
    Off(Arc<str>),
    /// An ACL in force.
    InForce {
        /// Its rules.
        rules: Rules,
        /// Whether replies to allowed packets leave without a rule.
        stateful: bool,
    },
}

/// The network ACL in force on a subnet from which the load balancer probes, other than the server's own (semantics §4).
#[derive(Clone, Debug)]
pub struct LoadBalancerEnd {
    /// Name of the subnet.
    pub subnet: Arc<str>,
    /// Its prefixes of the traffic's family. The ACL judges the probes that come from these.
    pub prefixes: Vec<Span<u128>>,
    /// The rules of the ACL. Its outbound rules judge the probes, its inbound rules the replies.
    pub rules: Rules,
    /// Whether replies to allowed packets enter without a rule.
    pub stateful: bool,
}

/// Where a health check port is set, for item 17.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HealthCheckPorts {
    /// The one that is set for this backend server alone.
    pub own: Option<u16>,
    /// The one of its group.
    pub group: Option<u16>,
}

impl HealthCheckPorts {
    /// The one that counts (semantics §2); `None` when none is set, so that the backend server's own port is probed.
    #[must_use]
    pub fn configured(self) -> Option<u16> {
        self.own.or(self.group)
    }
}

/// One diagnosis to make.
#[derive(Clone, Debug)]
pub struct Case {
    /// The health check traffic.
    pub traffic: Traffic,
    /// Where a health check port is set.
    pub health_check_ports: HealthCheckPorts,
    /// The backend server's own port.
    pub backend_port: u16,
    /// Security groups.
    pub security_groups: SecurityGroupState,
    /// Network ACL.
    pub network_acl: NetworkAclState,
    /// The network ACLs in force where the load balancer probes from.
    pub load_balancer_ends: Vec<LoadBalancerEnd>,
    /// The prefixes of the server's subnet, of the traffic's family: traffic within the subnet passes no ACL (semantics §4).
    pub subnet: Vec<Span<u128>>,
}
