//! `Subnet`: the address prefixes in which servers and load balancers live.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::forms;

/// A subnet of a VPC.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "Subnet",
    plural = "subnets",
    shortname = "esn",
    category = "elb-doctor",
    namespaced,
    doc = "A subnet of a VPC, in which servers and load balancers have their addresses.",
    printcolumn(name = "CIDRs", type_ = "string", json_path = r#".spec.cidrs"#),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct SubnetSpec {
    /// IPv4 and IPv6 CIDR blocks of the subnet, such as `192.168.1.0/24`, without host bits.
    #[schemars(length(min = 1, max = 32), inner(length(max = forms::CIDR_LENGTH), regex(pattern = forms::CIDR)))]
    pub cidrs: Vec<String>,
}
