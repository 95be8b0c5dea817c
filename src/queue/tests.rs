//! The line as its users see it, on the store's fake: order, retries, ends, restarts, and the conservation law throughout.

use std::sync::Arc;
use std::time::Duration;

use packetboat_adapter_api::adapter::{Accepted, Journal};
use packetboat_adapter_api::envelope::{Envelope, Inbound, Part, Receipt};
use packetboat_adapter_api::error::SendError;
use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId, SenderId};
use proptest::prelude::*;

use super::config::{DeliveryConfig, UnknownPolicy};
use super::lease::{Fate, LEASE, LeaseError};
use super::view::Stage;
use super::{AcceptError, OperateError, Queue, records};
use crate::clock::FakeClock;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Store, StoreError};

struct Line {
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
    config: DeliveryConfig,
    queue: Arc<Queue>,
}

impl Line {
    async fn new(config: DeliveryConfig) -> Self {
        let store = Arc::new(MemoryStore::default());
        let clock = FakeClock::at(1_000_000);
        let queue = Queue::open(store.clone(), clock.clone(), config.clone()).await.expect("opens");
        Self { store, clock, config, queue }
    }

    /// As if the process had been killed: nothing of the old memory is left.
    async fn restart(&mut self) {
        self.queue = Queue::open(self.store.clone(), self.clock.clone(), self.config.clone()).await.expect("opens");
    }

    async fn say(&self, conversation: &str, message: &str) -> Accepted {
        self.queue.accept(inbound(conversation, message)).await.expect("accepted")
    }

    async fn answer(&self) -> u64 {
        let lease = self.queue.try_lease().expect("a job is ready");
        let job = lease.job();
        lease.complete("yes".to_owned(), Vec::new()).await.expect("written");
        job
    }

    async fn deliver(&self) -> u64 {
        let delivery = self.queue.try_delivery().expect("a reply is ready");
        let job = delivery.job();
        delivery.delivered(Receipt("proof".to_owned())).await.expect("written");
        job
    }

    fn stage(&self, message: &str) -> Stage {
        let view = self.queue.message(&AdapterName::new("test"), &MessageId::new(message)).expect("reads");
        view.expect("is known").state
    }

    fn check(&self) {
        let stats = self.queue.stats();
        assert!(stats.totals.hold(), "{stats:?}");
        let report = self.queue.verify().expect("reads");
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!(report.totals, stats.totals);
    }
}

fn inbound(conversation: &str, message: &str) -> Inbound {
    let envelope = Envelope {
        adapter: AdapterName::new("test"),
        conversation: ConversationId::new(conversation),
        sender: SenderId::new("someone"),
        message: MessageId::new(message),
        sent_at_ms: None,
        language: None,
        reply_to: None,
    };
    Inbound { envelope, parts: vec![Part::text("hello")] }
}

fn three_attempts() -> DeliveryConfig {
    DeliveryConfig { max_attempts: 3, ..DeliveryConfig::default() }
}

#[tokio::test]
async fn a_message_is_accepted_answered_and_delivered() {
    let line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    assert_eq!(line.stage("1"), Stage::Accepted);
    let lease = line.queue.try_lease().expect("a job");
    assert_eq!(line.stage("1"), Stage::Leased);
    lease.complete("yes".to_owned(), Vec::new()).await.expect("written");
    assert_eq!(line.stage("1"), Stage::Completed);
    line.deliver().await;
    assert_eq!(line.stage("1"), Stage::Delivered);
    let totals = line.queue.stats().totals;
    assert_eq!((totals.accepted, totals.delivered, totals.pending), (1, 1, 0));
    line.check();
}

#[tokio::test]
async fn the_same_message_again_is_a_duplicate_also_after_a_restart_and_at_the_same_time() {
    let mut line = Line::new(DeliveryConfig::default()).await;
    let first = line.say("a", "1").await;
    line.restart().await;
    assert_eq!(line.say("a", "1").await, Accepted { job: first.job, duplicate: true });
    let both = tokio::join!(line.say("a", "2"), line.say("a", "2"));
    assert_ne!(both.0.duplicate, both.1.duplicate);
    assert_eq!(line.queue.stats().totals.accepted, 2);
    line.check();
}

#[tokio::test]
async fn a_conversation_is_answered_in_order_while_others_go_on() {
    let line = Line::new(DeliveryConfig::default()).await;
    for (conversation, message) in [("a", "1"), ("a", "2"), ("b", "3")] {
        line.say(conversation, message).await;
    }
    let first = line.queue.try_lease().expect("a job");
    let other = line.queue.try_lease().expect("a job");
    assert_eq!((first.job(), other.job()), (1, 3));
    assert!(line.queue.try_lease().is_none());
    first.complete("yes".to_owned(), Vec::new()).await.expect("written");
    assert_eq!(line.queue.try_lease().map(|lease| lease.job()), Some(2));
}

#[tokio::test]
async fn a_message_that_fails_is_tried_again_and_then_dead_with_every_error_and_its_lane_goes_on() {
    let line = Line::new(three_attempts()).await;
    line.say("a", "1").await;
    line.say("a", "2").await;
    for attempt in 1..=3 {
        let lease = line.queue.try_lease().expect("a job");
        assert_eq!(lease.job(), 1);
        match lease.fail(format!("error {attempt}")).await.expect("written") {
            Fate::Again(wait) => {
                assert!(line.queue.try_lease().is_none(), "its lane waits");
                line.clock.advance(wait.as_millis() as u64);
            }
            Fate::Dead => assert_eq!(attempt, 3),
        }
        line.check();
    }
    assert_eq!(line.stage("1"), Stage::Dead);
    let errors: Vec<String> =
        line.queue.show(1).expect("reads").expect("is there").errors.into_iter().map(|attempt| attempt.error).collect();
    assert_eq!(errors, ["error 1", "error 2", "error 3"]);
    assert_eq!(line.answer().await, 2);
}

#[tokio::test]
async fn a_wait_that_was_asked_for_is_no_attempt() {
    let line = Line::new(three_attempts()).await;
    line.say("a", "1").await;
    for _ in 0..10 {
        let lease = line.queue.try_lease().expect("a job");
        assert_eq!(lease.failed(), 0);
        lease.wait(Duration::from_secs(1)).await.expect("written");
        line.clock.advance(1000);
    }
    line.answer().await;
    for _ in 0..10 {
        let delivery = line.queue.try_delivery().expect("a reply");
        let wait = SendError::RetryAfter { wait: Duration::from_secs(1), cause: "429".to_owned() };
        assert_eq!(delivery.failed(wait).await, Ok(Fate::Again(Duration::from_secs(1))));
        line.clock.advance(1000);
    }
    line.deliver().await;
    line.check();
}

#[tokio::test]
async fn after_a_crash_the_message_is_ready_at_once_and_the_attempt_counts() {
    let mut line = Line::new(three_attempts()).await;
    line.say("a", "1").await;
    for crash in 0..3 {
        let lease = line.queue.try_lease().expect("ready at once");
        assert_eq!(lease.failed(), crash);
        std::mem::forget(lease);
        line.restart().await;
        line.check();
    }
    assert!(line.queue.try_lease().is_none());
    assert_eq!(line.stage("1"), Stage::Dead);
}

#[tokio::test]
async fn a_given_back_message_costs_no_attempt_over_a_restart() {
    let mut line = Line::new(three_attempts()).await;
    line.say("a", "1").await;
    line.queue.try_lease().expect("a job").wait(Duration::ZERO).await.expect("written");
    line.restart().await;
    assert_eq!(line.queue.try_lease().map(|lease| lease.failed()), Some(0));
}

#[tokio::test]
async fn after_a_crash_between_c2_and_c3_only_the_delivery_is_repeated_and_its_note_is_there() {
    let mut line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    line.answer().await;
    let delivery = line.queue.try_delivery().expect("a reply");
    delivery.note().record("placeholder 7").await.expect("written");
    std::mem::forget(delivery);
    line.restart().await;
    assert!(line.queue.try_lease().is_none(), "the model does not run again");
    let again = line.queue.try_delivery().expect("a reply");
    assert_eq!(again.note().read().as_deref(), Some("placeholder 7"));
    assert_eq!(again.outbound().text(), "yes");
    again.delivered(Receipt("proof".to_owned())).await.expect("written");
    assert_eq!(line.store.scan(records::NOTES, b"", 10), Ok(vec![]), "the note goes with the delivery");
    line.check();
}

#[tokio::test]
async fn an_unknown_fate_is_sent_again_or_held_as_configured() {
    for (unknown, expected) in [(UnknownPolicy::Resend, Stage::Completed), (UnknownPolicy::Hold, Stage::Dead)] {
        let line = Line::new(DeliveryConfig { unknown, ..DeliveryConfig::default() }).await;
        line.say("a", "1").await;
        line.answer().await;
        let delivery = line.queue.try_delivery().expect("a reply");
        delivery.failed(SendError::Unknown { cause: "cut off".to_owned() }).await.expect("written");
        assert_eq!(line.stage("1"), expected);
        line.check();
    }
}

#[tokio::test]
async fn a_dead_letter_can_be_retried_where_it_stopped_or_discarded() {
    let line = Line::new(three_attempts()).await;
    line.say("a", "1").await;
    line.say("b", "2").await;
    line.queue.try_lease().expect("a job").reject("never".to_owned()).await.expect("written");
    line.answer().await;
    let reject = SendError::Reject { cause: "blocked".to_owned() };
    assert_eq!(line.queue.try_delivery().expect("a reply").failed(reject).await, Ok(Fate::Dead));
    line.check();

    line.queue.retry(1).await.expect("goes to the model");
    line.queue.retry(2).await.expect("goes to the outbox");
    line.check();
    assert!(matches!(line.queue.retry(1).await, Err(OperateError::Conflict { .. })));
    assert_eq!(line.queue.try_lease().map(|lease| (lease.job(), lease.failed())), Some((1, 0)));
    assert_eq!(line.deliver().await, 2);
    line.clock.advance(10_000);
    line.queue.try_lease().expect("a job").reject("never".to_owned()).await.expect("written");
    line.queue.discard(1).await.expect("discarded");
    assert_eq!(line.stage("1"), Stage::Cancelled);
    assert!(matches!(line.queue.discard(1).await, Err(OperateError::Conflict { .. })));
    assert_eq!(line.queue.discard(99).await, Err(OperateError::NotFound(99)));
    line.check();
}

#[tokio::test]
async fn a_message_withdrawn_while_it_is_answered_is_not_answered() {
    let line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    let lease = line.queue.try_lease().expect("a job");
    line.queue.discard(1).await.expect("discarded");
    assert!(lease.cancel().is_cancelled());
    assert_eq!(lease.complete("yes".to_owned(), Vec::new()).await, Err(LeaseError::Lost));
    assert!(line.queue.try_delivery().is_none());
    line.check();
}

#[tokio::test]
async fn stop_ends_the_answer_being_written_and_withdraws_what_waits_in_that_lane() {
    let line = Line::new(DeliveryConfig::default()).await;
    for (conversation, message) in [("a", "1"), ("a", "2"), ("b", "3")] {
        line.say(conversation, message).await;
    }
    let running = line.queue.try_lease().expect("a job");
    let stop = line.say("a", "stop").await;
    let lane = running.lane().clone();
    assert_eq!(line.queue.stop_lane(&lane, stop.job).await, Ok(1));
    assert!(running.cancel().is_cancelled());
    running.complete("what was said so far".to_owned(), Vec::new()).await.expect("written");
    assert_eq!((line.stage("2"), line.stage("3")), (Stage::Cancelled, Stage::Accepted));
    assert_eq!([line.answer().await, line.answer().await], [3, stop.job]);
    line.check();
}

#[tokio::test]
async fn an_expired_lease_is_given_to_another_and_the_first_can_not_write() {
    let line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    let first = line.queue.try_lease().expect("a job");
    assert!(line.queue.try_lease().is_none());
    line.clock.advance(LEASE.as_millis() as u64 + 1);
    let second = line.queue.try_lease().expect("the same job");
    assert!(!first.extend());
    assert_eq!(first.complete("late".to_owned(), Vec::new()).await, Err(LeaseError::Lost));
    second.complete("yes".to_owned(), Vec::new()).await.expect("written");
    line.deliver().await;
    line.check();
}

#[tokio::test]
async fn a_dropped_lease_is_not_done() {
    let line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    drop(line.queue.try_lease());
    line.clock.advance(1001);
    line.answer().await;
    drop(line.queue.try_delivery());
    line.clock.advance(1001);
    line.deliver().await;
    line.check();
}

#[tokio::test]
async fn a_store_that_fails_refuses_and_loses_nothing() {
    let mut line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    line.store.fail_with(Some(StoreError::Full("no room".to_owned())));
    let refused = line.queue.accept(inbound("a", "2")).await;
    assert_eq!(refused, Err(AcceptError::Store(StoreError::Full("no room".to_owned()))));
    let lease = line.queue.try_lease().expect("a job");
    assert!(lease.complete("yes".to_owned(), Vec::new()).await.is_err());
    line.store.fail_with(None);
    line.clock.advance(1001);
    line.answer().await;
    line.store.fail_with(Some(StoreError::Failed("broken".to_owned())));
    let delivery = line.queue.try_delivery().expect("a reply");
    assert!(delivery.delivered(Receipt("proof".to_owned())).await.is_err());
    line.store.fail_with(None);
    line.restart().await;
    line.deliver().await;
    line.check();
}

#[tokio::test]
async fn a_full_line_and_a_closed_line_refuse() {
    let line = Line::new(DeliveryConfig { max_pending: 1, ..DeliveryConfig::default() }).await;
    line.say("a", "1").await;
    assert_eq!(line.queue.accept(inbound("a", "2")).await, Err(AcceptError::TooMany(1)));
    line.queue.close();
    assert_eq!(line.queue.accept(inbound("a", "2")).await, Err(AcceptError::Closed));
    assert!(line.queue.lease().await.is_none());
}

#[tokio::test]
async fn who_waits_is_told_when_the_message_is_answered() {
    let line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    let queue = line.queue.clone();
    let waiting = tokio::spawn(async move { queue.settled(&AdapterName::new("test"), &MessageId::new("1")).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    line.answer().await;
    waiting.await.expect("told");
    line.queue.settled(&AdapterName::new("test"), &MessageId::new("1")).await;
    line.queue.settled(&AdapterName::new("test"), &MessageId::new("unknown")).await;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_wakes_when_a_retry_is_due() {
    let line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    let Ok(Fate::Again(wait)) = line.queue.try_lease().expect("a job").fail("no".to_owned()).await else {
        panic!("tried again")
    };
    let queue = line.queue.clone();
    let worker = tokio::spawn(async move { queue.lease().await.map(|lease| lease.job()) });
    tokio::task::yield_now().await;
    line.clock.advance(wait.as_millis() as u64);
    assert_eq!(worker.await.expect("no panic"), Some(1));
}

#[tokio::test]
async fn verify_names_a_damaged_record_and_a_start_sets_it_aside() {
    let mut line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    line.say("b", "2").await;
    let damage = Batch::default()
        .put(records::job_key(records::JOBS, 1), b"rubbish")
        .put(records::job_key(records::WAITING, 1), b"rubbish");
    line.store.commit(damage).await.expect("commits");
    assert!(line.queue.verify().expect("reads").problems.iter().any(|problem| problem.contains("job 1")));
    line.restart().await;
    assert!(line.queue.stats().totals.hold());
    assert_eq!(line.answer().await, 2);
}

#[tokio::test]
async fn what_is_finished_is_emptied_and_later_forgotten_and_dedupe_outlives_the_content() {
    let line = Line::new(DeliveryConfig::default()).await;
    line.say("a", "1").await;
    line.answer().await;
    line.deliver().await;
    let keep = Duration::from_secs(3600);
    assert_eq!(line.queue.sweep(keep).await, Ok(0));
    line.clock.advance(3_600_001);
    assert_eq!(line.queue.sweep(keep).await, Ok(1));
    assert_eq!(line.queue.sweep(keep).await, Ok(0));
    assert!(line.queue.show(1).expect("reads").expect("is there").inbound.parts.is_empty());
    assert!(line.say("a", "1").await.duplicate);
    line.clock.advance(8 * 24 * 3_600_000);
    assert_eq!(line.queue.sweep(keep).await, Ok(1));
    assert_eq!(line.queue.show(1), Ok(None));
    assert!(!line.say("a", "1").await.duplicate);
    line.check();
}

#[tokio::test]
async fn job_numbers_are_never_given_twice() {
    let mut line = Line::new(DeliveryConfig::default()).await;
    let first = line.say("a", "1").await.job;
    line.answer().await;
    line.deliver().await;
    line.clock.advance(30 * 24 * 3_600_000);
    line.queue.sweep(Duration::from_secs(1)).await.expect("sweeps");
    line.queue.sweep(Duration::from_secs(1)).await.expect("sweeps");
    assert_eq!(line.queue.show(first), Ok(None));
    line.restart().await;
    assert!(line.say("a", "2").await.job > first);
}

#[derive(Debug, Clone)]
enum Op {
    Say { conversation: u8, message: u8 },
    Complete,
    Fail,
    Deliver,
    DeliveryFails,
    Discard(u64),
    Retry(u64),
    Advance(u64),
    CrashLeased,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_u8, 0..40_u8).prop_map(|(conversation, message)| Op::Say { conversation, message }),
        3 => Just(Op::Complete),
        1 => Just(Op::Fail),
        3 => Just(Op::Deliver),
        1 => Just(Op::DeliveryFails),
        1 => (1..30_u64).prop_map(Op::Discard),
        1 => (1..30_u64).prop_map(Op::Retry),
        1 => (0..400_000_u64).prop_map(Op::Advance),
        1 => Just(Op::CrashLeased),
        1 => Just(Op::Crash),
    ]
}

async fn perform(line: &mut Line, op: Op) {
    match op {
        Op::Say { conversation, message } => {
            // a message belongs to one conversation
            line.say(&conversation.to_string(), &format!("{conversation}-{message}")).await;
        }
        Op::Complete => {
            if let Some(lease) = line.queue.try_lease() {
                lease.complete("yes".to_owned(), Vec::new()).await.expect("written");
            }
        }
        Op::Fail => {
            if let Some(lease) = line.queue.try_lease() {
                lease.fail("no".to_owned()).await.expect("written");
            }
        }
        Op::Deliver => {
            if let Some(delivery) = line.queue.try_delivery() {
                delivery.delivered(Receipt("proof".to_owned())).await.expect("written");
            }
        }
        Op::DeliveryFails => {
            if let Some(delivery) = line.queue.try_delivery() {
                delivery.failed(SendError::Retry { cause: "no".to_owned() }).await.expect("written");
            }
        }
        Op::Discard(job) => drop(line.queue.discard(job).await),
        Op::Retry(job) => drop(line.queue.retry(job).await),
        Op::Advance(by) => line.clock.advance(by),
        Op::CrashLeased => {
            std::mem::forget(line.queue.try_lease());
            line.restart().await;
        }
        Op::Crash => line.restart().await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, crashes included: the law holds, every record agrees, and in the end every
    /// message has come to one of its ends.
    #[test]
    fn the_conservation_law_holds_through_everything(ops in proptest::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let mut line = Line::new(three_attempts()).await;
            for op in ops {
                perform(&mut line, op).await;
                line.check();
            }
            while line.queue.stats().totals.pending > 0 {
                line.clock.advance(400_000);
                perform(&mut line, Op::Complete).await;
                perform(&mut line, Op::Deliver).await;
            }
            line.check();
        });
    }
}
