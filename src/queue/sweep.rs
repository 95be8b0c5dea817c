//! What is finished is kept for a while, then removed: the disk does not grow for ever.

use std::time::Duration;

use super::records::{self, JobRecord};
use super::view::Stage;
use super::{Queue, open};
use crate::store::{Batch, StoreError};

/// Dedupe keys outlive the longest replay of any platform (webhooks are repeated for 72 hours).
const REMEMBER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Jobs removed by one call.
const AT_ONCE: usize = 512;

impl Queue {
    /// Removes the content of what was finished longer than `keep` ago, and later its skeleton; dead letters stay. Says how many
    /// jobs were touched; call again while it is not 0.
    pub async fn sweep(&self, keep: Duration) -> Result<usize, StoreError> {
        let emptied = self.sweep_table(records::FINISHED, keep).await?;
        let forgotten = self.sweep_table(records::EMPTIED, keep.max(REMEMBER)).await?;
        Ok(emptied + forgotten)
    }

    async fn sweep_table(&self, table: &[u8], age: Duration) -> Result<usize, StoreError> {
        let before_ms = self.clock.now_ms().saturating_sub(age.as_millis() as u64);
        let mut batch = Batch::default();
        let mut swept = 0;
        for (key, _) in open::pages(self.store.as_ref(), table) {
            let Some((at_ms, job)) = records::finished_of(&key) else { continue };
            if at_ms >= before_ms || swept == AT_ONCE {
                break;
            }
            batch = batch.delete(&key);
            swept += 1;
            batch = match self.load(job)? {
                // retried or dead: whoever ends it writes a new key
                Some(record) if !matches!(record.state, Stage::Delivered | Stage::Cancelled) => batch,
                Some(record) if table == records::FINISHED => {
                    empty(batch, job, record).put(records::finished_key(records::EMPTIED, at_ms, job), [])
                }
                Some(record) => forget(batch, job, &record),
                None => batch,
            };
        }
        if !batch.writes.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(swept)
    }
}

fn forget(batch: Batch, job: u64, record: &JobRecord) -> Batch {
    let envelope = &record.inbound.envelope;
    batch.delete(records::job_key(records::JOBS, job)).delete(records::seen_key(&envelope.adapter, &envelope.message))
}

/// Content goes, the skeleton that dedupe needs stays.
fn empty(batch: Batch, job: u64, mut record: JobRecord) -> Batch {
    record.inbound.parts.clear();
    record.reply = None;
    batch.put(records::job_key(records::JOBS, job), records::encode(&record))
}
