//! What somebody sees who looks on: live, after a lost connection, after a restart, after a revocation.

use crate::http::fixture::{Fixture, Listening, json};
use crate::http::names;
use crate::live::LiveEvent;
use crate::security::scope::Scope;

const PATH: &str = "/api/conversations/c/events";

fn token_event(message: &str, text: &str) -> LiveEvent {
    LiveEvent::Token { message: message.into(), text: text.into() }
}

fn reply_event(message: &str, text: &str) -> LiveEvent {
    LiveEvent::Reply { message: message.into(), text: text.into() }
}

fn publish(fixture: &Fixture, event: LiveEvent) {
    let lane = (names::adapter(), packetboat_adapter_api::ids::ConversationId::new("me:c"));
    fixture.services.live.publish(&lane, event);
}

async fn listen(fixture: &Fixture, token: &str, path: &str, headers: &[(&str, &str)]) -> Listening {
    let response = fixture.open("GET", path, Some(token), headers, "").await;
    assert_eq!(response.status(), 200);
    Listening::new(response)
}

#[tokio::test]
async fn tokens_and_the_reply_come_in_order_with_the_clients_own_ids() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let mut events = listen(&fixture, &me, PATH, &[]).await;
    for event in [token_event("me:m", "Hel"), token_event("me:m", "lo"), reply_event("me:m", "Hello")] {
        publish(&fixture, event);
    }
    for (name, text) in [("token", "Hel"), ("token", "lo"), ("reply", "Hello")] {
        let event = events.next().await.unwrap();
        assert_eq!((event.name.as_str(), event.data), (name, json!({"message": "m", "text": text})));
    }
}

#[tokio::test]
async fn nobody_hears_anothers_conversation_of_the_same_name() {
    let fixture = Fixture::new();
    let you = fixture.token("you", &[Scope::Chat]);
    let mut events = listen(&fixture, &you, PATH, &[]).await;
    publish(&fixture, reply_event("me:m", "secret"));
    let lane = (names::adapter(), packetboat_adapter_api::ids::ConversationId::new("you:c"));
    fixture.services.live.publish(&lane, reply_event("you:m", "mine"));
    assert_eq!(events.next().await.unwrap().data["text"], "mine");
}

#[tokio::test]
async fn a_lost_connection_goes_on_after_the_last_event() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let mut events = listen(&fixture, &me, PATH, &[]).await;
    publish(&fixture, token_event("me:m", "a"));
    let last = events.next().await.unwrap().id;
    drop(events);
    publish(&fixture, token_event("me:m", "b"));
    let mut events = listen(&fixture, &me, PATH, &[("last-event-id", &last)]).await;
    assert_eq!(events.next().await.unwrap().data["text"], "b");
}

#[tokio::test]
async fn an_event_id_of_another_run_shows_all_that_is_remembered() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    publish(&fixture, reply_event("me:m", "from this run"));
    for last in ["1-1", "nonsense", "", "18446744073709551615-18446744073709551615", "-"] {
        let mut events = listen(&fixture, &me, PATH, &[("last-event-id", last)]).await;
        assert_eq!(events.next().await.unwrap().data["text"], "from this run", "{last:?}");
    }
}

#[tokio::test]
async fn a_reply_that_became_durable_while_nobody_looked_is_shown_to_who_waits_for_it() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let body = r#"{"text":"x","id":"m","conversation":"c"}"#;
    assert_eq!(fixture.call("POST", "/api/message", Some(&me), body).await.status, 202);
    fixture.line.answer("me:m", "durable");
    let mut events = listen(&fixture, &me, &format!("{PATH}?message=m"), &[("last-event-id", "1-99")]).await;
    let event = events.next().await.unwrap();
    assert_eq!((event.name.as_str(), event.data), ("reply", json!({"message": "m", "text": "durable"})));
}

#[tokio::test]
async fn who_waits_sees_the_whole_answer_from_its_beginning_and_the_reply_once() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let body = r#"{"text":"x","id":"m","conversation":"c"}"#;
    assert_eq!(fixture.call("POST", "/api/message", Some(&me), body).await.status, 202);
    publish(&fixture, token_event("me:older", "not asked for"));
    publish(&fixture, token_event("me:m", "Hel"));
    let mut events = listen(&fixture, &me, &format!("{PATH}?message=m"), &[]).await;
    assert_eq!(events.next().await.unwrap().data["text"], "Hel");
    fixture.line.answer("me:m", "Hello");
    publish(&fixture, reply_event("me:m", "Hello"));
    assert_eq!(events.next().await.unwrap().name, "reply");
    // the stream is quiet now: its end is the next thing that happens
    fixture.drain();
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_message_that_died_ends_with_an_error() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let body = r#"{"text":"x","id":"m","conversation":"c"}"#;
    assert_eq!(fixture.call("POST", "/api/message", Some(&me), body).await.status, 202);
    fixture.line.bury("me:m");
    let mut events = listen(&fixture, &me, &format!("{PATH}?message=m"), &[]).await;
    let event = events.next().await.unwrap();
    assert_eq!((event.name.as_str(), &event.data["state"]), ("error", &json!("dead")));
}

#[tokio::test]
async fn a_message_of_another_conversation_is_not_shown_here() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let body = r#"{"text":"x","id":"m","conversation":"elsewhere"}"#;
    assert_eq!(fixture.call("POST", "/api/message", Some(&me), body).await.status, 202);
    fixture.line.answer("me:m", "elsewhere");
    let mut events = listen(&fixture, &me, &format!("{PATH}?message=m"), &[]).await;
    publish(&fixture, token_event("me:m", "here"));
    assert_eq!(events.next().await.unwrap().data["text"], "here");
}

#[tokio::test]
async fn a_revoked_token_ends_the_open_stream() {
    let fixture = Fixture::new();
    let issued = fixture.services.tokens.issue("me", &[Scope::Chat], 3600).unwrap();
    let mut events = listen(&fixture, &issued.token, PATH, &[]).await;
    fixture.services.tokens.revoke(&issued.id).unwrap();
    assert!(events.next().await.is_none());
    assert_eq!(fixture.call("GET", PATH, Some(&issued.token), "").await.status, 401);
}

#[tokio::test]
async fn a_slow_onlooker_loses_tokens_and_never_the_reply() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let mut events = listen(&fixture, &me, PATH, &[]).await;
    for number in 0..2_000 {
        publish(&fixture, token_event("me:m", &number.to_string()));
    }
    publish(&fixture, reply_event("me:m", "all of it"));
    let mut last = events.next().await.unwrap();
    while last.name == "token" {
        last = events.next().await.unwrap();
    }
    assert_eq!(last.data["text"], "all of it");
}

#[tokio::test]
async fn too_many_or_malformed_names_are_refused() {
    let fixture = Fixture::new();
    let me = fixture.token("me", &[Scope::Chat]);
    let many = (0..17).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    for path in
        [format!("{PATH}?message={many}"), format!("{PATH}?message=a%20b"), "/api/conversations/a%20b/events".into()]
    {
        assert_eq!(fixture.call("GET", &path, Some(&me), "").await.status, 422, "{path}");
    }
}
