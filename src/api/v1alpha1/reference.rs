//! References between objects. They never leave the namespace of the object that holds them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Refers to an object in the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, Hash, KubeSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')", "must be the name of an object: lowercase letters, digits, '-' and '.', such as web-1"))]
    pub name: String,
}
