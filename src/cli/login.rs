//! `packetboat login`: a link that signs a browser in, once, within a few minutes.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use super::daemon::Daemon;
use super::error::CliError;

/// Print a link that signs a browser in, once.
#[derive(Debug, Args)]
pub struct Login {}

#[derive(Debug, Serialize, Deserialize)]
struct Link {
    url: String,
}

impl Login {
    /// Asks the daemon.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let link: Link = Daemon::find(context)?.post_json("/api/admin/login-link", json!({})).await?;
        context.out.show(&link, |link| link.url.clone())
    }
}
