//! `packetboat config …`: what applies, whether it is right, and the documented example.

use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::Context;
use super::error::CliError;
use crate::config::{example, show};

/// Show and check the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print what applies: file, environment and defaults together; secrets stay references
    Show {
        /// Only this key or section, for example `model.path`
        key: Option<String>,
    },
    /// Check the file and the environment's overrides, and that the secrets can be read
    Validate,
    /// Print the documented example of every key
    Example,
}

impl ConfigCommand {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Show { key } => print_config(context, key.as_deref()),
            Self::Validate => validate(context),
            Self::Example => context.out.raw(&example::text()),
        }
    }
}

fn print_config(context: &Context, key: Option<&str>) -> Result<(), CliError> {
    let config = context.load()?.config;
    let failed = |error: &dyn std::fmt::Display| CliError::new(error.to_string(), "");
    let text = show::to_toml(&config).map_err(|error| failed(&error))?;
    if context.out.json {
        // by way of the TOML, whose floats are as a person wrote them
        let whole: Json = toml_edit::de::from_str(&text).map_err(|error| failed(&error))?;
        let pointer = key.map_or_else(String::new, |key| format!("/{}", key.replace('.', "/")));
        let value = whole.pointer(&pointer).ok_or_else(|| unset(key))?;
        return context.out.json(value);
    }
    let Some(key) = key else { return context.out.raw(&text) };
    let document: toml_edit::DocumentMut = text.parse().map_err(|error| failed(&error))?;
    let item = key.split('.').try_fold(document.as_item(), |item, part| item.get(part));
    let item = item.ok_or_else(|| unset(Some(key)))?;
    context.out.line(item.to_string().trim())
}

fn unset(key: Option<&str>) -> CliError {
    let message = format!("{} is not set, or there is no such key", key.unwrap_or("the configuration"));
    CliError::new(message, "`packetboat config example` lists every key")
}

fn validate(context: &Context) -> Result<(), CliError> {
    let loaded = context.load()?;
    loaded.check_secrets()?;
    let path = loaded.path.display().to_string();
    context.out.show(&json!({ "valid": true, "path": path }), |_| format!("{path} is valid"))
}
