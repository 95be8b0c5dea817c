//! Who looks on while an answer is written: the web by the live hub, a platform by edits and "is typing".
//!
//! Invariants: a slow or failing platform never slows the model; the last view of a job has ended before its reply is sent
//! ([`Views::close`]), so that an old view can't overwrite the answer; a view never overtakes an earlier reply of its lane.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use packetboat_adapter_api::adapter::Adapter;
use packetboat_adapter_api::envelope::{Envelope, Outbound, Part};
use packetboat_adapter_api::error::SendError;
use packetboat_adapter_api::ids::{AdapterName, DeliveryId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::adapters::Adapters;
use crate::live::{LiveEvent, LiveHub};
use crate::queue::Queue;
use crate::queue::lanes::LaneKey;
use crate::telemetry::metrics::Metrics;

/// A view that hangs for longer is cut off, so that the reply can go.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a view failed, the next is tried no earlier.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// All views of answers that are being written.
pub struct Views {
    queue: Arc<Queue>,
    adapters: Adapters,
    hub: Arc<LiveHub>,
    /// The adapter whose onlookers follow the hub.
    web: AdapterName,
    metrics: Arc<Metrics>,
    open: Mutex<HashMap<u64, JoinHandle<()>>>,
}

impl Views {
    /// Views of the adapters' platforms, and of `web` through the hub.
    pub fn new(
        queue: Arc<Queue>,
        adapters: Adapters,
        hub: Arc<LiveHub>,
        web: AdapterName,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self { queue, adapters, hub, web, metrics, open: Mutex::default() })
    }

    /// Opens the view of one job; it follows what is sent and ends when the sender is dropped.
    #[expect(
        clippy::disallowed_methods,
        reason = "bounded by max_tokens: nobody sends more pieces than the answer has tokens"
    )]
    pub fn open(self: &Arc<Self>, job: u64, to: Envelope) -> mpsc::UnboundedSender<String> {
        let (pieces, inbox) = mpsc::unbounded_channel();
        let views = Arc::clone(self);
        let task = tokio::spawn(async move { views.follow(job, to, inbox).await });
        let old = self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(job, task);
        if let Some(old) = old {
            // an earlier attempt's view
            old.abort();
        }
        pieces
    }

    /// Returns when nothing more of this job's view can reach the platform.
    pub async fn close(&self, job: u64) {
        let task = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        let Some(mut task) = task else { return };
        if timeout(PATIENCE, &mut task).await.is_err() {
            task.abort();
        }
    }

    /// Says in the answer's place that there is none.
    pub async fn apologise(self: &Arc<Self>, job: u64, to: Envelope, words: &str) {
        self.close(job).await;
        if to.adapter == self.web {
            let lane = (to.adapter.clone(), to.conversation.clone());
            self.hub.publish(&lane, LiveEvent::Error { message: to.message.to_string(), text: words.to_owned() });
            return;
        }
        let Some(adapter) = self.adapters.get(&to.adapter).cloned() else { return };
        let note = self.queue.note(job);
        let outbound = Outbound { delivery: DeliveryId(job), envelope: to, parts: vec![Part::text(words)] };
        // in the background: a platform that hangs holds up no worker
        tokio::spawn(async move {
            if let Ok(Err(error)) = timeout(PATIENCE, adapter.send(&outbound, &note)).await {
                tracing::info!(message.job = job, %error, "the sender could not be told that there is no answer");
            }
        });
    }

    async fn follow(&self, job: u64, to: Envelope, mut pieces: mpsc::UnboundedReceiver<String>) {
        let mut first = Some(Instant::now());
        let mut count = || {
            if let Some(opened) = first.take() {
                self.metrics.first_token_seconds.observe(opened.elapsed().as_secs_f64());
            }
        };
        if to.adapter == self.web {
            let lane = (to.adapter.clone(), to.conversation.clone());
            while let Some(text) = pieces.recv().await {
                count();
                self.hub.publish(&lane, LiveEvent::Token { message: to.message.to_string(), text });
            }
            return;
        }
        let Some(adapter) = self.adapters.get(&to.adapter).cloned() else { return };
        if self.queue.reply_pending(&LaneKey::of(&to)) {
            return;
        }
        let (text, shown) = watch::channel(String::new());
        let collect = async move {
            while let Some(piece) = pieces.recv().await {
                count();
                text.send_modify(|text| text.push_str(&piece));
            }
        };
        tokio::join!(collect, self.show(job, &to, adapter.as_ref(), shown));
    }

    /// Shows the newest text at the platform's pace, and "is typing" until there is some.
    async fn show(&self, job: u64, to: &Envelope, adapter: &dyn Adapter, mut text: watch::Receiver<String>) {
        let note = self.queue.note(job);
        let mut next_view = Instant::now();
        let mut next_typing = Instant::now();
        loop {
            let typing = adapter.typing().filter(|_| text.borrow().is_empty() || adapter.live().is_none());
            tokio::select! {
                changed = text.changed() => if changed.is_err() { return },
                () = sleep_until(next_typing), if typing.is_some() => {
                    if let Some(typing) = typing {
                        // nobody misses it if it fails
                        let _ = typing.typing(to).await;
                        next_typing = Instant::now() + typing.lasts();
                    }
                    continue;
                }
            }
            let Some(live) = adapter.live() else { continue };
            tokio::select! {
                () = sleep_until(next_view) => {}
                () = ended(&text) => return,
            }
            let so_far = text.borrow_and_update().clone();
            if so_far.trim().is_empty() {
                continue;
            }
            let outcome = live.show(to, &so_far, &note).await;
            next_view = Instant::now() + pause(outcome, live.interval(to));
        }
    }
}

/// The whole answer is there: the reply itself follows at once.
async fn ended(text: &watch::Receiver<String>) {
    let mut text = text.clone();
    while text.changed().await.is_ok() {}
}

fn pause(outcome: Result<(), SendError>, interval: Duration) -> Duration {
    match outcome {
        Ok(()) => interval,
        Err(SendError::RetryAfter { wait, .. }) => wait.max(interval),
        Err(SendError::Retry { .. } | SendError::Unknown { .. } | SendError::Reject { .. }) => AFTER_FAILURE,
    }
}
