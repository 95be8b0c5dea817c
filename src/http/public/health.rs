//! `GET, POST /health`, `/health/ready`, `/v1/health`: may messages come? `GET /health/live`: does the process answer?
//!
//! Invariant: without the scope `read` nobody learns more than yes or no.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::extract::Anybody;
use crate::http::openapi::Docs;
use crate::http::services::Shared;
use crate::security::scope::Scope;
use crate::status::Status;

/// Yes or no.
#[derive(Serialize, JsonSchema)]
struct Answer {
    /// `ok`, `starting` or `draining`.
    status: &'static str,
    /// Everything, for a caller with the scope `read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    details: Option<Status>,
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("Whether the daemon takes messages; with the scope `read`, its state")
        .gives::<Answer>(200, "It does")
        .gives::<Answer>(503, "It is starting or stopping");
}

/// What OpenAPI says about it.
pub fn live_docs(docs: &mut Docs) {
    docs.summary("Whether the process answers at all").gives::<Answer>(200, "It does");
}

/// Asks every part that must work.
pub async fn ready(State(services): State<Shared>, Anybody(caller): Anybody) -> Response {
    let status = (services.status)();
    let (code, word) = match (status.draining, status.ready) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::OK, "ok"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    };
    let details = caller.filter(|caller| caller.may(Scope::Read)).map(|_| status);
    let mut response = (code, Json(Answer { status: word, details })).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// Asks nothing.
pub async fn live() -> Response {
    Json(Answer { status: "ok", details: None }).into_response()
}

#[cfg(test)]
mod tests {
    use crate::http::fixture::{Fixture, json};
    use crate::security::scope::Scope;

    #[tokio::test]
    async fn health_is_open_and_tells_nothing_more() {
        let fixture = Fixture::new();
        for (method, path) in
            [("GET", "/health"), ("POST", "/health"), ("GET", "/health/live"), ("GET", "/health/ready")]
        {
            let answer = fixture.call(method, path, None, "").await;
            assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn details_are_for_readers_and_a_bad_token_only_costs_the_details() {
        let fixture = Fixture::new();
        let reader = fixture.token("owner", &[Scope::Read]);
        let chatter = fixture.token("owner", &[Scope::Chat]);
        assert!(fixture.call("GET", "/health", Some(&reader), "").await.json()["details"]["queue"].is_object());
        assert_eq!(fixture.call("GET", "/health", Some(&chatter), "").await.json(), json!({"status": "ok"}));
        assert_eq!(fixture.call("GET", "/health", Some("nonsense"), "").await.json(), json!({"status": "ok"}));
    }

    #[tokio::test]
    async fn v1_health_wants_a_bearer() {
        let fixture = Fixture::new();
        assert_eq!(fixture.call("GET", "/v1/health", None, "").await.status, 401);
        let chatter = fixture.token("owner", &[Scope::Chat]);
        assert_eq!(fixture.call("POST", "/v1/health", Some(&chatter), "").await.status, 200);
    }

    #[tokio::test]
    async fn a_daemon_that_drains_says_so_and_still_lives() {
        let fixture = Fixture::new();
        fixture.drain();
        let answer = fixture.call("GET", "/health", None, "").await;
        assert_eq!((answer.status, answer.json()), (503, json!({"status": "draining"})));
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(fixture.call("GET", "/health/live", None, "").await.status, 200);
    }
}
