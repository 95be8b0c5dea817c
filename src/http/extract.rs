//! What endpoints take from a request: the caller, a path's name, a query, a JSON body.
//!
//! Invariants: a body is read only after the credential check, never beyond the cap, never for longer than half a minute;
//! what does not fit is a 4xx that names the field. The caps of axum's own extractors are not relied upon.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::gate::Caller;
use super::problem::Problem;
use super::services::Shared;
use crate::security::scope::Principal;

/// A client that sends slower than this is gone.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The caller of an endpoint that demands a credential.
pub struct Authenticated(pub Principal);

impl FromRequestParts<Shared> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().and_then(|caller| caller.0.clone());
        caller.map(Self).ok_or_else(|| Problem::unauthorized("this endpoint wants a credential"))
    }
}

/// The caller of an open endpoint, if it showed a good credential.
pub struct Anybody(pub Option<Principal>);

impl FromRequestParts<Shared> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Caller>().and_then(|caller| caller.0.clone())))
    }
}

/// The `{…}` of the path.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        let refuse = |_: PathRejection| Problem::not_found("there is nothing at this path");
        let Path(name) = Path::<T>::from_request_parts(parts, state).await.map_err(refuse)?;
        Ok(Self(name))
    }
}

/// The query.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        let refuse = |rejection: QueryRejection| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_query",
                format!("can't read the query: {}", rejection.body_text()),
            )
        };
        let Query(query) = Query::<T>::from_request_parts(parts, state).await.map_err(refuse)?;
        Ok(Self(query))
    }
}

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_json(&parts.headers)?;
        let bytes = read(&parts.headers, body, state.max_body).await?;
        parse(&bytes).map(Self)
    }
}

fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = "send the body as JSON, with `Content-Type: application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// Reads the whole body under the cap.
pub async fn read(headers: &HeaderMap, body: Body, cap: usize) -> Result<Bytes, Problem> {
    let too_big = || {
        let detail = format!("the body is larger than {cap} bytes (server.max_body)");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > cap) {
        return Err(too_big());
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, cap).collect()).await;
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive within 30 s");
    match collected.map_err(late)? {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_big()),
        Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "broken_body", "the body ended too early")),
    }
}

/// JSON that is no JSON is a 400; JSON that says the wrong thing is a 422 that names the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let at = error.path().to_string();
        refusal(error.inner(), &at)
    })?;
    json.end().map_err(|error| refusal(&error, "."))?;
    Ok(value)
}

fn refusal(error: &serde_json::Error, at: &str) -> Problem {
    if error.classify() != Category::Data {
        let detail = format!("the body is no JSON (line {}, column {})", error.line(), error.column());
        return Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail);
    }
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    // serde names the key of an unknown or a missing field in its message only
    let named = message.split('`').nth(1).filter(|_| message.contains(" field `"));
    let param = if at == "." { named.unwrap_or_default() } else { at };
    let problem = Problem::invalid(param, message);
    if param.is_empty() { Problem { param: None, ..problem } } else { problem }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only parsed")]
        text: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only parsed")]
        count: u32,
    }

    fn refused(body: &str) -> (u16, &'static str, String) {
        let problem = parse::<Sample>(body.as_bytes()).unwrap_err();
        (problem.status.as_u16(), problem.code, problem.param.unwrap_or_default())
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in ["", "{", "{\"text\":", "{\"text\":\"a\"} x", "\u{0}", "{\"text\":\"\\ud800\"}"] {
            assert_eq!(refused(body).0, 400, "{body:?}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(refused(&deep).0 / 100, 4);
    }

    #[test]
    fn a_wrong_field_is_named() {
        assert_eq!(refused("{}"), (422, "invalid", "text".into()));
        assert_eq!(refused("{\"text\":\"a\",\"colour\":1}"), (422, "invalid", "colour".into()));
        assert_eq!(refused("{\"text\":\"a\",\"count\":\"many\"}"), (422, "invalid", "count".into()));
        assert_eq!(refused("[]").0, 422);
        assert_eq!(refused("{\"text\":\"a\",\"text\":\"b\"}").0, 422);
    }

    #[test]
    fn only_json_is_json() {
        let verdict = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            check_json(&headers).map_or_else(|problem| problem.status.as_u16(), |()| 200)
        };
        assert_eq!(verdict("application/json"), 200);
        assert_eq!(verdict("Application/JSON; charset=utf-8"), 200);
        assert_eq!(verdict("application/cloudevents+json"), 200);
        assert_eq!(verdict("text/plain"), 415);
        assert_eq!(verdict("application/x-www-form-urlencoded"), 415);
        assert!(check_json(&HeaderMap::new()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = read(&HeaderMap::new(), endless, 10).await.unwrap_err();
        assert_eq!(problem.status, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_is_cut_at_the_cap_whatever_it_announced() {
        let pieces = || futures::stream::iter([Ok::<_, std::io::Error>("12345"), Ok("67890"), Ok("x")]);
        let read = async |cap: usize| read(&HeaderMap::new(), Body::from_stream(pieces()), cap).await;
        assert_eq!(read(11).await.unwrap(), "1234567890x");
        assert_eq!(read(10).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, "11".parse().unwrap());
        let untouched = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = super::read(&headers, untouched, 10).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
