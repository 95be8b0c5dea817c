//! The `[delivery]` section: how often, how long, and what when nobody can tell.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Retries of the model and of the platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Failed attempts (of the model, and again of the platform) before a message becomes a dead letter. A wait that a
    /// platform asked for is no attempt.
    pub max_attempts: u32,
    /// The first wait between attempts; it doubles each time up to `max_backoff`, and each wait is a random part of it.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub backoff: Duration,
    /// The longest wait between attempts.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_backoff: Duration,
    /// When nobody can tell whether a reply arrived: `resend` it (perhaps twice) or `hold` it as a dead letter (perhaps never).
    pub unknown: UnknownPolicy,
    /// One call to a platform may take this long.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Messages that may wait on the line; more are refused (503) until it is shorter.
    pub max_pending: u64,
}

/// What to do with a reply of unknown fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownPolicy {
    /// Send again: at least once.
    Resend,
    /// Keep as a dead letter: at most once.
    Hold,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(300),
            unknown: UnknownPolicy::Resend,
            timeout: Duration::from_secs(30),
            max_pending: 1_000_000,
        }
    }
}
