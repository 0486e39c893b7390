//! Names of objects.

use std::fmt;

use crate::api::v1alpha1::Object;

/// Namespace and name of an object; the kind is known from where the key stands.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of an object; an object without a namespace is taken to be in `default`.
    pub fn of<K: kube::ResourceExt>(object: &K) -> Self {
        Self::new(
            object.namespace().unwrap_or_else(|| "default".into()),
            object.name_any(),
        )
    }

    /// The key of an object of any kind; an object without a namespace is taken to be in `default`.
    #[must_use]
    pub(crate) fn of_object(object: &Object) -> Self {
        let meta = object.meta();
        Self::new(
            meta.namespace.clone().unwrap_or_else(|| "default".into()),
            meta.name.clone().unwrap_or_default(),
        )
    }

    /// Another object of the same namespace.
    #[must_use]
    pub(crate) fn sibling(&self, name: &str) -> Self {
        Self::new(self.namespace.clone(), name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
