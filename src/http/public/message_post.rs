//! `POST /api/message`: a message onto the line.
//!
//! Invariants: 202 or 200 only after C1; the same id again is the same message, and with other words it is a conflict;
//! a wait that runs out is a 202, never an error.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use packetboat_adapter_api::envelope::{Envelope, Inbound, Part};
use packetboat_adapter_api::ids::MessageId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::message_get::ReplyText;
use crate::http::extract::{Authenticated, JsonBody};
use crate::http::names;
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::ingress::LONGEST_TEXT;
use crate::queue::view::{MessageView, Stage};
use crate::security::scope::Principal;

/// The longest message, in characters.
const MAX_CHARS: usize = 100_000;
/// The longest wait that `Prefer: wait` gets.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// A message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// What to answer; at most 100 000 characters.
    text: String,
    /// Messages of one conversation are answered in order, and the model remembers them. Default: `default`.
    #[serde(default)]
    conversation: Option<String>,
    /// Who writes, if the token's holder speaks for several people.
    #[serde(default)]
    sender: Option<String>,
    /// The client's own id: sent again with the same id, a message is taken once. `Idempotency-Key` does the same.
    #[serde(default)]
    id: Option<String>,
}

/// It is on the line, durably.
#[derive(Debug, Serialize, JsonSchema)]
struct Taken {
    /// For `GET /api/message/{id}`.
    id: String,
    /// `accepted`.
    state: &'static str,
    /// It had been accepted before; nothing was queued.
    duplicate: bool,
}

/// It was answered while the client waited.
#[derive(Debug, Serialize, JsonSchema)]
struct Answered {
    /// As in `GET /api/message/{id}`.
    id: String,
    /// `completed`; or `dead` or `cancelled`, and then there is no reply.
    state: &'static str,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<ReplyText>,
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("Put a message on the line; it is durable when this answers with a 2xx")
        .header("Idempotency-Key", "the message's id, if the body has none")
        .header("Prefer", "`wait=SECONDS` (at most 120): answer with the reply if it is there by then")
        .takes::<NewMessage>()
        .gives::<Taken>(202, "Accepted")
        .gives::<Answered>(200, "Accepted and answered (only with `Prefer: wait`)")
        .refuses(&[400, 408, 409, 413, 415, 422, 503]);
}

/// Takes the message, and waits for the answer if asked to.
pub async fn post(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewMessage>,
) -> Result<Response, Problem> {
    let id = choose_id(&services, &new, &headers)?;
    let inbound = inbound(&services, &caller, &headers, new, &id)?;
    let key = inbound.envelope.message.clone();
    let accepted = services.intake.accept(inbound.clone()).await?;
    if accepted.duplicate {
        check_same(&services, accepted.job, &inbound)?;
    }
    let wait = preferred_wait(&headers);
    if let Some(answer) = wait_for(&services, &key, wait).await? {
        return Ok(waited((StatusCode::OK, Json(answered(id, answer))).into_response(), wait));
    }
    let location = HeaderValue::try_from(format!("/api/message/{id}")).map_err(|_| Problem::internal())?;
    let taken = Taken { id, state: "accepted", duplicate: accepted.duplicate };
    let mut response = (StatusCode::ACCEPTED, Json(taken)).into_response();
    response.headers_mut().insert(header::LOCATION, location);
    Ok(waited(response, wait))
}

fn choose_id(services: &Shared, new: &NewMessage, headers: &HeaderMap) -> Result<String, Problem> {
    let by_header = match headers.get("idempotency-key") {
        // the draft standard has it in quotes, most clients send it bare
        Some(value) => {
            let refuse = |_| Problem::invalid("Idempotency-Key", "`Idempotency-Key` is not ASCII");
            Some(value.to_str().map_err(refuse)?.trim_matches('"').to_owned())
        }
        None => None,
    };
    match (&new.id, by_header) {
        (Some(id), Some(key)) if *id != key => {
            Err(Problem::invalid("id", "`id` and `Idempotency-Key` differ; send one of them"))
        }
        (Some(id), _) => Ok(id.clone()),
        (None, Some(key)) => Ok(key),
        (None, None) => Ok(format!("{:016x}{:016x}", services.clock.random(), services.clock.random())),
    }
}

fn inbound(
    services: &Shared,
    caller: &Principal,
    headers: &HeaderMap,
    new: NewMessage,
    id: &str,
) -> Result<Inbound, Problem> {
    if new.text.trim().is_empty() {
        return Err(Problem::invalid("text", "`text` is empty"));
    }
    // the line counts bytes, people count characters
    if new.text.chars().nth(MAX_CHARS).is_some() || new.text.len() > LONGEST_TEXT {
        let detail = format!("`text` is longer than {MAX_CHARS} characters");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", detail).at("text"));
    }
    let envelope = Envelope {
        adapter: names::adapter(),
        conversation: names::conversation(caller, new.conversation.as_deref().unwrap_or(names::DEFAULT_CONVERSATION))?,
        sender: names::sender(caller, new.sender.as_deref())?,
        message: names::message(caller, id)?,
        sent_at_ms: Some(services.clock.now_ms()),
        language: language(headers),
        reply_to: None,
    };
    Ok(Inbound { envelope, parts: vec![Part::text(new.text)] })
}

/// The language that the client likes best.
fn language(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let first = text.split([',', ';']).next()?.trim();
    let clean = first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (clean && (2..=35).contains(&first.len())).then(|| first.to_ascii_lowercase())
}

/// One id is one message: other words, or another conversation, under a known id are a mistake of the client.
fn check_same(services: &Shared, job: u64, inbound: &Inbound) -> Result<(), Problem> {
    let Some(known) = services.line.show(job)? else { return Ok(()) };
    let (stored, sent) = (&known.inbound, inbound);
    let same = stored.parts == sent.parts
        && stored.envelope.conversation == sent.envelope.conversation
        && stored.envelope.sender == sent.envelope.sender;
    if same {
        return Ok(());
    }
    let detail = "a different message was accepted under this id; a new message needs a new id";
    Err(Problem::new(StatusCode::CONFLICT, "id_conflict", detail).at("id"))
}

/// `Prefer: wait=10` (RFC 7240), among other preferences perhaps.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = lines.flat_map(|line| line.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse::<u64>();
        seconds.ok().filter(|_| name.trim().eq_ignore_ascii_case("wait"))
    });
    wait.map(|seconds| Duration::from_secs(seconds).min(MAX_WAIT))
}

async fn wait_for(services: &Shared, key: &MessageId, wait: Option<Duration>) -> Result<Option<MessageView>, Problem> {
    let Some(wait) = wait else { return Ok(None) };
    let adapter = names::adapter();
    tokio::select! {
        () = services.line.settled(&adapter, key) => {}
        () = tokio::time::sleep(wait) => {}
        () = services.stopping.cancelled() => {}
    }
    let view = services.line.message(&adapter, key)?;
    Ok(view.filter(|view| outcome(view.state).is_some()))
}

/// How it ended, if it did.
fn outcome(state: Stage) -> Option<&'static str> {
    match state {
        Stage::Completed | Stage::Delivered => Some("completed"),
        Stage::Dead => Some("dead"),
        Stage::Cancelled => Some("cancelled"),
        Stage::Accepted | Stage::Leased | Stage::Retryable => None,
    }
}

fn answered(id: String, view: MessageView) -> Answered {
    let reply = view.reply.map(|reply| ReplyText { text: reply.text });
    Answered { id, state: outcome(view.state).unwrap_or("accepted"), reply }
}

fn waited(mut response: Response, wait: Option<Duration>) -> Response {
    if let Some(wait) = wait {
        let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
        if let Ok(value) = applied {
            response.headers_mut().insert(HeaderName::from_static("preference-applied"), value);
        }
    }
    response
}

#[cfg(test)]
mod tests;
