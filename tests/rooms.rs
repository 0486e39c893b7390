//! The rooms of `src` stay apart: each uses only rooms further in, and no file uses one that uses it. The engine knows nothing
//! of Kubernetes, async code, clocks or I/O, and nothing outside the tests can panic where it could return an error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "rooms/uses.rs"]
mod uses;

use std::{
    fs,
    path::{Path, PathBuf},
};

use uses::{Crate, Edges, circles};

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a folder of `src`, or of all of it, with their code, tests cut off.
fn sources(folder: &str) -> Vec<(String, String)> {
    let read = |name: &str| {
        let text = fs::read_to_string(src().join(name)).unwrap();
        // Test modules stand at the end of their file.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = code.split("#[cfg(test)]\n#[allow").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        (name.to_owned(), lines.collect::<Vec<_>>().join("\n"))
    };
    let all = Crate::read(&src());
    let out: Vec<_> = all.files().filter(|name| name.starts_with(folder)).map(read).collect();
    assert!(!out.is_empty());
    out
}

#[test]
fn the_engine_is_pure() {
    let foreign = [
        "kube",
        "k8s_openapi",
        "tokio",
        "async ",
        ".await",
        "futures",
        "serde",
        "schemars",
        "jiff",
        "tracing",
        "std::fs",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "std::time",
        "std::net::Tcp",
        "std::net::Udp",
        "SystemTime",
        "Instant",
        "println!",
        "eprintln!",
        "rand",
    ];
    for (path, code) in sources("engine/") {
        for word in foreign {
            assert!(
                !code.contains(word),
                "{path} uses {word:?}, which has no place in the engine"
            );
        }
    }
}

/// Each room with those that it may use. `text` and `engine` use none.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("lib", &[]),
    ("main", &["cli"]),
    (
        "cli",
        &[
            "controller",
            "manifest",
            "diagnosis",
            "telemetry",
            "world",
            "api",
            "engine",
            "text",
        ],
    ),
    (
        "controller",
        &["diagnosis", "telemetry", "world", "api", "engine", "text"],
    ),
    ("manifest", &["world", "api", "text"]),
    ("diagnosis", &["world", "engine", "api", "text"]),
    ("world", &["engine", "api", "text"]),
    ("telemetry", &["world", "text"]),
    ("api", &["text"]),
    ("engine", &[]),
    ("text", &[]),
];

fn uses() -> Edges {
    Crate::read(&src()).edges()
}

/// The folder or file directly below `src`.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn rooms_use_only_rooms_further_in() {
    let edges = uses();
    assert!(edges.len() > 100, "the code was not understood: {edges:#?}");
    for ((from, to), path) in &edges {
        let (inner, outer) = (room(to), room(from));
        let (_, allowed) = MAY_USE.iter().find(|(name, _)| *name == outer).unwrap();
        assert!(
            inner == outer || allowed.contains(&inner),
            "{from} uses {path} of {to}, which is no room further in"
        );
        if outer == "telemetry" && inner == "world" {
            assert_eq!(
                to, "world/key.rs",
                "{from} uses {path}: of the world, telemetry knows keys only"
            );
        }
    }
}

#[test]
fn no_file_uses_one_that_uses_it() {
    let edges = uses();
    // Also folder by folder: two folders that use each other are a circle, even where no file is in one.
    let mut folders: Vec<String> = edges
        .keys()
        .flat_map(|(from, to)| [from, to])
        .flat_map(|file| file.match_indices('/').map(|(at, _)| file[..=at].to_owned()))
        .collect();
    folders.push(String::new());
    folders.sort();
    folders.dedup();
    let mut found = Vec::new();
    for folder in folders {
        let child = |file: &str| Some(file.strip_prefix(folder.as_str())?.split('/').next()?.to_owned());
        let mut within = Edges::new();
        for ((from, to), path) in &edges {
            if let (Some(a), Some(b)) = (child(from), child(to))
                && a != b
            {
                within
                    .entry((a, b))
                    .or_insert_with(|| format!("{from} uses {path} of {to}"));
            }
        }
        for circle in circles(&within) {
            let why = within
                .iter()
                .filter(|((a, b), _)| circle.contains(a) && circle.contains(b));
            let why: Vec<_> = why.map(|(_, why)| why.as_str()).collect();
            found.push(format!(
                "src/{folder}: {}\n    {}",
                circle.join(", "),
                why.join("\n    ")
            ));
        }
    }
    assert!(found.is_empty(), "files that use each other:\n{}", found.join("\n"));
}

#[test]
fn nothing_outside_the_tests_unwraps() {
    for (path, code) in sources("") {
        for word in [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "unreachable!(",
            "todo!(",
            "unimplemented!(",
        ] {
            assert!(!code.contains(word), "{path} has {word:?}");
        }
    }
}

/// A second set of unsafe characters would be a hole in one of the two.
#[test]
fn only_the_text_room_says_which_characters_are_unsafe() {
    let marks = [
        "is_control",
        "u{200",
        "u{202",
        "u{206",
        "u{ad}",
        "u{1b}",
        "x1b",
        "u{7f}",
    ];
    for (path, code) in sources("") {
        for mark in marks.iter().filter(|_| path != "text.rs") {
            assert!(!code.contains(mark), "{path} has {mark:?}: use crate::text::clean");
        }
    }
}

/// The reader of the code itself, on a small crate with every way to name something.
#[test]
fn a_use_is_followed_to_the_file_that_defines_what_is_used() {
    let files = [
        (
            "lib.rs",
            "mod a; mod b; pub mod c; #[cfg(test)] #[path = \"laws.rs\"] mod trial; pub use c::Deep;",
        ),
        // By a renamed import, through two re-exports; in a macro; by an import of a module; in a string.
        (
            "a.rs",
            "use crate::Deep as D; use crate::c; use crate::b::Plain as _; \
             fn f(d: D) { format!(\"{}\", crate::b::one()); c::shared(); } \
             struct S { #[serde(default = \"crate::b::two\")] n: u8 }",
        ),
        // Names nothing of ours: a method, a local, std, a test, a re-export.
        (
            "b.rs",
            "pub fn one() -> u8 { let deep = 1; deep.max(0) } pub fn two() -> u8 { std::mem::size_of::<u8>() as u8 } \
             pub trait Plain {} pub use crate::a::f; #[cfg(test)] mod tests { use crate::a; }",
        ),
        // Lists what its files offer and defines what they use: no circle as long as it uses nothing of theirs.
        ("c/mod.rs", "mod deep; mod user; pub use deep::Deep; pub fn shared() {}"),
        ("c/deep.rs", "pub struct Deep; impl Deep { fn f() { super::shared() } }"),
        (
            "c/user.rs",
            "use super::*; use super::super::a; fn f(_: Deep) { a::f() }",
        ),
        ("laws.rs", "use crate::a;"),
    ];
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("c")).unwrap();
    for (name, code) in files {
        fs::write(folder.path().join(name), code).unwrap();
    }
    let edges = Crate::read(folder.path()).edges();
    let edges: Vec<_> = edges.keys().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(
        edges,
        [
            ("a.rs", "b.rs"),
            ("a.rs", "c/deep.rs"),
            ("a.rs", "c/mod.rs"),
            ("c/deep.rs", "c/mod.rs"),
            ("c/user.rs", "a.rs"),
            ("c/user.rs", "c/deep.rs"),
        ]
    );
}

#[test]
fn a_circle_is_found_whole_and_once() {
    let edges = |pairs: &[(&str, &str)]| -> Edges {
        let owned = pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        owned.map(|pair| (pair, String::new())).collect()
    };
    assert!(circles(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    let found = circles(&edges(&[
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
        ("c", "d"),
        ("x", "y"),
        ("y", "x"),
    ]));
    assert_eq!(found, [vec!["a", "b", "c"], vec!["x", "y"]]);
}
