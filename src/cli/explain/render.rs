//! A page of `docs/` for a terminal: paragraphs as wide as it is, headings set off, code as it stands.

use std::fmt::Write as _;

use anstyle::Style;

use crate::text::wrap;

const BOLD: Style = Style::new().bold();

/// The Markdown as text in lines of at most `width` columns, code excepted: that is there to be copied.
pub fn render(markdown: &str, width: usize) -> String {
    let mut page = Page {
        width,
        text: String::new(),
        paragraph: String::new(),
    };
    let mut code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            code = !code;
            page.end();
        } else if code || line.starts_with("    ") {
            page.end();
            page.line(line);
        } else {
            page.prose(line);
        }
    }
    page.end();
    page.text
}

struct Page {
    width: usize,
    text: String,
    /// The lines of the paragraph that has begun, joined.
    paragraph: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn prose(&mut self, line: &str) {
        if let Some(heading) = line.strip_prefix('#') {
            self.end();
            let heading = heading.trim_start_matches('#').trim();
            self.line(&format!("{BOLD}{heading}{BOLD:#}"));
        } else if let Some(row) = line.strip_prefix('|') {
            self.end();
            let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
            // Neither the empty head of a table nor the line below it.
            if cells.iter().any(|cell| cell.contains(char::is_alphanumeric)) {
                self.row(&cells);
            }
        } else if line.trim().is_empty() {
            self.end();
            self.line("");
        } else {
            if starts_an_item(line) {
                self.end();
            }
            if !self.paragraph.is_empty() {
                self.paragraph.push(' ');
            }
            self.paragraph.push_str(line.trim());
        }
    }

    fn row(&mut self, cells: &[&str]) {
        let Some((label, rest)) = cells.split_first() else {
            return;
        };
        let _ = writeln!(self.text, "  {:<20}  {}", plain(label), plain(&rest.join("  ")));
    }

    /// Ends the paragraph.
    fn end(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let indent = if starts_an_item(&paragraph) { 2 } else { 0 };
        let lines = wrap(&plain(&paragraph), self.width.saturating_sub(indent));
        for (at, line) in lines.iter().enumerate() {
            let indent = if at == 0 { 0 } else { indent };
            let _ = writeln!(self.text, "{:indent$}{line}", "");
        }
    }
}

fn starts_an_item(line: &str) -> bool {
    line.starts_with("- ") || line.starts_with("* ")
}

/// Links as their text alone, and no marks for code: commands can be copied.
pub fn plain(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, link)) = rest.split_once('[') {
        let target = link.split_once("](").and_then(|(label, to)| {
            let (_, after) = to.split_once(')')?;
            (!label.contains('[')).then_some((label, after))
        });
        out.push_str(before);
        if let Some((label, after)) = target {
            out.push_str(label);
            rest = after;
        } else {
            out.push('[');
            rest = link;
        }
    }
    out.push_str(rest);
    out.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_and_code_is_not() {
        let markdown = "# title\n\n| | |\n|---|---|\n| item | The `port` |\n\nOne two three\nfour [five](six.md) [7].\n\n- a b c d e\n  f g\n- h\n\n    kubectl get x -o yaml\n\n```yaml\na:   {b: [1, 2, 3, 4, 5, 6, 7, 8]}\n```\n";
        assert_eq!(
            render(markdown, 10),
            format!(
                "{BOLD}title{BOLD:#}\n\n  item                  The port\n\nOne two\nthree four\nfive [7].\n\n- a b c\n  d e f g\n- h\n\n    kubectl get x -o yaml\n\n\
                 a:   {{b: [1, 2, 3, 4, 5, 6, 7, 8]}}\n"
            )
        );
    }
}
