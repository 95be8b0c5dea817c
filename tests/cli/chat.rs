//! `chat` against a daemon that streams.

use std::sync::Mutex;

use axum::body::{Body, Bytes};
use axum::http::Method;
use axum::response::Response;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::program::Home;
use crate::standin::{Standin, ok, streamed};

/// Where the open event streams get their bytes from: one per conversation's name.
static OPEN: Mutex<Vec<(String, Sender<String>)>> = Mutex::new(Vec::new());

fn events(path: &str) -> Option<Response> {
    let (sender, receiver): (_, Receiver<String>) = channel(16);
    OPEN.lock().unwrap().push((path.to_owned(), sender));
    let bytes = stream::unfold(receiver, |mut receiver| async {
        let text = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), receiver))
    });
    streamed(Body::from_stream(bytes.boxed()))
}

fn say(conversation: &str, event: &str, id: &str, text: &str) {
    let data = json!({ "event": event, "message": id, "text": text });
    let line = format!("event: {event}\nid: 1\ndata: {data}\n\n");
    let path = format!("/api/conversations/{conversation}/events");
    let open = OPEN.lock().unwrap();
    let (_, sender) = open.iter().find(|(name, _)| *name == path).expect("somebody looks on");
    sender.try_send(line).unwrap();
}

/// Streams an answer to every message; another conversation's message is in between.
fn answers(method: &Method, path: &str, body: &Value) -> Option<Response> {
    match (method.as_str(), path) {
        ("GET", path) if path.ends_with("/events") => events(path),
        ("POST", "/api/message") => {
            let (conversation, id) = (body["conversation"].as_str().unwrap(), body["id"].as_str().unwrap());
            match body["text"].as_str().unwrap() {
                "fail" => say(conversation, "error", id, "the model is away"),
                "missed" => say(conversation, "reply", id, "the whole answer"),
                _ => {
                    say(conversation, "token", "somebody else's", "NOT OURS");
                    say(conversation, "token", id, "Hello ");
                    say(conversation, "token", id, "船");
                    say(conversation, "reply", id, "Hello 船 and bye");
                }
            }
            ok(&json!({ "id": id, "state": "accepted", "duplicate": false }))
        }
        _ => None,
    }
}

fn chat(words: &[&str], input: &str) -> (crate::program::Ran, Vec<String>) {
    let home = Home::with("");
    let daemon = Standin::start(&home.path("data"), answers);
    (home.run_with(words, &[], input), daemon.asked())
}

#[test]
fn a_streamed_answer_is_printed_once_and_whole() {
    let (ran, asked) = chat(&["chat", "--conversation", "one", "--message", "hi there"], "");
    assert_eq!((ran.code, ran.out.as_str()), (0, "Hello 船 and bye\n"), "{}", ran.err);
    assert_eq!(asked[0], "GET /api/conversations/one/events", "it looks on before it asks");
    assert!(asked[1].contains("\"text\":\"hi there\""), "{asked:?}");
}

#[test]
fn a_question_on_standard_input_is_taken() {
    let (ran, asked) = chat(&["chat", "--conversation", "two", "--json"], "a long\nquestion\n");
    assert_eq!(ran.well().json()["text"], "Hello 船 and bye");
    assert!(asked[1].contains("a long\\nquestion"), "{asked:?}");
}

#[test]
fn an_answer_without_pieces_is_printed() {
    let (ran, _) = chat(&["chat", "--conversation", "three", "-m", "missed"], "");
    assert_eq!((ran.code, ran.out.as_str()), (0, "the whole answer\n"));
}

#[test]
fn an_error_event_is_a_failure() {
    let (ran, _) = chat(&["chat", "--conversation", "four", "-m", "fail"], "");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("the model is away"), "{}", ran.err);
}

#[test]
fn nothing_to_ask_is_misuse() {
    let (ran, _) = chat(&["chat", "--conversation", "five"], "  \n");
    assert_eq!(ran.code, 2);
}
