//! What is wrong with a scenario file, said so that it can be found.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no scenario.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Neither a file nor the name of a shipped scenario.
    #[error("{name}: there is no such file, and no scenario of that name is shipped; shipped are {shipped}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of those that are.
        shipped: String,
    },
    /// What was asked for does not fit to the file.
    #[error("{file}: {message}")]
    Shape {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The file is no TOML, not of the shape of a scenario, or says what cannot be.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.problem)
    }
}

/// Collects the faults of one file.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// Notes a fault of what stands at `span`, in bytes.
    pub(super) fn add(&mut self, span: Range<usize>, problem: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        self.found.push(Fault { file: self.file.to_owned(), line, problem: problem.into() });
    }

    /// The value of `read`, or nothing and one more fault.
    pub(super) fn note<T>(&mut self, span: Range<usize>, read: Result<T, String>) -> Option<T> {
        read.map_err(|problem| self.add(span, problem)).ok()
    }

    /// The line of the byte at `start`.
    pub(super) fn line_of(&self, start: usize) -> &'a str {
        let before = self.text.get(..start).unwrap_or(self.text);
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        self.text[begin..].lines().next().unwrap_or_default().trim()
    }

    pub(super) fn into_result(self) -> Result<(), ScenarioError> {
        if self.found.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    pub(super) fn into_error(mut self) -> ScenarioError {
        // Stable, so that faults of one line stay in the order in which they were found; headers of all steps are read
        // with each of them, and their faults are told once.
        self.found.sort_by_key(|fault| fault.line);
        let mut told = HashSet::new();
        self.found.retain(|fault| told.insert((fault.line, fault.problem.clone())));
        ScenarioError::Faults(self.found)
    }
}
