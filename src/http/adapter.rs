//! HTTP as an adapter: the reply is durable in the queue already, so delivering it means showing it to whoever looks on.
//!
//! Invariant: `send` can't fail and may be repeated (who sees a reply twice sees the same message id twice). Not here:
//! receiving, which is `public/message_post.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use packetboat_adapter_api::adapter::{Adapter, Capabilities, Health, Intake, Journal};
use packetboat_adapter_api::envelope::{Outbound, Receipt};
use packetboat_adapter_api::error::{ListenError, SendError};
use packetboat_adapter_api::ids::AdapterName;
use tokio_util::sync::CancellationToken;

use super::names;
use crate::live::{LiveEvent, LiveHub};

/// The connection to web pages and HTTP clients.
pub struct HttpAdapter {
    name: AdapterName,
    live: Arc<LiveHub>,
}

impl HttpAdapter {
    /// Shows replies through `live`.
    pub fn new(live: Arc<LiveHub>) -> Self {
        Self { name: names::adapter(), live }
    }
}

#[async_trait]
impl Adapter for HttpAdapter {
    fn name(&self) -> &AdapterName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { idempotent_send: true }
    }

    fn health(&self) -> Health {
        Health::Up
    }

    async fn listen(&self, _: &dyn Intake, stop: CancellationToken) -> Result<(), ListenError> {
        stop.cancelled().await;
        Ok(())
    }

    async fn send(&self, outbound: &Outbound, _: &dyn Journal) -> Result<Receipt, SendError> {
        let lane = (self.name.clone(), outbound.envelope.conversation.clone());
        let message = outbound.envelope.message.as_str().to_owned();
        self.live.publish(&lane, LiveEvent::Reply { message, text: outbound.text() });
        Ok(Receipt(format!("{}:{}", names::ADAPTER, outbound.delivery)))
    }

    async fn probe(&self) -> Result<String, ListenError> {
        Ok("the web chat and the HTTP API of this daemon".to_owned())
    }
}

#[cfg(test)]
mod tests;
