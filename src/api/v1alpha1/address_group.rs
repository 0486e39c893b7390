//! `AddressGroup`: a named set of addresses that rules refer to.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// A named set of addresses that security group and network ACL rules may refer to.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "AddressGroup",
    plural = "addressgroups",
    shortname = "ag",
    category = "elb-doctor",
    namespaced,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct AddressGroupSpec {
    /// Single addresses, ranges `first-last` and prefixes in CIDR form, IPv4 and IPv6.
    #[serde(default)]
    pub addresses: Vec<String>,
}
