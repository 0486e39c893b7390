//! Finding objects and their fields in plain manifests.

use serde_json::Value;

/// One world: manifests of one namespace.
#[derive(Clone, Copy)]
pub struct Manifests<'a>(pub &'a [Value]);

impl<'a> Manifests<'a> {
    pub fn find(self, kind: &str, name: &str) -> Option<&'a Value> {
        self.all(kind).find(|o| name_of(o) == name)
    }

    pub fn all(self, kind: &str) -> impl Iterator<Item = &'a Value> {
        let kind = kind.to_owned();
        self.0.iter().filter(move |o| o["kind"] == kind.as_str())
    }
}

pub fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or("")
}

/// The items of a list that may be absent.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The names in a list of references.
pub fn names(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(|r| r["name"].as_str()).collect()
}

/// The strings of a list.
pub fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// A boolean that is true unless set.
pub fn on(value: &Value) -> bool {
    value.as_bool().unwrap_or(true)
}
