//! A document as its type can hold it, whatever is wrong with it: right words for wrong ones, and something that fits in the place of
//! what does not.
//!
//! Nobody diagnoses it. It is asked for further mistakes, so that one look tells all of them.

use serde_json::{Map, Value as Json};

use super::{
    node::{Node, Value},
    schema::{number, strings, whole},
    spelling,
};

/// The mended document. What cannot be mended is as if it were not there.
pub fn mended(schema: &Json, node: &Node) -> Json {
    value(schema, node).unwrap_or_else(|| placeholder(schema))
}

fn value(schema: &Json, node: &Node) -> Option<Json> {
    let Some(expected) = schema.get("type").and_then(Json::as_str) else {
        return Some(node.to_json());
    };
    match (expected, &node.value) {
        ("object", Value::Map(entries)) => {
            let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
                return Some(node.to_json());
            };
            let mut out = Map::new();
            for entry in entries {
                if let Some(property) = properties.get(&entry.key)
                    && let Some(value) = value(property, &entry.node)
                {
                    out.insert(entry.key.clone(), value);
                }
            }
            for (name, property) in properties {
                if let (false, Some(default)) = (out.contains_key(name), property.get("default")) {
                    out.insert(name.clone(), default.clone());
                }
            }
            complete(schema, &mut out);
            Some(out.into())
        }
        ("array", Value::List(items)) => {
            let each = schema.get("items").unwrap_or(&Json::Null);
            Some(items.iter().map(|item| mended(each, item)).collect())
        }
        ("string", Value::String(text)) => match words(schema) {
            words if words.is_empty() || words.contains(&text.as_str()) => Some(text.as_str().into()),
            words => spelling::one_of(text, &words)
                .or(words.first().copied())
                .map(Json::from),
        },
        ("boolean", Value::Bool(b)) => Some((*b).into()),
        ("integer" | "number", Value::Number(n)) => {
            let n = whole(n).or_else(|| (expected == "number").then(|| n.clone()))?;
            let is = n.as_f64()?;
            let fits = number(schema, "minimum").is_none_or(|min| is >= min)
                && number(schema, "maximum").is_none_or(|max| is <= max);
            fits.then(|| n.into())
        }
        _ => None,
    }
}

fn words(schema: &Json) -> Vec<&str> {
    strings(schema, "enum").collect()
}

/// Puts something in the place of what is required.
fn complete(schema: &Json, object: &mut Map<String, Json>) {
    for required in strings(schema, "required") {
        if !object.contains_key(required) {
            let property = schema.get("properties").and_then(|properties| properties.get(required));
            object.insert(required.to_owned(), placeholder(property.unwrap_or(&Json::Null)));
        }
    }
}

fn placeholder(schema: &Json) -> Json {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("object") => {
            let mut object = Map::new();
            complete(schema, &mut object);
            object.into()
        }
        Some("array") => Json::Array(Vec::new()),
        Some("string") => words(schema).first().copied().unwrap_or("x").into(),
        Some("boolean") => true.into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        _ => Json::Null,
    }
}
