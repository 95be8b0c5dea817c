//! What the daemon tells about itself: log lines ([`init`]) and numbers ([`metrics`]).
//!
//! Invariant: log lines go to standard error, so that standard output stays for what a command was asked for. Not here:
//! what is logged (each module says it where it is handled).

pub mod config;
pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use config::{LogConfig, LogFormat};

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` or `log.level` is no filter.
    #[error("{origin} is no log filter: {cause}; use for example `info` or `info,packetboat::queue=debug`")]
    Filter {
        /// Where the filter came from.
        origin: &'static str,
        /// What the parser said.
        cause: String,
    },
    /// Called twice in one process.
    #[error("logging is set up already")]
    Twice,
}

/// The filter that applies: `RUST_LOG`, else the configured one.
pub fn filter(config: &LogConfig) -> Result<EnvFilter, TelemetryError> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    match from_environment {
        Some(text) => parse_filter("the environment variable RUST_LOG", &text),
        None => parse_filter("log.level", &config.level),
    }
}

/// Parses a filter; `origin` names it in the error.
pub fn parse_filter(origin: &'static str, text: &str) -> Result<EnvFilter, TelemetryError> {
    // a bare word that is no level would be taken for a module's name: nothing would ever be logged
    let unknown_word = text.split(',').map(str::trim).find(|part| !part.contains(['=', '[', ':']) && !is_level(part));
    if let Some(word) = unknown_word {
        return Err(TelemetryError::Filter { origin, cause: format!("`{word}` is no level") });
    }
    EnvFilter::try_new(text).map_err(|error| TelemetryError::Filter { origin, cause: error.to_string() })
}

fn is_level(word: &str) -> bool {
    ["off", "error", "warn", "info", "debug", "trace"].iter().any(|level| word.eq_ignore_ascii_case(level))
}

/// Sends log lines to standard error from now on; colours only on a terminal.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(config)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_module_filters_are_taken() {
        for text in ["info", "WARN", "info,packetboat::queue=debug", "packetboat=trace"] {
            assert!(parse_filter("log.level", text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_refused_by_name() {
        let error = parse_filter("log.level", "inof").expect_err("no level").to_string();
        assert!(error.contains("log.level") && error.contains("`inof`"), "{error}");
    }
}
