//! What a door hands in: an object as it was read, or that one is there that cannot be read.
//!
//! Watches, relists and files all hand in the same, so that the controller and the command line judge alike.

use std::sync::Arc;

use crate::api::v1alpha1::{Kind, Object};

use super::Key;

/// One object that is there.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// It could be read.
    Readable {
        /// The object.
        object: Object,
        /// What admission would have refused in it: it is there, but nothing in it can be trusted.
        refused: Option<Arc<str>>,
    },
    /// It could not be read.
    Unreadable(Unreadable),
}

/// An object of which no more than its name is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreadable {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub key: Key,
    /// Its uid; `None` for one from a file.
    pub uid: Option<String>,
    /// Its resource version; `None` for one from a file.
    pub version: Option<u64>,
    /// Why it cannot be read.
    pub why: Arc<str>,
}

impl<T: Into<Object>> From<T> for Incoming {
    fn from(object: T) -> Self {
        Self::Readable {
            object: object.into(),
            refused: None,
        }
    }
}

impl From<Unreadable> for Incoming {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl Incoming {
    /// An object that admission would have refused, and why.
    pub(crate) fn refused(object: impl Into<Object>, why: impl Into<Arc<str>>) -> Self {
        Self::Readable {
            object: object.into(),
            refused: Some(why.into()),
        }
    }

    /// Its kind.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Readable { object, .. } => object.kind(),
            Self::Unreadable(unreadable) => unreadable.kind,
        }
    }

    /// Its namespace and name.
    #[must_use]
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Readable { object, .. } => Key::of_object(object),
            Self::Unreadable(unreadable) => unreadable.key.clone(),
        }
    }

    /// Its uid; `None` for one from a file.
    #[must_use]
    pub(crate) fn uid(&self) -> Option<&str> {
        match self {
            Self::Readable { object, .. } => object.meta().uid.as_deref(),
            Self::Unreadable(unreadable) => unreadable.uid.as_deref(),
        }
    }

    /// Its resource version as a number; `None` for one from a file.
    #[must_use]
    pub(crate) fn version(&self) -> Option<u64> {
        match self {
            Self::Readable { object, .. } => object.version(),
            Self::Unreadable(unreadable) => unreadable.version,
        }
    }
}
