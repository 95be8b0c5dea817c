//! The people's side over HTTP, for tests in other languages and by hand: POST `/control/<verb>` with JSON, answered with JSON.
//!
//! `say` (see `Say`), `edit`, `delete` {chat, message_id, text?}, `close` {chat, how}, `migrate` {chat, to}, `open_chat` {chat, kind},
//! `push_update` {kind, chat, body}, `redeliver` {update_id}, `fault` (see `Fault`), `clear_faults`, `privacy` {on},
//! `limits` (see `RateLimits`, or null for none); GET `state`, `visible?chat=`, `calls?method=`;
//! `wait` {chat, contains?, answers?, timeout_ms} gives the bot's messages in the chat, 408 when they do not come.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::people::{self, Closed, Said, Say};
use super::rules::{Fault, RateLimits};
use super::world::{ChatKind, Message, Shared, World};

type Platform = State<Arc<Shared>>;

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/state", get(state))
        .route("/visible", get(visible))
        .route("/calls", get(calls))
        .route("/wait", post(wait))
        .route("/say", post(say))
        .route("/edit", post(edit))
        .route("/delete", post(delete))
        .route("/close", post(close))
        .route("/migrate", post(migrate))
        .route("/open_chat", post(open_chat))
        .route("/push_update", post(push_update))
        .route("/redeliver", post(redeliver))
        .route("/fault", post(fault))
        .route("/clear_faults", post(clear_faults))
        .route("/privacy", post(privacy))
        .route("/limits", post(limits))
}

#[derive(Deserialize)]
struct Place {
    chat: i64,
    #[serde(default)]
    message_id: i64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    to: i64,
}

async fn state(State(shared): Platform) -> Json<Value> {
    Json(shared.read(|world| {
        json!({
            "token": world.bot.token,
            "bot_id": world.bot.id,
            "username": world.bot.username,
            "pending": world.updates.queue.len() + world.updates.again.len(),
            "confirmed": world.updates.confirmed,
            "webhook": world.hook.as_ref().map(|hook| hook.url.to_string()),
            "faults": world.faults,
        })
    }))
}

fn shown(world: &World, chat: i64) -> Vec<Message> {
    let messages = world.chats.get(&chat).into_iter().flat_map(|chat| chat.messages.values());
    messages.filter(|message| !message.deleted).cloned().collect()
}

async fn visible(State(shared): Platform, Query(place): Query<Place>) -> Json<Vec<Message>> {
    Json(shared.read(|world| shown(world, place.chat)))
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    method: String,
}

async fn calls(State(shared): Platform, Query(which): Query<Which>) -> Json<Value> {
    let method = which.method.to_lowercase();
    Json(shared.read(|world| {
        let calls = world.calls.iter().filter(|call| method.is_empty() || call.method == method);
        json!(calls.collect::<Vec<_>>())
    }))
}

#[derive(Deserialize)]
struct Wanted {
    chat: i64,
    #[serde(default)]
    contains: String,
    #[serde(default = "one")]
    answers: usize,
    #[serde(default = "patience")]
    timeout_ms: u64,
}

fn one() -> usize {
    1
}

fn patience() -> u64 {
    30_000
}

async fn wait(State(shared): Platform, Json(wanted): Json<Wanted>) -> (StatusCode, Json<Vec<Message>>) {
    let mut bell = shared.bell();
    let look = || {
        let mut messages = shared.read(|world| shown(world, wanted.chat));
        messages.retain(|message| message.from_bot);
        let found = messages.iter().filter(|message| message.text.contains(&wanted.contains)).count();
        (found >= wanted.answers, messages)
    };
    let waiting = async {
        loop {
            let (enough, messages) = look();
            if enough || bell.changed().await.is_err() {
                return messages;
            }
        }
    };
    match tokio::time::timeout(Duration::from_millis(wanted.timeout_ms), waiting).await {
        Ok(messages) => (StatusCode::OK, Json(messages)),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, Json(look().1)),
    }
}

async fn say(State(shared): Platform, Json(say): Json<Say>) -> Json<Said> {
    Json(shared.write(|world| people::say(world, say)))
}

async fn edit(State(shared): Platform, Json(place): Json<Place>) -> Json<Value> {
    Json(json!({"update_id": shared.write(|world| people::edit(world, place.chat, place.message_id, &place.text))}))
}

async fn delete(State(shared): Platform, Json(place): Json<Place>) -> Json<Value> {
    Json(json!({"deleted": shared.write(|world| people::delete(world, place.chat, place.message_id))}))
}

#[derive(Deserialize)]
struct Door {
    chat: i64,
    how: Closed,
}

async fn close(State(shared): Platform, Json(door): Json<Door>) -> Json<Value> {
    shared.write(|world| people::close(world, door.chat, door.how));
    Json(Value::Null)
}

async fn migrate(State(shared): Platform, Json(place): Json<Place>) -> Json<Value> {
    shared.write(|world| people::migrate(world, place.chat, place.to));
    Json(Value::Null)
}

#[derive(Deserialize)]
struct Room {
    chat: i64,
    kind: ChatKind,
}

async fn open_chat(State(shared): Platform, Json(room): Json<Room>) -> Json<Value> {
    shared.write(|world| world.chat(room.chat, Some(room.kind)).kind = room.kind);
    Json(Value::Null)
}

#[derive(Deserialize)]
struct RawUpdate {
    kind: String,
    chat: i64,
    body: Value,
}

async fn push_update(State(shared): Platform, Json(raw): Json<RawUpdate>) -> Json<Value> {
    Json(json!({"update_id": shared.write(|world| world.updates.push(&raw.kind, raw.chat, raw.body))}))
}

#[derive(Deserialize)]
struct Again {
    update_id: i64,
}

async fn redeliver(State(shared): Platform, Json(again): Json<Again>) -> Json<Value> {
    let found = shared.write(|world| {
        let update = world.updates.all.iter().find(|update| update.id == again.update_id).cloned();
        update.map(|update| world.updates.again.push(update)).is_some()
    });
    Json(json!({"redelivered": found}))
}

async fn fault(State(shared): Platform, Json(fault): Json<Fault>) -> Json<Value> {
    shared.write(|world| world.faults.push(fault));
    Json(Value::Null)
}

async fn clear_faults(State(shared): Platform) -> Json<Value> {
    shared.write(|world| world.faults.clear());
    Json(Value::Null)
}

#[derive(Deserialize)]
struct Switch {
    on: bool,
}

async fn privacy(State(shared): Platform, Json(switch): Json<Switch>) -> Json<Value> {
    shared.write(|world| world.bot.privacy = switch.on);
    Json(Value::Null)
}

async fn limits(State(shared): Platform, Json(limits): Json<Option<RateLimits>>) -> Json<Value> {
    shared.write(|world| world.rules.limits = limits);
    Json(Value::Null)
}
