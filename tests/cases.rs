//! Public cases of unhealthy backend servers, as a person would try them: the answer has the right outcome, and its table says
//! what the person needs to find.
//!
//! Each case is a manifest with its source and true cause at the top; beside it stands what is expected. `says` holds regular
//! expressions, each of which is found in that server's part of the table, white space collapsed to single blanks, whatever the
//! width.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

/// What is expected of one backend server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expected {
    health: String,
    /// Reason of the condition Diagnosed.
    diagnosed: String,
    /// Ids of the failed items, in table order.
    failed: Vec<String>,
    #[serde(default)]
    beyond: Vec<String>,
    #[serde(default)]
    accepted: Vec<String>,
    impact: String,
    dropped_share: String,
    says: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn names(extension: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// What is printed for a case, and the exit status.
fn diagnose(case: &str, output: &str, columns: &str) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_elb-doctor"))
        .args(["diagnose", "-o", output, "-f"])
        .arg(folder().join(format!("{case}.yaml")))
        .env("COLUMNS", columns)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "", "{case}: nothing is wrong with the input");
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

/// A server's part of the table: from its own title to the next one's.
fn part(table: &str, server: &str) -> String {
    let title = |line: &&str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        !line.starts_with(' ') && first.contains('/')
    };
    let mine = |line: &&str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.split_once('/').is_some_and(|(_, name)| name == server)
    };
    let mut lines = table.lines().skip_while(|line| !(title(line) && mine(line)));
    let head = lines.next().unwrap_or_else(|| panic!("{server} is not in {table}"));
    let rest = lines.take_while(|line| !title(line));
    let words = head.split_whitespace().chain(rest.flat_map(str::split_whitespace));
    words.collect::<Vec<_>>().join(" ")
}

fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let id = |one: &Value| one.as_str().or_else(|| one["id"].as_str()).unwrap().to_owned();
    list.iter().map(id).collect()
}

/// What is not as expected of the status of one server.
fn differences(expected: &Expected, server: &Value) -> Vec<String> {
    let status = &server["status"];
    let conditions = status["conditions"].as_array().unwrap();
    let reason = conditions.iter().find(|one| one["type"] == "Diagnosed").unwrap()["reason"].clone();
    let diagnosis = &status["diagnosis"];
    let pairs = [
        (
            "health",
            Value::from(expected.health.as_str()),
            status["health"]["state"].clone(),
        ),
        ("diagnosed", expected.diagnosed.as_str().into(), reason),
        (
            "failed",
            expected.failed.clone().into(),
            ids(&diagnosis["checks"]).into(),
        ),
        (
            "beyond",
            expected.beyond.clone().into(),
            ids(&diagnosis["beyond"]).into(),
        ),
        (
            "accepted",
            expected.accepted.clone().into(),
            ids(&diagnosis["accepted"]).into(),
        ),
        ("impact", expected.impact.as_str().into(), diagnosis["impact"].clone()),
        (
            "droppedShare",
            expected.dropped_share.as_str().into(),
            diagnosis["droppedShare"].clone(),
        ),
    ];
    let differ = pairs.into_iter().filter(|(_, expected, found)| expected != found);
    differ
        .map(|(field, expected, found)| format!("{field} is {found}, not {expected}"))
        .collect()
}

#[test]
fn every_case_answers_what_a_person_needs() {
    assert_eq!(names("yaml"), names("expected"));
    let mut wrong = Vec::new();
    for case in names("expected") {
        let text = fs::read_to_string(folder().join(format!("{case}.expected"))).unwrap();
        let expected: BTreeMap<String, Expected> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{case}.expected: {error}"));
        let faults = expected.values().any(|one| one.diagnosed == "FaultsFound");
        let (list, status) = diagnose(&case, "json", "80");
        if status != Some(i32::from(faults)) {
            wrong.push(format!("{case}: exit status {status:?}"));
        }
        let list: Value = serde_json::from_str(&list).unwrap();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), expected.len(), "{case}");
        for server in items {
            let name = server["metadata"]["name"].as_str().unwrap();
            let expected = &expected[name];
            wrong.extend(
                differences(expected, server)
                    .into_iter()
                    .map(|what| format!("{case}: {what}")),
            );
            for columns in ["80", "120"] {
                let shown = part(&diagnose(&case, "table", columns).0, name);
                let missing = expected
                    .says
                    .iter()
                    .filter(|says| !Regex::new(says).unwrap().is_match(&shown));
                wrong.extend(missing.map(|says| format!("{case}: at {columns} columns nothing says {says:?}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What remains is a help as long as it is short: the whole status stays below 3 KiB, and the list near ten lines.
#[test]
fn what_remains_stays_short() {
    for case in names("yaml") {
        let list: Value = serde_json::from_str(&diagnose(&case, "json", "80").0).unwrap();
        for server in list["items"].as_array().unwrap() {
            let mut status = server["status"].clone();
            let steps = number_of(&status["diagnosis"]["nextSteps"]);
            assert!(steps <= 10, "{case}: {steps} steps");
            // What a reporter wrote is not ours.
            status.as_object_mut().unwrap().remove("health");
            let size = serde_json::to_vec(&status).unwrap().len();
            println!("{case}: {size} bytes, {steps} steps");
            let quiet = status["diagnosis"]["checks"].as_array().is_none_or(Vec::is_empty);
            assert!(!quiet || size < 3 * 1024, "{case}: {size} bytes");
        }
    }
}

fn number_of(steps: &Value) -> usize {
    steps.as_array().map_or(0, Vec::len)
}
