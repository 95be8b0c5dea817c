//! `/api/admin/queue/jobs…`: list, show, retry and discard.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::extract::{Asked, Authenticated, Named};
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::queue::view::{JobDetail, JobSummary, Stage};

/// Jobs of one page, unless asked otherwise, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// The query of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Separated by commas; empty = all.
    state: String,
    /// Show jobs after this number.
    after: u64,
    limit: Option<usize>,
}

/// A page of the list.
#[derive(Debug, Serialize)]
pub struct Jobs {
    jobs: Vec<JobSummary>,
}

/// What OpenAPI says about it.
pub fn list_docs(docs: &mut Docs) {
    docs.summary("Jobs, oldest first, without their content")
        .query("state", "states separated by commas, for example `dead,retryable`; none = all")
        .query("after", "only jobs with a greater number")
        .query("limit", "at most this many (default 100, at most 1000)")
        .gives_kind(200, "application/json", "{\"jobs\": […]}")
        .refuses(&[400, 422, 503]);
}

/// A page.
pub async fn list(State(services): State<Shared>, Asked(page): Asked<Page>) -> Result<Json<Jobs>, Problem> {
    let words = page.state.split(',').map(str::trim).filter(|word| !word.is_empty());
    let states = words.map(stage).collect::<Result<Vec<_>, _>>()?;
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    Ok(Json(Jobs { jobs: services.line.list(&states, page.after, limit)? }))
}

fn stage(word: &str) -> Result<Stage, Problem> {
    let stage = serde_json::from_value(serde_json::Value::from(word));
    stage.map_err(|_| {
        let states = "accepted, leased, retryable, completed, delivered, cancelled or dead";
        Problem::invalid("state", format!("there is no state `{word}`; use {states}"))
    })
}

/// What OpenAPI says about it.
pub fn show_docs(docs: &mut Docs) {
    docs.summary("One job: its message, its answer, every failed attempt")
        .gives_kind(200, "application/json", "The job")
        .refuses(&[404, 503]);
}

/// Everything about one.
pub async fn show(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    Named(job): Named<u64>,
) -> Result<Json<JobDetail>, Problem> {
    let detail = services.line.show(job)?.ok_or_else(|| Problem::not_found(format!("there is no job {job}")))?;
    // who reads a conversation that is not theirs leaves a line
    tracing::info!(caller.subject, queue.job = job, "an operator looked at a job's content");
    Ok(Json(detail))
}

/// What OpenAPI says about it.
pub fn retry_docs(docs: &mut Docs) {
    docs.summary("Put a dead letter back on the line").gives_nothing(204, "It is").refuses(&[404, 409, 503]);
}

/// Once more.
pub async fn retry(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    Named(job): Named<u64>,
) -> Result<StatusCode, Problem> {
    services.line.retry(job).await?;
    tracing::info!(caller.subject, queue.job = job, "an operator put a dead letter back on the line");
    Ok(StatusCode::NO_CONTENT)
}

/// What OpenAPI says about it.
pub fn discard_docs(docs: &mut Docs) {
    docs.summary("Withdraw a pending or dead message").gives_nothing(204, "It is").refuses(&[404, 409, 503]);
}

/// No more.
pub async fn discard(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    Named(job): Named<u64>,
) -> Result<StatusCode, Problem> {
    services.line.discard(job).await?;
    tracing::info!(caller.subject, queue.job = job, "an operator discarded a message");
    Ok(StatusCode::NO_CONTENT)
}
