//! What of a status of ours is still there although it was left out.
//!
//! Server-side apply removes what its manager leaves out, but only where nobody else owns it: after `kubectl apply
//! --server-side --subresource=status`, or a restore that sets the status, somebody does.

use serde_json::{Map, Value, json};

use super::status::{OwnStatus, is_own_condition};

/// The operations of a JSON patch that make what is ours of the status as `desired`, over that version. Empty: it is.
pub(super) fn removal<S: OwnStatus>(
    found: &Map<String, Value>,
    desired: &Map<String, Value>,
    version: &str,
) -> Vec<Value> {
    let mut operations = Vec::new();
    for field in S::FIELDS {
        if let Some(found) = found.get(*field) {
            compare(&format!("/status/{field}"), found, desired.get(*field), &mut operations);
        }
    }
    let list = |of: &Map<String, Value>| {
        of.get("conditions")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let meant = list(desired);
    // From the last on, so that the places of those before stay.
    for (place, found) in list(found).iter().enumerate().rev() {
        if is_own_condition::<S>(found) {
            let meant = meant
                .iter()
                .find(|condition| condition.get("type") == found.get("type"));
            compare(&format!("/status/conditions/{place}"), found, meant, &mut operations);
        }
    }
    if !operations.is_empty() {
        operations.insert(0, over_version(version));
    }
    operations
}

/// Makes a JSON patch fail with a conflict when the object has changed since.
pub(super) fn over_version(version: &str) -> Value {
    json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version })
}

fn compare(path: &str, found: &Value, desired: Option<&Value>, operations: &mut Vec<Value>) {
    match (found, desired) {
        (_, None) => operations.push(json!({ "op": "remove", "path": path })),
        (Value::Object(found), Some(Value::Object(desired))) => {
            for (field, found) in found {
                let path = format!("{path}/{}", field.replace('~', "~0").replace('/', "~1"));
                compare(&path, found, desired.get(field), operations);
            }
        }
        (found, Some(desired)) if found != desired => {
            operations.push(json!({ "op": "replace", "path": path, "value": desired }));
        }
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::BackendServerStatus;

    fn operations(found: Value, desired: Value) -> Vec<Value> {
        let (Value::Object(found), Value::Object(desired)) = (found, desired) else {
            return Vec::new();
        };
        let mut all = removal::<BackendServerStatus>(&found, &desired, "7");
        if !all.is_empty() {
            assert_eq!(all.remove(0), over_version("7"));
        }
        all
    }

    #[test]
    fn what_is_as_it_was_meant_needs_no_second_write() {
        let status = json!({
            "health": { "state": "Unhealthy" },
            "observedGeneration": 1,
            "conditions": [{ "type": "Audited", "status": "True" }, { "type": "Ready", "status": "True" }],
        });
        let desired = json!({ "observedGeneration": 1, "conditions": [{ "type": "Ready", "status": "True" }] });
        assert_eq!(operations(status, desired), Vec::<Value>::new());
    }

    #[test]
    fn what_others_own_too_is_removed_and_what_is_theirs_is_not() {
        let found = json!({
            "health": { "state": "Healthy" },
            "observedGeneration": 2,
            "diagnosis": { "failed": 1, "fixes": [{ "summary": "Allow all" }] },
            "conditions": [
                { "type": "FaultFound", "status": "Unknown", "observedGeneration": 1 },
                { "type": "Audited", "status": "True" },
                { "type": "Healthy", "status": "True" },
                { "type": "Ready", "status": "True" },
            ],
        });
        let desired = json!({
            "observedGeneration": 2,
            "conditions": [{ "type": "FaultFound", "status": "Unknown" }, { "type": "Ready", "status": "True" }],
        });
        let expected = [
            json!({ "op": "remove", "path": "/status/diagnosis" }),
            json!({ "op": "remove", "path": "/status/conditions/2" }),
            json!({ "op": "remove", "path": "/status/conditions/0/observedGeneration" }),
        ];
        assert_eq!(operations(found, desired), expected);
    }

    #[test]
    fn a_part_of_a_diagnosis_that_is_over_goes_and_lists_are_taken_whole() {
        let found = json!({ "diagnosis": { "failed": 0, "impact": "All/It", "notes": ["old", "new"] } });
        let desired = json!({ "diagnosis": { "failed": 0, "notes": ["new"] } });
        let expected = [
            json!({ "op": "remove", "path": "/status/diagnosis/impact" }),
            json!({ "op": "replace", "path": "/status/diagnosis/notes", "value": ["new"] }),
        ];
        let mut found = operations(found, desired);
        found.sort_by_key(|operation| operation.get("path").map(Value::to_string));
        assert_eq!(found, expected);
    }
}
