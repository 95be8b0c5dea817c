//! Conflicts, strangers, odd updates, webhooks.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use packetboat_adapter_api::adapter::{Adapter, Health};
use packetboat_adapter_api::conformance::Harness as _;
use packetboat_adapter_api::conformance::fakes::FakeIntake;
use packetboat_standins::telegram::{Fault, Rules, Say, Wrong};
use packetboat_telegram::config::{Groups, Mode, TelegramConfig};
use packetboat_telegram::{TelegramAdapter, TelegramError};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Place, TelegramHarness, WEBHOOK_SECRET, counted, secret};

struct Running {
    adapter: Arc<dyn Adapter>,
    intake: Arc<FakeIntake>,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn run(it: &TelegramHarness, config: &TelegramConfig) -> Running {
    let (adapter, intake) = (it.with(config) as Arc<dyn Adapter>, Arc::new(FakeIntake::default()));
    let stop = CancellationToken::new();
    it.mount(Arc::clone(&adapter), Arc::clone(&intake) as _).await;
    let (listener, taker, token) = (Arc::clone(&adapter), Arc::clone(&intake), stop.clone());
    tokio::spawn(async move { listener.listen(&*taker, token).await });
    Running { adapter, intake, stop }
}

async fn poll() -> TelegramHarness {
    TelegramHarness::start(Mode::Poll, Place::Private).await
}

#[tokio::test]
async fn a_second_poller_turns_health_down_and_says_why() {
    let it = poll().await;
    let running = run(&it, &it.config()).await;
    it.telegram.wait_calls("getUpdates", 1).await;
    let other = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/bot{}/getUpdates?timeout=30", it.telegram.url(), it.telegram.token());
    let asking = tokio::spawn(other.get(url).send());
    while !matches!(running.adapter.health(), Health::Down(cause) if cause.contains("another program polls")) {
        tokio::task::yield_now().await;
    }
    asking.abort();
}

#[tokio::test]
async fn a_webhook_left_over_from_before_is_removed() {
    let it = poll().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/bot{}/setWebhook?url=http://127.0.0.1:9/old", it.telegram.url(), it.telegram.token());
    client.get(url).send().await.unwrap();
    it.telegram.say(Say::private(42, "waiting since the webhook died"));
    let running = run(&it, &it.config()).await;
    running.intake.wait(|intake| intake.taken().len() == 1).await;
    assert_eq!(it.telegram.webhook_url(), None);
}

#[tokio::test]
async fn the_network_comes_back_and_nothing_is_lost() {
    let it = poll().await;
    it.telegram.fault(Fault::next("getMe", Wrong::DropBefore));
    it.telegram.fault(Fault::next("deleteWebhook", Wrong::Html(502)));
    it.telegram.fault(Fault::next("getUpdates", Wrong::DropAfter));
    it.telegram.fault(Fault::next("getUpdates", Wrong::RetryAfter(1)));
    it.telegram.say(Say::private(42, "still here"));
    let running = run(&it, &it.config()).await;
    running.intake.wait(|intake| intake.taken().len() == 1).await;
    it.telegram.wait_drained().await;
    assert_eq!(running.adapter.health(), Health::Up);
}

#[tokio::test]
async fn odd_updates_are_passed_over() {
    let it = poll().await;
    it.telegram.push_update("message", 7, json!({"nonsense": true}));
    it.telegram.push_update("message", 7, json!("not even an object"));
    it.telegram.push_update("callback_query", 7, json!({"id": "1"}));
    it.telegram.push_update("invented_in_2030", 7, json!({}));
    it.telegram.say(Say::private(42, "after all that"));
    let running = run(&it, &it.config()).await;
    running.intake.wait(|intake| intake.taken().len() == 1).await;
    it.telegram.wait_drained().await;
    assert_eq!(running.intake.offered().len(), 1);
}

#[tokio::test]
async fn only_those_who_are_allowed_are_heard() {
    let it = poll().await;
    let config = TelegramConfig { allow: vec![42, -900], groups: Groups::All, ..it.config() };
    it.telegram.set_privacy(false);
    it.telegram.say(Say::private(43, "a stranger"));
    it.telegram.say(Say::in_chat(-901, 44, "in a strange group"));
    it.telegram.say(Say::in_chat(-900, 44, "in the group"));
    it.telegram.say(Say::private(42, "a friend"));
    let running = run(&it, &config).await;
    running.intake.wait(|intake| intake.taken().len() == 2).await;
    it.telegram.wait_drained().await;
    let texts: Vec<String> = running.intake.offered().iter().map(|inbound| inbound.text()).collect();
    assert_eq!(texts, ["in the group", "a friend"]);
}

#[tokio::test]
async fn stopping_confirms_what_was_accepted_since_the_last_poll() {
    let it = poll().await;
    let running = run(&it, &it.config()).await;
    it.telegram.wait_calls("getUpdates", 1).await;
    running.intake.hold();
    it.telegram.say(Say::private(42, "accepted while stopping"));
    running.intake.wait(|intake| intake.offered().len() == 1).await;
    running.stop.cancel();
    running.intake.release();
    it.telegram.wait_drained().await;
}

#[tokio::test]
async fn under_real_rules_a_full_queue_is_asked_again_until_everything_is_taken() {
    let it = poll().await;
    it.telegram.set_rules(Rules::real());
    for number in 0..5 {
        it.telegram.say(Say::private(42, &format!("message {number}")));
    }
    let running = run(&it, &it.config()).await;
    running.intake.be_busy(4);
    running.intake.wait(|intake| intake.taken().len() == 5).await;
    it.telegram.wait_drained().await;
    let texts: Vec<String> = running.intake.taken().iter().map(|inbound| inbound.text()).collect();
    assert_eq!(texts, (0..5).map(|number| format!("message {number}")).collect::<Vec<_>>());
}

fn push(secret: Option<&str>, body: &str) -> Request<Bytes> {
    let mut request = Request::post("/api/telegram");
    if let Some(secret) = secret {
        request = request.header("x-telegram-bot-api-secret-token", secret);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_webhook_call_without_the_secret_is_refused_unread() {
    let it = TelegramHarness::start(Mode::Webhook, Place::Private).await;
    let running = run(&it, &it.config()).await;
    it.telegram.wait_calls("setWebhook", 1).await;
    let webhook = running.adapter.webhook().unwrap();
    let message = json!({"update_id": 1, "message": {"message_id": 1, "date": 1, "text": "hi",
        "chat": {"id": 42, "type": "private"}, "from": {"id": 42, "is_bot": false, "first_name": "P"}}})
    .to_string();
    for wrong in [None, Some(""), Some("webhook-Secret_43"), Some("webhook-Secret_42x")] {
        let response = webhook.receive(push(wrong, &message), &*running.intake).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    assert!(running.intake.offered().is_empty());
    let garbage = webhook.receive(push(Some(WEBHOOK_SECRET), "{"), &*running.intake).await;
    assert_eq!(garbage.status(), StatusCode::BAD_REQUEST);
    let accepted = webhook.receive(push(Some(WEBHOOK_SECRET), &message), &*running.intake).await;
    assert_eq!(accepted.status(), StatusCode::OK);
    running.intake.be_busy(1);
    let busy = webhook.receive(push(Some(WEBHOOK_SECRET), &message), &*running.intake).await;
    assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(busy.headers()["retry-after"], "1");
}

#[tokio::test]
async fn the_webhook_is_set_with_its_secret_at_the_public_address() {
    let it = TelegramHarness::start(Mode::Webhook, Place::Private).await;
    let mut config = it.config();
    config.webhook_secret = None;
    let _running = run(&it, &config).await;
    let call = it.telegram.wait_calls("setWebhook", 1).await.remove(0);
    assert_eq!(call.params["url"], it.webhook_address());
    assert_eq!(call.params["secret_token"].len(), 64, "one was made");
}

#[tokio::test]
async fn a_wrong_configuration_says_what_to_change() {
    let it = TelegramHarness::start(Mode::Webhook, Place::Private).await;
    let make = |config: &TelegramConfig, public_url| {
        let name = packetboat_adapter_api::ids::AdapterName::new("telegram");
        TelegramAdapter::new(name, config, public_url, counted()).err()
    };
    assert!(matches!(make(&it.config(), None), Some(TelegramError::NoPublicUrl)));
    let config = TelegramConfig { api_url: "not a url".into(), ..it.config() };
    assert!(matches!(make(&config, Some("https://a.b")), Some(TelegramError::ApiUrl(_))));
    let config = TelegramConfig { webhook_secret: Some(secret("not allowed!")), ..it.config() };
    assert!(matches!(make(&config, Some("https://a.b")), Some(TelegramError::WebhookSecret)));
    let config = TelegramConfig { poll_timeout: std::time::Duration::from_secs(51), ..it.config() };
    assert!(matches!(make(&config, Some("https://a.b")), Some(TelegramError::PollTimeout)));
}
