//! Reads manifests as kubectl and the API server would, with no cluster at hand.
//!
//! paths → texts ([`input`]) → documents with line numbers ([`node`]) → schema and rules of their kind ([`admission`])
//! → typed objects. Whatever is wrong becomes one [`Problem`] with file, line and what would be right, and the rest is read all
//! the same. An object that admission would refuse is handed on with the reason, as is one that cannot be read, so that what
//! refers to it is told that it is invalid, and not that it is missing.

mod admission;
mod hint;
mod input;
mod node;
mod problem;
mod schema;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

pub(crate) use self::hint::nearest;
pub use self::problem::{Problem, Source};
use self::{admission::Admission, input::Allowance, node::Node, schema::Violation};
use crate::{
    api::v1alpha1::{API_VERSION, ApiObject, GROUP, Kind, KindVisitor, Object},
    text::excerpt,
    world::{Incoming, Key, Unreadable},
};

/// Problems after which a file is given up: bounds the memory and the time that input of nothing but problems takes.
const MAX_PROBLEMS: usize = 10_000;

/// An object as it was read.
#[derive(Clone, Debug)]
pub struct LoadedObject {
    /// The object, its schema's defaults filled in, with what admission refuses in it; or why it cannot be read.
    pub incoming: Incoming,
    /// Where it stands.
    pub source: Source,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects, in the order of the input, each name once.
    pub objects: Vec<LoadedObject>,
    /// All that is wrong, in the order of the input.
    pub errors: Vec<Problem>,
}

/// How much input is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes, of all inputs together.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 32 * 1024 * 1024,
        }
    }
}

/// Reads files, directories (their `.yaml`, `.yml` and `.json` files, sorted, not recursively) and standard input (`-`).
#[must_use]
pub(crate) fn load(paths: &[PathBuf], limits: Limits) -> Loaded {
    let mut loader = match Loader::new() {
        Ok(loader) => loader,
        Err(error) => {
            let mut loaded = Loaded::default();
            loaded.errors.push(Problem::of_file("elb-doctor", error.to_string()));
            return loaded;
        }
    };
    let mut allowance = Allowance::new(limits.max_bytes);
    let mut stdin_taken = false;
    for path in paths {
        if path == Path::new("-") && std::mem::replace(&mut stdin_taken, true) {
            loader.problem(Problem::of_file(
                "<stdin>",
                "standard input can be read only once".into(),
            ));
            continue;
        }
        match input::expand(path) {
            Ok(files) => files.iter().for_each(|file| match input::read(file, &mut allowance) {
                Ok(text) => loader.text(&text.name, &text.text),
                Err(problem) => loader.problem(problem),
            }),
            Err(problem) => loader.problem(problem),
        }
    }
    loader.finish()
}

/// Reads one text; `name` stands for it in problems.
#[must_use]
pub fn load_text(name: &str, text: &str) -> Loaded {
    match Loader::new() {
        Ok(mut loader) => {
            loader.text(name, text);
            loader.finish()
        }
        Err(error) => Loaded {
            errors: vec![Problem::of_file(name, error.to_string())],
            ..Loaded::default()
        },
    }
}

struct Loader {
    admission: Admission,
    errors: Vec<Problem>,
    found: Vec<Found>,
    /// The place of each object among what was found.
    places: HashMap<(Kind, Key), usize>,
    /// Names of files that have been read, so that the same one twice is said once and not for each object.
    files: HashSet<String>,
}

/// An object that is there.
struct Found {
    kind: Kind,
    key: Key,
    source: Source,
    /// Absent when it cannot be read.
    object: Option<Object>,
    /// What is wrong with it, each with the field's path.
    violations: Vec<String>,
    /// Whether it is of the version that is read; another version's was not judged.
    judged: bool,
}

impl Found {
    fn finish(self) -> LoadedObject {
        let why = self.violations.split_first().map(|(first, rest)| match rest.len() {
            0 => first.clone(),
            more => format!("{first} (and {more} more)"),
        });
        let incoming = match (self.object, why) {
            (Some(object), None) => Incoming::from(object),
            (Some(object), Some(why)) => Incoming::refused(object, why),
            (None, why) => Incoming::Unreadable(Unreadable {
                kind: self.kind,
                key: self.key,
                uid: None,
                version: None,
                why: why.unwrap_or_default().into(),
            }),
        };
        LoadedObject {
            incoming,
            source: self.source,
        }
    }
}

impl Loader {
    fn new() -> Result<Self, serde_json::Error> {
        Ok(Self {
            admission: Admission::new()?,
            errors: Vec::new(),
            found: Vec::new(),
            places: HashMap::new(),
            files: HashSet::new(),
        })
    }

    fn finish(self) -> Loaded {
        Loaded {
            objects: self.found.into_iter().map(Found::finish).collect(),
            errors: self.errors,
        }
    }

    fn problem(&mut self, problem: Problem) {
        // One more than the limit: the one that says so. A List of things that are no objects comes here for each of its items.
        if self.errors.len() <= MAX_PROBLEMS {
            self.errors.push(problem);
        }
    }

    fn text(&mut self, file: &str, text: &str) {
        if !self.files.insert(file.to_owned()) {
            return self.problem(Problem::of_file(file, "is named twice: name it once".into()));
        }
        let documents = match input::documents(file, text) {
            Ok(documents) => documents,
            Err(problem) => return self.problem(problem),
        };
        if documents.is_empty() {
            self.problem(Problem::of_file(file, "holds no object".into()));
        }
        for (line, document) in documents {
            if self.errors.len() >= MAX_PROBLEMS {
                return self.problem(Problem {
                    line: Some(line),
                    ..Problem::of_file(file, format!("not read from here on, after {MAX_PROBLEMS} problems"))
                });
            }
            match node::parse(document, line) {
                Ok(node) => self.document(file, &node),
                Err((line, message)) => self.problem(Problem {
                    file: file.to_owned(),
                    line: Some(line),
                    object: None,
                    message: excerpt(&message),
                }),
            }
        }
    }

    fn document(&mut self, file: &str, node: &Node) {
        let problem = |message: String| Problem {
            file: file.to_owned(),
            line: Some(node.line),
            object: None,
            message,
        };
        if !matches!(node.value, node::Value::Map(_)) {
            let is = node.type_name();
            return self.problem(problem(format!(
                "must be an object with apiVersion, kind, metadata and spec, not {is}"
            )));
        }
        let (api_version, kind) = (word(node, "apiVersion"), word(node, "kind"));
        let Some(kind) = kind else {
            return self.problem(problem(format!("has no kind: name one of {}", kind_names().join(", "))));
        };
        // `kubectl get -o yaml` writes a List; clients also know one list type for each kind.
        let of_list = kind
            .strip_suffix("List")
            .is_some_and(|kind| Kind::from_name(kind).is_some());
        if of_list || (kind == "List" && api_version.is_none_or(|v| v == "v1")) {
            match node.get("items").map(|items| (items, items.as_list())) {
                Some((_, Some(items))) => items.iter().for_each(|item| self.document(file, item)),
                Some((items, None)) if !matches!(items.value, node::Value::Null) => self.problem(Problem {
                    line: Some(items.line),
                    ..problem("items of a List must be an array of objects".into())
                }),
                _ => {}
            }
            return;
        }
        let shown = excerpt(kind);
        let Some(known) = Kind::from_name(kind) else {
            let what = match api_version {
                Some(v) if v.split('/').next() != Some(GROUP) => format!("{} {shown}", excerpt(v)),
                _ => shown,
            };
            return self.problem(Problem {
                line: Some(node.line_of("kind")),
                ..problem(match hint::nearest(kind, kind_names()) {
                    Some(near) => format!("unknown kind {what}: did you mean {near}?"),
                    None => format!("unknown kind {what}: elb-doctor reads {}", kind_names().join(", ")),
                })
            });
        };
        let key = key(node);
        if api_version != Some(API_VERSION) {
            let message = match api_version {
                Some(v) => format!("apiVersion: {:?} of {known} must be {API_VERSION}", excerpt(v)),
                None => format!("apiVersion: Required value: that of {known} is {API_VERSION}"),
            };
            self.problem(Problem {
                line: Some(node.line_of("apiVersion")),
                object: key.as_ref().map(|k| format!("{known} {k}")),
                ..problem(message.clone())
            });
            // Another project's kind of the same name is not ours to judge.
            let ours = api_version.is_none_or(|v| v.starts_with("elb-doctor"));
            if let (true, Some(key)) = (ours, key) {
                let source = Source {
                    file: file.to_owned(),
                    line: node.line,
                };
                self.keep(Found {
                    kind: known,
                    key,
                    source,
                    object: None,
                    violations: vec![message],
                    judged: false,
                });
            }
            return;
        }
        self.object(file, known, key, node);
    }

    /// Keeps what was found; two of one name are one object, and nothing in it can be trusted.
    fn keep(&mut self, found: Found) {
        let place = (found.kind, found.key.clone());
        if let Some(first) = self.places.get(&place).and_then(|place| self.found.get_mut(*place)) {
            first.violations.extend(found.violations);
            first.judged |= found.judged;
            if first.object.is_none() {
                (first.object, first.source) = (found.object, found.source);
            }
        } else {
            self.places.insert(place, self.found.len());
            self.found.push(found);
        }
    }

    fn object(&mut self, file: &str, kind: Kind, key: Option<Key>, node: &Node) {
        let source = Source {
            file: file.to_owned(),
            line: node.line,
        };
        let object = key
            .as_ref()
            .map_or_else(|| kind.to_string(), |key| format!("{kind} {key}"));
        let problem = |line: u64, message: String| Problem {
            file: file.to_owned(),
            line: Some(line),
            object: Some(object.clone()),
            message,
        };
        if let Some(key) = &key
            && let Some(first) = self.places.get(&(kind, key.clone()))
            && let Some(first) = self.found.get_mut(*first).filter(|first| first.judged)
        {
            let message = format!("is there twice: also at {}; keep one of them", first.source);
            let violation = format!("is there twice: at {} and {source}", first.source);
            first.violations.push(violation);
            return self.problem(problem(node.line, message));
        }
        let (json, found) = self.admission.admit(kind, node);
        let mut violations = Vec::new();
        for Violation { line, path, message } in found {
            let violation = if path.is_empty() {
                message
            } else {
                format!("{path}: {message}")
            };
            self.problem(problem(line, violation.clone()));
            if is_read(&path) {
                violations.push(violation);
            }
        }
        let object = match kind.visit(Typed(with_namespace(json))) {
            Ok(object) => Some(object),
            Err(error) => {
                if violations.is_empty() {
                    let violation = excerpt(&error.to_string());
                    self.problem(problem(node.line, violation.clone()));
                    violations.push(violation);
                }
                None
            }
        };
        // Without a name nothing can refer to it.
        if let Some(key) = key {
            self.keep(Found {
                kind,
                key,
                source,
                object,
                violations,
                judged: true,
            });
        }
    }
}

/// Whether a field can matter to a diagnosis. Of a status only the reported health does; a violation elsewhere in one is a
/// problem of the input and no reason to distrust the object, as it is none to the controller.
fn is_read(path: &str) -> bool {
    path.strip_prefix("status").is_none_or(|field| {
        field
            .strip_prefix(".health")
            .is_some_and(|field| field != ".reportedAt")
    })
}

/// Our kinds as a manifest names them, sorted.
fn kind_names() -> Vec<&'static str> {
    let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names
}

fn word<'n>(node: &'n Node, field: &str) -> Option<&'n str> {
    node.get(field).and_then(Node::as_str).filter(|w| !w.is_empty())
}

/// Namespace and name, as far as the document says them; no namespace means `default`.
fn key(node: &Node) -> Option<Key> {
    let metadata = node.get("metadata")?;
    let name = word(metadata, "name")?;
    let namespace = word(metadata, "namespace").unwrap_or("default");
    Some(Key::new(excerpt(namespace), excerpt(name)))
}

/// An object without a namespace is one of `default`.
fn with_namespace(mut json: serde_json::Value) -> serde_json::Value {
    if let Some(metadata) = json.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        let namespace = metadata.entry("namespace").or_insert_with(|| "default".into());
        if namespace.as_str() == Some("") {
            *namespace = "default".into();
        }
    }
    json
}

/// Reads an object of the kind that is visited.
struct Typed(serde_json::Value);

impl KindVisitor for Typed {
    type Output = Result<Object, serde_json::Error>;

    fn visit<K: ApiObject>(self) -> Self::Output {
        let Self(mut json) = self;
        K::deserialize(&json)
            .or_else(|error| {
                // A status that cannot be read is as good as none.
                let status = json.as_object_mut().and_then(|object| object.remove("status"));
                status.map_or(Err(error), |_| K::deserialize(&json))
            })
            .map(Into::into)
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn subnet(name: &str, cidrs: &str) -> String {
        format!(
            "---\n{{apiVersion: {API_VERSION}, kind: Subnet, metadata: {{name: {name}}}, spec: {{cidrs: {cidrs}}}}}\n"
        )
    }

    /// Name and why it is not trusted, or `fine`; and whether it could be read.
    fn handed_in(text: &str) -> Vec<(String, bool, String)> {
        let loaded = load_text("a.yaml", text);
        let objects = loaded.objects.into_iter().map(|object| {
            let name = object.incoming.key().name;
            match object.incoming {
                Incoming::Readable { refused, .. } => {
                    let why = refused.map_or_else(|| "fine".to_owned(), |why| why.to_string());
                    (name, true, why)
                }
                Incoming::Unreadable(unreadable) => (name, false, unreadable.why.to_string()),
            }
        });
        objects.collect()
    }

    #[test]
    fn every_kind_is_handed_in_by_its_name() {
        for kind in Kind::ALL {
            let text = format!("{{apiVersion: {API_VERSION}, kind: {kind}, metadata: {{name: a}}}}");
            let loaded = load_text("a.yaml", &text);
            assert_eq!(loaded.objects.len(), 1, "{kind}: {:?}", loaded.errors);
            assert_eq!(loaded.objects[0].incoming.kind(), *kind);
            assert_eq!(loaded.objects[0].incoming.key(), Key::new("default", "a"));
        }
    }

    #[test]
    fn what_is_wrong_with_an_object_is_handed_in_with_it() {
        let good = r#"["10.0.0.0/24"]"#;
        let cases = [
            (subnet("a", good), true, "fine"),
            // Refused by admission, and readable.
            (subnet("a", "[x]"), true, "spec.cidrs[0]: Invalid value: \"x\": "),
            // No such type of value: not readable.
            (
                subnet("a", "5"),
                false,
                "spec.cidrs: Invalid value: 5: must be of type array",
            ),
            // Twice: none of them can be trusted.
            (
                subnet("a", good) + &subnet("a", good),
                true,
                "is there twice: at a.yaml:2 and a.yaml:4",
            ),
            // Another version of ours, alone and beside one that could be read.
            (
                subnet("a", good).replace("v1alpha1", "v9"),
                false,
                "apiVersion: \"elb-doctor.dev/v9\" of Subnet must be",
            ),
            (
                subnet("a", good) + &subnet("a", good).replace("v1alpha1", "v9"),
                true,
                "apiVersion: \"elb-doctor.dev/v9\"",
            ),
            (
                subnet("a", good).replace("v1alpha1", "v9") + &subnet("a", good),
                true,
                "apiVersion: \"elb-doctor.dev/v9\"",
            ),
        ];
        for (text, readable, why) in cases {
            let objects = handed_in(&text);
            let [(name, is_readable, is)] = objects.as_slice() else {
                panic!("{text}: {objects:?}")
            };
            assert_eq!((name.as_str(), *is_readable), ("a", readable), "{text}: {is}");
            assert!(is.starts_with(why), "{text}: {is}");
        }
    }

    #[test]
    fn a_status_that_nobody_reads_is_no_reason_to_distrust_an_object() {
        let backend = |status: &str| {
            format!(
                "{{apiVersion: {API_VERSION}, kind: BackendServer, metadata: {{name: a}}, spec: {{loadBalancerRef: {{name: b}}, \
                 backendServerGroup: c, address: 10.0.0.1, port: 80, subnetRef: {{name: d}}}}, status: {status}}}"
            )
        };
        for (status, why) in [
            ("{health: {state: Unhealthy, reportedAt: never}}", "fine"),
            ("{observedGeneration: soon}", "fine"),
            ("{diagnosis: {failed: -1}}", "fine"),
            ("5", "fine"),
            ("{health: {state: Sick}}", "status.health.state: Unsupported value"),
        ] {
            let text = backend(status);
            assert!(!load_text("a.yaml", &text).errors.is_empty(), "{status}");
            let [(_, readable, is)] = &handed_in(&text)[..] else {
                panic!("{status}")
            };
            assert!(
                *readable && is.starts_with(why) || !*readable && why != "fine",
                "{status}: {is}"
            );
        }
    }

    #[test]
    fn further_problems_are_counted_behind_the_first() {
        let (_, _, why) = &handed_in(&subnet("a", "[x, y, z]"))[0];
        assert!(why.ends_with("(and 2 more)"), "{why}");
    }

    #[test]
    fn what_has_no_name_is_a_problem_and_no_object() {
        let loaded = load_text("a.yaml", &subnet("''", "[]"));
        assert!(loaded.objects.is_empty());
        assert!(!loaded.errors.is_empty());
    }
}
