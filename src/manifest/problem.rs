//! What is wrong with the input, and where.

use std::fmt;

use crate::text::excerpt;

/// Where something stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The file, or `<stdin>`.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", excerpt(&self.file), self.line)
    }
}

/// One thing that is wrong with the input. Displayed as one line, `file:line: Kind namespace/name: what`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file, or `<stdin>`.
    pub file: String,
    /// The line, from 1, where one can be named.
    pub line: Option<u64>,
    /// Kind, namespace and name of the object that it is about.
    pub object: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    pub(super) fn of_file(file: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            object: None,
            message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", excerpt(&self.file))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        write!(f, ": {}", self.message)
    }
}
