//! Every command that the texts show works, with the rights that the text names: a list here says by whom each is run, against a
//! real API server with a running controller, and names the few that are not. A command without a line here fails a test.
//!
//! Commands are the indented lines and the lines after `$` of README.md, CONTRIBUTING.md, DESIGN.md and docs/, what these have
//! between backquotes and begins with the name of a program, and those in comments of deploy/ and of the examples. What a
//! block shows of `elb-doctor` itself is the matter of tests/docs.rs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;
#[path = "common/replica.rs"]
mod replica;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use common::ControlPlane;
use replica::{Replica, eventually, kubectl, until};
use serde_json::{Value, json};

/// Who types a command: the roles of deploy/users with what Kubernetes adds to them, each in the namespace `shop`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Who {
    /// An administrator of the cluster.
    ClusterAdmin,
    /// Who has the role `edit`, of which elb-doctor-edit and elb-doctor-view are parts.
    Editor,
    /// Who has the role `view`, of which elb-doctor-view is a part.
    Viewer,
    /// Who has the role elb-doctor-health-reporter, and nothing else.
    Reporter,
    /// Who has no cluster.
    Nobody,
}

use Who::{ClusterAdmin, Editor, Nobody, Reporter, Viewer};

/// What is done, in this order.
enum Step {
    /// A command as it stands in a text, who types it, and what it then prints.
    Command(&'static str, Who, &'static [&'static str]),
    /// The same, with what is typed where the text has a placeholder or only a part of a line; and the exit code.
    Typed(&'static str, Who, &'static str, i32, &'static [&'static str]),
    /// What the text takes for granted at this point.
    Given(fn()),
}

use Step::{Command as Run, Given, Typed};

const STEPS: &[Step] = &[
    // README: for one namespace only.
    Run(
        "kubectl create namespace elb-doctor",
        ClusterAdmin,
        &["namespace/elb-doctor created"],
    ),
    Run(
        "kubectl apply -k crds/",
        ClusterAdmin,
        &["customresourcedefinition.apiextensions.k8s.io/backendservers.elb-doctor.dev created"],
    ),
    Run(
        "kubectl apply -k deploy/admission",
        ClusterAdmin,
        &[
            "validatingadmissionpolicy.admissionregistration.k8s.io/elb-doctor-status created",
            "validatingadmissionpolicybinding.admissionregistration.k8s.io/elb-doctor-status created",
        ],
    ),
    Run(
        "kubectl apply -k deploy/users",
        ClusterAdmin,
        &["clusterrole.rbac.authorization.k8s.io/elb-doctor-health-reporter created"],
    ),
    Run(
        "kubectl apply -k deploy/namespaced",
        ClusterAdmin,
        &[
            "role.rbac.authorization.k8s.io/elb-doctor created",
            "deployment.apps/elb-doctor created",
        ],
    ),
    // README: for the whole cluster.
    Run(
        "kubectl apply -k deploy/",
        ClusterAdmin,
        &[
            "clusterrole.rbac.authorization.k8s.io/elb-doctor created",
            "deployment.apps/elb-doctor configured",
        ],
    ),
    Given(the_controller_runs),
    Given(the_people_have_their_roles),
    // README: who marks a backend server unhealthy. docs/operations.md: rights.
    Run(
        "kubectl -n shop create rolebinding health-reporter --clusterrole=elb-doctor-health-reporter --serviceaccount=shop:reporter",
        ClusterAdmin,
        &["rolebinding.rbac.authorization.k8s.io/health-reporter created"],
    ),
    Run(
        "kubectl create clusterrolebinding restore --clusterrole=elb-doctor-restore --serviceaccount=velero:velero",
        ClusterAdmin,
        &["clusterrolebinding.rbac.authorization.k8s.io/restore created"],
    ),
    Given(the_examples_are_applied),
    Run(
        r#"kubectl patch bes/web-1 --subresource=status --type=merge -p '{"status":{"health":{"state":"Unhealthy","reason":"ConnectTimeout"}}}'"#,
        Reporter,
        &["backendserver.elb-doctor.dev/web-1 patched"],
    ),
    // web-1 has been reported so already, and is left alone.
    Run(
        r"printf 'web-1 Unhealthy ConnectTimeout\nweb-2 Healthy\n' | examples/reporter.sh -n shop",
        Reporter,
        &["backendserver.elb-doctor.dev/web-2 patched"],
    ),
    Given(the_servers_of_this_section_are_gone),
    // README: the answer in the status. What these print stands below them.
    Run(
        r#"kubectl patch bes/default-group-1 --subresource=status --type=merge -p '{"status":{"health":{"state":"Unhealthy","reason":"ConnectTimeout"}}}'"#,
        Reporter,
        &[],
    ),
    Run(
        "kubectl wait --for=condition=FaultFound bes/default-group-1 --timeout=60s",
        Viewer,
        &[],
    ),
    Run("kubectl apply -f examples/troubleshoot-request.yaml", Editor, &[]),
    Run(
        "kubectl wait --for=condition=Succeeded tsr/why-unhealthy --timeout=60s",
        Viewer,
        &[],
    ),
    Given(the_other_examples_are_reported),
    Run("kubectl get bes,tsr", Viewer, &[]),
    // docs/operations.md: writes.
    Typed(
        "kubectl apply --server-side --subresource=status",
        ClusterAdmin,
        "kubectl get bes/default-group-1 -n shop -o json | kubectl apply --server-side --force-conflicts --subresource=status -f -",
        0,
        &["backendserver.elb-doctor.dev/default-group-1 serverside-applied"],
    ),
    // README: read the answer; describe your load balancer.
    Typed(
        "kubectl describe bes/NAME",
        Viewer,
        "kubectl describe bes/default-group-1",
        0,
        &[
            "security_group_check_hc_source_ip_ingress",
            "Dropped Share:",
            "Witness:",
            "Nearest:",
            "Fixes:",
        ],
    ),
    Run(
        "kubectl explain bes.spec",
        Viewer,
        &["securityGroupRefs", "Subnet of the server. Required"],
    ),
    Typed(
        "kubectl get elb,bes,sg,nacl,esn,ag -o yaml",
        Viewer,
        "kubectl get elb,bes,sg,nacl,esn,ag -o yaml | elb-doctor diagnose -f -",
        1,
        &["shop/default-group-1  Unhealthy (ConnectTimeout)  1 of 17 items failed"],
    ),
    Typed(
        "elb-doctor diagnose -f PATH…",
        Nobody,
        "elb-doctor diagnose -f examples/acl-order.yaml",
        1,
        &["shop/acl-order-1  Unhealthy (ConnectTimeout)  1 of 17 items failed"],
    ),
    Typed(
        "elb-doctor diagnose",
        Nobody,
        "elb-doctor diagnose -f examples/nothing-listening.yaml",
        0,
        &["What remains"],
    ),
    Typed(
        "elb-doctor explain ID",
        Nobody,
        "elb-doctor explain check_hc_config_port",
        0,
        &["check_hc_config_port", "The port configured for the health check"],
    ),
    Typed(
        "elb-doctor explain REASON",
        Nobody,
        "elb-doctor explain ReferenceNotFound",
        0,
        &["An object that the diagnosis needs is missing."],
    ),
    // examples/troubleshoot-request.yaml.
    Typed(
        "kubectl apply -f troubleshoot-request.yaml",
        Editor,
        "cd examples && kubectl apply -f troubleshoot-request.yaml",
        0,
        &["troubleshootrequest.elb-doctor.dev/why-unhealthy unchanged"],
    ),
    Run(
        "kubectl -n shop wait --for=condition=Succeeded tsr/why-unhealthy",
        Viewer,
        &["troubleshootrequest.elb-doctor.dev/why-unhealthy condition met"],
    ),
    Run(
        "kubectl -n shop describe tsr/why-unhealthy",
        Viewer,
        &["FaultsFound", "security_group_check_hc_source_ip_ingress"],
    ),
    // README, docs/checks/: accepting.
    Typed(
        "kubectl annotate bes/web-1 -n shop elb-doctor.dev/accept=check_hc_config_port",
        Editor,
        "kubectl annotate bes/other-port-1 -n shop elb-doctor.dev/accept=check_hc_config_port",
        0,
        &["backendserver.elb-doctor.dev/other-port-1 annotated"],
    ),
    Typed(
        "kubectl annotate bes/web-1 -n shop elb-doctor.dev/accept=acl_check_hc_dest_port_egress",
        Editor,
        "kubectl annotate bes/ephemeral-ports-1 -n shop elb-doctor.dev/accept=acl_check_hc_dest_port_egress",
        0,
        &["backendserver.elb-doctor.dev/ephemeral-ports-1 annotated"],
    ),
    Typed(
        "kubectl annotate bes/web-1 -n shop elb-doctor.dev/accept=acl_check_hc_source_port_ingress",
        Editor,
        "kubectl annotate bes/acl-order-1 -n shop elb-doctor.dev/accept=acl_check_hc_source_port_ingress",
        0,
        &["backendserver.elb-doctor.dev/acl-order-1 annotated"],
    ),
    Typed(
        "kubectl annotate elb/web elb-doctor.dev/accept=check_hc_config_port",
        Editor,
        "kubectl annotate elb/other-port elb-doctor.dev/accept=check_hc_config_port",
        0,
        &["loadbalancer.elb-doctor.dev/other-port annotated"],
    ),
    // README, docs/checks/: the patches that `elb-doctor diagnose` prints.
    Given(every_fix_that_is_shown_heals),
];

/// What is not run here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "podman build --tag REGISTRY/elb-doctor:0.1.0 --file Containerfile .",
        "builds an image: takes podman and a network",
    ),
    ("podman push REGISTRY/elb-doctor:0.1.0", "takes a registry"),
    (
        "(cd deploy && kustomize edit set image elb-doctor=REGISTRY/elb-doctor:0.1.0)",
        "changes a file of the repository; kubectl has no `kustomize edit`",
    ),
    (
        "(cd deploy/namespaced && kustomize edit set image elb-doctor=REGISTRY/elb-doctor:0.1.0)",
        "changes a file of the repository; kubectl has no `kustomize edit`",
    ),
    (
        "kustomize edit set image elb-doctor=REGISTRY/elb-doctor:TAG",
        "the same in a comment",
    ),
    (
        "make demo",
        "is a control plane and a controller of its own; what it types is what is typed here",
    ),
    ("make demo-up", "the same, and stays"),
    ("make demo-down", "ends what make demo-up has left"),
    ("make test", "runs this"),
    ("make unit", "runs the tests of the library"),
    ("cargo check --all-targets", "builds the crate that this is a test of"),
    (
        "cargo test --no-fail-fast --lib --test docs --test consequences --test random_worlds",
        "`make test` runs these with all others",
    ),
    ("make lint", "takes shellcheck and minutes; .ci/run does it"),
    ("make docs", "writes the texts anew; tests/docs.rs compares"),
    ("make crds", "writes crds/ anew; tests/crds.rs compares"),
    ("make bench", "measures"),
    (
        "make help",
        "takes make, which `cargo test` does not; the test of the targets reads what it lists",
    ),
];

#[test]
fn every_command_in_the_texts_is_run_here_or_named_with_the_reason() {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for command in in_texts() {
        shown.insert(command.text, command.place);
    }
    let mut known: BTreeSet<&str> = NOT_RUN.iter().map(|(command, _)| *command).collect();
    known.extend(STEPS.iter().filter_map(|step| match step {
        Run(text, ..) | Typed(text, ..) => Some(*text),
        Given(_) => None,
    }));
    let unknown: Vec<_> = shown
        .iter()
        .filter(|(text, _)| !known.contains(text.as_str()))
        .collect();
    assert!(unknown.is_empty(), "neither run nor named in {}: {unknown:#?}", file!());
    let gone: Vec<_> = known.iter().filter(|text| !shown.contains_key(**text)).collect();
    assert!(gone.is_empty(), "in no text any more: {gone:#?}");
}

#[test]
fn every_target_that_is_named_can_be_made() {
    let makefile = std::fs::read_to_string(repository().join("Makefile")).unwrap();
    for command in in_texts() {
        if let Some(target) = command.text.strip_prefix("make ") {
            let rule = format!("\n{target}:");
            assert!(
                makefile.contains(&rule),
                "{}: there is no target {target}",
                command.place
            );
        }
    }
}

#[test]
fn every_command_does_what_the_text_says_with_the_rights_that_it_names() {
    let shown: BTreeMap<String, Vec<String>> = in_texts()
        .into_iter()
        .filter(|command| !command.prints.is_empty())
        .map(|command| (command.text, command.prints))
        .collect();
    for step in STEPS {
        let (text, who, typed, code, prints) = match step {
            Given(given) => {
                given();
                continue;
            }
            Run(text, who, prints) => (*text, *who, *text, 0, *prints),
            Typed(text, who, typed, code, prints) => (*text, *who, *typed, *code, *prints),
        };
        let output = types(who, typed);
        let printed = String::from_utf8_lossy(&output.stdout);
        let context = || format!("{who:?}: {typed}\n{printed}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{}", context());
        for line in prints {
            assert!(printed.contains(line), "{}\ndoes not print {line}", context());
        }
        match shown.get(text) {
            Some(lines) => {
                let shown: Vec<String> = lines.iter().map(|line| without_age(line)).collect();
                let printed: Vec<String> = printed.lines().map(without_age).collect();
                assert_eq!(printed, shown, "{typed}");
            }
            None => assert!(!prints.is_empty(), "nobody looks at what comes of {typed}"),
        }
    }
}

/// A command in a text.
struct Shown {
    text: String,
    /// File and line.
    place: String,
    /// What the text shows that it prints.
    prints: Vec<String>,
}

/// The programs that a command between backquotes begins with.
const PROGRAMS: &[&str] = &[
    "kubectl",
    "make",
    "elb-doctor",
    "kustomize",
    "podman",
    "cargo",
    "examples/",
];

/// Every command of every text.
fn in_texts() -> Vec<Shown> {
    let top = repository();
    let mut texts: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "DESIGN.md"]
        .map(|name| top.join(name))
        .into();
    texts.extend(files(&top.join("docs"), "md"));
    texts.extend(files(&top.join("docs/checks"), "md"));
    let mut shown = Vec::new();
    for path in texts {
        in_markdown(&path, &mut shown);
    }
    for dir in [
        "deploy",
        "deploy/base",
        "deploy/users",
        "deploy/admission",
        "deploy/namespaced",
        "examples",
    ] {
        for path in files(&top.join(dir), "yaml") {
            in_comments(&path, &mut shown);
        }
    }
    assert!(shown.len() > 40, "that cannot be all");
    shown
}

fn in_markdown(path: &Path, shown: &mut Vec<Shown>) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut fence = None;
    let mut of_program = false;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(kind) };
            of_program = false;
            continue;
        }
        let mut begin = |command: &str| {
            let mut whole = command.to_owned();
            while let Some(first) = whole.strip_suffix('\\') {
                let (_, next) = lines.next().expect("the rest of the command");
                whole = format!("{} {}", first.trim_end(), next.trim());
            }
            Shown {
                // A description may follow, after a # or after some spaces.
                text: whole.split("  ").next().unwrap().trim().to_owned(),
                place: format!("{}:{}", path.strip_prefix(repository()).unwrap().display(), number + 1),
                prints: Vec::new(),
            }
        };
        match (fence, line.strip_prefix("$ "), line.strip_prefix("    ")) {
            (None, _, Some(command)) => shown.push(begin(command)),
            (None, _, None) => {
                let between = line.split('`').skip(1).step_by(2);
                let is_command = |text: &&str| PROGRAMS.iter().any(|name| text.starts_with(&format!("{name} ")));
                // The subcommands' own names.
                let commands = between.filter(is_command).filter(|text| *text != "elb-doctor run");
                let commands: Vec<Shown> = commands.map(&mut begin).collect();
                shown.extend(commands);
            }
            (Some("console"), Some(command), _) => {
                of_program = command.starts_with("elb-doctor ");
                if !of_program {
                    shown.push(begin(command));
                }
            }
            (Some("console"), None, _) if !of_program => shown.last_mut().unwrap().prints.push(line.to_owned()),
            (Some(_), ..) => {}
        }
    }
}

/// In a comment a command stands alone and indented, or at the end after a colon.
fn in_comments(path: &Path, shown: &mut Vec<Shown>) {
    let text = std::fs::read_to_string(path).unwrap();
    for (number, line) in text.lines().enumerate() {
        let Some((_, comment)) = line.split_once('#') else {
            continue;
        };
        let alone = comment.starts_with("   ").then(|| comment.trim());
        let last = comment.rsplit_once(": ").map(|(_, last)| last.trim());
        let is_command = |text: &&str| PROGRAMS.iter().any(|name| text.starts_with(&format!("{name} ")));
        if let Some(command) = alone.filter(is_command).or(last.filter(is_command)) {
            shown.push(Shown {
                text: command.to_owned(),
                place: format!("{}:{}", path.strip_prefix(repository()).unwrap().display(), number + 1),
                prints: Vec::new(),
            });
        }
    }
}

fn console_blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "```console" {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").collect());
        }
    }
    blocks
}

/// A line without a last word such as `6s` or `2m5s`, and without the width of the columns.
fn without_age(line: &str) -> String {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let is_age = |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['s', 'm', 'h']);
    if words.last().is_some_and(|word| is_age(word)) {
        words.pop();
    }
    words.join(" ")
}

/// The controller, which ends with this program.
static DOCTOR: OnceLock<Replica> = OnceLock::new();

fn the_controller_runs() {
    // Who installs it for the cluster has not installed it for one namespace before.
    kubectl(&[
        "delete",
        "role/elb-doctor",
        "rolebinding/elb-doctor",
        "-n",
        "elb-doctor",
    ]);
    let doctor = Replica::start("elb-doctor", &["--workers=2"]);
    doctor.until_ready();
    doctor.until_logged("leading");
    assert!(DOCTOR.set(doctor).is_ok());
}

fn the_people_have_their_roles() {
    ControlPlane::get().namespace("shop");
    accounts("shop");
}

fn the_examples_are_applied() {
    for path in files(&repository().join("examples"), "yaml") {
        if !path.ends_with("troubleshoot-request.yaml") {
            passes(&types(Editor, &format!("kubectl apply -f {}", path.display())));
        }
    }
    // The servers that the README takes for an example.
    let mut server: Value =
        serde_json::from_slice(&types(Viewer, "kubectl get bes/default-group-1 -o json").stdout).unwrap();
    for name in ["web-1", "web-2"] {
        server["metadata"] = json!({ "name": name });
        passes(&feeds("shop", Editor, "kubectl apply -f -", &server.to_string()));
    }
}

fn the_servers_of_this_section_are_gone() {
    until("shop", "bes/web-1", "Diagnosed", "True/FaultsFound");
    until("shop", "bes/web-2", "Healthy", "True/Reported");
    passes(&types(Editor, "kubectl delete bes/web-1 bes/web-2"));
}

/// Each example has in its manifest what is reported of its servers.
fn the_other_examples_are_reported() {
    let mut reports = String::new();
    for path in files(&repository().join("examples"), "yaml") {
        let text = std::fs::read_to_string(path).unwrap();
        for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let health = &document["status"]["health"];
            if let (Some(name), Some(state)) = (document["metadata"]["name"].as_str(), health["state"].as_str()) {
                reports.extend([
                    name,
                    " ",
                    state,
                    " ",
                    health["reason"].as_str().unwrap_or_default(),
                    "
",
                ]);
            }
        }
    }
    passes(&feeds("shop", Reporter, "examples/reporter.sh -n shop", &reports));
    eventually("a diagnosis of each", || {
        let output = types(Viewer, "kubectl get bes --no-headers");
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        let faults = table.lines().filter(|line| line.contains("FaultsFound")).count();
        let rest = [
            "NoFaultFound",
            "BackendNotUnhealthy",
            "IPBackendUnsupported",
            "NotAssociatedWithListener",
        ];
        let others = table
            .lines()
            .filter(|line| rest.iter().any(|word| line.contains(word)))
            .count();
        if faults == 10 && others == 5 {
            Ok(())
        } else {
            Err(table)
        }
    });
}

/// Whoever may edit can type each fix that the texts show, and it heals.
fn every_fix_that_is_shown_heals() {
    let mut typed = 0;
    let mut pages = vec![repository().join("README.md")];
    pages.extend(files(&repository().join("docs/checks"), "md"));
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let patches: Vec<&str> = console_blocks(&text)
            .into_iter()
            .filter(|block| block[0].starts_with("$ elb-doctor"))
            .flatten()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with("kubectl "))
            .collect();
        if patches.is_empty() {
            continue;
        }
        let world = match text.split_once("```yaml\n") {
            Some((_, rest)) => rest.split_once("```\n").unwrap().0.to_owned(),
            None => std::fs::read_to_string(repository().join("examples/acl-order.yaml")).unwrap(),
        };
        let namespace = format!(
            "fix-{}",
            page.file_stem()
                .unwrap()
                .to_string_lossy()
                .to_lowercase()
                .replace('_', "-")
        );
        people(&namespace);
        let manifests = world.replace("namespace: shop", &format!("namespace: {namespace}"));
        passes(&feeds(&namespace, Editor, "kubectl apply -f -", &manifests));
        for document in serde_saphyr::from_multiple::<Value>(&manifests).unwrap() {
            if document["kind"] == "BackendServer" {
                let name = document["metadata"]["name"].as_str().unwrap();
                let patch = json!({ "status": { "health": document["status"]["health"] } });
                let command = format!("kubectl patch bes/{name} --subresource=status --type=merge -p '{patch}'");
                passes(&feeds(&namespace, Reporter, &command, ""));
            }
        }
        let failed = || {
            let pipe = "kubectl get elb,bes,sg,nacl,esn,ag -o yaml | elb-doctor diagnose -f - -o json";
            let output = feeds(&namespace, Viewer, pipe, "");
            let list: Value = serde_json::from_slice(&output.stdout).unwrap();
            list["items"][0]["status"]["diagnosis"]["failed"].clone()
        };
        assert_ne!(failed(), 0, "{}", page.display());
        for patch in patches {
            let patch = patch.replace("-n shop", &format!("-n {namespace}"));
            let output = feeds(&namespace, Editor, &patch, "");
            passes(&output);
            assert!(String::from_utf8_lossy(&output.stdout).contains(" patched"), "{patch}");
            typed += 1;
        }
        assert_eq!(failed(), 0, "{}", page.display());
    }
    assert!(typed > 16, "{typed}");
}

/// What comes of it when that person types this in the repository.
fn types(who: Who, command: &str) -> Output {
    feeds("shop", who, command, "")
}

/// What comes of it when that person of a namespace types this in the repository, with something on standard input.
fn feeds(namespace: &str, who: Who, command: &str, input: &str) -> Output {
    use std::io::Write as _;
    let control_plane = ControlPlane::get();
    let programs = [
        Path::new(control_plane.kubectl().get_program())
            .parent()
            .unwrap()
            .to_owned(),
        Path::new(env!("CARGO_BIN_EXE_elb-doctor")).parent().unwrap().to_owned(),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let kubeconfig = match who {
        ClusterAdmin => control_plane.kubeconfig(),
        Editor => kubeconfig(namespace, "editor"),
        Viewer => kubeconfig(namespace, "viewer"),
        Reporter => kubeconfig(namespace, "reporter"),
        Nobody => control_plane.scratch().join("none"),
    };
    let mut shell = Command::new("bash")
        .args(["-o", "pipefail", "-c", command])
        .current_dir(repository())
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", control_plane.scratch())
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Not every command reads it.
    let _ = shell.stdin.take().unwrap().write_all(input.as_bytes());
    shell.wait_with_output().unwrap()
}

/// A namespace with an account for each.
fn people(namespace: &str) {
    ControlPlane::get().namespace(namespace);
    accounts(namespace);
    bind(namespace, "reporter", "elb-doctor-health-reporter");
}

/// The accounts of a namespace, all but the reporter with their rights.
fn accounts(namespace: &str) {
    for account in ["editor", "viewer", "reporter"] {
        kubectl(&["create", "serviceaccount", account, "-n", namespace]);
    }
    // No controller manager puts the parts of `view` and `edit` together here, so they are bound one by one.
    let view = ["system:aggregate-to-view", "elb-doctor-view"];
    let edit = ["system:aggregate-to-edit", "elb-doctor-edit"];
    for role in view {
        bind(namespace, "viewer", role);
        bind(namespace, "editor", role);
    }
    for role in edit {
        bind(namespace, "editor", role);
    }
}

fn bind(namespace: &str, account: &str, role: &str) {
    let name = format!("{account}-{}", role.replace(':', "-"));
    let (role, account) = (
        format!("--clusterrole={role}"),
        format!("--serviceaccount={namespace}:{account}"),
    );
    kubectl(&["create", "rolebinding", &name, "-n", namespace, &role, &account]);
}

/// A kubeconfig with a token of the account and nothing else.
fn kubeconfig(namespace: &str, account: &str) -> PathBuf {
    let path = ControlPlane::get().scratch().join(format!("{namespace}-{account}"));
    if !path.exists() {
        let view = kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&view).unwrap();
        let token = kubectl(&["create", "token", account, "-n", namespace, "--duration=2h"]);
        config["users"][0]["user"] = json!({ "token": token.trim() });
        config["contexts"][0]["context"]["namespace"] = namespace.into();
        std::fs::write(&path, config.to_string()).unwrap();
    }
    path
}

#[track_caller]
fn passes(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The files of a directory with that ending, sorted; not those of its subdirectories.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect();
    files.sort();
    files
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
