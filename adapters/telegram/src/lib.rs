//! Telegram for packetboat: long polling or webhook in, placeholders that are edited out.
//!
//! - `wire` and `codec`: messages to envelopes. `markdown`, `table`, `split`: answers to what Telegram shows. All pure.
//! - `api`: calls. `verdict`: what a failed one means. `gate`: chats to leave alone. `backoff`, `health`.
//! - `poll`, `webhook`: listening. `note`, `send`: delivering by the placeholder-then-edit rule, live view included.
//!
//! teloxide gives the typed payloads; its dispatcher and listeners are not used, because they acknowledge before a message is
//! durable. Never here: content or the token in an error or a log.

mod api;
mod backoff;
mod codec;
pub mod config;
mod gate;
mod health;
mod markdown;
mod note;
mod poll;
mod send;
mod split;
mod table;
mod verdict;
mod webhook;
mod wire;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use packetboat_adapter_api::adapter::{Adapter, Capabilities, Health, Intake, Journal, Live, Typing, Webhook};
use packetboat_adapter_api::envelope::{Envelope, Inbound, Outbound, Receipt};
use packetboat_adapter_api::error::{ListenError, Refused, SendError};
use packetboat_adapter_api::ids::AdapterName;
use packetboat_adapter_api::secret::{Secret, SecretError};
use teloxide::payloads::GetMe;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use url::Url;

use api::{Api, CallError};
use backoff::{Backoff, pause};
use codec::{Identity, Ignored, Policy, Target};
use config::{Mode, TelegramConfig};
use gate::Gates;
use health::Pulse;
use send::Sender;
use webhook::Hook;
use wire::{Update, User};

/// 64 random bits at every call, fit for secrets; the daemon's clock has them.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A Telegram bot.
pub struct TelegramAdapter {
    shared: Shared,
    poll_timeout: Duration,
    hook: Option<Hook>,
    stream: bool,
}

/// What listening and sending share.
pub(crate) struct Shared {
    sender: Sender,
    pulse: Pulse,
    policy: Policy,
    me: OnceLock<Identity>,
    random: Random,
}

/// Why the configuration makes no bot.
#[derive(Debug, thiserror::Error)]
pub enum TelegramError {
    /// The token or the webhook's secret.
    #[error("adapters.telegram: {0}")]
    Secret(#[from] SecretError),
    /// `api_url`.
    #[error("adapters.telegram.api_url is no http(s) address ({0}); leave it out to use Telegram's own")]
    ApiUrl(String),
    /// `mode = "webhook"` without an address.
    #[error("adapters.telegram.mode is webhook, so server.public_url must be the https address that Telegram can call")]
    NoPublicUrl,
    /// `public_url`.
    #[error("server.public_url is no http(s) address ({0})")]
    PublicUrl(String),
    /// `webhook_secret`.
    #[error("adapters.telegram.webhook_secret must be 1 to 256 of A-Z a-z 0-9 _ -; leave it out to have one made")]
    WebhookSecret,
    /// `poll_timeout`.
    #[error("adapters.telegram.poll_timeout must be between 1s and 50s")]
    PollTimeout,
    /// TLS or the like.
    #[error("can't make an HTTP client: {0}")]
    Client(String),
}

impl TelegramAdapter {
    /// A bot as configured; reads its secrets, and calls nobody yet. `public_url` is `server.public_url`.
    pub fn new(
        name: AdapterName,
        config: &TelegramConfig,
        public_url: Option<&str>,
        random: Random,
    ) -> Result<Self, TelegramError> {
        let api_url = http_url(&config.api_url).map_err(TelegramError::ApiUrl)?;
        if !(Duration::from_secs(1)..=Duration::from_secs(50)).contains(&config.poll_timeout) {
            return Err(TelegramError::PollTimeout);
        }
        let api = Api::new(&api_url, config.token.resolve()?);
        let api = api.map_err(|error| TelegramError::Client(error.without_url().to_string()))?;
        let hook = match config.mode {
            Mode::Poll => None,
            Mode::Webhook => Some(hook(config, public_url.ok_or(TelegramError::NoPublicUrl)?, &random)?),
        };
        let silence = if hook.is_some() { webhook::CHECK * 3 } else { config.poll_timeout + poll::MARGIN * 2 };
        let policy = Policy { adapter: name, groups: config.groups, allow: config.allow.iter().copied().collect() };
        let sender = Sender { api, gates: Gates::default() };
        let shared = Shared { sender, pulse: Pulse::new(silence), policy, me: OnceLock::new(), random };
        Ok(Self { shared, poll_timeout: config.poll_timeout, hook, stream: config.stream })
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(format!("scheme {}", url.scheme())) }
}

fn hook(config: &TelegramConfig, public_url: &str, random: &Random) -> Result<Hook, TelegramError> {
    http_url(public_url).map_err(TelegramError::PublicUrl)?;
    let url =
        http_url(&format!("{}/api/telegram", public_url.trim_end_matches('/'))).map_err(TelegramError::PublicUrl)?;
    let secret = match &config.webhook_secret {
        Some(secret) => secret.resolve()?,
        None => Secret::new((0..4).map(|_| format!("{:016x}", random())).collect::<String>()),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if secret.expose().len() > 256 || !secret.expose().chars().all(allowed) {
        return Err(TelegramError::WebhookSecret);
    }
    Ok(Hook { url, secret })
}

impl Shared {
    fn identity(&self) -> Option<&Identity> {
        self.me.get()
    }

    async fn get_me(&self) -> Result<(Identity, bool), CallError> {
        let me: User = self.sender.api.call(&GetMe::new()).await?;
        let identity = Identity { id: me.id, username: me.username.unwrap_or_default() };
        Ok((identity, me.can_read_all_group_messages))
    }

    /// Learns who we are, for as long as that takes. `false` when stopped meanwhile.
    async fn introduce(&self, stop: &CancellationToken) -> Result<bool, ListenError> {
        let mut backoff = Backoff::new(self);
        while self.me.get().is_none() {
            let me = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                me = self.get_me() => me,
            };
            match me {
                Ok((identity, _)) => {
                    info!(bot.id = identity.id, bot.name = identity.username, "connected to Telegram");
                    let _ = self.me.set(identity);
                }
                Err(error) => {
                    self.pulse.trouble(error.to_string());
                    if let Some(fatal) = poll::fatal(&error) {
                        self.pulse.trouble(fatal.to_string());
                        return Err(fatal);
                    }
                    let asked = if let CallError::Refused { retry_after, .. } = &error { *retry_after } else { None };
                    let wait = asked.unwrap_or_else(|| backoff.next_wait());
                    warn!(cause = %error, wait.ms = wait.as_millis() as u64, "can't reach Telegram; will try again");
                    pause(wait, stop).await;
                }
            }
        }
        Ok(true)
    }

    /// The message in an update, if it is for us.
    fn read(&self, update: &Update) -> Option<Inbound> {
        let (message, me) = (update.message.as_ref()?, self.identity()?);
        let (chat, id) = (message.chat.id, update.update_id);
        match codec::read(message, me, &self.policy) {
            Ok(inbound) => Some(inbound),
            Err(why @ Ignored::NotAllowed) => {
                // said loudly: an operator looks for this id to put it into `allow`
                let sender = message.from.as_ref().map(|user| user.id);
                info!(update.id = id, chat.id = chat, sender.id = sender, "message ignored: {why}");
                None
            }
            Err(why) => {
                debug!(update.id = id, chat.id = chat, "message ignored: {why}");
                None
            }
        }
    }

    /// Commit C1, by the intake.
    async fn take(&self, inbound: Inbound, intake: &dyn Intake) -> Result<(), Refused> {
        let message = inbound.envelope.message.clone();
        match intake.accept(inbound).await {
            Ok(accepted) => {
                debug!(%message, job = accepted.job, duplicate = accepted.duplicate, "message accepted");
                Ok(())
            }
            Err(Refused::Denied { cause }) => {
                info!(%message, cause, "message denied");
                Err(Refused::Denied { cause })
            }
            Err(busy) => Err(busy),
        }
    }
}

#[async_trait]
impl Adapter for TelegramAdapter {
    fn name(&self) -> &AdapterName {
        &self.shared.policy.adapter
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { idempotent_send: true }
    }

    fn health(&self) -> Health {
        self.shared.pulse.health()
    }

    async fn listen(&self, intake: &dyn Intake, stop: CancellationToken) -> Result<(), ListenError> {
        if !self.shared.introduce(&stop).await? {
            return Ok(());
        }
        match &self.hook {
            Some(hook) => webhook::listen(&self.shared, hook, &stop).await,
            None => poll::listen(&self.shared, self.poll_timeout, intake, &stop).await,
        }
    }

    async fn send(&self, outbound: &Outbound, journal: &dyn Journal) -> Result<Receipt, SendError> {
        self.shared.sender.send(outbound, journal).await
    }

    async fn probe(&self) -> Result<String, ListenError> {
        let failed = |error: CallError| {
            let hint = "check the network, a proxy, and adapters.telegram.api_url".to_owned();
            poll::fatal(&error).unwrap_or_else(|| ListenError { cause: error.to_string(), hint, retry: true })
        };
        let (me, hears_all) = self.shared.get_me().await.map_err(failed)?;
        let groups = if hears_all {
            "hears everything in groups"
        } else {
            "privacy mode: hears only mentions, replies and commands in groups"
        };
        Ok(format!("@{} (id {}), {groups}", me.username, me.id))
    }

    fn live(&self) -> Option<&dyn Live> {
        self.stream.then_some(self)
    }

    fn typing(&self) -> Option<&dyn Typing> {
        Some(self)
    }

    fn webhook(&self) -> Option<&dyn Webhook> {
        self.hook.is_some().then_some(self)
    }
}

#[async_trait]
impl Live for TelegramAdapter {
    /// A chat takes about one message a second, a group twenty a minute.
    fn interval(&self, to: &Envelope) -> Duration {
        let group = Target::of(to).is_some_and(|target| target.is_group());
        Duration::from_secs(if group { 3 } else { 1 })
    }

    async fn show(&self, to: &Envelope, text: &str, journal: &dyn Journal) -> Result<(), SendError> {
        self.shared.sender.show(to, text, journal).await
    }
}

#[async_trait]
impl Typing for TelegramAdapter {
    fn lasts(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn typing(&self, to: &Envelope) -> Result<(), SendError> {
        self.shared.sender.typing(to).await
    }
}

#[async_trait]
impl Webhook for TelegramAdapter {
    async fn receive(&self, request: http::Request<Bytes>, intake: &dyn Intake) -> http::Response<Bytes> {
        match &self.hook {
            Some(hook) => webhook::receive(&self.shared, hook, request, intake).await,
            None => {
                let mut response = http::Response::new(Bytes::new());
                *response.status_mut() = http::StatusCode::NOT_FOUND;
                response
            }
        }
    }
}
