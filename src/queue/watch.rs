//! Waiting for one message to be answered, without asking again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use packetboat_adapter_api::ids::{AdapterName, MessageId};
use tokio::sync::Notify;

use super::view::Stage;
use super::{Queue, records};

/// Who waits for which job.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_job: Mutex<HashMap<u64, Arc<Notify>>>,
}

impl Watchers {
    fn watch(&self, job: u64) -> Arc<Notify> {
        let mut by_job = self.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_job.entry(job).or_default())
    }

    /// The job was answered, died or was withdrawn.
    pub(super) fn tell(&self, job: u64) {
        let waiting = self.by_job.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        if let Some(waiting) = waiting {
            waiting.notify_waiters();
        }
    }

    /// The last one who waits takes the entry away.
    fn unwatch(&self, job: u64) {
        let mut by_job = self.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        if by_job.get(&job).is_some_and(|waiting| Arc::strong_count(waiting) == 1) {
            by_job.remove(&job);
        }
    }
}

/// Cleans up also when the one who waits goes away.
struct Watching<'a> {
    watchers: &'a Watchers,
    job: u64,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.watchers.unwatch(self.job);
    }
}

impl Queue {
    /// Returns when the message is answered, dead or withdrawn, or when it is none of this queue's.
    pub async fn settled(&self, adapter: &AdapterName, message: &MessageId) {
        let seen = self.store.get(&records::seen_key(adapter, message));
        let Some(job) = seen.ok().flatten().and_then(|value| records::job_of(&value)) else { return };
        let _watching = Watching { watchers: &self.watchers, job };
        let watch = self.watchers.watch(job);
        // enabled before the state is looked at, so that nothing falls in between
        let told = watch.notified_owned();
        tokio::pin!(told);
        told.as_mut().enable();
        let state = self.load(job).ok().flatten().map(|record| record.state);
        if matches!(state, Some(Stage::Accepted | Stage::Leased | Stage::Retryable)) {
            told.await;
        }
    }
}
