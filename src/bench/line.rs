//! `bench line`: the whole durable line with the echo model, from a message handed to the door to its reply at the platform.
//!
//! Every conversation sends its next message when it has its reply. The store is sled on the disk of the current folder; all three commits
//! are flushed as in the daemon. The platform is in this process: no network is measured.

use std::collections::HashMap;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use packetboat_adapter_api::adapter::{Adapter, Capabilities, Health, Intake, Journal};
use packetboat_adapter_api::envelope::{Envelope, Inbound, Outbound, Part, Receipt};
use packetboat_adapter_api::error::{ListenError, SendError};
use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId, SenderId};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::line::{Parts, RunningLine};
use crate::clock::{SystemClock, random_bytes};
use crate::config::Config;
use crate::inference::config::ModelBackend;
use crate::inference::{self, LoadError};
use crate::lifecycle::Lifecycle;
use crate::store::StoreError;
use crate::store::sled::SledStore;

/// A start that takes longer has failed.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What to measure.
#[derive(Debug, Clone)]
pub struct LineOptions {
    /// Conversations at the same time, one round for each.
    pub conversations: Vec<usize>,
    /// Messages per round.
    pub messages: usize,
}

/// One round.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// Conversations at the same time.
    pub conversations: usize,
    /// Durable messages a second, end to end.
    pub messages_per_second: f64,
    /// Milliseconds from sending to the reply, median.
    pub p50_ms: f64,
    /// The slowest in a hundred.
    pub p99_ms: f64,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In the order of the options.
    pub rounds: Vec<Round>,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
    /// Processor time of all threads, in seconds.
    pub cpu_seconds: f64,
    /// From the start of a daemon to ready, in milliseconds.
    pub ready_ms: f64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The folder for the measurement.
    #[error("can't work in {path}: {source}; run it in a folder that you may write to")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The echo model.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// A message was refused or not answered.
    #[error("a message got lost in the measurement: {0}")]
    Lost(String),
    /// The daemon did not come up.
    #[error("a daemon started for the measurement was not ready: {0}")]
    NotReady(String),
}

/// Measures.
pub async fn run(options: LineOptions) -> Result<Report, BenchError> {
    let folder = std::env::current_dir()
        .unwrap_or_default()
        .join(format!(".packetboat-bench-{:016x}", u64::from_le_bytes(random_bytes())));
    let failed = |source| BenchError::Folder { path: folder.clone(), source };
    std::fs::create_dir(&folder).map_err(failed)?;
    let report = measure(&options, &folder).await;
    std::fs::remove_dir_all(&folder).map_err(failed)?;
    report
}

async fn measure(options: &LineOptions, folder: &Path) -> Result<Report, BenchError> {
    let mut rounds = Vec::new();
    for &conversations in &options.conversations {
        rounds.push(round(&folder.join(format!("round-{conversations}")), conversations, options.messages).await?);
    }
    let rss_bytes = resident_bytes();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Report {
        rounds,
        rss_bytes,
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        ready_ms: time_to_ready(folder).await?,
    })
}

async fn round(folder: &Path, conversations: usize, messages: usize) -> Result<Round, BenchError> {
    let mut config = Config::default();
    config.model.backend = ModelBackend::Echo;
    config.model.max_concurrent = config.model.max_concurrent.max(conversations);
    let platform = Arc::new(Platform::default());
    let life = Lifecycle::default();
    let clock = Arc::new(SystemClock);
    let metrics = Arc::default();
    let parts = Parts {
        store: Arc::new(SledStore::open(folder, 0, Arc::clone(&metrics))?),
        generator: inference::load(&config.model, clock.clone())?,
        adapters: vec![Arc::clone(&platform) as Arc<dyn Adapter>],
        web: AdapterName::new("none"),
        live: Arc::default(),
        clock,
        metrics,
        life: life.clone(),
    };
    let line = RunningLine::start(&config, parts).await?;
    let begun = Instant::now();
    let talks = (0..conversations).map(|n| {
        let share = messages / conversations + usize::from(n < messages % conversations);
        converse(Arc::clone(&platform), Arc::clone(&line.ingress) as Arc<dyn Intake>, n, share)
    });
    let mut latencies: Vec<Duration> = Vec::with_capacity(messages);
    for talk in futures::future::join_all(talks).await {
        latencies.extend(talk?);
    }
    let took = begun.elapsed();
    life.begin_stop();
    line.drain().await;
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = ((latencies.len() as f64 * share).ceil() as usize).clamp(1, latencies.len().max(1)) - 1;
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    };
    Ok(Round {
        conversations,
        messages_per_second: latencies.len() as f64 / took.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
    })
}

async fn converse(
    platform: Arc<Platform>,
    door: Arc<dyn Intake>,
    n: usize,
    messages: usize,
) -> Result<Vec<Duration>, BenchError> {
    let mut latencies = Vec::with_capacity(messages);
    for m in 0..messages {
        let id = format!("{n}-{m}");
        let reply = platform.expect(&id);
        let envelope = Envelope {
            adapter: platform.name.clone(),
            conversation: ConversationId::new(n.to_string()),
            sender: SenderId::new(n.to_string()),
            message: MessageId::new(id),
            sent_at_ms: None,
            language: None,
            reply_to: None,
        };
        let text = "How do I connect my bot, and what happens to my messages when the machine loses power?";
        let begun = Instant::now();
        let accepted = door.accept(Inbound { envelope, parts: vec![Part::text(text)] }).await;
        accepted.map_err(|error| BenchError::Lost(error.to_string()))?;
        reply.await.map_err(|_| BenchError::Lost("the platform forgot it".to_owned()))?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

/// A platform in this process, which takes every reply at once.
struct Platform {
    name: AdapterName,
    expected: Mutex<HashMap<String, oneshot::Sender<()>>>,
}

impl Default for Platform {
    fn default() -> Self {
        Self { name: AdapterName::new("bench"), expected: Mutex::default() }
    }
}

impl Platform {
    fn expect(&self, message: &str) -> oneshot::Receiver<()> {
        let (arrived, wait) = oneshot::channel();
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(message.to_owned(), arrived);
        wait
    }
}

#[async_trait]
impl Adapter for Platform {
    fn name(&self) -> &AdapterName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { idempotent_send: true }
    }

    fn health(&self) -> Health {
        Health::Up
    }

    async fn listen(&self, _: &dyn Intake, stop: CancellationToken) -> Result<(), ListenError> {
        stop.cancelled().await;
        Ok(())
    }

    async fn send(&self, outbound: &Outbound, _: &dyn Journal) -> Result<Receipt, SendError> {
        let message = outbound.envelope.message.as_str();
        let arrived = self.expected.lock().unwrap_or_else(PoisonError::into_inner).remove(message);
        if let Some(arrived) = arrived {
            // who waits for it may have given up
            let _ = arrived.send(());
        }
        Ok(Receipt(outbound.delivery.to_string()))
    }

    async fn probe(&self) -> Result<String, ListenError> {
        Ok("in this process".to_owned())
    }
}

/// Starts this program as a daemon and waits until it says, as it says to systemd, that it is ready.
async fn time_to_ready(folder: &Path) -> Result<f64, BenchError> {
    let failed = |error: std::io::Error| BenchError::NotReady(error.to_string());
    let config = folder.join("packetboat.toml");
    let text = "[server]\nlisten = \"127.0.0.1:0\"\nconsole_listen = \"127.0.0.1:0\"\n[model]\nbackend = \"echo\"\n";
    std::fs::write(&config, text).map_err(failed)?;
    let socket = folder.join("notify");
    let bound = UnixDatagram::bind(&socket).map_err(failed)?;
    bound.set_nonblocking(true).map_err(failed)?;
    let notified = tokio::net::UnixDatagram::from_std(bound).map_err(failed)?;
    let begun = Instant::now();
    let mut daemon = tokio::process::Command::new(std::env::current_exe().map_err(failed)?)
        .arg("--config")
        .arg(&config)
        .arg("serve")
        .env("NOTIFY_SOCKET", &socket)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let ready = async {
        let mut message = [0; 256];
        loop {
            let length = notified.recv(&mut message).await.map_err(failed)?;
            if message[..length].starts_with(b"READY=1") {
                return Ok(begun.elapsed());
            }
        }
    };
    let elapsed = tokio::select! {
        elapsed = tokio::time::timeout(READY_WITHIN, ready) => elapsed.map_err(|_| BenchError::NotReady("timed out".to_owned()))?,
        ended = daemon.wait() => Err(BenchError::NotReady(format!("it ended: {ended:?}"))),
    }?;
    daemon.kill().await.map_err(failed)?;
    Ok(elapsed.as_secs_f64() * 1000.0)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
