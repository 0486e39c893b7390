//! Reads manifests as kubectl and the API server would, with no cluster at hand.
//!
//! paths → texts ([`input`]) → documents with line numbers ([`node`]) → schema and rules of their kind ([`admission`])
//! → typed objects. Whatever is wrong becomes one [`Problem`] with file, line and what would be right, and the rest is read all
//! the same. An object that admission would refuse is kept with its faults where it can be, so that what refers to it is
//! called by its right name: invalid, not missing.

mod admission;
mod hint;
mod input;
mod node;
mod schema;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use self::{admission::Admission, input::Allowance, node::Node, schema::Finding};
use crate::{
    api::v1alpha1::{
        API_VERSION, AddressGroup, BackendServer, GROUP, LoadBalancer, NetworkACL, SecurityGroup, Subnet,
        TroubleshootRequest,
    },
    text::excerpt,
    world::{Key, Kind, Object},
};

/// Our kinds, as a manifest names them.
const KINDS: [&str; 7] = [
    "AddressGroup",
    "BackendServer",
    "LoadBalancer",
    "NetworkACL",
    "SecurityGroup",
    "Subnet",
    "TroubleshootRequest",
];

/// Problems after which a file is given up: bounds the memory and the time that garbage takes.
const MAX_PROBLEMS: usize = 10_000;

/// Where something stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The file, or `<stdin>`.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", excerpt(&self.file), self.line)
    }
}

/// One thing that is wrong with the input. Displayed as one line, `file:line: Kind namespace/name: what`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file, or `<stdin>`.
    pub file: String,
    /// The line, from 1, where one can be named.
    pub line: Option<u64>,
    /// Kind, namespace and name of the object that it is about.
    pub object: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    fn of_file(file: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            object: None,
            message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", excerpt(&self.file))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// An object of one of our kinds.
#[derive(Clone, Debug)]
pub enum Item {
    /// One that a world is made of.
    World(Object),
    /// A request, which asks and does not decide.
    Request(Box<TroubleshootRequest>),
}

/// An object as it was read.
#[derive(Clone, Debug)]
pub struct LoadedObject {
    /// The object, its schema's defaults filled in.
    pub object: Item,
    /// Where it stands.
    pub source: Source,
    /// What admission refuses in it, each with the field's path; empty when it would be admitted.
    pub faults: Vec<String>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects, in the order of the input; the first of each name.
    pub objects: Vec<LoadedObject>,
    /// Objects that are there but cannot be had, and why.
    pub unreadable: Vec<(Kind, Key, String)>,
    /// All that is wrong, in the order of the input.
    pub errors: Vec<Problem>,
}

/// How much input is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
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
pub fn load(paths: &[PathBuf], limits: Limits) -> Loaded {
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
    loader.loaded
}

/// Reads one text; `name` stands for it in problems.
#[must_use]
pub fn load_text(name: &str, text: &str) -> Loaded {
    match Loader::new() {
        Ok(mut loader) => {
            loader.text(name, text);
            loader.loaded
        }
        Err(error) => Loaded {
            errors: vec![Problem::of_file(name, error.to_string())],
            ..Loaded::default()
        },
    }
}

struct Loader {
    admission: Admission,
    loaded: Loaded,
    /// Where each object was first seen.
    seen: HashMap<(&'static str, Key), Seen>,
    /// Names of files that have been read, so that the same one twice is said once and not for each object.
    files: HashSet<String>,
}

struct Seen {
    source: Source,
    /// Its place among the objects, where it could be read.
    index: Option<usize>,
}

impl Loader {
    fn new() -> Result<Self, serde_json::Error> {
        Ok(Self {
            admission: Admission::new()?,
            loaded: Loaded::default(),
            seen: HashMap::new(),
            files: HashSet::new(),
        })
    }

    fn problem(&mut self, problem: Problem) {
        // One more than the limit: the one that says so. A List of garbage comes here for each of its items.
        if self.loaded.errors.len() <= MAX_PROBLEMS {
            self.loaded.errors.push(problem);
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
            if self.loaded.errors.len() >= MAX_PROBLEMS {
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
            return self.problem(problem(format!("has no kind: name one of {}", KINDS.join(", "))));
        };
        // `kubectl get -o yaml` writes a List; clients also know one list type for each kind.
        let of_list = KINDS.iter().any(|k| kind.strip_suffix("List") == Some(k));
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
        let Some(known) = KINDS.into_iter().find(|k| *k == kind) else {
            let what = match api_version {
                Some(v) if v.split('/').next() != Some(GROUP) => format!("{} {shown}", excerpt(v)),
                _ => shown,
            };
            return self.problem(Problem {
                line: Some(node.line_of("kind")),
                ..problem(match hint::nearest(kind, KINDS) {
                    Some(near) => format!("unknown kind {what}: did you mean {near}?"),
                    None => format!("unknown kind {what}: elb-doctor reads {}", KINDS.join(", ")),
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
            if let (true, Some(key), Some(kind)) = (ours, key, world_kind(known)) {
                self.loaded.unreadable.push((kind, key, message));
            }
            return;
        }
        self.object(file, known, key, node);
    }

    fn object(&mut self, file: &str, kind: &'static str, key: Option<Key>, node: &Node) {
        let source = Source {
            file: file.to_owned(),
            line: node.line,
        };
        let object = key.as_ref().map(|k| format!("{kind} {k}"));
        let problem = |line: u64, message: String| Problem {
            file: file.to_owned(),
            line: Some(line),
            object: object.clone().or_else(|| Some(kind.to_owned())),
            message,
        };
        if let Some(key) = &key
            && let Some(seen) = self.seen.get(&(kind, key.clone()))
        {
            let message = format!("is there twice: also at {}; keep one of them", seen.source);
            if let Some(first) = seen.index.and_then(|i| self.loaded.objects.get_mut(i)) {
                first
                    .faults
                    .push(format!("is there twice: at {} and {source}", first.source));
            }
            return self.problem(problem(node.line, message));
        }
        let (json, findings) = self.admission.admit(kind, node);
        let mut faults = Vec::new();
        for Finding { line, path, message } in findings {
            let fault = if path.is_empty() {
                message
            } else {
                format!("{path}: {message}")
            };
            self.problem(problem(line, fault.clone()));
            faults.push(fault);
        }
        let index = match typed(kind, json) {
            Ok(object) if key.is_some() => {
                self.loaded.objects.push(LoadedObject {
                    object,
                    source: source.clone(),
                    faults,
                });
                Some(self.loaded.objects.len() - 1)
            }
            Ok(_) => None,
            Err(error) => {
                if faults.is_empty() {
                    let fault = excerpt(&error.to_string());
                    self.problem(problem(node.line, fault.clone()));
                    faults.push(fault);
                }
                if let (Some(kind), Some(key)) = (world_kind(kind), key.clone()) {
                    self.loaded.unreadable.push((kind, key, faults.swap_remove(0)));
                }
                None
            }
        };
        if let Some(key) = key {
            self.seen.insert((kind, key), Seen { source, index });
        }
    }
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

fn world_kind(kind: &str) -> Option<Kind> {
    Some(match kind {
        "AddressGroup" => Kind::AddressGroup,
        "BackendServer" => Kind::BackendServer,
        "LoadBalancer" => Kind::LoadBalancer,
        "NetworkACL" => Kind::NetworkACL,
        "SecurityGroup" => Kind::SecurityGroup,
        "Subnet" => Kind::Subnet,
        _ => return None,
    })
}

fn typed(kind: &str, mut json: serde_json::Value) -> Result<Item, serde_json::Error> {
    fn read<K: DeserializeOwned + Into<Object>>(json: serde_json::Value) -> Result<Item, serde_json::Error> {
        serde_json::from_value::<K>(json).map(|object| Item::World(object.into()))
    }
    if let Some(metadata) = json.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        let namespace = metadata.entry("namespace").or_insert_with(|| "default".into());
        if namespace.as_str() == Some("") {
            *namespace = "default".into();
        }
    }
    match kind {
        "AddressGroup" => read::<AddressGroup>(json),
        "BackendServer" => read::<BackendServer>(json),
        "LoadBalancer" => read::<LoadBalancer>(json),
        "NetworkACL" => read::<NetworkACL>(json),
        "SecurityGroup" => read::<SecurityGroup>(json),
        "Subnet" => read::<Subnet>(json),
        _ => serde_json::from_value(json).map(|request| Item::Request(Box::new(request))),
    }
}
