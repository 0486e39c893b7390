//! What of a status is ours, and whether it says the same as another.
//!
//! Reported health and conditions of types that are not ours (somebody else may add some) are others': comparing them would make us
//! write for ever, and writing them would make them ours.

use std::{collections::hash_map::RandomState, hash::BuildHasher as _};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::api::v1alpha1::{
    BackendServerStatus, LoadBalancerStatus, NetworkACLStatus, SecurityGroupStatus, TroubleshootRequestStatus,
    conditions::types::{ACCEPTED, BACKENDS_HEALTHY, DIAGNOSED, FAULT_FOUND, HEALTHY, READY, SUCCEEDED},
};

/// A status that the controller keeps.
pub(in crate::controller) trait OwnStatus:
    Clone + Default + Serialize + DeserializeOwned
{
    /// Fields that are ours, conditions aside.
    const FIELDS: &'static [&'static str];
    /// Types of the conditions that are ours.
    const CONDITIONS: &'static [&'static str];

    /// Its conditions, those of others among them.
    fn conditions(&self) -> &[Condition];

    /// True when writing `self` over `observed` would change nothing but times.
    fn same_ignoring_times(&self, observed: &Self) -> bool;
}

/// What is ours of a status, as JSON. Conditions that are not are left out.
pub(super) fn own_part<S: OwnStatus>(status: &S) -> Result<Map<String, Value>, serde_json::Error> {
    let Value::Object(mut all) = serde_json::to_value(status)? else {
        return Ok(Map::new());
    };
    all.retain(|field, _| field == "conditions" || S::FIELDS.contains(&field.as_str()));
    if let Some(Value::Array(conditions)) = all.get_mut("conditions") {
        conditions.retain(|condition| is_own_condition::<S>(condition));
    }
    Ok(all)
}

/// Whether a condition is of a type of ours.
pub(super) fn is_own_condition<S: OwnStatus>(condition: &Value) -> bool {
    condition
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|type_| S::CONDITIONS.contains(&type_))
}

/// A number that stands for what is ours of a status, times of transitions aside.
pub(super) fn digest<S: OwnStatus>(status: &S, hasher: &RandomState) -> Result<u64, serde_json::Error> {
    let mut own = own_part(status)?;
    if let Some(Value::Array(conditions)) = own.get_mut("conditions") {
        for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
            condition.remove("lastTransitionTime");
        }
        conditions.sort_by_key(|condition| condition.get("type").map(Value::to_string));
    }
    Ok(hasher.hash_one(serde_json::to_string(&own)?))
}

/// Whether the conditions of our types are the same, times aside.
fn same_conditions<S: OwnStatus>(desired: &[Condition], observed: &[Condition]) -> bool {
    let own = |condition: &&Condition| S::CONDITIONS.contains(&condition.type_.as_str());
    observed.iter().filter(own).count() == desired.iter().filter(own).count()
        && desired.iter().filter(own).all(|desired| {
            observed
                .iter()
                .find(|other| other.type_ == desired.type_)
                .is_some_and(|observed| {
                    let Condition {
                        last_transition_time: _,
                        message,
                        observed_generation,
                        reason,
                        status,
                        type_: _,
                    } = desired;
                    (message, observed_generation, reason, status)
                        == (
                            &observed.message,
                            &observed.observed_generation,
                            &observed.reason,
                            &observed.status,
                        )
                })
        })
}

// Each takes its type apart field by field, so that a new field cannot be forgotten.

impl OwnStatus for BackendServerStatus {
    const FIELDS: &'static [&'static str] = &["diagnosis", "observedGeneration"];
    const CONDITIONS: &'static [&'static str] = &[READY, HEALTHY, DIAGNOSED, FAULT_FOUND];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn same_ignoring_times(&self, observed: &Self) -> bool {
        let Self {
            // The reporter's, never ours.
            health: _,
            observed_generation,
            conditions,
            diagnosis,
        } = self;
        *observed_generation == observed.observed_generation
            && same_conditions::<Self>(conditions, &observed.conditions)
            && *diagnosis == observed.diagnosis
    }
}

impl OwnStatus for LoadBalancerStatus {
    const FIELDS: &'static [&'static str] = &["backends", "observedGeneration"];
    const CONDITIONS: &'static [&'static str] = &[READY, BACKENDS_HEALTHY];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn same_ignoring_times(&self, observed: &Self) -> bool {
        let Self {
            observed_generation,
            backends,
            conditions,
        } = self;
        *observed_generation == observed.observed_generation
            && *backends == observed.backends
            && same_conditions::<Self>(conditions, &observed.conditions)
    }
}

impl OwnStatus for SecurityGroupStatus {
    const FIELDS: &'static [&'static str] = &["observedGeneration"];
    const CONDITIONS: &'static [&'static str] = &[READY];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn same_ignoring_times(&self, observed: &Self) -> bool {
        let Self {
            observed_generation,
            conditions,
        } = self;
        *observed_generation == observed.observed_generation
            && same_conditions::<Self>(conditions, &observed.conditions)
    }
}

impl OwnStatus for NetworkACLStatus {
    const FIELDS: &'static [&'static str] = &["observedGeneration"];
    const CONDITIONS: &'static [&'static str] = &[READY];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn same_ignoring_times(&self, observed: &Self) -> bool {
        let Self {
            observed_generation,
            conditions,
        } = self;
        *observed_generation == observed.observed_generation
            && same_conditions::<Self>(conditions, &observed.conditions)
    }
}

impl OwnStatus for TroubleshootRequestStatus {
    const FIELDS: &'static [&'static str] = &[
        "observedGeneration",
        "startTime",
        "completionTime",
        "progress",
        "results",
        "omittedResults",
    ];
    const CONDITIONS: &'static [&'static str] = &[ACCEPTED, SUCCEEDED, FAULT_FOUND];

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn same_ignoring_times(&self, observed: &Self) -> bool {
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
        *observed_generation == observed.observed_generation
            && start_time.is_some() == observed.start_time.is_some()
            && completion_time.is_some() == observed.completion_time.is_some()
            && *progress == observed.progress
            && *results == observed.results
            && *omitted_results == observed.omitted_results
            && same_conditions::<Self>(conditions, &observed.conditions)
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
            conditions: vec![
                condition("Ready"),
                condition("Healthy"),
                condition("Diagnosed"),
                condition("FaultFound"),
            ],
            ..BackendServerStatus::default()
        }
    }

    #[test]
    fn times_order_foreign_conditions_and_the_reported_health_do_not_matter() {
        let mut observed = status(9);
        observed.conditions.reverse();
        let mut foreign = observed.conditions[0].clone();
        foreign.type_ = "Audited".into();
        observed.conditions.push(foreign);
        observed.health = serde_json::from_value(serde_json::json!({"state": "Unhealthy"})).unwrap();
        assert!(status(1).same_ignoring_times(&observed));
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
            let mut observed = status(1);
            change(&mut observed);
            assert!(!status(1).same_ignoring_times(&observed), "{observed:?}");
        }
    }

    #[test]
    fn every_field_of_a_status_is_somebody_s() {
        use crate::api::v1alpha1::Kind;

        fn fields<S: OwnStatus>(kind: Kind) {
            let crd = serde_json::to_value(kind.crd()).unwrap();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
            let mut all: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
            all.retain(|field| !(field == "conditions" || field == "health"));
            let mut own = S::FIELDS.to_vec();
            all.sort();
            own.sort_unstable();
            assert_eq!(all, own, "{kind}");
        }
        fields::<BackendServerStatus>(Kind::BackendServer);
        fields::<LoadBalancerStatus>(Kind::LoadBalancer);
        fields::<SecurityGroupStatus>(Kind::SecurityGroup);
        fields::<NetworkACLStatus>(Kind::NetworkACL);
        fields::<TroubleshootRequestStatus>(Kind::TroubleshootRequest);
    }

    #[test]
    fn a_digest_stands_for_what_is_ours() {
        let hasher = RandomState::new();
        let mut other = status(9);
        other.conditions.reverse();
        other.health = serde_json::from_value(serde_json::json!({"state": "Unhealthy"})).unwrap();
        let mut foreign = other.conditions[0].clone();
        foreign.type_ = "Audited".into();
        other.conditions.push(foreign);
        assert_eq!(digest(&status(1), &hasher).unwrap(), digest(&other, &hasher).unwrap());
        other.conditions[0].message = "other".into();
        assert_ne!(digest(&status(1), &hasher).unwrap(), digest(&other, &hasher).unwrap());
    }
}
