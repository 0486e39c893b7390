//! Random worlds, judged by the product and by the independent reading of the semantics in `tests/oracle`: outcome, displayed
//! health, failed items, all evidence and every offered fix must agree.
//!
//! `ELB_DOCTOR_WORLDS` says how many worlds (1000), `ELB_DOCTOR_SEED` where to begin (0). A world that disagrees is made
//! smaller and printed; once the bug is fixed it belongs into `tests/regressions` under a name that says what it guards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "oracle/hand_computed.rs"]
mod hand_computed;
mod oracle;

use std::{fs, panic::catch_unwind, path::Path};

use oracle::{
    generator,
    product::{self, Tally},
};
use serde_json::Value;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// A panic of the product is a disagreement too.
fn compare(world: &[Value]) -> Result<Tally, String> {
    catch_unwind(|| product::compare(world)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!(
            "panic: {}",
            text.unwrap_or_else(|| format!("{:?}", panic.downcast_ref::<&str>()))
        ))
    })
}

/// Leaves out objects and list entries as long as the same kind of disagreement stays.
fn smaller(world: &[Value], told: &str) -> Vec<Value> {
    let kind = |text: &str| {
        let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
        text.split("product")
            .next()
            .unwrap_or(text)
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .take(60)
            .collect::<String>()
    };
    let told = kind(told);
    let still = |world: &[Value]| compare(world).is_err_and(|said| kind(&said) == told);
    let mut world = world.to_vec();
    loop {
        let before = world.len();
        let mut changed = false;
        for i in (0..world.len()).rev() {
            let mut less = world.clone();
            less.remove(i);
            if still(&less) {
                world = less;
                changed = true;
            }
        }
        for i in 0..world.len() {
            for pointer in [
                "/spec/rules",
                "/spec/ingress",
                "/spec/egress",
                "/spec/securityGroupRefs",
                "/spec/addresses",
                "/spec/backendSubnetRefs",
                "/spec/healthCheckSources",
                "/spec/cidrs",
                "/spec/listeners",
            ] {
                let length = world[i].pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
                for at in (0..length).rev() {
                    let mut less = world.clone();
                    less[i].pointer_mut(pointer).unwrap().as_array_mut().unwrap().remove(at);
                    if still(&less) {
                        world = less;
                        changed = true;
                    }
                }
            }
        }
        if !changed && before == world.len() {
            return world;
        }
    }
}

#[test]
fn product_and_oracle_agree_on_random_worlds() {
    let (worlds, first) = (number("ELB_DOCTOR_WORLDS", 1000), number("ELB_DOCTOR_SEED", 0));
    let show = usize::try_from(number("ELB_DOCTOR_SHOW", 3)).unwrap();
    let mut all = Tally::default();
    let mut wrong: Vec<(u64, String)> = Vec::new();
    for seed in first..first + worlds {
        match compare(&generator::world(seed)) {
            Ok(tally) => all.add(tally),
            Err(told) => wrong.push((seed, told)),
        }
    }
    println!(
        "{worlds} worlds from seed {first}: {} backend servers, {} fixes",
        all.backends, all.fixes
    );
    println!(
        "accepted: {}, fixes of the configuration: {}",
        all.accepted, all.configuration_fixes
    );
    println!("outcomes: {:#?}\nfailed items: {:#?}", all.outcomes, all.items);
    println!(
        "failing directions: {}, healed: {}",
        all.failing_directions, all.healed_directions
    );
    for (seed, told) in &wrong {
        println!("seed {seed}: {told}");
    }
    for (seed, told) in wrong.iter().take(show) {
        let world = smaller(&generator::world(*seed), told);
        let told = compare(&world).expect_err("it still disagrees");
        println!(
            "--- seed {seed}, made smaller: {told}\n{}",
            serde_json::to_string_pretty(&world).unwrap()
        );
    }
    assert!(wrong.is_empty(), "{} of {worlds} worlds disagree", wrong.len());
    assert!(
        all.healed_directions * 100 >= all.failing_directions * 98,
        "a verified fix is owed for 98 % of the failing directions: {} of {}; without one: {:?}",
        all.healed_directions,
        all.failing_directions,
        all.unhealed.iter().take(20).collect::<Vec<_>>()
    );
}

/// The worlds are only worth something when every outcome and every item turns up in them.
#[test]
fn random_worlds_show_every_outcome_and_every_item() {
    use oracle::{
        manifests::Manifests,
        verdict::{IDS, Outcome, judge},
    };
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for seed in 0..300 {
        let world = generator::world(seed);
        for backend in product::backends(&world) {
            match judge(Manifests(&world), product::SHARED, &backend).outcome {
                Outcome::Refused(reason) => *seen.entry(reason.into()).or_default() += 1,
                Outcome::Ran(findings) => {
                    *seen.entry(format!("{} items", findings.failed.len())).or_default() += 1;
                    *seen.entry(format!("{:?}", findings.impact)).or_default() += 1;
                    *seen.entry("accepted".into()).or_default() += findings.accepted.len();
                    *seen.entry("noted".into()).or_default() += findings.noted.len();
                    *seen.entry("both ends".into()).or_default() += usize::from(findings.beyond.len() > 1);
                    for item in findings.failed.into_iter().chain(findings.beyond) {
                        *seen.entry(format!("{:?} {}", item.impact, item.id)).or_default() += 1;
                        *seen.entry(item.id.into()).or_default() += 1;
                    }
                }
            }
        }
    }
    println!("{seen:#?}");
    for wanted in [
        "ReferenceNotFound",
        "InvalidSpec",
        "AmbiguousNetworkACL",
        "IPBackendUnsupported",
        "NotAssociatedWithListener",
        "HealthCheckDisabled",
        "BackendNotUnhealthy",
        "HealthCheckSourcesUnknown",
        "0 items",
        "1 items",
        "2 items",
        "Blocks",
        "Intermittent",
        "Advisory",
        "None",
    ]
    .into_iter()
    .chain([
        "accepted",
        "noted",
        "both ends",
        "Advisory acl_check_hc_source_port_ingress",
        "Advisory acl_check_hc_dest_port_egress",
        "Intermittent load_balancer_acl_egress",
        "Blocks load_balancer_acl_egress",
        "Blocks security_group_reply_egress",
    ])
    .chain(IDS.iter().copied())
    {
        assert!(
            seen.get(wanted).is_some_and(|&n| n >= 5),
            "{wanted} turns up too seldom: {:?}",
            seen.get(wanted)
        );
    }
}

/// Worlds that product and oracle once disagreed on, each a JSON list of manifests named after what it guards.
#[test]
fn once_broken_worlds_stay_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let world: Vec<Value> =
                serde_json::from_str(&fs::read_to_string(&path).unwrap()).expect("a list of manifests");
            if let Err(told) = compare(&world) {
                wrong.push(format!("{}: {told}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// For looking at one world: `ELB_DOCTOR_SEED` says which, `ELB_DOCTOR_SHOW=1` prints all of it.
#[test]
fn the_world_of_a_seed_can_be_shown() {
    let world = generator::world(number("ELB_DOCTOR_SEED", 0));
    if std::env::var_os("ELB_DOCTOR_SHOW").is_some() {
        let said = product::world(&world);
        println!("{}", serde_json::to_string_pretty(&world).unwrap());
        for backend in product::backends(&world) {
            println!(
                "{}",
                serde_json::to_string_pretty(&product::status(&said, &backend)).unwrap()
            );
        }
    }
}
