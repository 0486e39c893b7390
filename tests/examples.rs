//! Each example answers what stands beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_json::Value;

/// What elb-doctor answers for one backend server.
#[derive(Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Answer {
    /// The displayed health.
    health: String,
    /// Reason of the condition Diagnosed.
    diagnosed: String,
    /// Ids of the failed items, in table order.
    failed: Vec<String>,
    /// Ids of what was found beyond the items.
    #[serde(default)]
    beyond: Vec<String>,
    /// Ids of what is accepted.
    #[serde(default)]
    accepted: Vec<String>,
    /// Of all items together; absent where the diagnosis is refused.
    impact: Option<String>,
    /// Part of the probes that do not complete; absent where the diagnosis is refused.
    dropped_share: Option<String>,
}

/// The request is about a load balancer of another file: it is no world of its own.
const REQUEST: &str = "troubleshoot-request";

#[test]
fn every_example_has_its_answer_beside_it() {
    let mut worlds = names("yaml");
    assert!(worlds.remove(REQUEST));
    assert_eq!(worlds, names("expected"));
}

#[test]
fn every_example_answers_what_is_expected() {
    for name in names("expected") {
        let text = std::fs::read_to_string(file(&name, "expected")).unwrap();
        let expected: BTreeMap<String, Answer> =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}.expected: {e}"));
        let (list, status) = diagnose(&[&file(&name, "yaml")]);
        assert_eq!(answers(&list), expected, "{name}");
        let any = |word: &str| expected.values().any(|answer| answer.diagnosed == word);
        let right = match (any("FaultsFound"), any("NoFaultFound")) {
            (true, _) => 1,
            (false, true) => 0,
            // Nothing was diagnosed.
            (false, false) => 3,
        };
        assert_eq!(status, right, "exit status of {name}");
    }
}

#[test]
fn all_examples_fit_into_one_namespace() {
    let worlds: Vec<PathBuf> = names("yaml").iter().map(|name| file(name, "yaml")).collect();
    let (list, _) = diagnose(&worlds.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let mut expected = BTreeMap::new();
    for name in names("expected") {
        let text = std::fs::read_to_string(file(&name, "expected")).unwrap();
        expected.extend(serde_json::from_str::<BTreeMap<String, Answer>>(&text).unwrap());
    }
    assert_eq!(answers(&list), expected);
}

/// But for what is there to be copied whole: a command that makes a change, and a word that is longer than the line.
#[test]
fn the_table_of_every_example_fits_the_terminal() {
    for columns in [80_usize, 120] {
        for name in names("expected") {
            let output = Command::new(env!("CARGO_BIN_EXE_elb-doctor"))
                .args(["diagnose", "-f"])
                .arg(file(&name, "yaml"))
                .env("COLUMNS", columns.to_string())
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            for line in text.lines().filter(|line| !line.contains("kubectl patch")) {
                let words = line.split_whitespace().count();
                assert!(
                    line.chars().count() <= columns || words == 1,
                    "{name}, {columns} columns: {line}"
                );
            }
        }
    }
}

/// Runs the program as a user does.
fn diagnose(files: &[&Path]) -> (Value, i32) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_elb-doctor"));
    program.args(["diagnose", "-o", "json"]);
    for path in files {
        program.arg("-f").arg(path);
    }
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let list = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{files:?}: {e}; {said}"));
    (list, output.status.code().unwrap())
}

fn answers(list: &Value) -> BTreeMap<String, Answer> {
    assert_eq!(list["kind"], "List");
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let name = item["metadata"]["name"].as_str().unwrap().to_owned();
            (name, answer(&item["status"]))
        })
        .collect()
}

fn answer(status: &Value) -> Answer {
    let condition = |kind: &str| {
        let all = status["conditions"].as_array().unwrap();
        all.iter().find(|c| c["type"] == kind).unwrap().clone()
    };
    let health = match condition("Healthy")["status"].as_str() {
        Some("True") => "Healthy",
        Some("False") => "Unhealthy",
        Some("Unknown") => "Unknown",
        other => panic!("{other:?} is no condition's status"),
    };
    let text = |field: &str| status["diagnosis"][field].as_str().map(str::to_owned);
    let list = |field: &str| status["diagnosis"][field].as_array().cloned().unwrap_or_default();
    let ids = |field: &str| {
        let checks = list(field);
        checks
            .iter()
            .map(|check| check["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let accepted = list("accepted");
    Answer {
        health: health.to_owned(),
        diagnosed: condition("Diagnosed")["reason"].as_str().unwrap().to_owned(),
        failed: ids("checks"),
        beyond: ids("beyond"),
        accepted: accepted.iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
        impact: text("impact"),
        dropped_share: text("droppedShare"),
    }
}

/// The names of the files in examples/ that end so.
fn names(extension: &str) -> BTreeSet<String> {
    std::fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn file(name: &str, extension: &str) -> PathBuf {
    examples().join(format!("{name}.{extension}"))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}
