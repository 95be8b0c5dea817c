//! What a client may rely on when it sends a message.

use super::*;
use crate::http::fixture::{Fixture, json};
use crate::security::scope::Scope;

fn prefer(text: &str) -> Option<u64> {
    let mut headers = HeaderMap::new();
    headers.insert("prefer", text.parse().unwrap());
    preferred_wait(&headers).map(|wait| wait.as_secs())
}

#[test]
fn a_wait_is_found_among_other_preferences_and_capped() {
    assert_eq!(prefer("wait=10"), Some(10));
    assert_eq!(prefer("respond-async, Wait = \"7\"; x=1"), Some(7));
    assert_eq!(prefer("wait=100000"), Some(120));
    for nonsense in ["wait", "wait=-1", "wait=1.5", "wait=x", "waiting=5", ""] {
        assert_eq!(prefer(nonsense), None, "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_message_is_accepted_under_the_id_that_the_client_gave() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    let answer = fixture.call("POST", "/api/message", Some(&token), r#"{"text":"hello","id":"m1"}"#).await;
    assert_eq!((answer.status, answer.json()), (202, json!({"id": "m1", "state": "accepted", "duplicate": false})));
    assert_eq!(answer.headers["location"], "/api/message/m1");
    let taken = fixture.line.inbound("owner:m1");
    assert_eq!(taken.text(), "hello");
    assert_eq!(taken.envelope.conversation.as_str(), "owner:default");
    assert_eq!(taken.envelope.adapter.as_str(), "http");
}

#[tokio::test]
async fn the_same_message_again_is_a_duplicate_and_other_words_are_a_conflict() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    let send = async |body: &str| fixture.call("POST", "/api/message", Some(&token), body).await;
    assert_eq!(send(r#"{"text":"hello","id":"m1"}"#).await.status, 202);
    let again = send(r#"{"text":"hello","id":"m1"}"#).await;
    assert_eq!((again.status, &again.json()["duplicate"]), (202, &json!(true)));
    for other in [r#"{"text":"bye","id":"m1"}"#, r#"{"text":"hello","id":"m1","conversation":"c"}"#] {
        let conflict = send(other).await;
        assert_eq!((conflict.status, conflict.code()), (409, "id_conflict".into()));
    }
}

#[tokio::test]
async fn one_tokens_ids_are_not_anothers() {
    let fixture = Fixture::new();
    for subject in ["a", "b"] {
        let token = fixture.token(subject, &[Scope::Chat]);
        let answer = fixture.call("POST", "/api/message", Some(&token), r#"{"text":"from me","id":"m1"}"#).await;
        assert_eq!(answer.json()["duplicate"], false, "{subject}");
    }
}

#[tokio::test]
async fn the_idempotency_key_is_the_id_with_and_without_quotes() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    for key in ["k1", "\"k1\""] {
        let headers = [("idempotency-key", key)];
        let answer = fixture.call_with("POST", "/api/message", Some(&token), &headers, r#"{"text":"x"}"#).await;
        assert_eq!(answer.json()["id"], "k1");
    }
    let headers = [("idempotency-key", "k1")];
    let differ = fixture.call_with("POST", "/api/message", Some(&token), &headers, r#"{"text":"x","id":"k2"}"#).await;
    assert_eq!(differ.status, 422);
}

#[tokio::test]
async fn what_can_not_be_a_message_is_refused_and_nothing_is_queued() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(MAX_CHARS + 1));
    let cases = [
        (" ", 400, "malformed_json"),
        ("{", 400, "malformed_json"),
        ("{}", 422, "invalid"),
        (r#"{"text":""}"#, 422, "invalid"),
        (r#"{"text":" \n"}"#, 422, "invalid"),
        (r#"{"text":7}"#, 422, "invalid"),
        (r#"{"text":"x","colour":"red"}"#, 422, "invalid"),
        (r#"{"text":"x","id":""}"#, 422, "invalid"),
        (r#"{"text":"x","id":"a b"}"#, 422, "invalid"),
        (r#"{"text":"x","conversation":"ä"}"#, 422, "invalid"),
        (long.as_str(), 413, "too_long"),
    ];
    for (body, status, code) in cases {
        let answer = fixture.call("POST", "/api/message", Some(&token), body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", &body[..body.len().min(60)]);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let unknown = fixture.call("POST", "/api/message", Some(&token), r#"{"text":"x","colour":1}"#).await;
    assert_eq!(unknown.json()["param"], "colour");
    assert_eq!(fixture.line.accepted(), 0);
}

#[tokio::test]
async fn the_credential_is_checked_first() {
    let fixture = Fixture::new();
    let reader = fixture.token("owner", &[Scope::Read]);
    assert_eq!(fixture.call("POST", "/api/message", None, "{").await.status, 401);
    assert_eq!(fixture.call("POST", "/api/message", Some("x.y.z"), "{").await.status, 401);
    let forbidden = fixture.call("POST", "/api/message", Some(&reader), "{").await;
    assert_eq!((forbidden.status, forbidden.code()), (403, "insufficient_scope".into()));
}

#[tokio::test]
async fn a_full_queue_is_a_503_with_a_time_to_come_back() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    fixture.line.refuse(packetboat_adapter_api::error::Refused::Busy {
        retry_after: Duration::from_secs(7),
        cause: "the disk is full".into(),
    });
    let answer = fixture.call("POST", "/api/message", Some(&token), r#"{"text":"x"}"#).await;
    assert_eq!((answer.status, answer.code()), (503, "busy".into()));
    assert_eq!(answer.headers["retry-after"], "7");
}

#[tokio::test]
async fn who_waits_gets_the_answer() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    fixture.line.answer_at_once("42");
    let headers = [("prefer", "wait=10")];
    let answer = fixture.call_with("POST", "/api/message", Some(&token), &headers, r#"{"text":"x","id":"m"}"#).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"id": "m", "state": "completed", "reply": {"text": "42"}}))
    );
    assert_eq!(answer.headers["preference-applied"], "wait=10");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_runs_out_is_a_202() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    let headers = [("prefer", "wait=3")];
    let answer = fixture.call_with("POST", "/api/message", Some(&token), &headers, r#"{"text":"x","id":"m"}"#).await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("accepted")));
}

#[tokio::test]
async fn who_waits_for_a_dead_letter_learns_that_there_is_no_reply() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::Chat]);
    assert_eq!(fixture.call("POST", "/api/message", Some(&token), r#"{"text":"x","id":"m"}"#).await.status, 202);
    fixture.line.bury("owner:m");
    let headers = [("prefer", "wait=3")];
    let answer = fixture.call_with("POST", "/api/message", Some(&token), &headers, r#"{"text":"x","id":"m"}"#).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"id": "m", "state": "dead"})));
}
