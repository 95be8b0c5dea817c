//! A model in this process on ONNX Runtime: one thread steps it, everybody else sends it jobs.
//!
//! Invariants: at most `max_concurrent` generations are under way and a few wait, more are refused at once; prompt and
//! answer together fit the context window; nobody's async thread is blocked. `onnx*.rs` alone know the crate `ort`.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, oneshot};

use super::answer::Answer;
use super::codec::Codec;
use super::config::{Device, ModelConfig};
use super::ending::{Ending, ended_early};
use super::layout::{ModelFiles, inspect};
use super::load_error::LoadError;
use super::onnx_session::{Environment, OrtDecoder, Place, environment};
use super::sampler::Sampler;
use super::scheduler::{Decode, Job, Rounds, run};
use super::{FinishReason, GenerateError, Generation, Generator, ModelInfo, Prompt, Request};
use super::{checksums, runtime};
use crate::clock::SharedClock;

/// Without any configuration file that says more.
const DEFAULT_WINDOW: u32 = 2048;
/// Jobs waiting, for each one under way.
const WAITING: usize = 4;
/// Prompt tokens per step: about as long as a few tokens of an answer take.
const PROMPT_CHUNK: usize = 128;
/// When to come back after a refusal.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A loaded model.
pub struct OnnxGenerator {
    info: ModelInfo,
    codec: Arc<Codec>,
    decode: Decode,
    eos_ids: Arc<[u32]>,
    max_tokens: u32,
    timeout: Duration,
    places: Arc<Semaphore>,
    /// None once it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    clock: SharedClock,
}

impl OnnxGenerator {
    /// Checks the files, loads the library and the model. Takes seconds for a big model, and blocks.
    pub fn load(config: &ModelConfig, clock: SharedClock) -> Result<Self, LoadError> {
        let path = match &config.path {
            Some(path) => path.clone(),
            None => runtime::bundled_model_dir()?,
        };
        // checked before the library is loaded: a wrong folder is the commoner mistake
        let files = inspect(&path, Device::Cpu)?;
        checksums::verify(&files.folder)?;
        let codec = Arc::new(Codec::load(&files, Arc::clone(&clock))?);
        if codec.is_plain() {
            tracing::warn!(
                model.folder = %files.folder.display(),
                "the model has no chat template; a plain one is used, answers may be poor"
            );
        }
        let library = runtime::library(config.runtime.as_deref())?;
        let (decoder, files) = open(&environment(&library)?, config, &path)?;
        let info = describe(config, &files, &path, decoder.place());
        tracing::info!(
            model.name = info.name, model.device = info.device, model.context_window = info.context_window,
            model.graph = %files.graph.display(), library = %library.display(), "the model is loaded"
        );
        let active = config.max_concurrent.max(1);
        let (jobs, received) = mpsc::channel();
        let rounds = Rounds { active, prompt_chunk: PROMPT_CHUNK };
        let thread = std::thread::Builder::new()
            .name("model".to_owned())
            .spawn(move || run(decoder, &received, rounds))
            .map_err(|error| {
                LoadError::graph(format!("can't start its thread: {error}"), "check the process limits")
            })?;
        let decode: Decode = {
            let codec = Arc::clone(&codec);
            Arc::new(move |ids| codec.decode(ids))
        };
        Ok(Self {
            info,
            decode,
            eos_ids: Arc::from(codec.eos_ids()),
            codec,
            max_tokens: config.max_tokens,
            timeout: config.request_timeout,
            places: Arc::new(Semaphore::new(active * (1 + WAITING))),
            jobs: Some(jobs),
            thread: Some(thread),
            clock,
        })
    }

    /// The prompt's tokens and how many may follow.
    fn fit(&self, tokens: Vec<u32>, wanted: u32) -> Result<(Vec<u32>, u32), GenerateError> {
        let (length, window) = (tokens.len() as u32, self.info.context_window);
        if tokens.is_empty() {
            return Err(GenerateError::Reject("the prompt is empty; send some text".to_owned()));
        }
        if length >= window {
            return Err(GenerateError::Reject(format!(
                "the prompt has {length} tokens and the model's context window is {window}; shorten the prompt"
            )));
        }
        Ok((tokens, wanted.min(self.max_tokens).min(window - length)))
    }
}

/// The graph that fits the device: on CUDA where it is wanted and works, else on the processor, with one line in the log.
fn open(environment: &Environment, config: &ModelConfig, path: &Path) -> Result<(OrtDecoder, ModelFiles), LoadError> {
    if config.device != Device::Cpu {
        let files = inspect(path, Device::Cuda)?;
        match OrtDecoder::on_cuda(environment, &files) {
            Ok(decoder) => return Ok((decoder, files)),
            Err(cause) if config.device == Device::Cuda => {
                tracing::warn!(cause, "CUDA was asked for and is not usable; the model runs on the processor");
            }
            Err(cause) => tracing::info!(cause, "no usable CUDA; the model runs on the processor"),
        }
    }
    let files = inspect(path, Device::Cpu)?;
    Ok((OrtDecoder::on_cpu(environment, &files, config.threads)?, files))
}

/// The model's name, place and window, from configuration and files.
fn describe(config: &ModelConfig, files: &ModelFiles, path: &Path, place: Place) -> ModelInfo {
    let folder = files.folder.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    let of_model = files.settings.context_window;
    let window = match (config.context_window, of_model) {
        (Some(wanted), Some(most)) if wanted > most => {
            tracing::warn!(
                wanted,
                most,
                "context_window is larger than what the model was made for; using what it was made for"
            );
            most
        }
        (Some(wanted), _) => wanted,
        (None, most) => most.unwrap_or(DEFAULT_WINDOW),
    };
    let device = match place {
        Place::Cpu => "cpu",
        Place::Cuda => "cuda",
    };
    ModelInfo {
        name: config.name.clone().unwrap_or(folder),
        backend: "onnx",
        device: device.to_owned(),
        context_window: window.max(2),
        recommended: files.settings.recommended,
    }
}

/// Asks for the end when the one who waits for the result goes away.
struct AskOnDrop(Ending);

impl Drop for AskOnDrop {
    fn drop(&mut self) {
        self.0.ask(FinishReason::Cancelled);
    }
}

/// The session must be gone before the process tears ONNX Runtime down; the thread ends within one step, because whoever
/// waited for a result has gone too.
impl Drop for OnnxGenerator {
    fn drop(&mut self) {
        self.jobs = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the model's thread had ended by a panic");
        }
    }
}

#[async_trait]
impl Generator for OnnxGenerator {
    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    fn count_tokens(&self, prompt: &Prompt) -> u32 {
        self.codec.encode(prompt).map_or(0, |tokens| tokens.len() as u32)
    }

    async fn generate(&self, request: Request) -> Result<Generation, GenerateError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| GenerateError::Overloaded {
            retry_after: RETRY_AFTER,
            cause: "too many requests wait for the model".to_owned(),
        })?;
        let gone = || GenerateError::Retry("the model's thread has ended; restart packetboat".to_owned());
        let Request { prompt, params, cancel, deadline, pieces } = request;
        let deadline = deadline.map_or(self.timeout, |deadline| deadline.min(self.timeout));
        let mut early = std::pin::pin!(ended_early(&cancel, Some(deadline)));
        let codec = Arc::clone(&self.codec);
        let tokens = tokio::task::spawn_blocking(move || codec.encode(&prompt)).await.map_err(|_| gone())??;
        let (prompt, max_tokens) = self.fit(tokens, params.max_tokens)?;
        let ending = AskOnDrop(Ending::default());
        if cancel.is_cancelled() {
            ending.0.ask(FinishReason::Cancelled);
        }
        let (reply, mut result) = oneshot::channel();
        let job = Job {
            prompt,
            max_tokens,
            eos_ids: Arc::clone(&self.eos_ids),
            sampler: Sampler::new(&params, params.seed.unwrap_or_else(|| self.clock.random())),
            decode: Arc::clone(&self.decode),
            answer: Answer::new(&params.stop, pieces),
            ending: ending.0.clone(),
            reply,
            place: Some(place),
        };
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        let outcome = tokio::select! {
            biased;
            reason = &mut early => {
                ending.0.ask(reason);
                result.await
            }
            outcome = &mut result => outcome,
        };
        let outcome = outcome.map_err(|_| gone())??;
        Ok(Generation {
            text: outcome.text,
            usage: outcome.usage,
            finish: outcome.finish,
            model: self.info.name.clone(),
        })
    }
}
