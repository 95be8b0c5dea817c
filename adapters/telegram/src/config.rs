//! The `[adapters.telegram]` section.

use std::time::Duration;

use packetboat_adapter_api::secret::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Telegram bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelegramConfig {
    /// What @BotFather gave, by reference, for example `{ env = "TELEGRAM_TOKEN" }`.
    pub token: SecretRef,
    /// `poll`: ask Telegram (works behind any firewall). `webhook`: Telegram calls `server.public_url`/api/telegram.
    #[serde(default)]
    pub mode: Mode,
    /// webhook: what Telegram sends along so that nobody else can call; 1 to 256 of `A-Z a-z 0-9 _ -`.
    #[serde(default)]
    pub webhook_secret: Option<SecretRef>,
    /// Where the Bot API is: your own telegram-bot-api server or a proxy.
    #[serde(default = "default_api_url")]
    pub api_url: String,
    /// Numeric ids of the people and chats that may talk to the bot; empty = everybody.
    #[serde(default)]
    pub allow: Vec<i64>,
    /// In groups: answer when mentioned or replied to, answer all, or stay silent.
    #[serde(default)]
    pub groups: Groups,
    /// Show the answer while it is written.
    #[serde(default = "yes")]
    pub stream: bool,
    /// How long one long poll is held open, at most `50s`.
    #[serde(with = "humantime_serde", default = "default_poll")]
    #[schemars(with = "String")]
    pub poll_timeout: Duration,
}

/// How updates come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// We ask.
    #[default]
    Poll,
    /// Telegram calls.
    Webhook,
}

/// When the bot speaks in groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Groups {
    /// When mentioned, replied to, or given a command.
    #[default]
    Mention,
    /// Always.
    All,
    /// Never.
    Off,
}

fn default_api_url() -> String {
    "https://api.telegram.org".to_owned()
}

fn default_poll() -> Duration {
    Duration::from_secs(30)
}

fn yes() -> bool {
    true
}
