//! What stands before every endpoint, tried by the ways in which others were broken.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use hyper::body::Frame;
use tower::ServiceExt;

use super::*;
use crate::http::fixture::{Answer, Fixture, json, request};

/// A body that tells whether anybody asked for a byte of it.
struct Watched(Arc<AtomicBool>);

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.store(true, Ordering::SeqCst);
        Poll::Ready(None)
    }
}

#[tokio::test]
async fn not_a_byte_of_the_body_is_read_without_a_credential() {
    let fixture = Fixture::new();
    let touched = Arc::new(AtomicBool::new(false));
    for path in ["/api/message", "/v1/generate", "/v1/chat/completions"] {
        let (parts, _) =
            request("POST", path, Some("bad.to.ken"), &[("content-type", "application/json")], "").into_parts();
        let request = Request::from_parts(parts, Body::new(Watched(Arc::clone(&touched))));
        let answer = Answer::of(fixture.public.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    assert!(!touched.load(Ordering::SeqCst));
}

#[tokio::test]
async fn the_limiter_stands_before_the_credential_and_nobody_is_exempt_from_it() {
    let fixture = Fixture::with_limit(Limiter::new(1, 2));
    let token = fixture.token("owner", &[Scope::FullAccess]);
    for _ in 0..2 {
        assert_eq!(fixture.call("GET", "/v1/models", Some("wrong"), "").await.status, 401);
    }
    let limited = fixture.call("GET", "/api/message/x", Some(&token), "").await;
    assert_eq!((limited.status, limited.code()), (429, "too_many_requests".into()));
    let wait = limited.headers["retry-after"].to_str().unwrap().parse::<u64>();
    assert!(wait.is_ok_and(|seconds| seconds >= 1));
    let openai = fixture.call("GET", "/v1/models", Some(&token), "").await;
    assert_eq!((openai.status, &openai.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(fixture.call("GET", "/nowhere", None, "").await.status, 429);
}

#[tokio::test]
async fn health_is_answered_to_a_limited_client_and_details_are_not() {
    let fixture = Fixture::with_limit(Limiter::new(1, 1));
    let token = fixture.token("owner", &[Scope::Read]);
    assert!(fixture.call("GET", "/health", Some(&token), "").await.json()["details"].is_object());
    let answer = fixture.call("GET", "/health", Some(&token), "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})));
}

#[tokio::test]
async fn a_web_page_of_another_name_is_refused_before_anything_else() {
    let fixture = Fixture::new();
    let token = fixture.token("owner", &[Scope::FullAccess]);
    let call = async |path: &str, header: (&str, &str)| {
        fixture.call_with("GET", path, Some(&token), &[header], "").await.status
    };
    for path in ["/", "/health", "/v1/models"] {
        assert_eq!(call(path, ("host", "evil.example")).await, 421, "{path}");
        assert_eq!(call(path, ("origin", "http://evil.example")).await, 403, "{path}");
        assert_eq!(call(path, ("origin", "null")).await, 403, "{path}");
    }
    assert_eq!(call("/health", ("origin", "http://localhost:18789")).await, 200);
}

#[tokio::test]
async fn no_answer_opens_the_api_to_other_pages() {
    let fixture = Fixture::new();
    let answer = fixture.call("OPTIONS", "/api/message", None, "").await;
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn odd_credentials_are_refused() {
    let fixture = Fixture::new();
    let good = fixture.token("owner", &[Scope::Chat]);
    let odd = ["", "Bearer", "Bearer ", &format!("Basic {good}"), &good, &format!("Bearer {good}, Bearer {good}")];
    for value in odd {
        let answer = fixture.call_with("GET", "/v1/models", None, &[("authorization", value)], "").await;
        assert_eq!(answer.status, 401, "{value:?}");
    }
    let twice = [("authorization", &*format!("Bearer {good}")), ("authorization", "Bearer x")];
    assert_eq!(fixture.call_with("GET", "/v1/models", None, &twice, "").await.status, 401);
    assert_eq!(
        fixture.call("GET", &format!("/v1/models?access_token={good}&token={good}"), None, "").await.status,
        401
    );
    let lower = [("authorization", &*format!("bearer {good}"))];
    assert_eq!(fixture.call_with("GET", "/v1/models", None, &lower, "").await.status, 200);
}

#[tokio::test]
async fn being_on_this_machine_is_no_credential_and_the_control_socket_is() {
    let fixture = Fixture::new();
    let control = crate::http::control(&fixture.services);
    let call = async |peer: Option<Peer>| {
        let mut request = request("GET", "/api/admin/status", None, &[], "");
        request.extensions_mut().remove::<Peer>();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        control.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(call(Some(Peer::LocalOwner)).await, 200);
    assert_eq!(call(Some(Peer::Network("127.0.0.1:1".parse().unwrap()))).await, 401);
    assert_eq!(call(None).await, 401);
}

#[tokio::test]
async fn a_token_that_is_shown_on_the_control_socket_counts() {
    let fixture = Fixture::new();
    let control = crate::http::control(&fixture.services);
    let token = fixture.token("guest", &[Scope::Chat]);
    for (token, status) in [(token.as_str(), 403), ("bad", 401)] {
        let mut request = request("GET", "/api/admin/status", Some(token), &[], "");
        request.extensions_mut().insert(Peer::LocalOwner);
        assert_eq!(control.clone().oneshot(request).await.unwrap().status().as_u16(), status);
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_a_wrong_method_a_405_that_names_the_right_ones() {
    let fixture = Fixture::new();
    for path in ["/nothing", "/api", "/api/admin/status", "/v1/", "/../etc/passwd", "/%2e%2e/"] {
        let answer = fixture.call("GET", path, None, "").await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let wrong = fixture.call("DELETE", "/api/message", None, "").await;
    assert_eq!((wrong.status, wrong.code()), (405, "method_not_allowed".into()));
    assert_eq!(wrong.headers["allow"], "POST");
    assert_eq!(
        fixture.call("GET", "/v1/chat/completions", None, "").await.json()["error"]["code"],
        "method_not_allowed"
    );
}

#[tokio::test]
async fn a_panic_in_an_endpoint_is_a_500() {
    let fixture = Fixture::new();
    async fn broken() -> StatusCode {
        panic!("told so")
    }
    let router = guard(Router::new().route("/", axum::routing::get(broken)), &fixture.services, None);
    let answer = Answer::of(router.oneshot(request("GET", "/", None, &[], "")).await.unwrap()).await;
    assert_eq!((answer.status, answer.code()), (500, "internal".into()));
    assert!(!answer.text().contains("told so"));
}

#[tokio::test]
async fn answers_are_not_for_caches_and_connections_close_when_the_daemon_stops() {
    let fixture = Fixture::new();
    let answer = fixture.call("GET", "/health", None, "").await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.headers.contains_key("connection"));
    fixture.drain();
    assert_eq!(fixture.call("GET", "/health", None, "").await.headers["connection"], "close");
}
