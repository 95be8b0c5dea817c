//! The `[conversation]` section.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the model is told and what it remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConversationConfig {
    /// Told to the model before every conversation; empty = nothing.
    pub system_prompt: String,
    /// What the daemon itself says (help, errors): `auto` follows the sender, else `en` or `zh`.
    pub language: Language,
    /// How many earlier messages (questions and answers together) the model sees at most.
    pub history: usize,
    /// `/start`, `/help`, `/new`, `/stop` and `/lang` are commands; off = they go to the model.
    pub commands: bool,
    /// A conversation that was quiet for this long starts anew; `0s` = never.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idle_reset: Duration,
}

/// The language of the daemon's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// As the sender writes.
    Auto,
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Default for ConversationConfig {
    fn default() -> Self {
        Self {
            system_prompt: String::new(),
            language: Language::Auto,
            history: 20,
            commands: true,
            idle_reset: Duration::ZERO,
        }
    }
}
