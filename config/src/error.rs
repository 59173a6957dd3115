//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::Weakness;

/// Why settings could not be loaded.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file named by `--config` cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A configuration file is not TOML. The line itself is not quoted: it may hold a secret.
    #[error("{}, line {line}: not valid TOML: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The first line at fault, from 1.
        line: usize,
        /// What the parser expected.
        reason: String,
    },
    /// The sources cannot be merged.
    #[error("cannot merge the settings: {0}")]
    Merge(#[from] Box<figment::Error>),
    /// Values that are refused, all of them at once.
    #[error("{}", listed(.0))]
    Faults(Vec<Fault>),
}

/// One refused setting. Its `Display` names the key, the value, where it came from and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// No setting has this name.
    #[error("{key} ({origin}): unknown setting; {known}")]
    Unknown {
        /// Dotted name as given.
        key: String,
        /// Where it was given.
        origin: String,
        /// What there is instead.
        known: String,
    },
    /// The value is of the wrong form or out of bounds.
    #[error("{key} = {given} ({origin}): expected {expected}")]
    Invalid {
        /// Dotted name.
        key: String,
        /// The value, quoted; `[redacted]` for secrets.
        given: String,
        /// Where it was given.
        origin: String,
        /// What is accepted.
        expected: String,
    },
    /// An environment variable that would be a setting if its underscores were doubled.
    #[error("{variable}: a single _ does not separate levels; write {meant}")]
    Misspelt {
        /// The variable as given.
        variable: String,
        /// The variable that was probably meant.
        meant: String,
    },
    /// The file that should hold a secret cannot be read.
    #[error("{key} = {} ({origin}): {reason}", path.display())]
    SecretFile {
        /// Dotted name.
        key: String,
        /// The file.
        path: PathBuf,
        /// Where it was given.
        origin: String,
        /// What the operating system said.
        reason: std::io::ErrorKind,
    },
    /// The value, or the lack of one, is dangerous.
    #[error("{key} ({origin}): {risk}")]
    Risky {
        /// Dotted name.
        key: String,
        /// Where it was given.
        origin: String,
        /// What could come of it.
        risk: Risk,
    },
}

/// What makes a setting dangerous. Its `Display` says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Risk {
    /// The keys would be made beside the data that they protect.
    #[error("production keeps its keys apart from its data; name a file outside data.dir")]
    NoKeysFile,
    /// The file of the keys is inside the data folder.
    #[error(
        "{} is inside data.dir, so every copy of the data has the keys to it; move the file out and name its new place",
        path.display()
    )]
    KeysInData {
        /// The file.
        path: PathBuf,
    },
    /// The secret can be guessed.
    #[error("too weak for production: {}; `openssl rand -base64 48` makes a good one", reasons(.0))]
    Weak(Vec<Weakness>),
    /// Others than its owner can use the file of a secret.
    #[error("others can use {} (mode {mode:03o}); chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

fn reasons(weaknesses: &[Weakness]) -> String {
    Vec::from_iter(weaknesses.iter().map(Weakness::to_string)).join(", ")
}

fn listed(faults: &[Fault]) -> impl fmt::Display {
    let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let noun = if faults.len() == 1 { "setting" } else { "settings" };
    format!("{} {noun} refused:{}", faults.len(), lines.concat())
}
