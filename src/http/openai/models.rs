//! `GET /v1/models` and `GET /v1/models/{model}`: what there is to ask.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::ErrorBody;
use crate::http::extract::Named;
use crate::http::openapi::Docs;
use crate::http::problem::Problem;
use crate::http::services::Shared;

/// All of them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Models {
    object: &'static str,
    data: Vec<Model>,
}

/// One.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Model {
    /// For the key `model` of a request.
    id: String,
    object: &'static str,
    /// OpenAI's clients want a stamp; we have none that means anything.
    created: u64,
    owned_by: &'static str,
    /// In tokens, prompt and answer together.
    context_window: u32,
}

fn ours(services: &Shared) -> Model {
    let info = services.completions.info();
    Model { id: info.name, object: "model", created: 0, owned_by: "packetboat", context_window: info.context_window }
}

/// The request's model is the one that we have; so is an absent one.
pub fn check_name(services: &Shared, name: Option<&str>) -> Result<String, Problem> {
    let ours = services.completions.info().name;
    match name {
        None | Some("default") => Ok(ours),
        Some(name) if name == ours => Ok(ours),
        Some(_) => {
            let detail = format!("there is no such model here; this daemon serves `{ours}` (also called `default`)");
            Err(Problem::new(StatusCode::NOT_FOUND, "model_not_found", detail).at("model"))
        }
    }
}

/// What OpenAPI says about it.
pub fn list_docs(docs: &mut Docs) {
    docs.summary("The models, as OpenAI lists them").gives::<Models>(200, "One model");
}

/// What OpenAPI says about it.
pub fn one_docs(docs: &mut Docs) {
    docs.summary("One model, as OpenAI shows it")
        .gives::<Model>(200, "The model")
        .gives::<ErrorBody>(404, "Not this one");
}

/// Lists them.
pub async fn list(State(services): State<Shared>) -> Json<Models> {
    Json(Models { object: "list", data: vec![ours(&services)] })
}

/// Shows one.
pub async fn one(State(services): State<Shared>, Named(name): Named<String>) -> Result<Json<Model>, Problem> {
    check_name(&services, Some(&name))?;
    Ok(Json(ours(&services)))
}

#[cfg(test)]
mod tests {
    use crate::http::fixture::{Fixture, json};
    use crate::security::scope::Scope;

    #[tokio::test]
    async fn the_model_is_listed_and_found_by_its_name() {
        let fixture = Fixture::new();
        let token = fixture.token("owner", &[Scope::Chat]);
        let list = fixture.call("GET", "/v1/models", Some(&token), "").await.json();
        assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("parrot")));
        assert_eq!(fixture.call("GET", "/v1/models/parrot", Some(&token), "").await.status, 200);
        let unknown = fixture.call("GET", "/v1/models/gpt-4o", Some(&token), "").await;
        assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("model_not_found")));
    }

    #[tokio::test]
    async fn a_missing_key_is_told_in_openais_words_and_still_says_how_to_authenticate() {
        let fixture = Fixture::new();
        let answer = fixture.call("GET", "/v1/models", None, "").await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &json!("invalid_api_key")));
        assert!(answer.headers.contains_key("www-authenticate"));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}
