//! `POST /v1/chat/completions`, as OpenAI has it.
//!
//! Invariant: a refusal before the first word is a proper HTTP status, streamed or not; after it, an `error` chunk.

use axum::Json;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::ErrorBody;
use super::models::check_name;
use super::request::{ChatRequest, StreamOptions};
use crate::http::ask::{Asking, Step, ask};
use crate::http::extract::{Authenticated, JsonBody};
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::http::sse;
use crate::inference::{FinishReason, Generation, Prompt, Usage};

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("A chat completion, compatible with OpenAI's")
        .takes::<ChatRequest>()
        .gives_kind(200, "application/json", "An object `chat.completion`, as OpenAI documents it")
        .gives_kind(200, "text/event-stream", "With `stream`: objects `chat.completion.chunk`, then `[DONE]`")
        .gives::<ErrorBody>(400, "A wish that makes no sense or is not supported")
        .gives::<ErrorBody>(404, "No such model")
        .gives::<ErrorBody>(503, "The model has too much to do, or failed");
}

/// Asks the model.
pub async fn post(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    JsonBody(request): JsonBody<ChatRequest>,
) -> Result<Response, Problem> {
    request.check()?;
    check_name(&services, request.model.as_deref())?;
    let prompt = Prompt::Chat(request.chat()?);
    let streamed = request.stream == Some(true);
    let with_usage = request.stream_options.as_ref().is_some_and(|StreamOptions { include_usage }| *include_usage);
    let params = request.wishes().settle(&services.sampling)?;
    let head = Head {
        id: format!("chatcmpl-{:016x}{:016x}", services.clock.random(), services.clock.random()),
        created: services.clock.now_ms() / 1000,
        model: services.completions.info().name,
        with_usage,
    };
    let mut asking = ask(&services, caller, prompt, params);
    if !streamed {
        return Ok(Json(head.whole(&asking.whole().await?)).into_response());
    }
    let first = match asking.next().await {
        Step::Done(Err(problem)) => return Err(problem),
        step => step,
    };
    Ok(sse::respond(head.stream(asking, first)))
}

/// What every chunk of one completion has in common.
struct Head {
    id: String,
    /// Seconds since 1970 UTC.
    created: u64,
    model: String,
    with_usage: bool,
}

impl Head {
    fn whole(&self, generation: &Generation) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": generation.text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish(generation.finish),
            }],
            "usage": usage(generation.usage),
        })
    }

    /// The role, the words, the reason, the tokens if asked for, the end.
    fn stream(self, asking: Asking, first: Step) -> impl Stream<Item = Event> + Send {
        let opening = sse::event(&self.chunk(&json!({"role": "assistant", "content": ""}), None));
        let rest = stream::unfold(Some((self, asking, Some(first))), async |state| {
            let (head, mut asking, first) = state?;
            let step = match first {
                Some(step) => step,
                None => asking.next().await,
            };
            Some(match step {
                Step::Piece(text) => {
                    (vec![sse::event(&head.chunk(&json!({"content": text}), None))], Some((head, asking, None)))
                }
                Step::Done(Ok(generation)) => (head.ending(&generation), None),
                Step::Done(Err(problem)) => (vec![sse::event(&ErrorBody::of(&problem))], None),
            })
        });
        stream::iter([opening]).chain(rest.flat_map(stream::iter))
    }

    fn ending(&self, generation: &Generation) -> Vec<Event> {
        let mut events = vec![sse::event(&self.chunk(&json!({}), Some(finish(generation.finish))))];
        if self.with_usage {
            let mut chunk = self.chunk(&json!({}), None);
            chunk["choices"] = json!([]);
            chunk["usage"] = usage(generation.usage);
            events.push(sse::event(&chunk));
        }
        events.push(Event::default().data("[DONE]"));
        events
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}],
        });
        if self.with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens.saturating_add(usage.completion_tokens),
    })
}

/// OpenAI knows two ends that we have; being cut off is the second.
fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length | FinishReason::Deadline | FinishReason::Cancelled => "length",
    }
}

#[cfg(test)]
mod tests;
