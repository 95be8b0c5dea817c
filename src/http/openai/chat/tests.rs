//! The wire as OpenAI's libraries read it. The library itself drives a running daemon in `tests/clients/`.

use crate::http::fixture::{Answer, Fixture, json};
use crate::security::scope::Scope;

const PATH: &str = "/v1/chat/completions";

async fn complete(fixture: &Fixture, body: &str) -> Answer {
    let token = fixture.token("owner", &[Scope::Chat]);
    fixture.call("POST", PATH, Some(&token), body).await
}

#[tokio::test]
async fn a_completion_has_the_words_the_reason_and_the_tokens() {
    let fixture = Fixture::new();
    let body = r#"{"model":"parrot","messages":[{"role":"user","content":"hello there"}]}"#;
    let answer = complete(&fixture, body).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(body["choices"][0]["message"]["content"], "you said: hello there");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"], json!({"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}));
}

#[tokio::test]
async fn a_stream_is_role_words_reason_tokens_done() {
    let fixture = Fixture::new();
    let body = r#"{"messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#;
    let answer = complete(&fixture, body).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = answer.text();
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let chunks: Vec<serde_json::Value> =
        data[..data.len() - 1].iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    assert_eq!(*data.last().unwrap(), "[DONE]");
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let words: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(words, "you said: hi");
    let count = chunks.len();
    assert_eq!(chunks[count - 2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[count - 2]["usage"], json!(null));
    assert_eq!(chunks[count - 1]["choices"], json!([]));
    assert_eq!(chunks[count - 1]["usage"]["total_tokens"], 4);
    let first = &chunks[0]["id"];
    assert!(chunks.iter().all(|chunk| chunk["id"] == *first && chunk["object"] == "chat.completion.chunk"));
}

#[tokio::test]
async fn refusals_have_openais_shape_and_status() {
    let fixture = Fixture::new();
    let cases = [
        ("{", 400, "malformed_json", json!(null)),
        ("{}", 400, "invalid", json!("messages")),
        (r#"{"messages":[]}"#, 400, "invalid", json!("messages")),
        (r#"{"messages":[{"role":"user","content":"x"}],"temperature":3}"#, 400, "invalid", json!("temperature")),
        (r#"{"messages":[{"role":"user","content":"x"}],"n":2}"#, 400, "unsupported_value", json!("n")),
        (r#"{"messages":[{"role":"user","content":"x"}],"model":"gpt"}"#, 404, "model_not_found", json!("model")),
        (r#"{"messages":[{"role":"user","content":"REJECT"}]}"#, 400, "rejected", json!(null)),
        (r#"{"messages":[{"role":"user","content":"OVERLOAD"}],"stream":true}"#, 503, "overloaded", json!(null)),
    ];
    for (body, status, code, param) in cases {
        let answer = complete(&fixture, body).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"], &error["param"]), (status, &json!(code), &param), "{body}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_error_chunk() {
    let fixture = Fixture::new();
    let answer = complete(&fixture, r#"{"messages":[{"role":"user","content":"BREAK"}],"stream":true}"#).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(text.contains(r#""content":"you ""#), "{text}");
    assert!(text.contains(r#"{"error":{"#) && !text.contains("[DONE]"), "{text}");
}

#[tokio::test]
async fn the_wishes_reach_the_model() {
    let fixture = Fixture::new();
    let body = r#"{"messages":[{"role":"user","content":"x"}],"max_completion_tokens":7,"temperature":0,"top_p":0.5,"stop":"END","seed":3}"#;
    assert_eq!(complete(&fixture, body).await.status, 200);
    let params = fixture.model.last_params();
    assert_eq!((params.max_tokens, params.temperature, params.top_p), (7, 0.0, 0.5));
    assert_eq!((params.stop, params.seed), (vec!["END".to_owned()], Some(3)));
}

#[tokio::test]
async fn a_revoked_token_ends_the_generation() {
    let fixture = Fixture::new();
    let issued = fixture.services.tokens.issue("owner", &[Scope::Chat], 3600).unwrap();
    let body = r#"{"messages":[{"role":"user","content":"FOREVER"}],"stream":true}"#;
    let response = fixture.open("POST", PATH, Some(&issued.token), &[], body).await;
    fixture.services.tokens.revoke(&issued.id).unwrap();
    fixture.model.cancelled().await;
    drop(response);
}
