//! Checks of the way in: durable first, acknowledged after; nothing lost, nothing doubled, in order.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::fakes::FakeIntake;
use super::{Harness, Listening, assert_clean, within};
use crate::adapter::Health;
use crate::envelope::Part;

/// What a person writes comes out with the ids that the platform knows.
pub async fn a_message_is_accepted_with_its_envelope(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    let (adapter, listening) = Listening::start(harness, &intake).await;
    let said = within("say", harness.say(1, "hello there")).await;
    within("the first message", intake.wait(|it| !it.taken().is_empty())).await;
    let taken = intake.taken().remove(0);
    assert_eq!(&taken.envelope.adapter, adapter.name());
    assert_eq!(taken.envelope.message, said.message);
    assert_eq!(taken.envelope.conversation, said.conversation);
    assert_eq!(taken.envelope.sender, said.sender);
    assert_eq!(taken.parts, [Part::text("hello there")]);
    listening.stop().await;
}

/// While the intake has not answered, the platform still holds the message.
pub async fn nothing_is_acknowledged_before_the_intake_said_ok(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    intake.hold();
    let (_, listening) = Listening::start(harness, &intake).await;
    let watching = async {
        within("the offer", intake.wait(|it| !it.offered().is_empty())).await;
        let open = harness.unacknowledged().await;
        assert!(open.is_none_or(|open| open >= 1), "acknowledged before it was durable");
        intake.release();
    };
    tokio::join!(within("say", harness.say(1, "wait for it")), watching);
    within("the acknowledgement", harness.settled()).await;
    assert_eq!(intake.taken().len(), 1);
    listening.stop().await;
}

/// A full queue costs nobody a message: it is offered again until it is taken.
pub async fn a_message_refused_because_of_a_full_queue_comes_again(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    let (_, listening) = Listening::start(harness, &intake).await;
    intake.be_busy(3);
    let said = [
        within("say", harness.say(1, "first")).await.message,
        within("say", harness.say(1, "second")).await.message,
        within("say", harness.say(1, "third")).await.message,
    ];
    within("all three", intake.wait(|it| it.taken().len() == 3)).await;
    within("the acknowledgement", harness.settled()).await;
    let taken: Vec<_> = intake.taken().into_iter().map(|inbound| inbound.envelope.message).collect();
    assert_eq!(taken, said, "in order, each once");
    listening.stop().await;
}

/// Messages from while nobody listened are taken by the next run; what the last run took is at most repeated.
pub async fn what_waited_while_the_daemon_was_down_is_taken_after_its_start(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    let (_, listening) = Listening::start(harness, &intake).await;
    within("say", harness.say(1, "before")).await;
    within("the first message", intake.wait(|it| it.taken().len() == 1)).await;
    listening.stop().await;
    let waiting = async {
        // a platform that keeps nothing tells the person, who tries until the daemon is back
        let (_, listening) = Listening::start(harness, &intake).await;
        within("both", intake.wait(|it| it.taken().len() == 2)).await;
        listening
    };
    let (_, listening) = tokio::join!(harness.say(1, "meanwhile"), waiting);
    assert_eq!(intake.taken().last().map(|inbound| inbound.text()), Some("meanwhile".to_owned()));
    listening.stop().await;
}

/// The dedupe key is the platform's own.
pub async fn a_message_delivered_twice_carries_the_same_id(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    let (_, listening) = Listening::start(harness, &intake).await;
    let said = within("say", harness.say(1, "once")).await;
    within("the first delivery", harness.settled()).await;
    if harness.repeat(&said).await {
        within("the second delivery", intake.wait(|it| it.duplicates() == 1)).await;
        within("its acknowledgement", harness.settled()).await;
    }
    within("say", harness.say(1, "next")).await;
    within("the next message", intake.wait(|it| it.taken().len() == 2)).await;
    assert_eq!(intake.taken().first().map(|inbound| inbound.envelope.message.clone()), Some(said.message));
    listening.stop().await;
}

/// A message that may never be taken is forgotten, and those behind it go on.
pub async fn a_denied_message_is_acknowledged_and_holds_nobody_up(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    intake.deny("unwelcome");
    let (_, listening) = Listening::start(harness, &intake).await;
    within("say", harness.say(1, "unwelcome")).await;
    within("say", harness.say(1, "welcome")).await;
    within("the welcome one", intake.wait(|it| it.taken().len() == 1)).await;
    within("the acknowledgement", harness.settled()).await;
    assert_eq!(intake.taken().first().map(|inbound| inbound.text()), Some("welcome".to_owned()));
    listening.stop().await;
}

/// One conversation keeps its order, whatever happens in others.
pub async fn messages_of_one_conversation_arrive_in_order(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    let (_, listening) = Listening::start(harness, &intake).await;
    let mut said = Vec::new();
    for number in 0..10 {
        said.push(within("say", harness.say(1, &format!("mine {number}"))).await);
        within("say", harness.say(2, &format!("theirs {number}"))).await;
    }
    within("twenty messages", intake.wait(|it| it.taken().len() == 20)).await;
    let conversation = said.first().map(|said| said.conversation.clone());
    let taken = intake.taken().into_iter().map(|inbound| inbound.envelope);
    let mine = taken.filter(|envelope| Some(&envelope.conversation) == conversation.as_ref());
    let expected: Vec<_> = said.iter().map(|said| said.message.clone()).collect();
    assert_eq!(mine.map(|envelope| envelope.message).collect::<Vec<_>>(), expected);
    listening.stop().await;
}

/// A stop is not held up by a quiet platform, and not by a full queue.
pub async fn listen_returns_when_it_is_stopped(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    let (adapter, listening) = Listening::start(harness, &intake).await;
    listening.stop().await;
    intake.be_busy(usize::MAX);
    let listening = Listening::with(harness, &adapter, &intake).await;
    let offered = intake.wait(|it| !it.offered().is_empty());
    tokio::select! {
        // where people are told, this one never gets through
        _ = harness.say(1, "never taken") => within("the offer", intake.wait(|it| !it.offered().is_empty())).await,
        () = offered => {}
    }
    listening.stop().await;
}

/// Health knows a working connection, and shows no secret.
pub async fn health_tells_a_connection_that_works(harness: &dyn Harness) {
    let intake = Arc::new(FakeIntake::default());
    let (adapter, listening) = Listening::start(harness, &intake).await;
    within("say", harness.say(1, "hello")).await;
    within("the message", intake.wait(|it| it.taken().len() == 1)).await;
    within("the acknowledgement", harness.settled()).await;
    assert_eq!(adapter.health(), Health::Up);
    let probed = within("probe", adapter.probe()).await;
    let who = match probed {
        Ok(who) => who,
        Err(error) => error.to_string(),
    };
    assert_clean(harness, &who);
    assert_clean(harness, &format!("{:?}", adapter.health()));
    listening.stop().await;
}

/// Nobody can mend a revoked token by waiting.
pub async fn wrong_credentials_end_listen_for_good_and_show_no_secret(harness: &dyn Harness) {
    let Some(adapter) = harness.misconfigured() else { return };
    let intake = FakeIntake::default();
    let ended = within("listen", adapter.listen(&intake, CancellationToken::new())).await;
    let probed = within("probe", adapter.probe()).await;
    let health = adapter.health();
    assert!(matches!(health, Health::Down(_)), "health is {health:?}");
    assert_clean(harness, &format!("{health:?}"));
    for error in [ended.err(), probed.err()] {
        assert!(error.as_ref().is_some_and(|error| !error.retry), "{error:?} asks for another try");
        assert_clean(harness, &format!("{error:?}"));
        assert_clean(harness, &error.map(|error| error.to_string()).unwrap_or_default());
    }
}
