//! An adapter and the stand-in that it talks to, with a web server for webhook mode.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use packetboat_adapter_api::adapter::{Adapter, Intake};
use packetboat_adapter_api::conformance::{Harness, Room, Said, Trouble};
use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId, SenderId};
use packetboat_adapter_api::secret::SecretRef;
use packetboat_standins::door::Door;
use packetboat_standins::telegram::{Closed, Fault, Say, TelegramStandIn, Wrong};
use packetboat_telegram::config::{Groups, Mode, TelegramConfig};
use packetboat_telegram::{Random, TelegramAdapter};

/// Where people talk to the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Private,
    Group,
    Topic,
}

type Mounted = Arc<Mutex<Option<(Arc<dyn Adapter>, Arc<dyn Intake>)>>>;

pub struct TelegramHarness {
    pub telegram: TelegramStandIn,
    pub place: Place,
    mode: Mode,
    door: Door,
    mounted: Mounted,
    updates: Mutex<HashMap<MessageId, i64>>,
}

/// Reveals the text, as a test may: through a command.
pub fn secret(text: &str) -> SecretRef {
    SecretRef::Command(vec!["printf".into(), "%s".into(), text.into()])
}

/// Different at every call, the same in every run.
pub fn counted() -> Random {
    let calls = AtomicU64::new(1);
    Arc::new(move || calls.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst))
}

pub const WEBHOOK_SECRET: &str = "webhook-Secret_42";

impl TelegramHarness {
    pub async fn start(mode: Mode, place: Place) -> Self {
        let mounted = Mounted::default();
        let slot = Arc::clone(&mounted);
        let door = Door::open(move |request| forward(Arc::clone(&slot), request)).await.unwrap();
        let telegram = TelegramStandIn::start().await.unwrap();
        Self { telegram, place, mode, door, mounted, updates: Mutex::default() }
    }

    pub fn config(&self) -> TelegramConfig {
        TelegramConfig {
            token: secret(&self.telegram.token()),
            mode: self.mode,
            webhook_secret: Some(secret(WEBHOOK_SECRET)),
            api_url: self.telegram.url(),
            allow: Vec::new(),
            groups: Groups::Mention,
            stream: true,
            poll_timeout: std::time::Duration::from_secs(30),
        }
    }

    pub fn with(&self, config: &TelegramConfig) -> Arc<TelegramAdapter> {
        let name = AdapterName::new("telegram");
        Arc::new(TelegramAdapter::new(name, config, Some(&self.door.url()), counted()).unwrap())
    }

    pub fn webhook_address(&self) -> String {
        format!("{}/api/telegram", self.door.url())
    }

    pub fn chat(&self, room: Room) -> (i64, Option<i64>) {
        let room = i64::from(room);
        match self.place {
            Place::Private => (1000 + room, None),
            Place::Group => (-1000 - room, None),
            Place::Topic => (-1_001_000_000_000 - room, Some(77)),
        }
    }
}

async fn forward(mounted: Mounted, request: http::Request<Bytes>) -> http::Response<Bytes> {
    let slot = mounted.lock().unwrap().clone();
    let Some((adapter, intake)) = slot else {
        return http::Response::builder().status(503).body(Bytes::new()).unwrap();
    };
    adapter.webhook().unwrap().receive(request, &*intake).await
}

#[async_trait]
impl Harness for TelegramHarness {
    fn adapter(&self) -> Arc<dyn Adapter> {
        self.with(&self.config())
    }

    async fn mount(&self, adapter: Arc<dyn Adapter>, intake: Arc<dyn Intake>) {
        *self.mounted.lock().unwrap() = Some((adapter, intake));
    }

    async fn say(&self, room: Room, text: &str) -> Said {
        let (chat, thread) = self.chat(room);
        let person = 1000 + i64::from(room);
        let mut say = match self.place {
            Place::Private => Say::private(person, text),
            Place::Group | Place::Topic => Say::in_chat(chat, person, &format!("@PacketBoat_bot {text}")),
        };
        say.thread = thread;
        let said = self.telegram.say(say);
        let message = MessageId::new(format!("{chat}:{}", said.message_id));
        self.updates.lock().unwrap().insert(message.clone(), said.update_id.unwrap());
        let conversation = thread.map_or_else(|| chat.to_string(), |thread| format!("{chat}:{thread}"));
        Said { message, conversation: ConversationId::new(conversation), sender: SenderId::new(person.to_string()) }
    }

    async fn visible(&self, room: Room) -> Vec<String> {
        self.telegram.answers(self.chat(room).0).into_iter().map(|message| message.text).collect()
    }

    async fn unacknowledged(&self) -> Option<usize> {
        Some(self.telegram.pending())
    }

    async fn settled(&self) {
        self.telegram.wait_drained().await;
    }

    async fn repeat(&self, said: &Said) -> bool {
        let update = self.updates.lock().unwrap()[&said.message];
        self.telegram.redeliver(update)
    }

    async fn trouble(&self, room: Room, trouble: Trouble) -> bool {
        let chat = self.chat(room).0;
        let (after, what) = match trouble {
            Trouble::LoseAnswer { skip } => (skip, Wrong::DropAfter),
            Trouble::ServerError { skip } => (skip, Wrong::Html(502)),
            Trouble::Wait(wait) => (0, Wrong::RetryAfter(wait.as_secs())),
            Trouble::Refuse => {
                self.telegram.close(chat, Closed::Blocked);
                return true;
            }
        };
        self.telegram.fault(Fault { method: None, chat: Some(chat), after, times: 1, what });
        true
    }

    async fn calm(&self) {
        self.telegram.clear_faults();
    }

    fn misconfigured(&self) -> Option<Arc<dyn Adapter>> {
        let token = secret("123456789:revoked-token-0123456789");
        Some(self.with(&TelegramConfig { token, ..self.config() }))
    }

    fn secrets(&self) -> Vec<String> {
        let token = self.telegram.token();
        let half = token.split(':').nth(1).unwrap().to_owned();
        vec![token, half, "revoked-token-0123456789".to_owned(), WEBHOOK_SECRET.to_owned()]
    }
}
