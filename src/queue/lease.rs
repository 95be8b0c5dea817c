//! A lease on a job: the exclusive, expiring right to answer one message. Ends in C2, or the job goes on later.

use std::sync::Arc;
use std::time::Duration;

use packetboat_adapter_api::envelope::Inbound;
use tokio_util::sync::CancellationToken;

use super::lanes::{Grant, LaneKey};
use super::records::{self, JobRecord, PlaceRecord};
use super::view::{Attempt, Reply, Stage, Step};
use super::{End, Queue, retry};
use crate::store::{Batch, StoreError, Write};

/// A lease that is not extended ends after this long; the worker extends it three times as often.
pub const LEASE: Duration = Duration::from_secs(60);

/// Why the outcome of some work was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// It expired or the job was withdrawn: somebody else has it now.
    #[error("the lease was lost")]
    Lost,
    /// The store failed; the job goes on later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a job after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Again, after this long.
    Again(Duration),
    /// It is a dead letter.
    Dead,
}

/// The right to work on one job. Dropped = not done: the job is ready again after a backoff.
pub struct Lease {
    queue: Arc<Queue>,
    grant: Grant,
    record: JobRecord,
    cancel: CancellationToken,
    settled: bool,
}

impl Queue {
    /// The next job, when there is one; `None` when the line is closed.
    pub async fn lease(self: &Arc<Self>) -> Option<Lease> {
        loop {
            let work = self.work.notified();
            tokio::pin!(work);
            work.as_mut().enable();
            if self.is_closed() {
                return None;
            }
            if let Some(lease) = self.try_lease() {
                // others may be ready too
                self.work.notify_one();
                return Some(lease);
            }
            let timer = self.until(self.order().jobs.next_timer());
            tokio::select! {
                () = work => {}
                () = timer => {}
            }
        }
    }

    /// The next job, if one is ready now.
    pub fn try_lease(self: &Arc<Self>) -> Option<Lease> {
        let now_ms = self.clock.now_ms();
        self.order().jobs.tick(now_ms);
        loop {
            let grant = self.order().jobs.lease(now_ms + LEASE.as_millis() as u64)?;
            match self.load(grant.id) {
                Ok(Some(record)) => {
                    let Some(cancel) = self.begin(&grant, &record) else { continue };
                    return Some(Lease { queue: Arc::clone(self), grant, record, cancel, settled: false });
                }
                outcome => {
                    tracing::error!(job = grant.id, error = ?outcome.err(), "a job can't be read; it is left for `queue verify`");
                    self.order().jobs.delay(&grant, u64::MAX - 1);
                }
            }
        }
    }
}

impl Queue {
    /// Notes that an attempt begins, so that a crash during it counts. `None`: the job was withdrawn in the meantime.
    fn begin(&self, grant: &Grant, record: &JobRecord) -> Option<CancellationToken> {
        let begun = u64::from(record.failed(Step::Generate)) + 1;
        let place = PlaceRecord { begun, ..PlaceRecord::of(record) };
        let cancel = CancellationToken::new();
        let mut order = self.order();
        if !order.jobs.holds(grant) {
            return None;
        }
        // posted under the lock: whoever withdraws the job later also writes later
        self.store.post(Batch::default().put(records::job_key(records::WAITING, grant.id), records::encode(&place)));
        order.running.insert(grant.id, cancel.clone());
        Some(cancel)
    }
}

impl Lease {
    /// The job's number, which names its reply too.
    pub fn job(&self) -> u64 {
        self.grant.id
    }

    /// Its lane.
    pub fn lane(&self) -> &LaneKey {
        &self.grant.lane
    }

    /// The message.
    pub fn inbound(&self) -> &Inbound {
        &self.record.inbound
    }

    /// Failed attempts so far.
    pub fn failed(&self) -> u32 {
        self.record.failed(Step::Generate)
    }

    /// Cancelled when the sender or an operator wants the work to end.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Keeps the lease for another [`LEASE`]. `false`: it was lost, stop working.
    pub fn extend(&self) -> bool {
        let until = self.queue.clock.now_ms() + LEASE.as_millis() as u64;
        self.queue.order().jobs.extend(&self.grant, until)
    }

    /// C2: the reply is in the outbox, the conversation's `turns` are written, the model never runs again for this.
    pub async fn complete(mut self, reply: String, turns: Vec<Write>) -> Result<(), LeaseError> {
        self.seal()?;
        self.record.state = Stage::Completed;
        self.record.reply = Some(Reply { text: reply });
        let job = self.grant.id;
        let mut batch = Batch::default()
            .put(records::job_key(records::JOBS, job), records::encode(&self.record))
            .delete(records::job_key(records::WAITING, job))
            .put(records::job_key(records::OUTBOX, job), records::encode(&PlaceRecord::of(&self.record)));
        batch.writes.extend(turns);
        self.queue.store.commit(batch).await?;
        self.settled = true;
        {
            let mut order = self.queue.order();
            order.jobs.done(&self.grant);
            order.replies.push(&self.grant.lane, job);
        }
        self.queue.work.notify_one();
        self.queue.mail.notify_one();
        self.queue.watchers.tell(job);
        Ok(())
    }

    /// The attempt failed: again after a backoff, or dead when it was the last.
    pub async fn fail(mut self, error: String) -> Result<Fate, LeaseError> {
        self.note(error);
        if retry::exhausted(&self.queue.config, self.failed()) {
            return self.end(End::Dead).await.map(|()| Fate::Dead);
        }
        let wait = retry::backoff(&self.queue.config, self.failed(), self.queue.clock.random());
        self.again(wait).await.map(|()| Fate::Again(wait))
    }

    /// It can never be answered.
    pub async fn reject(mut self, error: String) -> Result<(), LeaseError> {
        self.note(error);
        self.end(End::Dead).await
    }

    /// Not now: no attempt is counted.
    pub async fn wait(self, wait: Duration) -> Result<(), LeaseError> {
        self.again(wait).await
    }

    /// The sender withdrew it: there will be no reply.
    pub async fn withdraw(self) -> Result<(), LeaseError> {
        self.end(End::Cancelled).await
    }

    fn note(&mut self, error: String) {
        let at_ms = self.queue.clock.now_ms();
        self.record.errors.push(Attempt { at_ms, step: Step::Generate, error });
    }

    fn seal(&self) -> Result<(), LeaseError> {
        if self.queue.order().jobs.seal(&self.grant) { Ok(()) } else { Err(LeaseError::Lost) }
    }

    async fn again(mut self, wait: Duration) -> Result<(), LeaseError> {
        self.seal()?;
        let due_ms = self.queue.clock.now_ms() + wait.as_millis() as u64;
        self.record.state = if self.record.errors.is_empty() { Stage::Accepted } else { Stage::Retryable };
        let job = self.grant.id;
        let place = PlaceRecord { due_ms, ..PlaceRecord::of(&self.record) };
        let batch = Batch::default()
            .put(records::job_key(records::JOBS, job), records::encode(&self.record))
            .put(records::job_key(records::WAITING, job), records::encode(&place));
        self.queue.store.commit(batch).await?;
        self.settled = true;
        self.queue.order().jobs.delay(&self.grant, due_ms);
        self.queue.work.notify_one();
        Ok(())
    }

    async fn end(mut self, end: End) -> Result<(), LeaseError> {
        self.seal()?;
        self.record.state = if end == End::Dead { Stage::Dead } else { Stage::Cancelled };
        let job = self.grant.id;
        self.queue.store.commit(self.queue.finish(job, &self.record, end)).await?;
        self.settled = true;
        {
            let mut order = self.queue.order();
            order.jobs.done(&self.grant);
            end.count(&mut order.totals);
        }
        self.queue.work.notify_one();
        self.queue.watchers.tell(job);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut order = self.queue.order();
        if order.jobs.holds(&self.grant) || !order.jobs.is_leased(self.grant.id) {
            order.running.remove(&self.grant.id);
        }
        if !self.settled {
            // a worker that panicked or a store that failed: not done, and not at once, so that it can't spin
            let wait = retry::backoff(&self.queue.config, 1, self.queue.clock.random());
            order.jobs.delay(&self.grant, self.queue.clock.now_ms() + wait.as_millis() as u64);
            drop(order);
            self.queue.work.notify_one();
        }
    }
}
