//! `packetboat token …`: makes the tokens that clients sign in with, and ends them.
//!
//! Making one needs no daemon, only the data folder; ending one goes through the daemon when it runs, so that open
//! connections end at once.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::daemon::Daemon;
use super::error::CliError;
use super::time::{date, parse_span};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::security::scope::Scope;
use crate::security::tokens::{TokenError, Tokens};

/// Make and revoke tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is printed once and kept nowhere
    Generate {
        /// How long it lives: seconds, or for example 24h or 30d
        #[arg(long, default_value = "86400", value_parser = parse_span)]
        expiry: Duration,
        /// What it may do: chat, read, operate, admin, full_access
        #[arg(long, value_delimiter = ',', default_value = "chat", value_name = "SCOPE,…")]
        scope: Vec<Scope>,
        /// Who holds it: names the owner of its conversations
        #[arg(long, default_value = "owner", value_name = "NAME")]
        subject: String,
    },
    /// End a token at once
    Revoke {
        /// Printed when it was made
        id: String,
    },
}

impl TokenCommand {
    /// Does it.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let config = context.load()?.config;
        match self {
            Self::Generate { expiry, scope, subject } => {
                let issued = open(&config)?.issue(&subject, &scope, expiry.as_secs()).map_err(failed)?;
                context.out.show(&issued, |issued| issued.token.clone())?;
                if !context.out.json {
                    let until = date(issued.expires_at.saturating_mul(1000));
                    context.out.note(&format!("id {} for {subject}, valid until {until}", issued.id));
                }
                Ok(())
            }
            Self::Revoke { id } => revoke(context, &config, &id).await,
        }
    }
}

async fn revoke(context: &Context, config: &Config, id: &str) -> Result<(), CliError> {
    let socket = config.control_socket();
    if UnixStream::connect(&socket).is_ok() {
        Daemon::at(&socket)?.delete(&["api", "admin", "tokens", id]).await?;
    } else {
        open(config)?.revoke(id).map_err(failed)?;
    }
    context.out.show(&json!({ "id": id, "revoked": true }), |_| format!("token {id} is revoked"))
}

fn open(config: &Config) -> Result<Tokens, CliError> {
    Tokens::open(&config.token_folder(), Arc::new(SystemClock)).map_err(failed)
}

fn failed(error: TokenError) -> CliError {
    CliError::new(error.to_string(), "")
}
