//! `GET /metrics`: for Prometheus, with a bearer (`authorization: {credentials_file: …}` in its scrape configuration).

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::http::openapi::Docs;
use crate::http::services::Shared;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("Every metric").gives_kind(200, "text/plain", "Prometheus text; OpenMetrics if `Accept` asks for it");
}

/// Renders them. The text is valid in both forms; only the label differs.
pub async fn get(State(services): State<Shared>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepted.into_iter().any(|value| value.contains("application/openmetrics-text"));
    let kind = if open { OPEN_METRICS } else { TEXT };
    ([(header::CONTENT_TYPE, kind)], (services.metrics)()).into_response()
}
