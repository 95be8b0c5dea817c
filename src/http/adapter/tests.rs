//! HTTP passes the suite of every adapter: people are clients of the real routes, who try again when they are told to.

use std::sync::Mutex;

use packetboat_adapter_api::adapter::Accepted;
use packetboat_adapter_api::conformance::fakes::FakeIntake;
use packetboat_adapter_api::conformance::{Harness, Room, Said, Trouble};
use packetboat_adapter_api::envelope::Inbound;
use packetboat_adapter_api::error::Refused;
use packetboat_adapter_api::ids::{ConversationId, MessageId, SenderId};

use super::*;
use crate::http::fixture::{Fixture, json};
use crate::live::Lane;
use crate::security::scope::Scope;

/// Whatever listens now takes the messages.
struct Mounted(Mutex<Arc<dyn Intake>>);

#[async_trait]
impl Intake for Mounted {
    async fn accept(&self, inbound: Inbound) -> Result<Accepted, Refused> {
        let intake = Arc::clone(&self.0.lock().unwrap());
        intake.accept(inbound).await
    }
}

struct Web {
    fixture: Fixture,
    mounted: Arc<Mounted>,
    token: String,
    said: Mutex<Vec<(MessageId, String)>>,
}

impl Web {
    async fn start() -> Self {
        let mounted = Arc::new(Mounted(Mutex::new(Arc::new(FakeIntake::default()))));
        let fixture = Fixture::with_intake(mounted.clone());
        let token = fixture.token("person", &[Scope::Chat]);
        Self { fixture, mounted, token, said: Mutex::default() }
    }

    fn lane(room: Room) -> Lane {
        (names::adapter(), ConversationId::new(format!("person:room-{room}")))
    }

    /// Sends until it is taken or refused for good.
    async fn post(&self, body: &str) {
        while self.fixture.call("POST", "/api/message", Some(&self.token), body).await.status == 503 {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Harness for Web {
    fn adapter(&self) -> Arc<dyn Adapter> {
        Arc::new(HttpAdapter::new(Arc::clone(&self.fixture.services.live)))
    }

    async fn mount(&self, _: Arc<dyn Adapter>, intake: Arc<dyn Intake>) {
        *self.mounted.0.lock().unwrap() = intake;
    }

    async fn say(&self, room: Room, text: &str) -> Said {
        let message = MessageId::new(format!("person:m{}", self.said.lock().unwrap().len()));
        let id = message.as_str().trim_start_matches("person:");
        let body = json!({"text": text, "conversation": format!("room-{room}"), "id": id}).to_string();
        self.said.lock().unwrap().push((message.clone(), body.clone()));
        self.post(&body).await;
        Said { message, conversation: Self::lane(room).1, sender: SenderId::new("person") }
    }

    /// As a client shows them that knows each answer by its message and its words.
    async fn visible(&self, room: Room) -> Vec<String> {
        let (events, _) = self.fixture.services.live.subscribe(&Self::lane(room), Some(0));
        let mut replies = Vec::new();
        for numbered in events {
            if let LiveEvent::Reply { message, text } = numbered.event
                && !replies.contains(&(message.clone(), text.clone()))
            {
                replies.push((message, text));
            }
        }
        replies.into_iter().map(|(_, text)| unescape(&text)).collect()
    }

    async fn unacknowledged(&self) -> Option<usize> {
        None
    }

    async fn settled(&self) {}

    async fn repeat(&self, said: &Said) -> bool {
        let body = self.said.lock().unwrap().iter().find(|(id, _)| *id == said.message).map(|(_, body)| body.clone());
        self.post(&body.unwrap()).await;
        true
    }

    /// A reply has nowhere to go wrong: it is in the store already.
    async fn trouble(&self, _: Room, _: Trouble) -> bool {
        false
    }

    async fn calm(&self) {}

    fn misconfigured(&self) -> Option<Arc<dyn Adapter>> {
        None
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.token.clone()]
    }
}

/// The page shows CommonMark: a sign behind a backslash is that sign.
fn unescape(text: &str) -> String {
    let mut shown = String::new();
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        let escapes = sign == '\\' && signs.peek().is_some_and(char::is_ascii_punctuation);
        if !escapes {
            shown.push(sign);
        } else if let Some(escaped) = signs.next() {
            shown.push(escaped);
        }
    }
    shown
}

packetboat_adapter_api::conformance_tests!(Web::start());
