//! What people see and do: senders look their message up and stop it, operators list, retry and discard.

use packetboat_adapter_api::ids::{AdapterName, MessageId};

use super::lanes::LaneKey;
use super::records::{self, JobRecord, PlaceRecord};
use super::view::{JobDetail, JobSummary, MessageView, QueueStats, Stage};
use super::{End, Queue};
use crate::store::{Batch, StoreError};

/// Why an operator's command did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// No such job.
    #[error("there is no job {0}; `packetboat queue list` shows them")]
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

impl Queue {
    /// What became of a message, by the adapter's name and the platform's id.
    pub fn message(&self, adapter: &AdapterName, message: &MessageId) -> Result<Option<MessageView>, StoreError> {
        let seen = self.store.get(&records::seen_key(adapter, message))?;
        let Some(job) = seen.and_then(|value| records::job_of(&value)) else { return Ok(None) };
        Ok(self.load(job)?.map(|record| MessageView {
            id: message.to_string(),
            conversation: record.inbound.envelope.conversation.to_string(),
            state: self.stage(job, &record),
            attempts: record.errors.len() as u32,
            reply: record.reply,
        }))
    }

    /// The message of a job, as it was accepted.
    pub fn inbound(&self, job: u64) -> Result<Option<packetboat_adapter_api::envelope::Inbound>, StoreError> {
        Ok(self.load(job)?.map(|record| record.inbound))
    }

    /// The line in numbers.
    pub fn stats(&self) -> QueueStats {
        let (totals, jobs, leased, outbox, oldest) = {
            let order = self.order();
            let oldest = [order.jobs.oldest(), order.replies.oldest()].into_iter().flatten().min();
            (order.totals, order.jobs.len(), order.jobs.leased(), order.replies.len(), oldest)
        };
        let accepted_at = oldest.and_then(|job| self.load(job).ok().flatten()).map(|record| record.accepted_at_ms);
        QueueStats {
            totals,
            waiting: (jobs - leased) as u64,
            leased: leased as u64,
            outbox: outbox as u64,
            duplicates: self.duplicates.load(std::sync::atomic::Ordering::Relaxed),
            oldest_pending_ms: accepted_at.map_or(0, |at| self.clock.now_ms().saturating_sub(at)),
            disk_bytes: self.store.size(),
        }
    }

    /// Jobs from `after_job` (exclusive) on, oldest first. `states` empty = all.
    pub fn list(&self, states: &[Stage], after_job: u64, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        let mut found = Vec::new();
        let mut from = records::job_key(records::JOBS, after_job.saturating_add(1));
        while found.len() < limit {
            let page = self.store.scan(records::JOBS, &from, 256)?;
            let Some((last, _)) = page.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            for (key, value) in &page {
                let record = records::decode::<JobRecord>(value).ok();
                let Some((job, record)) = records::job_of(key).zip(record) else { continue };
                let summary = JobSummary { state: self.stage(job, &record), ..record.summary(job) };
                if states.is_empty() || states.contains(&summary.state) {
                    found.push(summary);
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Everything about one job.
    pub fn show(&self, job: u64) -> Result<Option<JobDetail>, StoreError> {
        Ok(self.load(job)?.map(|record| {
            let state = self.stage(job, &record);
            let mut detail = record.detail(job);
            detail.summary.state = state;
            detail
        }))
    }

    /// A dead letter goes back on the line: to the model, or, if it has its answer already, to the outbox. A pending job stops waiting.
    pub async fn retry(&self, job: u64) -> Result<(), OperateError> {
        let mut record = self.load(job)?.ok_or(OperateError::NotFound(job))?;
        let state = self.stage(job, &record);
        if state != Stage::Dead {
            let hint = "only a dead letter can be retried; what is pending is retried by itself";
            return Err(OperateError::Conflict { job, state, hint });
        }
        let answered = record.reply.is_some();
        record.state = if answered { Stage::Completed } else { Stage::Retryable };
        // a clean slate of attempts; the old errors stay readable
        record.counted_from = record.errors.len();
        let table = if answered { records::OUTBOX } else { records::WAITING };
        let place = PlaceRecord::of(&record);
        let batch = Batch::default()
            .absent(records::job_key(table, job))
            .put(records::job_key(records::JOBS, job), records::encode(&record))
            .put(records::job_key(table, job), records::encode(&place))
            .add(records::DEAD, -1);
        self.store.commit(batch).await.map_err(|error| match error {
            StoreError::Exists(_) => {
                OperateError::Conflict { job, state: record.state, hint: "it was retried already" }
            }
            other => other.into(),
        })?;
        let mut order = self.order();
        order.totals.dead = order.totals.dead.saturating_sub(1);
        order.totals.pending += 1;
        if answered {
            order.replies.push(&place.lane(), job);
            self.mail.notify_one();
        } else {
            order.jobs.push(&place.lane(), job);
            self.work.notify_one();
        }
        Ok(())
    }

    /// Withdraws a pending job or a dead letter: it will not be answered, and is counted as cancelled.
    pub async fn discard(&self, job: u64) -> Result<(), OperateError> {
        let record = self.load(job)?.ok_or(OperateError::NotFound(job))?;
        match record.state {
            Stage::Dead => self.discard_dead(job, record).await,
            Stage::Delivered | Stage::Cancelled => {
                let hint = "it has ended already";
                Err(OperateError::Conflict { job, state: record.state, hint })
            }
            Stage::Accepted | Stage::Leased | Stage::Retryable | Stage::Completed => self.withdraw(job, record).await,
        }
    }

    async fn discard_dead(&self, job: u64, mut record: JobRecord) -> Result<(), OperateError> {
        record.state = Stage::Cancelled;
        self.store.commit(self.finish(job, &record, End::Cancelled).add(records::DEAD, -1)).await?;
        let mut order = self.order();
        order.totals.dead = order.totals.dead.saturating_sub(1);
        order.totals.cancelled += 1;
        Ok(())
    }

    async fn withdraw(&self, job: u64, mut record: JobRecord) -> Result<(), OperateError> {
        let taken = {
            let mut order = self.order();
            let sealed = order.jobs.is_sealed(job) || order.replies.is_sealed(job);
            if let Some(running) = order.running.get(&job).filter(|_| !sealed) {
                running.cancel();
            }
            !sealed && (order.jobs.remove(job) || order.replies.remove(job))
        };
        if !taken {
            let hint = "its outcome is being written at this moment; look again";
            return Err(OperateError::Conflict { job, state: record.state, hint });
        }
        record.state = Stage::Cancelled;
        // until this is written a crash brings the job back, which is the safe side
        self.store.commit(self.finish(job, &record, End::Cancelled)).await?;
        End::Cancelled.count(&mut self.order().totals);
        self.work.notify_one();
        self.watchers.tell(job);
        Ok(())
    }

    /// The sender says stop: what is being written ends now, what waits before `job` in the lane is withdrawn.
    pub async fn stop_lane(&self, lane: &LaneKey, job: u64) -> Result<usize, StoreError> {
        let before: Vec<u64> = {
            let order = self.order();
            let lane = order.jobs.lane(lane);
            for job in &lane {
                if let Some(running) = order.running.get(job) {
                    running.cancel();
                }
            }
            lane.into_iter().filter(|other| *other < job && !order.running.contains_key(other)).collect()
        };
        let mut withdrawn = 0;
        for other in before {
            match self.discard(other).await {
                Ok(()) => withdrawn += 1,
                Err(OperateError::Store(error)) => return Err(error),
                // it moved on in the meantime
                Err(OperateError::NotFound(_) | OperateError::Conflict { .. }) => {}
            }
        }
        Ok(withdrawn)
    }

    fn stage(&self, job: u64, record: &JobRecord) -> Stage {
        match record.state {
            Stage::Accepted | Stage::Retryable if self.order().jobs.is_leased(job) => Stage::Leased,
            state => state,
        }
    }
}
