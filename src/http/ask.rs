//! A question put to the model directly, for as long as somebody waits for the answer.
//!
//! Invariant: when the caller goes away, or its token ends, the generation is cancelled within one step. Nothing here is
//! durable (`completion.rs`).

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::problem::Problem;
use super::services::SamplingDefaults;
use super::services::Shared;
use crate::inference::{GenerateError, Generation, Prompt, Request, SamplingParams};
use crate::security::scope::Principal;

/// A generation that runs while this lives.
pub struct Asking {
    pieces: UnboundedReceiver<String>,
    outcome: JoinHandle<Result<Generation, GenerateError>>,
    _cancels: DropGuard,
}

/// What came next.
pub enum Step {
    /// More text.
    Piece(String),
    /// The end.
    Done(Result<Generation, Problem>),
}

/// Asks.
pub fn ask(services: &Shared, caller: Principal, prompt: Prompt, params: SamplingParams) -> Asking {
    #[expect(clippy::disallowed_methods, reason = "bounded by the generation's max_tokens")]
    let (sender, pieces) = unbounded_channel();
    let cancel = CancellationToken::new();
    let request = Request {
        prompt,
        params,
        cancel: cancel.clone(),
        deadline: Some(services.request_timeout),
        pieces: Some(sender),
    };
    let (services, stop) = (Arc::clone(services), cancel.clone());
    let outcome = tokio::spawn(async move {
        let mut generation = std::pin::pin!(services.completions.generate(request));
        tokio::select! {
            biased;
            outcome = &mut generation => outcome,
            () = services.tokens.lapse(&caller) => {
                stop.cancel();
                generation.await
            }
        }
    });
    Asking { pieces, outcome, _cancels: cancel.drop_guard() }
}

impl Asking {
    /// Waits for more.
    pub async fn next(&mut self) -> Step {
        match self.pieces.recv().await {
            Some(piece) => Step::Piece(piece),
            None => Step::Done(self.finish().await),
        }
    }

    /// Waits for all of it.
    pub async fn whole(mut self) -> Result<Generation, Problem> {
        self.finish().await
    }

    async fn finish(&mut self) -> Result<Generation, Problem> {
        let outcome = (&mut self.outcome).await.map_err(|error| {
            tracing::error!(%error, "a generation panicked");
            Problem::internal()
        })?;
        outcome.map_err(Problem::from)
    }
}

impl From<GenerateError> for Problem {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Overloaded { retry_after, .. } => {
                Self::busy("overloaded", "the model has too much to do; wait as Retry-After says", retry_after)
            }
            GenerateError::Retry(cause) => {
                tracing::warn!(error.cause = cause, "the model failed while answering a request");
                Self::busy("model_failed", "the model failed; the daemon's log says why", Duration::from_secs(5))
            }
            GenerateError::Reject(cause) => Self::new(StatusCode::BAD_REQUEST, "rejected", cause),
        }
    }
}

/// What a request says about sampling, before it is checked.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// New tokens at most.
    pub max_tokens: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f32>,
    /// Above 0, at most 1.
    pub top_p: Option<f32>,
    /// 0 = all.
    pub top_k: Option<u32>,
    /// The text ends before any of these.
    pub stop: Vec<String>,
    /// For the same text again.
    pub seed: Option<i64>,
}

/// Stop strings of one request at most, as OpenAI has it.
const MAX_STOPS: usize = 4;
/// Bytes of one stop string at most.
const MAX_STOP_LENGTH: usize = 256;

impl Wishes {
    /// Fills in the defaults and refuses what makes no sense.
    pub fn settle(self, defaults: &SamplingDefaults) -> Result<SamplingParams, Problem> {
        let temperature = self.temperature.unwrap_or(defaults.temperature);
        let top_p = self.top_p.unwrap_or(defaults.top_p);
        if self.max_tokens == Some(0) {
            return Err(Problem::invalid("max_tokens", "`max_tokens` is at least 1"));
        }
        if !(0.0..=2.0).contains(&temperature) {
            return Err(Problem::invalid("temperature", "`temperature` is 0 to 2"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Problem::invalid("top_p", "`top_p` is above 0 and at most 1"));
        }
        let fits = |stop: &String| (1..=MAX_STOP_LENGTH).contains(&stop.len());
        if self.stop.len() > MAX_STOPS || !self.stop.iter().all(fits) {
            let detail = format!("`stop` is at most {MAX_STOPS} strings of 1 to {MAX_STOP_LENGTH} bytes");
            return Err(Problem::invalid("stop", detail));
        }
        Ok(SamplingParams {
            max_tokens: self.max_tokens.unwrap_or(defaults.max_tokens),
            temperature,
            top_p,
            top_k: self.top_k.unwrap_or(defaults.top_k),
            stop: self.stop,
            seed: self.seed.map(i64::cast_unsigned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: SamplingDefaults = SamplingDefaults { max_tokens: 64, temperature: 0.7, top_p: 0.9, top_k: 40 };

    fn refused(wishes: Wishes) -> String {
        wishes.settle(&DEFAULTS).unwrap_err().param.unwrap_or_default()
    }

    #[test]
    fn what_is_not_said_comes_from_the_configuration() {
        let params = Wishes::default().settle(&DEFAULTS).unwrap();
        assert_eq!((params.max_tokens, params.top_k, params.seed), (64, 40, None));
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        assert_eq!(refused(Wishes { max_tokens: Some(0), ..Wishes::default() }), "max_tokens");
        for temperature in [-0.1, 2.1, f32::NAN, f32::INFINITY] {
            assert_eq!(refused(Wishes { temperature: Some(temperature), ..Wishes::default() }), "temperature");
        }
        for top_p in [0.0, -1.0, 1.1, f32::NAN] {
            assert_eq!(refused(Wishes { top_p: Some(top_p), ..Wishes::default() }), "top_p");
        }
        for stop in [vec![String::new()], vec!["x".into(); 5], vec!["x".repeat(257)]] {
            assert_eq!(refused(Wishes { stop, ..Wishes::default() }), "stop");
        }
    }

    #[test]
    fn the_edges_are_allowed() {
        let wishes = Wishes {
            max_tokens: Some(1),
            temperature: Some(0.0),
            top_p: Some(1.0),
            seed: Some(-1),
            ..Wishes::default()
        };
        assert_eq!(wishes.settle(&DEFAULTS).unwrap().seed, Some(u64::MAX));
    }
}
