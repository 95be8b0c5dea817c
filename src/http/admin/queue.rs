//! `GET /api/admin/status`, `/api/admin/queue/stats`, `/api/admin/queue/verify`: how it goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::queue::view::{QueueStats, VerifyReport};
use crate::status::Status;

/// What OpenAPI says about it.
pub fn status_docs(docs: &mut Docs) {
    docs.summary("Adapters, queue, model, version").gives_kind(200, "application/json", "The state");
}

/// Everything that an operator asks first.
pub async fn status(State(services): State<Shared>) -> Json<Status> {
    Json((services.status)())
}

/// What OpenAPI says about it.
pub fn stats_docs(docs: &mut Docs) {
    docs.summary("The queue in numbers").gives_kind(
        200,
        "application/json",
        "The numbers, the conservation law's first",
    );
}

/// The numbers.
pub async fn stats(State(services): State<Shared>) -> Json<QueueStats> {
    Json(services.line.stats())
}

/// What OpenAPI says about it.
pub fn verify_docs(docs: &mut Docs) {
    docs.summary("Read every record of the queue and check the conservation law")
        .gives_kind(200, "application/json", "What was counted, and every problem in a sentence")
        .refuses(&[503]);
}

/// Reads everything; not on the runtime's threads.
pub async fn verify(State(services): State<Shared>) -> Result<Json<VerifyReport>, Problem> {
    let line = Arc::clone(&services.line);
    let report = tokio::task::spawn_blocking(move || line.verify()).await.map_err(|_| Problem::internal())?;
    Ok(Json(report?))
}
