//! Placeholder facade; the founder is writing it. Signatures are fixed.
use std::sync::Arc;

use packetboat_adapter_api::adapter::Accepted;
use packetboat_adapter_api::envelope::Inbound;
use packetboat_adapter_api::ids::{AdapterName, MessageId};

use crate::clock::SharedClock;
use crate::store::{Store, StoreError};

pub mod config;
pub mod view;

use view::{JobDetail, JobSummary, MessageView, QueueStats, Stage, VerifyReport};

/// The durable line.
pub struct Queue {}

/// Why an operator's command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// No such job.
    #[error("there is no job {0}")]
    NotFound(u64),
    /// It is not in a state in which that makes sense.
    #[error("job {job} is {state:?}: {hint}")]
    Conflict {
        /// Which.
        job: u64,
        /// What it is.
        state: Stage,
        /// What to do instead.
        hint: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[allow(missing_docs, clippy::todo, unused_variables, reason = "placeholder")]
impl Queue {
    pub fn open(store: Arc<dyn Store>, clock: SharedClock) -> Result<Arc<Self>, StoreError> {
        todo!()
    }
    pub async fn accept(&self, inbound: Inbound) -> Result<Accepted, StoreError> {
        todo!()
    }
    /// What became of a message, by the adapter's name and the platform's id.
    pub fn message(&self, adapter: &AdapterName, message: &MessageId) -> Result<Option<MessageView>, StoreError> {
        todo!()
    }
    /// Returns when the message is answered, dead or cancelled (check with `message`), or was so already.
    pub async fn settled(&self, adapter: &AdapterName, message: &MessageId) {
        todo!()
    }
    pub fn stats(&self) -> QueueStats {
        todo!()
    }
    /// Oldest first. `states` empty = all.
    pub fn list(&self, states: &[Stage], after_job: u64, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        todo!()
    }
    pub fn show(&self, job: u64) -> Result<Option<JobDetail>, StoreError> {
        todo!()
    }
    /// A dead letter goes back on the line.
    pub async fn retry(&self, job: u64) -> Result<(), OperateError> {
        todo!()
    }
    /// A pending or dead message is withdrawn (counted as cancelled).
    pub async fn discard(&self, job: u64) -> Result<(), OperateError> {
        todo!()
    }
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        todo!()
    }
}
