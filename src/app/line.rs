//! The running line: queue, workers, outbox and adapters put together, started, and drained in order.
//!
//! Everything concrete is handed in; `mod.rs` chooses it for the daemon, `bench/` for measurements.

use std::sync::Arc;
use std::time::Duration;

use packetboat_adapter_api::adapter::{Adapter, Intake};
use packetboat_adapter_api::ids::AdapterName;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adapters::Adapters;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::conversation::transcript::Transcripts;
use crate::inference::config::ModelConfig;
use crate::inference::{Generator, Recommended, SamplingParams};
use crate::ingress::Ingress;
use crate::lifecycle::Lifecycle;
use crate::live::LiveHub;
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::queue::config::DeliveryConfig;
use crate::queue::retry;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::views::Views;
use crate::worker::answer::Answerer;
use crate::worker::{BEAT, Workers};

/// Between two looks for what may be removed.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// What a line is made of.
pub struct Parts {
    /// Where messages are kept.
    pub store: Arc<dyn Store>,
    /// What answers.
    pub generator: Arc<dyn Generator>,
    /// Who brings messages and takes replies.
    pub adapters: Vec<Arc<dyn Adapter>>,
    /// The adapter whose onlookers follow `live`.
    pub web: AdapterName,
    /// Tokens and replies for onlookers.
    pub live: Arc<LiveHub>,
    /// Time and randomness.
    pub clock: SharedClock,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// When to stop.
    pub life: Lifecycle,
}

/// A line that runs.
pub struct RunningLine {
    /// The durable line.
    pub queue: Arc<Queue>,
    /// The door.
    pub ingress: Arc<Ingress>,
    /// The platform connections.
    pub adapters: Adapters,
    workers: Arc<Workers>,
    working: JoinHandle<()>,
    sending: JoinHandle<()>,
    listening: TaskTracker,
    life: Lifecycle,
}

/// How tokens are chosen: as configured, else as the model's makers recommend, else as is usual.
pub fn sampling(config: &ModelConfig, recommended: Recommended) -> SamplingParams {
    SamplingParams {
        max_tokens: config.max_tokens,
        temperature: config.temperature.or(recommended.temperature).unwrap_or(0.7),
        top_p: config.top_p.or(recommended.top_p).unwrap_or(0.9),
        top_k: config.top_k.or(recommended.top_k).unwrap_or(0),
        stop: Vec::new(),
        seed: None,
    }
}

impl RunningLine {
    /// Opens the line and sets everything going but the adapters' listening: see [`RunningLine::listen`].
    pub async fn start(config: &Config, parts: Parts) -> Result<Self, StoreError> {
        let Parts { store, generator, adapters, web, live, clock, metrics, life } = parts;
        let queue = Queue::open(Arc::clone(&store), Arc::clone(&clock), config.delivery.clone()).await?;
        metrics.observe_queue(&queue.stats());
        let adapters = Adapters::new(adapters);
        let views = Views::new(Arc::clone(&queue), adapters.clone(), live, web, Arc::clone(&metrics));
        let sampling = sampling(&config.model, generator.info().recommended);
        let answerer = Answerer {
            transcripts: Transcripts::new(store),
            generator,
            views: Arc::clone(&views),
            clock: Arc::clone(&clock),
            config: config.conversation.clone(),
            sampling,
            request_timeout: config.model.request_timeout,
            metrics: Arc::clone(&metrics),
            give_up: life.give_up.clone(),
        };
        let workers = Workers::new(Arc::clone(&queue), Arc::new(answerer), clock, config.model.max_concurrent);
        let timeout = config.delivery.timeout;
        let outbox = Outbox::new(Arc::clone(&queue), adapters.clone(), views, timeout, Arc::clone(&metrics));
        let ingress = Arc::new(Ingress::new(Arc::clone(&queue), config.conversation.commands, metrics));
        tokio::spawn(sweep(Arc::clone(&queue), config.storage.keep_finished, life.clone()));
        Ok(Self {
            working: tokio::spawn(Arc::clone(&workers).run()),
            sending: tokio::spawn(outbox.run()),
            workers,
            queue,
            ingress,
            adapters,
            listening: TaskTracker::new(),
            life,
        })
    }

    /// Connects every adapter, and connects it again whenever its connection ends.
    pub fn listen(&self, retry: &DeliveryConfig, clock: &SharedClock) {
        for adapter in self.adapters.iter() {
            let adapter = Arc::clone(adapter);
            let intake: Arc<dyn Intake> = Arc::clone(&self.ingress) as Arc<dyn Intake>;
            self.listening.spawn(keep_listening(adapter, intake, retry.clone(), Arc::clone(clock), self.life.clone()));
        }
        self.listening.close();
    }

    /// Asks whether the workers move: what the watchdog and `/health` want to know.
    pub fn liveness(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let workers = Arc::clone(&self.workers);
        move || workers.silence() < 4 * BEAT
    }

    /// Cancelled when nothing new is taken any more.
    pub fn stopping(&self) -> CancellationToken {
        self.life.stopping.clone()
    }

    /// Stops in order; what is left stays on disk. Returns when nothing more is written.
    pub async fn drain(self) {
        self.queue.close();
        let ended = async {
            self.listening.close();
            self.listening.wait().await;
            // a panic in there was logged where it happened
            let _ = self.working.await;
        };
        tokio::select! {
            () = ended => {}
            () = after_give_up(&self.life) => {}
        }
        self.queue.close_outbox();
        let mut sending = self.sending;
        tokio::select! {
            _ = &mut sending => {}
            () = after_give_up(&self.life) => sending.abort(),
        }
        let left = self.queue.stats().totals.pending;
        tracing::info!(messages.pending = left, "stopped; what is pending goes on at the next start");
    }
}

/// Workers give back what they hold when time is up; that takes a moment.
async fn after_give_up(life: &Lifecycle) {
    life.give_up.cancelled().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn keep_listening(
    adapter: Arc<dyn Adapter>,
    intake: Arc<dyn Intake>,
    config: DeliveryConfig,
    clock: SharedClock,
    life: Lifecycle,
) {
    let name = adapter.name().clone();
    let mut failed = 0;
    while !life.stopping.is_cancelled() {
        let Err(error) = adapter.listen(intake.as_ref(), life.stopping.clone()).await else { return };
        failed += 1;
        if !error.retry {
            tracing::error!(adapter.name = %name, %error, "the adapter stays down until the configuration is changed");
            return;
        }
        let wait = retry::backoff(&config, failed, clock.random());
        tracing::warn!(adapter.name = %name, %error, wait_ms = wait.as_millis() as u64, "the connection ended");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = life.stopping.cancelled() => {}
        }
    }
}

async fn sweep(queue: Arc<Queue>, keep: Duration, life: Lifecycle) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = life.stopping.cancelled() => return,
        }
        loop {
            match queue.sweep(keep).await {
                Ok(0) => break,
                Ok(swept) => tracing::debug!(messages.swept = swept, "finished messages were cleared"),
                Err(error) => {
                    tracing::error!(%error, "finished messages could not be cleared");
                    break;
                }
            }
        }
    }
}
