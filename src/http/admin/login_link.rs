//! `POST /api/admin/login-link`: a link that signs a browser in, once, within fifteen minutes.
//!
//! The code is in the fragment, which browsers never send: it is in no log and no `Referer`.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::openapi::Docs;
use crate::http::services::Shared;
use crate::security::login::LoginCodes;

/// Whose conversations the link opens: the owner's, on every device that the owner signs in.
const SUBJECT: &str = "owner";

/// The link.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    /// Open it in the browser that is to be signed in.
    url: String,
}

/// The link itself; the daemon prints one at its first start.
pub fn link(base_url: &str, login: &LoginCodes) -> String {
    format!("{base_url}/#login={}", login.create(SUBJECT))
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("Make a one-time link that signs a browser in to the web chat").gives::<Link>(200, "The link");
}

/// Makes it.
pub async fn post(State(services): State<Shared>) -> Json<Link> {
    Json(Link { url: link(&services.base_url, &services.login) })
}
