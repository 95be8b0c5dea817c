//! Placeholder of the composition root; the founder writes it. Signatures are what `cli` calls.

use packetboat_adapter_api::error::ListenError;

use crate::config::Config;

/// How the daemon is started.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServeOptions {
    /// Print the web chat's address with a one-time link when it is ready.
    pub print_login_link: bool,
}

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Placeholder.
    #[error("the daemon is not built into this program yet")]
    Unfinished,
}

/// One platform connection, asked whether its credentials work.
#[derive(Debug)]
pub struct Probe {
    /// As configured.
    pub adapter: String,
    /// Who the bot is, or why not.
    pub result: Result<String, ListenError>,
}

/// Runs the daemon until it is told to stop.
pub async fn serve(_config: Config, _options: ServeOptions) -> Result<(), AppError> {
    Err(AppError::Unfinished)
}

/// Asks every configured platform whether our credentials work.
pub async fn probe(_config: &Config) -> Vec<Probe> {
    Vec::new()
}
