//! The only place that prints: to a locked standard output, as text for people or as JSON for programs.
//!
//! Invariants: a closed pipe (`packetboat queue list | head`) ends the command quietly; what came from outside is printed
//! without control characters, so that nobody can play with an operator's terminal.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::error::CliError;

/// Where a command's answer goes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Machine-readable.
    pub json: bool,
}

impl Output {
    /// `value` as JSON, or as `people` puts it.
    pub fn show<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) -> Result<(), CliError> {
        if self.json { self.json(value) } else { self.line(&people(value)) }
    }

    /// One line (or more), whatever the format.
    pub fn line(&self, text: &str) -> Result<(), CliError> {
        self.raw(&format!("{}\n", text.trim_end_matches('\n')))
    }

    /// The text as it is, at once.
    pub fn raw(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(written)
    }

    /// Indented for people who look, which programs don't mind.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| CliError::new(error.to_string(), ""))?;
        self.line(&text)
    }

    /// Beside the answer, to standard error: progress, what was done.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A question, to standard error, without a line end.
    pub fn ask(&self, question: &str) {
        let mut err = io::stderr().lock();
        let _ = write!(err, "{question}: ").and_then(|()| err.flush());
    }

    /// A person looks at it.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

fn written(error: io::Error) -> CliError {
    if error.kind() == ErrorKind::BrokenPipe {
        return CliError::Closed;
    }
    CliError::new(format!("can't write the output: {error}"), "is the disk full?")
}

/// A failed command's last words.
pub fn complain(error: &CliError) {
    let mut err = io::stderr().lock();
    let _ = match error {
        CliError::Failed { message, hint } if hint.is_empty() => writeln!(err, "error: {message}"),
        CliError::Failed { message, hint } => writeln!(err, "error: {message}\n hint: {hint}"),
        CliError::Usage(message) => writeln!(err, "error: {message}"),
        CliError::Negative | CliError::Closed => Ok(()),
    };
}

/// Without control characters, except line ends and tabs.
pub fn printable(text: &str) -> String {
    let harmless = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{FFFD}' } else { c };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_can_not_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc"), "a\u{FFFD}[2Jb\u{FFFD}\nc");
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        assert!(matches!(written(ErrorKind::BrokenPipe.into()), CliError::Closed));
        assert!(matches!(written(ErrorKind::StorageFull.into()), CliError::Failed { .. }));
    }
}
