//! The diagnosis for a person: one block for each backend server, gravest matter first, as wide as the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use kube::ResourceExt as _;
use unicode_width::UnicodeWidthStr as _;

use crate::{
    api::v1alpha1::{BackendServer, HealthState, conditions::reasons},
    diagnosis::{
        Assessment, dimension, dimension_name,
        report::{Failed, Fix, Report},
        witness,
        words::{self, values},
    },
    engine::{CheckId, Evidence, Finding, Impact, Layer, Nearest, RuleFinding, format_address},
    text::{clean, field_list, is_unsafe, shell_word, wrap},
    world::{Refusal, RefusalReason},
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

/// The text in a style. Whoever prints it takes the styles out where they are not wanted.
fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Namespace and name.
pub fn name(backend: &BackendServer) -> String {
    clean(&format!("{}/{}", namespace(backend), backend.name_any())).into_owned()
}

fn namespace(backend: &BackendServer) -> String {
    backend.namespace().unwrap_or_else(|| "default".into())
}

/// The whole table, in lines of at most `width` columns.
pub fn render(assessments: &[Assessment], width: usize) -> String {
    let mut page = Page {
        width,
        text: String::new(),
    };
    if assessments.is_empty() {
        page.text.push_str("The input holds no backend server.\n");
        return page.text;
    }
    let mut refused_before = false;
    for (i, assessment) in assessments.iter().enumerate() {
        let refused = assessment.outcome.is_err();
        // Refusals are lines and follow each other closely; diagnoses are blocks.
        if i > 0 && !(refused && refused_before) {
            page.text.push('\n');
        }
        page.backend(assessment);
        refused_before = refused;
    }
    page.summary(assessments);
    page.text
}

struct Page {
    width: usize,
    text: String,
}

impl Page {
    fn backend(&mut self, assessment: &Assessment) {
        let backend = &assessment.backend;
        let title = format!("{}  {}", styled(BOLD, &name(backend)), health(assessment));
        match &assessment.outcome {
            Err(refusal) => self.refusal(&title, refusal),
            Ok(report) => self.report(&title, report, &namespace(backend)),
        }
    }

    fn refusal(&mut self, title: &str, refusal: &Refusal) {
        let quiet = refusal.reason == RefusalReason::BackendNotUnhealthy;
        let style = if quiet { DIM } else { YELLOW };
        let reason = styled(style, &format!("not diagnosed: {}", refusal.reason.as_str()));
        let _ = writeln!(self.text, "{title}  {reason}");
        if !quiet {
            self.paragraph("  ", "  ", &refusal.message);
        }
    }

    fn report(&mut self, title: &str, report: &Report, namespace: &str) {
        let verdict = match report.outcomes.findings().count() {
            0 => styled(GREEN, &format!("no fault in {} items", CheckId::COUNT)),
            failed => styled(RED, &format!("{failed} of {} items failed", CheckId::COUNT)),
        };
        let _ = writeln!(self.text, "{title}  {verdict}");
        self.traffic(report);
        for failed in report.failed(|_| true) {
            self.text.push('\n');
            self.check(report, &failed);
        }
        for fix in &report.fixes {
            self.text.push('\n');
            self.fix(report, fix, namespace);
        }
        if !report.next_steps.is_empty() {
            self.text.push('\n');
            let _ = writeln!(self.text, "  {}", styled(BOLD, "What remains, most likely first"));
            for (i, step) in report.next_steps.iter().enumerate() {
                self.paragraph(&format!("  {}. ", i + 1), "     ", &words::steps::step(report, step));
            }
        }
        let notes = words::notes::notes(report);
        if !notes.is_empty() {
            self.text.push('\n');
            for note in &notes {
                self.paragraph("  Note: ", "        ", note);
            }
        }
    }

    fn traffic(&mut self, report: &Report) {
        let traffic = &report.traffic;
        let destination = end(Some(&format_address(traffic.family, traffic.local)), Some(traffic.port));
        let sources = shortened(&values::sources(report));
        let protocol = values::health_check(report.protocol);
        self.paragraph(
            "  ",
            "  ",
            &format!("{protocol} probes to {destination} from {sources}"),
        );
        let percent = values::percentage(report.dropped);
        let (style, means) = match report.impact {
            Impact::Blocks => (RED, format!("every probe is dropped ({percent})")),
            Impact::Intermittent => (YELLOW, format!("{percent} of the probes are dropped")),
            Impact::Advisory => (YELLOW, "no probe is dropped".into()),
            Impact::None => return,
        };
        let _ = writeln!(self.text, "  {}: {means}", styled(style, values::impact(report.impact)));
    }

    fn check(&mut self, report: &Report, failed: &Failed<'_>) {
        let Failed { check, finding, .. } = *failed;
        let impact = finding.impact();
        let style = match impact {
            Impact::Blocks => RED,
            Impact::Intermittent => YELLOW,
            Impact::Advisory | Impact::None => DIM,
        };
        let (item, category, severity) = (check.item(), check.category().as_str(), check.severity().as_str());
        let tail = format!("{category}, {severity}, {}", values::impact(impact));
        // On one line where both fit.
        let gap = if 4 + item.width() + 2 + tail.width() <= self.width {
            "  "
        } else {
            "\n    "
        };
        let (cross, item) = (styled(style, "✗"), styled(BOLD, item));
        let _ = writeln!(self.text, "  {cross} {item}{gap}{}", styled(style, &tail));
        let _ = writeln!(self.text, "    {}", styled(DIM, check.id()));
        self.paragraph("    ", "    ", &words::checks::reason(report, check, finding));
        if let Finding::Rules(found) = finding {
            self.evidence(report, failed, found);
        }
        self.field("do", &words::checks::suggestion(report, check, finding));
    }

    /// What the item before it in the same layer and direction has is not shown again.
    fn evidence(&mut self, report: &Report, failed: &Failed<'_>, found: &RuleFinding) {
        let evidence = &found.evidence;
        self.field("drops", &dropped(report, evidence));
        if failed.new_witness {
            self.field("packet", &packet(report, found));
        }
        if failed.new_witness || failed.new_decision {
            self.field("decides", &decision(report, found));
        }
        if let Some(near) = evidence.nearest.as_ref().filter(|_| failed.new_witness) {
            self.field("nearest", &nearest(found, near));
        }
    }

    fn fix(&mut self, report: &Report, fix: &Fix, namespace: &str) {
        let verified = if fix.verified {
            styled(GREEN, "verified")
        } else {
            styled(YELLOW, "not verified")
        };
        let head = styled(BOLD, "Fix");
        let object = format!("{} {}", values::kind(fix.layer), clean(fix.target.name()));
        let bound = values::bound(fix.direction);
        let _ = writeln!(self.text, "  {head}  {object}, {bound} ({verified})");
        self.paragraph("    ", "    ", &words::fixes::summary(fix, &report.traffic, None));
        if let Some(patch) = words::fixes::patch(fix, &report.traffic) {
            // Never wrapped: it is there to be copied.
            let line = patch_line(fix.layer, fix.target.name(), namespace, &patch);
            let _ = writeln!(self.text, "    {line}");
        }
    }

    fn field(&mut self, label: &str, text: &str) {
        let first = format!("    {}", styled(DIM, &format!("{label:<9}")));
        self.wrapped(&first, 13, text);
    }

    fn paragraph(&mut self, first: &str, rest: &str, text: &str) {
        self.wrapped(first, rest.width(), text);
    }

    fn wrapped(&mut self, first: &str, indent: usize, text: &str) {
        let lines = wrap(text, self.width.saturating_sub(indent).max(20));
        for (i, line) in lines.iter().enumerate() {
            let _ = if i == 0 {
                writeln!(self.text, "{first}{line}")
            } else {
                writeln!(self.text, "{:indent$}{line}", "")
            };
        }
    }

    fn summary(&mut self, assessments: &[Assessment]) {
        if assessments.len() < 2 {
            return;
        }
        let faulty = assessments.iter().filter(|one| one.failed().next().is_some()).count();
        let refused = assessments.iter().filter(|one| one.outcome.is_err()).count();
        let well = assessments.len() - faulty - refused;
        let _ = writeln!(
            self.text,
            "\n{} backend servers: {faulty} with faults, {well} without, {refused} not diagnosed",
            assessments.len()
        );
    }
}

/// The displayed health and the reported reason behind it.
fn health(assessment: &Assessment) -> String {
    let (word, style) = match assessment.displayed {
        HealthState::Healthy => ("Healthy", GREEN),
        HealthState::Unhealthy => ("Unhealthy", RED),
        HealthState::Unknown => ("Unknown", YELLOW),
    };
    let word = styled(style, word);
    let reason = assessment.displayed_reason.as_str();
    if reason == reasons::REPORTED || assessment.displayed == HealthState::Healthy {
        return word;
    }
    format!("{word} ({})", clean(reason))
}

/// The first few of a list, and how many more there are.
fn shortened(values: &[String]) -> String {
    field_list(values, 8, 0)
}

fn dropped(report: &Report, evidence: &Evidence) -> String {
    let values = shortened(&values::list(&evidence.values, report.traffic.family));
    format!("{values} ({} of the packets)", values::percentage(evidence.share))
}

fn end(address: Option<&str>, port: Option<u16>) -> String {
    match (address, port) {
        (Some(a), Some(p)) if a.contains(':') => format!("[{a}]:{p}"),
        (Some(a), Some(p)) => format!("{a}:{p}"),
        (Some(a), None) => a.to_owned(),
        (None, Some(p)) => format!("port {p}"),
        (None, None) => "the backend server".into(),
    }
}

fn packet(report: &Report, found: &RuleFinding) -> String {
    let witness = witness(&report.traffic, found);
    let source = end(witness.source.as_deref(), witness.source_port);
    let destination = end(witness.destination.as_deref(), witness.destination_port);
    format!("{} from {source} to {destination}", witness.protocol)
}

fn decision(report: &Report, found: &RuleFinding) -> String {
    let decided = &found.evidence.decided_by;
    let kind = values::kind(found.layer);
    let Some(name) = &decided.object else {
        // No single one decides.
        return if report.security_groups.is_empty() {
            "no security group is on the interface: denied".into()
        } else {
            "no rule of any of its security groups matches: denied".into()
        };
    };
    let Some(rule) = &decided.rule else {
        return format!("{kind} {name}, no rule matches: denied");
    };
    let position = decided.index.map(|index| format!("position {index}"));
    let priority = decided.priority.map(|priority| format!("priority {priority}"));
    let place: Vec<String> = position.into_iter().chain(priority).collect();
    if place.is_empty() {
        format!("{kind} {name}, rule {rule}: denied")
    } else {
        format!("{kind} {name}, rule {rule} ({}): denied", place.join(", "))
    }
}

fn nearest(found: &RuleFinding, nearest: &Nearest) -> String {
    let kind = values::kind(found.layer);
    let mut text = format!("{kind} {}, rule {}", nearest.object, nearest.rule);
    if !nearest.misses.is_empty() {
        let misses = nearest.misses.iter();
        let misses = misses.map(|missed| dimension_name(dimension(found.layer, found.direction, *missed)));
        let misses = misses.collect::<Vec<_>>().join(" and ");
        let only = if nearest.misses.len() == 1 { " only" } else { "" };
        let _ = write!(text, ": misses{only} on the {misses}");
    }
    if let Some(deny) = &nearest.shadowed_by {
        let _ = write!(text, ": comes after rule {deny}, which denies");
    }
    text
}

/// The command that makes the change, for a POSIX shell.
fn patch_line(layer: Layer, name: &str, namespace: &str, patch: &str) -> String {
    let kind = if layer.is_security_group() {
        "securitygroup"
    } else {
        "networkacl"
    };
    // Control characters can only stand inside JSON strings, where an escape means the same.
    let mut safe = String::with_capacity(patch.len());
    for c in patch.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    format!(
        "kubectl patch {kind} {} -n {} --type=json -p {}",
        shell_word(&clean(name)),
        shell_word(&clean(namespace)),
        shell_word(&safe),
    )
}
