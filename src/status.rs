//! The daemon's state as `status`, `/health` and `doctor` show it. No secrets, no content.

use serde::{Deserialize, Serialize};

use crate::queue::view::QueueStats;

/// Everything that an operator asks first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The package's version.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Serving, and every part that must work does.
    pub ready: bool,
    /// Stopping: takes nothing new.
    pub draining: bool,
    /// Which model answers.
    pub model: ModelStatus,
    /// In alphabetical order.
    pub adapters: Vec<AdapterStatus>,
    /// The line in numbers, the conservation law included.
    pub queue: QueueStats,
}

/// The model that answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelStatus {
    /// As `/v1/models` lists it.
    pub name: String,
    /// `onnx`, `openai` or `echo`.
    pub backend: String,
    /// Where it runs.
    pub device: String,
    /// In tokens.
    pub context_window: u32,
}

/// One platform connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AdapterStatus {
    /// As configured.
    pub name: String,
    /// `starting`, `up` or `down`.
    pub health: String,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}
