//! A model behind any server that speaks the OpenAI API, streamed.
//!
//! Invariants: the key is never in a log or an error; nothing is followed elsewhere (no redirects); every wait and every
//! body is bounded. A request is sent again only while nothing of its answer has come; after several failures in a row the
//! server is left alone for a while (`breaker.rs`). Not here: the API's JSON (`openai_wire.rs`).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use packetboat_adapter_api::secret::Secret;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};
use serde_json::Value;
use tokio::time::Instant;

use super::answer::Answer;
use super::breaker::Breaker;
use super::config::ModelConfig;
use super::ending::ended_early;
use super::load_error::LoadError;
use super::openai_failure::{Failure, refusal, text_of};
use super::openai_wire::{self, Said};
use super::sse::{EventReader, LONGEST_STREAM};
use super::{FinishReason, GenerateError, Generation, Generator, ModelInfo, Recommended, Prompt, Request, Usage};
use crate::clock::SharedClock;

/// What is assumed of a server whose models we don't know.
const DEFAULT_WINDOW: u32 = 8192;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// To connect.
    pub(super) connect: Duration,
    /// Without a byte.
    pub(super) silence: Duration,
    /// An answer as a whole.
    pub(super) total: Duration,
    /// Tries of one request.
    pub(super) attempts: u32,
    /// Before the second try; doubles, with jitter.
    pub(super) backoff: Duration,
}

/// A server's model.
pub struct OpenAiGenerator {
    client: Client,
    base: Url,
    key: Option<Secret>,
    info: ModelInfo,
    max_tokens: u32,
    patience: Patience,
    breaker: Mutex<Breaker>,
    /// Parameters that the server does not take.
    refused: Mutex<BTreeSet<&'static str>>,
    clock: SharedClock,
}

impl OpenAiGenerator {
    /// Reads the key; connects to nothing yet.
    pub fn new(config: &ModelConfig, clock: SharedClock) -> Result<Self, LoadError> {
        let patience = Patience {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            total: config.request_timeout,
            attempts: 3,
            backoff: Duration::from_millis(500),
        };
        Self::with_patience(config, clock, patience)
    }

    pub(super) fn with_patience(
        config: &ModelConfig,
        clock: SharedClock,
        patience: Patience,
    ) -> Result<Self, LoadError> {
        let example = "for example base_url = \"https://api.openai.com/v1\"";
        let base = config.base_url.as_deref().ok_or_else(|| {
            LoadError::settings("backend = \"openai\" needs base_url", format!("set [model] base_url, {example}"))
        })?;
        let base = base_url(base).ok_or_else(|| {
            LoadError::settings("base_url is no http or https address", format!("correct [model] base_url, {example}"))
        })?;
        let name = config.name.clone().filter(|name| !name.is_empty()).ok_or_else(|| {
            LoadError::settings("backend = \"openai\" needs name", "set [model] name to the model's name at the server")
        })?;
        let key = config.api_key.as_ref().map(|reference| reference.resolve()).transpose().map_err(|error| {
            LoadError::settings(format!("api_key can't be read: {error}"), "correct [model] api_key")
        })?;
        let client = Client::builder()
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| LoadError::settings(error.without_url().to_string(), "check the system's certificates"))?;
        let context_window = config.context_window.unwrap_or(DEFAULT_WINDOW);
        let info = ModelInfo { name, backend: "openai", device: "remote".to_owned(), context_window, recommended: Recommended::default() };
        let max_tokens = config.max_tokens;
        Ok(Self {
            client,
            base,
            key,
            info,
            max_tokens,
            patience,
            breaker: Mutex::default(),
            refused: Mutex::default(),
            clock,
        })
    }

    fn breaker<T>(&self, work: impl FnOnce(&mut Breaker) -> T) -> T {
        work(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn refused<T>(&self, work: impl FnOnce(&mut BTreeSet<&'static str>) -> T) -> T {
        work(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends and reads, again while that makes sense.
    async fn converse(&self, path: &str, mut body: Value, exchange: &mut Exchange) -> Result<(), Failure> {
        let mut attempt = 1;
        self.refused(|refused| refused.iter().for_each(|name| openai_wire::adapt(&mut body, name)));
        loop {
            let failure = match self.once(path, &body, exchange).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            // remembered, so that only the first request has to find out
            if let Some(name) = failure.parameter
                && self.refused(|refused| refused.insert(name))
            {
                tracing::info!(parameter = name, "the model's server does not take this parameter; going on without");
                openai_wire::adapt(&mut body, name);
                continue;
            }
            if !failure.again || exchange.heard || attempt >= self.patience.attempts {
                return Err(failure);
            }
            tracing::debug!(attempt, cause = failure.cause, "the model's server failed; trying again");
            tokio::time::sleep(self.backoff(attempt)).await;
            attempt += 1;
        }
    }

    /// Doubling, and somewhere in the upper half: many clients must not come back at the same moment.
    fn backoff(&self, attempt: u32) -> Duration {
        let full = self.patience.backoff.saturating_mul(1 << (attempt - 1).min(6));
        let half = full / 2;
        half + half.mul_f64((self.clock.random() >> 11) as f64 / (1u64 << 53) as f64)
    }

    async fn once(&self, path: &str, body: &Value, exchange: &mut Exchange) -> Result<(), Failure> {
        let address = self.base.join(path).map_err(|_| Failure::reject("base_url can't be joined with a path"))?;
        let mut request = self.client.post(address).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await.map_err(|error| Failure::connection(&error))?;
        if !response.status().is_success() {
            return Err(refusal(response, self.clock.now_ms()).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/json") {
            return whole(response, exchange).await;
        }
        streamed(response, exchange).await
    }

    /// Tells the breaker how it went.
    fn judge(&self, result: &Result<(), Failure>) {
        let now = Instant::now();
        self.breaker(|breaker| match result {
            Err(failure) if failure.again => breaker.failed(now),
            _ => breaker.succeeded(),
        });
    }
}

/// With a slash at the end, so that joining appends.
fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// An answer as far as it has come.
struct Exchange {
    answer: Answer,
    /// Something of the answer has come: sending again would say it twice.
    heard: bool,
    pieces: u32,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

impl Exchange {
    /// False when a stop string came.
    fn take(&mut self, said: Said) -> bool {
        self.usage = said.usage.or(self.usage);
        self.finish = said.finish.or(self.finish);
        if said.text.is_empty() {
            return true;
        }
        self.heard = true;
        self.pieces += 1;
        let goes_on = self.answer.push(&said.text);
        if !goes_on {
            self.finish = Some(FinishReason::Stop);
        }
        goes_on
    }
}

/// A server that ignores `stream`.
async fn whole(response: Response, exchange: &mut Exchange) -> Result<(), Failure> {
    let text = text_of(response, LONGEST_STREAM).await?;
    let said = openai_wire::said(&text).map_err(|error| Failure::retry(error.to_string()))?;
    exchange.take(said);
    exchange.finish.get_or_insert(FinishReason::Stop);
    Ok(())
}

async fn streamed(response: Response, exchange: &mut Exchange) -> Result<(), Failure> {
    let mut body = response.bytes_stream();
    let mut reader = EventReader::default();
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| Failure::connection(&error))?;
        let events = reader.push(&part).map_err(|_| Failure::retry("the server sends more than an answer can be"))?;
        for data in events {
            if !take_event(&data, exchange)? {
                return Ok(());
            }
        }
    }
    if let Some(data) = reader.finish() {
        take_event(&data, exchange)?;
    }
    if exchange.finish.is_none() {
        return Err(Failure::retry("the server's answer broke off"));
    }
    Ok(())
}

/// False when the answer is complete.
fn take_event(data: &str, exchange: &mut Exchange) -> Result<bool, Failure> {
    if data.trim() == "[DONE]" {
        exchange.finish.get_or_insert(FinishReason::Stop);
        return Ok(false);
    }
    let said = openai_wire::said(data).map_err(|error| Failure::retry(error.to_string()))?;
    Ok(exchange.take(said))
}

/// The breaker's trial is free again if the request is dropped half-way.
struct Trial<'a> {
    generator: &'a OpenAiGenerator,
    judged: bool,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.judged {
            self.generator.breaker(|breaker| breaker.abandoned(Instant::now()));
        }
    }
}

#[async_trait]
impl Generator for OpenAiGenerator {
    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    /// A guess, on the high side for most tokenizers: the server has the real one.
    fn count_tokens(&self, prompt: &Prompt) -> u32 {
        match prompt {
            Prompt::Chat(messages) => messages.iter().map(|message| 6 + guess(&message.content)).sum(),
            Prompt::Text(text) => guess(text),
        }
    }

    async fn generate(&self, request: Request) -> Result<Generation, GenerateError> {
        let admitted = self.breaker(|breaker| breaker.admit(Instant::now()));
        admitted.map_err(|retry_after| GenerateError::Overloaded {
            retry_after,
            cause: "the model's server failed several times in a row and is left alone for a while".to_owned(),
        })?;
        let mut trial = Trial { generator: self, judged: false };
        let mut params = request.params.clone();
        params.max_tokens = params.max_tokens.min(self.max_tokens);
        let (path, body) = openai_wire::request(&self.info.name, &request.prompt, &params);
        let mut exchange = Exchange {
            answer: Answer::new(&params.stop, request.pieces.clone()),
            heard: false,
            pieces: 0,
            usage: None,
            finish: None,
        };
        let deadline = request.deadline.map_or(self.patience.total, |deadline| deadline.min(self.patience.total));
        let early = ended_early(&request.cancel, Some(deadline));
        let ended = tokio::select! {
            biased;
            reason = early => Some(reason),
            result = self.converse(path, body, &mut exchange) => {
                self.judge(&result);
                trial.judged = true;
                result?;
                None
            }
        };
        if ended == Some(FinishReason::Deadline) && !exchange.heard {
            // not a word in all that time: that is a failing server
            self.breaker(|breaker| breaker.failed(Instant::now()));
            trial.judged = true;
        }
        let finish = ended.or(exchange.finish).unwrap_or(FinishReason::Stop);
        let guessed = Usage { prompt_tokens: self.count_tokens(&request.prompt), completion_tokens: exchange.pieces };
        let usage = exchange.usage.unwrap_or(guessed);
        Ok(Generation { text: exchange.answer.finish(), usage, finish, model: self.info.name.clone() })
    }
}

/// Four bytes of ASCII make about a token; other scripts about one per character.
fn guess(text: &str) -> u32 {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let others = text.chars().filter(|character| !character.is_ascii()).count();
    (ascii.div_ceil(4) + others) as u32
}
