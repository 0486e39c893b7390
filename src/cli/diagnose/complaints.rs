//! What is said on standard error: what is wrong with the input, what was passed over, who is not diagnosed and why. Nobody reading it
//! is no reason to stop.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
};

use crate::{
    cli::table,
    diagnosis::Assessment,
    manifest::Loaded,
    text::{clean, sentence_list},
    world::{Key, RefusalReason, World},
};

/// Problems that are printed; more are counted.
const MAX_PROBLEMS: usize = 100;
/// Missing objects of one backend server that are named.
const MAX_MISSING: usize = 20;

/// Says one thing.
fn say(err: &mut impl Write, level: &str, line: &str) {
    let _ = writeln!(err, "{level}: {}", clean(line));
}

/// Says the first of many things, and how many more there are.
fn say_first(err: &mut impl Write, level: &str, lines: impl ExactSizeIterator<Item = String>) {
    let more = lines.len().saturating_sub(MAX_PROBLEMS);
    for line in lines.take(MAX_PROBLEMS) {
        say(err, level, &line);
    }
    if more > 0 {
        say(
            err,
            level,
            &format!("and {more} more: they are listed once the first {MAX_PROBLEMS} are mended"),
        );
    }
}

/// Says that standard input is waited for, to a person who may not know it.
pub fn of_waiting() {
    if io::stdin().is_terminal() {
        say(
            &mut io::stderr().lock(),
            "note",
            "reading manifests from the terminal: end them with Ctrl-D",
        );
    }
}

/// Says that nothing was diagnosed, and why.
pub fn of_nothing(why: &str) {
    say(&mut io::stderr().lock(), "note", why);
}

/// Says what is wrong with the input, and what was passed over.
pub fn of_input(loaded: &Loaded, strict: bool) {
    let mut err = io::stderr().lock();
    let errors: Vec<_> = loaded.errors.iter().chain(&loaded.values).collect();
    say_first(&mut err, "error", errors.iter().map(ToString::to_string));
    say_first(&mut err, "note", loaded.notes.iter().map(ToString::to_string));
    if loaded.passed_over.total() > 0 {
        let passed_over = &loaded.passed_over;
        if strict {
            say(&mut err, "error", &format!("{passed_over}: --strict allows none"));
        } else {
            say(&mut err, "note", &format!("passed over {passed_over}"));
        }
    }
}

/// Says who is not diagnosed although it is not known to be well, and why: everything that is missing, with a hint where it may be.
/// With `retell` the refusals say so, too, from then on.
pub fn of_refusals(world: &World, loaded: &Loaded, assessments: &mut [Assessment], retell: bool) {
    let mut err = io::stderr().lock();
    for assessment in assessments {
        let backend = &assessment.backend;
        let name = table::name(backend);
        let Err(refusal) = &mut assessment.outcome else {
            continue;
        };
        let all = match refusal.reason {
            // What is invalid was said already, as an error of its own object.
            RefusalReason::BackendNotUnhealthy | RefusalReason::InvalidSpec => continue,
            RefusalReason::ReferenceNotFound => missing(world, loaded, &Key::of(&**backend)),
            _ => vec![refusal.message.clone()],
        };
        let reason = refusal.reason.as_str();
        let mut line = format!(
            "BackendServer {name} not diagnosed: {reason}: {}",
            first(&all, MAX_MISSING)
        );
        if all.len() > MAX_MISSING {
            let _ = write!(line, "; and {} more", all.len() - MAX_MISSING);
        }
        say(&mut err, "warning", &line);
        if let ([only, more @ ..], true) = (all.as_slice(), retell) {
            refusal.message = match more.len() {
                0 => only.clone(),
                more => format!("{only} (and {more} more, listed on standard error)"),
            };
        }
    }
}

fn first(all: &[String], max: usize) -> String {
    let shown: Vec<&str> = all.iter().take(max).map(String::as_str).collect();
    shown.join("; ")
}

/// All that the diagnosis of a backend server needs and that is not there.
fn missing(world: &World, loaded: &Loaded, key: &Key) -> Vec<String> {
    let violations = world.backend_server_violations(key);
    let mut all: Vec<String> = violations.missing.iter().map(ToString::to_string).collect();
    for absent in &violations.absent {
        let elsewhere = world.namespaces_with(absent.kind, &absent.name);
        if let (Some(line), Some(first)) = (all.get_mut(absent.place), elsewhere.first()) {
            let namespaces = if elsewhere.len() == 1 {
                "namespace"
            } else {
                "namespaces"
            };
            let kind = absent.kind;
            let article = if kind.name().starts_with('A') { "an" } else { "a" };
            let _ = write!(
                line,
                " (there is {article} {kind} of that name in {namespaces} {}{})",
                sentence_list(&elsewhere, 3),
                other_namespace(loaded, &key.namespace, first),
            );
        }
    }
    all
}

/// Which namespace to ask for, where objects without one may be meant to be in another.
fn other_namespace(loaded: &Loaded, own: &str, found: &str) -> String {
    let default = loaded.namespace.as_str();
    if !loaded.without_namespace {
        return String::new();
    }
    let wanted = match (own == default, found == default) {
        (_, true) => own,
        (true, false) => found,
        (false, false) => return String::new(),
    };
    format!("; -n {wanted} puts objects without a namespace in {wanted}, not {default}")
}
