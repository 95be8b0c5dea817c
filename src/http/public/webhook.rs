//! `POST /api/{adapter}`: a platform calls its adapter.
//!
//! Invariant: the body is capped before the adapter hashes it. Not here: who may call; each platform proves that in its
//! own way (`adapters/*/src/codec.rs`).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;

use crate::http::extract::{self, Named};
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("A chat platform's webhook (`telegram`, …), proven in the platform's own way")
        .takes_foreign("as the platform defines it")
        .gives_kind(200, "application/json", "Taken, durably")
        .refuses(&[401, 404, 413, 503]);
}

/// Hands the call to the adapter.
pub async fn post(
    State(services): State<Shared>,
    Named(name): Named<String>,
    request: Request,
) -> Result<Response, Problem> {
    let adapter = services.webhooks.get(&name);
    let webhook = adapter.and_then(|adapter| adapter.webhook());
    let webhook = webhook.ok_or_else(|| Problem::not_found("no adapter of this name takes webhooks"))?;
    let (parts, body) = request.into_parts();
    let body = extract::read(&parts.headers, body, services.max_body).await?;
    let answer = webhook.receive(http::Request::from_parts(parts, body), &*services.intake).await;
    Ok(answer.map(Body::from))
}

#[cfg(test)]
mod tests {
    use crate::http::fixture::{Fixture, json};

    #[tokio::test]
    async fn a_webhook_reaches_its_adapter_and_its_messages_the_line() {
        let fixture = Fixture::new();
        let answer = fixture.call("POST", "/api/postcard", None, "hello").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
        assert_eq!(fixture.line.inbound("card-1").text(), "hello");
    }

    #[tokio::test]
    async fn an_unknown_adapter_is_not_found_and_a_great_body_is_not_read() {
        let fixture = Fixture::new();
        assert_eq!(fixture.call("POST", "/api/nobody", None, "x").await.json()["code"], json!("not_found"));
        let great = "x".repeat(fixture.services.max_body + 1);
        assert_eq!(fixture.call("POST", "/api/postcard", None, &great).await.status, 413);
        assert_eq!(fixture.line.accepted(), 0);
    }
}
