//! SIGKILL with 50 messages in flight, again and again: every accepted message has one visible answer, none is lost.
//!
//! `PACKETBOAT_TEST_KILLS` says how often (2 unless told; the figures in the README are for 20).

use std::collections::BTreeMap;
use std::time::Duration;

use packetboat_standins::telegram::{Message, Say, TelegramStandIn};
use serde_json::json;

use super::daemon::Daemon;
use super::telegram::section;

const IN_FLIGHT: usize = 50;
const CHATS: i64 = 10;

fn kills() -> usize {
    std::env::var("PACKETBOAT_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// The moment of the kill walks through the work: after this many answers.
fn moment(kill: usize) -> usize {
    (kill * 17) % IN_FLIGHT
}

const SLOW_ECHO: &str = "[model]\nbackend = \"echo\"\necho_delay = \"5ms\"\nmax_concurrent = 4\n[delivery]\nbackoff = \"10ms\"\nmax_attempts = 100\n";

fn answered(telegram: &TelegramStandIn) -> Vec<Message> {
    (1..=CHATS).flat_map(|chat| telegram.answers(chat)).filter(|answer| answer.text.starts_with("echo")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_telegram_message_is_lost_or_answered_twice_over_kills() {
    let telegram = TelegramStandIn::start().await.expect("starts");
    let config = format!("{SLOW_ECHO}{}", section(&telegram, ""));
    let mut daemon = Daemon::start_with(&config, &[("TEST_TELEGRAM_TOKEN", &telegram.token())]).await;
    let mut said = 0;
    for kill in 0..kills() {
        for _ in 0..IN_FLIGHT {
            telegram.say(Say::private(1 + (said as i64 % CHATS), &format!("m{said}")));
            said += 1;
        }
        let before = said - IN_FLIGHT;
        telegram.wait("the moment of the kill", |it| answered(it).len() >= before + moment(kill)).await;
        daemon.kill().await;
        daemon.begin().await;
        telegram.wait("every answer", |it| answered(it).len() >= said).await;
    }
    telegram.wait_drained().await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answered(&telegram) {
        *times.entry(answer.text).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = (0..said).map(|n| (format!("echo: m{n}"), 1)).collect();
    assert_eq!(times, expected);
    for chat in 1..=CHATS {
        let order: Vec<usize> = telegram
            .answers(chat)
            .iter()
            .filter_map(|answer| answer.text.strip_prefix("echo: m")?.parse().ok())
            .collect();
        assert!(order.is_sorted(), "chat {chat}: {order:?}");
    }
    settle(&daemon, said).await;
    let leftover =
        (1..=CHATS).flat_map(|chat| telegram.answers(chat)).filter(|answer| !answer.text.starts_with("echo")).count();
    println!("{} kills, {said} messages, 0 lost, 0 doubled, {leftover} empty placeholders", kills());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_http_message_is_lost_or_answered_twice_over_kills() {
    let mut daemon = Daemon::start(SLOW_ECHO).await;
    let mut said = 0;
    let mut accepted_in_all = 0;
    for kill in 0..kills() {
        let ids: Vec<String> = (said..said + IN_FLIGHT).map(|n| format!("m{n}")).collect();
        said += IN_FLIGHT;
        let posts = ids.iter().map(|id| {
            let request = daemon.http.post(format!("{}/api/message", daemon.url)).bearer_auth(&daemon.token);
            let request = request.json(&json!({ "text": id, "id": id, "conversation": format!("c{}", id.len()) }));
            async move {
                let response = request.timeout(Duration::from_secs(30)).send().await;
                response.is_ok_and(|response| response.status() == 202).then(|| id.clone())
            }
        });
        let posting = futures::future::join_all(posts);
        let accepted: Vec<String> = if kill % 2 == 0 {
            // in the middle of the work
            let accepted = posting.await;
            let before = said - IN_FLIGHT;
            while delivered(&daemon).await < before + moment(kill) {
                tokio::task::yield_now().await;
            }
            daemon.kill().await;
            accepted.into_iter().flatten().collect()
        } else {
            // in the middle of the taking
            let url = daemon.url.clone();
            let killing = async {
                let _ = reqwest::Client::builder()
                    .no_proxy()
                    .build()
                    .expect("a client")
                    .get(format!("{url}/health"))
                    .send()
                    .await;
                daemon.kill().await;
            };
            tokio::join!(posting, killing).0.into_iter().flatten().collect()
        };
        accepted_in_all += accepted.len();
        daemon.begin().await;
        for id in &accepted {
            let (status, view) = daemon.get(&format!("/api/message/{id}")).await;
            assert_eq!(status, 200, "{id} was accepted and is lost: {view}");
        }
        // who got no answer says it again, with the same id
        for id in &ids {
            let body = json!({ "text": id, "id": id, "conversation": format!("c{}", id.len()) });
            let (status, answer) = daemon.say(body, Some("wait=60")).await;
            assert_eq!(
                (status, answer["reply"]["text"].as_str()),
                (200, Some(format!("echo: {id}").as_str())),
                "{answer}"
            );
        }
    }
    settle(&daemon, said).await;
    println!("{} kills, {said} messages ({accepted_in_all} accepted before a kill), 0 lost, 0 doubled", kills());
}

async fn delivered(daemon: &Daemon) -> usize {
    let stats = daemon.control("GET", "/api/admin/queue/stats", json!(null)).await;
    stats["totals"]["delivered"].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a count")
}

/// The last C3 may still be on its way when the answer is seen already.
async fn settle(daemon: &Daemon, said: usize) {
    let status = loop {
        let status = daemon.control("GET", "/api/admin/queue/stats", json!(null)).await;
        if status["totals"]["pending"] == 0 {
            break status;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(status["totals"]["accepted"], said);
    assert_eq!(status["totals"]["delivered"], said);
    daemon.verify_settled().await;
}
