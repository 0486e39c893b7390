//! Whether a status says the same as another, times aside.
//!
//! Conditions of types that are not ours (somebody else may add some) are left out: they are not ours to change, and comparing
//! them would make us write for ever.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::v1alpha1::{
    BackendServerStatus, LoadBalancerStatus, NetworkACLStatus, SecurityGroupStatus, TroubleshootRequestStatus,
};

/// A status that can be compared with the one that is held.
pub(super) trait Says {
    /// True when writing `self` over `held` would change nothing but times.
    fn says_as(&self, held: &Self) -> bool;
}

fn same_conditions(wanted: &[Condition], held: &[Condition]) -> bool {
    wanted.iter().all(|wanted| {
        held.iter().find(|held| held.type_ == wanted.type_).is_some_and(|held| {
            let Condition {
                last_transition_time: _,
                message,
                observed_generation,
                reason,
                status,
                type_: _,
            } = wanted;
            (message, observed_generation, reason, status)
                == (&held.message, &held.observed_generation, &held.reason, &held.status)
        })
    })
}

// Each takes its type apart field by field, so that a new field cannot be forgotten.

impl Says for BackendServerStatus {
    fn says_as(&self, held: &Self) -> bool {
        let Self {
            // The reporter's, never ours.
            health: _,
            observed_generation,
            conditions,
            diagnosis,
        } = self;
        *observed_generation == held.observed_generation
            && same_conditions(conditions, &held.conditions)
            && *diagnosis == held.diagnosis
    }
}

impl Says for LoadBalancerStatus {
    fn says_as(&self, held: &Self) -> bool {
        let Self {
            observed_generation,
            backends,
            conditions,
        } = self;
        *observed_generation == held.observed_generation
            && *backends == held.backends
            && same_conditions(conditions, &held.conditions)
    }
}

impl Says for SecurityGroupStatus {
    fn says_as(&self, held: &Self) -> bool {
        let Self {
            observed_generation,
            conditions,
        } = self;
        *observed_generation == held.observed_generation && same_conditions(conditions, &held.conditions)
    }
}

impl Says for NetworkACLStatus {
    fn says_as(&self, held: &Self) -> bool {
        let Self {
            observed_generation,
            conditions,
        } = self;
        *observed_generation == held.observed_generation && same_conditions(conditions, &held.conditions)
    }
}

impl Says for TroubleshootRequestStatus {
    fn says_as(&self, held: &Self) -> bool {
        let Self {
            observed_generation,
            // Whether there is a time is a statement; which one is not.
            start_time,
            completion_time,
            progress,
            results,
            omitted_results,
            conditions,
        } = self;
        *observed_generation == held.observed_generation
            && start_time.is_some() == held.start_time.is_some()
            && completion_time.is_some() == held.completion_time.is_some()
            && *progress == held.progress
            && *results == held.results
            && *omitted_results == held.omitted_results
            && same_conditions(conditions, &held.conditions)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn status(second: i64) -> BackendServerStatus {
        let condition = |type_: &str| Condition {
            last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                jiff::Timestamp::from_second(second).unwrap(),
            ),
            message: "m".into(),
            observed_generation: Some(1),
            reason: "R".into(),
            status: "True".into(),
            type_: type_.into(),
        };
        BackendServerStatus {
            observed_generation: Some(1),
            conditions: vec![condition("Ready"), condition("Healthy")],
            ..BackendServerStatus::default()
        }
    }

    #[test]
    fn times_order_foreign_conditions_and_the_reported_health_do_not_matter() {
        let mut held = status(9);
        held.conditions.reverse();
        let mut foreign = held.conditions[0].clone();
        foreign.type_ = "Audited".into();
        held.conditions.push(foreign);
        held.health = serde_json::from_value(serde_json::json!({"state": "Unhealthy"})).unwrap();
        assert!(status(1).says_as(&held));
    }

    #[test]
    fn everything_else_matters() {
        let changes: [fn(&mut BackendServerStatus); 7] = [
            |s| s.observed_generation = Some(2),
            |s| s.conditions[1].status = "False".into(),
            |s| s.conditions[1].reason = "Other".into(),
            |s| s.conditions[1].message = "other".into(),
            |s| s.conditions[1].observed_generation = Some(2),
            |s| s.conditions.truncate(1),
            |s| s.observed_generation = None,
        ];
        for change in changes {
            let mut held = status(1);
            change(&mut held);
            assert!(!status(1).says_as(&held), "{held:?}");
        }
    }
}
