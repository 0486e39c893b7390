//! Text for a terminal: nothing that steers it, no line wider than it.

use unicode_width::UnicodeWidthStr as _;

/// The text without control characters, and without the invisible ones that turn the direction of writing.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Breaks text between words into lines of at most `width` columns; a longer word stands alone on its line, whole, so
/// that it can be copied.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in printable(text).split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A word for a POSIX shell.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_never_in_one() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("a 0123456789 b", 5), ["a", "0123456789", "b"]);
        assert_eq!(wrap("a\n\tb", 5), ["a\u{fffd}\u{fffd}b"]);
    }

    #[test]
    fn a_shell_reads_the_word_that_was_meant() {
        assert_eq!(shell_word("web-1"), "web-1");
        assert_eq!(shell_word(r#"[{"op":"add"}]"#), r#"'[{"op":"add"}]'"#);
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
