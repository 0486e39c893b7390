//! Reads what the API server answers to a write. What nobody reads is not parsed: whatever else is in the metadata cannot make an
//! answer unreadable.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use std::collections::HashMap;

use crate::api::v1alpha1::{API_VERSION, ApiObject, ReadAnnotations};

use super::status::OwnStatus;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Head {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<ReadAnnotations>,
}

/// An object as the API server holds it after a write.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    metadata: Head,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(super) fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// The fields of the status.
    pub(super) fn status(&self) -> Result<Map<String, Value>, serde_json::Error> {
        self.status
            .map_or(Ok(Map::new()), |status| serde_json::from_str(status.get()))
    }

    /// The object as its type; `None`: its watch will tell what is wrong with it.
    pub(super) fn object<K: ApiObject>(&self) -> Option<K> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Lean<'a> {
            api_version: &'static str,
            kind: &'static str,
            metadata: &'a Head,
            #[serde(skip_serializing_if = "Option::is_none")]
            spec: Option<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<&'a RawValue>,
        }
        let lean = Lean {
            api_version: API_VERSION,
            kind: K::KIND.name(),
            metadata: &self.metadata,
            spec: self.spec,
            status: self.status,
        };
        serde_json::from_str(&serde_json::to_string(&lean).ok()?).ok()
    }
}

/// Who else owns fields of the status that are ours, by the managed fields of the only object of a list.
pub(super) fn other_managers<S: OwnStatus>(list: &str, own: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        #[serde(default)]
        managed_fields: Vec<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Entry {
        manager: String,
        #[serde(rename = "fieldsV1")]
        fields: HashMap<String, Box<RawValue>>,
    }
    let items = serde_json::from_str::<List>(list)
        .map(|list| list.items)
        .unwrap_or_default();
    let entries = items.iter().flat_map(|item| &item.metadata.managed_fields);
    let mut all: Vec<String> = entries
        .filter_map(|entry| serde_json::from_str::<Entry>(entry.get()).ok())
        .filter(|entry| entry.manager != own)
        .filter(|entry| {
            let status = entry
                .fields
                .get("f:status")
                .map(|status| status.get())
                .unwrap_or_default();
            let fields: HashMap<String, Box<RawValue>> = serde_json::from_str(status).unwrap_or_default();
            let ours = |field: &str| S::FIELDS.contains(&field) || field == "conditions";
            fields.keys().any(|field| field.strip_prefix("f:").is_some_and(ours))
        })
        .map(|entry| entry.manager)
        .collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::{ACCEPT_ANNOTATION, BackendServer, BackendServerStatus};

    #[test]
    fn metadata_that_nobody_reads_makes_no_answer_unreadable() {
        let deep = "{\"f:x\":".repeat(500) + "{}" + &"}".repeat(500);
        let text = format!(
            r#"{{"apiVersion":"elb-doctor.dev/v1alpha1","kind":"BackendServer","metadata":{{"name":"ewe-1","namespace":"meadow","uid":"u","resourceVersion":"7","annotations":{{"{ACCEPT_ANNOTATION}":"a","b":"c"}},
            "managedFields":[{{"manager":"evil","time":"9999-12-31T23:59:59-12:00","fieldsV1":{deep}}}]}},
            "spec":{{"loadBalancerRef":{{"name":"gate"}},"backendServerGroup":"herd","address":"10.2.0.11","port":80}},
            "status":{{"observedGeneration":1,"conditions":[]}}}}"#
        );
        let answer = Answer::read(&text).unwrap();
        assert_eq!(answer.version(), "7");
        assert_eq!(answer.status().unwrap().len(), 2);
        let object = answer.object::<BackendServer>().unwrap();
        let annotations = object.metadata.annotations.unwrap();
        assert_eq!(
            annotations.into_iter().collect::<Vec<_>>(),
            [(ACCEPT_ANNOTATION.into(), "a".into())]
        );
        assert_eq!(object.status.unwrap().observed_generation, Some(1));
    }

    #[test]
    fn who_owns_what_is_ours_is_named() {
        let entry = |manager: &str, fields: &str| {
            format!(
                r#"{{"manager":"{manager}","operation":"Apply","subresource":"status","time":"nonsense","fieldsV1":{{"f:status":{fields}}}}}"#
            )
        };
        let entries = [
            entry("elb-doctor", r#"{"f:diagnosis":{}}"#),
            entry(
                "elb-doctor/meadow",
                r#"{"f:conditions":{"k:{}":{}},"f:observedGeneration":{}}"#,
            ),
            entry("reporter", r#"{"f:health":{"f:state":{}}}"#),
            r#"{"manager":"kubectl","fieldsV1":{"f:spec":{}}}"#.into(),
            "7".into(),
        ];
        let list = format!(
            r#"{{"items":[{{"metadata":{{"managedFields":[{}]}}}}]}}"#,
            entries.join(",")
        );
        assert_eq!(
            other_managers::<BackendServerStatus>(&list, "elb-doctor"),
            ["elb-doctor/meadow"]
        );
        assert!(other_managers::<BackendServerStatus>("nonsense", "elb-doctor").is_empty());
    }
}
