//! Whether the cluster's definitions of our kinds have every field that this version writes or reads.
//!
//! Definitions and controller are applied one after the other, and a definition of an older release drops new fields of a spec without
//! a word and refuses new fields of a status. Asked is the published schema of the API, which every account may read, and not the
//! definitions themselves, for which a controller of one namespace has no right.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::Client;
use serde_json::Value;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    api::v1alpha1::{API_VERSION, crds},
    text::sentence_list,
};

use super::wire::{self, WireError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks: usually, and while something lacks or is in doubt.
const SELDOM: Duration = Duration::from_mins(2);
const OFTEN: Duration = Duration::from_secs(5);
/// Between two looks at least.
const PACE: Duration = Duration::from_secs(1);
/// Looks after a doubt: the API server publishes a change of a definition with a delay.
const LOOKS: u32 = 6;
/// Fields that are named before the rest is counted.
const NAMED: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::controller) struct Definitions {
    /// What is not there, in words; `None`: nothing, as far as is known.
    lacking: Mutex<Option<String>>,
    doubted: Notify,
}

impl Definitions {
    /// A write was answered as by an older definition: look again now.
    pub(in crate::controller) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// What the cluster's definitions lack, in words of readiness.
    pub(super) fn waits_for(&self) -> Option<String> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the start, when there is a doubt, and from time to time. Never ends.
    pub(super) async fn follow(&self, client: &Client) {
        let mut known = None;
        let mut looks = 1;
        loop {
            match look(client, &mut known).await {
                Ok(Some(lacking)) => self.note(&lacking),
                Ok(None) => {}
                // Not every cluster publishes the schema to everybody. A write will tell.
                Err(error) => debug!("cannot read the schema that the API server publishes: {error}"),
            }
            // Every write that fails for it raises a doubt.
            sleep(PACE).await;
            let pause = if self.waits_for().is_some() || looks > 1 {
                OFTEN
            } else {
                SELDOM
            };
            looks = match timeout(pause, self.doubted.notified()).await {
                Ok(()) => LOOKS,
                Err(_) => looks.max(2) - 1,
            };
        }
    }

    /// Takes note of fields that are not there, and says so once.
    fn note(&self, fields: &BTreeSet<String>) {
        let text = (!fields.is_empty()).then(|| {
            format!(
                "the cluster's definitions are older than this version and lack {}: apply its own with `elb-doctor crds | kubectl apply --server-side -f -`",
                sentence_list(fields.iter().map(String::as_str), NAMED)
            )
        });
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        if *lacking == text {
            return;
        }
        if let Some(text) = &text {
            warn!("{text}");
        } else {
            info!("the installed CRDs have every field that this version needs");
        }
        *lacking = text;
    }
}

/// Reads the published schema. `None`: it is the one that was read before.
async fn look(client: &Client, known: &mut Option<String>) -> Result<Option<BTreeSet<String>>, WireError> {
    let json = async |uri: &str| -> Result<Value, WireError> {
        let text = wire::get(client, uri, wire::WHOLE, PATIENCE).await?.text().await?;
        serde_json::from_slice(&text).map_err(|error| WireError::Garbled(error.to_string()))
    };
    let path = format!("apis/{API_VERSION}");
    let index = json("/openapi/v3").await?;
    // Its address has a digest of the content.
    let address = index.get("paths").and_then(|paths| paths.get(&path));
    let address = address
        .and_then(|entry| entry.get("serverRelativeURL"))
        .and_then(Value::as_str);
    // Without any of our kinds: their lists say so.
    let Some(address) = address else { return Ok(None) };
    if known.as_deref() == Some(address) {
        return Ok(None);
    }
    let schema = json(address).await?;
    let ours = crds::values().map_err(|error| WireError::Garbled(error.to_string()))?;
    *known = Some(address.to_owned());
    Ok(Some(lacking(&ours, &schema)))
}

/// The fields of our definitions that the published schema does not have, by the plural of their kind.
fn lacking(ours: &[Value], published: &Value) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let schemas = published.pointer("/components/schemas").and_then(Value::as_object);
    for definition in ours {
        let text = |path: &str| definition.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (kind, plural) = (text("/spec/names/kind"), text("/spec/names/plural"));
        let is_ours = |schema: &&Value| {
            let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            kinds.is_some_and(|kinds| {
                kinds
                    .iter()
                    .any(|own| own.get("kind").and_then(Value::as_str) == Some(kind))
            })
        };
        let found = schemas.and_then(|schemas| schemas.values().find(is_ours));
        let own = definition.pointer("/spec/versions/0/schema/openAPIV3Schema");
        // A kind that is not there at all: its list says so.
        if let (Some(own), Some(found)) = (own, found) {
            for part in ["spec", "status"] {
                let pointer = format!("/properties/{part}");
                match (own.pointer(&pointer), found.pointer(&pointer)) {
                    (Some(own), Some(found)) => compare(own, found, &format!("{part} of {plural}"), &mut out),
                    (Some(_), None) => drop(out.insert(format!("{part} of {plural}"))),
                    (None, _) => {}
                }
            }
        }
    }
    out
}

/// Adds the fields of `own` that are not in `found`, each without its own fields, and the values that only `own` takes.
fn compare(own: &Value, found: &Value, path: &str, out: &mut BTreeSet<String>) {
    let values = |schema: &Value| -> Option<Vec<String>> {
        let values = schema.get("enum").and_then(Value::as_array)?.iter();
        Some(values.filter_map(Value::as_str).map(str::to_owned).collect())
    };
    if let (Some(own), Some(found)) = (values(own), values(found)) {
        let lacking = own.into_iter().filter(|value| !found.contains(value));
        out.extend(lacking.map(|value| format!("the value {value} in {path}")));
    }
    if let Some(fields) = own.get("properties").and_then(Value::as_object) {
        for (name, own) in fields {
            let below = match path.split_once(" of ") {
                Some((fields, plural)) => format!("{fields}.{name} of {plural}"),
                None => name.clone(),
            };
            match found.get("properties").and_then(|fields| fields.get(name)) {
                Some(found) => compare(own, found, &below, out),
                None => drop(out.insert(below)),
            }
        }
    }
    for key in ["items", "additionalProperties"] {
        if let (Some(own), Some(found)) = (own.get(key), found.get(key)) {
            compare(own, found, path, out);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As the API server publishes our definitions.
    fn published(ours: &[Value]) -> Value {
        let schemas = ours.iter().map(|definition| {
            let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
            let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
            schema["x-kubernetes-group-version-kind"] =
                json!([{ "group": "elb-doctor.dev", "kind": kind, "version": "v1alpha1" }]);
            (format!("dev.elb-doctor.v1alpha1.{kind}"), schema)
        });
        json!({ "components": { "schemas": schemas.collect::<serde_json::Map<_, _>>() } })
    }

    #[test]
    fn our_own_definitions_lack_nothing() {
        let ours = crds::values().unwrap();
        assert_eq!(lacking(&ours, &published(&ours)), BTreeSet::new());
    }

    #[test]
    fn a_field_that_is_missing_anywhere_is_named_and_what_is_more_is_not() {
        let ours = crds::values().unwrap();
        let mut older = published(&ours);
        let backend =
            older["components"]["schemas"]["dev.elb-doctor.v1alpha1.BackendServer"]["properties"].as_object_mut();
        let backend = backend.unwrap();
        let fields = backend["status"]["properties"]["diagnosis"]["properties"]
            .as_object_mut()
            .unwrap();
        assert!(fields.remove("nextSteps").is_some());
        let checks = fields["checks"]["items"]["properties"].as_object_mut().unwrap();
        assert!(checks.remove("severity").is_some());
        fields.insert("later".into(), json!({ "type": "string" }));
        let kind = fields["fixes"]["items"]["properties"]["kind"]["enum"]
            .as_array_mut()
            .unwrap();
        kind.retain(|value| value != "LoadBalancer");
        let groups = &mut older["components"]["schemas"]["dev.elb-doctor.v1alpha1.AddressGroup"]["properties"];
        assert!(
            groups["spec"]["properties"]
                .as_object_mut()
                .unwrap()
                .remove("addresses")
                .is_some()
        );
        let found = lacking(&ours, &older);
        let expected = [
            "spec.addresses of addressgroups",
            "status.diagnosis.checks.severity of backendservers",
            "status.diagnosis.nextSteps of backendservers",
            "the value LoadBalancer in status.diagnosis.fixes.kind of backendservers",
        ];
        assert_eq!(found, expected.map(str::to_owned).into());
    }

    #[test]
    fn it_is_said_until_it_is_mended() {
        let definitions = Definitions::default();
        definitions.note(&BTreeSet::new());
        assert_eq!(definitions.waits_for(), None);
        definitions.note(&["status.a of subnets".to_owned()].into());
        let said = definitions.waits_for().unwrap();
        assert!(
            said.contains("status.a of subnets") && said.contains("elb-doctor crds | kubectl apply"),
            "{said}"
        );
        definitions.note(&BTreeSet::new());
        assert_eq!(definitions.waits_for(), None);
    }
}
