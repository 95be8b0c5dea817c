//! The `[security]` section.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much one client may ask, and how long its credentials last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// HTTP requests a second that one client address may make for long; more are refused (429) with a time to come back.
    pub requests_per_second: u32,
    /// Requests that one client address may make at once before that rate counts.
    pub burst: u32,
    /// How long a browser stays signed in after a one-time link.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub session_lifetime: Duration,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self { requests_per_second: 100, burst: 300, session_lifetime: Duration::from_secs(30 * 24 * 3600) }
    }
}
