//! Reads one object from its JSON. What nobody reads is not parsed: of the metadata a few fields, never the managed fields; the spec
//! strictly; a status that cannot be read is as good as none.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::{
    api::v1alpha1::{API_VERSION, ApiObject, Kind, KindVisitor, Object},
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

/// Reads an object of that kind.
pub(super) fn read(kind: Kind, json: &[u8]) -> Option<Incoming> {
    struct Read<'a>(&'a Head, Parts<'a>);
    impl KindVisitor for Read<'_> {
        type Output = Result<Object, serde_json::Error>;

        fn visit<K: ApiObject>(self) -> Self::Output {
            let read = |parts: Parts<'_>| serde_json::from_slice::<K>(&parts.lean(K::KIND, self.0)?);
            let without_status = Parts { status: None, ..self.1 };
            read(self.1).or_else(|_| read(without_status)).map(Into::into)
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
