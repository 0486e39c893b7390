//! How it went: the exit status, and one line where nothing was diagnosed at all.

use std::{collections::BTreeMap, process::ExitCode};

use crate::{
    cli::exit::{FAULTS, INVALID, NOTHING_DIAGNOSED},
    diagnosis::Assessment,
    manifest::Loaded,
    text::count,
    world::{Refusal, RefusalReason},
};

/// The exit status, and why nothing was diagnosed, where nothing was and nothing else says so.
pub fn of(loaded: &Loaded, assessments: &[Assessment], strict: bool) -> (ExitCode, Option<String>) {
    let refused = |refusal: &Refusal| match refusal.reason {
        RefusalReason::InvalidSpec => true,
        RefusalReason::BackendNotUnhealthy => false,
        _ => strict,
    };
    let has_errors = !loaded.errors.is_empty() || !loaded.values.is_empty();
    let is_invalid = has_errors
        || (strict && loaded.passed_over.total() > 0)
        || assessments.iter().any(|one| one.outcome.as_ref().is_err_and(refused));
    let nothing = nothing_diagnosed(loaded, assessments);
    if is_invalid {
        // What is wrong stands in the errors; where they say nothing of backend servers, this does.
        let nothing = nothing.filter(|_| !has_errors);
        (ExitCode::from(INVALID), nothing)
    } else if nothing.is_some() {
        (ExitCode::from(NOTHING_DIAGNOSED), nothing)
    } else if assessments.iter().any(|one| one.failed().next().is_some()) {
        (ExitCode::from(FAULTS), None)
    } else {
        (ExitCode::SUCCESS, None)
    }
}

/// Why nothing was diagnosed, and what to do; `None`: something was.
fn nothing_diagnosed(loaded: &Loaded, assessments: &[Assessment]) -> Option<String> {
    if assessments.iter().any(|one| one.outcome.is_ok()) {
        return None;
    }
    if assessments.is_empty() {
        return Some(if loaded.objects.is_empty() {
            "there is no backend server in the input, and no other object of elb-doctor: give the files that hold them"
                .into()
        } else {
            "there is no backend server in the input: give the files with the BackendServer objects, too".into()
        });
    }
    let mut reasons: BTreeMap<RefusalReason, usize> = BTreeMap::new();
    for one in assessments {
        if let Err(refusal) = &one.outcome {
            *reasons.entry(refusal.reason).or_default() += 1;
        }
    }
    let healthy = reasons.remove(&RefusalReason::BackendNotUnhealthy).unwrap_or_default();
    // Of equally common ones the first in the order in which they are tried.
    let Some((most, number)) = reasons.iter().rev().max_by_key(|(_, number)| **number) else {
        return Some("no backend server is reported unhealthy: --all diagnoses them all".into());
    };
    let refused: usize = reasons.values().sum();
    let others = if healthy > 0 {
        format!("; {} not reported unhealthy (--all diagnoses them all)", are(healthy))
    } else {
        String::new()
    };
    let most = most.as_str();
    let how = match (refused, *number == refused) {
        (1, _) => format!("the one there is was refused: {most}"),
        (_, true) => format!("all {refused} were refused: {most}"),
        (_, false) => format!("all {refused} were refused, {number} of them: {most}"),
    };
    let how = if healthy > 0 {
        format!("{} refused, most often: {most}", count(refused, "backend server"))
    } else {
        how
    };
    Some(format!(
        "no backend server was diagnosed: {how} (see elb-doctor explain {most}){others}"
    ))
}

fn are(number: usize) -> String {
    format!("{number} {}", if number == 1 { "is" } else { "are" })
}
