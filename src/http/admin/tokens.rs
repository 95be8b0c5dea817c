//! `POST /api/admin/tokens` and `DELETE /api/admin/tokens/{id}`: credentials for programs and people.
//!
//! Invariant: nobody gives away more than they have.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::extract::{Authenticated, JsonBody, Named};
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::security::scope::Scope;
use crate::security::tokens::IssuedToken;

/// What the token is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Whose conversations it opens.
    subject: String,
    /// What it may do.
    scope: Vec<Scope>,
    /// Seconds from now, at most a year.
    expiry_s: u64,
}

/// What OpenAPI says about it.
pub fn issue_docs(docs: &mut Docs) {
    docs.summary("Make a token; its text is shown this once")
        .takes::<NewToken>()
        .gives::<IssuedToken>(201, "The token")
        .refuses(&[400, 413, 415, 422]);
}

/// Makes it.
pub async fn issue(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    JsonBody(new): JsonBody<NewToken>,
) -> Result<(StatusCode, Json<IssuedToken>), Problem> {
    if new.scope.contains(&Scope::FullAccess) && !caller.may(Scope::FullAccess) {
        let detail = "a token with `full_access` is made by a caller with `full_access`";
        return Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail).at("scope"));
    }
    let issued = services.tokens.issue(&new.subject, &new.scope, new.expiry_s)?;
    tracing::info!(caller.subject, token.subject = new.subject, token.id = issued.id, "a token was made");
    Ok((StatusCode::CREATED, Json(issued)))
}

/// What OpenAPI says about it.
pub fn revoke_docs(docs: &mut Docs) {
    docs.summary("End a token, at once and on open connections too").gives_nothing(204, "It has ended").refuses(&[422]);
}

/// Ends it.
pub async fn revoke(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    let (tokens, wanted) = (Arc::clone(&services.tokens), id.clone());
    let done = tokio::task::spawn_blocking(move || tokens.revoke(&wanted)).await;
    done.map_err(|_| Problem::internal())??;
    tracing::info!(caller.subject, token.id = id, "a token was revoked");
    Ok(StatusCode::NO_CONTENT)
}
