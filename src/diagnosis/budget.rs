//! Keeps a diagnosis small, whatever the names and rules are: its size is what every write of it costs the API server.

use std::io;

use crate::{
    api::v1alpha1::{Diagnosis, FailedCheck, Fix},
    text::clean_for_json,
};

/// Bytes of JSON that a diagnosis may have; below 32 KiB, with room for the conditions beside it.
const BUDGET: usize = 26 * 1024;

/// The most bytes of JSON that one byte of text can become: a control character in the name of a rule.
const ESCAPED: usize = 6;

/// Leaves out what costs the most and is needed the least until the diagnosis fits, and says so.
pub(super) fn fit(diagnosis: &mut Diagnosis) {
    // The usual few findings are far from the limit; measuring them exactly would cost as much as making them.
    if rough_size(diagnosis) * ESCAPED <= BUDGET {
        return;
    }
    let mut left_out = Vec::new();
    for (what, step) in STEPS {
        while size(diagnosis) > BUDGET && step(diagnosis) {
            if !left_out.contains(what) {
                left_out.push(*what);
            }
        }
    }
    if !left_out.is_empty() {
        diagnosis
            .notes
            .push(format!("Left out to keep the status small: {}", left_out.join(", ")));
    }
}

/// What is left out, in this order, as long as there is any of it.
type Step = (&'static str, fn(&mut Diagnosis) -> bool);

const STEPS: &[Step] = &[
    ("nearest rules", |diagnosis| {
        let had = all_checks(diagnosis).map(|check| check.nearest.take().is_some());
        had.fold(false, |any, one| any | one)
    }),
    ("values", |diagnosis| cut_lists(diagnosis, 3)),
    ("patches", drop_longest_patch),
    ("values", |diagnosis| cut_lists(diagnosis, 1)),
    ("parts of texts and names", |diagnosis| cut_texts(diagnosis, 256)),
    ("parts of texts and names", |diagnosis| cut_texts(diagnosis, 128)),
    ("parts of texts and names", |diagnosis| cut_texts(diagnosis, 64)),
    // A load balancer may have many subnets. They are alike; all are counted.
    ("findings at the load balancer's end", |diagnosis| {
        diagnosis.beyond.len() > 1 && diagnosis.beyond.pop().is_some()
    }),
    ("fixes", |diagnosis| diagnosis.fixes.pop().is_some()),
];

fn all_checks(diagnosis: &mut Diagnosis) -> impl Iterator<Item = &mut FailedCheck> {
    diagnosis.checks.iter_mut().chain(&mut diagnosis.beyond)
}

fn cut_lists(diagnosis: &mut Diagnosis, keep: usize) -> bool {
    let mut any = cut_list(
        &mut diagnosis.health_check.sources,
        &mut diagnosis.health_check.omitted_sources,
        keep,
    );
    for blocked in all_checks(diagnosis).filter_map(|check| check.blocked.as_mut()) {
        any |= cut_list(&mut blocked.values, &mut blocked.omitted, keep);
    }
    any
}

fn cut_list(list: &mut Vec<String>, omitted: &mut Option<u32>, keep: usize) -> bool {
    let more = u32::try_from(list.len().saturating_sub(keep)).unwrap_or(u32::MAX);
    if more > 0 {
        list.truncate(keep);
        *omitted = Some(omitted.unwrap_or(0).saturating_add(more));
    }
    more > 0
}

fn drop_longest_patch(diagnosis: &mut Diagnosis) -> bool {
    let length = |fix: &&mut Fix| fix.patch.as_ref().map_or(0, String::len);
    let with_patch = diagnosis.fixes.iter_mut().filter(|fix| fix.patch.is_some());
    let Some(longest) = with_patch.max_by_key(length) else {
        return false;
    };
    longest.patch = None;
    // What is not there cannot be held to its promise.
    longest.verified = false;
    true
}

fn cut_texts(diagnosis: &mut Diagnosis, max: usize) -> bool {
    let checks = diagnosis.checks.iter_mut().chain(&mut diagnosis.beyond);
    let checks = checks.flat_map(|check| {
        let decided = check.decided_by.as_mut();
        let names = decided.into_iter().flat_map(|by| [by.name.as_mut(), by.rule.as_mut()]);
        let texts = [Some(&mut check.reason), Some(&mut check.suggestion)];
        texts.into_iter().chain(names.collect::<Vec<_>>())
    });
    let summaries = diagnosis.fixes.iter_mut().map(|fix| Some(&mut fix.summary));
    // Notes are about the whole diagnosis, a few in all: they keep twice as much.
    let notes = diagnosis.notes.iter_mut().map(|note| (note, 2 * max));
    let texts = checks.chain(summaries).flatten().map(|text| (text, max));
    let mut any = false;
    for (text, max) in texts.chain(notes) {
        let cut = clean_for_json(text, max);
        any |= cut != *text;
        *text = cut;
    }
    any
}

/// About the bytes of JSON without escapes, never too few: keys and short values as constants, texts by their length.
fn rough_size(diagnosis: &Diagnosis) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let list = |texts: &[String]| texts.iter().map(|text| text.len() + 3).sum::<usize>();
    let checks = diagnosis.checks.iter().chain(&diagnosis.beyond).map(|check| {
        let blocked = check.blocked.as_ref().map_or(0, |blocked| list(&blocked.values));
        let decided = check.decided_by.as_ref();
        let decided = decided.map_or(0, |by| length(&by.name) + length(&by.rule));
        let nearest = check.nearest.as_ref();
        let nearest = nearest.map_or(0, |near| near.name.len() + near.rule.len() + length(&near.shadowed_by));
        check.reason.len() + check.suggestion.len() + blocked + decided + nearest
    });
    let fixes = diagnosis
        .fixes
        .iter()
        .map(|fix| fix.name.len() + fix.summary.len() + length(&fix.patch));
    checks.sum::<usize>()
        + fixes.sum::<usize>()
        + list(&diagnosis.health_check.sources)
        + list(&diagnosis.next_steps)
        + list(&diagnosis.notes)
        + list(&diagnosis.accepted)
        // These have no escapes.
        + (400 + 900 * (diagnosis.checks.len() + diagnosis.beyond.len()) + 120 * diagnosis.fixes.len()).div_ceil(ESCAPED)
}

fn size(diagnosis: &Diagnosis) -> usize {
    /// Counts what is written.
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A diagnosis is made of strings and numbers only, so that it can always be written.
    serde_json::to_writer(&mut count, diagnosis).map_or(0, |()| count.0)
}
