//! Every kind of adapter, listed once.

use std::sync::Arc;

use packetboat_adapter_api::adapter::Adapter;
use packetboat_adapter_api::ids::AdapterName;
use packetboat_telegram::{TelegramAdapter, TelegramError};

use crate::clock::SharedClock;
use crate::config::Config;

/// Why an adapter could not be made from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Telegram's section.
    #[error("adapters.telegram: {0}")]
    Telegram(#[from] TelegramError),
}

impl ConnectionError {
    /// Whose configuration it is.
    pub fn adapter(&self) -> &'static str {
        match self {
            Self::Telegram(_) => "telegram",
        }
    }
}

/// The configured adapters, not yet connected.
pub fn all(config: &Config, clock: &SharedClock) -> Result<Vec<Arc<dyn Adapter>>, ConnectionError> {
    let mut adapters: Vec<Arc<dyn Adapter>> = Vec::new();
    let public_url = config.server.public_url.as_deref();
    if let Some(section) = &config.adapters.telegram {
        let clock = Arc::clone(clock);
        let random = Arc::new(move || clock.random());
        adapters.push(Arc::new(TelegramAdapter::new(AdapterName::new("telegram"), section, public_url, random)?));
    }
    Ok(adapters)
}
