//! A document against the structural schema of its kind: unknown fields, types, bounds, forms; defaults filled in.
//!
//! A walker of our own and no JSON Schema library: the schemas use a dozen keywords, and walking the document itself
//! gives the line of every violation, pruning and defaults on the way. They are worded as the API server words them,
//! since that is what an admin knows from kubectl. The order is the API server's too: nulls go, defaults come, then rules.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value as Json, json};

use super::{
    hint,
    node::{Entry, Node, Value},
    spelling,
};
use crate::text::excerpt;

/// Something that the schema does not allow.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Where it stands.
    pub line: u64,
    /// The field's path, such as `spec.rules[2].ports`; empty for the object itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// Compiled patterns, by their text.
#[derive(Default)]
pub struct Patterns(HashMap<String, Option<Regex>>);

impl Patterns {
    fn matches(&mut self, pattern: &str, text: &str) -> bool {
        if !self.0.contains_key(pattern) {
            self.0.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        // A pattern that does not compile matches nothing, so that nothing gets past it. A test compiles them all.
        self.0
            .get(pattern)
            .and_then(Option::as_ref)
            .is_some_and(|r| r.is_match(text))
    }
}

/// A walk over one document.
pub struct Walk<'a> {
    patterns: &'a mut Patterns,
    /// What was found, in the order of the walk.
    pub violations: Vec<Violation>,
    /// What is allowed and hardly meant.
    pub doubts: Vec<Violation>,
}

impl<'a> Walk<'a> {
    /// A walk with nothing found yet.
    pub fn new(patterns: &'a mut Patterns) -> Self {
        Self {
            patterns,
            violations: Vec::new(),
            doubts: Vec::new(),
        }
    }

    fn find(&mut self, line: u64, path: &str, message: String) {
        self.violations.push(Violation {
            line,
            path: path.to_owned(),
            message,
        });
    }

    fn refuse(&mut self, node: &Node, path: &str, why: &str) {
        let value = shown(node);
        self.find(node.line, path, format!("Invalid value: {value}: {why}"));
    }

    /// Checks a node and gives it back as JSON: unknown fields dropped, nulls taken for absence, defaults filled in.
    pub fn node(&mut self, schema: &Json, node: &Node, path: &str) -> Json {
        let Some(expected) = schema.get("type").and_then(Json::as_str) else {
            return node.to_json();
        };
        let json = match (expected, &node.value) {
            ("object", Value::Map(entries)) => self.object(schema, node, entries, path),
            ("array", Value::List(items)) => self.list(schema, node, items, path),
            ("string", Value::String(text)) => {
                self.string(schema, node, text, path);
                text.as_str().into()
            }
            ("boolean", Value::Bool(b)) => (*b).into(),
            ("integer" | "number", Value::Number(n)) => match whole(n) {
                Some(n) => {
                    self.number(schema, node, n.as_f64(), path);
                    n.into()
                }
                None if expected == "number" => n.clone().into(),
                None => {
                    self.wrong_type(schema, expected, node, path);
                    n.clone().into()
                }
            },
            _ => {
                self.wrong_type(schema, expected, node, path);
                return node.to_json();
            }
        };
        if let Some(words) = schema.get("enum").and_then(Json::as_array)
            && !words.contains(&json)
        {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            let right = node.as_str().and_then(|word| spelling::one_of(word, &words));
            let hint = right.map_or_else(String::new, hint::suggestion);
            let supported = words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(", ");
            let value = shown(node);
            self.find(
                node.line,
                path,
                format!("Unsupported value: {value}: supported values: {supported}{hint}"),
            );
        }
        json
    }

    fn wrong_type(&mut self, schema: &Json, expected: &str, node: &Node, path: &str) {
        let is = node.type_name();
        let words: Vec<&str> = strings(schema, "enum").collect();
        // The mistake behind most of these: `protocol: 6`, `name: on`.
        let hint = match (expected, &node.value) {
            ("string", Value::Number(_) | Value::Bool(_)) if !words.is_empty() => {
                let right = spelling::one_of(&node.to_json().to_string(), &words);
                right.map_or_else(String::new, hint::suggestion)
            }
            ("string", Value::Number(n)) => spelling::of_number(path, n).unwrap_or(": put it in quotes").into(),
            ("string", Value::Bool(_)) => ": put it in quotes".into(),
            ("boolean", Value::String(text)) => spelling::of_bool(text).unwrap_or_default().into(),
            ("integer", Value::String(text)) if text.parse::<i64>().is_ok() => ": write it without quotes".into(),
            ("array", _) => ": start each item with a dash, or use brackets".into(),
            _ => String::new(),
        };
        self.refuse(node, path, &format!("must be of type {expected}, not {is}{hint}"));
    }

    fn object(&mut self, schema: &Json, node: &Node, entries: &[Entry], path: &str) -> Json {
        let mut out = Map::new();
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            let each = schema.get("additionalProperties").filter(|s| s.is_object());
            for entry in entries {
                let path = join(path, &entry.key);
                let value = match each {
                    Some(each) => self.node(each, &entry.node, &path),
                    None => entry.node.to_json(),
                };
                out.insert(entry.key.clone(), value);
            }
            return out.into();
        };
        for entry in entries {
            let path = join(path, &entry.key);
            let Some(property) = properties.get(&entry.key) else {
                let absent = properties
                    .keys()
                    .map(String::as_str)
                    .filter(|k| !entries.iter().any(|e| e.key == *k));
                let hint = hint::did_you_mean(&entry.key, absent);
                self.find(entry.line, &path, format!("unknown field {:?}{hint}", entry.key));
                continue;
            };
            if !matches!(entry.node.value, Value::Null) {
                let value = self.node(property, &entry.node, &path);
                out.insert(entry.key.clone(), value);
            }
        }
        for (name, property) in properties {
            if let (false, Some(default)) = (out.contains_key(name), property.get("default")) {
                out.insert(name.clone(), default.clone());
            }
        }
        for required in strings(schema, "required") {
            if !out.contains_key(required) {
                self.find(node.line, &join(path, required), "Required value".into());
            }
        }
        out.into()
    }

    fn list(&mut self, schema: &Json, node: &Node, items: &[Node], path: &str) -> Json {
        if let Some(max) = count(schema, "maxItems").filter(|max| items.len() > *max) {
            self.find(
                node.line,
                path,
                format!("Too many: {}: must have at most {max} items", items.len()),
            );
        }
        if let Some(min) = count(schema, "minItems").filter(|min| items.len() < *min) {
            self.refuse(node, path, &format!("{path} in body should have at least {min} items"));
        }
        let each = schema.get("items").unwrap_or(&Json::Null);
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            out.push(self.node(each, item, &format!("{path}[{i}]")));
        }
        let keys: Vec<&str> = strings(schema, "x-kubernetes-list-map-keys").collect();
        if !keys.is_empty() {
            let mut seen: HashMap<String, u64> = HashMap::new();
            for (i, (item, value)) in items.iter().zip(&out).enumerate() {
                let key: Map<String, Json> = keys
                    .iter()
                    .filter_map(|k| Some(((*k).to_owned(), value.get(k)?.clone())))
                    .collect();
                let key = Json::Object(key).to_string();
                if let Some(first) = seen.get(&key) {
                    let message = format!("Duplicate value: {}: also on line {first}", excerpt(&key));
                    self.find(item.line, &format!("{path}[{i}]"), message);
                } else {
                    seen.insert(key, item.line);
                }
            }
        }
        out.into()
    }

    fn string(&mut self, schema: &Json, node: &Node, text: &str, path: &str) {
        let before = self.violations.len();
        let length = text.chars().count();
        if let Some(max) = count(schema, "maxLength").filter(|max| length > *max) {
            self.find(
                node.line,
                path,
                format!("Too long: may not be more than {max} characters, is {length}"),
            );
            return;
        }
        if let Some(min) = count(schema, "minLength").filter(|min| length < *min) {
            self.refuse(
                node,
                path,
                &format!("{path} in body should be at least {min} chars long"),
            );
        }
        if let Some(pattern) = schema.get("pattern").and_then(Json::as_str)
            && !self.patterns.matches(pattern, text)
        {
            let hint = spelling::of_value(path, text);
            self.refuse(node, path, &format!("{path} in body should match '{pattern}'{hint}"));
        }
        for form in schema.get(FORMS).and_then(Json::as_array).into_iter().flatten() {
            let part = |field| form.get(field).and_then(Json::as_str).unwrap_or_default();
            if !self.patterns.matches(part("pattern"), text) {
                let hint = spelling::of_value(path, text);
                self.refuse(node, path, &format!("{}{hint}", part("message")));
            }
        }
        if let (true, Some(message)) = (self.violations.len() == before, spelling::doubt(path, text)) {
            self.doubts.push(Violation {
                line: node.line,
                path: path.to_owned(),
                message,
            });
        }
        if schema.get("format").and_then(Json::as_str) == Some("date-time") && text.parse::<jiff::Timestamp>().is_err()
        {
            self.refuse(
                node,
                path,
                &format!("{path} in body must be of type date-time, such as \"2026-01-31T12:00:00Z\""),
            );
        }
    }

    fn number(&mut self, schema: &Json, node: &Node, value: Option<f64>, path: &str) {
        let Some(value) = value else { return };
        if let Some(min) = number(schema, "minimum").filter(|min| value < *min) {
            self.refuse(
                node,
                path,
                &format!("{path} in body should be greater than or equal to {min}"),
            );
        }
        if let Some(max) = number(schema, "maximum").filter(|max| value > *max) {
            self.refuse(
                node,
                path,
                &format!("{path} in body should be less than or equal to {max}"),
            );
        }
    }
}

/// Where [`take_forms`] puts what it takes.
const FORMS: &str = "x-forms";

/// Takes the rules that only ask whether a string has a form, `self.matches('…')`, from the CEL engine, which compiles the
/// pattern anew for each string, and gives them to the walk, which compiles it once. They are half of all rules and stand on
/// every rule of a security group: a group of 1,000 rules is judged several times faster.
pub fn take_forms(schema: &mut Json) {
    const VALIDATIONS: &str = "x-kubernetes-validations";
    match schema {
        Json::Object(map) => {
            let (mut forms, mut others) = (Vec::new(), Vec::new());
            for validation in map
                .remove(VALIDATIONS)
                .as_ref()
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
            {
                let pattern = validation
                    .get("rule")
                    .and_then(Json::as_str)
                    .and_then(|rule| rule.strip_prefix("self.matches('")?.strip_suffix("')"))
                    // What CEL would read otherwise than it is written stays with CEL.
                    .filter(|pattern| !pattern.contains(['\'', '\\']));
                match pattern {
                    Some(pattern) => forms.push(json!({"pattern": pattern, "message": validation.get("message")})),
                    None => others.push(validation.clone()),
                }
            }
            if !others.is_empty() {
                map.insert(VALIDATIONS.into(), others.into());
            }
            map.values_mut().for_each(take_forms);
            if !forms.is_empty() {
                map.insert(FORMS.into(), forms.into());
            }
        }
        Json::Array(list) => list.iter_mut().for_each(take_forms),
        _ => {}
    }
}

/// The schema of `metadata`, which no definition spells out: the fields that a manifest may have.
#[must_use]
pub fn metadata() -> Json {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let time = json!({"type": "string", "format": "date-time"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let anything = json!({"type": "array", "items": {}});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1}, "generateName": text, "namespace": text, "labels": texts, "annotations": texts,
            "uid": text, "resourceVersion": text, "generation": number, "creationTimestamp": time,
            "deletionTimestamp": time, "deletionGracePeriodSeconds": number, "selfLink": text,
            "finalizers": {"type": "array", "items": text}, "ownerReferences": anything, "managedFields": anything,
        },
    })
}

fn join(path: &str, key: &str) -> String {
    let key = excerpt(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

pub(super) fn strings<'s>(schema: &'s Json, keyword: &str) -> impl Iterator<Item = &'s str> {
    schema
        .get(keyword)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
}

fn count(schema: &Json, keyword: &str) -> Option<usize> {
    schema.get(keyword)?.as_u64().and_then(|n| n.try_into().ok())
}

pub(super) fn number(schema: &Json, keyword: &str) -> Option<f64> {
    schema.get(keyword).and_then(Json::as_f64)
}

/// The number without a fraction of zero: `1.0` is an integer to the API server.
#[allow(clippy::cast_possible_truncation, reason = "only whole numbers of 53 bits get there")]
pub(super) fn whole(n: &serde_json::Number) -> Option<serde_json::Number> {
    if !n.is_f64() {
        return Some(n.clone());
    }
    n.as_f64()
        .filter(|f| f.fract() == 0.0 && f.abs() < 9.0e15)
        .map(|f| (f as i64).into())
}

/// A value as it is shown in a message: JSON, short enough for one line of a message. JSON escapes control characters.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::List(items) => format!("an array of {}", items.len()),
        Value::Map(_) => "an object".into(),
        _ => excerpt(&node.to_json().to_string()),
    }
}
