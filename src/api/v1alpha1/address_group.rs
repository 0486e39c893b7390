//! `AddressGroup`: a named set of addresses that rules refer to.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::forms;

/// A named set of addresses for use in security group and network ACL rules.
#[derive(Clone, CustomResource, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "elb-doctor.dev",
    version = "v1alpha1",
    kind = "AddressGroup",
    plural = "addressgroups",
    shortname = "ag",
    category = "elb-doctor",
    namespaced,
    doc = "A named set of addresses for use in security group and network ACL rules.",
    printcolumn(name = "Addresses", type_ = "string", json_path = r#".spec.addresses"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct AddressGroupSpec {
    /// IPv4 and IPv6 addresses, ranges and CIDR blocks, such as `192.168.0.21`, `192.168.0.30-192.168.0.40` and `10.0.0.0/8`.
    #[serde(default)]
    #[schemars(length(max = 1000), inner(length(max = 91), regex(pattern = forms::ADDRESS_GROUP_ENTRY)))]
    pub addresses: Vec<String>,
}
