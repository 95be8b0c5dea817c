//! What a model server's refusals and broken connections mean: again, later, or never.
//!
//! Invariant: no text of the server's and no address is passed on (either may hold what people said, or a secret), only
//! statuses and short codes. Not here: trying again.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

use super::{GenerateError, openai_wire, retry_after};

/// How much of an error's body is read for its code.
const LONGEST_ERROR: usize = 64 << 10;
/// A server that refuses without saying for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A try that did not work.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the operator.
    pub(super) cause: String,
    /// Might work the next time, and says something about the server.
    pub(super) again: bool,
    /// Only once this time has passed.
    pub(super) after: Option<Duration>,
    /// The server does not take this parameter as it was sent.
    pub(super) parameter: Option<&'static str>,
}

impl Failure {
    pub(super) fn retry(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), again: true, after: None, parameter: None }
    }

    pub(super) fn reject(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), again: false, after: None, parameter: None }
    }

    fn busy(cause: String, after: Option<Duration>) -> Self {
        Self { cause, again: false, after: Some(after.unwrap_or(DEFAULT_RETRY_AFTER)), parameter: None }
    }

    /// The kind of trouble only: the error's text may hold the address.
    pub(super) fn connection(error: &reqwest::Error) -> Self {
        let kind = if error.is_connect() {
            "can't connect to the model's server; check that it runs and [model] base_url"
        } else if error.is_timeout() {
            "the model's server went silent"
        } else {
            "the connection to the model's server broke"
        };
        Self::retry(kind)
    }
}

impl From<Failure> for GenerateError {
    fn from(failure: Failure) -> Self {
        match failure.after {
            Some(retry_after) => Self::Overloaded { retry_after, cause: failure.cause },
            None if failure.again => Self::Retry(failure.cause),
            None => Self::Reject(failure.cause),
        }
    }
}

/// What a status that is no success means.
pub(super) async fn refusal(response: Response, now_ms: u64) -> Failure {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
    let after = after.and_then(|after| retry_after::parse(after, now_ms));
    let body = text_of(response, LONGEST_ERROR).await.unwrap_or_default();
    let code = openai_wire::error_code(&body);
    let number = status.as_u16();
    match status {
        StatusCode::TOO_MANY_REQUESTS => Failure::busy(format!("the server answered {number}{code}"), after),
        StatusCode::SERVICE_UNAVAILABLE if after.is_some() => {
            Failure::busy(format!("the server answered {number}{code}"), after)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Failure::reject(format!("the server answered {number}{code}; check the key in [model] api_key"))
        }
        StatusCode::NOT_FOUND => {
            Failure::reject(format!("the server answered 404{code}; check [model] name and base_url"))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => {
            Failure::retry(format!("the server answered {number}{code}"))
        }
        status if status.is_server_error() => Failure::retry(format!("the server answered {number}{code}")),
        status if status.is_redirection() => {
            Failure::reject(format!("the server answered {number}, which is not followed; correct [model] base_url"))
        }
        _ => Failure {
            parameter: openai_wire::refused_parameter(&body),
            ..Failure::reject(format!("the server answered {number}{code}; see the server's own log"))
        },
    }
}

/// The body, up to `most` bytes.
pub(super) async fn text_of(response: Response, most: usize) -> Result<String, Failure> {
    let mut body = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        bytes.extend_from_slice(&part.map_err(|error| Failure::connection(&error))?);
        if bytes.len() > most {
            return Err(Failure::retry("the server sends more than an answer can be"));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
