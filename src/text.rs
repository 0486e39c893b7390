//! Text for people: foreign text made safe to show, cut to a size, listed, quoted, wrapped.
//!
//! Whatever was written by others (names, messages, files, answers of servers) goes through [`clean`] or a function that
//! calls it before it is shown. This is the one place that knows which characters are not safe to show.

use std::{borrow::Cow, fmt::Write as _};

const ELLIPSIS: char = '…';

/// Whether a character is not shown as it is: it would steer a terminal, break a line, change the order in which text is
/// shown, or be invisible, so that two different names look the same.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width characters and direction marks; line and paragraph separators, embeddings and overrides.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Invisible operators, isolates, deprecated format characters; the byte order mark.
            | '\u{2060}'..='\u{206f}' | '\u{feff}'
            // Interlinear annotations; tags, which are invisible copies of ASCII.
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text as it is safe in a log, an event, a status and on a terminal: white space that breaks lines or columns becomes a
/// space, every other unsafe character U+FFFD.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let safe = |c| match c {
        '\t' | '\n' | '\r' => ' ',
        c if is_unsafe(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(safe).collect()
}

/// The text cut to at most `max` bytes, between characters, with an ellipsis where something is missing.
#[must_use]
pub fn truncate(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text.into();
    }
    cut(text, max, char::len_utf8).into()
}

/// [`clean`]ed text of a status or an event: at most `max` bytes as JSON writes it, where a quote or a backslash is two.
#[must_use]
pub fn clean_for_json(text: &str, max: usize) -> String {
    // Clean text has no other character that JSON escapes.
    let length = |c: char| c.len_utf8() + usize::from(matches!(c, '"' | '\\'));
    let text = clean(text);
    if text.chars().map(length).sum::<usize>() <= max {
        return text.into_owned();
    }
    cut(&text, max, length)
}

/// A [`clean`] excerpt that is short enough for one line of a message.
#[must_use]
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 123;
    // Cleaning may make a text longer, so that it comes first; what is far beyond the limit need not be cleaned.
    let near = text
        .char_indices()
        .nth(LONGEST + 1)
        .map_or(text, |(end, _)| text.get(..end).unwrap_or(text));
    truncate(&clean(near), LONGEST).into_owned()
}

/// The characters that fit, and an ellipsis.
fn cut(text: &str, max: usize, length: impl Fn(char) -> usize) -> String {
    let mut room = max.saturating_sub(ELLIPSIS.len_utf8());
    let fits = |c: &char| {
        let rest = room.checked_sub(length(*c));
        room = rest.unwrap_or(0);
        rest.is_some()
    };
    let mut out: String = text.chars().take_while(fits).collect();
    out.push(ELLIPSIS);
    out
}

/// A list in a sentence: `none`, `a`, `a and b`, `a, b and c`; of more than `max` items the first ones and how many more there
/// are, `a, b, c and 4 more`. Only what is shown is written.
#[must_use]
pub fn sentence_list<I>(items: I, max: usize) -> String
where
    I: IntoIterator<IntoIter: ExactSizeIterator, Item: ToString>,
{
    let mut items = items.into_iter();
    let mut shown: Vec<String> = items.by_ref().take(max).map(|item| item.to_string()).collect();
    if items.len() > 0 {
        shown.push(format!("{} more", items.len()));
    }
    match shown.as_slice() {
        [] => "none".into(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// A list in a field: `a, b`, or `a, b and 4 more` with those beyond `max` and the `omitted` ones counted.
#[must_use]
pub fn field_list<T: AsRef<str>>(items: &[T], max: usize, omitted: usize) -> String {
    let shown: Vec<&str> = items.iter().take(max).map(AsRef::as_ref).collect();
    let mut out = shown.join(", ");
    let more = items.len() - shown.len() + omitted;
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, " and {more} more");
    }
    out
}

/// A number of things: `1 rule`, `2 rules`.
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A share such as 0.5 as `50%`, with a digit after the point where it has one.
#[must_use]
pub fn percentage(share: f64) -> String {
    match share {
        part if part > 0.0 && part < 0.001 => "less than 0.1%".into(),
        part if part < 1.0 && part > 0.999 => "more than 99.9%".into(),
        part => {
            let text = format!("{:.1}", part * 100.0);
            format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
        }
    }
}

/// A word for a POSIX shell, quoted where it must be. Clean text only: shells differ in what they make of a NUL.
#[must_use]
pub fn shell_word(word: &str) -> Cow<'_, str> {
    shlex::Quoter::new()
        .allow_nul(true)
        .quote(word)
        // It fails for a NUL only, which is allowed here; text that is not quoted must never get out.
        .unwrap_or_else(|_| "''".into())
}

/// The same, with quotes also where a shell does not need them: a URL is read more easily so.
#[must_use]
pub fn shell_quoted(word: &str) -> String {
    match shell_word(word) {
        Cow::Borrowed(plain) if plain == word => format!("'{plain}'"),
        quoted => quoted.into_owned(),
    }
}

/// Breaks [`clean`]ed text between words into lines of at most `width` columns; a longer word stands alone on its line,
/// whole, so that it can be copied.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    let text = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return Vec::new();
    }
    textwrap::wrap(&text, options)
        .into_iter()
        .map(Cow::into_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_or_hides_remains() {
        for (text, cleaned) in [
            ("", ""),
            ("grün 漢字 ✗ 'a' \"b\" \\", "grün 漢字 ✗ 'a' \"b\" \\"),
            ("red\u{1b}[31m", "red\u{fffd}[31m"),
            ("a\r\n\tb", "a   b"),
            (
                "nul\0bell\u{7}del\u{7f}c1\u{9b}31m",
                "nul\u{fffd}bell\u{fffd}del\u{fffd}c1\u{fffd}31m",
            ),
            ("line\u{202e}x\u{2066}y\u{200f}z", "line\u{fffd}x\u{fffd}y\u{fffd}z"),
            ("one\u{2028}two\u{2029}three", "one\u{fffd}two\u{fffd}three"),
            ("we\u{200b}b \u{feff}we\u{ad}b", "we\u{fffd}b \u{fffd}we\u{fffd}b"),
            ("tag\u{e0041}", "tag\u{fffd}"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
            assert!(!clean(text).contains(is_unsafe), "{text:?}");
        }
    }

    #[test]
    fn text_is_cut_between_characters_and_within_its_limit() {
        assert_eq!(truncate("short", 5), "short");
        assert_eq!(truncate("abcdefgh", 6), "abc…");
        assert_eq!(truncate("äöüß", 8), "äöüß");
        assert_eq!(truncate("äöüß", 7), "äö…");
        let long = "日本語のとても長い説明文";
        for max in 3..=long.len() {
            assert!(truncate(long, max).len() <= max, "{max}");
        }
        // No room for an ellipsis: it is all that is left, so that nobody takes it for the whole.
        assert_eq!(truncate("abcdefgh", 0), "…");
    }

    #[test]
    fn text_for_json_is_cut_by_the_bytes_that_json_writes() {
        for text in [
            r#"a "quoted" word"#,
            r"back\slash",
            "äöü\u{1b}ß\n",
            &"\"".repeat(99),
            &"\u{7}".repeat(99),
        ] {
            for max in 3..64 {
                let cut = clean_for_json(text, max);
                let json = serde_json::to_string(&cut).map_or(usize::MAX, |json| json.len() - 2);
                assert!(json <= max, "{text:?} {max}: {cut:?}");
                assert!(cut.ends_with(ELLIPSIS) || cut == clean(text), "{text:?} {max}: {cut:?}");
            }
        }
        assert_eq!(clean_for_json(r#""""""#, 7), r#"""…"#);
    }

    #[test]
    fn an_excerpt_is_clean_and_not_endless() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert_eq!(excerpt(&"x".repeat(500)), format!("{}…", "x".repeat(120)));
        assert_eq!(excerpt(&"\0".repeat(500)), format!("{}…", "\u{fffd}".repeat(40)));
        assert_eq!(excerpt(&"ä".repeat(124)), format!("{}…", "ä".repeat(60)));
    }

    #[test]
    fn lists_name_a_few_and_count_the_rest() {
        let all = ["a", "b", "c", "d", "e"];
        for (number, sentence, field) in [
            (0, "none", ""),
            (1, "a", "a"),
            (2, "a and b", "a, b"),
            (3, "a, b and c", "a, b, c"),
            (4, "a, b, c and 1 more", "a, b, c and 1 more"),
            (5, "a, b, c and 2 more", "a, b, c and 2 more"),
        ] {
            let items = all.iter().take(number).collect::<Vec<_>>();
            assert_eq!(sentence_list(all.iter().take(number), 3), sentence);
            assert_eq!(field_list(&items, 3, 0), field);
        }
        assert_eq!(field_list(&["a"], 3, 7), "a and 7 more");
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(
            [0, 1, 2].map(|number| count(number, "rule")),
            ["0 rules", "1 rule", "2 rules"]
        );
    }

    #[test]
    fn a_share_is_never_rounded_to_none_or_all() {
        for (share, percent) in [
            (0.0, "0%"),
            (1.0, "100%"),
            (0.5, "50%"),
            (0.125, "12.5%"),
            (0.000_015_258_789_062_5, "less than 0.1%"),
            (0.999_984_741_210_937_5, "more than 99.9%"),
        ] {
            assert_eq!(percentage(share), percent, "{share}");
        }
    }

    #[test]
    fn a_shell_reads_the_word_that_was_meant() {
        for word in [
            "web-1",
            "",
            "it's",
            "a b",
            r#"[{"op":"add"}]"#,
            "$HOME `id` \\ !x ^y",
            "héllo;#&|<>*?~",
        ] {
            for quoted in [shell_word(word).into_owned(), shell_quoted(word)] {
                assert_eq!(shlex::split(&quoted), Some(vec![word.to_owned()]), "{quoted}");
            }
        }
        assert_eq!(shell_word("web-1"), "web-1");
        assert_eq!(shell_word(r#"[{"op":"add"}]"#), r#"'[{"op":"add"}]'"#);
        assert_eq!(shell_quoted("http://10.0.0.1:80/"), "'http://10.0.0.1:80/'");
    }

    #[test]
    fn lines_are_broken_between_words_and_never_in_one() {
        for (text, lines) in [
            ("aa bb cc", &["aa bb", "cc"] as &[&str]),
            ("a 0123456789 b", &["a", "0123456789", "b"]),
            ("one-two-three", &["one-two-three"]),
            ("a\n\tb  c", &["a b c"]),
            ("漢字 漢", &["漢字", "漢"]),
            ("a\u{1b}b", &["a\u{fffd}b"]),
            (" ", &[]),
        ] {
            assert_eq!(wrap(text, 5), lines, "{text:?}");
        }
    }
}
