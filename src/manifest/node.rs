//! A document as a tree that knows on which line each thing stands.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Options, Spanned};

/// One node of a YAML or JSON document.
#[derive(Debug)]
pub struct Node {
    /// Where it stands, from 1.
    pub line: u64,
    /// What it is.
    pub value: Value,
}

/// The kinds of nodes.
#[derive(Debug)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// Text.
    String(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the document.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub line: u64,
    /// The value.
    pub node: Node,
}

/// Nesting that no manifest needs and that does not overflow the stack.
const MAX_DEPTH: usize = 64;
/// Nodes of one document: bounds the memory that it takes, with aliases written out.
const MAX_NODES: usize = 2_000_000;
/// Events that aliases may stand for in one document.
const MAX_REPLAYED: usize = 200_000;

/// Reads one document. `first_line` is the line of the file at which it starts.
///
/// # Errors
/// What is wrong, and on which line of the file.
pub fn parse(text: &str, first_line: u64) -> Result<Node, (u64, String)> {
    let mut node: Node = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let line = error.location().map_or(1, |at| at.line().max(1));
        (line + first_line - 1, describe(&error))
    })?;
    node.move_down(first_line - 1);
    Ok(node)
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_documents: 2,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
        },
        with_snippet: false,
    }
}

/// The parser's message in one line and in our words where its own speak to a programmer; without the place, which stands in
/// front of every problem.
fn describe(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let too_large = |what: &str| format!("{what}: no manifest needs that");
    if line.contains("recursion limit") || line.contains("Depth {") {
        too_large(&format!("is nested deeper than {MAX_DEPTH} levels"))
    } else if line.contains("alias replay") {
        too_large("has aliases that stand for too much")
    } else if line.contains("recursive references") {
        "has an alias inside the value that it stands for".into()
    } else if line.contains("budget breached") {
        too_large(&format!(
            "is too large for one document (limit: {MAX_NODES} values, 64 MiB of text)"
        ))
    } else {
        let line = line.split(" at line ").next().unwrap_or(line);
        let line = line.split(", set DuplicateKeyPolicy").next().unwrap_or(line);
        format!("cannot be read as YAML: {line}")
    }
}

impl Node {
    /// The value of a key; none where this is no mapping or has no such key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.node),
            _ => None,
        }
    }

    /// The text, where this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key, where there is some.
    #[must_use]
    pub fn word(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::as_str).filter(|word| !word.is_empty())
    }

    /// The items, where this is a sequence.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The line of what a path such as `spec.rules[2].ports` names, or of as much of it as there is.
    #[must_use]
    pub fn line_of(&self, path: &str) -> u64 {
        let (mut node, mut line) = (self, self.line);
        for step in path.split(['.', '[', ']']).filter(|s| !s.is_empty()) {
            let next = match &node.value {
                Value::Map(entries) => entries.iter().find(|e| e.key == step).map(|e| (&e.node, e.line)),
                Value::List(items) => step.parse().ok().and_then(|i: usize| items.get(i)).map(|n| (n, n.line)),
                _ => None,
            };
            let Some((found, at)) = next else { break };
            (node, line) = (found, at);
        }
        line
    }

    /// The same as a JSON value.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Number(n) => n.clone().into(),
            Value::String(s) => s.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect(),
        }
    }

    /// What this is, in the words of a schema.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::List(_) => "array",
            Value::Map(_) => "object",
        }
    }

    fn move_down(&mut self, lines: u64) {
        self.line += lines;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|n| n.move_down(lines)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.line += lines;
                    entry.node.move_down(lines);
                }
            }
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            line: spanned.referenced.line(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_string(value.to_string())
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_string(value.to_string())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let node = map.next_value()?;
            entries.push(Entry {
                line: key.referenced.line(),
                key: key.value,
                node,
            });
        }
        Ok(Value::Map(entries))
    }
}
