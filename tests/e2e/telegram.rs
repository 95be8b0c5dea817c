//! Telegram: a person writes to the stand-in, the daemon polls or is called, the bundled model answers by edits.

use packetboat_standins::telegram::{Fault, Rules, Say, TelegramStandIn, Wrong};
use serde_json::json;

use super::daemon::Daemon;

/// The configuration of a bot at this stand-in.
pub fn section(telegram: &TelegramStandIn, more: &str) -> String {
    format!(
        "[adapters.telegram]\ntoken = {{ env = \"TEST_TELEGRAM_TOKEN\" }}\napi_url = \"{}\"\npoll_timeout = \"10s\"\n{more}\n",
        telegram.url()
    )
}

async fn start(telegram: &TelegramStandIn, config: &str) -> Daemon {
    let config = format!("{config}{}", section(telegram, ""));
    Daemon::start_with(&config, &[("TEST_TELEGRAM_TOKEN", &telegram.token())]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_telegram_gets_the_bundled_models_answer() {
    let telegram = TelegramStandIn::start().await.expect("starts");
    let daemon = start(&telegram, "[model]\nbackend = \"onnx\"\n").await;
    telegram.say(Say::private(7, "What happens to my messages after a crash?"));
    let answers =
        telegram.wait_answers(7, |answers| answers.first().is_some_and(|answer| answer.text.len() > 20)).await;
    assert_eq!(answers.len(), 1, "one message, edited: {answers:?}");
    telegram.say(Say::private(7, "/help"));
    let answers = telegram.wait_answers(7, |answers| answers.iter().any(|answer| answer.text.contains("/stop"))).await;
    assert_eq!(answers.len(), 2);
    telegram.wait_drained().await;
    assert!(!telegram.actions(7).is_empty(), "it shows that it types");
    let log = daemon.log();
    assert!(!log.contains(&telegram.token()), "the token is in the log");
    assert!(!log.contains("after a crash"), "content is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_lost_answers_and_dropped_connections_cost_time_and_nothing_else() {
    let telegram = TelegramStandIn::start().await.expect("starts");
    telegram.set_rules(Rules { limits: Some(packetboat_standins::telegram::RateLimits::default()), ..Rules::quick() });
    let daemon = start(&telegram, "[model]\nbackend = \"echo\"\n[delivery]\nbackoff = \"20ms\"\n").await;
    for wrong in [Wrong::DropBefore, Wrong::DropAfter, Wrong::Html(502)] {
        for method in ["sendMessage", "editMessageText", "getUpdates"] {
            telegram.fault(Fault::times(method, 2, wrong.clone()));
        }
    }
    for n in 0..6 {
        telegram.say(Say::private(7 + n % 2, &format!("message {n}")));
    }
    for person in 0..2 {
        let expected: Vec<String> = (0..6).filter(|n| n % 2 == person).map(|n| format!("echo: message {n}")).collect();
        let whole = |answers: &[packetboat_standins::telegram::Message]| {
            answers
                .iter()
                .filter(|answer| answer.text.starts_with("echo"))
                .map(|answer| answer.text.clone())
                .collect::<Vec<_>>()
        };
        let answers = telegram.wait_answers(7 + person, |answers| whole(answers).len() >= 3).await;
        assert_eq!(whole(&answers), expected, "in order, each once");
    }
    telegram.wait_drained().await;
    daemon.control("GET", "/api/admin/status", json!(null)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_webhook_the_answer_comes_too_and_a_wrong_secret_is_refused() {
    let telegram = TelegramStandIn::start().await.expect("starts");
    // the public address is only known once the port is; so the port is chosen first
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port").port();
    let hook = "mode = \"webhook\"\nwebhook_secret = { env = \"TEST_TELEGRAM_SECRET\" }";
    let config = format!(
        "[server]\npublic_url = \"http://127.0.0.1:{port}\"\n[model]\nbackend = \"echo\"\n{}",
        section(&telegram, hook)
    );
    let environment = [
        ("TEST_TELEGRAM_TOKEN", telegram.token()),
        ("TEST_TELEGRAM_SECRET", "s3cret-s3cret".to_owned()),
        ("PACKETBOAT__SERVER__LISTEN", format!("127.0.0.1:{port}")),
    ];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let daemon = Daemon::start_with(&config, &environment).await;
    telegram.wait("a webhook", |it| it.webhook_url().is_some()).await;
    telegram.say(Say::private(7, "hello"));
    let answers =
        telegram.wait_answers(7, |answers| answers.first().is_some_and(|answer| answer.text == "echo: hello")).await;
    assert_eq!(answers.len(), 1);

    let forged = daemon.http.post(format!("{}/api/telegram", daemon.url)).json(&json!({ "update_id": 1 }));
    let forged = forged.header("X-Telegram-Bot-Api-Secret-Token", "wrong").send().await.expect("answers");
    assert_eq!(forged.status(), 401);
}
