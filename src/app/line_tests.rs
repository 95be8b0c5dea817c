//! The whole line in one process: a platform and a model under the test's control, the store's fake, paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use packetboat_adapter_api::adapter::{Adapter, Capabilities, Health, Intake, Journal, Live};
use packetboat_adapter_api::envelope::{Envelope, Inbound, Outbound, Part, Receipt};
use packetboat_adapter_api::error::{ListenError, Refused, SendError};
use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId, SenderId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::line::{Parts, RunningLine};
use crate::clock::FakeClock;
use crate::config::Config;
use crate::inference::{FinishReason, GenerateError, Generation, Generator, ModelInfo, Prompt, Recommended, Request, Role, Usage};
use crate::lifecycle::Lifecycle;
use crate::queue::view::Stage;
use crate::store::memory::MemoryStore;

/// Every view and every reply, in the order in which the platform saw them.
struct Platform {
    name: AdapterName,
    seen: Mutex<Vec<String>>,
    changed: Notify,
    errors: Mutex<VecDeque<SendError>>,
}

impl Platform {
    fn new(name: &str) -> Arc<Self> {
        let name = AdapterName::new(name);
        Arc::new(Self { name, seen: Mutex::default(), changed: Notify::new(), errors: Mutex::default() })
    }

    fn see(&self, what: String) {
        self.seen.lock().expect("lock").push(what);
        self.changed.notify_waiters();
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("lock").clone()
    }

    async fn wait(&self, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let changed = self.changed.notified();
            if enough(&self.seen()) {
                return self.seen();
            }
            changed.await;
        }
    }

    async fn replies(&self, count: usize) -> Vec<String> {
        let replies =
            |seen: &[String]| seen.iter().filter(|what| what.starts_with("reply")).cloned().collect::<Vec<_>>();
        replies(&self.wait(|seen| replies(seen).len() >= count).await)
    }
}

#[async_trait]
impl Adapter for Platform {
    fn name(&self) -> &AdapterName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { idempotent_send: true }
    }

    fn health(&self) -> Health {
        Health::Up
    }

    async fn listen(&self, _: &dyn Intake, stop: CancellationToken) -> Result<(), ListenError> {
        stop.cancelled().await;
        Ok(())
    }

    async fn send(&self, outbound: &Outbound, _: &dyn Journal) -> Result<Receipt, SendError> {
        if let Some(error) = self.errors.lock().expect("lock").pop_front() {
            return Err(error);
        }
        self.see(format!("reply {}: {}", outbound.envelope.message, outbound.text()));
        Ok(Receipt(outbound.delivery.to_string()))
    }

    async fn probe(&self) -> Result<String, ListenError> {
        Ok(String::new())
    }

    fn live(&self) -> Option<&dyn Live> {
        Some(self)
    }
}

#[async_trait]
impl Live for Platform {
    fn interval(&self, _: &Envelope) -> Duration {
        Duration::from_millis(10)
    }

    async fn show(&self, to: &Envelope, text: &str, _: &dyn Journal) -> Result<(), SendError> {
        self.see(format!("view {}: {text}", to.message));
        Ok(())
    }
}

/// Says what it was asked, word by word; "hang" waits for a cancellation, "fail" and "never" fail.
#[derive(Default)]
struct Model {
    prompts: Mutex<Vec<Vec<String>>>,
    hanging: Notify,
}

#[async_trait]
impl Generator for Model {
    fn info(&self) -> ModelInfo {
        ModelInfo { name: "scripted".to_owned(), backend: "echo", device: "none".to_owned(), context_window: 4096, recommended: Recommended::default() }
    }

    fn count_tokens(&self, _: &Prompt) -> u32 {
        1
    }

    async fn generate(&self, request: Request) -> Result<Generation, GenerateError> {
        let Prompt::Chat(messages) = &request.prompt else { panic!("a chat prompt") };
        let question = messages.last().expect("a question").content.clone();
        let said = messages.iter().map(|message| message.content.clone()).collect();
        self.prompts.lock().expect("lock").push(said);
        assert_eq!(messages.last().map(|message| message.role), Some(Role::User));
        let mut text = String::new();
        let mut finish = FinishReason::Stop;
        for word in question.split_inclusive(' ') {
            match word.trim() {
                "fail" => return Err(GenerateError::Retry("it failed".to_owned())),
                "never" => return Err(GenerateError::Reject("it can't".to_owned())),
                "hang" => {
                    self.hanging.notify_one();
                    request.cancel.cancelled().await;
                    finish = FinishReason::Cancelled;
                }
                _ => {
                    text.push_str(word);
                    if let Some(pieces) = &request.pieces {
                        let _ = pieces.send(word.to_owned());
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        Ok(Generation { text, usage: Usage::default(), finish, model: "scripted".to_owned() })
    }
}

struct World {
    platform: Arc<Platform>,
    model: Arc<Model>,
    line: RunningLine,
    life: Lifecycle,
}

impl World {
    async fn new() -> Self {
        Self::on(Arc::default(), "test").await
    }

    async fn on(store: Arc<MemoryStore>, configured: &str) -> Self {
        let platform = Platform::new(configured);
        let model = Arc::new(Model::default());
        let life = Lifecycle::default();
        let mut config = Config::default();
        config.delivery.max_attempts = 2;
        config.delivery.backoff = Duration::from_millis(1);
        let parts = Parts {
            store,
            generator: Arc::clone(&model) as Arc<dyn Generator>,
            adapters: vec![Arc::clone(&platform) as Arc<dyn Adapter>],
            web: AdapterName::new("web"),
            live: Arc::default(),
            clock: FakeClock::following_tokio(1_000_000),
            metrics: Arc::default(),
            life: life.clone(),
        };
        let line = RunningLine::start(&config, parts).await.expect("starts");
        Self { platform, model, line, life }
    }

    async fn say(&self, conversation: &str, message: &str, text: &str) {
        self.line.ingress.accept(inbound(conversation, message, text)).await.expect("accepted");
    }

    async fn settled(&self, message: &str) -> Stage {
        let message = MessageId::new(message);
        self.line.queue.settled(&self.platform.name, &message).await;
        self.line.queue.message(&self.platform.name, &message).expect("reads").expect("is known").state
    }

    async fn stop(self) {
        self.life.begin_stop();
        self.line.drain().await;
    }
}

fn inbound(conversation: &str, message: &str, text: &str) -> Inbound {
    let envelope = Envelope {
        adapter: AdapterName::new("test"),
        conversation: ConversationId::new(conversation),
        sender: SenderId::new("someone"),
        message: MessageId::new(message),
        sent_at_ms: None,
        language: None,
        reply_to: None,
    };
    Inbound { envelope, parts: vec![Part::text(text)] }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_seen_growing_and_then_whole_and_last() {
    let world = World::new().await;
    world.say("a", "1", "one two three").await;
    world.platform.replies(1).await;
    let seen = world.platform.seen();
    assert_eq!(seen.last().map(String::as_str), Some("reply 1: one two three"));
    assert!(seen.contains(&"view 1: one ".to_owned()), "{seen:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_question_is_asked_with_what_was_said_before_until_the_conversation_begins_anew() {
    let world = World::new().await;
    world.say("a", "1", "one").await;
    world.say("a", "2", "two").await;
    world.say("a", "3", "/new").await;
    world.say("a", "4", "three").await;
    let replies = world.platform.replies(4).await;
    assert_eq!(replies[..2], ["reply 1: one", "reply 2: two"]);
    assert_eq!(replies[3], "reply 4: three");
    let prompts = world.model.prompts.lock().expect("lock").clone();
    assert_eq!(prompts, [vec!["one"], vec!["one", "one", "two"], vec!["three"]]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_can_not_be_answered_dies_with_an_apology_and_its_lane_goes_on() {
    let world = World::new().await;
    world.say("a", "1", "fail").await;
    world.say("a", "2", "never").await;
    world.say("a", "3", "fine").await;
    world.platform.wait(|seen| seen.iter().filter(|what| what.starts_with("reply")).count() == 3).await;
    assert_eq!(world.settled("1").await, Stage::Dead);
    assert_eq!(world.settled("2").await, Stage::Dead);
    let seen = world.platform.seen();
    assert!(seen.iter().any(|what| what.starts_with("reply 1: Sorry")), "{seen:?}");
    assert!(seen.contains(&"reply 3: fine".to_owned()), "{seen:?}");
    assert!(world.line.queue.stats().totals.hold());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stop_ends_the_answer_with_what_was_said_so_far_ahead_of_its_turn() {
    let world = World::new().await;
    world.say("a", "1", "begun hang").await;
    world.say("a", "2", "waiting").await;
    world.model.hanging.notified().await;
    world.say("a", "3", "/stop").await;
    assert_eq!(world.platform.replies(2).await, ["reply 1: begun", "reply 3: Stopped."]);
    assert_eq!(world.settled("2").await, Stage::Cancelled);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_fails_gets_its_replies_later_and_in_order() {
    let world = World::new().await;
    let wait = Duration::from_secs(30);
    world.platform.errors.lock().expect("lock").extend([
        SendError::RetryAfter { wait, cause: "429".to_owned() },
        SendError::Retry { cause: "502".to_owned() },
    ]);
    world.say("a", "1", "one").await;
    world.say("a", "2", "two").await;
    assert_eq!(world.platform.replies(2).await, ["reply 1: one", "reply 2: two"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_finishes_what_was_begun_and_takes_nothing_new() {
    let store = Arc::new(MemoryStore::default());
    let world = World::on(Arc::clone(&store), "test").await;
    world.say("a", "1", "one two").await;
    world.platform.wait(|seen| !seen.is_empty()).await;
    world.line.queue.close();
    let refused = world.line.ingress.accept(inbound("a", "2", "late")).await;
    assert!(matches!(refused, Err(Refused::Busy { .. })), "{refused:?}");
    let platform = Arc::clone(&world.platform);
    world.stop().await;
    assert_eq!(platform.seen().last().map(String::as_str), Some("reply 1: one two"));
}

#[tokio::test(start_paused = true)]
async fn a_hard_stop_gives_back_what_was_begun_and_the_next_start_answers_it() {
    let store = Arc::new(MemoryStore::default());
    let world = World::on(Arc::clone(&store), "test").await;
    world.say("a", "1", "hang one").await;
    world.model.hanging.notified().await;
    world.life.give_up.cancel();
    world.stop().await;

    let world = World::on(store, "test").await;
    world.model.hanging.notified().await;
    let job = world.line.queue.show(1).expect("reads").expect("is there");
    assert_eq!(job.errors, [], "a stop is no failed attempt");
    world.life.give_up.cancel();
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_whose_adapter_is_gone_waits_for_it() {
    let store = Arc::new(MemoryStore::default());
    let world = World::on(Arc::clone(&store), "another").await;
    world.line.ingress.accept(inbound("a", "1", "one")).await.expect("accepted");
    world.line.queue.settled(&AdapterName::new("test"), &MessageId::new("1")).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.line.queue.stats().outbox, 1);
    world.stop().await;
}
