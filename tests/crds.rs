//! The custom resource definitions: those in crds/ are those in the code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{collections::BTreeMap, path::Path};

use elb_doctor::api::v1alpha1::crds;

#[test]
fn the_files_in_crds_are_what_the_code_generates() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let generated: BTreeMap<String, String> = crds::files().unwrap().into_iter().collect();
    let mut on_disk = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name != "Kustomization" {
            on_disk.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    assert_eq!(
        on_disk.keys().collect::<Vec<_>>(),
        generated.keys().collect::<Vec<_>>(),
        "run `make crds`"
    );
    for (name, text) in generated {
        assert!(
            on_disk[&name] == text,
            "crds/{name} differs from the code: run `make crds`"
        );
    }
}
