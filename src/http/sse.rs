//! Server-sent events: how a stream of them is answered.
//!
//! Not here: what the events say (`public/events.rs`, `public/generate.rs`, `openai/chat.rs`).

use std::convert::Infallible;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use serde::Serialize;

/// The stream as a response; comments keep it open through proxies.
pub fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let stream = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default());
    let mut response = stream.into_response();
    // nginx would collect the pieces otherwise
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(unbuffered.0, unbuffered.1);
    response
}

/// One event with JSON data.
pub fn event(data: &impl Serialize) -> Event {
    // the types that we send always serialise; an empty event is ignored by every client
    let text = serde_json::to_string(data).unwrap_or_default();
    Event::default().data(text)
}
