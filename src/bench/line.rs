//! Placeholder; the founder writes it. `cli` calls [`run`] and prints the report.

use serde::Serialize;

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
    /// From the start to ready, in milliseconds.
    pub ready_ms: f64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Placeholder.
    #[error("this measurement is not built into this program yet")]
    Unfinished,
}

/// Measures.
pub async fn run(_options: LineOptions) -> Result<Report, BenchError> {
    Err(BenchError::Unfinished)
}
