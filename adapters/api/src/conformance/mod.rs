//! The suite that every adapter runs in its tests (feature `conformance`).
//!
//! An adapter's test implements [`Harness`] over its platform's stand-in and names it once:
//!
//! ```ignore
//! packetboat_adapter_api::conformance_tests!(MyHarness::start());
//! ```
//!
//! Every check gets a harness of its own. What a platform can't do, its harness declines (`false`, `None`), and the check has
//! nothing to say. Checks of receiving are in [`receiving`], of sending in [`sending`]; [`fakes`] stand in for the daemon.
//! Not here: what only one platform has (entities, nonces, topics); that belongs into the adapter's own tests.

pub mod fakes;
pub mod receiving;
pub mod sending;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::adapter::{Adapter, Intake};
use crate::envelope::{Envelope, Outbound, Part};
use crate::error::ListenError;
use crate::ids::{ConversationId, DeliveryId, MessageId, SenderId};
use fakes::FakeIntake;

/// A conversation of the platform's, numbered by the suite: the same number is the same person in the same place.
pub type Room = u32;

/// What a person wrote, as it must come out of the adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Expected in the envelope.
    pub message: MessageId,
    /// Expected in the envelope.
    pub conversation: ConversationId,
    /// Expected in the envelope.
    pub sender: SenderId,
}

/// Something goes wrong at the platform, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// After `skip` calls that go well, one is executed and its answer is lost.
    LoseAnswer {
        /// Calls that go well first.
        skip: u32,
    },
    /// After `skip` calls that go well, one meets a broken server and is not executed.
    ServerError {
        /// Calls that go well first.
        skip: u32,
    },
    /// The next call is told to come back after this time.
    Wait(Duration),
    /// From now on nothing can ever be sent into the room (blocked, gone).
    Refuse,
}

/// A platform with people on it, as a test controls it.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A fresh adapter with the same configuration, as after a restart of the daemon: it remembers nothing.
    fn adapter(&self) -> Arc<dyn Adapter>;

    /// Connects what the daemon's HTTP router would, before `listen`: the platform's calls now reach this adapter. Nothing by default.
    async fn mount(&self, adapter: Arc<dyn Adapter>, intake: Arc<dyn Intake>) {
        drop((adapter, intake));
    }

    /// A person writes to the bot. Where the platform tells people that the bot is busy, they try until it takes the message.
    async fn say(&self, room: Room, text: &str) -> Said;

    /// The bot's messages in the room as the person sees them now, oldest first, as plain text.
    async fn visible(&self, room: Room) -> Vec<String>;

    /// How many messages the platform has not seen acknowledged and would deliver again; `None` when nobody can tell.
    async fn unacknowledged(&self) -> Option<usize>;

    /// Returns when every message is acknowledged.
    async fn settled(&self);

    /// The platform delivers that message once more. `false`: it never does.
    async fn repeat(&self, said: &Said) -> bool;

    /// Something goes wrong. `false`: that can't happen on this platform.
    async fn trouble(&self, room: Room, trouble: Trouble) -> bool;

    /// Undoes what trouble has not struck yet.
    async fn calm(&self);

    /// An adapter whose credentials the platform refuses. `None`: the platform has no credentials.
    fn misconfigured(&self) -> Option<Arc<dyn Adapter>>;

    /// What must never appear in an error or in health.
    fn secrets(&self) -> Vec<String>;
}

/// How long anything may take before the adapter counts as hung. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `work`, or fails saying what it was.
async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, work).await;
    assert!(outcome.is_ok(), "hung: {what}");
    match outcome {
        Ok(value) => value,
        Err(_) => unreachable!("asserted above"),
    }
}

/// An adapter that listens until it is stopped.
struct Listening {
    task: JoinHandle<Result<(), ListenError>>,
    stop: CancellationToken,
}

impl Listening {
    async fn start(harness: &dyn Harness, intake: &Arc<FakeIntake>) -> (Arc<dyn Adapter>, Self) {
        let adapter = harness.adapter();
        let listening = Self::with(harness, &adapter, intake).await;
        (adapter, listening)
    }

    async fn with(harness: &dyn Harness, adapter: &Arc<dyn Adapter>, intake: &Arc<FakeIntake>) -> Self {
        let stop = CancellationToken::new();
        harness.mount(Arc::clone(adapter), Arc::clone(intake) as Arc<dyn Intake>).await;
        let (adapter, intake, token) = (Arc::clone(adapter), Arc::clone(intake), stop.clone());
        let task = tokio::spawn(async move { adapter.listen(&*intake, token).await });
        Self { task, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        let ended = within("listen after its stop", self.task).await;
        assert!(matches!(ended, Ok(Ok(()))), "listen ended with {ended:?}");
    }
}

/// An answer to what was said.
fn answer(harness: &dyn Harness, said: &Said, delivery: u64, text: &str) -> Outbound {
    let envelope = Envelope {
        adapter: harness.adapter().name().clone(),
        conversation: said.conversation.clone(),
        sender: said.sender.clone(),
        message: said.message.clone(),
        sent_at_ms: None,
        language: None,
        reply_to: None,
    };
    Outbound { delivery: DeliveryId(delivery), envelope, parts: vec![Part::text(text)] }
}

/// Fails when `text` shows a secret.
fn assert_clean(harness: &dyn Harness, text: &str) {
    for secret in harness.secrets() {
        assert!(!text.contains(&secret), "a secret shows in: {}", text.replace(&secret, "<secret>"));
    }
}

/// Every check as a test of its own; the expression is a future that gives a [`Harness`].
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests! { @each $harness;
            receiving: a_message_is_accepted_with_its_envelope,
            receiving: nothing_is_acknowledged_before_the_intake_said_ok,
            receiving: a_message_refused_because_of_a_full_queue_comes_again,
            receiving: what_waited_while_the_daemon_was_down_is_taken_after_its_start,
            receiving: a_message_delivered_twice_carries_the_same_id,
            receiving: a_denied_message_is_acknowledged_and_holds_nobody_up,
            receiving: messages_of_one_conversation_arrive_in_order,
            receiving: listen_returns_when_it_is_stopped,
            receiving: health_tells_a_connection_that_works,
            receiving: wrong_credentials_end_listen_for_good_and_show_no_secret,
            sending: an_answer_is_visible_and_has_a_receipt,
            sending: an_answer_sent_again_after_a_crash_is_visible_once,
            sending: an_answer_is_visible_once_wherever_the_daemon_dies,
            sending: an_answer_whose_confirmation_was_lost_is_visible_once,
            sending: a_broken_server_means_another_try,
            sending: a_requested_wait_is_passed_on_and_not_slept_out,
            sending: what_can_never_arrive_is_rejected,
            sending: a_very_long_answer_arrives_whole_and_in_order,
            sending: odd_markdown_arrives_readable,
            sending: answers_of_one_conversation_stand_in_order,
            sending: a_live_view_becomes_the_answer,
            sending: a_live_view_shows_nothing_before_its_note_is_durable,
        }
    };
    (@each $harness:expr; $($part:ident: $check:ident,)+) => {
        $(
            #[tokio::test]
            async fn $check() {
                let harness = $harness.await;
                $crate::conformance::$part::$check(&harness).await;
            }
        )+
    };
}
