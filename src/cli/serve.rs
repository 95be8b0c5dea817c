//! `packetboat serve`: the daemon. Everything that it is made of is put together in `app.rs`.

use clap::Args;

use super::error::CliError;
use super::{Context, large};
use crate::app::{self, ServeOptions};
use crate::telemetry;

/// Run the daemon.
#[derive(Debug, Args)]
pub struct Serve {
    /// Print the web chat's address with a link that signs in once
    #[arg(long)]
    login_link: bool,
}

impl Serve {
    /// Until it is told to stop.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        let loaded = context.load()?;
        loaded.check_secrets()?;
        telemetry::init(&loaded.config.log).map_err(|error| CliError::new(error.to_string(), ""))?;
        tracing::info!(config.path = %loaded.path.display(), version = env!("CARGO_PKG_VERSION"), "starting");
        let options = ServeOptions { print_login_link: self.login_link };
        let runtime = large()?;
        let result = runtime.block_on(app::serve(loaded.config, options));
        // whatever still blocks a thread (a model's step, a closed terminal) must not keep a stopped daemon alive
        runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        result.map_err(|error| CliError::new(error.to_string(), "`packetboat doctor` looks for the usual causes"))
    }
}
