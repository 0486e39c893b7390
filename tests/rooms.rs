//! The rooms of the house stay apart: the engine knows nothing of Kubernetes, async code, clocks or I/O, and no room outside
//! the tests can panic where it could return an error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{fs, path::Path};

/// The files below a folder with their code, tests cut off.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().unwrap() != "laws.rs" {
                let text = fs::read_to_string(&path).unwrap();
                // Test modules stand at the end of their file.
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let code = code.split("#[cfg(test)]\n#[allow").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                out.push((path.display().to_string(), lines.collect::<Vec<_>>().join("\n")));
            }
        }
    }
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
    for (path, code) in sources("src/engine") {
        for word in foreign {
            assert!(
                !code.contains(word),
                "{path} uses {word:?}, which has no place in the engine"
            );
        }
        let import = code
            .split_once("crate::")
            .map(|(_, rest)| rest.lines().next().unwrap_or_default());
        assert_eq!(import, None, "{path} reaches out of the engine");
    }
}

#[test]
fn rooms_import_only_from_rooms_further_in() {
    let rooms = [
        (
            "src/api",
            vec![
                "engine",
                "world",
                "diagnosis",
                "controller",
                "telemetry",
                "cli",
                "manifest",
            ],
        ),
        (
            "src/world",
            vec!["diagnosis", "controller", "telemetry", "cli", "manifest"],
        ),
        ("src/diagnosis", vec!["controller", "telemetry", "cli", "manifest"]),
    ];
    for (room, outer) in rooms {
        for (path, code) in sources(room) {
            for other in &outer {
                assert!(
                    !code.contains(&format!("crate::{other}")),
                    "{path} imports crate::{other}, a room further out"
                );
            }
        }
    }
}

#[test]
fn nothing_outside_the_tests_unwraps() {
    for (path, code) in sources("src") {
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
    for (path, code) in sources("src") {
        for mark in marks.iter().filter(|_| !path.ends_with("src/text.rs")) {
            assert!(!code.contains(mark), "{path} has {mark:?}: use crate::text::clean");
        }
    }
}
