//! The durable note that an adapter keeps about one delivery (a placeholder's id, say). Opaque here.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use packetboat_adapter_api::adapter::Journal;
use packetboat_adapter_api::error::JournalError;

use super::records;
use crate::store::{Batch, Store};

/// The note of one job's delivery. It goes when the delivery is closed.
pub struct Note {
    store: Arc<dyn Store>,
    key: Vec<u8>,
    text: Mutex<Option<String>>,
}

impl Note {
    pub(super) fn open(store: Arc<dyn Store>, job: u64) -> Self {
        let key = records::job_key(records::NOTES, job);
        let stored = store.get(&key).ok().flatten();
        let text = stored.and_then(|bytes| records::decode(&bytes).ok());
        Self { store, key, text: Mutex::new(text) }
    }
}

#[async_trait]
impl Journal for Note {
    fn read(&self) -> Option<String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn record(&self, note: &str) -> Result<(), JournalError> {
        let batch = Batch::default().put(&self.key, records::encode(&note));
        self.store.commit(batch).await.map_err(|error| JournalError(error.to_string()))?;
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = Some(note.to_owned());
        Ok(())
    }
}
