//! The manifests in deploy/: a real API server takes them, and they grant what the controller uses and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use common::ControlPlane;
use elb_doctor::api::v1alpha1::{GROUP, Kind};
use serde_json::{Value, json};

const ACCOUNT: &str = "system:serviceaccount:elb-doctor:elb-doctor";

/// One permission: verb, group/resource, and the name of the one object that it is limited to.
type Right = (String, String, Option<String>);

#[test]
fn the_service_account_may_do_what_the_controller_does_and_no_more() {
    installed();
    assert_eq!(rights_of(ACCOUNT, "shop"), everywhere(), "outside its own namespace");
    let mut at_home = everywhere();
    at_home.extend(lease());
    assert_eq!(rights_of(ACCOUNT, "elb-doctor"), at_home, "in its own namespace");
}

#[test]
fn the_namespaced_variant_grants_the_same_in_its_own_namespace_only() {
    installed();
    let overlay = tempfile::tempdir().unwrap();
    copy(&repository().join("deploy"), &overlay.path().join("deploy"));
    std::fs::write(
        overlay.path().join("kustomization.yaml"),
        "namespace: fenced\nresources: [deploy/namespaced]\n",
    )
    .unwrap();
    ControlPlane::get().namespace("fenced");
    kubectl(&["apply", "-k", &overlay.path().to_string_lossy()]);

    let account = "system:serviceaccount:fenced:elb-doctor";
    let mut at_home = everywhere();
    at_home.extend(lease());
    assert_eq!(rights_of(account, "fenced"), at_home);
    assert_eq!(rights_of(account, "shop"), BTreeSet::new());
    assert_eq!(rights_of(account, "elb-doctor"), BTreeSet::new());

    let deployment = json_of(&["get", "deployment/elb-doctor", "-n", "fenced"]);
    let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    assert_eq!(*args, json!(["run", "--namespace=$(POD_NAMESPACE)"]));
}

#[test]
fn the_roles_for_people_and_reporters_cover_every_kind_and_only_the_status_is_the_reporters() {
    installed();
    for (user, role) in [
        ("looks", "elb-doctor-view"),
        ("writes", "elb-doctor-edit"),
        ("reports", "elb-doctor-health-reporter"),
        ("restores", "elb-doctor-restore"),
    ] {
        kubectl(&[
            "create",
            "rolebinding",
            user,
            "-n",
            "shop",
            &format!("--clusterrole={role}"),
            &format!("--user={user}"),
        ]);
    }
    let all: Vec<String> = kinds().into_iter().map(|(plural, _)| plural).collect();
    assert_eq!(rights_of("looks", "shop"), grants(&["get", "list", "watch"], &all));
    assert_eq!(
        rights_of("writes", "shop"),
        grants(&["create", "update", "patch", "delete", "deletecollection"], &all)
    );
    let mut reporter = grants(&["get", "list", "watch"], &["backendservers".to_owned()]);
    reporter.extend(grants(
        &["get", "patch", "update"],
        &["backendservers/status".to_owned()],
    ));
    assert_eq!(rights_of("reports", "shop"), reporter);
    assert_eq!(
        rights_of("restores", "shop"),
        grants(&["get", "patch", "update", "diagnose"], &statuses())
    );
}

#[test]
fn the_pods_are_admitted_at_the_restricted_level() {
    installed();
    let deployment = json_of(&["get", "deployment/elb-doctor", "-n", "elb-doctor"]);
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("trial");
    let created = ControlPlane::get().kubectl_with_input(
        &["create", "--dry-run=server", "-n", "elb-doctor", "-f", "-"],
        &pod.to_string(),
    );
    let said = String::from_utf8_lossy(&created.stderr);
    assert!(created.status.success() && said.is_empty(), "{said}");

    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let refused = ControlPlane::get().kubectl_with_input(
        &["create", "--dry-run=server", "-n", "elb-doctor", "-f", "-"],
        &pod.to_string(),
    );
    assert!(!refused.status.success(), "the namespace does not enforce the level");
}

#[test]
fn the_image_has_the_version_of_the_crate() {
    let image = format!("image: elb-doctor:{}\n", env!("CARGO_PKG_VERSION"));
    for variant in ["deploy", "deploy/namespaced"] {
        let manifests = kubectl(&["kustomize", &repository().join(variant).to_string_lossy()]);
        assert!(manifests.contains(&image), "{variant} does not have {image}");
    }
}

/// Installs deploy/ the way the README says, once, and a namespace beside it.
fn installed() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        kubectl(&["apply", "-k", &repository().join("deploy").to_string_lossy()]);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        ControlPlane::get().namespace("shop");
    });
}

/// Every kind by its plural name, and whether it has a status. The roles are held against this, so that none is forgotten.
fn kinds() -> Vec<(String, bool)> {
    let crds = Kind::ALL.iter().map(|kind| kind.crd());
    crds.map(|crd| {
        let subresources = crd.spec.versions[0].subresources.as_ref();
        let status = subresources.is_some_and(|subresources| subresources.status.is_some());
        (crd.spec.names.plural, status)
    })
    .collect()
}

/// `PLURAL/status` of every kind that has one.
fn statuses() -> Vec<String> {
    let with_status = kinds().into_iter().filter(|(_, status)| *status);
    with_status.map(|(plural, _)| format!("{plural}/status")).collect()
}

/// What the controller does in every namespace that it looks after.
fn everywhere() -> BTreeSet<Right> {
    let all: Vec<String> = kinds().into_iter().map(|(plural, _)| plural).collect();
    let mut rights = grants(&["list", "watch"], &all);
    rights.extend(grants(&["patch", "diagnose"], &statuses()));
    rights.extend(grants(&["delete"], &["troubleshootrequests".to_owned()]));
    for verb in ["create", "patch"] {
        rights.insert((verb.to_owned(), "events.k8s.io/events".to_owned(), None));
    }
    rights
}

/// What it does with its lease.
fn lease() -> BTreeSet<Right> {
    [
        ("create", None),
        ("get", Some("elb-doctor")),
        ("update", Some("elb-doctor")),
    ]
    .into_iter()
    .map(|(verb, name)| {
        (
            verb.to_owned(),
            "coordination.k8s.io/leases".to_owned(),
            name.map(str::to_owned),
        )
    })
    .collect()
}

fn grants(verbs: &[&str], resources: &[String]) -> BTreeSet<Right> {
    resources
        .iter()
        .flat_map(|resource| {
            verbs
                .iter()
                .map(move |verb| ((*verb).to_owned(), format!("{GROUP}/{resource}"), None))
        })
        .collect()
}

/// What a user may do in a namespace, without what every user may ask about itself.
fn rights_of(user: &str, namespace: &str) -> BTreeSet<Right> {
    let question = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": namespace },
    });
    let answer = ControlPlane::get().kubectl_with_input(
        &["create", "--validate=false", "-o", "json", "--as", user, "-f", "-"],
        &question.to_string(),
    );
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["status"]["incomplete"], json!(false));
    let mut rights = BTreeSet::new();
    for rule in answer["status"]["resourceRules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            if ["authentication.k8s.io", "authorization.k8s.io"].contains(&group.as_str()) {
                continue;
            }
            for resource in words(&rule["resources"]) {
                for verb in words(&rule["verbs"]) {
                    let right = |name| (verb.clone(), format!("{group}/{resource}"), name);
                    match words(&rule["resourceNames"]) {
                        names if names.is_empty() => rights.extend([right(None)]),
                        names => rights.extend(names.into_iter().map(Some).map(right)),
                    }
                }
            }
        }
    }
    rights
}

fn words(list: &Value) -> Vec<String> {
    let words = list.as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn json_of(args: &[&str]) -> Value {
    serde_json::from_str(&kubectl(&[args, &["-o", "json"]].concat())).unwrap()
}

/// What `kubectl` prints; it must succeed.
fn kubectl(args: &[&str]) -> String {
    let output = ControlPlane::get().kubectl().args(args).output().unwrap();
    assert!(
        output.status.success(),
        "kubectl {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-R").args([from, to]).status().unwrap();
    assert!(copied.success());
}
