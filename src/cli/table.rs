//! The diagnosis for a person: one block for each backend server, gravest matter first, as wide as the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use kube::ResourceExt as _;
use unicode_width::UnicodeWidthStr as _;

use crate::{
    api::v1alpha1::{BackendServer, HealthState, conditions::reasons},
    diagnosis::{
        Assessment,
        report::{Failed, Fix, Found, PortRemoval, Report, Side},
        witness,
        words::{self, fixes::Row, values},
    },
    engine::{CheckId, Direction, Evidence, Impact, PortFix, RuleFinding, format_address},
    text::{clean, count, field_list, is_unsafe, shell_word, wrap},
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

/// Columns of the widest label and two blanks.
const LABELS: usize = 16;

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

    /// On one line where both fit.
    fn title(&mut self, title: &str, outcome: &str) {
        let shown = |styled: &str| anstream::adapter::strip_str(styled).to_string().width();
        let gap = if shown(title) + 2 + shown(outcome) <= self.width {
            "  "
        } else {
            "\n  "
        };
        let _ = writeln!(self.text, "{title}{gap}{outcome}");
    }

    fn refusal(&mut self, title: &str, refusal: &Refusal) {
        let quiet = refusal.reason == RefusalReason::BackendNotUnhealthy;
        let style = if quiet { DIM } else { YELLOW };
        let reason = styled(style, &format!("not diagnosed: {}", refusal.reason.as_str()));
        self.title(title, &reason);
        if !quiet {
            self.paragraph("  ", "  ", &refusal.message);
        }
    }

    fn report(&mut self, title: &str, report: &Report, namespace: &str) {
        let (beyond, items): (Vec<_>, Vec<_>) = report.findings.faults().partition(Found::is_beyond);
        let accepted = report.findings.accepted();
        let verdict = match (items.len(), beyond.len(), accepted.len()) {
            (0, 0, 0) => styled(GREEN, &format!("no fault in {} items", CheckId::COUNT)),
            (0, 0, accepted) => styled(
                GREEN,
                &format!("no fault in {} items, {accepted} accepted", CheckId::COUNT),
            ),
            (0, beyond, _) => styled(
                RED,
                &format!("{} beyond the {} items", count(beyond, "fault"), CheckId::COUNT),
            ),
            (items, 0, _) => styled(RED, &format!("{items} of {} items failed", CheckId::COUNT)),
            (items, beyond, _) => styled(
                RED,
                &format!("{items} of {} items failed, {beyond} beyond", CheckId::COUNT),
            ),
        };
        self.title(title, &verdict);
        self.traffic(report);
        for block in blocks(report) {
            self.text.push('\n');
            self.block(report, &block, namespace);
        }
        // Where no probe is dropped, a fix is no cure: what remains comes first.
        if report.dropped.is_none() {
            self.next_steps(report);
            self.fixes(report, namespace);
        } else {
            self.fixes(report, namespace);
            self.next_steps(report);
        }
        let accepted = accepted
            .iter()
            .map(|check| format!("Accepted: {} ({})", check.item(), check.id()));
        let notes: Vec<String> = accepted.chain(words::notes::notes(report)).collect();
        if !notes.is_empty() {
            self.text.push('\n');
            for note in &notes {
                self.paragraph("  Note: ", "        ", note);
            }
        }
    }

    fn fixes(&mut self, report: &Report, namespace: &str) {
        for fix in &report.fixes {
            self.text.push('\n');
            self.fix(report, fix, namespace);
        }
        if let Some(removal) = &report.port_removal {
            self.text.push('\n');
            self.port_removal(removal, namespace);
        }
    }

    fn next_steps(&mut self, report: &Report) {
        if !report.next_steps.is_empty() {
            self.text.push('\n');
            let _ = writeln!(
                self.text,
                "  {}",
                styled(BOLD, "What remains to check, most likely first")
            );
            for (i, step) in report.next_steps.iter().enumerate() {
                self.paragraph(&format!("  {}. ", i + 1), "     ", &words::steps::step(report, step));
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

    /// One finding, or all of the same rules over which one and the same decides: what they share is said once.
    fn block(&mut self, report: &Report, block: &[Failed<'_>], namespace: &str) {
        let Some(first) = block.first() else { return };
        if let [only] = block {
            self.item(report, only);
        } else if let Some(found) = first.found.rules() {
            let (kind, bound) = (values::kind(found.layer), values::bound(found.direction));
            let object = found.evidence.decided_by.object.as_deref();
            let object = object.map(|name| format!("{kind} {name}, ")).unwrap_or_default();
            let title = format!("{object}{bound}: {} fail for one reason", count(block.len(), "item"));
            let impact = block.iter().map(|failed| failed.found.impact()).max();
            let style = impact_style(impact.unwrap_or(Impact::None));
            let _ = writeln!(self.text, "  {} {}", styled(style, "✗"), styled(BOLD, &clean(&title)));
        }
        if let Some(found) = first.found.rules() {
            self.field("Example packet", &packet(report, found));
            self.field("Decided by", &decision(report, found));
            if let Some(nearest) = words::checks::nearest(report, found) {
                self.field("Closest rule", &nearest);
            }
        }
        let checks: Vec<CheckId> = block.iter().map(|failed| failed.found.check).collect();
        self.field(
            "What to do",
            &words::checks::advice(report, &first.found, &checks, namespace),
        );
        self.field("More", &words::checks::explain(first.found.check));
        if block.len() > 1 {
            for failed in block {
                self.member(report, failed);
            }
        }
    }

    /// A finding that stands alone.
    fn item(&mut self, report: &Report, failed: &Failed<'_>) {
        let found = &failed.found;
        let (check, impact) = (found.check, found.impact());
        let style = impact_style(impact);
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
        self.paragraph("    ", "    ", &words::checks::explained(report, found));
        if let Some(found) = found.rules() {
            self.field("Blocked", &blocked(report, &found.evidence));
        }
    }

    /// One of several findings that have the same cause.
    fn member(&mut self, report: &Report, failed: &Failed<'_>) {
        let found = &failed.found;
        let (check, impact) = (found.check, found.impact());
        let tail = format!("{}, {}", check.severity().as_str(), values::impact(impact));
        self.paragraph("    - ", "      ", &format!("{} ({tail})", check.item()));
        let _ = writeln!(self.text, "      {}", styled(DIM, check.id()));
        self.paragraph("      ", "      ", &words::checks::explained(report, found));
        if let Some(found) = found.rules().filter(|found| !found.evidence.share.is_all()) {
            self.paragraph(
                "      ",
                "      ",
                &format!("Blocked: {}", blocked(report, &found.evidence)),
            );
        }
    }

    fn fix(&mut self, report: &Report, fix: &Fix, namespace: &str) {
        let kind = values::kind(fix.layer);
        let place = match fix.subnet.as_deref() {
            Some(subnet) => format!(" of the load balancer's subnet {subnet}"),
            None => String::new(),
        };
        let object = format!(
            "{kind} {}{place}, {}",
            clean(fix.target.name()),
            values::bound(fix.direction)
        );
        self.fix_head(&object, fix.verified);
        self.paragraph("    ", "    ", &words::fixes::explained(fix, &report.traffic));
        self.console(report, fix);
        if let Some(patch) = words::fixes::patch(fix, &report.traffic) {
            let kind = if fix.layer.is_security_group() {
                "securitygroup"
            } else {
                "networkacl"
            };
            self.patch(kind, fix.target.name(), namespace, &patch);
        }
    }

    fn port_removal(&mut self, removal: &PortRemoval, namespace: &str) {
        let (kind, command) = match removal.from {
            PortFix::BackendServer => ("BackendServer", "backendserver"),
            PortFix::Group => ("LoadBalancer", "loadbalancer"),
        };
        self.fix_head(&format!("{kind} {}, health check port", clean(&removal.name)), true);
        self.paragraph("    ", "    ", &words::fixes::port_removal(removal));
        self.patch(command, &removal.name, namespace, &words::fixes::port_patch(removal));
    }

    fn fix_head(&mut self, object: &str, verified: bool) {
        let verified = if verified {
            styled(GREEN, "verified")
        } else {
            styled(YELLOW, "not verified")
        };
        let head = styled(BOLD, "Fix");
        let mut lines = wrap(object, self.width.saturating_sub(7 + " (verified)".len()).max(20));
        let last = lines.pop().unwrap_or_default();
        let _ = write!(self.text, "  {head}  ");
        for line in lines {
            let _ = write!(self.text, "{line}\n       ");
        }
        let _ = writeln!(self.text, "{last} ({verified})");
    }

    /// The command that makes the change. Never wrapped: it is there to be copied.
    fn patch(&mut self, kind: &str, name: &str, namespace: &str, patch: &str) {
        let _ = writeln!(self.text, "    {}", patch_line(kind, name, namespace, patch));
    }

    /// The new rules as one types them into the cloud's console, which the resource only mirrors.
    fn console(&mut self, report: &Report, fix: &Fix) {
        let rows: Vec<Row> = fix
            .rules
            .iter()
            .map(|rule| Row::new(fix, &report.traffic, rule))
            .collect();
        let grid = Grid::of(fix, &rows);
        let what = if rows.len() == 1 { "rule" } else { "rules" };
        let place = if fix.layer.is_security_group() {
            String::new()
        } else {
            format!(", {}", words::fixes::position(fix))
        };
        let head = format!("In the console, {} {what}{place}:", values::bound(fix.direction));
        self.paragraph("    ", "    ", &head);
        self.text.push_str(&grid.render(6, self.width));
    }

    fn field(&mut self, label: &str, text: &str) {
        let first = format!("    {}", styled(DIM, &format!("{label:<LABELS$}")));
        self.wrapped(&first, 4 + LABELS, text);
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

fn impact_style(impact: Impact) -> Style {
    match impact {
        Impact::Blocks => RED,
        Impact::Intermittent => YELLOW,
        Impact::Advisory | Impact::None => DIM,
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

fn blocked(report: &Report, evidence: &Evidence) -> String {
    let values = shortened(&values::list(&evidence.values, report.traffic.family));
    if evidence.share.is_none() {
        return format!("{values} (no probe uses these)");
    }
    format!("{values} ({} of the packets)", values::percentage(evidence.share))
}

/// What is shown together, the gravest first: a finding by itself, or all of one side over which one and the same decides.
fn blocks(report: &Report) -> Vec<Vec<Failed<'_>>> {
    let mut out: Vec<(Option<Side<'_>>, Vec<Failed<'_>>)> = Vec::new();
    for failed in report.failed(|_| true) {
        let side = failed.found.side();
        match out.last_mut().filter(|(last, _)| side.is_some() && *last == side) {
            Some((_, block)) => block.push(failed),
            None => out.push((side, vec![failed])),
        }
    }
    let mut blocks: Vec<Vec<Failed<'_>>> = Vec::new();
    for (_, side) in out {
        let mut decisions = side
            .iter()
            .filter_map(|failed| failed.found.rules())
            .map(|found| &found.evidence.decided_by);
        let first = decisions.next();
        if decisions.all(|other| Some(other) == first) {
            blocks.push(side);
        } else {
            blocks.extend(side.into_iter().map(|failed| vec![failed]));
        }
    }
    let gravest = |block: &[Failed<'_>]| block.iter().map(|failed| failed.found.impact()).max();
    blocks.sort_by_key(|block| std::cmp::Reverse(gravest(block)));
    blocks
}

/// The heading of what belongs to the column before it.
const PORTS: &str = "Ports";

/// A few rows under headings, aligned; one under the other where they are too wide for that.
struct Grid {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    fn of(fix: &Fix, rows: &[Row]) -> Self {
        let all = || "all".to_owned();
        let protocol = |row: &Row| row.protocol.to_uppercase();
        if !fix.layer.is_security_group() {
            return Self {
                headings: vec!["Type", "Action", "Protocol", "Source", PORTS, "Destination", PORTS],
                rows: rows
                    .iter()
                    .map(|row| {
                        vec![
                            row.family.to_owned(),
                            "Allow".to_owned(),
                            protocol(row),
                            row.source.clone().unwrap_or_default(),
                            row.source_ports.clone().unwrap_or_else(all),
                            row.destination.clone().unwrap_or_default(),
                            row.destination_ports.clone().unwrap_or_else(all),
                        ]
                    })
                    .collect(),
            };
        }
        let remote = match fix.direction {
            Direction::Ingress => "Source",
            Direction::Egress => "Destination",
        };
        Self {
            headings: vec!["Direction", "Priority", "Action", "Type", "Protocol & port", remote],
            rows: rows
                .iter()
                .map(|row| {
                    let ports = row.destination_ports.clone().unwrap_or_else(all);
                    vec![
                        match row.direction {
                            Direction::Ingress => "Inbound".to_owned(),
                            Direction::Egress => "Outbound".to_owned(),
                        },
                        row.priority.to_string(),
                        "Allow".to_owned(),
                        row.family.to_owned(),
                        format!("{}: {ports}", protocol(row)),
                        row.source.clone().or(row.destination.clone()).unwrap_or_default(),
                    ]
                })
                .collect(),
        }
    }

    fn render(&self, indent: usize, width: usize) -> String {
        let columns = self.headings.iter().enumerate();
        let widths: Vec<usize> = columns
            .map(|(at, heading)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
                cells.chain([heading.width()]).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        let whole = indent + widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        if whole <= width {
            let mut line = |cells: &mut dyn Iterator<Item = &str>| {
                let cells = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
                let cells = cells.collect::<Vec<_>>().join("  ");
                let _ = writeln!(out, "{:indent$}{}", "", cells.trim_end());
            };
            line(&mut self.headings.iter().copied());
            for row in &self.rows {
                line(&mut row.iter().map(String::as_str));
            }
            return out;
        }
        // Beside each other it is plain whose ports they are; one under the other it is said.
        let mut of = "";
        let labels = self.headings.iter().map(|heading| {
            if *heading == PORTS {
                format!("{of} ports")
            } else {
                of = heading;
                (*heading).to_owned()
            }
        });
        let labels: Vec<String> = labels.collect();
        let label = labels.iter().map(|label| label.width()).max().unwrap_or(0);
        for (at, row) in self.rows.iter().enumerate() {
            if at > 0 {
                out.push('\n');
            }
            for (heading, cell) in labels.iter().zip(row) {
                let _ = writeln!(out, "{:indent$}{heading:<label$}  {cell}", "");
            }
        }
        out
    }
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
            "no security group on the interface: everything is denied".into()
        } else {
            "no rule in any of its security groups matches, so it is denied".into()
        };
    };
    let Some(rule) = &decided.rule else {
        return format!("{kind} {name}: no rule matches, so it is denied");
    };
    // People count from one.
    let position = decided.index.map(|index| format!("position {}", index + 1));
    let priority = decided.priority.map(|priority| format!("priority {priority}"));
    let place: Vec<String> = priority.or(position).into_iter().collect();
    if place.is_empty() {
        format!("{kind} {name}: rule {rule} denies it")
    } else {
        format!("{kind} {name}: rule {rule} ({}) denies it", place.join(", "))
    }
}

/// The command that makes the change, for a POSIX shell.
fn patch_line(kind: &str, name: &str, namespace: &str, patch: &str) -> String {
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
