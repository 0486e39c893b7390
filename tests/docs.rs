//! What the README and docs/ say of the checks and show of the program is so.
//!
//! A block marked `console` that begins with `$ elb-doctor` is run: in the repository, or, on the page of a check,
//! in an empty directory where the page's `yaml` block is `world.yaml`. `make docs` writes the output anew.
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

use elb_doctor::engine::CheckId;
use serde_json::Value;

const PROMPT: &str = "$ elb-doctor";

/// What goes beyond the items and has a page all the same.
const BEYOND: [&str; 3] = [
    "load_balancer_acl_egress",
    "load_balancer_acl_ingress",
    "security_group_reply_egress",
];

#[test]
fn every_check_has_a_page_that_says_what_the_code_says() {
    let pages: BTreeSet<String> = std::fs::read_dir(repository().join("docs/checks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let items = CheckId::ALL.iter().map(|check| check.id());
    let ids: BTreeSet<String> = items.chain(BEYOND).map(|id| format!("{id}.md")).collect();
    assert_eq!(pages, ids);
    for check in CheckId::ALL {
        let text = page(check);
        for line in [
            format!("# {}", check.id()),
            format!("| item | {} |", check.item()),
            format!("| category | {} |", check.category().as_str()),
            format!("| severity | {} |", check.severity().as_str()),
            format!("| `FaultFound` reason | {} |", check.condition_reason()),
            check.page_reason().to_owned(),
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "the page of {} lacks: {line}",
                check.id()
            );
        }
    }
}

/// One row, one sentence: whoever adds a check finds the places from CONTRIBUTING and the compiler, and there are no others.
#[test]
fn a_check_is_named_in_its_row_and_its_sentence_and_nowhere_else_in_the_code() {
    let places = [
        "src/cli/explain/pages.rs",
        "src/engine/check.rs",
        "src/diagnosis/words/checks.rs",
    ];
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut folders = vec![repository().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // The laws are tests, too.
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("laws") || name == "tests.rs" {
                continue;
            }
            let code = std::fs::read_to_string(&path).unwrap();
            let code = code.split("\nmod tests {").next().unwrap();
            let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let file = path.strip_prefix(repository()).unwrap().display().to_string();
            for check in CheckId::ALL {
                if words.contains(format!("{check:?}").as_str()) || words.contains(check.id()) {
                    found.entry(file.clone()).or_default().insert(format!("{check:?}"));
                }
            }
        }
    }
    let all: BTreeSet<String> = CheckId::ALL.iter().map(|check| format!("{check:?}")).collect();
    let expected = places.map(|place| (place.to_owned(), all.clone()));
    assert_eq!(found, BTreeMap::from(expected));
    let guide = std::fs::read_to_string(repository().join("CONTRIBUTING.md")).unwrap();
    let (_, section) = guide.split_once("## Add a check").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for place in places.into_iter().chain([
        "docs/checks/ID.md",
        "README.md",
        "tests/consequences.rs",
        "tests/oracle/",
    ]) {
        assert!(section.contains(place), "CONTRIBUTING does not name {place}");
    }
}

#[test]
fn the_world_on_the_page_of_a_check_fails_that_check_alone() {
    for check in CheckId::ALL {
        let text = page(check);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("world.yaml"), world(&text)).unwrap();
        let list: Value = serde_json::from_str(&elb_doctor(dir.path(), "diagnose -f world.yaml -o json")).unwrap();
        let checks = &list["items"][0]["status"]["diagnosis"]["checks"];
        let failed: Vec<&str> = checks
            .as_array()
            .unwrap()
            .iter()
            .map(|failed| failed["id"].as_str().unwrap())
            .collect();
        assert_eq!(failed, [check.id()]);
    }
}

#[test]
fn the_readme_lists_the_checks_in_order() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let mut rest = readme.as_str();
    for (number, check) in (1..).zip(CheckId::ALL) {
        let (id, category) = (check.id(), check.category().as_str());
        let (item, severity) = (check.item(), check.severity().as_str());
        let row = format!("| {number} | [`{id}`](docs/checks/{id}.md) | {category} | {item} | {severity} |\n");
        let at = rest
            .find(&row)
            .unwrap_or_else(|| panic!("missing or out of order in README.md:\n{row}"));
        rest = &rest[at + row.len()..];
    }
}

#[test]
fn every_metric_is_in_the_table_of_operations() {
    let source = std::fs::read_to_string(repository().join("src/telemetry/metrics.rs")).unwrap();
    let page = std::fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "## Metrics")
        .take_while(|line| *line != "## Alerts")
        .filter(|line| line.starts_with("| `"))
        .collect();
    let registered: Vec<&str> = source.split("registry.register(").skip(1).collect();
    assert_eq!(rows.len(), registered.len());
    for (row, call) in rows.iter().zip(registered) {
        let mut literals = call.split('"').skip(1).step_by(2);
        let (name, help) = (literals.next().unwrap(), literals.next().unwrap());
        assert!(
            row.starts_with(&format!("| `{name}")) && row.ends_with(&format!("| {help} |")),
            "{name} is not documented in its place, but: {row}"
        );
    }
}

#[test]
fn what_is_shown_of_the_program_is_what_it_prints() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let mut shown = 0;
    for path in markdown(&repository()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let place = if path.parent().is_some_and(|p| p.ends_with("checks")) {
            std::fs::write(dir.path().join("world.yaml"), world(&text)).unwrap();
            dir.path().to_owned()
        } else {
            repository()
        };
        let (renewed, count) = renew(&text, &place);
        shown += count;
        if update {
            std::fs::write(&path, renewed).unwrap();
        } else {
            let path = path.strip_prefix(repository()).unwrap().display();
            assert!(
                renewed == text,
                "{path} shows another output than this; run `make docs`:\n{renewed}"
            );
        }
    }
    assert!(shown > CheckId::ALL.len());
}

/// The text with the output of each shown command as it is now, and how many there are.
fn renew(text: &str, place: &Path) -> (String, usize) {
    let (mut renewed, mut shown) = (String::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        renewed.push_str(line);
        renewed.push('\n');
        if line != "```console" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
        if block[0].starts_with(PROMPT) {
            for command in block.iter().filter(|l| l.starts_with(PROMPT)) {
                let output = elb_doctor(place, &command[PROMPT.len()..]);
                renewed.push_str(command);
                renewed.push('\n');
                renewed.push_str(&output);
                shown += 1;
            }
        } else {
            for l in block {
                renewed.extend([l, "\n"]);
            }
        }
        renewed.push_str("```\n");
    }
    (renewed, shown)
}

/// Runs the program as a reader would, output into a file.
fn elb_doctor(place: &Path, arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_elb-doctor"))
        .args(arguments.split_whitespace())
        .current_dir(place)
        .env_remove("COLUMNS")
        .output()
        .unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The first yaml block of a page.
fn world(text: &str) -> &str {
    let (_, rest) = text.split_once("```yaml\n").expect("a yaml block");
    rest.split_once("```\n").expect("its end").0
}

fn page(check: CheckId) -> String {
    let path = repository().join(format!("docs/checks/{}.md", check.id()));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// README.md and what is in docs/.
fn markdown(top: &Path) -> Vec<PathBuf> {
    let mut files = vec![top.join("README.md")];
    for dir in ["docs", "docs/checks"] {
        files.extend(
            std::fs::read_dir(top.join(dir))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    files.sort();
    files
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
