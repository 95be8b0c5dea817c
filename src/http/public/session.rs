//! `POST /api/session`: a browser's one-time code becomes its token.
//!
//! Not here: who makes codes (`admin/login_link.rs`, and the daemon's start).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::extract::JsonBody;
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::security::scope::Scope;

/// What the link carried.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The part after `#login=`.
    code: String,
}

/// What the browser keeps.
#[derive(Serialize, JsonSchema)]
pub struct Session {
    /// A bearer with the scopes `chat` and `read`.
    token: String,
    /// Seconds since 1970 UTC.
    expires_at: u64,
    /// Whose conversations it opens.
    subject: String,
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("Exchange a one-time sign-in code for a token")
        .takes::<SignIn>()
        .gives::<Session>(200, "Signed in")
        .refuses(&[400, 401, 413, 415, 422]);
}

/// Uses the code up.
pub async fn post(
    State(services): State<Shared>,
    JsonBody(sign_in): JsonBody<SignIn>,
) -> Result<Json<Session>, Problem> {
    let subject = services.login.redeem(&sign_in.code).ok_or_else(|| {
        let detail = "this sign-in link was used or is older than 15 minutes; `packetboat login` makes a new one";
        Problem::new(StatusCode::UNAUTHORIZED, "bad_code", detail)
    })?;
    let lifetime = services.session_lifetime.as_secs();
    let issued = services.tokens.issue(&subject, &[Scope::Chat, Scope::Read], lifetime)?;
    Ok(Json(Session { token: issued.token, expires_at: issued.expires_at, subject }))
}

#[cfg(test)]
mod tests {
    use crate::http::fixture::{Fixture, json};

    #[tokio::test]
    async fn a_code_gives_a_token_once() {
        let fixture = Fixture::new();
        let body = json!({"code": fixture.services.login.create("owner")}).to_string();
        let session = fixture.call("POST", "/api/session", None, &body).await;
        assert_eq!(session.status, 200);
        let token = session.json()["token"].as_str().unwrap().to_owned();
        let principal = fixture.services.tokens.verify(&token).unwrap();
        assert_eq!(principal.subject, "owner");
        assert!(!principal.may(crate::security::scope::Scope::Operate));
        let again = fixture.call("POST", "/api/session", None, &body).await;
        assert_eq!((again.status, again.code()), (401, "bad_code".into()));
        assert!(again.headers.contains_key("www-authenticate"));
    }
}
