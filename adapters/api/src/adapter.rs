//! The traits that a platform connection implements, and those that the daemon offers to it.
//!
//! The rule of every adapter: hand the message to [`Intake::accept`]; only when that has returned `Ok`
//! is the message durable, and only then may the platform be acknowledged.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::envelope::{Envelope, Inbound, Outbound, Receipt};
use crate::error::{JournalError, ListenError, Refused, SendError};
use crate::ids::AdapterName;

/// What the platform can do; the daemon adapts, the adapter never pretends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A repeated [`Adapter::send`] of one delivery id can't be seen twice (an idempotency key, a placeholder that is edited).
    pub idempotent_send: bool,
}

/// Proof of life of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not yet connected since the start.
    Starting,
    /// The platform answered within the time that this adapter considers alive.
    Up,
    /// It did not; the text says why and since when.
    Down(String),
}

/// One platform connection.
///
/// An implementer must not: acknowledge before [`Intake::accept`] returned `Ok`; buffer accepted messages without a bound;
/// sleep out a rate limit inside `send` (return [`SendError::RetryAfter`]); put content or secrets into errors or logs.
#[async_trait]
pub trait Adapter: Send + Sync + 'static {
    /// As configured; constant.
    fn name(&self) -> &AdapterName;

    /// Constant.
    fn capabilities(&self) -> Capabilities;

    /// Proof of life, cheap to ask.
    fn health(&self) -> Health;

    /// Receives until `stop` is cancelled, reconnecting by itself. Returns `Ok` after a stop.
    /// An adapter that only receives through [`Webhook`] registers itself if need be and waits for `stop`.
    async fn listen(&self, intake: &dyn Intake, stop: CancellationToken) -> Result<(), ListenError>;

    /// Delivers one reply. May be called again with the same delivery id after a crash or an error; what an earlier attempt
    /// recorded in the journal is there. Never called concurrently for one conversation.
    async fn send(&self, outbound: &Outbound, journal: &dyn Journal) -> Result<Receipt, SendError>;

    /// The platform's credentials work: for `adapters test` and `doctor`. Says who the bot is.
    async fn probe(&self) -> Result<String, ListenError>;

    /// Shows the answer while it is being written, if the platform can.
    fn live(&self) -> Option<&dyn Live> {
        None
    }

    /// Shows "is typing", if the platform can.
    fn typing(&self) -> Option<&dyn Typing> {
        None
    }

    /// Takes the platform's HTTP calls, if it makes any.
    fn webhook(&self) -> Option<&dyn Webhook> {
        None
    }
}

/// Optional power: the growing answer is shown before it is complete. A live view is never durable and may be lost.
#[async_trait]
pub trait Live: Send + Sync {
    /// The shortest time between two calls for one conversation that the platform's limits allow.
    fn interval(&self, to: &Envelope) -> Duration;

    /// Shows `text`, the whole answer so far. What must survive a crash (a placeholder's id) goes into the journal before
    /// any of the answer is shown. An error only skips this view.
    async fn show(&self, to: &Envelope, text: &str, journal: &dyn Journal) -> Result<(), SendError>;
}

/// Optional power: "is typing".
#[async_trait]
pub trait Typing: Send + Sync {
    /// How long one call is shown.
    fn lasts(&self) -> Duration;

    /// Shows it once.
    async fn typing(&self, to: &Envelope) -> Result<(), SendError>;
}

/// Optional power: the platform calls us by HTTP. The daemon caps the body's size before this.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// Verifies the call in the platform's own way (in constant time), takes its messages through `intake`, and answers 2xx only
    /// after each was accepted.
    async fn receive(&self, request: http::Request<Bytes>, intake: &dyn Intake) -> http::Response<Bytes>;
}

/// What became of an accepted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The reply's name to be.
    pub job: u64,
    /// It had been accepted before; nothing was queued.
    pub duplicate: bool,
}

/// The daemon's side: takes messages. When it returns `Ok` the message is on disk.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Commit C1.
    async fn accept(&self, inbound: Inbound) -> Result<Accepted, Refused>;
}

/// The daemon's side: a durable note per delivery, opaque to all but the adapter. Durable when `record` returns.
#[async_trait]
pub trait Journal: Send + Sync {
    /// What was recorded last, perhaps before a crash.
    fn read(&self) -> Option<String>;

    /// Replaces the note.
    async fn record(&self, note: &str) -> Result<(), JournalError>;
}
