//! The durable line: accept (C1), lease, complete (C2), deliver (C3), and what operators do to it.
//!
//! Invariants:
//! - Memory holds the order (two [`Lanes`]: jobs and replies) and the pending count; the store holds everything else. Memory
//!   changes only after the store has committed, and is rebuilt from the store at start, at once: a lease does not outlive its process.
//! - Each commit is one batch: C1 job + dedupe key, C2 job + turns + reply in the outbox, C3 reply closed + receipt.
//! - The conservation law's counters are written in those same batches.
//! - All writes to one job happen under its lease, or by an operator who first takes the job from its lane.
//!
//! Not here: what a job means (`worker.rs`), how a reply is sent (`outbox.rs`), bytes (`records.rs`), disks (`store/`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use packetboat_adapter_api::adapter::Accepted;
use packetboat_adapter_api::envelope::Inbound;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::store::{Batch, Store, StoreError};

pub mod config;
pub mod delivery;
pub mod journal;
pub mod lanes;
pub mod lease;
mod open;
pub mod operate;
pub mod records;
pub mod retry;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;
pub mod view;
mod watch;

use config::DeliveryConfig;
use lanes::Lanes;
use records::{JobRecord, PlaceRecord};
use view::Totals;

pub use operate::OperateError;

/// The durable line.
pub struct Queue {
    store: Arc<dyn Store>,
    clock: SharedClock,
    config: DeliveryConfig,
    order: Mutex<Order>,
    /// A job became ready.
    work: Notify,
    /// A reply became ready.
    mail: Notify,
    watchers: watch::Watchers,
    next_job: AtomicU64,
    duplicates: AtomicU64,
    closed: AtomicBool,
    /// No more replies will come: who waits for one may go.
    last_reply: AtomicBool,
}

/// What memory holds.
#[derive(Debug, Default)]
struct Order {
    jobs: Lanes,
    replies: Lanes,
    totals: Totals,
    /// Cancels the work on a leased job.
    running: HashMap<u64, CancellationToken>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// As many wait as `delivery.max_pending` allows.
    #[error("{0} messages wait already (delivery.max_pending); try again later")]
    TooMany(u64),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Closed,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Queue {
    /// C1: makes the message durable. A message that was accepted before is a duplicate, and nothing is queued.
    pub async fn accept(&self, inbound: Inbound) -> Result<Accepted, AcceptError> {
        if self.is_closed() {
            return Err(AcceptError::Closed);
        }
        let pending = self.order().totals.pending;
        if pending >= self.config.max_pending {
            return Err(AcceptError::TooMany(pending));
        }
        let job = self.next_job.fetch_add(1, Ordering::Relaxed);
        let record = JobRecord::new(inbound, self.clock.now_ms());
        let lane = record.lane();
        let seen = records::seen_key(&record.inbound.envelope.adapter, &record.inbound.envelope.message);
        let batch = Batch { grows: true, ..Batch::default() }
            .absent(&seen)
            .put(&seen, records::seen_value(job))
            .put(records::job_key(records::JOBS, job), records::encode(&record))
            .put(records::job_key(records::WAITING, job), records::encode(&PlaceRecord::of(&record)))
            .put(records::LAST_JOB, records::seen_value(job))
            .add(records::ACCEPTED, 1);
        match self.store.commit(batch).await {
            Ok(()) => {}
            Err(StoreError::Exists(first)) => {
                self.duplicates.fetch_add(1, Ordering::Relaxed);
                return Ok(Accepted { job: records::job_of(&first).unwrap_or(0), duplicate: true });
            }
            Err(error) => return Err(error.into()),
        }
        {
            let mut order = self.order();
            order.totals.accepted += 1;
            order.totals.pending += 1;
            order.jobs.push(&lane, job);
        }
        self.work.notify_one();
        Ok(Accepted { job, duplicate: false })
    }

    /// Takes nothing new from now on; what is on the line stays there.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.work.notify_waiters();
    }

    /// Nobody works any more: replies that are ready still leave, then [`Queue::delivery`] ends.
    pub fn close_outbox(&self) {
        self.last_reply.store(true, Ordering::Release);
        self.mail.notify_waiters();
    }

    /// Nothing is leased any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Sleeps until the injected clock should show `at_ms`; for ever without one.
    fn until(&self, at_ms: Option<u64>) -> impl Future<Output = ()> + use<> {
        let wait = at_ms.map(|at_ms| Duration::from_millis(at_ms.saturating_sub(self.clock.now_ms())));
        async move {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        }
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, job: u64) -> Result<Option<JobRecord>, StoreError> {
        let Some(bytes) = self.store.get(&records::job_key(records::JOBS, job))? else { return Ok(None) };
        let damaged = |error| StoreError::Failed(format!("the record of job {job} is {error}"));
        records::decode(&bytes).map(Some).map_err(damaged)
    }

    /// A batch that ends the job in one of the counted ends.
    fn finish(&self, job: u64, record: &JobRecord, end: End) -> Batch {
        Batch::default()
            .put(records::job_key(records::JOBS, job), records::encode(record))
            .delete(records::job_key(records::WAITING, job))
            .delete(records::job_key(records::OUTBOX, job))
            .delete(records::job_key(records::NOTES, job))
            .put(records::finished_key(records::FINISHED, self.clock.now_ms(), job), [])
            .add(end.counter(), 1)
    }
}

/// Which term of the conservation law a job ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Delivered,
    Dead,
    Cancelled,
}

impl End {
    fn counter(self) -> &'static [u8] {
        match self {
            Self::Delivered => records::DELIVERED,
            Self::Dead => records::DEAD,
            Self::Cancelled => records::CANCELLED,
        }
    }

    fn count(self, totals: &mut Totals) {
        totals.pending = totals.pending.saturating_sub(1);
        match self {
            Self::Delivered => totals.delivered += 1,
            Self::Dead => totals.dead += 1,
            Self::Cancelled => totals.cancelled += 1,
        }
    }
}
