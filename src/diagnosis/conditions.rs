//! Conditions as they ought to be now, with transition times kept (Kubernetes API conventions).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::text::clean_for_json;

/// Status of a condition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum State {
    True,
    False,
    Unknown,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for State {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Makes the conditions of one object.
pub(super) struct Conditions<'a> {
    observed: &'a [Condition],
    generation: Option<i64>,
    now: &'a Time,
    out: Vec<Condition>,
}

/// Longest message of a condition that is written; the schema of conditions allows 32,768 characters, a status that has
/// to stay small should not. In bytes of JSON.
const MAX_MESSAGE: usize = 1024;

impl<'a> Conditions<'a> {
    /// For an object that has the `observed` conditions.
    pub(super) fn new(observed: &'a [Condition], generation: Option<i64>, now: &'a Time) -> Self {
        Self {
            observed,
            generation,
            now,
            out: Vec::with_capacity(4),
        }
    }

    /// Adds a condition; its transition time stays as long as its status does.
    pub(super) fn set(&mut self, type_: &str, state: State, reason: &str, message: impl AsRef<str>) -> &mut Self {
        let status = state.as_str();
        let unchanged = self
            .observed
            .iter()
            .find(|observed| observed.type_ == type_ && observed.status == status);
        self.out.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: clean_for_json(message.as_ref(), MAX_MESSAGE),
            observed_generation: self.generation,
            last_transition_time: unchanged
                .map_or(self.now, |observed| &observed.last_transition_time)
                .clone(),
        });
        self
    }

    /// All conditions that were set.
    pub(super) fn done(self) -> Vec<Condition> {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_changes_with_the_status_only() {
        let at = |second| Time(jiff::Timestamp::from_second(second).unwrap_or_default());
        let mut first = Conditions::new(&[], Some(1), &at(1)).tap("Ready", State::True, "Reconciled");
        first = Conditions::new(&first, Some(2), &at(2)).tap("Ready", State::True, "Other");
        assert_eq!(first.first().map(|c| c.last_transition_time.clone()), Some(at(1)));
        let second = Conditions::new(&first, Some(2), &at(3)).tap("Ready", State::False, "Other");
        assert_eq!(second.first().map(|c| c.last_transition_time.clone()), Some(at(3)));
    }

    impl Conditions<'_> {
        fn tap(mut self, type_: &str, state: State, reason: &str) -> Vec<Condition> {
            self.set(type_, state, reason, "x");
            self.done()
        }
    }
}
