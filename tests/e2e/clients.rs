//! Clients that others wrote, against the daemon: OpenAI's own Python library, and a browser.
//!
//! The Python ones live in `.venv`, which `make test-deps` makes.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::daemon::Daemon;

fn python() -> PathBuf {
    let configured = std::env::var_os("PACKETBOAT_TEST_PYTHON").map(PathBuf::from);
    let python = configured.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"));
    assert!(python.exists(), "{} is missing: run `make test-deps`", python.display());
    python
}

async fn run(script: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = Command::new(python()).arg(script).args(arguments).kill_on_drop(true).output().await.expect("runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_own_client_works_unchanged() {
    let daemon = Daemon::start("[model]\nbackend = \"onnx\"\n").await;
    run("openai_client.py", &[&format!("{}/v1", daemon.url), &daemon.token]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_asks_and_sees_the_answer() {
    let daemon = Daemon::start("[model]\nbackend = \"onnx\"\n").await;
    let link = daemon.control("POST", "/api/admin/login-link", serde_json::Value::Null).await;
    let pictures = std::env::var("PACKETBOAT_TEST_PICTURES").unwrap_or_else(|_| daemon.folder().display().to_string());
    run("web_chat.py", &[link["url"].as_str().expect("a link"), &pictures]).await;
}
