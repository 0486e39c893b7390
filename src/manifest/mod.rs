//! Reads manifests as kubectl and the API server would, with no cluster at hand.
//!
//! paths → [`files`] → texts ([`input`]) → documents with line numbers ([`node`]) → what they are ([`identity`], [`foreign`]) → schema
//! and rules of their kind ([`admission`]) → typed objects. Whatever is wrong becomes one [`Problem`] with file, line and what would be right, and the rest is read all
//! the same. An object that admission would refuse is handed on with the reason, as is one that cannot be read, so that what
//! refers to it is told that it is invalid, and not that it is missing.

mod admission;
mod files;
mod foreign;
mod hint;
mod identity;
mod input;
mod mend;
mod node;
mod passed_over;
mod problem;
mod schema;
mod spelling;

use std::{collections::HashMap, path::PathBuf};

use serde_json::{Value as Json, json};

pub(crate) use self::hint::nearest;
use self::{
    admission::{Admission, Admitted, is_in},
    files::Finder,
    identity::Identity,
    input::Allowance,
    node::Node,
    schema::Violation,
};
pub use self::{
    passed_over::PassedOver,
    problem::{Problem, Source},
};
use crate::{
    api::v1alpha1::{ApiObject, Kind, KindVisitor, Object},
    text::excerpt,
    world::{Incoming, Key, Unreadable, own_violations},
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
    /// What cannot be read or admission refuses, in the order of the input.
    pub errors: Vec<Problem>,
    /// Values that admission lets pass, since it cannot judge them, and no diagnosis can use.
    pub values: Vec<Problem>,
    /// What may be read and is hardly what was meant.
    pub notes: Vec<Problem>,
    /// What belongs to others.
    pub passed_over: PassedOver,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// Whether there are such objects.
    pub without_namespace: bool,
}

/// How the input is read.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Bytes that are taken, of all inputs together.
    pub max_bytes: u64,
    /// Whether the subdirectories of directories are read, too.
    pub recursive: bool,
    /// The namespace of objects that name none.
    pub namespace: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 32 * 1024 * 1024,
            recursive: false,
            namespace: "default".into(),
        }
    }
}

/// Reads files, directories (their `.yaml`, `.yml` and `.json` files, sorted) and standard input (`-`), each file once.
#[must_use]
pub(crate) fn load(paths: &[PathBuf], options: Options) -> Loaded {
    let mut allowance = Allowance::new(options.max_bytes);
    let mut finder = Finder::new(options.recursive);
    let mut loader = match Loader::new(options) {
        Ok(loader) => loader,
        Err(error) => {
            let mut loaded = Loaded::default();
            loaded.errors.push(Problem::of_file("elb-doctor", error.to_string()));
            return loaded;
        }
    };
    for path in paths {
        for file in finder.find(path) {
            match file.and_then(|file| input::read(&file, &mut allowance)) {
                Ok(text) => loader.text(&text.name, &text.text),
                Err(problem) => loader.problem(problem),
            }
        }
    }
    loader.finish()
}

/// Reads one text; `name` stands for it in problems.
#[must_use]
pub fn load_text(name: &str, text: &str) -> Loaded {
    match Loader::new(Options::default()) {
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
    options: Options,
    admission: Admission,
    errors: Vec<Problem>,
    values: Vec<Problem>,
    notes: Vec<Problem>,
    passed_over: PassedOver,
    without_namespace: bool,
    found: Vec<Found>,
    /// The place of each object among what was found.
    places: HashMap<(Kind, Key), usize>,
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
            more => format!("{first} (and {more} more, listed with the errors of the input)"),
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
    fn new(options: Options) -> Result<Self, serde_json::Error> {
        Ok(Self {
            options,
            admission: Admission::new()?,
            errors: Vec::new(),
            values: Vec::new(),
            notes: Vec::new(),
            passed_over: PassedOver::default(),
            without_namespace: false,
            found: Vec::new(),
            places: HashMap::new(),
        })
    }

    fn finish(self) -> Loaded {
        Loaded {
            objects: self.found.into_iter().map(Found::finish).collect(),
            errors: self.errors,
            values: self.values,
            notes: self.notes,
            passed_over: self.passed_over,
            namespace: self.options.namespace,
            without_namespace: self.without_namespace,
        }
    }

    fn problem(&mut self, problem: Problem) {
        // One more than the limit: the one that says so. A List of things that are no objects comes here for each of its items.
        if self.errors.len() <= MAX_PROBLEMS {
            self.errors.push(problem);
        }
    }

    fn text(&mut self, file: &str, text: &str) {
        if let Some(what) = foreign::of_text(file, text) {
            return self.problem(Problem::of_file(file, what));
        }
        let documents = match input::documents(file, text) {
            Ok(documents) => documents,
            Err(problem) => {
                let template = foreign::template(text).map(|(line, what)| (Some(line + 1), what));
                let (line, message) = template.unwrap_or((problem.line, problem.message));
                return self.problem(Problem {
                    line,
                    ..Problem::of_file(file, message)
                });
            }
        };
        let mut template_told = false;
        for (first, document) in documents {
            if self.errors.len() >= MAX_PROBLEMS {
                return self.problem(Problem {
                    line: Some(first),
                    ..Problem::of_file(file, format!("not read from here on, after {MAX_PROBLEMS} problems"))
                });
            }
            let (line, message) = match node::parse(document, first) {
                Ok(node) => {
                    self.document(file, &node);
                    continue;
                }
                Err((line, message)) => match foreign::template(document) {
                    // Once for each file: a template is broken in every document.
                    Some(_) if std::mem::replace(&mut template_told, true) => continue,
                    Some((line, what)) => (first + line, what),
                    None => (line, excerpt(&message)),
                },
            };
            self.problem(Problem {
                line: Some(line),
                ..Problem::of_file(file, message)
            });
        }
    }

    fn document(&mut self, file: &str, node: &Node) {
        let problem = |line, message| Problem {
            line: Some(line),
            ..Problem::of_file(file, message)
        };
        match identity::identify(node) {
            Identity::Nothing => {}
            Identity::List(items) => items.iter().for_each(|item| self.document(file, item)),
            Identity::Ours(kind) => self.object(file, kind, node),
            Identity::OtherVersion(kind, why) => self.other_version(file, kind, node, why),
            Identity::Theirs(kind, number) => self.passed_over.objects(&kind, number),
            Identity::NoObject => self.passed_over.document(file),
            Identity::Wrong(line, why) => self.problem(problem(line, why)),
        }
    }

    /// An object of ours that cannot be read, since it is of another version: it is there all the same.
    fn other_version(&mut self, file: &str, kind: Kind, node: &Node, why: String) {
        let key = self.key(node);
        self.problem(Problem {
            line: Some(node.line_of("apiVersion")),
            object: key.as_ref().map(|key| format!("{kind} {key}")),
            ..Problem::of_file(file, why.clone())
        });
        if let Some(key) = key {
            let source = Source {
                file: file.to_owned(),
                line: node.line,
            };
            self.keep(Found {
                kind,
                key,
                source,
                object: None,
                violations: vec![why],
                judged: false,
            });
        }
    }

    /// Namespace and name, as far as the document says them.
    fn key(&mut self, node: &Node) -> Option<Key> {
        let metadata = node.get("metadata")?;
        let name = metadata.word("name")?;
        self.without_namespace |= metadata.word("namespace").is_none();
        let namespace = metadata.word("namespace").unwrap_or(&self.options.namespace);
        Some(Key::new(excerpt(namespace), excerpt(name)))
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

    fn object(&mut self, file: &str, kind: Kind, node: &Node) {
        let key = self.key(node);
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
        let Admitted {
            object: json,
            mended,
            violations: found,
            doubts,
        } = self.admission.admit(kind, node);
        let message = |violation: &Violation| match violation.path.as_str() {
            "" => violation.message.clone(),
            path => format!("{path}: {}", violation.message),
        };
        for found in &found {
            self.problem(problem(found.line, message(found)));
        }
        let read = found.iter().filter(|found| is_trusted_for(&found.path));
        let mut violations: Vec<String> = read.map(message).collect();
        let object = match kind.visit(Typed(with_namespace(json, &self.options.namespace))) {
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
        // What no admission can judge is told with the rest, so that all of it is mended at once.
        let readable = match mended {
            Some(mended) => kind.visit(Typed(mended)).ok(),
            None => object.clone(),
        };
        for further in readable.iter().flat_map(own_violations) {
            let path = plain_path(&further.field);
            let known = |found: &Violation| is_in(&found.path, &path) || is_in(&path, &found.path);
            if self.values.len() < MAX_PROBLEMS && !found.iter().any(known) {
                let message = format!("{path}: {}", further.message);
                self.values.push(problem(node.line_of(&path), message));
            }
        }
        for doubt in &doubts {
            if self.notes.len() < MAX_PROBLEMS {
                self.notes.push(problem(doubt.line, message(doubt)));
            }
        }
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

/// The path of a field without the name of the rule that may stand in it.
fn plain_path(field: &str) -> String {
    match (field.split_once(" ("), field.rsplit_once(')')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => field.to_owned(),
    }
}

/// Whether what is wrong with a field makes the object one that is not trusted. A part of a status that cannot be read is as good as
/// absent, as it is to the controller; it is a problem of the input all the same.
fn is_trusted_for(path: &str) -> bool {
    !is_in(path, "status")
}

/// An object without a namespace is one of this namespace.
fn with_namespace(mut json: Json, default: &str) -> Json {
    if let Some(metadata) = json.get_mut("metadata").and_then(Json::as_object_mut) {
        let namespace = metadata.entry("namespace").or_insert_with(|| default.into());
        if namespace.as_str() == Some("") {
            *namespace = default.into();
        }
    }
    json
}

/// Reads an object of the kind that is visited.
struct Typed(Json);

impl KindVisitor for Typed {
    type Output = Result<Object, serde_json::Error>;

    fn visit<K: ApiObject>(self) -> Self::Output {
        let Self(json) = self;
        K::deserialize(&json)
            .or_else(|error| {
                // One wrong part of a status takes no other along, least of all the reported health.
                let with = |status: Json| {
                    let mut json = json.clone();
                    json.as_object_mut()
                        .map(|object| object.insert("status".into(), status));
                    K::deserialize(&json)
                };
                let parts = match json.get("status") {
                    Some(Json::Object(parts)) => parts.clone(),
                    Some(_) => serde_json::Map::new(),
                    None => return Err(error),
                };
                let kept: serde_json::Map<_, _> = parts
                    .into_iter()
                    .filter(|(name, part)| with(json!({ name.as_str(): part })).is_ok())
                    .collect();
                with(kept.into()).or_else(|_| with(Json::Null))
            })
            .map(Into::into)
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::api::v1alpha1::API_VERSION;

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
            ("{health: {state: Sick}}", "fine"),
            ("{health: {state: Unhealthy, reason: CONNECT_TIMEOUT}}", "fine"),
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
        assert!(
            why.ends_with("(and 2 more, listed with the errors of the input)"),
            "{why}"
        );
    }

    #[test]
    fn what_has_no_name_is_a_problem_and_no_object() {
        let loaded = load_text("a.yaml", &subnet("''", "[]"));
        assert!(loaded.objects.is_empty());
        assert!(!loaded.errors.is_empty());
    }
}
