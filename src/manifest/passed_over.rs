//! What was in the input and is none of our business: counted, and told in one line.

use std::{collections::BTreeMap, fmt};

use crate::text::{count, excerpt};

/// Names that are told; of more, only how many there are.
const NAMED: usize = 4;

/// Objects of other projects, and documents that are no objects.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PassedOver {
    kinds: BTreeMap<String, usize>,
    documents: usize,
    /// The files that these documents stand in.
    files: Vec<String>,
}

impl PassedOver {
    /// Counts objects of another project's kind.
    pub(super) fn objects(&mut self, kind: &str, number: usize) {
        *self.kinds.entry(excerpt(kind)).or_default() += number;
    }

    /// Counts a document that is no object of Kubernetes.
    pub(super) fn document(&mut self, file: &str) {
        self.documents += 1;
        if self.files.last().is_none_or(|last| last != file) {
            self.files.push(file.to_owned());
        }
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.kinds.values().sum::<usize>() + self.documents
    }
}

/// `300 objects of other kinds (Pod) and 1 document that is no Kubernetes object (values.yaml)`.
impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects: usize = self.kinds.values().sum();
        if objects > 0 {
            // The most frequent first.
            let mut kinds: Vec<_> = self.kinds.iter().collect();
            kinds.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
            let kinds: Vec<_> = kinds.into_iter().map(|(kind, _)| kind.clone()).collect();
            write!(f, "{} of other kinds ({})", count(objects, "object"), first(&kinds))?;
        }
        if self.documents > 0 {
            let and = if objects > 0 { " and " } else { "" };
            let are = if self.documents == 1 {
                "that is no Kubernetes object"
            } else {
                "that are no Kubernetes objects"
            };
            let files: Vec<_> = self.files.iter().map(|file| excerpt(file)).collect();
            write!(
                f,
                "{and}{} {are} ({})",
                count(self.documents, "document"),
                first(&files)
            )?;
        }
        Ok(())
    }
}

fn first(names: &[String]) -> String {
    crate::text::field_list(names, NAMED, 0)
}
