//! From a file to its text, and from a text to its documents.

use std::{fs, io::Read, path::Path};

use super::problem::Problem;

/// The text of one file.
pub struct Text {
    /// What to call it in a message.
    pub name: String,
    /// What it holds, without a byte order mark.
    pub text: String,
}

/// How much may still be read.
pub struct Allowance {
    total: u64,
    left: u64,
}

impl Allowance {
    /// So many bytes, of all inputs together.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self { total, left: total }
    }

    fn exceeded(&self) -> String {
        format!(
            "the input is larger than {} MiB, which is the limit (see --max-input-mib)",
            self.total / (1024 * 1024)
        )
    }
}

/// Reads a file, or standard input for `-`, as far as the allowance goes.
///
/// # Errors
/// When it cannot be read, is too large, or is no text.
pub fn read(path: &Path, allowance: &mut Allowance) -> Result<Text, Problem> {
    let stdin = path == Path::new("-");
    let name = if stdin {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    };
    let problem = |line, why: String| Problem {
        file: name.clone(),
        line,
        object: None,
        message: why,
    };
    let mut bytes = Vec::new();
    let read = if stdin {
        std::io::stdin().lock().take(allowance.left + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| {
            // Seen before a byte is read where the size is known; a pipe has none and is cut off.
            if file.metadata()?.len() > allowance.left {
                return Ok(usize::MAX);
            }
            file.take(allowance.left + 1).read_to_end(&mut bytes)
        })
    };
    let read = read.map_err(|e| problem(None, format!("cannot be read: {e}")))?;
    if read as u64 > allowance.left {
        return Err(problem(None, allowance.exceeded()));
    }
    allowance.left -= read as u64;
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(problem(None, "is UTF-16 text: save it as UTF-8".into()));
    }
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(problem(
            Some(line_at(&bytes, at)),
            "is binary: it holds a NUL byte".into(),
        ));
    }
    let mut text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        problem(
            Some(line_at(e.as_bytes(), at)),
            format!("is not UTF-8 text (byte {at})"),
        )
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(Text { name, text })
}

fn line_at(bytes: &[u8], at: usize) -> u64 {
    1 + bytes.iter().take(at).filter(|b| **b == b'\n').count() as u64
}

/// The documents of a text, each with the line at which it starts: JSON values one after another, or YAML between lines
/// that start with `---`. Documents of nothing but comments are left out.
///
/// Splitting first, as kubectl does, keeps a broken document from taking the others along.
///
/// # Errors
/// When a file called `.json` is not JSON. Any other text that looks like JSON and is not may still be YAML.
pub fn documents<'t>(name: &str, text: &'t str) -> Result<Vec<(u64, &'t str)>, Problem> {
    if text.trim_start().starts_with(['{', '[']) {
        match json_values(text) {
            Ok(values) => return Ok(values),
            Err(error) if Path::new(name).extension().is_some_and(|e| e == "json") => {
                let why = error.to_string();
                let why = why.split(" at line ").next().unwrap_or(&why);
                return Err(Problem {
                    line: Some(error.line() as u64),
                    ..Problem::of_file(name, format!("cannot be read as JSON: {why}"))
                });
            }
            Err(_) => {}
        }
    }
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (line, number) in text.split_inclusive('\n').zip(1_u64..) {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker {
            documents.push((start_line, text.get(start..offset).unwrap_or_default()));
            // The marker's own line belongs to the document that it opens: `--- {kind: …}` is one.
            (start, start_line) = (offset, number);
        }
        offset += line.len();
    }
    documents.push((start_line, text.get(start..).unwrap_or_default()));
    documents.retain(|(_, document)| document.lines().any(says_something));
    Ok(documents)
}

/// Whether a line is more than a comment, a directive, or a document marker.
fn says_something(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    !(line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "...")
}

fn json_values(text: &str) -> Result<Vec<(u64, &str)>, serde_json::Error> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let (mut values, mut from, mut line) = (Vec::new(), 0, 1);
    while let Some(value) = stream.next() {
        value?;
        let to = stream.byte_offset();
        let slice = text.get(from..to).unwrap_or_default();
        let value = slice.trim_start();
        line += newlines(slice) - newlines(value);
        values.push((line, value));
        line += newlines(value);
        from = to;
    }
    Ok(values)
}

fn newlines(text: &str) -> u64 {
    text.bytes().filter(|b| *b == b'\n').count() as u64
}
