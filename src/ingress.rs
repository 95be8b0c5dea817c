//! The door: every message of every adapter comes in here, is made durable, and only then acknowledged.
//!
//! Invariant: `Ok` means that C1 is on disk. What is refused is said so to the adapter, which tells its platform; nothing is
//! dropped here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use packetboat_adapter_api::adapter::{Accepted, Intake};
use packetboat_adapter_api::envelope::Inbound;
use packetboat_adapter_api::error::Refused;

use crate::conversation::command::Command;
use crate::queue::lanes::LaneKey;
use crate::queue::{AcceptError, Queue};
use crate::store::StoreError;
use crate::telemetry::metrics::Metrics;

/// The longest message text, in bytes. A platform's own limit is far below.
pub const LONGEST_TEXT: usize = 256 * 1024;

/// Takes messages for the line.
pub struct Ingress {
    queue: Arc<Queue>,
    commands: bool,
    metrics: Arc<Metrics>,
}

impl Ingress {
    /// `commands`: `/stop` takes effect at once, ahead of its lane.
    pub fn new(queue: Arc<Queue>, commands: bool, metrics: Arc<Metrics>) -> Self {
        Self { queue, commands, metrics }
    }
}

#[async_trait]
impl Intake for Ingress {
    async fn accept(&self, inbound: Inbound) -> Result<Accepted, Refused> {
        let text = inbound.text();
        if inbound.parts.is_empty() {
            return Err(Refused::Denied { cause: "the message is empty".to_owned() });
        }
        if text.len() > LONGEST_TEXT {
            let cause = format!("the message is longer than {LONGEST_TEXT} bytes");
            return Err(Refused::Denied { cause });
        }
        let lane = LaneKey::of(&inbound.envelope);
        let accepted = self.queue.accept(inbound).await.map_err(|error| {
            self.metrics.refused.inc();
            refusal(error)
        })?;
        let span = tracing::debug_span!("accept", message.job = accepted.job, conversation = %lane.conversation());
        span.in_scope(
            || tracing::debug!(message.duplicate = accepted.duplicate, adapter.name = %lane.adapter(), "accepted"),
        );
        if self.commands && !accepted.duplicate && Command::parse(&text) == Some(Command::Stop) {
            // the command itself is durable; if this fails the lane goes on and says so when its turn comes
            if let Err(error) = self.queue.stop_lane(&lane, accepted.job).await {
                tracing::error!(%error, message.job = accepted.job, "could not withdraw what waits before /stop");
            }
        }
        Ok(accepted)
    }
}

fn refusal(error: AcceptError) -> Refused {
    let cause = error.to_string();
    let retry_after = match error {
        AcceptError::TooMany(_) => Duration::from_secs(5),
        AcceptError::Closed => Duration::from_secs(3),
        AcceptError::Store(StoreError::Full(_)) => Duration::from_secs(60),
        AcceptError::Store(_) => Duration::from_secs(15),
    };
    tracing::warn!(%cause, "a message was not taken; its platform keeps it");
    Refused::Busy { retry_after, cause }
}
