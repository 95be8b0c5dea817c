//! Everything that an endpoint may use, in one struct that `app/` fills.
//!
//! Not here: routes and the order of the checks before them (`mod.rs`, `gate.rs`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use packetboat_adapter_api::adapter::{Adapter, Intake};
use tokio_util::sync::CancellationToken;

use super::line::Line;
use crate::clock::SharedClock;
use crate::completion::Completions;
use crate::live::LiveHub;
use crate::security::login::LoginCodes;
use crate::security::tokens::Tokens;
use crate::status::Status;

/// Every endpoint's state.
pub type Shared = Arc<Services>;

/// How the model answers when a request doesn't say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingDefaults {
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// 0 = always the likeliest token.
    pub temperature: f32,
    /// 1 = all.
    pub top_p: f32,
    /// 0 = all.
    pub top_k: u32,
}

/// Everything that an endpoint may use.
pub struct Services {
    /// Takes messages (C1).
    pub intake: Arc<dyn Intake>,
    /// Tells what became of them.
    pub line: Arc<dyn Line>,
    /// Tokens and replies as they come.
    pub live: Arc<LiveHub>,
    /// The model without the line, for `/v1`.
    pub completions: Arc<Completions>,
    /// Bearers.
    pub tokens: Arc<Tokens>,
    /// One-time sign-in codes.
    pub login: Arc<LoginCodes>,
    /// The daemon's state; cheap, must not block.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// Every metric as Prometheus text; must not block.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Adapters that platforms call, by the name in `/api/NAME`.
    pub webhooks: HashMap<String, Arc<dyn Adapter>>,
    /// Stamps and ids.
    pub clock: SharedClock,
    /// Cancelled when the daemon stops taking new work: streams end, so that connections can.
    pub stopping: CancellationToken,
    /// How a browser reaches the public listener, without a slash at the end.
    pub base_url: String,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// How long a browser stays signed in.
    pub session_lifetime: Duration,
    /// For `/v1` requests that don't say.
    pub sampling: SamplingDefaults,
    /// An answer under `/v1` that takes longer ends with what was said so far.
    pub request_timeout: Duration,
    /// Names this run of the daemon in event ids (any number that differs from the last run's).
    pub run: u64,
}
