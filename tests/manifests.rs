//! `elb-doctor diagnose` and its input, through the built program: whatever a file holds, the answer is one clear line for
//! each problem, the right exit status, and the rest diagnosed all the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use elb_doctor::engine::CheckId;
use serde_json::Value;
use tempfile::TempDir;

/// What the program printed and how it ended.
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }

    /// Exactly these problems, each with these parts, and status 2.
    #[track_caller]
    fn prints_problems(&self, problems: &[&[&str]]) {
        let lines: Vec<&str> = self.err.lines().collect();
        assert_eq!(lines.len(), problems.len(), "{}", self.err);
        for (line, parts) in lines.iter().zip(problems) {
            for part in *parts {
                assert!(line.contains(part), "{line:?} lacks {part:?}");
            }
        }
        assert_eq!(self.code, 2, "{}", self.err);
    }
}

fn diagnose_with(args: &[&str], stdin: &[u8]) -> Answer {
    let mut child = Command::new(env!("CARGO_BIN_EXE_elb-doctor"))
        .arg("diagnose")
        .args(args)
        .env_remove("COLUMNS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads no further closes its standard input.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    Answer {
        code: output.status.code().expect("no signal"),
        out: String::from_utf8(output.stdout).unwrap(),
        err,
    }
}

fn diagnose(text: impl AsRef<[u8]>) -> Answer {
    diagnose_with(&["-f", "-"], text.as_ref())
}

fn file(dir: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A backend server that a probe reaches, and all that it refers to.
const HEALTHY_WORLD: &str = "\
apiVersion: elb-doctor.dev/v1alpha1
kind: Subnet
metadata: {name: front}
spec: {cidrs: [192.168.0.0/24]}
---
apiVersion: elb-doctor.dev/v1alpha1
kind: Subnet
metadata: {name: back}
spec: {cidrs: [192.168.1.0/24]}
---
apiVersion: elb-doctor.dev/v1alpha1
kind: LoadBalancer
metadata: {name: lb}
spec:
  type: Dedicated
  backendSubnetRefs: [{name: front}]
  listeners: [{name: in, protocol: TCP, port: 80, backendServerGroups: [pool]}]
  backendServerGroups: [{name: pool, protocol: TCP, healthCheck: {protocol: TCP}}]
---
apiVersion: elb-doctor.dev/v1alpha1
kind: SecurityGroup
metadata: {name: open}
spec:
  rules:
  - {name: in, direction: Ingress}
  - {name: out, direction: Egress}
---
apiVersion: elb-doctor.dev/v1alpha1
kind: BackendServer
metadata: {name: member}
spec:
  loadBalancerRef: {name: lb}
  backendServerGroup: pool
  address: 192.168.1.10
  port: 80
  subnetRef: {name: back}
  securityGroupRefs: [{name: open}]
status: {health: {state: Unhealthy, reason: ConnectTimeout}}
";

fn faulty_world() -> String {
    HEALTHY_WORLD.replace(
        "{name: in, direction: Ingress}",
        "{name: in, direction: Ingress, remote: {cidr: 10.0.0.0/8}}",
    )
}

/// A second backend server of the same world, unhealthy.
fn another() -> String {
    HEALTHY_WORLD
        .rsplit("---\n")
        .next()
        .unwrap()
        .replace("name: member", "name: another")
}

fn diagnosed(item: &Value) -> (String, String) {
    let conditions = item["status"]["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|c| c["type"] == "Diagnosed").unwrap();
    let text = |field: &str| condition[field].as_str().unwrap().to_owned();
    (text("reason"), text("message"))
}

/// What the table says of a backend server with one failed item.
fn one_failed() -> String {
    format!("1 of {} items failed", CheckId::COUNT)
}

#[test]
fn the_exit_status_says_how_it_went() {
    let well = diagnose(HEALTHY_WORLD);
    assert_eq!((well.code, well.err.as_str()), (0, ""), "{}", well.out);
    let faulty = diagnose(faulty_world());
    assert_eq!((faulty.code, faulty.err.as_str()), (1, ""), "{}", faulty.out);
    let invalid = diagnose(faulty_world() + "---\nkind: Nonsense\napiVersion: elb-doctor.dev/v1alpha1\n");
    assert_eq!(invalid.code, 2);
    assert!(
        invalid.out.contains(&one_failed()),
        "the rest is diagnosed: {}",
        invalid.out
    );
    // What admission cannot judge and the diagnosis refuses counts as invalid too.
    let host_bits = diagnose(HEALTHY_WORLD.replace("192.168.0.0/24", "192.168.0.1/24"));
    assert_eq!(host_bits.code, 2);
    assert!(
        host_bits
            .err
            .starts_with("error: <stdin>:4: Subnet default/front: spec.cidrs[0]: \"192.168.0.1/24\" has host bits set"),
        "{}",
        host_bits.err
    );
    // No arguments at all: clap's own status for wrong usage.
    assert_eq!(diagnose_with(&[], b"").code, 2);
}

#[test]
fn a_refusal_is_a_warning_and_with_strict_an_error() {
    let world = HEALTHY_WORLD.replace("securityGroupRefs: [{name: open}]", "securityGroupRefs: [{name: gone}]");
    let lenient = diagnose(&world);
    assert_eq!(lenient.code, 3);
    assert!(
        lenient
            .err
            .starts_with("warning: BackendServer default/member not diagnosed: ReferenceNotFound"),
        "{}",
        lenient.err
    );
    assert_eq!(diagnose_with(&["-f", "-", "--strict"], world.as_bytes()).code, 2);
}

#[test]
fn a_backend_that_is_not_unhealthy_is_no_problem_even_with_strict() {
    let world =
        HEALTHY_WORLD.replace("state: Unhealthy, reason: ConnectTimeout", "state: Healthy") + "---\n" + &another();
    let answer = diagnose_with(&["-f", "-", "--strict"], world.as_bytes());
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
}

#[test]
fn all_takes_every_backend_for_unhealthy() {
    let world = faulty_world().replace("status: {health: {state: Unhealthy, reason: ConnectTimeout}}\n", "");
    assert_eq!(diagnose(&world).code, 3);
    let answer = diagnose_with(&["-f", "-", "--all", "-o", "json"], world.as_bytes());
    assert_eq!(answer.code, 1);
    assert_eq!(diagnosed(&answer.json()["items"][0]).0, "FaultsFound");
}

#[test]
fn json_is_a_list_of_the_backends_with_the_status_filled_in_and_health_kept() {
    let world = faulty_world()
        + "---\n"
        + HEALTHY_WORLD
            .rsplit("---\n")
            .next()
            .unwrap()
            .replace("name: member", "name: a-member")
            .as_str();
    let list = diagnose_with(&["-f", "-", "-o", "json"], world.as_bytes()).json();
    assert_eq!((&list["apiVersion"], &list["kind"]), (&"v1".into(), &"List".into()));
    let names: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a-member", "member"], "sorted, whatever the order of the input");
    for item in list["items"].as_array().unwrap() {
        assert_eq!(item["apiVersion"], "elb-doctor.dev/v1alpha1");
        assert_eq!(item["status"]["health"]["reason"], "ConnectTimeout");
        assert_eq!(item["status"]["conditions"].as_array().unwrap().len(), 4);
        assert_eq!(
            item["status"]["diagnosis"]["checks"][0]["id"],
            "security_group_check_hc_source_ip_ingress"
        );
    }
}

#[test]
fn what_is_printed_can_be_read_again() {
    for format in ["json", "yaml"] {
        let first = diagnose_with(&["-f", "-", "-o", format], faulty_world().as_bytes());
        let others = HEALTHY_WORLD
            .rsplit_once("---\n")
            .unwrap()
            .0
            .replace("direction: Ingress}", "direction: Ingress, remote: {cidr: 10.0.0.0/8}}");
        let dir = TempDir::new().unwrap();
        let printed = file(&dir, &format!("printed.{format}"), &first.out);
        let again = diagnose_with(&["-f", &printed, "-f", "-", "-o", format], others.as_bytes());
        assert_eq!((again.code, again.err.as_str()), (1, ""), "{format}");
    }
}

#[test]
fn an_invalid_object_is_not_taken_for_a_missing_one() {
    // Readable but refused, not readable at all, of another version, and there twice.
    let base = HEALTHY_WORLD.replace(
        "name: in, direction: Ingress",
        "name: in, direction: Ingress, priority: 0",
    );
    let unreadable = HEALTHY_WORLD.replace("name: in, direction: Ingress", "name: in, direction: Sideways");
    let version = HEALTHY_WORLD.replace(
        "apiVersion: elb-doctor.dev/v1alpha1\nkind: SecurityGroup",
        "apiVersion: elb-doctor.dev/v1\nkind: SecurityGroup",
    );
    let twice = format!(
        "{HEALTHY_WORLD}---\napiVersion: elb-doctor.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: open}}\nspec: {{}}\n"
    );
    for world in [base, unreadable, version, twice] {
        let answer = diagnose_with(&["-f", "-", "-o", "json"], world.as_bytes());
        assert_eq!(answer.code, 2, "{}", answer.err);
        let (reason, message) = diagnosed(&answer.json()["items"][0]);
        assert_eq!(reason, "InvalidSpec", "{message}");
        assert!(
            message.contains("SecurityGroup") && message.contains("open"),
            "{message}"
        );
    }
}

#[test]
fn an_unreadable_network_acl_may_be_the_one_of_the_subnet() {
    let acl = |namespace: &str, enabled: &str| {
        format!(
            "---\napiVersion: elb-doctor.dev/v1alpha1\nkind: NetworkACL\nmetadata: {{name: fence, namespace: {namespace}}}\n\
             spec: {{enabled: {enabled}, subnetRefs: [{{name: back}}]}}\n"
        )
    };
    let reason = |acl: String| {
        let answer = diagnose_with(&["-f", "-", "-o", "json"], (HEALTHY_WORLD.to_owned() + &acl).as_bytes());
        diagnosed(&answer.json()["items"][0])
    };
    let (refused, message) = reason(acl("default", "'yes'"));
    assert_eq!(refused, "InvalidSpec");
    assert!(message.contains("NetworkACL fence"), "{message}");
    assert_eq!(reason(acl("default", "false")).0, "NoFaultFound");
    assert_eq!(reason(acl("elsewhere", "'yes'")).0, "NoFaultFound");
}

#[test]
fn a_broken_address_group_matters_only_where_an_enabled_rule_names_it() {
    let reason = |enabled: bool, addresses: &str| {
        let rule = format!(
            "{{name: in, direction: Ingress}}\n  - {{name: friends, direction: Ingress, enabled: {enabled}, remote: {{addressGroupRef: {{name: some}}}}}}"
        );
        let world = HEALTHY_WORLD.replace("{name: in, direction: Ingress}", &rule)
            + &format!(
                "---\napiVersion: elb-doctor.dev/v1alpha1\nkind: AddressGroup\nmetadata: {{name: some}}\nspec: {{addresses: {addresses}}}\n"
            );
        let answer = diagnose_with(&["-f", "-", "-o", "json"], world.as_bytes());
        diagnosed(&answer.json()["items"][0])
    };
    // Unreadable, and readable but refused by the schema.
    for addresses in ["{}", "['no address, surely']"] {
        let (refused, message) = reason(true, addresses);
        assert_eq!(refused, "InvalidSpec", "{message}");
        assert!(message.contains("AddressGroup some"), "{message}");
        assert_eq!(reason(false, addresses).0, "NoFaultFound");
    }
    assert_eq!(reason(true, "[10.0.0.1]").0, "NoFaultFound");
}

#[test]
fn an_invalid_backend_is_still_in_the_answer() {
    let world = HEALTHY_WORLD.replace("  port: 80\n", "  port: 80\n  colour: red\n");
    let answer = diagnose_with(&["-f", "-", "-o", "json"], world.as_bytes());
    assert_eq!(answer.code, 2);
    let (reason, message) = diagnosed(&answer.json()["items"][0]);
    assert_eq!(reason, "InvalidSpec");
    assert!(message.contains("spec.colour"), "{message}");
}

#[test]
fn an_unknown_field_is_named_with_its_line_and_the_likely_one() {
    diagnose(
        HEALTHY_WORLD
            .replace(
                "  subnetRef: {name: back}",
                "  subnetRef: {name: back}\n  securityGroupsRefs: []",
            )
            .replace("  securityGroupRefs: [{name: open}]\n", ""),
    )
    .err
    .lines()
    .find(|l| {
        l.contains("<stdin>:")
            && l.contains("unknown field \"securityGroupsRefs\"; did you mean \"securityGroupRefs\"?")
    })
    .expect("the hint");
}

#[test]
fn an_unknown_kind_is_named_with_its_line_and_the_likely_one() {
    diagnose("# first\napiVersion: elb-doctor.dev/v1alpha1\nkind: LoadBalancr\n")
        .prints_problems(&[&["<stdin>:3: unknown kind LoadBalancr: did you mean LoadBalancer?"]]);
    diagnose("kind: Subnte\nmetadata: {name: a}\n")
        .prints_problems(&[&["<stdin>:1: unknown kind Subnte: did you mean Subnet?"]]);
    diagnose("apiVersion: elb-doctor.dev/v1alpha1\nkind: Weather\n")
        .prints_problems(&[&["<stdin>:2: unknown kind Weather: elb-doctor reads", "BackendServer"]]);
}

#[test]
fn a_wrong_api_version_is_named_with_the_right_one() {
    diagnose("apiVersion: elb-doctor.dev/v1\nkind: Subnet\nmetadata: {name: a}\nspec: {cidrs: [10.0.0.0/8]}\n")
        .prints_problems(&[&[
            "<stdin>:1: Subnet default/a: apiVersion",
            "must be elb-doctor.dev/v1alpha1",
        ]]);
    diagnose("kind: Subnet\nmetadata: {name: a}\nspec: {cidrs: [10.0.0.0/8]}\n")
        .prints_problems(&[&["<stdin>:1", "apiVersion: Required value"]]);
    diagnose("metadata: {name: a}\n").prints_problems(&[&["<stdin>:1: has no kind"]]);
}

#[test]
fn two_objects_of_one_name_are_named_with_both_places() {
    let subnet =
        "apiVersion: elb-doctor.dev/v1alpha1\nkind: Subnet\nmetadata: {name: a}\nspec: {cidrs: [10.0.0.0/8]}\n";
    diagnose(format!("{subnet}---\n{subnet}"))
        .prints_problems(&[&["<stdin>:6: Subnet default/a: is there twice: also at <stdin>:1"]]);
    // The same name in another namespace, or of another kind, is another object.
    let other = subnet.replace("{name: a}", "{name: a, namespace: b}");
    let group = "apiVersion: elb-doctor.dev/v1alpha1\nkind: AddressGroup\nmetadata: {name: a}\nspec: {}\n";
    assert_eq!(diagnose(format!("{subnet}---\n{other}---\n{group}")).code, 3);
}

#[test]
fn lists_are_read_however_deep_and_lines_stay_right() {
    let answer = diagnose(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - apiVersion: elb-doctor.dev/v1alpha1\n    kind: Subnet\n    metadata: {name: a}\n    spec: {cidrs: []}\n",
    );
    answer.prints_problems(&[&["<stdin>:10: Subnet default/a: spec.cidrs"]]);
    diagnose("apiVersion: v1\nkind: List\nitems: 5\n").prints_problems(&[&["<stdin>:3: items of a List must be"]]);
    assert_eq!(
        diagnose("apiVersion: elb-doctor.dev/v1alpha1\nkind: SubnetList\nitems: []\n").code,
        3
    );
}

#[test]
fn a_broken_document_leaves_the_others_alone() {
    let answer = diagnose(format!("a: [1, 2\n---\n{}", faulty_world()));
    assert_eq!(answer.code, 2);
    assert!(
        answer.err.starts_with("error: <stdin>:1: cannot be read as YAML")
            || answer.err.starts_with("error: <stdin>:2: cannot be read as YAML"),
        "{}",
        answer.err
    );
    assert!(answer.out.contains(&one_failed()));
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_change_nothing() {
    let windows = format!("\u{feff}{}", faulty_world().replace('\n', "\r\n"));
    let answer = diagnose(windows);
    assert_eq!((answer.code, answer.err.as_str()), (1, ""));
    let utf16: Vec<u8> = [0xFF, 0xFE, b'a', 0].to_vec();
    diagnose(utf16).prints_problems(&[&["is UTF-16 text: save it as UTF-8"]]);
}

#[test]
fn json_is_read_with_tabs_and_one_value_after_another() {
    let text = "{\n\t\"apiVersion\": \"elb-doctor.dev/v1alpha1\",\n\t\"kind\": \"Subnet\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\"spec\": {\"cidrs\": [\"10.0.0.0/8\"]}\n}\n";
    let second = text.replace("\"a\"", "\"b\"").replace("10.0.0.0/8", "x");
    diagnose(format!("{text}{second}")).prints_problems(&[&["<stdin>:11: Subnet default/b: spec.cidrs[0]"]]);
    let dir = TempDir::new().unwrap();
    let broken = file(&dir, "broken.json", "{\n \"kind\": \"Subnet\",,\n}\n");
    diagnose_with(&["-f", &broken], b"").prints_problems(&[&["broken.json:2: cannot be read as JSON"]]);
}

#[test]
fn what_is_no_manifest_is_one_clear_line() {
    diagnose(b"a\n\0b").prints_problems(&[&["<stdin>:2: is binary"]]);
    diagnose(b"a: b\nc: \xe9\n").prints_problems(&[&["<stdin>:2: is not UTF-8 text"]]);
    diagnose("just words\n").prints_problems(&[&["<stdin>:1: must be an object", "not string"]]);
    diagnose("[1, 2]").prints_problems(&[&["<stdin>:1: must be an object", "not array"]]);
    diagnose("kind: A\nkind: B\n").prints_problems(&[&["<stdin>:2", "duplicate mapping key"]]);
}

#[test]
fn files_that_are_not_there_or_hold_nothing_are_one_clear_line_each() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing.yaml");
    let answer = diagnose_with(
        &["-f", missing.to_str().unwrap(), "-f", dir.path().to_str().unwrap()],
        b"",
    );
    answer.prints_problems(&[
        &["missing.yaml: cannot be read"],
        &["the directory holds no .yaml, .yml or .json file"],
    ]);
}

#[test]
fn a_directory_stands_for_its_own_manifests_and_not_for_those_of_its_subdirectories() {
    let dir = TempDir::new().unwrap();
    file(&dir, "a.yaml", faulty_world());
    file(&dir, "notes.txt", "not a manifest");
    fs::create_dir(dir.path().join("deeper")).unwrap();
    fs::write(dir.path().join("deeper/b.yaml"), "garbage").unwrap();
    let answer = diagnose_with(&["-f", dir.path().to_str().unwrap()], b"");
    assert_eq!((answer.code, answer.err.as_str()), (1, ""));
}

#[test]
fn nesting_and_aliases_are_bounded() {
    diagnose("[".repeat(100_000)).prints_problems(&[&["<stdin>:1: is nested deeper than 64 levels"]]);
    diagnose("- ".repeat(50_000)).prints_problems(&[&["<stdin>:1: is nested deeper than 64 levels"]]);
    let brackets = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    diagnose(brackets).prints_problems(&[&["<stdin>:1: is nested deeper than 64 levels"]]);
    diagnose("a: &a [*a]\n").prints_problems(&[&["has an alias inside the value that it stands for"]]);
    let mut laughs = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (from, to) in ('a'..'j').zip('b'..='j') {
        let line = format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(","));
        laughs.push_str(&line);
    }
    diagnose(laughs).prints_problems(&[&["has aliases that stand for too much"]]);
    let text = format!(
        "a: &a \"{}\"\nb: [{}]\n",
        "x".repeat(1_000_000),
        vec!["*a"; 5_000].join(",")
    );
    diagnose(text).prints_problems(&[&["is too large for one document"]]);
}

#[test]
fn an_alias_stands_for_what_it_names() {
    let world = faulty_world().replace(
        "metadata: {name: front}\nspec: {cidrs: [192.168.0.0/24]}",
        "metadata: {name: &n front}\nspec: {cidrs: [192.168.0.0/24]}",
    );
    assert_eq!(diagnose(world).code, 1);
}

#[test]
fn fifty_megabytes_are_refused_in_one_line_without_being_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("large.yaml");
    let subnet =
        "apiVersion: elb-doctor.dev/v1alpha1\nkind: Subnet\nmetadata: {name: a}\nspec: {cidrs: [10.0.0.0/8]}\n---\n";
    fs::write(&path, subnet.repeat(50 * 1024 * 1024 / subnet.len() + 1)).unwrap();
    file(&dir, "small.yaml", faulty_world());
    let answer = diagnose_with(&["-f", dir.path().to_str().unwrap()], b"");
    answer.prints_problems(&[&["large.yaml: the input is larger than 32 MiB", "--max-input-mib"]]);
    assert!(answer.out.contains(&one_failed()), "the other file is diagnosed");
    // A pipe has no size: it is cut off.
    diagnose_with(&["-f", "-", "--max-input-mib", "1"], &vec![b'a'; 2 << 20])
        .prints_problems(&[&["larger than 1 MiB"]]);
    if Path::new("/dev/zero").exists() {
        diagnose_with(&["-f", "/dev/zero", "--max-input-mib", "1"], b"").prints_problems(&[&["larger than 1 MiB"]]);
    }
}

#[test]
fn problems_without_end_are_cut_off() {
    let answer = diagnose("a: {\n---\n".repeat(20_000));
    assert_eq!(answer.code, 2);
    assert_eq!(answer.err.lines().count(), 101);
    assert!(answer.err.lines().last().unwrap().contains("more"), "{}", answer.err);
}

#[test]
fn nothing_in_a_file_steers_the_terminal() {
    let escape = "\"\\e[31mred\\e[0m\"";
    let world = faulty_world()
        .replace("{name: in, direction", &format!("{{name: {escape}, direction"))
        .replace("metadata: {name: back}", &format!("metadata: {{name: {escape}}}"))
        + &format!("---\napiVersion: v1\nkind: {escape}\n");
    for format in ["table", "json", "yaml"] {
        let answer = diagnose_with(&["-f", "-", "-o", format], world.as_bytes());
        assert!(
            !answer.err.contains('\u{1b}') && !answer.out.contains('\u{1b}'),
            "{}{}",
            answer.err,
            answer.out
        );
    }
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    assert!(!diagnose(faulty_world()).out.contains('\u{1b}'));
    assert!(
        diagnose_with(&["-f", "-", "--color", "always"], faulty_world().as_bytes())
            .out
            .contains('\u{1b}')
    );
}

#[test]
fn a_table_fits_its_width_but_for_commands_to_copy() {
    for width in [80, 120] {
        let output = Command::new("sh")
            .arg("-c")
            .arg("printf '%s' \"$WORLD\" | \"$0\" diagnose -f -")
            .arg(env!("CARGO_BIN_EXE_elb-doctor"))
            .env("WORLD", faulty_world())
            .env("COLUMNS", width.to_string())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(
            out.contains("kubectl patch securitygroup open -n default --type=json -p '["),
            "{out}"
        );
        for line in out.lines().filter(|l| !l.contains("kubectl patch")) {
            assert!(line.chars().count() <= width, "{line}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let output = Command::new("sh")
        .arg("-c")
        .arg("printf '%s' \"$WORLD\" | \"$0\" diagnose -f - -o json | :")
        .arg(env!("CARGO_BIN_EXE_elb-doctor"))
        .env("WORLD", faulty_world())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn requests_are_judged_and_need_nothing_beside_them() {
    let request = "apiVersion: elb-doctor.dev/v1alpha1\nkind: TroubleshootRequest\nmetadata: {name: now}\nspec: {loadBalancerRef: {name: lb}}\n";
    let alone = diagnose(request);
    assert_eq!((alone.code, alone.err.lines().count()), (3, 1), "{}", alone.err);
    diagnose(request.replace("spec: {", "spec: {subject: Everything, ")).prints_problems(&[&[
        "<stdin>:4",
        "spec.subject: Unsupported value",
        "\"All\"",
    ]]);
}

#[test]
fn standard_input_and_files_are_read_once() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "a.yaml", HEALTHY_WORLD);
    let other = format!("{}/./a.yaml", dir.path().display());
    let whole = dir.path().to_str().unwrap();
    for paths in [
        ["-", "-"],
        [&path, &path],
        [&path, &other],
        [whole, &path],
        [&other, whole],
    ] {
        let answer = diagnose_with(&["-f", paths[0], "-f", paths[1]], HEALTHY_WORLD.as_bytes());
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{paths:?}");
    }
}

/// One line on standard error with all of these parts, and status 3.
#[track_caller]
fn diagnoses_nothing(answer: &Answer, parts: &[&str]) {
    assert_eq!(answer.code, 3, "{}", answer.err);
    let last = answer.err.lines().last().unwrap_or_default();
    for part in parts {
        assert!(last.contains(part), "{last:?} lacks {part:?}");
    }
}

#[test]
fn nothing_diagnosed_is_status_3_and_one_line_that_says_what_to_do() {
    let well = HEALTHY_WORLD.replace("state: Unhealthy, reason: ConnectTimeout", "state: Healthy");
    let answer = diagnose(&well);
    assert_eq!(answer.err.lines().count(), 1, "{}", answer.err);
    diagnoses_nothing(
        &answer,
        &["no backend server is reported unhealthy: --all diagnoses them all"],
    );
    assert_eq!(diagnose_with(&["-f", "-", "--all"], well.as_bytes()).code, 0);
    // Everything refused: the most common reason is named.
    let world = HEALTHY_WORLD
        .replace("name: open}]", "name: gone}]")
        .replace("name: member", "name: one")
        + "---\n"
        + &another().replace("name: open}]", "name: gone}]")
        + "---\n"
        + &another()
            .replace("name: another", "name: third")
            .replace("  port: 80\n", "  port: 80\n  type: IP\n");
    diagnoses_nothing(
        &diagnose(&world),
        &[
            "all 3 were refused, 2 of them: ReferenceNotFound",
            "elb-doctor explain ReferenceNotFound",
        ],
    );
    // Some refused, others well.
    let mixed = world.clone()
        + "---\n"
        + &another()
            .replace("another", "fourth")
            .replace("Unhealthy, reason: ConnectTimeout", "Healthy");
    diagnoses_nothing(
        &diagnose(&mixed),
        &["3 backend servers refused", "1 is not reported unhealthy", "--all"],
    );
    assert_eq!(diagnose_with(&["-f", "-", "--strict"], world.as_bytes()).code, 2);
    // No backend server in the input.
    let others = HEALTHY_WORLD.rsplit_once("---\n").unwrap().0;
    diagnoses_nothing(&diagnose(others), &["there is no backend server in the input"]);
    for empty in [
        "",
        "# nothing\n---\n# here\n",
        "null\n",
        "---\n---\n~\n",
        "apiVersion: v1\nkind: List\nitems: []\n",
        "[]",
    ] {
        let answer = diagnose(empty);
        assert_eq!(answer.err.lines().count(), 1, "{}", answer.err);
        diagnoses_nothing(&answer, &["there is no backend server in the input"]);
    }
    // One that is diagnosed is enough.
    assert_eq!(diagnose(well + "---\n" + &another()).code, 0);
}

#[test]
fn objects_of_others_are_passed_over_with_one_counted_note() {
    let pod = |number| format!("- {{apiVersion: v1, kind: Pod, metadata: {{name: p{number}}}}}\n");
    let pods: String = (0..300).map(pod).collect();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{pods}");
    let typed = format!("apiVersion: v1\nkind: PodList\nitems:\n{pods}");
    for (others, note) in [
        (list.as_str(), "note: passed over 300 objects of other kinds (Pod)"),
        (typed.as_str(), "note: passed over 300 objects of other kinds (Pod)"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Service\n---\nkind: Kustomization\nresources: []\n",
            "note: passed over 3 objects of other kinds (Deployment, Kustomization, Service)",
        ),
        // Values of a chart, a kustomization without head, the description of a chart.
        (
            "image: {tag: a}\nreplicas: 3\n",
            "note: passed over 1 document that is no Kubernetes object (<stdin>)",
        ),
        (
            "resources: [a.yaml]\n---\napiVersion: v2\nname: chart\n",
            "note: passed over 2 documents that are no Kubernetes objects (<stdin>)",
        ),
        // Another project's kind of the same name.
        (
            "apiVersion: ec2.example.org/v1\nkind: SecurityGroup\nmetadata: {name: open}\n",
            "note: passed over 1 object of other kinds (SecurityGroup)",
        ),
    ] {
        let input = format!("{others}---\n{}", faulty_world());
        let answer = diagnose(&input);
        assert_eq!((answer.code, answer.err.trim_end()), (1, note));
        let strict = diagnose_with(&["-f", "-", "--strict"], input.as_bytes());
        assert_eq!(strict.code, 2);
        assert!(
            strict.err.starts_with("error: ") && strict.err.lines().count() == 1,
            "{}",
            strict.err
        );
        let alone = diagnose(others);
        assert_eq!((alone.code, alone.err.lines().count()), (3, 2), "{}", alone.err);
    }
    // What was meant to be ours is not.
    for (head, hint) in [
        (
            "apiVersion: elb-docter.dev/v1alpha1\nkind: Subnet",
            "must be elb-doctor.dev/v1alpha1",
        ),
        ("apiVersion: elb-doctor.dev/v1alpha1\nkind: Pod", "unknown kind Pod"),
        ("apiVersion: v1\nkind: Subnet", "must be elb-doctor.dev/v1alpha1"),
        ("kind: BackendServr", "did you mean BackendServer?"),
    ] {
        diagnose(format!("{head}\nmetadata: {{name: a}}\n")).prints_problems(&[&[hint]]);
    }
}

#[test]
fn a_name_that_is_in_another_namespace_is_said_to_be_there() {
    let shop = HEALTHY_WORLD
        .replace("metadata: {name: lb}", "metadata: {name: lb, namespace: shop}")
        .replace("metadata: {name: member}", "metadata: {name: member, namespace: shop}")
        .replace("metadata: {name: open}", "metadata: {name: open, namespace: shop}");
    let answer = diagnose(&shop);
    for part in [
        "Subnet \"front\" not found (there is a Subnet of that name in namespace default;",
        "Subnet \"back\" not found (there is a Subnet of that name in namespace default;",
        "-n shop puts objects without a namespace in shop",
    ] {
        assert!(answer.err.contains(part), "{} lacks {part}", answer.err);
    }
    assert!(answer.out.contains("namespace default"), "{}", answer.out);
    assert_eq!(diagnose_with(&["-f", "-", "-n", "shop"], shop.as_bytes()).code, 0);
    // The other way round: the server names none.
    let others = HEALTHY_WORLD.replace("metadata: {name: open}", "metadata: {name: open, namespace: depot}");
    let answer = diagnose(others);
    assert!(
        answer
            .err
            .contains("there is a SecurityGroup of that name in namespace depot; -n depot"),
        "{}",
        answer.err
    );
    // The status is that of the controller, which does not look into other namespaces.
    let json = diagnose_with(&["-f", "-", "-o", "json"], shop.as_bytes()).json();
    assert!(!diagnosed(&json["items"][0]).1.contains("namespace default"));
    assert_eq!(diagnose_with(&["-f", "-", "-n", "Shop"], b"").code, 2);
}

#[test]
fn files_are_named_as_for_kubectl_or_with_a_hint() {
    let dir = TempDir::new().unwrap();
    let (servers, rest) = (another(), HEALTHY_WORLD.rsplit_once("---\n").unwrap().0.to_owned());
    file(&dir, "rest.yaml", rest);
    fs::create_dir(dir.path().join("deeper")).unwrap();
    file(&dir, "deeper/servers.yml", servers);
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_elb-doctor"))
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for args in [
        &["-f", "rest.yaml,deeper/servers.yml"] as &[&str],
        &["-f", "rest.yaml", "deeper/servers.yml"],
        &["rest.yaml", "deeper/servers.yml"],
        &["rest.yaml", "-f", "deeper"],
        &["-R", "-f", "."],
        &["--recursive", "."],
        &["-f", "r*.yaml", "-f", "*/*.y?l", "-f", "d[a-f]eper/*"],
        &["-f", "rest.yaml,*"],
    ] {
        let (code, err) = run(&[&["diagnose"], args].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    }
    for (args, hint) in [
        (
            &["diagnose", "-f", r"C:\work\rest.yaml"] as &[&str],
            "-f /mnt/c/work/rest.yaml",
        ),
        (&["diagnose", "-f", r"deeper\servers.yml"], "-f deeper/servers.yml"),
        (&["diagnose", "-f", "rset.yaml"], "did you mean rest.yaml?"),
        (&["diagnose", "-f", "*.json"], "the pattern matches no file"),
        (
            &["diagnose", "-f", "https://example.org/a.yaml"],
            "curl -fsSL https://example.org/a.yaml | elb-doctor diagnose -f -",
        ),
        (&["diagnose", "-f", "~/a.yaml"], "$HOME"),
        (
            &["diagnose", "-k", "deeper"],
            "kubectl kustomize deeper | elb-doctor diagnose -f -",
        ),
        (&["rest.yaml"], "elb-doctor diagnose -f rest.yaml"),
        (&["diagnose"], "--filename"),
    ] {
        let (code, err) = run(args);
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(err.contains(hint), "{args:?}: {err}");
    }
    fs::create_dir(dir.path().join("outer")).unwrap();
    fs::rename(dir.path().join("deeper"), dir.path().join("outer/deeper")).unwrap();
    let (_, err) = run(&["diagnose", "-f", "outer"]);
    assert!(err.contains("-R also reads its subdirectories"), "{err}");
}

#[test]
fn what_is_no_manifest_at_all_is_named_for_what_it_is() {
    for (name, text, parts) in [
        (
            "deployment.yaml",
            "apiVersion: elb-doctor.dev/v1alpha1\nkind: Subnet\nmetadata:\n  name: {{ include \"x.name\" . }}\n---\n{{- if .Values.b }}\na: b\n{{- end }}\n",
            &[
                "deployment.yaml:4: this is an unrendered Helm template",
                "helm template CHART | elb-doctor diagnose -f -",
            ] as &[&str],
        ),
        (
            "play.yaml",
            "{% for a in b %}\n- {{ a }}\n{% endfor %}\n",
            &["a template that nobody rendered"],
        ),
        (
            "main.tf",
            "resource \"openstack_lb_pool_v2\" \"a\" {\n}\n",
            &["Terraform"],
        ),
        (
            "state",
            "{\"version\": 4, \"terraform_version\": \"1.9\", \"lineage\": \"a\", \"serial\": 1}",
            &["Terraform"],
        ),
        (
            "plan.json",
            "{\"format_version\": \"1.2\", \"terraform_version\": \"1.9\", \"planned_values\": {}}",
            &["Terraform"],
        ),
        (
            "a.json",
            "{\"TargetHealthDescriptions\": [{\"Target\": {\"Id\": \"i-1\"}, \"TargetHealth\": {\"State\": \"unhealthy\"}}]}",
            &[
                "an answer of the AWS API (TargetHealthDescriptions)",
                "a BackendServer of elb-doctor.dev/v1alpha1",
            ],
        ),
        (
            "b.json",
            "{\"NetworkAcls\": [{\"NetworkAclId\": \"acl-1\", \"Entries\": []}]}",
            &["AWS", "a NetworkACL"],
        ),
        (
            "c.json",
            "{\"security_group_rules\": [{\"id\": \"1\", \"tenant_id\": \"t\"}]}",
            &["OpenStack", "a SecurityGroup"],
        ),
        (
            "d.json",
            "[{\"ID\": \"1\", \"IP Protocol\": \"tcp\", \"IP Range\": \"0.0.0.0/0\"}]",
            &["OpenStack", "a SecurityGroup"],
        ),
        (
            "e.json",
            "{\"request_id\": \"r\", \"members\": [{\"id\": \"1\"}]}",
            &["Huawei Cloud", "a BackendServer"],
        ),
        ("f.yaml", "kind: compute#firewall\nname: a\n", &["Google"]),
        (
            "g.txt",
            "Name:         web\nNamespace:    shop\nLabels:       <none>\nAPI Version:  elb-doctor.dev/v1alpha1\nKind:         BackendServer\nSpec:\n  Address:  10.0.0.1\nEvents:  <none>\n",
            &["kubectl describe", "kubectl get -o yaml"],
        ),
        (
            "h.txt",
            "NAMESPACE   NAME    HEALTHY\nshop        web     False\n",
            &["kubectl get", "-o yaml"],
        ),
        ("i.yaml", "<!DOCTYPE html>\n<html></html>\n", &["a web page"]),
    ] {
        let dir = TempDir::new().unwrap();
        let path = file(&dir, name, text);
        let answer = diagnose_with(&["-f", &path], b"");
        answer.prints_problems(&[parts]);
    }
    // A mark of a template in a string of something else is none.
    let rule = "apiVersion: v1\nkind: ConfigMap\ndata: {a: '{{ .Values.b }}'}\n---\n";
    assert_eq!(diagnose(rule.to_owned() + &faulty_world()).code, 1);
}

#[test]
#[allow(clippy::too_many_lines, reason = "a list")]
fn the_spelling_of_clouds_is_answered_with_the_right_word() {
    for (right, wrong, hint) in [
        (
            "reason: ConnectTimeout",
            "reason: CONNECT_TIMEOUT",
            "did you mean \"ConnectTimeout\"?",
        ),
        (
            "reason: ConnectTimeout",
            "reason: connection timed out",
            "did you mean \"ConnectTimeout\"?",
        ),
        ("state: Unhealthy", "state: OFFLINE", "did you mean \"Unhealthy\"?"),
        ("direction: Ingress", "direction: ingress", "did you mean \"Ingress\"?"),
        ("direction: Egress", "direction: outbound", "did you mean \"Egress\"?"),
        (
            "direction: Ingress",
            "direction: Ingress, action: drop",
            "did you mean \"Deny\"?",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, ethertype: 4",
            "did you mean \"IPv4\"?",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, protocol: TCP",
            "did you mean \"tcp\"?",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, protocol: any",
            "leave protocol out: absent means all",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, protocol: '-1'",
            "leave protocol out: absent means all",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, protocol: -1",
            "leave protocol out: absent means all",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, protocol: 0",
            "leave protocol out: absent means all",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, protocol: 6",
            "put it in quotes",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, protocol: tcp, ports: '80:90'",
            "did you mean \"80-90\"?",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, remote: {cidr: 10.0.0.1}",
            "did you mean \"10.0.0.1/32\"?",
        ),
        (
            "direction: Ingress",
            "direction: Ingress, enabled: 'yes'",
            "write true, without quotes",
        ),
        ("type: Dedicated", "type: dedicated", "did you mean \"Dedicated\"?"),
        (
            "healthCheck: {protocol: TCP}",
            "healthCheck: {protocol: tcp}",
            "did you mean \"TCP\"?",
        ),
        (
            "healthCheck: {protocol: TCP}",
            "healthCheck: {protocol: TCP, delay: 5}",
            "did you mean \"delaySeconds\"?",
        ),
        (
            "securityGroupRefs:",
            "security_group_refs:",
            "did you mean \"securityGroupRefs\"?",
        ),
    ] {
        diagnose(HEALTHY_WORLD.replace(right, wrong)).prints_problems(&[&[hint]]);
    }
    // What may be meant is no error.
    for (right, wrong, hint) in [
        (
            "reason: ConnectTimeout",
            "reason: ConnectionRefused",
            "did you mean \"ConnectRefused\"?",
        ),
        (
            "direction: Ingress}",
            "direction: Ingress}\n  - {name: z, direction: Ingress, protocol: '0'}",
            "leave protocol out",
        ),
    ] {
        let answer = diagnose(HEALTHY_WORLD.replace(right, wrong));
        assert_eq!((answer.code, answer.err.lines().count()), (0, 1), "{}", answer.err);
        assert!(
            answer.err.starts_with("note: <stdin>:") && answer.err.contains(hint),
            "{}",
            answer.err
        );
    }
    let free = diagnose(HEALTHY_WORLD.replace("reason: ConnectTimeout", "reason: MaintenanceWindow"));
    assert_eq!((free.code, free.err.as_str()), (0, ""));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let world = HEALTHY_WORLD
        // A wrong word, beside it what only a reader of the values finds, and a rule of admission.
        .replace("{name: in, direction: Ingress}", "{name: in, direction: Sideways}\n  - {name: in2, direction: Ingress, remote: {cidr: 10.0.0.1/8}}\n  - {name: in3, direction: Ingress, ports: '80'}")
        // A wrong type, and two prefixes with host bits.
        .replace("spec: {cidrs: [192.168.0.0/24]}", "spec: {cidrs: [192.168.0.1/24, 192.168.3.9/24]}")
        .replace("  port: 80\n", "  port: '80'\n  weight: 900\n")
        .replace("address: 192.168.1.10", "address: 192.168.1.300");
    diagnose(&world).prints_problems(&[
        &["<stdin>:25: SecurityGroup default/open: spec.rules[0].direction: Unsupported value"],
        &[
            "<stdin>:27: SecurityGroup default/open: spec.rules[2].ports",
            "only possible with protocol tcp or udp",
        ],
        &["BackendServer default/member: spec.port", "must be of type integer"],
        &["BackendServer default/member: spec.weight", "less than or equal to 100"],
        &[
            "<stdin>:4: Subnet default/front: spec.cidrs[0]",
            "has host bits set; the prefix is 192.168.0.0/24",
        ],
        &[
            "<stdin>:4: Subnet default/front: spec.cidrs[1]",
            "the prefix is 192.168.3.0/24",
        ],
        &[
            "<stdin>:26: SecurityGroup default/open: spec.rules[1].remote.cidr",
            "10.0.0.0/8",
        ],
        &["BackendServer default/member: spec.address", "is not an IP address"],
    ]);
    // Further ones are counted where there is no room, and are to be found.
    let answer = diagnose_with(
        &["-f", "-", "-o", "json"],
        HEALTHY_WORLD.replace("[192.168.0.0/24]", "[a, b, c]").as_bytes(),
    );
    let (_, message) = diagnosed(&answer.json()["items"][0]);
    assert!(
        message.contains("(and 2 more, listed with the errors of the input)"),
        "{message}"
    );
    let missing = HEALTHY_WORLD.replace("[{name: open}]", "[{name: xa}, {name: ya}, {name: za}]");
    let answer = diagnose(&missing);
    for name in ["xa", "ya", "za"] {
        assert!(
            answer.err.contains(&format!("SecurityGroup \"{name}\" not found")),
            "{}",
            answer.err
        );
    }
    assert!(
        answer
            .out
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("(and 2 more, listed on standard error)")
    );
    let json = diagnose_with(&["-f", "-", "-o", "json"], missing.as_bytes()).json();
    assert!(
        diagnosed(&json["items"][0])
            .1
            .contains("(and 2 more; elb-doctor diagnose lists them all)")
    );
}

#[test]
fn an_array_of_objects_is_read_as_a_list_is() {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&faulty_world()).unwrap();
    for text in [
        serde_json::to_string(&objects).unwrap(),
        serde_saphyr::to_string(&objects).unwrap(),
    ] {
        let answer = diagnose(&text);
        assert_eq!((answer.code, answer.err.as_str()), (1, ""), "{text}");
    }
}

/// Whatever is done to a manifest, reading it ends in objects and problems and not in a panic.
#[test]
fn damaged_manifests_never_stop_the_reader() {
    let mut examples = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            examples.push(fs::read_to_string(path).unwrap());
        }
    }
    assert!(!examples.is_empty());
    // A small generator with a fixed start: the same damage in each run.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let scraps = [
        "{", "}", "[", "]", ":", "- ", "null", "~", "\n", "\t", "\"", "'", "&a ", "*a", "!!int ", "<<: ", "|", ">",
        "#", "---\n", "-1", "1e999", "é", "\u{202e}", "0x", "? ",
    ];
    for _ in 0..100 {
        let mut text: Vec<char> = examples[next(examples.len())].chars().collect();
        for _ in 0..=next(3) {
            let at = next(text.len());
            match next(3) {
                0 => drop(text.drain(at..(at + 1 + next(20)).min(text.len()))),
                1 => drop(text.splice(at..at, scraps[next(scraps.len())].chars())),
                _ => {
                    let to = next(text.len());
                    text.swap(at, to);
                }
            }
        }
        let text: String = text.into_iter().collect();
        let loaded = elb_doctor::manifest::load_text("damaged.yaml", &text);
        for problem in loaded.errors {
            let line = problem.to_string();
            assert!(line.len() < 2_000 && !line.contains('\n'), "{line}");
        }
    }
}
