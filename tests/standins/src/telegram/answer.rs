//! What the Bot API answers: the envelope, exactly.

use axum::body::Body;
use axum::response::Response;
use http::{StatusCode, header};
use serde_json::{Value, json};

/// A method's outcome.
pub(crate) type Answer = Result<Done, Refusal>;

/// `{"ok":true,…}`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    pub(crate) result: Value,
    pub(crate) description: Option<&'static str>,
}

/// `{"ok":false,…}`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) description: String,
    pub(crate) retry_after: Option<u64>,
    pub(crate) migrate_to_chat_id: Option<i64>,
}

/// A plain success.
pub(crate) fn done(result: Value) -> Answer {
    Ok(Done { result, description: None })
}

/// A success with a remark.
pub(crate) fn done_with(description: &'static str) -> Answer {
    Ok(Done { result: Value::Bool(true), description: Some(description) })
}

impl Refusal {
    pub(crate) fn new(code: u16, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), retry_after: None, migrate_to_chat_id: None }
    }

    pub(crate) fn bad_request(what: &str) -> Self {
        Self::new(400, format!("Bad Request: {what}"))
    }

    pub(crate) fn forbidden(what: &str) -> Self {
        Self::new(403, format!("Forbidden: {what}"))
    }

    pub(crate) fn too_many(seconds: u64) -> Self {
        let mut refusal = Self::new(429, format!("Too Many Requests: retry after {seconds}"));
        refusal.retry_after = Some(seconds);
        refusal
    }

    pub(crate) fn migrated(to: i64) -> Self {
        let mut refusal = Self::bad_request("group chat was upgraded to a supergroup chat");
        refusal.migrate_to_chat_id = Some(to);
        refusal
    }
}

/// As it goes over the wire.
pub(crate) fn respond(answer: &Answer) -> Response {
    let (status, body) = match answer {
        Ok(done) => {
            let mut body = json!({"ok": true, "result": done.result});
            if let Some(description) = done.description {
                body["description"] = description.into();
            }
            (StatusCode::OK, body)
        }
        Err(refusal) => (StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::BAD_REQUEST), envelope(refusal)),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if let Err(Refusal { retry_after: Some(seconds), .. }) = answer {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from(*seconds));
    }
    response
}

fn envelope(refusal: &Refusal) -> Value {
    let mut body = json!({"ok": false, "error_code": refusal.code, "description": refusal.description});
    if let Some(seconds) = refusal.retry_after {
        body["parameters"] = json!({"retry_after": seconds});
    }
    if let Some(chat) = refusal.migrate_to_chat_id {
        body["parameters"] = json!({"migrate_to_chat_id": chat});
    }
    body
}

/// What Telegram's front end shows when the servers behind it are away.
pub(crate) fn html(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"
    );
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html"));
    response
}
