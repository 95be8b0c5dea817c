//! A language model behind one trait: a [`Prompt`] and [`SamplingParams`] become a [`Generation`].
//!
//! Three generators: [`onnx`] (in this process), [`openai`] (any server with that API), [`echo`] (no model). What the first
//! one is made of, from the outside in:
//!
//! | | |
//! |---|---|
//! | [`layout`], [`files`], [`external_data`], [`checksums`] | which files of a folder, and whether they are sound |
//! | [`runtime`] | where the ONNX Runtime library and the bundled model lie |
//! | [`codec`], [`prompt`] | conversation → chat template → tokens, and back |
//! | [`scheduler`] | several generations at once, one step each per round |
//! | [`graph`], `onnx_session` | one step: tokens and cache in, logits and cache out |
//! | [`sampler`], [`detokenize`], [`stop`], [`answer`] | logits → token → text → pieces |
//!
//! Invariants: a generator knows neither queue nor adapters; text pieces are whole UTF-8; the pieces put together are
//! the generation's text. Not here: which generator is used (`app.rs`), what a conversation remembers (`conversation/`).

pub mod answer;
pub mod breaker;
pub mod checksums;
pub mod codec;
pub mod config;
pub mod detokenize;
pub mod echo;
pub mod ending;
pub mod external_data;
pub mod files;
pub mod graph;
pub mod layout;
pub mod load;
pub mod load_error;
pub mod onnx;
mod onnx_session;
#[cfg(test)]
mod onnx_tests;
pub mod openai;
mod openai_failure;
#[cfg(test)]
mod openai_tests;
pub mod openai_wire;
pub mod prompt;
pub mod retry_after;
pub mod runtime;
pub mod sampler;
pub mod scheduler;
pub mod sse;
pub mod stop;
pub mod strftime;
pub mod verify;

#[cfg(test)]
pub(crate) mod conformance;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

pub use load::load;
pub use load_error::LoadError;

/// Who speaks in a chat prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions of the operator.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message of a chat prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
}

/// What the model is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A conversation, rendered with the model's own chat template.
    Chat(Vec<ChatMessage>),
    /// Bare text, continued as it is.
    Text(String),
}

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// At most this many new tokens.
    pub max_tokens: u32,
    /// 0 = always the likeliest token.
    pub temperature: f32,
    /// Keep the likeliest tokens whose probabilities add up to this; 1 = all.
    pub top_p: f32,
    /// Keep this many of the likeliest tokens; 0 = all.
    pub top_k: u32,
    /// The text ends before any of these.
    pub stop: Vec<String>,
    /// The same seed, prompt and model give the same text.
    pub seed: Option<u64>,
}

/// One piece of work for a generator.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the model is given.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub params: SamplingParams,
    /// Ends the generation within one step; what was said so far is the result.
    pub cancel: CancellationToken,
    /// Ends it likewise after this long.
    pub deadline: Option<Duration>,
    /// Receives the text piece by piece, if somebody looks on. A closed receiver changes nothing.
    pub pieces: Option<UnboundedSender<String>>,
}

/// Tokens counted by the model's own tokenizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its turn, or a stop string came.
    Stop,
    /// `max_tokens` or the context window.
    Length,
    /// Somebody cancelled.
    Cancelled,
    /// The deadline passed.
    Deadline,
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// All of it.
    pub text: String,
    /// What it cost.
    pub usage: Usage,
    /// Why it ended.
    pub finish: FinishReason,
    /// Which model spoke.
    pub model: String,
}

/// Why there is no generation, with the decision. Never holds content or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// Try again after the usual backoff.
    #[error("the model failed: {0}")]
    Retry(String),
    /// Full; try again after this long. Not an attempt.
    #[error("the model is overloaded: {cause}")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
        /// For the operator.
        cause: String,
    },
    /// This request can never work (a prompt longer than the context window, say).
    #[error("the model can't take this: {0}")]
    Reject(String),
}

/// How a model's makers want its tokens to be chosen (`generation_config.json`), where they say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Recommended {
    /// 0 = always the likeliest token.
    pub temperature: Option<f32>,
    /// Keep the likeliest tokens whose probabilities add up to this.
    pub top_p: Option<f32>,
    /// Keep this many of the likeliest tokens.
    pub top_k: Option<u32>,
}

/// What a model says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelInfo {
    /// As `/v1/models` lists it.
    pub name: String,
    /// `onnx`, `openai` or `echo`.
    pub backend: &'static str,
    /// Where it runs: `cpu`, `cuda`, `remote`, `none`.
    pub device: String,
    /// In tokens, prompt and answer together.
    pub context_window: u32,
    /// What to do where neither configuration nor request says.
    pub recommended: Recommended,
}

/// A model. An implementer must not block the async runtime's threads, must not log content, and must return within one
/// step of a cancellation.
#[async_trait]
pub trait Generator: Send + Sync + 'static {
    /// Constant after loading.
    fn info(&self) -> ModelInfo;

    /// How many tokens the prompt takes, as far as it is known; used to trim a conversation to the context window.
    fn count_tokens(&self, prompt: &Prompt) -> u32;

    /// Generates.
    async fn generate(&self, request: Request) -> Result<Generation, GenerateError>;
}
