//! What is wrong with a configuration: where, what, and what to do.

use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted, for example `server.listen`; empty when it is about the whole file.
    pub key: String,
    /// Where the key stands.
    pub place: Option<Place>,
    /// What is wrong; never repeats a secret.
    pub message: String,
    /// What to do; may be empty when the message says it.
    pub hint: String,
}

/// Where a key was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file, on this line (from 1).
    Line(usize),
    /// By this environment variable.
    Variable(String),
}

impl Problem {
    /// A problem of one key, its place not yet known.
    pub fn at_key(key: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key: key.to_owned(), place: None, message: message.into(), hint: hint.into() }
    }

    /// One line for people: `FILE, line N: KEY: what is wrong; what to do`.
    pub fn describe(&self, file: &Path) -> String {
        let place = match &self.place {
            Some(Place::Line(line)) => format!("{}, line {line}: ", file.display()),
            Some(Place::Variable(name)) => format!("environment variable {name}: "),
            None => format!("{}: ", file.display()),
        };
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        let hint = if self.hint.is_empty() { String::new() } else { format!("; {}", self.hint) };
        format!("{place}{key}{}{hint}", self.message)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file where one is looked for.
    #[error(
        "no configuration found (looked for {searched}); make one with `packetboat init`, or name one with --config"
    )]
    Missing {
        /// The places, in order.
        searched: String,
    },
    /// It is there, or was named, and can't be read.
    #[error("can't read the configuration {}: {source}; check the name and that this user may read it", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It can be read and is wrong.
    #[error("{}", describe(.path, .problems))]
    Problems {
        /// The file.
        path: PathBuf,
        /// At least one, in the file's order where that is known.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// An error when there is any problem.
    pub fn when_any(path: &Path, mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by_key(|problem| match problem.place {
            Some(Place::Line(line)) => line,
            Some(Place::Variable(_)) | None => usize::MAX,
        });
        Err(Self::Problems { path: path.to_owned(), problems })
    }
}

fn describe(path: &Path, problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.describe(path)).collect::<Vec<_>>().join("\n")
}
