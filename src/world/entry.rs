//! What is known of one object: itself and what was made of it when it came in, or why it cannot be read.

use std::{fmt, sync::Arc};

use crate::api::v1alpha1::ApiObject;

use super::{incoming::Unreadable, references::Node, refusal::Violation};

/// A kind whose objects are validated when they come in.
pub(crate) trait Compile: ApiObject {
    /// What diagnoses read of it, validated: made once for each change of its spec.
    type Compiled: fmt::Debug + Send + Sync + 'static;

    /// Validates it.
    fn compile(&self) -> Self::Compiled;

    /// What is wrong with it by itself.
    fn own_violations(compiled: &Self::Compiled) -> Vec<&Violation>;

    /// What it refers to, each once or more often.
    fn references(&self) -> Vec<Node>;

    /// Whether what is compiled of both is the same.
    fn same_spec(&self, other: &Self) -> bool;

    /// Whether all that a diagnosis reads, or that its own status tells of, is the same in both: then only a status was written.
    fn reads_same(&self, other: &Self) -> bool {
        self.same_spec(other) && self.meta().generation == other.meta().generation
    }

    /// Whether our own part of the status is the same in both. Where it is not told apart, it counts as changed.
    fn same_own_status(&self, _other: &Self) -> bool {
        false
    }

    /// What is kept of it.
    #[must_use]
    fn lean(object: Arc<Self>) -> Arc<Self> {
        object
    }
}

/// The objects of one kind in one namespace, by name.
pub(crate) type Entries<K> = imbl::OrdMap<Arc<str>, Entry<K>>;

/// One object.
#[derive(Debug)]
pub(crate) enum Entry<K: Compile> {
    /// It could be read.
    Readable(Readable<K>),
    /// It could not; only its name is known.
    Unreadable(Arc<Unreadable>),
}

/// An object that could be read.
#[derive(Debug)]
pub(crate) struct Readable<K: Compile> {
    /// The object.
    pub(crate) object: Arc<K>,
    /// What was made of it.
    pub(crate) compiled: Arc<K::Compiled>,
    /// What admission would have refused in it.
    pub(crate) refused: Option<Arc<str>>,
}

// Derived, these would ask for `K: Clone` and clone no deeper for it.
impl<K: Compile> Clone for Entry<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Readable(readable) => Self::Readable(readable.clone()),
            Self::Unreadable(unreadable) => Self::Unreadable(Arc::clone(unreadable)),
        }
    }
}

impl<K: Compile> Clone for Readable<K> {
    fn clone(&self) -> Self {
        Self {
            object: Arc::clone(&self.object),
            compiled: Arc::clone(&self.compiled),
            refused: self.refused.clone(),
        }
    }
}

impl<K: Compile> Entry<K> {
    /// What comes in, compiled unless its spec is that of the entry which it replaces.
    pub(crate) fn new(object: &Arc<K>, refused: Option<Arc<str>>, replaced: Option<&Self>) -> Self {
        let compiled = match replaced.and_then(Self::readable) {
            Some(known) if known.object.same_spec(object) => Arc::clone(&known.compiled),
            _ => Arc::new(object.compile()),
        };
        Self::Readable(Readable {
            object: K::lean(Arc::clone(object)),
            compiled,
            refused,
        })
    }

    /// The object and what was made of it, if it could be read.
    pub(crate) fn readable(&self) -> Option<&Readable<K>> {
        match self {
            Self::Readable(readable) => Some(readable),
            Self::Unreadable(_) => None,
        }
    }

    /// Its uid.
    pub(crate) fn uid(&self) -> Option<&str> {
        match self {
            Self::Readable(readable) => readable.object.meta().uid.as_deref(),
            Self::Unreadable(unreadable) => unreadable.uid.as_deref(),
        }
    }

    /// Its resource version as a number.
    pub(crate) fn version(&self) -> Option<u64> {
        match self {
            Self::Readable(readable) => readable.object.meta().resource_version.as_deref()?.parse().ok(),
            Self::Unreadable(unreadable) => unreadable.version,
        }
    }

    /// What it refers to.
    pub(crate) fn references(&self) -> Vec<Node> {
        self.readable()
            .map(|known| known.object.references())
            .unwrap_or_default()
    }

    /// Whether everything that anybody reads is the same in both.
    pub(crate) fn reads_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Readable(a), Self::Readable(b)) => a.refused == b.refused && a.object.reads_same(&b.object),
            (Self::Unreadable(a), Self::Unreadable(b)) => a.why == b.why,
            _ => false,
        }
    }

    /// Whether the object itself need not even be looked at: what was written is read by nobody and none of ours.
    pub(crate) fn concerns_nobody(&self, other: &Self) -> bool {
        let own = self.readable().zip(other.readable());
        self.reads_same(other) && own.is_some_and(|(a, b)| a.object.same_own_status(&b.object))
    }
}
