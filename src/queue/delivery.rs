//! A lease on a reply: the exclusive right to tell the platform. Ends in C3, or the reply goes on later.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use packetboat_adapter_api::envelope::{Envelope, Outbound, Part, Receipt};
use packetboat_adapter_api::error::SendError;
use packetboat_adapter_api::ids::DeliveryId;

use super::config::UnknownPolicy;
use super::journal::Note;
use super::lanes::{Grant, LaneKey};
use super::lease::{Fate, LeaseError};
use super::records::{self, JobRecord, PlaceRecord};
use super::view::{Attempt, Stage, Step};
use super::{End, Queue, retry};
use crate::store::Batch;

/// The right to deliver one reply. Dropped = not done: it is ready again after a backoff.
pub struct Delivery {
    queue: Arc<Queue>,
    grant: Grant,
    record: JobRecord,
    settled: bool,
}

impl Queue {
    /// The next reply, when there is one; `None` when the outbox is closed and no reply is ready.
    pub async fn delivery(self: &Arc<Self>) -> Option<Delivery> {
        loop {
            let mail = self.mail.notified();
            tokio::pin!(mail);
            mail.as_mut().enable();
            if let Some(delivery) = self.try_delivery() {
                self.mail.notify_one();
                return Some(delivery);
            }
            if self.last_reply.load(Ordering::Acquire) {
                return None;
            }
            let timer = self.until(self.order().replies.next_timer());
            tokio::select! {
                () = mail => {}
                () = timer => {}
            }
        }
    }

    /// The next reply, if one is ready now. Its lease ends by itself after [`DeliveryConfig::timeout`] twice over.
    ///
    /// [`DeliveryConfig::timeout`]: super::config::DeliveryConfig::timeout
    pub fn try_delivery(self: &Arc<Self>) -> Option<Delivery> {
        let now_ms = self.clock.now_ms();
        self.order().replies.tick(now_ms);
        loop {
            let until = now_ms + 2 * self.config.timeout.as_millis() as u64 + 1;
            let grant = self.order().replies.lease(until)?;
            match self.load(grant.id) {
                Ok(Some(record)) => return Some(Delivery { queue: Arc::clone(self), grant, record, settled: false }),
                outcome => {
                    tracing::error!(job = grant.id, error = ?outcome.err(), "a reply can't be read; it is left for `queue verify`");
                    self.order().replies.delay(&grant, u64::MAX - 1);
                }
            }
        }
    }

    /// Replies of this lane wait or are on their way: a live view of the next answer would overtake them.
    pub fn reply_pending(&self, lane: &LaneKey) -> bool {
        !self.order().replies.lane(lane).is_empty()
    }

    /// The adapter's durable note about a job's delivery.
    pub fn note(self: &Arc<Self>, job: u64) -> Note {
        Note::open(Arc::clone(&self.store), job)
    }
}

impl Delivery {
    /// The job's number, which is the delivery's too.
    pub fn job(&self) -> u64 {
        self.grant.id
    }

    /// Its lane.
    pub fn lane(&self) -> &LaneKey {
        &self.grant.lane
    }

    /// Whither.
    pub fn envelope(&self) -> &Envelope {
        &self.record.inbound.envelope
    }

    /// When the message was accepted, in milliseconds since 1970 UTC.
    pub fn accepted_at_ms(&self) -> u64 {
        self.record.accepted_at_ms
    }

    /// What the adapter is given.
    pub fn outbound(&self) -> Outbound {
        let text = self.record.reply.as_ref().map_or("", |reply| reply.text.as_str());
        Outbound {
            delivery: DeliveryId(self.grant.id),
            envelope: self.record.inbound.envelope.clone(),
            parts: vec![Part::text(text)],
        }
    }

    /// The adapter's note.
    pub fn note(&self) -> Note {
        Note::open(Arc::clone(&self.queue.store), self.grant.id)
    }

    /// Not at this moment, for a reason of our own: nothing is written.
    pub fn postpone(mut self, wait: Duration) {
        self.settled = true;
        let due_ms = self.queue.clock.now_ms() + wait.as_millis() as u64;
        self.queue.order().replies.delay(&self.grant, due_ms);
        self.queue.mail.notify_one();
    }

    /// C3: the platform has it.
    pub async fn delivered(mut self, receipt: Receipt) -> Result<(), LeaseError> {
        self.record.receipt = Some(receipt.0);
        self.end(Stage::Delivered, End::Delivered).await
    }

    /// It was not taken; the error says what to do.
    pub async fn failed(mut self, error: SendError) -> Result<Fate, LeaseError> {
        let text = error.to_string();
        match error {
            SendError::RetryAfter { wait, .. } => self.again(wait).await.map(|()| Fate::Again(wait)),
            SendError::Retry { .. } => {
                self.note_error(text);
                self.again_or_dead().await
            }
            SendError::Unknown { .. } => {
                self.note_error(text);
                match self.queue.config.unknown {
                    UnknownPolicy::Resend => self.again_or_dead().await,
                    UnknownPolicy::Hold => self.end(Stage::Dead, End::Dead).await.map(|()| Fate::Dead),
                }
            }
            SendError::Reject { .. } => {
                self.note_error(text);
                self.end(Stage::Dead, End::Dead).await.map(|()| Fate::Dead)
            }
        }
    }

    fn note_error(&mut self, error: String) {
        let at_ms = self.queue.clock.now_ms();
        self.record.errors.push(Attempt { at_ms, step: Step::Deliver, error });
    }

    async fn again_or_dead(self) -> Result<Fate, LeaseError> {
        let failed = self.record.failed(Step::Deliver);
        if retry::exhausted(&self.queue.config, failed) {
            return self.end(Stage::Dead, End::Dead).await.map(|()| Fate::Dead);
        }
        let wait = retry::backoff(&self.queue.config, failed, self.queue.clock.random());
        self.again(wait).await.map(|()| Fate::Again(wait))
    }

    fn seal(&self) -> Result<(), LeaseError> {
        if self.queue.order().replies.seal(&self.grant) { Ok(()) } else { Err(LeaseError::Lost) }
    }

    async fn again(mut self, wait: Duration) -> Result<(), LeaseError> {
        self.seal()?;
        let due_ms = self.queue.clock.now_ms() + wait.as_millis() as u64;
        let job = self.grant.id;
        let place = PlaceRecord { due_ms, ..PlaceRecord::of(&self.record) };
        let batch = Batch::default()
            .put(records::job_key(records::JOBS, job), records::encode(&self.record))
            .put(records::job_key(records::OUTBOX, job), records::encode(&place));
        self.queue.store.commit(batch).await?;
        self.settled = true;
        self.queue.order().replies.delay(&self.grant, due_ms);
        self.queue.mail.notify_one();
        Ok(())
    }

    async fn end(mut self, stage: Stage, end: End) -> Result<(), LeaseError> {
        self.seal()?;
        self.record.state = stage;
        let job = self.grant.id;
        self.queue.store.commit(self.queue.finish(job, &self.record, end)).await?;
        self.settled = true;
        {
            let mut order = self.queue.order();
            order.replies.done(&self.grant);
            end.count(&mut order.totals);
        }
        self.queue.mail.notify_one();
        Ok(())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled {
            let wait = retry::backoff(&self.queue.config, 1, self.queue.clock.random());
            self.queue.order().replies.delay(&self.grant, self.queue.clock.now_ms() + wait.as_millis() as u64);
            self.queue.mail.notify_one();
        }
    }
}
