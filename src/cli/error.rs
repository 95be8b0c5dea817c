//! What a person reads when a command fails: what happened, and what to do next.

use crate::config::error::ConfigError;

/// Why a command failed; decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It could not be done: exit code 1.
    #[error("{message}")]
    Failed {
        /// What happened.
        message: String,
        /// What to do next; may be empty.
        hint: String,
    },
    /// The words on the command line don't go together: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Done, and the answer is no (a check that found something): exit code 1, and all is said already.
    #[error("no")]
    Negative,
    /// Whoever read our output has gone (`| head`): nothing to complain about.
    #[error("nobody reads the output")]
    Closed,
}

impl CliError {
    /// A failure with its hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: hint.into() }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::new(error.to_string(), "")
    }
}
