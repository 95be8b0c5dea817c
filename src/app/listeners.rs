//! The three doors: public, console, control socket.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use packetboat_adapter_api::adapter::{Adapter, Intake};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::line::{RunningLine, sampling};
use super::state::State;
use crate::clock::SharedClock;
use crate::completion::Completions;
use crate::config::Config;
use crate::http::bind::{self, Door};
use crate::http::gate::Perimeter;
use crate::http::line::Line;
use crate::http::serve::{Limits, Listener, serve};
use crate::http::services::{SamplingDefaults, Services};
use crate::http::{self, tls};
use crate::lifecycle::Lifecycle;
use crate::live::LiveHub;
use crate::security::limiter::Limiter;
use crate::security::login::LoginCodes;
use crate::security::tokens::Tokens;

/// After the line has drained, requests in progress have this long.
const GRACE: Duration = Duration::from_secs(5);

/// Bound, not yet served.
pub(super) struct Listeners {
    public: TcpListener,
    console: TcpListener,
    control: UnixListener,
}

/// Being served.
pub(super) struct Serving {
    servers: JoinSet<()>,
    stop: CancellationToken,
}

impl Listeners {
    /// Binds all three; the data folder is made if need be.
    pub(super) async fn open(config: &Config) -> Result<Self, AppError> {
        private_folder(&config.storage.path)
            .map_err(|source| AppError::System { what: "make the data folder (storage.path)", source })?;
        let control = bind::control(&config.control_socket()).await?;
        let public = Door::Public.open(&config.server).await?;
        let console = Door::Console.open(&config.server).await?;
        Ok(Self { public, console, control })
    }

    /// What the endpoints use.
    pub(super) fn services(
        &self,
        config: &Config,
        line: &RunningLine,
        state: Arc<State>,
        completions: Arc<Completions>,
        live: Arc<LiveHub>,
        clock: SharedClock,
    ) -> Result<Arc<Services>, AppError> {
        let webhooks = line.adapters.iter().filter(|adapter| adapter.webhook().is_some());
        let webhooks: HashMap<String, Arc<dyn Adapter>> =
            webhooks.map(|adapter| (adapter.name().to_string(), Arc::clone(adapter))).collect();
        let defaults = sampling(&config.model, completions.info().recommended);
        let stated = Arc::clone(&state);
        Ok(Arc::new(Services {
            intake: Arc::clone(&line.ingress) as Arc<dyn Intake>,
            line: Arc::clone(&line.queue) as Arc<dyn Line>,
            live,
            completions,
            tokens: Arc::new(Tokens::open(&config.token_folder(), Arc::clone(&clock))?),
            login: Arc::new(LoginCodes::new(Arc::clone(&clock))),
            status: Arc::new(move || stated.status()),
            metrics: Arc::new(move || state.metrics()),
            webhooks,
            run: clock.random(),
            clock,
            stopping: line.stopping(),
            base_url: self.base_url(config)?,
            max_body: config.server.max_body,
            session_lifetime: config.security.session_lifetime,
            sampling: SamplingDefaults {
                max_tokens: defaults.max_tokens,
                temperature: defaults.temperature,
                top_p: defaults.top_p,
                top_k: defaults.top_k,
            },
            request_timeout: config.model.request_timeout,
        }))
    }

    /// Serves until [`Serving::end`]: a draining daemon still says so.
    pub(super) fn serve(
        self,
        config: &Config,
        services: &Arc<Services>,
        life: &Lifecycle,
    ) -> Result<Serving, AppError> {
        let limiter = Arc::new(Limiter::new(config.security.requests_per_second, config.security.burst));
        let perimeter = |bound: SocketAddr| {
            let perimeter = Perimeter::new(&config.server, bound, Arc::clone(&limiter));
            perimeter.map(Arc::new).map_err(|error| AppError::Proxy(error.to_string()))
        };
        let public = http::public(services, perimeter(address(&self.public)?)?);
        let console = http::admin(services, perimeter(address(&self.console)?)?);
        let front = match &config.server.tls {
            Some(files) => Listener::Tls(self.public, tls::acceptor(files)?),
            None => Listener::Plain(self.public),
        };
        let limits = Limits { connections: Arc::new(Semaphore::new(config.server.max_connections)), grace: GRACE };
        // the operator must get in however full the front is
        let reserved = Limits { connections: Arc::new(Semaphore::new(256)), grace: GRACE };
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        servers.spawn(serve(front, public, limits, stop.clone()));
        servers.spawn(serve(Listener::Plain(self.console), console, reserved.clone(), stop.clone()));
        servers.spawn(serve(Listener::Control(self.control), http::control(services), reserved, stop.clone()));
        let hurry = (life.give_up.clone(), stop.clone());
        tokio::spawn(async move {
            hurry.0.cancelled().await;
            hurry.1.cancel();
        });
        Ok(Serving { servers, stop })
    }

    fn base_url(&self, config: &Config) -> Result<String, AppError> {
        if let Some(url) = &config.server.public_url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        let bound = address(&self.public)?;
        if bound.ip().is_unspecified() {
            return Ok(format!("{scheme}://127.0.0.1:{}", bound.port()));
        }
        Ok(format!("{scheme}://{bound}"))
    }
}

impl Serving {
    /// Ends connections.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        while self.servers.join_next().await.is_some() {}
    }
}

/// For the person who started the daemon by hand.
pub(super) fn print_link(link: &str) {
    let mut out = std::io::stdout().lock();
    // nobody may be reading; the daemon runs all the same
    let _ = writeln!(out, "\n  Open the web chat (this link signs you in once):\n\n    {link}\n")
        .and_then(|()| out.flush());
}

fn address(listener: &TcpListener) -> Result<SocketAddr, AppError> {
    listener.local_addr().map_err(|source| AppError::System { what: "ask for a listener's address", source })
}

fn private_folder(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
