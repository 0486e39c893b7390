//! What the API server would say of an object of one of our kinds: its schema and its CEL rules, from our own definitions.

use std::collections::HashMap;

use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::Value as Json;

use super::{
    node::Node,
    schema::{self, Patterns, Violation, Walk},
};
use crate::{
    api::v1alpha1::{Kind, crds},
    text::{clean, excerpt},
};

/// Judges objects. Schemas are compiled once, when the first object of their kind comes.
pub struct Admission {
    schemas: HashMap<Kind, Json>,
    compiled: HashMap<Kind, CompiledSchema>,
    validator: Validator,
    patterns: Patterns,
}

impl Admission {
    /// Ready to judge.
    ///
    /// # Errors
    /// Never in practice: a definition that cannot be written as JSON.
    pub fn new() -> Result<Self, serde_json::Error> {
        let mut schemas = HashMap::new();
        for crd in crds::values()? {
            let kind = crd
                .pointer("/spec/names/kind")
                .and_then(Json::as_str)
                .and_then(Kind::from_name);
            let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema");
            if let (Some(kind), Some(schema)) = (kind, schema) {
                let mut schema = with_type_meta(schema.clone());
                schema::take_forms(&mut schema);
                schemas.insert(kind, schema);
            }
        }
        Ok(Self {
            schemas,
            compiled: HashMap::new(),
            validator: Validator::new(),
            patterns: Patterns::default(),
        })
    }

    /// The object with its defaults, and all that admission would refuse. CEL rules are asked only of an object that the
    /// schema allows, as the API server does: they may rely on it.
    pub fn admit(&mut self, kind: Kind, node: &Node) -> (Json, Vec<Violation>) {
        let Some(schema) = self.schemas.get(&kind) else {
            return (node.to_json(), Vec::new());
        };
        let mut walk = Walk::new(&mut self.patterns);
        let object = walk.node(schema, node, "");
        let mut violations = walk.violations;
        violations.extend(metadata_violations(node, &object));
        if violations.is_empty() {
            let compiled = self.compiled.entry(kind).or_insert_with(|| compile_schema(schema));
            let errors = self.validator.validate_compiled(compiled, &object, None);
            for error in errors.err().into_iter().flatten() {
                let path = error.field_path.trim_start_matches('.').to_owned();
                // The rules are ours and every one of them is tried by a test; still never take a failure for a pass.
                let message = match error.kind {
                    ErrorKind::ValidationFailure => format!("Invalid value: {}", error.message),
                    _ => format!("the rule {:?} could not be evaluated: {}", error.rule, error.message),
                };
                violations.push(Violation {
                    line: node.line_of(&path),
                    path,
                    message: clean(&message).into_owned(),
                });
            }
        }
        violations.sort_by_key(|f| f.line);
        (object, violations)
    }
}

/// The schema as the API server completes it: with the fields that every object has.
fn with_type_meta(mut schema: Json) -> Json {
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        for field in ["apiVersion", "kind"] {
            properties.insert(field.into(), serde_json::json!({"type": "string"}));
        }
        properties.insert("metadata".into(), schema::metadata());
    }
    if let Some(required) = schema.get_mut("required").and_then(Json::as_array_mut) {
        required.push("metadata".into());
    }
    schema
}

/// What the API server asks of names.
fn metadata_violations(node: &Node, object: &Json) -> Vec<Violation> {
    let text = |field| object.pointer(field).and_then(Json::as_str);
    let mut violations = Vec::new();
    let mut refuse = |path: &str, value: &str, why: &str| {
        violations.push(Violation {
            line: node.line_of(path),
            path: path.to_owned(),
            message: format!("Invalid value: {:?}: {why}", excerpt(value)),
        });
    };
    if let Some(name) = text("/metadata/name").filter(|n| !is_subdomain(n) && !n.is_empty()) {
        refuse(
            "metadata.name",
            name,
            "must be at most 253 lowercase letters, digits, '-' and '.', starting and ending with a letter or digit",
        );
    }
    if let Some(namespace) = text("/metadata/namespace").filter(|n| !is_label(n) && !n.is_empty()) {
        refuse(
            "metadata.namespace",
            namespace,
            "must be at most 63 lowercase letters, digits and '-', starting and ending with a letter or digit",
        );
    }
    violations
}

fn is_label(text: &str) -> bool {
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && ends_well(text.chars().next())
        && ends_well(text.chars().last())
}

fn is_subdomain(text: &str) -> bool {
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 253
        && text.split('.').all(|part| {
            part.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                && ends_well(part.chars().next())
                && ends_well(part.chars().last())
        })
}
