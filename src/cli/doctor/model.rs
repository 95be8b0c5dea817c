//! The model: its files and ONNX Runtime on this machine, or the server that has it.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::redirect::Policy;

use super::finding::Finding;
use crate::cli::model::{check, configured_path, describe};
use crate::inference::config::{ModelBackend, ModelConfig};
use crate::inference::load_error::LoadError;
use crate::inference::verify;

/// What lies on this machine; nothing for a remote model.
pub fn files(model: &ModelConfig) -> Vec<Finding> {
    if model.backend != ModelBackend::Onnx {
        return Vec::new();
    }
    let broken = |error: LoadError| Finding::fail("model", error.what(), error.next());
    let loads = verify::verify_runtime(model.runtime.as_deref());
    let library = match loads.next {
        None => Finding::ok("model", loads.what),
        Some(next) => Finding::fail("model", loads.what, next),
    };
    let files = configured_path(model).and_then(|path| check(&path, model.device));
    let files = files.map(|checked| Finding::ok("model", describe(&checked)));
    vec![library, files.unwrap_or_else(broken)]
}

/// Whether the OpenAI-compatible server answers and takes our key.
pub async fn server(model: &ModelConfig) -> Option<Finding> {
    let base = model.base_url.as_ref().filter(|_| model.backend == ModelBackend::Openai)?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).redirect(Policy::none()).build().ok()?;
    let mut request = client.get(format!("{}/models", base.trim_end_matches('/')));
    if let Some(reference) = &model.api_key {
        // an unreadable key is reported with the secrets
        request = request.bearer_auth(reference.resolve().ok()?.expose());
    }
    Some(match request.send().await.map(|response| response.status()) {
        Ok(status) if status.is_success() => Finding::ok("model", format!("the model server at {base} answers")),
        Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let next = "check model.api_key: it must be a key of that server";
            Finding::fail("model", format!("the model server at {base} refuses the key"), next)
        }
        Ok(StatusCode::NOT_FOUND) => {
            let next = "model.base_url goes up to and including `/v1`; some servers have no list of models";
            Finding::warn("model", format!("the model server at {base} does not know /models"), next)
        }
        Ok(status) => Finding::warn("model", format!("the model server at {base} answers {status}"), "look at its log"),
        Err(error) => {
            let cause = if error.is_timeout() { "it does not answer in time" } else { "no connection" };
            let next = "start that server, or correct model.base_url; check the network";
            Finding::fail("model", format!("the model server at {base}: {cause}"), next)
        }
    })
}
