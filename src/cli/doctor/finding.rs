//! One thing that `doctor` looked at.

use serde::Serialize;

use crate::cli::output::printable;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Well.
    Ok,
    /// It works, and could be better.
    Warn,
    /// It won't work.
    Fail,
}

/// What was seen, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// `config`, `secrets`, `storage`, `ports`, `model`, `gpu`, `adapters`, `daemon`, `queue` or `clock`.
    pub area: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do next; empty when there is nothing to do.
    pub next: String,
}

impl Finding {
    /// Well.
    pub fn ok(area: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Ok, area, message: message.into(), next: String::new() }
    }

    /// It works, and could be better.
    pub fn warn(area: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { level: Level::Warn, area, message: message.into(), next: next.into() }
    }

    /// It won't work.
    pub fn fail(area: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { level: Level::Fail, area, message: message.into(), next: next.into() }
    }
}

/// For people: one line each, the next step under it.
pub fn render(findings: &[Finding]) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        let word = match finding.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        lines.push(format!("{word}  {:<8}  {}", finding.area, printable(&finding.message)));
        if !finding.next.is_empty() {
            lines.push(format!("{:16}→ {}", "", printable(&finding.next)));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    lines.push(format!("\n{} ok, {} to look at, {} failed", count(Level::Ok), count(Level::Warn), count(Level::Fail)));
    lines.join("\n")
}
