//! The loop that answers: lease → prompt → generate → commit (C2). `max_concurrent` of them run side by side.
//!
//! Not here: what is said (`answer.rs`), who looks on (`../views.rs`), how the reply leaves (`outbox.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::queue::Queue;
use crate::queue::lease::{LEASE, Lease, LeaseError};

pub mod answer;

use answer::{Answerer, Outcome};

/// An idle worker shows that it lives this often.
pub const BEAT: Duration = Duration::from_secs(5);

/// The workers.
pub struct Workers {
    queue: Arc<Queue>,
    answerer: Arc<Answerer>,
    clock: SharedClock,
    beats: Vec<AtomicU64>,
}

impl Workers {
    /// `count` side by side.
    pub fn new(queue: Arc<Queue>, answerer: Arc<Answerer>, clock: SharedClock, count: usize) -> Arc<Self> {
        let now = clock.now_ms();
        let beats = (0..count.max(1)).map(|_| AtomicU64::new(now)).collect();
        Arc::new(Self { queue, answerer, clock, beats })
    }

    /// Works until the line is closed and every answer that was begun is written or given back.
    pub async fn run(self: Arc<Self>) {
        let mut workers = JoinSet::new();
        for n in 0..self.beats.len() {
            let all = Arc::clone(&self);
            workers.spawn(async move { all.work(n).await });
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                // its lease was dropped, so the message goes on; one worker fewer does not
                tracing::error!(%error, "a worker died; the watchdog will restart the daemon");
            }
        }
    }

    /// The time since the slowest worker last showed that it lives.
    pub fn silence(&self) -> Duration {
        let oldest = self.beats.iter().map(|beat| beat.load(Ordering::Relaxed)).min().unwrap_or(0);
        Duration::from_millis(self.clock.now_ms().saturating_sub(oldest))
    }

    async fn work(&self, n: usize) {
        while let Some(lease) = self.next(n).await {
            let job = lease.job();
            match self.answer(n, lease).await {
                Ok(()) => {}
                Err(LeaseError::Lost) => tracing::info!(message.job = job, "withdrawn while it was being answered"),
                Err(error) => tracing::error!(message.job = job, %error, "not written; the message goes on later"),
            }
        }
    }

    async fn next(&self, n: usize) -> Option<Lease> {
        loop {
            self.beat(n);
            if let Ok(lease) = tokio::time::timeout(BEAT, self.queue.lease()).await {
                return lease;
            }
        }
    }

    /// One message, its lease kept alive meanwhile.
    async fn answer(&self, n: usize, lease: Lease) -> Result<(), LeaseError> {
        let outcome = {
            let answering = self.answerer.answer(&lease);
            tokio::pin!(answering);
            loop {
                match tokio::time::timeout(BEAT.min(LEASE / 3), &mut answering).await {
                    Ok(outcome) => break outcome,
                    Err(_) if lease.extend() => self.beat(n),
                    Err(_) => lease.cancel().cancel(),
                }
            }
        };
        let (job, lane) = (lease.job(), lease.lane().clone());
        let inbound = lease.inbound().clone();
        match outcome {
            Outcome::Reply { text, turns } => lease.complete(text, turns).await,
            Outcome::GiveBack => lease.wait(Duration::ZERO).await,
            Outcome::Wait(wait) => lease.wait(wait).await,
            Outcome::Fail(error) => {
                tracing::warn!(message.job = job, %error, "an attempt to answer failed");
                match lease.fail(error).await? {
                    crate::queue::lease::Fate::Again(_) => Ok(()),
                    crate::queue::lease::Fate::Dead => {
                        self.answerer.apologise(job, &lane, inbound).await;
                        Ok(())
                    }
                }
            }
            Outcome::Reject(error) => {
                tracing::warn!(message.job = job, %error, "the message can't be answered: dead letter");
                lease.reject(error).await?;
                self.answerer.apologise(job, &lane, inbound).await;
                Ok(())
            }
        }
    }

    fn beat(&self, n: usize) {
        if let Some(beat) = self.beats.get(n) {
            beat.store(self.clock.now_ms(), Ordering::Relaxed);
        }
    }
}
