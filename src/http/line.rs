//! What HTTP needs of the queue: a narrow trait, so that every endpoint is tested without a store.
//!
//! Not here: taking messages (that is `Intake`, the same as for every adapter).

use async_trait::async_trait;
use packetboat_adapter_api::ids::{AdapterName, MessageId};

use crate::queue::view::{JobDetail, JobSummary, MessageView, QueueStats, Stage, VerifyReport};
use crate::queue::{OperateError, Queue};
use crate::store::StoreError;

/// The durable line, seen from outside.
#[async_trait]
pub trait Line: Send + Sync + 'static {
    /// What became of a message.
    fn message(&self, adapter: &AdapterName, message: &MessageId) -> Result<Option<MessageView>, StoreError>;

    /// Returns when nothing more happens to the message until somebody intervenes.
    async fn settled(&self, adapter: &AdapterName, message: &MessageId);

    /// In numbers.
    fn stats(&self) -> QueueStats;

    /// Oldest first; no states = all.
    fn list(&self, states: &[Stage], after: u64, limit: usize) -> Result<Vec<JobSummary>, StoreError>;

    /// Everything about one.
    fn show(&self, job: u64) -> Result<Option<JobDetail>, StoreError>;

    /// A dead letter goes back on the line.
    async fn retry(&self, job: u64) -> Result<(), OperateError>;

    /// A pending or dead message is withdrawn.
    async fn discard(&self, job: u64) -> Result<(), OperateError>;

    /// Reads every record. Blocks for long.
    fn verify(&self) -> Result<VerifyReport, StoreError>;
}

#[async_trait]
impl Line for Queue {
    fn message(&self, adapter: &AdapterName, message: &MessageId) -> Result<Option<MessageView>, StoreError> {
        Self::message(self, adapter, message)
    }

    async fn settled(&self, adapter: &AdapterName, message: &MessageId) {
        Self::settled(self, adapter, message).await;
    }

    fn stats(&self) -> QueueStats {
        Self::stats(self)
    }

    fn list(&self, states: &[Stage], after: u64, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        Self::list(self, states, after, limit)
    }

    fn show(&self, job: u64) -> Result<Option<JobDetail>, StoreError> {
        Self::show(self, job)
    }

    async fn retry(&self, job: u64) -> Result<(), OperateError> {
        Self::retry(self, job).await
    }

    async fn discard(&self, job: u64) -> Result<(), OperateError> {
        Self::discard(self, job).await
    }

    fn verify(&self) -> Result<VerifyReport, StoreError> {
        Self::verify(self)
    }
}
