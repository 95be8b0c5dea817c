//! Secrets by reference: a configuration names where a secret lives, never the secret itself.
//!
//! Invariant: neither `Debug` nor an error ever shows a secret's text. Not here: which component needs which secret.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a secret lives. Exactly one of the four.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SecretRef {
    /// In an environment variable: `{ env = "NAME" }`.
    Env(String),
    /// In a file that only its owner may read: `{ file = "/path" }`.
    File(PathBuf),
    /// Handed over by systemd's LoadCredential: `{ credential = "name" }`.
    Credential(String),
    /// Printed by a command (a key service, a password manager): `{ command = ["program", "argument"] }`.
    Command(Vec<String>),
}

/// A secret's text. Printing it prints dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret could not be read; says which reference, never what was read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the environment variable {0} is not set; set it, or name a file with {{ file = \"…\" }}")]
    Unset(String),
    /// It was found, and it is empty: refused, because an empty secret lets everybody in.
    #[error("the secret from {0} is empty; put the secret there")]
    Empty(String),
    /// The file can't be read.
    #[error("can't read the secret file {path}: {source}; check that it exists and that this user may read it")]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not started by systemd with that credential.
    #[error("no credential {0}: systemd sets CREDENTIALS_DIRECTORY; add LoadCredential={0}:/path to the unit")]
    NoCredential(String),
    /// The command failed; its output is not shown.
    #[error("the secret command {program} failed: {cause}; run it by hand as the same user")]
    Command {
        /// The first word.
        program: String,
        /// Exit status or system error.
        cause: String,
    },
}

impl SecretRef {
    /// Reads the secret; a trailing newline is dropped. Blocks while a command runs.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| SecretError::Unset(name.clone()))?,
            Self::File(path) => read(path.clone())?,
            Self::Credential(name) => {
                let folder =
                    std::env::var("CREDENTIALS_DIRECTORY").map_err(|_| SecretError::NoCredential(name.clone()))?;
                read(PathBuf::from(folder).join(name))?
            }
            Self::Command(words) => run(words)?,
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(Secret::new(text))
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Credential(name) => write!(f, "the credential {name}"),
            Self::Command(words) => write!(f, "the command {}", words.first().map_or("", String::as_str)),
        }
    }
}

fn read(path: PathBuf) -> Result<String, SecretError> {
    std::fs::read_to_string(&path).map_err(|source| SecretError::Unreadable { path, source })
}

fn run(words: &[String]) -> Result<String, SecretError> {
    let failed = |program: &str, cause: String| SecretError::Command { program: program.to_owned(), cause };
    let Some((program, arguments)) = words.split_first() else {
        return Err(failed("(none)", "the list is empty".to_owned()));
    };
    let output = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| failed(program, error.to_string()))?;
    if !output.status.success() {
        return Err(failed(program, output.status.to_string()));
    }
    String::from_utf8(output.stdout).map_err(|_| failed(program, "its output is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let reference = SecretRef::Command(vec!["printf".into(), "\\n".into()]);
        assert!(matches!(reference.resolve(), Err(SecretError::Empty(_))));
    }

    #[test]
    fn a_command_gives_its_first_line() {
        let reference = SecretRef::Command(vec!["printf".into(), "abc\\n".into()]);
        assert_eq!(reference.resolve().map(|secret| secret.expose().to_owned()).ok(), Some("abc".to_owned()));
    }

    #[test]
    fn a_missing_file_names_the_path() {
        let error = SecretRef::File("/nonexistent/token".into()).resolve().err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("/nonexistent/token")));
    }
}
