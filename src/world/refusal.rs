//! Why a diagnosis does not run (semantics §9), and what is wrong with an object.

use std::fmt;

use crate::api::v1alpha1::{Kind, conditions::reasons};

/// Why a diagnosis does not run, in the order in which the reasons are tried.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "semantics §9 says when each applies")]
pub enum RefusalReason {
    ReferenceNotFound,
    InvalidSpec,
    AmbiguousNetworkAcl,
    IpBackendUnsupported,
    NotAssociatedWithListener,
    HealthCheckDisabled,
    BackendNotUnhealthy,
    HealthCheckSourcesUnknown,
    TooIntricate,
}

impl RefusalReason {
    /// The word used in conditions.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ReferenceNotFound => reasons::REFERENCE_NOT_FOUND,
            Self::InvalidSpec => reasons::INVALID_SPEC,
            Self::AmbiguousNetworkAcl => reasons::AMBIGUOUS_NETWORK_ACL,
            Self::IpBackendUnsupported => reasons::IP_BACKEND_UNSUPPORTED,
            Self::NotAssociatedWithListener => reasons::NOT_ASSOCIATED_WITH_LISTENER,
            Self::HealthCheckDisabled => reasons::HEALTH_CHECK_DISABLED,
            Self::BackendNotUnhealthy => reasons::BACKEND_NOT_UNHEALTHY,
            Self::HealthCheckSourcesUnknown => reasons::HEALTH_CHECK_SOURCES_UNKNOWN,
            Self::TooIntricate => reasons::TOO_INTRICATE,
        }
    }

    /// Whether somebody has to put something right before a diagnosis can say anything.
    #[must_use]
    pub fn is_misconfiguration(self) -> bool {
        match self {
            Self::ReferenceNotFound
            | Self::InvalidSpec
            | Self::AmbiguousNetworkAcl
            | Self::HealthCheckSourcesUnknown
            | Self::TooIntricate => true,
            Self::IpBackendUnsupported
            | Self::NotAssociatedWithListener
            | Self::HealthCheckDisabled
            | Self::BackendNotUnhealthy => false,
        }
    }

    /// Whether the objects themselves are at fault, so that `Ready` is False.
    #[must_use]
    pub(crate) fn is_unready(self) -> bool {
        matches!(
            self,
            Self::ReferenceNotFound | Self::InvalidSpec | Self::AmbiguousNetworkAcl
        )
    }
}

/// Why a diagnosis does not run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The first reason that applies.
    pub reason: RefusalReason,
    /// Names the object and the field.
    pub message: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// Something wrong with one field of one object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Kind and name of the object.
    pub object: String,
    /// Path of the field, such as `spec.rules[2].remote.cidr`; empty where the message tells.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.object, self.message)
        } else {
            write!(f, "{} {}: {}", self.object, self.field, self.message)
        }
    }
}

/// What is wrong with what a diagnosis reads, in the order in which it is read; each violation once, since two rules may refer
/// to one faulty address group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Violations {
    /// References to objects that are not there.
    pub missing: Vec<Violation>,
    /// Values that no rule can be made of, and objects that cannot be read.
    pub invalid: Vec<Violation>,
    /// The objects that are not there.
    pub absent: Vec<Absent>,
}

/// An object that is not there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Absent {
    /// The place among the missing of what names it.
    pub place: usize,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Violations {
    /// The refusal that follows: missing objects first, then invalid values.
    #[must_use]
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        first(&self.missing, RefusalReason::ReferenceNotFound)
            .or_else(|| first(&self.invalid, RefusalReason::InvalidSpec))
    }
}

/// A refusal that tells the first of some violations and how many more there are.
pub(super) fn first(violations: &[Violation], reason: RefusalReason) -> Option<Refusal> {
    let (first, rest) = violations.split_first()?;
    let more = match rest.len() {
        0 => String::new(),
        more => format!(" (and {more} more; elb-doctor diagnose lists them all)"),
    };
    Some(Refusal::new(reason, format!("{first}{more}")))
}
