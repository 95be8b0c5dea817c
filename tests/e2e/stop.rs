//! Stopping and starting: a soft stop drains, what is left goes on.

use serde_json::json;

use super::daemon::Daemon;

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_stop_is_quick_and_clean_and_the_conversation_goes_on_afterwards() {
    let mut daemon = Daemon::start("[model]\nbackend = \"echo\"\n").await;
    assert_eq!(daemon.ask("a", "one").await, "echo: one");
    let (status, _) = daemon.say(json!({ "text": "two", "id": "2", "conversation": "a" }), None).await;
    assert_eq!(status, 202);
    assert!(daemon.stop().await.success());
    daemon.begin().await;
    let (status, again) = daemon.say(json!({ "text": "two", "id": "2", "conversation": "a" }), Some("wait=30")).await;
    assert_eq!((status, again["reply"]["text"].as_str()), (200, Some("echo: two")));
    assert_eq!(daemon.cli(&["chat", "--message", "hello"]).await.trim(), "echo: hello");
    daemon.verify_settled().await;
}
