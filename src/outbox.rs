//! Replies on their way out: in order per conversation, side by side otherwise, retried until a Receipt (C3) or a dead letter.
//!
//! Invariant: a platform that hangs or fails delays its own replies only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use packetboat_adapter_api::adapter::Adapter;
use packetboat_adapter_api::envelope::Receipt;
use packetboat_adapter_api::error::SendError;
use packetboat_adapter_api::ids::AdapterName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use crate::adapters::Adapters;
use crate::queue::Queue;
use crate::queue::delivery::Delivery;
use crate::queue::lease::Fate;
use crate::telemetry::metrics::Metrics;
use crate::views::Views;

/// Replies on their way to one platform at the same time.
const PER_ADAPTER: usize = 64;
/// A reply whose platform has all its places taken looks again after this long.
const TURN: Duration = Duration::from_millis(50);
/// A reply whose adapter is no longer configured waits this long, for as long as it takes.
const UNCONFIGURED: Duration = Duration::from_secs(60);

/// Delivers replies.
pub struct Outbox {
    queue: Arc<Queue>,
    adapters: Adapters,
    views: Arc<Views>,
    timeout: Duration,
    metrics: Arc<Metrics>,
    places: Mutex<HashMap<AdapterName, Arc<Semaphore>>>,
}

impl Outbox {
    /// One call to a platform may take `timeout`.
    pub fn new(
        queue: Arc<Queue>,
        adapters: Adapters,
        views: Arc<Views>,
        timeout: Duration,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self { queue, adapters, views, timeout, metrics, places: Mutex::default() })
    }

    /// Delivers until the line is closed and no reply is ready.
    pub async fn run(self: Arc<Self>) {
        let mut sending = JoinSet::new();
        while let Some(delivery) = self.queue.delivery().await {
            while sending.try_join_next().is_some() {}
            let Some(place) = self.place(&delivery.envelope().adapter) else {
                delivery.postpone(TURN);
                continue;
            };
            let outbox = Arc::clone(&self);
            let span = tracing::info_span!("deliver", message.job = delivery.job(), adapter.name = %delivery.envelope().adapter);
            sending.spawn(async move { outbox.deliver(delivery, place).await }.instrument(span));
        }
        while sending.join_next().await.is_some() {}
    }

    fn place(&self, adapter: &AdapterName) -> Option<OwnedSemaphorePermit> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places.entry(adapter.clone()).or_insert_with(|| Arc::new(Semaphore::new(PER_ADAPTER)));
        Arc::clone(places).try_acquire_owned().ok()
    }

    async fn deliver(&self, delivery: Delivery, _place: OwnedSemaphorePermit) {
        let outcome = match self.adapters.get(&delivery.envelope().adapter) {
            Some(adapter) => self.send(adapter.as_ref(), &delivery).await,
            None => Err(SendError::RetryAfter {
                wait: UNCONFIGURED,
                cause: "its adapter is not configured any more; add it again or discard the message".to_owned(),
            }),
        };
        self.metrics.delivery(delivery.envelope().adapter.as_str(), label(&outcome));
        let written = match outcome {
            Ok(receipt) => delivery.delivered(receipt).await.map(|()| tracing::info!("delivered")),
            Err(error) => {
                tracing::warn!(%error, "a reply was not delivered");
                delivery.failed(error).await.map(|fate| match fate {
                    Fate::Again(wait) => tracing::debug!(wait_ms = wait.as_millis() as u64, "again later"),
                    Fate::Dead => tracing::error!("the reply is a dead letter; `packetboat dead list` shows it"),
                })
            }
        };
        if let Err(error) = written {
            tracing::error!(%error, "what became of a reply could not be written; it goes on later");
        }
    }

    async fn send(&self, adapter: &dyn Adapter, delivery: &Delivery) -> Result<Receipt, SendError> {
        self.views.close(delivery.job()).await;
        let note = delivery.note();
        let outbound = delivery.outbound();
        match timeout(self.timeout, adapter.send(&outbound, &note)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let cause = format!("no answer within {} s (delivery.timeout)", self.timeout.as_secs());
                Err(if adapter.capabilities().idempotent_send {
                    SendError::Retry { cause }
                } else {
                    SendError::Unknown { cause }
                })
            }
        }
    }
}

fn label(outcome: &Result<Receipt, SendError>) -> &'static str {
    match outcome {
        Ok(_) => "delivered",
        Err(SendError::Retry { .. }) => "retry",
        Err(SendError::RetryAfter { .. }) => "retry_after",
        Err(SendError::Reject { .. }) => "reject",
        Err(SendError::Unknown { .. }) => "unknown",
    }
}
