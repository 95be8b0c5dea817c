//! The client of the OpenAI API against a small server of our own that misbehaves on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use packetboat_adapter_api::secret::SecretRef;
use serde_json::{Value, json};

use super::config::{ModelBackend, ModelConfig};
use super::openai::{OpenAiGenerator, Patience};
use super::{FinishReason, GenerateError, Generator, Prompt, Request, Usage, conformance};
use crate::clock::FakeClock;

const KEY: &str = "sk-test-key";

/// What the server does with one request.
#[derive(Clone)]
enum Act {
    /// Repeats the last message, word by word, as a model would.
    Echo,
    /// Answers with a status.
    Refuse(u16, &'static str),
    /// Says this and then…
    Say(&'static [&'static str], Then),
    /// Any body under any type.
    Raw(&'static str, &'static str),
}

#[derive(Clone, Copy)]
enum Then {
    Done,
    Close,
    Break,
    Hang,
}

#[derive(Default)]
struct Server {
    acts: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<(String, Option<String>, Value)>>,
}

impl Server {
    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn serve(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let key = headers.get(header::AUTHORIZATION).map(|key| key.to_str().unwrap().to_owned());
    server.seen.lock().unwrap().push((uri.path().to_owned(), key, body.clone()));
    let act = {
        let mut acts = server.acts.lock().unwrap();
        // the last one stays
        if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() }
    };
    match act.unwrap() {
        Act::Echo => respond(200, "text/event-stream", echo(&body)),
        Act::Refuse(status, body) => respond(status, "application/json", once(body)),
        Act::Say(words, then) => {
            let said = words.iter().map(|word| event(&json!({ "choices": [{ "delta": { "content": word } }] })));
            respond(200, "text/event-stream", stream::iter(said).chain(ending(then)).boxed())
        }
        Act::Raw(kind, body) => respond(200, kind, once(body)),
    }
}

fn respond(status: u16, kind: &str, body: BoxStream<'static, Result<String, std::io::Error>>) -> Response {
    let response = Response::builder().status(StatusCode::from_u16(status).unwrap()).header(header::CONTENT_TYPE, kind);
    let response = if status == 429 { response.header(header::RETRY_AFTER, "7") } else { response };
    response.body(Body::from_stream(body)).unwrap()
}

fn once(body: &'static str) -> BoxStream<'static, Result<String, std::io::Error>> {
    stream::once(async move { Ok(body.to_owned()) }).boxed()
}

fn event(data: &Value) -> Result<String, std::io::Error> {
    Ok(format!("data: {data}\n\n"))
}

fn ending(then: Then) -> BoxStream<'static, Result<String, std::io::Error>> {
    match then {
        Then::Done => stream::iter([
            event(&json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] })),
            event(&json!({ "choices": [], "usage": { "prompt_tokens": 5, "completion_tokens": 2 } })),
            Ok("data: [DONE]\n\n".to_owned()),
        ])
        .boxed(),
        Then::Close => stream::empty().boxed(),
        // what was said before goes out while this waits
        Then::Break => stream::once(async {
            tokio::task::yield_now().await;
            Err(std::io::Error::other("cut"))
        })
        .boxed(),
        Then::Hang => stream::pending().boxed(),
    }
}

fn echo(body: &Value) -> BoxStream<'static, Result<String, std::io::Error>> {
    let said = body["messages"]
        .as_array()
        .and_then(|messages| messages.last())
        .map_or(&body["prompt"], |last| &last["content"]);
    let text = format!("echo: {}", said.as_str().unwrap());
    let limit = body["max_tokens"].as_u64().unwrap() as usize;
    let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
    let finish = if words.len() > limit { "length" } else { "stop" };
    let count = words.len().min(limit);
    let mut events: Vec<Value> =
        words.into_iter().take(limit).map(|word| json!({ "choices": [{ "delta": { "content": word } }] })).collect();
    events.push(json!({ "choices": [{ "delta": {}, "finish_reason": finish }] }));
    events.push(json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": count } }));
    let done = stream::iter([Ok("data: [DONE]\n\n".to_owned())]);
    stream::iter(events.iter().map(event).collect::<Vec<_>>()).chain(done).boxed()
}

async fn server(acts: &[Act]) -> (Arc<Server>, String) {
    let server = Arc::new(Server::default());
    server.acts.lock().unwrap().extend(acts.iter().cloned());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).with_state(Arc::clone(&server));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, address)
}

fn config(base_url: &str) -> ModelConfig {
    let key = SecretRef::Command(vec!["printf".to_owned(), KEY.to_owned()]);
    ModelConfig {
        backend: ModelBackend::Openai,
        base_url: Some(base_url.to_owned()),
        name: Some("some-model".to_owned()),
        api_key: Some(key),
        ..ModelConfig::default()
    }
}

fn generator(base_url: &str, attempts: u32) -> OpenAiGenerator {
    let patience = Patience {
        connect: Duration::from_secs(5),
        silence: Duration::from_millis(150),
        total: Duration::from_secs(60),
        attempts,
        backoff: Duration::from_millis(1),
    };
    OpenAiGenerator::with_patience(&config(base_url), FakeClock::at(0), patience).unwrap()
}

/// The error's text, having made sure that it tells no secrets.
fn told(error: &GenerateError) -> String {
    let text = error.to_string();
    assert!(!text.contains(KEY) && !text.contains("127.0.0.1") && !text.contains("Hello"), "{text}");
    text
}

#[tokio::test]
async fn it_conforms() {
    let (_server, address) = server(&[Act::Echo]).await;
    conformance::answers(&generator(&address, 1)).await;
    let (_server, address) = server(&[Act::Say(&["for ", "ever"], Then::Hang)]).await;
    let patient = OpenAiGenerator::new(&config(&address), FakeClock::at(0)).unwrap();
    conformance::ends_early(&patient, true).await;
}

#[tokio::test]
async fn key_and_path_are_right_and_the_servers_count_is_taken() {
    let (server, address) = server(&[Act::Say(&["Hel", "lo"], Then::Done)]).await;
    let generator = generator(&address, 1);
    let generation = generator.generate(conformance::chat("Hello")).await.unwrap();
    assert_eq!((generation.text.as_str(), generation.finish), ("Hello", FinishReason::Stop));
    assert_eq!(generation.usage, Usage { prompt_tokens: 5, completion_tokens: 2 });
    let bare = Request { prompt: Prompt::Text("go".to_owned()), ..conformance::chat("") };
    generator.generate(bare).await.unwrap();
    let seen = server.seen.lock().unwrap();
    let paths: Vec<&str> = seen.iter().map(|(path, _, _)| path.as_str()).collect();
    assert_eq!(paths, ["/v1/chat/completions", "/v1/completions"]);
    assert_eq!(seen[0].1.as_deref(), Some("Bearer sk-test-key"));
    assert_eq!(seen[0].2["model"], "some-model");
}

#[tokio::test]
async fn a_server_error_is_tried_again() {
    let (server, address) = server(&[Act::Refuse(500, "oops"), Act::Refuse(503, ""), Act::Echo]).await;
    let generation = generator(&address, 3).generate(conformance::chat("Hello")).await.unwrap();
    assert_eq!((generation.text.as_str(), server.requests()), ("echo: Hello", 3));
}

#[tokio::test]
async fn too_many_requests_says_when_to_come_back() {
    let (server, address) = server(&[Act::Refuse(429, r#"{"error":{"code":"rate_limited"}}"#)]).await;
    let error = generator(&address, 3).generate(conformance::chat("Hello")).await.unwrap_err();
    assert!(told(&error).contains("429 (rate_limited)"));
    assert!(matches!(error, GenerateError::Overloaded { retry_after, .. } if retry_after == Duration::from_secs(7)));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_refused_request_is_final_and_names_the_setting() {
    for (status, setting) in
        [(401, "api_key"), (403, "api_key"), (404, "name and base_url"), (307, "base_url"), (400, "400")]
    {
        let (server, address) = server(&[Act::Refuse(status, r#"{"error":{"message":"Hello sk-test-key"}}"#)]).await;
        let error = generator(&address, 3).generate(conformance::chat("Hello")).await.unwrap_err();
        assert!(told(&error).contains(setting), "{error}");
        assert!(matches!(error, GenerateError::Reject(_)));
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_parameter_that_the_server_does_not_take_is_left_out_from_then_on() {
    let no_limit = Act::Refuse(400, r#"{"error":{"param":"max_tokens","code":"unsupported_parameter"}}"#);
    let no_heat = Act::Refuse(400, r#"{"error":{"param":"temperature","code":"unsupported_value"}}"#);
    let (server, address) = server(&[no_limit, no_heat, Act::Say(&["Hello"], Then::Done)]).await;
    let generator = generator(&address, 1);
    for _ in 0..2 {
        assert_eq!(generator.generate(conformance::chat("Hello")).await.unwrap().text, "Hello");
    }
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    for (_, _, body) in &seen[2..] {
        assert_eq!((body.get("max_tokens"), body.get("temperature")), (None, None));
        assert_eq!(body["max_completion_tokens"], 24);
    }
}

#[tokio::test]
async fn a_parameter_that_is_refused_for_ever_is_final() {
    let stubborn = Act::Refuse(400, r#"{"error":{"param":"max_tokens"}}"#);
    let (server, address) = server(&[stubborn]).await;
    let error = generator(&address, 3).generate(conformance::chat("Hello")).await.unwrap_err();
    assert!(matches!(error, GenerateError::Reject(_)));
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_cut_stream_is_tried_again_only_before_the_first_word() {
    for then in [Then::Break, Then::Close, Then::Hang] {
        let (server, address) = server(&[Act::Say(&[], then), Act::Echo]).await;
        let generation = generator(&address, 2).generate(conformance::chat("Hello")).await.unwrap();
        assert_eq!((generation.text.as_str(), server.requests()), ("echo: Hello", 2));

        let (server, address) = self::server(&[Act::Say(&["half "], then), Act::Echo]).await;
        let error = generator(&address, 2).generate(conformance::chat("Hello")).await.unwrap_err();
        told(&error);
        assert!(matches!(error, GenerateError::Retry(_)));
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn garbage_is_a_failure_and_an_answer_in_one_piece_is_not() {
    for body in
        ["data: <html>\n\n", "data: {\"choices\": 1}\n\n", "data: {\"error\": {\"code\": \"busy\"}}\n\n", "hello"]
    {
        let (_server, address) = server(&[Act::Raw("text/event-stream", body)]).await;
        let error = generator(&address, 1).generate(conformance::chat("Hello")).await.unwrap_err();
        told(&error);
        assert!(matches!(error, GenerateError::Retry(_)), "{error}");
    }
    let body = r#"{"choices":[{"message":{"content":"all at once"},"finish_reason":"stop"}]}"#;
    let (_server, address) = server(&[Act::Raw("application/json", body)]).await;
    let generation = generator(&address, 1).generate(conformance::chat("Hello")).await.unwrap();
    assert_eq!(generation.text, "all at once");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure_worth_another_try() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let error = generator(&address, 2).generate(conformance::chat("Hello")).await.unwrap_err();
    assert!(told(&error).contains("can't connect") && matches!(error, GenerateError::Retry(_)));
}

#[tokio::test]
async fn after_failures_in_a_row_the_server_is_left_alone() {
    let (server, address) = server(&[Act::Refuse(502, "")]).await;
    let generator = generator(&address, 1);
    for _ in 0..5 {
        assert!(matches!(generator.generate(conformance::chat("Hello")).await, Err(GenerateError::Retry(_))));
    }
    let error = generator.generate(conformance::chat("Hello")).await.unwrap_err();
    assert!(told(&error).contains("left alone") && matches!(error, GenerateError::Overloaded { .. }));
    assert_eq!(server.requests(), 5);
}

#[test]
fn missing_settings_are_named() {
    let load = |config: &ModelConfig| {
        OpenAiGenerator::new(config, FakeClock::at(0)).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let good = config("http://127.0.0.1:1/v1");
    assert!(load(&ModelConfig { base_url: None, ..good.clone() }).contains("set [model] base_url"));
    assert!(load(&ModelConfig { base_url: Some("ftp://x".to_owned()), ..good.clone() }).contains("base_url"));
    assert!(load(&ModelConfig { name: None, ..good.clone() }).contains("[model] name"));
    let unset = Some(SecretRef::Env("PACKETBOAT_TEST_UNSET_KEY".to_owned()));
    assert!(load(&ModelConfig { api_key: unset, ..good }).contains("api_key"));
}
