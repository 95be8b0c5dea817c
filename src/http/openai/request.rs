//! What a chat completion may ask for: read kindly, refused clearly.
//!
//! Invariants: a key that we don't know is ignored, as OpenAI's servers of every age do; a key that we know and can't
//! honour is refused unless it asks for nothing (`n: 1`, `tools: []`), because an answer that silently ignores a wish is
//! worse than a refusal.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::http::ask::Wishes;
use crate::http::problem::Problem;
use crate::inference::{ChatMessage, Role};

/// The body of a request.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ChatRequest {
    /// As `/v1/models` lists it; absent or `default` = the one that there is.
    #[serde(default)]
    pub model: Option<String>,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Answer with server-sent events.
    #[serde(default)]
    pub stream: Option<bool>,
    /// What the stream holds.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// New tokens at most.
    #[serde(default)]
    max_completion_tokens: Option<u32>,
    /// The same, by its older name.
    #[serde(default)]
    max_tokens: Option<u32>,
    /// 0 (always the likeliest) to 2.
    #[serde(default)]
    temperature: Option<f32>,
    /// Choose among the likeliest tokens whose probabilities add up to this.
    #[serde(default)]
    top_p: Option<f32>,
    /// Not OpenAI's, but many servers': choose among this many; 0 = all.
    #[serde(default)]
    top_k: Option<u32>,
    /// The text ends before any of these.
    #[serde(default)]
    stop: Option<Stop>,
    /// The same seed, prompt and model give the same text.
    #[serde(default)]
    seed: Option<i64>,
    /// Only 1.
    #[serde(default)]
    n: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    tools: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    functions: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    logprobs: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    logit_bias: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    presence_penalty: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    frequency_penalty: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    response_format: Option<Value>,
    #[serde(default)]
    #[schemars(skip)]
    modalities: Option<Value>,
}

/// One message.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Message {
    /// `system`, `developer` (the same), `user` or `assistant`.
    role: String,
    /// Text, or a list of text parts.
    #[serde(default)]
    content: Option<Content>,
}

/// What a message says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// One part of it.
#[derive(Debug, Deserialize, JsonSchema)]
struct ContentPart {
    /// Only `text`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// Where the text ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// What the stream holds.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct StreamOptions {
    /// A last chunk tells the tokens.
    #[serde(default)]
    pub include_usage: bool,
}

impl ChatRequest {
    /// Refuses what we can't honour.
    pub fn check(&self) -> Result<(), Problem> {
        let wishes = [
            ("n", &self.n),
            ("tools", &self.tools),
            ("functions", &self.functions),
            ("logprobs", &self.logprobs),
            ("logit_bias", &self.logit_bias),
            ("presence_penalty", &self.presence_penalty),
            ("frequency_penalty", &self.frequency_penalty),
            ("response_format", &self.response_format),
            ("modalities", &self.modalities),
        ];
        let refused = wishes.into_iter().find(|(name, value)| value.as_ref().is_some_and(|value| wants(name, value)));
        match refused {
            None => Ok(()),
            Some((name, _)) => Err(unsupported(name, format!("this server does not support this value of `{name}`"))),
        }
    }

    /// The messages as the model takes them.
    pub fn chat(&self) -> Result<Vec<ChatMessage>, Problem> {
        if self.messages.is_empty() {
            return Err(Problem::invalid("messages", "`messages` is empty"));
        }
        self.messages.iter().enumerate().map(|(place, message)| message.read(place)).collect()
    }

    /// The wishes about sampling.
    pub fn wishes(self) -> Wishes {
        Wishes {
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            stop: match self.stop {
                None => Vec::new(),
                Some(Stop::One(stop)) => vec![stop],
                Some(Stop::Many(stops)) => stops,
            },
            seed: self.seed,
        }
    }
}

impl Message {
    fn read(&self, place: usize) -> Result<ChatMessage, Problem> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                let detail = "`role` is system, developer, user or assistant";
                return Err(unsupported(&format!("messages[{place}].role"), detail.to_owned()));
            }
        };
        let content = match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                let texts = parts.iter().map(|part| part.text.as_deref().filter(|_| part.kind == "text"));
                let texts: Option<Vec<&str>> = texts.collect();
                let param = format!("messages[{place}].content");
                texts
                    .ok_or_else(|| unsupported(&param, "only parts of the type `text` are supported".to_owned()))?
                    .join("\n")
            }
        };
        Ok(ChatMessage { role, content })
    }
}

/// The value asks for something beyond what we do anyway.
fn wants(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) if name == "n" => number.as_u64() != Some(1),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(list) if name == "modalities" => list.iter().any(|modality| modality != "text"),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) if name == "response_format" => object.get("type").is_none_or(|kind| kind != "text"),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(true) | Value::String(_) => true,
    }
}

fn unsupported(param: &str, detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "unsupported_value", detail).at(param)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(extra: Value) -> Result<ChatRequest, String> {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        let request: ChatRequest = serde_json::from_value(body).map_err(|error| error.to_string())?;
        request.check().and_then(|()| request.chat()).map_err(|problem| problem.param.unwrap_or_default())?;
        Ok(request)
    }

    #[test]
    fn a_wish_that_we_can_not_honour_is_refused_by_name() {
        let refused = [
            ("n", json!({"n": 2})),
            ("tools", json!({"tools": [{"type": "function"}]})),
            ("functions", json!({"functions": [{}]})),
            ("logprobs", json!({"logprobs": true})),
            ("logit_bias", json!({"logit_bias": {"1": 2}})),
            ("presence_penalty", json!({"presence_penalty": 0.5})),
            ("response_format", json!({"response_format": {"type": "json_object"}})),
            ("modalities", json!({"modalities": ["text", "audio"]})),
            ("messages", json!({"messages": []})),
            ("messages[0].role", json!({"messages": [{"role": "tool", "content": "x"}]})),
            ("messages[0].content", json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})),
        ];
        for (param, body) in refused {
            assert_eq!(read(body).unwrap_err(), param);
        }
    }

    #[test]
    fn a_wish_for_nothing_special_and_an_unknown_key_are_fine() {
        let bodies = [
            json!({"n": 1, "tools": [], "logprobs": false, "logit_bias": null, "presence_penalty": 0, "frequency_penalty": 0.0}),
            json!({"response_format": {"type": "text"}, "modalities": ["text"], "user": "u", "store": true, "metadata": {"a": "b"}}),
            json!({"stream_options": null, "stop": null, "max_tokens": null, "seed": null}),
        ];
        for body in bodies {
            assert!(read(body.clone()).is_ok(), "{body}");
        }
    }

    #[test]
    fn parts_are_put_together_and_a_developer_is_the_system() {
        let request = read(json!({"messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
            {"role": "assistant"},
        ]}));
        let chat = request.unwrap().chat().unwrap();
        assert_eq!((chat[0].role, chat[0].content.as_str()), (Role::System, "be brief"));
        assert_eq!(chat[1].content, "one\ntwo");
        assert_eq!(chat[2].content, "");
    }

    #[test]
    fn stop_is_a_string_or_a_list_and_the_newer_name_of_the_limit_wins() {
        let stops = |stop: Value| read(json!({"stop": stop})).unwrap().wishes().stop;
        assert_eq!(stops(json!("a")), ["a"]);
        assert_eq!(stops(json!(["a", "b"])), ["a", "b"]);
        let limits = read(json!({"max_tokens": 5, "max_completion_tokens": 7})).unwrap();
        assert_eq!(limits.wishes().max_tokens, Some(7));
    }
}
