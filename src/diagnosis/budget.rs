//! Keeps a diagnosis small, whatever the names and rules are: its size is what every write of it costs the API server.

use crate::api::v1alpha1::Diagnosis;

/// Bytes of JSON that a diagnosis may have; below 32 KiB, with room for the conditions beside it.
const BUDGET: usize = 28 * 1024;

/// Leaves out what costs the most and is needed the least until the diagnosis fits, and says so.
pub(super) fn fit(diagnosis: &mut Diagnosis) {
    // Fifteen findings and four fixes with usual names are a third of the budget; only long names or patches need a look.
    let mut left_out = Vec::new();
    if size(diagnosis) > BUDGET {
        for check in &mut diagnosis.checks {
            check.nearest = None;
        }
        left_out.push("nearest rules");
    }
    while size(diagnosis) > BUDGET {
        let patch = |fix: &&mut crate::api::v1alpha1::Fix| fix.patch.as_ref().map_or(0, String::len);
        match diagnosis
            .fixes
            .iter_mut()
            .filter(|fix| fix.patch.is_some())
            .max_by_key(patch)
        {
            Some(longest) => longest.patch = None,
            None => break,
        }
        if !left_out.contains(&"patches") {
            left_out.push("patches");
        }
    }
    if !left_out.is_empty() {
        diagnosis
            .notes
            .push(format!("Left out to keep the status small: {}", left_out.join(" and ")));
    }
}

fn size(diagnosis: &Diagnosis) -> usize {
    // A diagnosis is made of strings and numbers only, so that it can always be written.
    serde_json::to_vec(diagnosis).map_or(0, |json| json.len())
}
