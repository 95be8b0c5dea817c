//! The start: memory is rebuilt from the store, and everything that waits is ready at once.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::config::DeliveryConfig;
use super::records::{self, PlaceRecord};
use super::view::{Attempt, Stage, Step, Totals};
use super::{End, Order, Queue, watch};
use crate::clock::SharedClock;
use crate::store::{Batch, Entry, Store, StoreError, counter_value};

/// Records read at a time.
const PAGE: usize = 1024;

impl Queue {
    /// Opens the line on `store`. What was leased when the daemon died is ready again at once, with that attempt counted.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: SharedClock,
        config: DeliveryConfig,
    ) -> Result<Arc<Self>, StoreError> {
        let counter = |name: &[u8]| -> Result<u64, StoreError> {
            Ok(u64::try_from(counter_value(store.get(name)?.as_deref())).unwrap_or(0))
        };
        let totals = Totals {
            accepted: counter(records::ACCEPTED)?,
            delivered: counter(records::DELIVERED)?,
            dead: counter(records::DEAD)?,
            cancelled: counter(records::CANCELLED)?,
            pending: 0,
        };
        let last = store.last(records::JOBS)?.and_then(|(key, _)| records::job_of(&key)).unwrap_or(0);
        let noted = store.get(records::LAST_JOB)?.and_then(|value| records::job_of(&value)).unwrap_or(0);
        let queue = Arc::new(Self {
            store,
            clock,
            config,
            order: Mutex::new(Order { totals, ..Order::default() }),
            work: Notify::new(),
            mail: Notify::new(),
            watchers: watch::Watchers::default(),
            next_job: AtomicU64::new(last.max(noted) + 1),
            duplicates: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            last_reply: AtomicBool::new(false),
        });
        queue.read_places().await?;
        Ok(queue)
    }

    async fn read_places(&self) -> Result<(), StoreError> {
        let mut damaged = Vec::new();
        for table in [records::WAITING, records::OUTBOX] {
            for (key, value) in pages(self.store.as_ref(), table) {
                let Some(job) = records::job_of(&key) else { continue };
                let Ok(place) = records::decode::<PlaceRecord>(&value) else {
                    damaged.push(job);
                    continue;
                };
                if table == records::OUTBOX {
                    self.order().replies.push_due(&place.lane(), job, place.due_ms);
                } else if place.begun == 0 {
                    self.order().jobs.push_due(&place.lane(), job, place.due_ms);
                } else {
                    self.readmit(job, place).await?;
                }
                self.order().totals.pending += 1;
            }
        }
        for job in damaged {
            self.order().totals.pending += 1;
            self.set_aside(job).await?;
        }
        let mut order = self.order();
        // dead and gone jobs taken out by `readmit` are no longer pending
        order.totals.pending = (order.jobs.len() + order.replies.len()) as u64;
        Ok(())
    }

    /// A job that was being worked on when the daemon died: that was an attempt, and the last one for a message that kills.
    async fn readmit(&self, job: u64, mut place: PlaceRecord) -> Result<(), StoreError> {
        let Some(mut record) = self.load(job)? else { return self.set_aside(job).await };
        if !matches!(record.state, Stage::Accepted | Stage::Leased | Stage::Retryable) {
            // a hint that outlived its job
            return self.store.commit(Batch::default().delete(records::job_key(records::WAITING, job))).await;
        }
        let cause = "the daemon died during this attempt".to_owned();
        record.errors.push(Attempt { at_ms: self.clock.now_ms(), step: Step::Generate, error: cause });
        if super::retry::exhausted(&self.config, record.failed(Step::Generate)) {
            record.state = Stage::Dead;
            self.store.commit(self.finish(job, &record, End::Dead)).await?;
            self.order().totals.dead += 1;
            tracing::error!(job, "a message that was worked on at every crash is a dead letter now");
            return Ok(());
        }
        place.begun = 0;
        place.due_ms = 0;
        let batch = Batch::default()
            .put(records::job_key(records::JOBS, job), records::encode(&record))
            .put(records::job_key(records::WAITING, job), records::encode(&place));
        self.store.commit(batch).await?;
        self.order().jobs.push(&place.lane(), job);
        Ok(())
    }

    /// A damaged record can't be worked on: it is counted as dead and left where it is, for whoever can mend it.
    async fn set_aside(&self, job: u64) -> Result<(), StoreError> {
        tracing::error!(job, "a damaged record is set aside as dead; `packetboat queue verify` names it");
        let batch = Batch::default()
            .delete(records::job_key(records::WAITING, job))
            .delete(records::job_key(records::OUTBOX, job))
            .add(records::DEAD, 1);
        self.store.commit(batch).await?;
        self.order().totals.dead += 1;
        Ok(())
    }
}

/// A whole table, page by page. A failing read ends it: the next commit will say so.
pub(super) fn pages<'a>(store: &'a dyn Store, table: &'a [u8]) -> impl Iterator<Item = Entry> + 'a {
    let mut from = Some(table.to_vec());
    std::iter::from_fn(move || {
        let page = store.scan(table, from.as_ref()?, PAGE).ok()?;
        from = page.last().filter(|_| page.len() == PAGE).map(|(key, _)| [key.as_slice(), &[0]].concat());
        Some(page)
    })
    .flatten()
}
