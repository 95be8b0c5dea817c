//! `POST /v1/generate`: bare text, continued by the model.
//!
//! Not durable, no conversation; for chat use `/api/message` or `/v1/chat/completions`.

use axum::Json;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::ask::{Asking, Step, Wishes, ask};
use crate::http::extract::{Authenticated, JsonBody};
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::http::sse;
use crate::inference::{FinishReason, Generation, Prompt, SamplingParams};

/// What to continue, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The text so far.
    prompt: String,
    /// New tokens at most.
    #[serde(default)]
    max_tokens: Option<u32>,
    /// 0 (always the likeliest) to 2.
    #[serde(default)]
    temperature: Option<f32>,
    /// Choose among the likeliest tokens whose probabilities add up to this.
    #[serde(default)]
    top_p: Option<f32>,
    /// Choose among this many of the likeliest tokens; 0 = all.
    #[serde(default)]
    top_k: Option<u32>,
    /// The text ends before any of these; at most 4.
    #[serde(default)]
    stop: Vec<String>,
    /// The same seed, prompt and model give the same text.
    #[serde(default)]
    seed: Option<i64>,
    /// Answer with server-sent events `token`, then `done` (or `error`).
    #[serde(default)]
    stream: bool,
}

/// What the model said.
#[derive(Debug, Serialize, JsonSchema)]
struct Generated {
    /// All of it.
    text: String,
    /// In tokens.
    usage: Tokens,
    /// `stop`, `length`, `cancelled` or `deadline`.
    #[schemars(with = "String")]
    finish: FinishReason,
    /// Which model spoke.
    model: String,
}

/// What it cost.
#[derive(Debug, Serialize, JsonSchema)]
struct Tokens {
    prompt_tokens: u32,
    completion_tokens: u32,
}

impl From<Generation> for Generated {
    fn from(generation: Generation) -> Self {
        let Generation { text, usage, finish, model } = generation;
        let usage = Tokens { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens };
        Self { text, usage, finish, model }
    }
}

#[derive(Serialize)]
struct Piece {
    text: String,
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("Continue a text")
        .takes::<Generate>()
        .gives::<Generated>(200, "What the model said")
        .gives_kind(200, "text/event-stream", "With `stream`: events `token` {text}, then `done`, or `error`")
        .refuses(&[400, 408, 413, 415, 422, 503]);
}

/// Asks the model.
pub async fn post(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    JsonBody(wanted): JsonBody<Generate>,
) -> Result<Response, Problem> {
    if wanted.prompt.is_empty() {
        return Err(Problem::invalid("prompt", "`prompt` is empty"));
    }
    let streamed = wanted.stream;
    let (prompt, params) = read(wanted, &services)?;
    let mut asking = ask(&services, caller, prompt, params);
    if !streamed {
        return Ok(Json(Generated::from(asking.whole().await?)).into_response());
    }
    // a refusal before the first word is still a proper status
    let first = match asking.next().await {
        Step::Done(Err(problem)) => return Err(problem),
        step => step,
    };
    Ok(sse::respond(events(asking, first)))
}

fn read(wanted: Generate, services: &Shared) -> Result<(Prompt, SamplingParams), Problem> {
    let Generate { prompt, max_tokens, temperature, top_p, top_k, stop, seed, stream: _ } = wanted;
    let wishes = Wishes { max_tokens, temperature, top_p, top_k, stop, seed };
    Ok((Prompt::Text(prompt), wishes.settle(&services.sampling)?))
}

fn events(asking: Asking, first: Step) -> impl futures::Stream<Item = Event> {
    stream::unfold(Some((asking, Some(first))), async |state| {
        let (mut asking, first) = state?;
        let step = match first {
            Some(step) => step,
            None => asking.next().await,
        };
        Some(match step {
            Step::Piece(text) => (sse::event(&Piece { text }).event("token"), Some((asking, None))),
            Step::Done(Ok(generation)) => (sse::event(&Generated::from(generation)).event("done"), None),
            Step::Done(Err(problem)) => (sse::event(&problem.body()).event("error"), None),
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::http::fixture::{Fixture, json};
    use crate::security::scope::Scope;

    #[tokio::test]
    async fn a_text_is_continued() {
        let fixture = Fixture::new();
        let token = fixture.token("owner", &[Scope::Chat]);
        let answer = fixture.call("POST", "/v1/generate", Some(&token), r#"{"prompt":"one two"}"#).await;
        assert_eq!(answer.status, 200);
        let body = answer.json();
        assert_eq!(body["text"], "you said: one two");
        assert_eq!(body["usage"], json!({"prompt_tokens": 2, "completion_tokens": 4}));
    }

    #[tokio::test]
    async fn the_pieces_of_a_stream_are_the_text() {
        let fixture = Fixture::new();
        let token = fixture.token("owner", &[Scope::Chat]);
        let answer = fixture.call("POST", "/v1/generate", Some(&token), r#"{"prompt":"one","stream":true}"#).await;
        assert_eq!(answer.headers["content-type"], "text/event-stream");
        let events = answer.events();
        let pieces: String = events
            .iter()
            .filter(|event| event.name == "token")
            .map(|event| event.data["text"].as_str().unwrap())
            .collect();
        assert_eq!(pieces, "you said: one");
        assert_eq!(events.last().unwrap().name, "done");
        assert_eq!(events.last().unwrap().data["text"], "you said: one");
    }

    #[tokio::test]
    async fn an_overloaded_model_is_a_503_streamed_or_not() {
        let fixture = Fixture::new();
        let token = fixture.token("owner", &[Scope::Chat]);
        for body in [r#"{"prompt":"OVERLOAD"}"#, r#"{"prompt":"OVERLOAD","stream":true}"#] {
            let answer = fixture.call("POST", "/v1/generate", Some(&token), body).await;
            assert_eq!((answer.status, answer.code()), (503, "overloaded".into()));
            assert_eq!(answer.headers["retry-after"], "2");
        }
    }

    #[tokio::test]
    async fn a_prompt_that_can_never_work_is_a_400_and_an_absurd_wish_a_422() {
        let fixture = Fixture::new();
        let token = fixture.token("owner", &[Scope::Chat]);
        let status = async |body: &str| fixture.call("POST", "/v1/generate", Some(&token), body).await.status;
        assert_eq!(status(r#"{"prompt":"REJECT"}"#).await, 400);
        assert_eq!(status(r#"{"prompt":""}"#).await, 422);
        assert_eq!(status(r#"{"prompt":"x","temperature":9}"#).await, 422);
        assert_eq!(status(r#"{"prompt":"x","max_tokens":-1}"#).await, 422);
        assert_eq!(status(r#"{"prompt":"x","max_token":1}"#).await, 422);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_cancels_the_generation() {
        let fixture = Fixture::new();
        let token = fixture.token("owner", &[Scope::Chat]);
        let response =
            fixture.open("POST", "/v1/generate", Some(&token), &[], r#"{"prompt":"FOREVER","stream":true}"#).await;
        assert_eq!(response.status(), 200);
        drop(response);
        fixture.model.cancelled().await;
    }
}
