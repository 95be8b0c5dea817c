//! The configuration: one TOML file, overridden by `PACKETBOAT__SECTION__KEY` environment variables, checked as a whole.
//!
//! Invariants: each section's struct belongs to the component that reads it; an unknown key is an error, never ignored;
//! all problems are reported at once, each with its place and what to do; a secret is only ever a reference, and no error
//! repeats what stands where a reference should. Not here: what a key means (its struct says it), reading secrets for use
//! (`app.rs` does when it builds the component).
//!
//! [`search`] finds the file, [`document`] reads it and remembers where each key came from, [`keys`] checks it against the
//! sections' schemas, [`validate`] holds the rules between keys, [`example`] writes the documented example.

pub mod document;
pub mod error;
pub mod example;
mod fields;
pub mod keys;
pub mod paths;
pub mod search;
pub mod show;
pub mod validate;

use std::path::{Path, PathBuf};

use packetboat_adapter_api::secret::SecretRef;
use packetboat_telegram::config::TelegramConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conversation::config::ConversationConfig;
use crate::http::config::ServerConfig;
use crate::inference::config::ModelConfig;
use crate::queue::config::DeliveryConfig;
use crate::security::config::SecurityConfig;
use crate::store::config::StorageConfig;
use crate::telemetry::config::LogConfig;

use document::Document;
use error::{ConfigError, Problem};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the daemon listens.
    pub server: ServerConfig,
    /// Where messages are kept until they are answered.
    pub storage: StorageConfig,
    /// Which model answers, and how.
    pub model: ModelConfig,
    /// What the model is told and what it remembers.
    pub conversation: ConversationConfig,
    /// Retries of the model and of the platforms.
    pub delivery: DeliveryConfig,
    /// The chat platforms; a platform without a section is off.
    pub adapters: AdaptersConfig,
    /// How much one client may ask, and how long its credentials last.
    pub security: SecurityConfig,
    /// What the daemon says about its work.
    pub log: LogConfig,
}

/// The chat platforms; a platform without a section is off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptersConfig {
    /// A Telegram bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telegram: Option<TelegramConfig>,
}

impl Config {
    /// The daemon's control socket; who may open it owns the instance.
    pub fn control_socket(&self) -> PathBuf {
        self.storage.path.join("control.sock")
    }

    /// The signing key and the list of revoked tokens.
    pub fn token_folder(&self) -> PathBuf {
        self.storage.path.join("tokens")
    }

    /// Every secret that is referred to, with its key.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let telegram = self.adapters.telegram.as_ref();
        let candidates = [
            ("model.api_key", self.model.api_key.as_ref()),
            ("adapters.telegram.token", telegram.map(|section| &section.token)),
            ("adapters.telegram.webhook_secret", telegram.and_then(|section| section.webhook_secret.as_ref())),
        ];
        candidates.into_iter().filter_map(|(key, secret)| secret.map(|secret| (key, secret))).collect()
    }
}

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// Checked; relative paths start at the file's folder.
    pub config: Config,
    /// The file.
    pub path: PathBuf,
    document: Document,
}

impl Loaded {
    /// The secrets that can't be read, each with its key and place. References of the kind `command` are not run: such a
    /// command may be slow or ask somebody.
    pub fn unreadable_secrets(&self) -> Vec<Problem> {
        let references = self.config.secrets();
        let quick = references.into_iter().filter(|(_, secret)| !matches!(secret, SecretRef::Command(_)));
        let unreadable = quick.filter_map(|(key, secret)| secret.resolve().err().map(|error| (key, error)));
        let problems = unreadable.map(|(key, error)| Problem::at_key(key, error.to_string(), ""));
        problems.map(|problem| self.document.place(problem)).collect()
    }

    /// Fails when a secret can't be read; see [`Loaded::unreadable_secrets`].
    pub fn check_secrets(&self) -> Result<(), ConfigError> {
        ConfigError::when_any(&self.path, self.unreadable_secrets())
    }
}

/// Reads, overrides, checks. `path` is what `--config` said; without it the usual places are searched.
pub fn load(path: Option<&Path>) -> Result<Loaded, ConfigError> {
    // `vars` would panic on a variable that is not UTF-8; none of ours can be
    let readable =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_with(&search::find(path)?, &readable.collect::<Vec<_>>())
}

/// As [`load`], with the environment passed in.
pub fn load_with(path: &Path, environment: &[(String, String)]) -> Result<Loaded, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let (document, mut config) = parse(path, &text, environment)?;
    let broken = validate::problems(&config).into_iter().map(|problem| document.place(problem)).collect();
    ConfigError::when_any(path, broken)?;
    paths::start_at(&mut config, &paths::folder_of(path));
    Ok(Loaded { config, path: path.to_owned(), document })
}

/// Checks a text that is to become the file `path`, without the environment.
pub fn check(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let (document, config) = parse(path, text, &[])?;
    let broken = validate::problems(&config).into_iter().map(|problem| document.place(problem)).collect();
    ConfigError::when_any(path, broken)?;
    Ok(config)
}

fn parse(path: &Path, text: &str, environment: &[(String, String)]) -> Result<(Document, Config), ConfigError> {
    let failed = |problems| ConfigError::Problems { path: path.to_owned(), problems };
    let document = Document::read(text, environment).map_err(failed)?;
    let problems = keys::problems(document.merged());
    if !problems.is_empty() {
        return Err(failed(problems.into_iter().map(|problem| document.place(problem)).collect()));
    }
    let config = document.config().map_err(|problem| failed(vec![problem]))?;
    Ok((document, config))
}

#[cfg(test)]
mod tests;
