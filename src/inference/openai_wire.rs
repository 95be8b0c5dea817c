//! The OpenAI API's JSON, as far as a client of it needs. Pure.
//!
//! Invariants: what a server says is believed only in the fields that we know; its error texts are never passed on
//! (they may repeat what people said), only its short codes. Not here: connections.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{FinishReason, Prompt, SamplingParams, Usage};

/// The API takes no more.
const MOST_STOPS: usize = 4;

/// The path and body of a request.
pub fn request(model: &str, prompt: &Prompt, params: &SamplingParams) -> (&'static str, Value) {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    put("model", json!(model));
    put("max_tokens", json!(params.max_tokens));
    put("temperature", json!(params.temperature));
    put("top_p", json!(params.top_p));
    put("stream", json!(true));
    put("stream_options", json!({ "include_usage": true }));
    let stops: Vec<&String> = params.stop.iter().filter(|stop| !stop.is_empty()).take(MOST_STOPS).collect();
    if !stops.is_empty() {
        put("stop", json!(stops));
    }
    // not in OpenAI's own API, understood by most servers that people run themselves
    if params.top_k > 0 {
        put("top_k", json!(params.top_k));
    }
    if let Some(seed) = params.seed {
        // some servers read it as a signed number
        put("seed", json!(seed >> 1));
    }
    let path = match prompt {
        Prompt::Chat(messages) => {
            put("messages", json!(messages));
            "chat/completions"
        }
        Prompt::Text(text) => {
            put("prompt", json!(text));
            "completions"
        }
    };
    (path, Value::Object(body))
}

/// Parameters that one server or another refuses, and that an answer can do without or have under another name.
const ADAPTABLE: [&str; 7] = ["max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "stream_options"];

/// Which parameter an error's body refuses, if we can do without it.
pub fn refused_parameter(body: &str) -> Option<&'static str> {
    let body: Value = serde_json::from_str(body).ok()?;
    let named = body["error"]["param"].as_str()?;
    ADAPTABLE.into_iter().find(|name| *name == named)
}

/// Takes a refused parameter out of a request; newer models want the limit under its newer name.
pub fn adapt(body: &mut Value, name: &str) {
    let Some(fields) = body.as_object_mut() else { return };
    let value = fields.remove(name);
    if let Some(limit) = value.filter(|_| name == "max_tokens") {
        fields.insert("max_completion_tokens".to_owned(), limit);
    }
}

/// One event of a stream, or the whole of an answer that was not streamed.
#[derive(Debug, Default, Deserialize)]
struct Chunk {
    /// Some servers send events with an empty list first.
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    delta: Option<Content>,
    message: Option<Content>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Content {
    content: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

/// What a piece of the answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// New text.
    pub text: String,
    /// The model is done.
    pub finish: Option<FinishReason>,
    /// Tokens counted by the server.
    pub usage: Option<Usage>,
}

/// What is not an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not the API's JSON.
    #[error("the server's answer is not in the OpenAI API's form; check [model] base_url")]
    Garbage,
    /// An error instead of an answer.
    #[error("the server reported an error{0}")]
    Reported(String),
}

/// Reads one piece.
pub fn said(data: &str) -> Result<Said, WireError> {
    let value: Value = serde_json::from_str(data).map_err(|_| WireError::Garbage)?;
    let chunk: Chunk = serde_json::from_value(value).map_err(|_| WireError::Garbage)?;
    if let Some(error) = &chunk.error {
        return Err(WireError::Reported(code_of(error)));
    }
    if chunk.choices.is_none() && chunk.usage.is_none() {
        return Err(WireError::Garbage);
    }
    let mut said = Said::default();
    if let Some(choice) = chunk.choices.into_iter().flatten().next() {
        let content = choice.delta.or(choice.message).and_then(|content| content.content);
        said.text = content.or(choice.text).unwrap_or_default();
        said.finish = choice.finish_reason.map(|reason| match reason.as_str() {
            "length" => FinishReason::Length,
            _ => FinishReason::Stop,
        });
    }
    said.usage = chunk
        .usage
        .map(|usage| Usage { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens });
    Ok(said)
}

/// The short code of an error body, for the operator; empty when there is none.
pub fn error_code(body: &str) -> String {
    serde_json::from_str::<Value>(body).map_or(String::new(), |body| code_of(&body["error"]))
}

fn code_of(error: &Value) -> String {
    let short = |code: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.';
        !code.is_empty() && code.len() <= 64 && code.bytes().all(plain)
    };
    let code = error["code"].as_str().filter(short).or_else(|| error["type"].as_str().filter(short));
    code.map_or(String::new(), |code| format!(" ({code})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::conformance;

    #[test]
    fn a_chat_and_a_bare_text_go_to_their_own_paths() {
        let mut request_ = conformance::chat("Hi");
        request_.params.stop = ["", "a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let (path, body) = request("m", &request_.prompt, &request_.params);
        assert_eq!(path, "chat/completions");
        assert_eq!(body["messages"], json!([{ "role": "user", "content": "Hi" }]));
        assert_eq!(body["stop"], json!(["a", "b", "c", "d"]));
        assert_eq!((&body["stream"], &body["model"], body.get("top_k")), (&json!(true), &json!("m"), None));
        let (path, body) = request("m", &Prompt::Text("go".to_owned()), &request_.params);
        assert_eq!((path, &body["prompt"], body.get("messages")), ("completions", &json!("go"), None));
    }

    #[test]
    fn pieces_of_every_form_are_read() {
        let text = |data: &str| said(data).unwrap().text;
        assert_eq!(text(r#"{"choices":[{"delta":{"role":"assistant","content":"a"}}],"extra":1}"#), "a");
        assert_eq!(text(r#"{"choices":[{"delta":{"content":null},"finish_reason":null}]}"#), "");
        assert_eq!(text(r#"{"choices":[{"text":"b"}]}"#), "b");
        assert_eq!(text(r#"{"choices":[{"message":{"content":"c"},"finish_reason":"stop"}]}"#), "c");
        assert_eq!(text(r#"{"choices":[],"prompt_filter_results":[]}"#), "");
        let last = said(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#).unwrap();
        assert_eq!(last.usage, Some(Usage { prompt_tokens: 3, completion_tokens: 4 }));
        let cut = said(r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#).unwrap();
        assert_eq!(cut.finish, Some(FinishReason::Length));
    }

    #[test]
    fn garbage_and_errors_are_told_apart_and_texts_are_not_repeated() {
        for data in ["<html>", "[]", "{}", "{\"choices\": 3}", ""] {
            assert_eq!(said(data), Err(WireError::Garbage), "{data}");
        }
        let error = said(r#"{"error":{"message":"you said hello","code":"bad_thing"}}"#).unwrap_err().to_string();
        assert!(error.contains("bad_thing") && !error.contains("hello"));
        assert_eq!(error_code(r#"{"error":{"type":"you said hello"}}"#), "");
    }
}
