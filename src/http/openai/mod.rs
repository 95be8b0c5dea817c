//! The OpenAI-compatible part of `/v1`: the official client libraries work unchanged.
//!
//! Those libraries read OpenAI's own shape of errors, `{"error": {message, type, param, code}}`, and show its `message` to
//! people; problem+json would reach them as an error without words. So under these paths, and nowhere else, refusals are
//! dressed in that shape, 422 becomes the 400 that OpenAI uses, and the headers stay what they are.

pub mod chat;
pub mod models;
mod request;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;

/// Whether refusals under this path have OpenAI's shape.
pub fn speaks(path: &str) -> bool {
    path.starts_with("/v1/chat/") || path == "/v1/models" || path.starts_with("/v1/models/")
}

/// As it travels.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorBody {
    error: ErrorDetail,
}

/// What OpenAI's libraries read.
#[derive(Debug, Serialize, JsonSchema)]
struct ErrorDetail {
    /// For people.
    message: String,
    /// A class of errors.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The field at fault.
    param: Option<String>,
    /// For programs.
    code: &'static str,
}

impl ErrorBody {
    /// A refusal in OpenAI's words.
    pub fn of(problem: &Problem) -> Self {
        let (kind, code) = match problem.status.as_u16() {
            401 => ("invalid_request_error", "invalid_api_key"),
            403 => ("invalid_request_error", "insufficient_permissions"),
            429 => ("rate_limit_error", "rate_limit_exceeded"),
            500.. => ("server_error", problem.code),
            _ => ("invalid_request_error", problem.code),
        };
        let Problem { detail, param, .. } = problem.clone();
        Self { error: ErrorDetail { message: detail, kind, param, code } }
    }
}

/// Gives a refusal OpenAI's shape; everything else passes.
pub fn dress(response: Response) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    let status = match problem.status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    let mut dressed = problem.dress(Json(ErrorBody::of(&problem)).into_response());
    *dressed.status_mut() = status;
    // 405 names the allowed methods, for example
    for (name, value) in response.headers() {
        if name != http::header::CONTENT_TYPE && name != http::header::CONTENT_LENGTH {
            dressed.headers_mut().insert(name, value.clone());
        }
    }
    let extensions = response.extensions().clone();
    dressed.extensions_mut().extend(extensions);
    dressed
}
