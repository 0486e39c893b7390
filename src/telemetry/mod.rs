//! What an operator sees of a running controller: logs, metrics, probes.

mod admin;
mod logs;
mod metrics;

pub use admin::{AdminError, AdminServer, Readiness};
pub use logs::{LogFormat, init as init_logs, parse_filter};
pub use metrics::{ControllerMetrics, Metrics, QueueMetrics, WriteResult};

/// The text with every control character and every invisible direction mark replaced, so that what a resource or a server says cannot
/// steer a terminal or forge a line of a log.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_control() => ' ',
            // Bidirectional overrides and isolates, line and paragraph separators.
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_that_steers_a_terminal_remains() {
        assert_eq!(printable("red\u{1b}[31m\r\nline\u{202e}x"), "red [31m  line\u{fffd}x");
        assert_eq!(printable("grün 漢字"), "grün 漢字");
    }
}
