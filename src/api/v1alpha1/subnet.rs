//! `Subnet`: the address prefixes in which servers and load balancers live.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// A subnet of the virtual private cloud.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "Subnet",
    plural = "subnets",
    shortname = "esn",
    category = "elb-doctor",
    namespaced,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct SubnetSpec {
    /// Prefixes in CIDR form, IPv4 and IPv6, such as `192.168.1.0/24`; no host bits set.
    pub cidrs: Vec<String>,
}
