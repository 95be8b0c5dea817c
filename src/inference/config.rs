//! The `[model]` section.

use std::path::PathBuf;
use std::time::Duration;

use packetboat_adapter_api::secret::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which model answers, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `onnx`: in this process on ONNX Runtime. `openai`: any server that speaks the OpenAI API. `echo`: repeats, for measurements.
    pub backend: ModelBackend,
    /// onnx: the model's folder (`model.onnx` or `onnx/model*.onnx` beside `tokenizer.json`), in the Optimum or the
    /// onnxruntime-genai layout. Unset: the small bundled model.
    pub path: Option<PathBuf>,
    /// openai: the model's name at the server. onnx: the name shown to clients (default: the folder's name).
    pub name: Option<String>,
    /// openai: where the server is, up to and including `/v1`.
    pub base_url: Option<String>,
    /// openai: the server's key, by reference, for example `{ env = "OPENAI_API_KEY" }`.
    pub api_key: Option<SecretRef>,
    /// onnx: `auto` takes CUDA when the card and its libraries are there, `cuda` insists and falls back with a warning, `cpu`.
    pub device: Device,
    /// onnx: the ONNX Runtime library (`libonnxruntime.so…`). Unset: beside the program, then where `make` put it.
    pub runtime: Option<PathBuf>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// 0 = always the likeliest word; higher = more varied. Unset: what the model's makers recommend, else 0.7.
    pub temperature: Option<f32>,
    /// Choose among the likeliest words whose probabilities add up to this. Unset: what the makers recommend, else 0.9.
    pub top_p: Option<f32>,
    /// Choose among this many of the likeliest words; 0 = no such limit. Unset: what the makers recommend, else 0.
    pub top_k: Option<u32>,
    /// Answers being written at the same time.
    pub max_concurrent: usize,
    /// An answer that takes longer ends with what was said so far.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub request_timeout: Duration,
    /// In tokens, prompt and answer together. Unset: what the model's own configuration says.
    pub context_window: Option<u32>,
    /// onnx: threads for one model step. Unset: one per core.
    pub threads: Option<usize>,
    /// echo: how long it pretends to think, per answer.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub echo_delay: Duration,
}

/// The kind of generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelBackend {
    /// ONNX Runtime in this process.
    Onnx,
    /// A server that speaks the OpenAI API.
    Openai,
    /// Repeats the last message.
    Echo,
}

/// Where an ONNX model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// CUDA if it is there, else the processor.
    Auto,
    /// CUDA.
    Cuda,
    /// The processor.
    Cpu,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            backend: ModelBackend::Onnx,
            path: None,
            name: None,
            base_url: None,
            api_key: None,
            device: Device::Auto,
            runtime: None,
            max_tokens: 512,
            temperature: None,
            top_p: None,
            top_k: None,
            max_concurrent: 4,
            request_timeout: Duration::from_secs(120),
            context_window: None,
            threads: None,
            echo_delay: Duration::ZERO,
        }
    }
}
