//! HTTP: messages, the model without the line, health, metrics.

use serde_json::json;

use super::daemon::Daemon;

#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_model_answers_over_http_in_both_languages() {
    let daemon = Daemon::start("[model]\nbackend = \"onnx\"\n").await;
    let english = daemon.ask("en", "Who are you?").await;
    assert!(english.to_lowercase().contains("packetboat"), "{english}");
    let chinese = daemon.ask("zh", "你是谁？").await;
    assert!(chinese.contains("packetboat"), "{chinese}");
    let (status, answer) = daemon.get("/v1/models").await;
    assert_eq!((status, answer["data"][0]["id"].as_str()), (200, Some("bundled")));
    let generate = daemon.http.post(format!("{}/v1/generate", daemon.url)).bearer_auth(&daemon.token);
    let generate = generate.json(&json!({ "prompt": "Hello", "max_tokens": 8 })).send().await.expect("answers");
    assert_eq!(generate.status(), 200);
    daemon.verify_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conservation_law_is_a_metric() {
    let daemon = Daemon::start("[model]\nbackend = \"echo\"\n").await;
    daemon.ask("a", "one").await;
    let socket = daemon.folder().join("data/control.sock");
    let client = reqwest::Client::builder().no_proxy().unix_socket(socket).build().expect("a client");
    let text = client.get("http://localhost/metrics").send().await.expect("answers").text().await.expect("text");
    for line in [
        "packetboat_messages_accepted_total 1",
        "packetboat_conservation_violation 0",
        "packetboat_adapter_up{adapter=\"http\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}
