//! The placeholder-then-edit rule, and Telegram's ways to say no.

use packetboat_adapter_api::adapter::Adapter as _;
use packetboat_adapter_api::conformance::Harness as _;
use packetboat_adapter_api::conformance::fakes::{Death, FakeJournal};
use packetboat_adapter_api::envelope::{Envelope, Outbound, Part};
use packetboat_adapter_api::error::SendError;
use packetboat_adapter_api::ids::{AdapterName, ConversationId, DeliveryId, MessageId, SenderId};
use packetboat_standins::telegram::{ChatKind, Closed, Fault, Rules, Say, Wrong};
use packetboat_telegram::config::Mode;

use crate::support::{Place, TelegramHarness};

async fn harness() -> TelegramHarness {
    TelegramHarness::start(Mode::Poll, Place::Private).await
}

fn outbound(conversation: &str, message: i64, text: &str) -> Outbound {
    let chat = conversation.split(':').next().unwrap();
    let envelope = Envelope {
        adapter: AdapterName::new("telegram"),
        conversation: ConversationId::new(conversation),
        sender: SenderId::new("42"),
        message: MessageId::new(format!("{chat}:{message}")),
        sent_at_ms: None,
        language: None,
        reply_to: None,
    };
    Outbound { delivery: DeliveryId(1), envelope, parts: vec![Part::text(text)] }
}

#[tokio::test]
async fn a_placeholder_comes_first_and_the_text_is_edited_in() {
    let it = harness().await;
    let said = it.telegram.say(Say::private(42, "hi"));
    let journal = FakeJournal::default();
    let receipt = it.adapter().send(&outbound("42", said.message_id, "an **answer**"), &journal).await.unwrap();
    let answers = it.telegram.answers(42);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].history, ["…", "an answer"]);
    assert_eq!(answers[0].entities[0].kind, "bold");
    assert_eq!(answers[0].reply_to, None, "a private chat needs no quote");
    assert_eq!(receipt.0, format!("42:{}", answers[0].message_id));
}

#[tokio::test]
async fn a_placeholder_whose_note_was_lost_holds_no_answer() {
    let it = harness().await;
    let said = it.telegram.say(Say::private(42, "hi"));
    let outbound = outbound("42", said.message_id, "answer");
    let died = it.adapter().send(&outbound, &FakeJournal::dying(Death::Before(0))).await;
    assert!(matches!(died, Err(SendError::Retry { .. })));
    it.adapter().send(&outbound, &FakeJournal::default()).await.unwrap();
    let texts: Vec<String> = it.telegram.answers(42).into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["…", "answer"]);
}

#[tokio::test]
async fn in_a_topic_the_answer_quotes_the_question_and_stays_in_the_topic() {
    let it = harness().await;
    let chat = -1_001_000_000_001;
    let said = it.telegram.say(Say::in_chat(chat, 42, "@packetboat_bot hi").thread(77));
    let outbound = outbound(&format!("{chat}:77"), said.message_id, "answer");
    it.adapter().send(&outbound, &FakeJournal::default()).await.unwrap();
    let answers = it.telegram.answers(chat);
    assert_eq!((answers[0].thread, answers[0].reply_to), (Some(77), Some(said.message_id)));
}

#[tokio::test]
async fn a_question_that_was_deleted_meanwhile_is_answered_without_a_quote() {
    let it = harness().await;
    let said = it.telegram.say(Say::in_chat(-5, 42, "@packetboat_bot hi"));
    it.telegram.delete(-5, said.message_id);
    it.adapter().send(&outbound("-5", said.message_id, "answer"), &FakeJournal::default()).await.unwrap();
    assert_eq!(it.telegram.answers(-5)[0].reply_to, None);
}

#[tokio::test]
async fn an_answer_whose_message_somebody_deleted_is_sent_anew() {
    let it = harness().await;
    let said = it.telegram.say(Say::private(42, "hi"));
    let (adapter, journal) = (it.adapter(), FakeJournal::default());
    let outbound = outbound("42", said.message_id, "answer");
    adapter.live().unwrap().show(&outbound.envelope, "ans", &journal).await.unwrap();
    let shown = it.telegram.answers(42)[0].message_id;
    it.telegram.delete(42, shown);
    adapter.send(&outbound, &journal).await.unwrap();
    it.telegram.freeze(42);
    let answers = it.telegram.answers(42);
    assert_eq!(answers.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["answer"]);
    assert_ne!(answers[0].message_id, shown);
}

#[tokio::test]
async fn a_message_closed_to_edits_is_replaced() {
    let it = harness().await;
    let said = it.telegram.say(Say::private(42, "hi"));
    let (adapter, journal) = (it.adapter(), FakeJournal::default());
    let outbound = outbound("42", said.message_id, "answer");
    adapter.live().unwrap().show(&outbound.envelope, "", &journal).await.unwrap();
    it.telegram.freeze(42);
    adapter.send(&outbound, &journal).await.unwrap();
    let texts: Vec<String> = it.telegram.answers(42).into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["…", "answer"]);
}

#[tokio::test]
async fn refused_formatting_falls_back_to_plain_text() {
    let it = harness().await;
    let said = it.telegram.say(Say::private(42, "hi"));
    let description = "Bad Request: can't parse entities: unexpected end of JSON".to_owned();
    it.telegram.fault(Fault::next("editMessageText", Wrong::Refuse { code: 400, description }));
    it.adapter().send(&outbound("42", said.message_id, "an **answer**"), &FakeJournal::default()).await.unwrap();
    let answers = it.telegram.answers(42);
    assert_eq!(answers[0].text, "an answer");
    assert!(answers[0].entities.is_empty());
}

#[tokio::test]
async fn an_upgraded_group_gets_its_answer_in_the_new_place() {
    let it = harness().await;
    let (old, new) = (-600, -1_000_000_000_600);
    it.telegram.open_chat(old, ChatKind::Group);
    let said = it.telegram.say(Say::in_chat(old, 42, "@packetboat_bot hi"));
    it.telegram.migrate(old, new);
    let (outbound, journal) = (outbound("-600", said.message_id, "answer"), FakeJournal::default());
    let receipt = it.adapter().send(&outbound, &journal).await.unwrap();
    assert!(receipt.0.starts_with(&format!("{new}:")));
    // the next attempt knows where it is
    it.adapter().send(&outbound, &journal.found_again()).await.unwrap();
    assert_eq!(it.telegram.answers(new).len(), 1);
    assert!(it.telegram.answers(old).is_empty());
}

#[tokio::test]
async fn every_permanent_refusal_is_a_reject() {
    let it = harness().await;
    for (chat, how) in [(1, Closed::Blocked), (-1, Closed::Kicked), (2, Closed::Deactivated)] {
        it.telegram.say(Say::in_chat(chat, 42, "@packetboat_bot hi"));
        it.telegram.close(chat, how);
        let outcome = it.adapter().send(&outbound(&chat.to_string(), 1, "x"), &FakeJournal::default()).await;
        assert!(matches!(outcome, Err(SendError::Reject { .. })), "{how:?}: {outcome:?}");
    }
    for conversation in ["31337", "not telegram"] {
        let outcome = it.adapter().send(&outbound(conversation, 1, "x"), &FakeJournal::default()).await;
        assert!(matches!(outcome, Err(SendError::Reject { .. })), "{conversation}: {outcome:?}");
    }
}

#[tokio::test]
async fn within_a_requested_wait_telegram_is_not_asked_again() {
    let it = harness().await;
    let said = it.telegram.say(Say::private(42, "hi"));
    let (adapter, journal) = (it.adapter(), FakeJournal::default());
    let outbound = outbound("42", said.message_id, "answer");
    it.telegram.fault(Fault::next("sendMessage", Wrong::RetryAfter(300)));
    for _ in 0..3 {
        let outcome = adapter.send(&outbound, &journal).await;
        assert!(matches!(outcome, Err(SendError::RetryAfter { .. })), "{outcome:?}");
    }
    assert!(adapter.live().unwrap().show(&outbound.envelope, "x", &journal).await.is_err());
    assert!(adapter.typing().unwrap().typing(&outbound.envelope).await.is_err());
    assert_eq!(it.telegram.calls("sendMessage").len(), 1);
}

#[tokio::test]
async fn under_real_rate_limits_a_long_answer_resumes_where_it_stopped() {
    let it = harness().await;
    it.telegram.set_rules(Rules::real());
    let said = it.telegram.say(Say::private(42, "hi"));
    let text = "0123456789 ".repeat(4096 * 7 / 11);
    let (outbound, journal) = (outbound("42", said.message_id, &text), FakeJournal::default());
    let adapter = it.adapter();
    let mut waits = 0;
    while let Err(error) = adapter.send(&outbound, &journal).await {
        let SendError::RetryAfter { wait, .. } = error else { panic!("{error}") };
        waits += 1;
        tokio::time::sleep(wait).await;
    }
    assert!(waits > 0, "the limits were not reached");
    let answers = it.telegram.answers(42);
    assert_eq!(
        answers.iter().map(|message| message.text.split(' ').count()).sum::<usize>(),
        text.trim().split(' ').count()
    );
    assert!(answers.iter().all(|message| message.history.len() == 2), "each piece is edited in once");
}

#[tokio::test]
async fn typing_is_shown() {
    let it = harness().await;
    let said = it.telegram.say(Say::private(42, "hi"));
    let adapter = it.adapter();
    adapter.typing().unwrap().typing(&outbound("42", said.message_id, "x").envelope).await.unwrap();
    assert_eq!(it.telegram.actions(42), ["typing"]);
}

#[tokio::test]
async fn without_streaming_there_is_no_live_view() {
    let it = harness().await;
    let mut config = it.config();
    config.stream = false;
    assert!(it.with(&config).live().is_none());
}
