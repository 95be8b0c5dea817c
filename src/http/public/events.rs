//! `GET /api/conversations/{id}/events`: the answer while it is written, as server-sent events.
//!
//! Invariants: a reply is shown at most once per stream, and after its tokens; whoever names the messages that it waits
//! for (`?message=ID`) gets their replies even if they became durable while nobody looked, after a restart of the daemon
//! too; a token that is revoked or expires ends the stream. Tokens are a live view and may be missed, replies not.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt, stream};
use packetboat_adapter_api::ids::MessageId;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::http::extract::{Asked, Authenticated, Named};
use crate::http::names;
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::http::sse;
use crate::live::{Lane, LiveEvent, Numbered};
use crate::queue::view::Stage;
use crate::security::scope::Principal;

/// Messages that one stream may wait for by name.
const MAX_AWAITED: usize = 16;

/// The query.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// Ids of messages, separated by commas.
    #[serde(default)]
    message: String,
}

/// The data of every event.
#[derive(Debug, Serialize)]
struct Told<'a> {
    message: &'a str,
    text: &'a str,
    /// Why there is no reply, for clients that have their own words: `dead` or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Stage>,
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("Events of a conversation: `token`, `reply` and `error`, each with {message, text}; an `error` may have {state}")
        .header("Last-Event-ID", "go on after this event")
        .query(
            "message",
            "ids separated by commas: show only these messages, from their beginning, and their replies for certain",
        )
        .gives_kind(200, "text/event-stream", "A stream that stays open")
        .refuses(&[422, 503]);
}

/// Opens the stream.
pub async fn get(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    Named(conversation): Named<String>,
    Asked(wanted): Asked<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lane = names::lane(&caller, &conversation)?;
    let awaited = awaited(&caller, &wanted.message)?;
    let after = last_seen(&services, &headers).or((!awaited.is_empty()).then_some(0));
    Ok(sse::respond(Feed::open(services, caller, lane, awaited, after).stream()))
}

fn awaited(caller: &Principal, list: &str) -> Result<HashSet<String>, Problem> {
    let ids = list.split(',').filter(|id| !id.is_empty());
    let keys = ids.map(|id| names::message(caller, id).map(|key| key.as_str().to_owned()));
    let keys = keys.collect::<Result<HashSet<_>, _>>()?;
    if keys.len() > MAX_AWAITED {
        return Err(Problem::invalid("message", format!("one stream waits for at most {MAX_AWAITED} messages")));
    }
    Ok(keys)
}

/// `RUN-SEQ`. Another run's numbers mean nothing to us: then everything that we remember is shown.
fn last_seen(services: &Shared, headers: &HeaderMap) -> Option<u64> {
    let text = headers.get("last-event-id")?.to_str().ok()?;
    let (run, seq) = text.split_once('-').unwrap_or_default();
    let ours = run == services.run.to_string();
    Some(if ours { seq.parse().unwrap_or(0) } else { 0 })
}

type Settling = FuturesUnordered<Pin<Box<dyn Future<Output = String> + Send>>>;

/// One open stream.
struct Feed {
    services: Shared,
    caller: Principal,
    lane: Lane,
    /// Empty = every message of the conversation.
    awaited: HashSet<String>,
    /// Messages whose end was shown; nothing more is shown of them.
    ended: HashSet<String>,
    /// Shown next.
    ready: VecDeque<Event>,
    live: Receiver<Numbered>,
    last: u64,
    settling: Settling,
}

impl Feed {
    fn open(services: Shared, caller: Principal, lane: Lane, awaited: HashSet<String>, after: Option<u64>) -> Self {
        // the live view first: what ends between the two is then seen twice, and shown once
        let (missed, live) = services.live.subscribe(&lane, after);
        let settling = awaited.iter().map(|id| settles(&services, id.clone())).collect();
        let mut feed = Self {
            services,
            caller,
            lane,
            awaited,
            ended: HashSet::new(),
            ready: VecDeque::new(),
            live,
            last: after.unwrap_or(0),
            settling,
        };
        missed.into_iter().for_each(|numbered| feed.take(numbered));
        feed
    }

    fn stream(self) -> impl Stream<Item = Event> + Send {
        stream::unfold(self, async |mut feed| {
            let event = feed.next().await?;
            Some((event, feed))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            tokio::select! {
                // tokens that are here already come before the reply
                biased;
                () = self.services.stopping.cancelled() => return None,
                () = self.services.tokens.lapse(&self.caller) => return None,
                received = self.live.recv() => match received {
                    Ok(numbered) => self.take(numbered),
                    Err(RecvError::Lagged(_)) => self.catch_up(),
                    // the conversation was quiet for so long that its feed was dropped
                    Err(RecvError::Closed) => return None,
                },
                Some(id) = self.settling.next() => self.show_durable(&id),
            }
        }
    }

    /// Too slow: what is still remembered is shown, the rest of the tokens is lost.
    fn catch_up(&mut self) {
        let (missed, live) = self.services.live.subscribe(&self.lane, Some(self.last));
        self.live = live;
        missed.into_iter().for_each(|numbered| self.take(numbered));
    }

    fn take(&mut self, Numbered { seq, event }: Numbered) {
        self.last = seq;
        let (kind, message, text, ends) = match &event {
            LiveEvent::Token { message, text } => ("token", message, text, false),
            LiveEvent::Reply { message, text } => ("reply", message, text, true),
            LiveEvent::Error { message, text } => ("error", message, text, true),
        };
        let wanted = self.awaited.is_empty() || self.awaited.contains(message);
        if !wanted || self.ended.contains(message) {
            return;
        }
        let event = self.event(kind, message, text, None).id(format!("{}-{seq}", self.services.run));
        self.ready.push_back(event);
        if ends && !self.awaited.is_empty() {
            self.ended.insert(message.clone());
        }
    }

    /// The durable end of a message that somebody waits for, if the live view has not shown it.
    fn show_durable(&mut self, id: &str) {
        if self.ended.contains(id) {
            return;
        }
        let found = self.services.line.message(&self.lane.0, &MessageId::new(id));
        // a store that fails now is asked again by the client's next connection
        let Ok(Some(view)) = found else { return };
        if view.conversation != self.lane.1.as_str() {
            return;
        }
        let event = match (view.reply, view.state) {
            (Some(reply), _) => self.event("reply", id, &reply.text, None),
            (None, state @ Stage::Dead) => self.event("error", id, "This message could not be answered.", Some(state)),
            (None, state @ Stage::Cancelled) => self.event("error", id, "This message was withdrawn.", Some(state)),
            (None, _) => return,
        };
        self.ready.push_back(event);
        self.ended.insert(id.to_owned());
    }

    fn event(&self, kind: &str, message: &str, text: &str, state: Option<Stage>) -> Event {
        sse::event(&Told { message: names::outside(&self.caller, message), text, state }).event(kind)
    }
}

fn settles(services: &Shared, id: String) -> Pin<Box<dyn Future<Output = String> + Send>> {
    let services = Arc::clone(services);
    Box::pin(async move {
        services.line.settled(&names::adapter(), &MessageId::new(id.clone())).await;
        id
    })
}

#[cfg(test)]
mod tests;
