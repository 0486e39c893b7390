//! What a document is: one of our objects, a list of objects, somebody else's, or a mistake.

use super::{
    foreign, hint,
    node::{Node, Value},
};
use crate::{
    api::v1alpha1::{API_VERSION, GROUP, Kind},
    text::excerpt,
};

/// What a document is.
#[derive(Debug)]
pub enum Identity<'n> {
    /// Nothing: `null`.
    Nothing,
    /// Objects, each to be looked at by itself.
    List(&'n [Node]),
    /// One of our kinds, in the version that is read.
    Ours(Kind),
    /// One of our kinds with another `apiVersion`, or without one; what would be right.
    OtherVersion(Kind, String),
    /// Objects of another project: their kind, and how many.
    Theirs(String, usize),
    /// No object of Kubernetes.
    NoObject,
    /// A mistake: on which line, and what would be right.
    Wrong(u64, String),
}

/// Looks at a document's head.
pub fn identify(node: &Node) -> Identity<'_> {
    match &node.value {
        Value::Null => Identity::Nothing,
        Value::List(items) => array(node, items),
        Value::Map(_) => object(node),
        _ => {
            let is = node.type_name();
            let why = format!("must be an object with apiVersion, kind, metadata and spec, not {is}");
            Identity::Wrong(node.line, why)
        }
    }
}

/// An array of objects is read as a List is.
fn array<'n>(node: &'n Node, items: &'n [Node]) -> Identity<'n> {
    let is_object = |item: &&Node| matches!(item.value, Value::Map(_));
    if !items
        .iter()
        .all(|item| is_object(&item) || matches!(item.value, Value::Null))
    {
        let why = "must be an object with apiVersion, kind, metadata and spec, not array of anything else";
        return Identity::Wrong(node.line, why.into());
    }
    let is_manifest = |item: &Node| item.word("kind").is_some() || says_more(item);
    if items.iter().any(is_manifest) {
        return Identity::List(items);
    }
    match foreign::of_node(node) {
        Some(what) => Identity::Wrong(node.line, what),
        None if items.is_empty() => Identity::Nothing,
        None => Identity::NoObject,
    }
}

/// Whether a document without kind was meant to have one.
fn says_more(node: &Node) -> bool {
    let is_map = |field| {
        node.get(field)
            .is_some_and(|field| matches!(field.value, Value::Map(_)))
    };
    node.word("apiVersion").is_some_and(is_our_group) || is_map("metadata") || (is_map("spec") && is_map("status"))
}

fn object(node: &Node) -> Identity<'_> {
    let (api_version, kind) = (node.word("apiVersion"), node.word("kind"));
    let Some(kind) = kind else {
        return match foreign::of_node(node) {
            Some(what) => Identity::Wrong(node.line, what),
            None if says_more(node) => Identity::Wrong(
                node.line,
                format!("has no kind: name one of {}", kind_names().join(", ")),
            ),
            None => Identity::NoObject,
        };
    };
    let theirs = api_version.is_some_and(|version| !is_our_group(version));
    // `kubectl get -o yaml` writes a List; clients also know one list type for each kind.
    let of_list = kind.strip_suffix("List").filter(|_| node.get("items").is_some());
    let is_list = (kind == "List" && api_version.is_none_or(|v| v == "v1"))
        || of_list.is_some_and(|of| Kind::from_name(of).is_some());
    if is_list {
        return match node.get("items").map(|items| (items, items.as_list())) {
            Some((_, Some(items))) => Identity::List(items),
            Some((items, None)) if !matches!(items.value, Value::Null) => {
                Identity::Wrong(items.line, "items of a List must be an array of objects".into())
            }
            _ => Identity::Nothing,
        };
    }
    let Some(known) = Kind::from_name(kind) else {
        return unknown(node, kind, api_version);
    };
    match api_version {
        Some(API_VERSION) => Identity::Ours(known),
        None => Identity::OtherVersion(
            known,
            format!("apiVersion: Required value: that of {known} is {API_VERSION}"),
        ),
        // Another project's kind of the same name is not ours to judge; Kubernetes itself has none of these.
        Some(version) if theirs && version.contains('/') => Identity::Theirs(kind.to_owned(), 1),
        Some(version) => {
            let why = format!("apiVersion: {:?} of {known} must be {API_VERSION}", excerpt(version));
            Identity::OtherVersion(known, why)
        }
    }
}

/// A kind that is not ours.
fn unknown<'n>(node: &'n Node, kind: &str, api_version: Option<&str>) -> Identity<'n> {
    let line = node.line_of("kind");
    let near = hint::nearest(kind, kind_names());
    match api_version {
        Some(version) if is_our_group(version) => {}
        // Without a version it may be one of ours, mistyped.
        None if near.is_some() => {}
        _ => {
            if let Some(what) = foreign::of_kind(kind) {
                return Identity::Wrong(line, what);
            }
            // A list of one kind, as an API server answers it.
            let items = node.get("items").and_then(Node::as_list);
            return match (kind.strip_suffix("List"), items) {
                (Some(of), Some(items)) => Identity::Theirs(of.to_owned(), items.len()),
                _ => Identity::Theirs(kind.to_owned(), 1),
            };
        }
    }
    let kind = excerpt(kind);
    Identity::Wrong(
        line,
        match near {
            Some(near) => format!("unknown kind {kind}: did you mean {near}?"),
            None => format!("unknown kind {kind}: elb-doctor reads {}", kind_names().join(", ")),
        },
    )
}

/// Whether the group is ours, or was meant to be.
fn is_our_group(api_version: &str) -> bool {
    let group = api_version.split('/').next().unwrap_or(api_version);
    group.starts_with("elb-doctor") || hint::nearest(group, [GROUP]).is_some()
}

/// Our kinds as a manifest names them, sorted.
fn kind_names() -> Vec<&'static str> {
    let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names
}
