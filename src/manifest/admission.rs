//! What the API server would say of an object of one of our kinds: its schema and its CEL rules, from our own definitions.

use std::collections::HashMap;

use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::Value as Json;

use super::{
    mend::mended,
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

    /// The object with its defaults, and all that admission would refuse.
    pub fn admit(&mut self, kind: Kind, node: &Node) -> Admitted {
        let Some(schema) = self.schemas.get(&kind) else {
            return Admitted::default();
        };
        let mut walk = Walk::new(&mut self.patterns);
        let object = walk.node(schema, node, "");
        let (mut violations, doubts) = (walk.violations, walk.doubts);
        violations.extend(metadata_violations(node, &object));
        // CEL rules may rely on the schema, so the API server asks them only of an object that the schema allows. Here they are asked
        // of others, too, mended as far as they must be.
        let mended = (!violations.is_empty()).then(|| mended(schema, node));
        let compiled = self.compiled.entry(kind).or_insert_with(|| compile_schema(schema));
        let judged = mended.as_ref().unwrap_or(&object);
        let errors = self.validator.validate_compiled(compiled, judged, None);
        let mut by_rules = Vec::new();
        for error in errors.err().into_iter().flatten() {
            let path = error.field_path.trim_start_matches('.').to_owned();
            // What stands beside something that was mended may be right as it is.
            let around = path.rsplit_once('.').map_or("", |(around, _)| around);
            if violations.iter().any(|violation| is_in(&violation.path, around)) {
                continue;
            }
            // The rules are ours and every one of them is tried by a test; still never take a failure for a pass.
            let message = match error.kind {
                ErrorKind::ValidationFailure => format!("Invalid value: {}", error.message),
                _ => format!("the rule {:?} could not be evaluated: {}", error.rule, error.message),
            };
            by_rules.push(Violation {
                line: node.line_of(&path),
                path,
                message: clean(&message).into_owned(),
            });
        }
        violations.extend(by_rules);
        violations.sort_by_key(|f| f.line);
        Admitted {
            object,
            mended,
            violations,
            doubts,
        }
    }
}

/// What became of a document.
#[derive(Debug, Default)]
pub struct Admitted {
    /// The object with its defaults.
    pub object: Json,
    /// The same, mended, where it has to be.
    pub mended: Option<Json>,
    /// All that admission would refuse.
    pub violations: Vec<Violation>,
    /// What is allowed and hardly meant.
    pub doubts: Vec<Violation>,
}

/// Whether a path leads to a field or into it.
pub fn is_in(path: &str, field: &str) -> bool {
    let rest = path.strip_prefix(field);
    field.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
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
