//! Every refusal: RFC 9457 `application/problem+json` with a stable `code`.
//!
//! Invariants: `code` is for programs and never changes, `detail` is for people and says what to do next; neither holds
//! a secret or the daemon's inside. Not here: OpenAI's own shape of errors (`openai/error.rs` dresses these).

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use packetboat_adapter_api::error::Refused;
use schemars::JsonSchema;
use serde::Serialize;

use crate::queue::OperateError;
use crate::security::tokens::{AuthError, TokenError};
use crate::store::StoreError;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// For programs; a promise.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// The field at fault, if there is one.
    pub param: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

/// As it travels.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProblemBody {
    /// `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Stable, for programs.
    code: &'static str,
    /// What is wrong and what to do next.
    detail: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<String>,
}

impl Problem {
    /// A refusal without a field and without a time to come back.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), param: None, retry_after: None }
    }

    /// Names the field at fault.
    pub fn at(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// Says when to come back.
    pub fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// No credential, or one that is not honoured.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// Nothing is there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// A field holds what it must not.
    pub fn invalid(param: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).at(param)
    }

    /// Not now.
    pub fn busy(code: &'static str, detail: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).after(wait)
    }

    /// Our fault; the log knows more.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the daemon failed; its log says why")
    }

    /// As it travels.
    pub fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail.clone(),
            param: self.param.clone(),
        }
    }

    /// Everything but the body: status, and the headers that the status asks for.
    pub fn dress(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"packetboat\""));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}

/// `Retry-After` takes whole seconds; never 0, that would be a tight loop.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_millis().div_ceil(1000) as u64).max(1)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Json(self.body()).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.dress(response)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        Self::unauthorized(error.to_string())
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy { retry_after, cause } => {
                Self::busy("busy", format!("not accepted: {cause}; send it again later"), retry_after)
            }
            Refused::Denied { cause } => Self::new(StatusCode::FORBIDDEN, "denied", cause),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let wait = Duration::from_secs(10);
        match error {
            StoreError::Full(cause) => Self::busy("full", format!("the queue or the disk is full: {cause}"), wait),
            failure @ (StoreError::Failed(_) | StoreError::Open { .. } | StoreError::Exists(_)) => {
                tracing::error!(error = %failure, "the store failed while answering a request");
                Self::busy("store_failed", "the store failed; the daemon's log says why", wait)
            }
        }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Store(failure) => failure.into(),
            OperateError::NotFound(_) => Self::not_found(error.to_string()),
            OperateError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "wrong_state", error.to_string()),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let param = match &error {
            TokenError::Subject(_) => "subject",
            TokenError::NoScope => "scope",
            TokenError::Lifetime => "expiry_s",
            TokenError::BadId => "id",
            TokenError::Key(_) | TokenError::Sign(_) | TokenError::Revocations(_) => {
                tracing::error!(%error, "tokens can't be kept");
                return Self::internal();
            }
        };
        Self::invalid(param, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_whole_number_of_seconds_and_never_zero() {
        for (millis, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }

    #[test]
    fn a_401_says_how_to_authenticate() {
        let response = Problem::from(AuthError::Expired).into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"packetboat\"");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_full_disk_is_a_503_with_a_time_to_come_back() {
        let response = Problem::from(StoreError::Full("no room".into())).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "10");
    }

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        let problem = Problem::from(StoreError::Failed("/secret/path".into()));
        assert!(!problem.detail.contains("/secret/path"));
    }
}
