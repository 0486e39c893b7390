//! Reads one object from its JSON. What nobody reads is not parsed: of the metadata a few fields, never the managed fields; the spec
//! strictly; a part of a status that cannot be read is as good as absent, and the other parts stay.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::{
    api::v1alpha1::{API_VERSION, ApiObject, Kind, KindVisitor, Object, ReadAnnotations},
    world::{Incoming, Key, Unreadable},
};

/// What is read of an object's metadata.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Head {
    /// Its name.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    /// Its uid.
    pub(super) uid: String,
    /// Its resource version.
    pub(super) resource_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<ReadAnnotations>,
}

impl Head {
    /// Its namespace and name.
    pub(super) fn key(&self) -> Key {
        Key::new(self.namespace.as_str(), self.name.as_str())
    }

    /// Its resource version as a number.
    pub(super) fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }
}

/// The JSON of the parts of an object.
#[derive(Clone, Copy, Debug, Default)]
struct Parts<'a> {
    metadata: &'a [u8],
    spec: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(json: &'a [u8]) -> Self {
        let mut out = Self::default();
        for (key, value) in wire::fields(json) {
            match key {
                b"metadata" => out.metadata = value,
                b"spec" => out.spec = Some(value),
                b"status" => out.status = Some(value),
                _ => {}
            }
        }
        out
    }

    fn with_status<'b>(self, status: Option<&'b [u8]>) -> Parts<'b>
    where
        'a: 'b,
    {
        Parts { status, ..self }
    }

    fn parse<K: ApiObject>(self, head: &Head) -> Result<K, serde_json::Error> {
        serde_json::from_slice(&self.lean(K::KIND, head)?)
    }

    /// The object without what nobody reads.
    fn lean(self, kind: Kind, head: &Head) -> Result<Vec<u8>, serde_json::Error> {
        let mut lean = format!(r#"{{"apiVersion":"{API_VERSION}","kind":"{kind}","metadata":"#).into_bytes();
        serde_json::to_writer(&mut lean, head)?;
        for (name, part) in [("spec", self.spec), ("status", self.status)] {
            if let Some(part) = part {
                lean.extend_from_slice(format!(r#","{name}":"#).as_bytes());
                lean.extend_from_slice(part);
            }
        }
        lean.push(b'}');
        Ok(lean)
    }
}

/// The name and version of an object. `None`: it has none, so that there is nothing to speak of.
pub(super) fn head(json: &[u8]) -> Option<Head> {
    let head: Head = serde_json::from_slice(Parts::of(json).metadata).ok()?;
    (!head.name.is_empty()).then_some(head)
}

/// The status with only those of its parts that can be read alone: one wrong part takes no other along, least of all the
/// reported health.
fn readable(status: &[u8], can_be_read: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    for (name, value) in wire::fields(status) {
        let part = [b"\"", name, b"\":", value].concat();
        if can_be_read(&[b"{", part.as_slice(), b"}"].concat()) {
            kept.push(part);
        }
    }
    [b"{".as_slice(), &kept.join(b",".as_slice()), b"}"].concat()
}

/// Reads an object of that kind.
pub(super) fn read(kind: Kind, json: &[u8]) -> Option<Incoming> {
    struct Read<'a>(&'a Head, Parts<'a>);
    impl KindVisitor for Read<'_> {
        type Output = Result<Object, serde_json::Error>;

        fn visit<K: ApiObject>(self) -> Self::Output {
            let Self(head, parts) = self;
            parts
                .parse::<K>(head)
                .or_else(|_| {
                    let kept = readable(parts.status.unwrap_or_default(), |part| {
                        parts.with_status(Some(part)).parse::<K>(head).is_ok()
                    });
                    parts.with_status(Some(&kept)).parse(head)
                })
                .or_else(|_| parts.with_status(None).parse(head))
                .map(Into::into)
        }
    }
    let head = head(json)?;
    Some(match kind.visit(Read(&head, Parts::of(json))) {
        Ok(object) => Incoming::from(object),
        Err(error) => Incoming::from(Unreadable {
            kind,
            key: head.key(),
            version: head.version(),
            uid: Some(head.uid),
            why: error.to_string().into(),
        }),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::v1alpha1::{ACCEPT_ANNOTATION, BackendServer, HealthState};

    #[test]
    fn of_the_annotations_only_the_one_that_is_read_is_kept() {
        let kept = |annotations: Value| {
            let json = json!({"metadata": {"name": "a", "namespace": "meadow", "annotations": annotations}, "spec": {"cidrs": []}});
            let Some(Incoming::Readable { object, .. }) = read(Kind::Subnet, json.to_string().as_bytes()) else {
                panic!("{annotations} is not read")
            };
            object.meta().annotations.clone().unwrap_or_default()
        };
        let accept = json!({ACCEPT_ANNOTATION: "x", "shepherd": "tom"});
        assert_eq!(
            kept(accept).into_iter().collect::<Vec<_>>(),
            [(ACCEPT_ANNOTATION.into(), "x".into())]
        );
        for none in [json!(null), json!({}), json!({"shepherd": "tom"})] {
            assert!(kept(none).is_empty());
        }
    }

    fn backend(status: &Value) -> Option<BackendServer> {
        let json = json!({
            "metadata": {
                "name": "ewe", "namespace": "meadow", "uid": "1", "resourceVersion": "1",
                "managedFields": [{ "time": "9999-12-31T23:59:59-12:00" }]
            },
            "spec": {
                "loadBalancerRef": { "name": "gate" }, "backendServerGroup": "sheep",
                "type": "IP", "address": "10.0.0.1", "port": 80
            },
            "status": status,
        });
        match read(Kind::BackendServer, json.to_string().as_bytes())? {
            Incoming::Readable {
                object: Object::BackendServer(backend),
                ..
            } => Some((*backend).clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reported_health_outlives_every_other_part_that_cannot_be_read() {
        let health = json!({ "state": "Unhealthy", "reportedAt": "9999-12-31T23:59:59-12:00" });
        let late = json!([{
            "type": "Ready", "status": "True", "reason": "R", "message": "m",
            "lastTransitionTime": "9999-12-31T23:59:59-12:00"
        }]);
        for status in [
            json!({ "health": health, "diagnosis": { "failed": 5_000_000_000_u64 }, "observedGeneration": 7 }),
            json!({ "conditions": late, "observedGeneration": 7, "health": health }),
            json!({ "diagnosis": "none", "health": health, "conditions": 3, "observedGeneration": 7 }),
        ] {
            let read = backend(&status).unwrap().status.unwrap();
            assert_eq!(read.health.unwrap().state, HealthState::Unhealthy, "{status}");
            assert_eq!(read.observed_generation, Some(7), "{status}");
            assert!(read.diagnosis.is_none() && read.conditions.is_empty(), "{status}");
        }
    }

    #[test]
    fn a_health_that_cannot_be_read_or_a_status_that_is_no_object_is_absent() {
        for status in [
            json!({ "health": { "state": "Sick" } }),
            json!("well"),
            json!([1]),
            json!(null),
        ] {
            let health = backend(&status).unwrap().status.and_then(|status| status.health);
            assert!(health.is_none(), "{status}");
        }
    }
}
