//! The diagnosis for a person: one block for each backend server, gravest matter first, as wide as the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use kube::ResourceExt as _;
use unicode_width::UnicodeWidthStr as _;

use super::diagnose::{condition, refusal};
use crate::api::v1alpha1::{
    BackendServer, Blocked, Decision, Diagnosis, DiagnosisImpact, Direction, FailedCheck, Fix, ItemImpact, Nearest,
    NearestDimension, RuleAction, RuleKind, Witness,
    conditions::{reasons, types},
};
use crate::text::{clean, field_list, is_unsafe, percentage, shell_word, wrap};

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
    let namespace = backend.namespace().unwrap_or_else(|| "default".into());
    clean(&format!("{namespace}/{}", backend.name_any())).into_owned()
}

/// The whole table, in lines of at most `width` columns.
pub fn render(backends: &[BackendServer], width: usize) -> String {
    let mut page = Page {
        width,
        text: String::new(),
    };
    if backends.is_empty() {
        page.text.push_str("The input holds no backend server.\n");
        return page.text;
    }
    let mut refused_before = false;
    for (i, backend) in backends.iter().enumerate() {
        let refused = refusal(backend).is_some();
        // Refusals are lines and follow each other closely; diagnoses are blocks.
        if i > 0 && !(refused && refused_before) {
            page.text.push('\n');
        }
        page.backend(backend);
        refused_before = refused;
    }
    page.summary(backends);
    page.text
}

struct Page {
    width: usize,
    text: String,
}

impl Page {
    fn backend(&mut self, backend: &BackendServer) {
        let title = styled(BOLD, &name(backend));
        let health = health(backend);
        if let Some(refusal) = refusal(backend) {
            let quiet = refusal.reason == reasons::BACKEND_NOT_UNHEALTHY;
            let style = if quiet { DIM } else { YELLOW };
            let reason = styled(style, &format!("not diagnosed: {}", clean(&refusal.reason)));
            let _ = writeln!(self.text, "{title}  {health}  {reason}");
            if !quiet {
                self.paragraph("  ", "  ", &refusal.message);
            }
            return;
        }
        let Some(diagnosis) = backend.status.as_ref().and_then(|s| s.diagnosis.as_ref()) else {
            let _ = writeln!(self.text, "{title}  {health}");
            return;
        };
        let verdict = if diagnosis.failed == 0 {
            styled(GREEN, &format!("no fault in {} items", diagnosis.checked))
        } else {
            styled(
                RED,
                &format!("{} of {} items failed", diagnosis.failed, diagnosis.checked),
            )
        };
        let _ = writeln!(self.text, "{title}  {health}  {verdict}");
        self.traffic(diagnosis);
        for check in &diagnosis.checks {
            self.text.push('\n');
            self.check(check, !backend.spec.security_group_refs.is_empty());
        }
        let namespace = backend.namespace().unwrap_or_else(|| "default".into());
        for fix in &diagnosis.fixes {
            self.text.push('\n');
            self.fix(fix, &namespace);
        }
        if !diagnosis.next_steps.is_empty() {
            self.text.push('\n');
            let _ = writeln!(self.text, "  {}", styled(BOLD, "What remains, most likely first"));
            for (i, step) in diagnosis.next_steps.iter().enumerate() {
                self.paragraph(&format!("  {}. ", i + 1), "     ", step);
            }
        }
        if !diagnosis.notes.is_empty() {
            self.text.push('\n');
            for note in &diagnosis.notes {
                self.paragraph("  Note: ", "        ", note);
            }
        }
    }

    fn traffic(&mut self, diagnosis: &Diagnosis) {
        let probe = &diagnosis.health_check;
        let port = if probe.destination.contains(':') {
            format!("[{}]:{}", probe.destination, probe.port)
        } else {
            format!("{}:{}", probe.destination, probe.port)
        };
        let sources = shortened(&probe.sources, probe.omitted_sources);
        self.paragraph(
            "  ",
            "  ",
            &format!("{} probes to {port} from {sources}", word(&probe.protocol)),
        );
        let percent = percent(&diagnosis.dropped_share);
        let (impact, style, means) = match diagnosis.impact {
            DiagnosisImpact::Blocks => ("Blocks", RED, format!("every probe is dropped ({percent})")),
            DiagnosisImpact::Intermittent => ("Intermittent", YELLOW, format!("{percent} of the probes are dropped")),
            DiagnosisImpact::Advisory => ("Advisory", YELLOW, "no probe is dropped".into()),
            DiagnosisImpact::None => return,
        };
        let _ = writeln!(self.text, "  {}: {means}", styled(style, impact));
    }

    fn check(&mut self, check: &FailedCheck, has_groups: bool) {
        let (impact, style) = match check.impact {
            ItemImpact::Blocks => ("Blocks", RED),
            ItemImpact::Intermittent => ("Intermittent", YELLOW),
            ItemImpact::Advisory => ("Advisory", DIM),
        };
        let cross = styled(style, "✗");
        let item = styled(BOLD, &clean(&check.item));
        let tail = format!("{}, {}, {impact}", clean(&check.category), clean(&check.severity));
        // On one line where both fit.
        let gap = if 4 + check.item.width() + 2 + tail.width() <= self.width {
            "  "
        } else {
            "\n    "
        };
        let _ = writeln!(self.text, "  {cross} {item}{gap}{}", styled(style, &tail));
        let _ = writeln!(self.text, "    {}", styled(DIM, &clean(&check.id)));
        self.paragraph("    ", "    ", &check.reason);
        if let Some(blocked) = &check.blocked {
            self.field("drops", &blocked_words(blocked));
        }
        if let Some(witness) = &check.witness {
            self.field("packet", &witness_words(witness));
        }
        if let Some(decision) = &check.decided_by {
            self.field("decides", &decision_words(decision, has_groups));
        }
        if let Some(nearest) = &check.nearest {
            self.field("nearest", &nearest_words(nearest));
        }
        self.field("do", &check.suggestion);
    }

    fn fix(&mut self, fix: &Fix, namespace: &str) {
        let direction = match fix.direction {
            Direction::Ingress => "inbound",
            Direction::Egress => "outbound",
        };
        let verified = if fix.verified {
            styled(GREEN, "verified")
        } else {
            styled(YELLOW, "not verified")
        };
        let head = styled(BOLD, "Fix");
        let object = format!("{} {}", word(&fix.kind), clean(&fix.name));
        let _ = writeln!(self.text, "  {head}  {object}, {direction} ({verified})");
        self.paragraph("    ", "    ", &fix.summary);
        if let Some(patch) = &fix.patch {
            // Never wrapped: it is there to be copied.
            let _ = writeln!(self.text, "    {}", patch_line(fix.kind, &fix.name, namespace, patch));
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

    fn summary(&mut self, backends: &[BackendServer]) {
        if backends.len() < 2 {
            return;
        }
        let failed = |b: &&BackendServer| {
            let diagnosis = b.status.as_ref().and_then(|s| s.diagnosis.as_ref());
            diagnosis.is_some_and(|d| d.failed > 0)
        };
        let faulty = backends.iter().filter(failed).count();
        let refused = backends.iter().filter(|b| refusal(b).is_some()).count();
        let well = backends.len() - faulty - refused;
        let _ = writeln!(
            self.text,
            "\n{} backend servers: {faulty} with faults, {well} without, {refused} not diagnosed",
            backends.len()
        );
    }
}

/// The displayed health and the reported reason behind it.
fn health(backend: &BackendServer) -> String {
    let Some(condition) = condition(backend, types::HEALTHY) else {
        return "Unknown".into();
    };
    let (word, style) = match condition.status.as_str() {
        "True" => ("Healthy", GREEN),
        "False" => ("Unhealthy", RED),
        _ => ("Unknown", YELLOW),
    };
    let word = styled(style, word);
    if condition.reason == reasons::REPORTED || condition.status == "True" {
        return word;
    }
    format!("{word} ({})", clean(&condition.reason))
}

/// `0.5` as `50 %`; what is not a number as it is.
fn percent(share: &str) -> String {
    percentage(share).unwrap_or_else(|| clean(share).into_owned())
}

/// The first few of a list, and how many more there are.
fn shortened(values: &[String], omitted: Option<u32>) -> String {
    field_list(values, 8, omitted.unwrap_or(0) as usize)
}

fn blocked_words(blocked: &Blocked) -> String {
    let values = shortened(&blocked.values, blocked.omitted);
    format!("{values} ({} of the packets)", percent(&blocked.share))
}

fn witness_words(witness: &Witness) -> String {
    fn end(address: Option<&String>, port: Option<u16>) -> String {
        match (address, port) {
            (Some(a), Some(p)) if a.contains(':') => format!("[{a}]:{p}"),
            (Some(a), Some(p)) => format!("{a}:{p}"),
            (Some(a), None) => a.clone(),
            (None, Some(p)) => format!("port {p}"),
            (None, None) => "the backend server".into(),
        }
    }
    format!(
        "{} from {} to {}",
        witness.protocol,
        end(witness.source.as_ref(), witness.source_port),
        end(witness.destination.as_ref(), witness.destination_port),
    )
}

fn decision_words(decision: &Decision, has_groups: bool) -> String {
    let mut text = word(&decision.kind);
    let Some(name) = &decision.name else {
        // No single one decides.
        return if has_groups {
            "no rule of any of its security groups matches: denied".into()
        } else {
            "no security group is on the interface: denied".into()
        };
    };
    let _ = write!(text, " {name}");
    let Some(rule) = &decision.rule else {
        text.push_str(", no rule matches: denied");
        return text;
    };
    let _ = write!(text, ", rule {rule}");
    let mut place = Vec::new();
    if let Some(index) = decision.index {
        place.push(format!("position {index}"));
    }
    if let Some(priority) = decision.priority {
        place.push(format!("priority {priority}"));
    }
    if !place.is_empty() {
        let _ = write!(text, " ({})", place.join(", "));
    }
    text.push_str(match decision.action {
        RuleAction::Deny => ": denied",
        RuleAction::Allow => ": allowed",
    });
    text
}

fn nearest_words(nearest: &Nearest) -> String {
    let mut text = format!("{} {}, rule {}", word(&nearest.kind), nearest.name, nearest.rule);
    if !nearest.misses.is_empty() {
        let misses = nearest
            .misses
            .iter()
            .map(|d| dimension(*d))
            .collect::<Vec<_>>()
            .join(" and ");
        let only = if nearest.misses.len() == 1 { " only" } else { "" };
        let _ = write!(text, ": misses{only} on the {misses}");
    }
    if let Some(deny) = &nearest.shadowed_by {
        let _ = write!(text, ": comes after rule {deny}, which denies");
    }
    text
}

fn dimension(dimension: NearestDimension) -> &'static str {
    match dimension {
        NearestDimension::Protocol => "protocol",
        NearestDimension::Source => "source",
        NearestDimension::SourcePort => "source port",
        NearestDimension::Destination => "destination",
        NearestDimension::DestinationPort => "destination port",
        NearestDimension::Port => "port",
    }
}

/// A word of the API as it is written in a manifest.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The command that makes the change, for a POSIX shell.
fn patch_line(kind: RuleKind, name: &str, namespace: &str, patch: &str) -> String {
    let kind = match kind {
        RuleKind::SecurityGroup => "securitygroup",
        RuleKind::NetworkACL => "networkacl",
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
