//! `GET /api/message/{id}`: what became of a message.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::extract::{Authenticated, Named};
use crate::http::names;
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;
use crate::queue::view::{MessageView, Stage};
use crate::security::scope::Principal;

/// A message as its sender sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MessageState {
    /// As the client gave it, or as we made it.
    pub id: String,
    /// As the client gave it.
    pub conversation: String,
    /// `accepted`, `leased`, `retryable`, `completed`, `delivered`, `cancelled` or `dead`.
    #[schemars(with = "String")]
    pub state: Stage,
    /// Failed attempts so far.
    pub attempts: u32,
    /// The answer, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyText>,
}

/// An answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReplyText {
    /// CommonMark.
    pub text: String,
}

impl MessageState {
    /// With the client's names.
    pub fn of(caller: &Principal, view: MessageView) -> Self {
        Self {
            id: names::outside(caller, &view.id).to_owned(),
            conversation: names::outside(caller, &view.conversation).to_owned(),
            state: view.state,
            attempts: view.attempts,
            reply: view.reply.map(|reply| ReplyText { text: reply.text }),
        }
    }
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("What became of a message")
        .gives::<MessageState>(200, "Its state, and the answer if there is one")
        .refuses(&[404, 422]);
}

/// Looks it up.
pub async fn get(
    State(services): State<Shared>,
    Authenticated(caller): Authenticated,
    Named(id): Named<String>,
) -> Result<Json<MessageState>, Problem> {
    let key = names::message(&caller, &id)?;
    let view = services.line.message(&names::adapter(), &key)?;
    let view =
        view.ok_or_else(|| Problem::not_found("no message of yours has this id, or it was answered too long ago"))?;
    Ok(Json(MessageState::of(&caller, view)))
}

#[cfg(test)]
mod tests {
    use crate::http::fixture::{Fixture, json};
    use crate::security::scope::Scope;

    #[tokio::test]
    async fn a_message_is_seen_by_its_sender_only() {
        let fixture = Fixture::new();
        let (mine, yours) = (fixture.token("me", &[Scope::Chat]), fixture.token("you", &[Scope::Chat]));
        let body = json!({"text": "hello", "id": "m1", "conversation": "c"}).to_string();
        assert_eq!(fixture.call("POST", "/api/message", Some(&mine), &body).await.status, 202);
        fixture.line.answer("me:m1", "hi there");
        let seen = fixture.call("GET", "/api/message/m1", Some(&mine), "").await;
        let expected = json!({
            "id": "m1", "conversation": "c", "state": "delivered", "attempts": 0, "reply": {"text": "hi there"},
        });
        assert_eq!((seen.status, seen.json()), (200, expected));
        for id in ["m1", "me:m1", "%6d1"] {
            assert_eq!(fixture.call("GET", &format!("/api/message/{id}"), Some(&yours), "").await.status, 404, "{id}");
        }
    }
}
