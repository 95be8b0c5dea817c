//! Checks of the way out: visible once, in order, whole, whatever crashes; failures that say what to do.

use std::time::Duration;

use super::fakes::{Death, FakeJournal};
use super::{Harness, Room, Said, Trouble, answer, assert_clean, within};
use crate::adapter::{Adapter, Journal};
use crate::envelope::{Outbound, Receipt};
use crate::error::SendError;

/// More attempts than any single trouble needs.
const ATTEMPTS: usize = 8;
/// More steps than any delivery of a short answer has.
const STEPS: u32 = 6;

async fn greeting(harness: &dyn Harness, room: Room) -> Said {
    within("say", harness.say(room, "hello")).await
}

/// Sends until it worked, as the outbox would; a requested wait is kept.
async fn deliver(
    harness: &dyn Harness,
    adapter: &dyn Adapter,
    outbound: &Outbound,
    journal: &dyn Journal,
) -> Result<Receipt, SendError> {
    let mut last = SendError::Retry { cause: "never tried".to_owned() };
    for _ in 0..ATTEMPTS {
        match within("send", adapter.send(outbound, journal)).await {
            Ok(receipt) => return Ok(receipt),
            Err(error) => {
                assert_clean(harness, &format!("{error:?} {error}"));
                match &error {
                    SendError::Retry { .. } => {}
                    SendError::RetryAfter { wait, .. } => tokio::time::sleep(*wait).await,
                    SendError::Reject { .. } | SendError::Unknown { .. } => return Err(error),
                }
                last = error;
            }
        }
    }
    Err(last)
}

/// How many of the bot's messages in the room hold `text`.
async fn times_visible(harness: &dyn Harness, room: Room, text: &str) -> usize {
    harness.visible(room).await.iter().filter(|message| message.contains(text)).count()
}

/// Sent, seen, and there is proof.
pub async fn an_answer_is_visible_and_has_a_receipt(harness: &dyn Harness) {
    let adapter = harness.adapter();
    let said = greeting(harness, 1).await;
    let outbound = answer(harness, &said, 1, "the first answer");
    let receipt = within("send", adapter.send(&outbound, &FakeJournal::default())).await;
    assert!(receipt.as_ref().is_ok_and(|receipt| !receipt.0.is_empty()), "{receipt:?}");
    assert_eq!(times_visible(harness, 1, "the first answer").await, 1);
}

/// The crash between `send` and C3: the same delivery comes again, to an adapter that remembers nothing.
pub async fn an_answer_sent_again_after_a_crash_is_visible_once(harness: &dyn Harness) {
    if !harness.adapter().capabilities().idempotent_send {
        return;
    }
    let said = greeting(harness, 1).await;
    let outbound = answer(harness, &said, 1, "only once");
    let journal = FakeJournal::default();
    let outcome = deliver(harness, &*harness.adapter(), &outbound, &journal).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let outcome = deliver(harness, &*harness.adapter(), &outbound, &journal.found_again()).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(times_visible(harness, 1, "only once").await, 1);
}

/// The daemon dies at every durable step of a delivery, before and after the step.
pub async fn an_answer_is_visible_once_wherever_the_daemon_dies(harness: &dyn Harness) {
    if !harness.adapter().capabilities().idempotent_send {
        return;
    }
    let text = long_text(3000);
    let mut delivery = 1;
    for step in 0..STEPS as usize * 4 {
        let mut reached = false;
        for death in [Death::Before(step), Death::After(step)] {
            delivery += 1;
            let (room, mark) = (delivery as Room, format!("answer number {delivery}."));
            let said = greeting(harness, room).await;
            let outbound = answer(harness, &said, delivery, &format!("{mark}\n\n{text}"));
            let journal = FakeJournal::dying(death);
            let first = within("send", harness.adapter().send(&outbound, &journal)).await;
            reached |= journal.died();
            assert!(first.is_err() || !journal.died(), "the journal failed, and the send did not");
            let outcome = deliver(harness, &*harness.adapter(), &outbound, &journal.found_again()).await;
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(times_visible(harness, room, &mark).await, 1, "after {death:?}");
            assert_eq!(words(&harness.visible(room).await), words(&[format!("{mark}\n\n{text}")]), "after {death:?}");
        }
        if !reached {
            return;
        }
    }
}

/// Executed, but nobody said so; at every call of the delivery.
pub async fn an_answer_whose_confirmation_was_lost_is_visible_once(harness: &dyn Harness) {
    let idempotent = harness.adapter().capabilities().idempotent_send;
    for skip in 0..STEPS {
        let (room, text) = (skip + 1, format!("lost and found {skip}."));
        let said = greeting(harness, room).await;
        if !harness.trouble(room, Trouble::LoseAnswer { skip }).await {
            return;
        }
        let outbound = answer(harness, &said, u64::from(skip) + 1, &text);
        let outcome = deliver(harness, &*harness.adapter(), &outbound, &FakeJournal::default()).await;
        harness.calm().await;
        match outcome {
            Ok(_) => {}
            Err(SendError::Unknown { .. }) if !idempotent => {}
            other => assert!(other.is_ok(), "{other:?}"),
        }
        assert_eq!(times_visible(harness, room, &text).await, 1, "answer lost at call {skip}");
    }
}

/// Nothing was executed: try again; at every call of the delivery.
pub async fn a_broken_server_means_another_try(harness: &dyn Harness) {
    let adapter = harness.adapter();
    for skip in 0..STEPS {
        let (room, text) = (skip + 1, format!("in the end {skip}."));
        let said = greeting(harness, room).await;
        if !harness.trouble(room, Trouble::ServerError { skip }).await {
            return;
        }
        let outbound = answer(harness, &said, u64::from(skip) + 1, &text);
        let outcome = deliver(harness, &*adapter, &outbound, &FakeJournal::default()).await;
        harness.calm().await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(times_visible(harness, room, &text).await, 1);
    }
}

/// The outbox waits, not the adapter; and the answer comes after the wait.
pub async fn a_requested_wait_is_passed_on_and_not_slept_out(harness: &dyn Harness) {
    let adapter = harness.adapter();
    let said = greeting(harness, 1).await;
    let long = Duration::from_secs(600);
    if !harness.trouble(1, Trouble::Wait(long)).await {
        return;
    }
    let outbound = answer(harness, &said, 1, "after the wait");
    for _ in 0..2 {
        let outcome = within("send", adapter.send(&outbound, &FakeJournal::default())).await;
        let Err(SendError::RetryAfter { wait, .. }) = &outcome else {
            return assert!(outcome.is_err(), "a wait was asked for, and {outcome:?}");
        };
        assert!(*wait > long / 2 && *wait <= long, "asked to wait {wait:?}");
        assert_clean(harness, &format!("{outcome:?}"));
    }
    harness.calm().await;
    let said = greeting(harness, 2).await;
    harness.trouble(2, Trouble::Wait(Duration::from_secs(1))).await;
    let outbound = answer(harness, &said, 2, "after the wait");
    let outcome = deliver(harness, &*adapter, &outbound, &FakeJournal::default()).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(times_visible(harness, 2, "after the wait").await, 1);
}

/// Blocked is blocked: no more tries.
pub async fn what_can_never_arrive_is_rejected(harness: &dyn Harness) {
    let said = greeting(harness, 1).await;
    if !harness.trouble(1, Trouble::Refuse).await {
        return;
    }
    let outbound = answer(harness, &said, 1, "to nobody");
    let outcome = within("send", harness.adapter().send(&outbound, &FakeJournal::default())).await;
    assert!(matches!(outcome, Err(SendError::Reject { .. })), "{outcome:?}");
    assert_clean(harness, &format!("{outcome:?}"));
}

fn long_text(words: usize) -> String {
    let mut text = String::new();
    for number in 0..words {
        let end = if number % 97 == 96 { "\n\n" } else { " " };
        text.push_str(&format!("word{number}{end}"));
    }
    text.trim_end().to_owned()
}

/// The words of several messages in a row.
fn words(messages: &[String]) -> Vec<String> {
    let words = |message: &String| message.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let all = messages.iter().flat_map(words);
    // what holds a place holds no letter
    all.filter(|word| word.chars().any(char::is_alphanumeric)).collect()
}

/// However many messages it takes.
pub async fn a_very_long_answer_arrives_whole_and_in_order(harness: &dyn Harness) {
    let said = greeting(harness, 1).await;
    let text = long_text(4000);
    let outbound = answer(harness, &said, 1, &text);
    let outcome = deliver(harness, &*harness.adapter(), &outbound, &FakeJournal::default()).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(words(&harness.visible(1).await), words(&[text]));
}

/// What a model may write, and the words that must be readable in it.
const ODD: &[(&str, &[&str])] = &[
    ("**bold** and *italic* and `code` and ~~gone~~", &["bold", "italic", "code", "gone"]),
    ("**never closed and `also not", &["never", "closed", "also", "not"]),
    ("a_b_c * 2 > 1 [x](not a link) <b>tag</b> & | # + - = { } . !", &["a_b_c", "2", "1", "tag"]),
    ("```rust\nfn main() { println!(\"*x*\"); }\n", &["fn", "main()"]),
    ("# Title\n\n- one\n- two\n  1. three\n\n> quoted **loud**", &["Title", "one", "two", "three", "quoted", "loud"]),
    ("[docs](https://example.com/a_b) and <https://example.org>", &["docs", "https://example.org"]),
    ("| a | b |\n|---|---|\n| eins | zwei |", &["a", "b", "eins", "zwei"]),
    ("你好，**世界**！👩‍👩‍👧‍👦 family 🇩🇪", &["世界", "family"]),
    ("\\*escaped\\* and \u{0} control \u{7} marks", &["*escaped*", "control", "marks"]),
    ("[only]: https://example.com 'a definition'", &["example.com"]),
];

/// Formatting may differ; words may not be lost, and nothing may be refused.
pub async fn odd_markdown_arrives_readable(harness: &dyn Harness) {
    let adapter = harness.adapter();
    for (index, (text, readable)) in ODD.iter().enumerate() {
        let room = index as Room + 1;
        let said = greeting(harness, room).await;
        let outbound = answer(harness, &said, index as u64 + 1, text);
        let outcome = deliver(harness, &*adapter, &outbound, &FakeJournal::default()).await;
        assert!(outcome.is_ok(), "{text:?}: {outcome:?}");
        let seen = harness.visible(room).await.join("\n");
        for word in *readable {
            assert!(seen.contains(word), "{word:?} is missing from {seen:?}");
        }
    }
}

/// As the outbox sends them, one after the other.
pub async fn answers_of_one_conversation_stand_in_order(harness: &dyn Harness) {
    let adapter = harness.adapter();
    let said = greeting(harness, 1).await;
    for number in 0..5 {
        let outbound = answer(harness, &said, number + 1, &format!("answer {number}"));
        let outcome = deliver(harness, &*adapter, &outbound, &FakeJournal::default()).await;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    let seen = harness.visible(1).await;
    let expected: Vec<String> = (0..5).map(|number| format!("answer {number}")).collect();
    assert_eq!(words(&seen), words(&expected));
}

/// What was shown while it grew ends as the answer, in one place.
pub async fn a_live_view_becomes_the_answer(harness: &dyn Harness) {
    let adapter = harness.adapter();
    let Some(live) = adapter.live() else { return };
    let said = greeting(harness, 1).await;
    let outbound = answer(harness, &said, 1, "growing answer, complete");
    assert!(!live.interval(&outbound.envelope).is_zero());
    let journal = FakeJournal::default();
    for text in ["growing", "growing answer,", "growing answer,"] {
        let shown = within("show", live.show(&outbound.envelope, text, &journal)).await;
        assert!(shown.is_ok(), "{shown:?}");
    }
    let long = format!("growing {}", long_text(2000));
    let shown = within("show", live.show(&outbound.envelope, &long, &journal)).await;
    assert!(shown.is_ok(), "{shown:?}");
    // the daemon dies here, and another one delivers
    let outcome = deliver(harness, &*harness.adapter(), &outbound, &journal.found_again()).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let seen: Vec<String> = harness.visible(1).await.into_iter().filter(|text| text.contains("growing")).collect();
    assert_eq!(seen, ["growing answer, complete"]);
}

/// A crash during the view must leave nothing that a later delivery does not know of.
pub async fn a_live_view_shows_nothing_before_its_note_is_durable(harness: &dyn Harness) {
    let adapter = harness.adapter();
    let Some(live) = adapter.live() else { return };
    let said = greeting(harness, 1).await;
    let outbound = answer(harness, &said, 1, "shown at last");
    let journal = FakeJournal::dying(Death::Before(0));
    let shown = within("show", live.show(&outbound.envelope, "shown", &journal)).await;
    assert!(shown.is_err() || !journal.died(), "the note could not be stored, and the view went on");
    if journal.died() {
        assert_eq!(times_visible(harness, 1, "shown").await, 0);
    }
    let outcome = deliver(harness, &*harness.adapter(), &outbound, &FakeJournal::default()).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(times_visible(harness, 1, "shown").await, 1);
}
