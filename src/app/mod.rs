//! The composition root: the only place that names concrete adapters, stores and generators.
//!
//! A start, in order: store · model · adapters · line · listeners · "ready" · adapters listen. A stop is `lifecycle.rs`'s.

pub mod connections;
pub mod line;
#[cfg(test)]
mod line_tests;
mod listeners;
pub mod state;

use std::sync::Arc;

use packetboat_adapter_api::adapter::Adapter;
use packetboat_adapter_api::error::ListenError;

use crate::clock::{SharedClock, SystemClock};
use crate::completion::Completions;
use crate::config::Config;
use crate::http::adapter::HttpAdapter;
use crate::http::admin::login_link;
use crate::http::bind::BindError;
use crate::http::tls::TlsError;
use crate::inference::load_error::LoadError;
use crate::inference::{self, Generator};
use crate::lifecycle::{self, Lifecycle};
use crate::live::LiveHub;
use crate::security::tokens::TokenError;
use crate::store::sled::SledStore;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;

use connections::ConnectionError;
use line::{Parts, RunningLine};
use listeners::Listeners;

/// How the daemon is started.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServeOptions {
    /// Print the web chat's address with a one-time link when it is ready.
    pub print_login_link: bool,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// HTTPS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The signing key.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// An adapter.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Trusted proxies.
    #[error("server.trusted_proxies: {0}")]
    Proxy(String),
    /// The system.
    #[error("can't {what}: {source}; check the system's limits")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
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
pub async fn serve(config: Config, options: ServeOptions) -> Result<(), AppError> {
    let life = Lifecycle::default();
    life.watch_signals().map_err(|source| AppError::System { what: "watch for signals", source })?;
    let clock: SharedClock = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::default());
    // before the store: a second daemon on this folder is told so by the first one's socket
    let listeners = Listeners::open(&config).await?;
    let store = open_store(&config, &metrics)?;
    let generator = load_model(&config, &clock).await?;
    let completions = Arc::new(Completions::new(Arc::clone(&generator), config.model.max_concurrent));
    let live = Arc::new(LiveHub::default());
    let web = Arc::new(HttpAdapter::new(Arc::clone(&live)));
    let mut adapters = connections::all(&config, &clock)?;
    adapters.push(Arc::clone(&web) as Arc<dyn Adapter>);
    let parts = Parts {
        store,
        generator,
        adapters,
        web: web.name().clone(),
        live: Arc::clone(&live),
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        life: life.clone(),
    };
    let line = RunningLine::start(&config, parts).await?;
    let state = state::State::new(&line, &completions, &metrics, &clock, &life);
    let services = listeners.services(&config, &line, state, completions, live, clock.clone())?;
    let link = options.print_login_link.then(|| login_link::link(&services.base_url, &services.login));
    let serving = listeners.serve(&config, &services, &life)?;
    lifecycle::ready("answering");
    tracing::info!(server.url = %services.base_url, "ready");
    if let Some(link) = link {
        listeners::print_link(&link);
    }
    line.listen(&config.delivery, &clock);
    let watchdog = tokio::spawn(lifecycle::watchdog(line.liveness(), life.give_up.clone()));
    life.stopping.cancelled().await;
    line.drain().await;
    watchdog.abort();
    serving.end().await;
    Ok(())
}

/// Asks every configured platform whether our credentials work.
pub async fn probe(config: &Config) -> Vec<Probe> {
    let clock: SharedClock = Arc::new(SystemClock);
    let adapters = match connections::all(config, &clock) {
        Ok(adapters) => adapters,
        Err(error) => {
            let hint = "mend its section of the configuration".to_owned();
            let result = Err(ListenError { cause: error.to_string(), hint, retry: false });
            return vec![Probe { adapter: error.adapter().to_owned(), result }];
        }
    };
    let probes = adapters
        .iter()
        .map(|adapter| async move { Probe { adapter: adapter.name().to_string(), result: adapter.probe().await } });
    futures::future::join_all(probes).await
}

fn open_store(config: &Config, metrics: &Arc<Metrics>) -> Result<Arc<dyn Store>, StoreError> {
    let folder = config.storage.path.join("queue");
    Ok(Arc::new(SledStore::open(&folder, config.storage.max_disk, Arc::clone(metrics))?))
}

/// Loading blocks for as long as the files take to read.
async fn load_model(config: &Config, clock: &SharedClock) -> Result<Arc<dyn Generator>, AppError> {
    let (model, clock) = (config.model.clone(), Arc::clone(clock));
    let loading = tokio::task::spawn_blocking(move || inference::load(&model, clock));
    let source = |error: tokio::task::JoinError| AppError::System {
        what: "load the model",
        source: std::io::Error::other(error.to_string()),
    };
    Ok(loading.await.map_err(source)??)
}
