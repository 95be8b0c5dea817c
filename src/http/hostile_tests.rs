//! Callers that mean no good, or know no better: whatever they send, the answer is a refusal and nothing breaks.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::fixture::Fixture;
use super::serve::{Limits, Listener, serve};
use crate::security::scope::Scope;

/// JSON of any shape, with our own keys often enough to get somewhere.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let word = prop_oneof![
        Just("text"),
        Just("id"),
        Just("conversation"),
        Just("sender"),
        Just("prompt"),
        Just("messages"),
        Just("role"),
        Just("content"),
        Just("user"),
        Just("stop"),
        Just("stream"),
        Just("max_tokens"),
        Just("temperature"),
        Just("top_p"),
        Just("seed"),
        Just("n"),
        Just("model"),
        Just("stream_options"),
        Just("code"),
        Just("tools"),
        Just("type"),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        word.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|pairs| {
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
            }),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        Just("/api/message"),
        Just("/api/session"),
        Just("/v1/generate"),
        Just("/v1/chat/completions"),
        Just("/v1/models"),
        Just("/api/postcard"),
        Just("/health"),
        Just("/"),
    ];
    let id = "[!-~]{0,20}"
        .prop_map(|text| text.replace(['#', '?', ' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}'], "%41"));
    prop_oneof![
        3 => known.prop_map(str::to_owned),
        1 => id.clone().prop_map(|id| format!("/api/message/{id}")),
        1 => id.clone().prop_map(|id| format!("/v1/models/{id}")),
        1 => id.prop_map(|id| format!("/{id}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_input_alone_leads_to_a_5xx(
        path in path(),
        post in any::<bool>(),
        body in prop_oneof![3 => json().prop_map(|value| value.to_string()), 1 => ".{0,40}"],
        header in "[ -~]{0,30}",
        signed in any::<bool>(),
    ) {
        // a uri that http itself refuses never reaches us
        prop_assume!(path.parse::<http::Uri>().is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let status = runtime.block_on(async {
            let fixture = Fixture::new();
            let token = fixture.token("me", &[Scope::Chat]);
            let token = if signed { token.as_str() } else { header.as_str() };
            let headers = [
                ("content-type", "application/json"),
                ("idempotency-key", header.as_str()),
                ("prefer", header.as_str()),
                ("last-event-id", header.as_str()),
                ("accept-language", header.as_str()),
                ("x-forwarded-for", header.as_str()),
            ];
            let method = if post { "POST" } else { "GET" };
            fixture.open(method, &path, Some(token), &headers, &body).await.status()
        });
        prop_assert!(!status.is_server_error(), "{status} for {path} {body}");
    }

    #[test]
    fn no_text_is_taken_for_a_token(text in ".{0,200}", parts in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,60}") {
        let fixture = Fixture::new();
        prop_assert!(fixture.services.tokens.verify(&text).is_err());
        prop_assert!(fixture.services.tokens.verify(&parts).is_err());
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_generation_that_it_waits_for() {
    let fixture = Fixture::new();
    let token = fixture.token("me", &[Scope::Chat]);
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (tcp.local_addr().unwrap(), CancellationToken::new());
    let limits = Limits { connections: Arc::new(Semaphore::new(8)), grace: Duration::from_secs(60) };
    let server = tokio::spawn(serve(Listener::Plain(tcp), fixture.public.clone(), limits, stop.clone()));
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = r#"{"prompt":"FOREVER"}"#;
    let request = format!(
        "POST /v1/generate HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    fixture.model.asked().await;
    drop(client);
    fixture.model.cancelled().await;
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_sent_without_waiting_for_a_great_body() {
    let fixture = Fixture::new();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (tcp.local_addr().unwrap(), CancellationToken::new());
    let limits = Limits { connections: Arc::new(Semaphore::new(8)), grace: Duration::from_secs(60) };
    let server = tokio::spawn(serve(Listener::Plain(tcp), fixture.public.clone(), limits, stop.clone()));
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = "POST /api/message HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                expect: 100-continue\r\ncontent-length: 100000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // not a byte of the body is sent, and nobody asks for it
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    stop.cancel();
    server.await.unwrap();
}
