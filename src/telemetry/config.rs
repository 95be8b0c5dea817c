//! The `[log]` section.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the daemon says about its work. Message content and secrets are never logged, whatever is set here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// One line per event for people, or one JSON object per event for a collector.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, also per module: `info,packetboat::queue=debug`. The environment
    /// variable `RUST_LOG` wins.
    pub level: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For a collector.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}
