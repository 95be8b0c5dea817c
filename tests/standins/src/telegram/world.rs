//! What the platform knows: the bot, chats, messages, updates. One lock around all of it, one bell that rings on every change.
//!
//! Invariant: whoever changes the world rings the bell, so nobody needs to sleep. Dates are counted, not read from a clock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::answer::Refusal;
use super::formatting::Entity;
use super::limits::Limiter;
use super::rules::{Fault, Rules};
use super::updates::Updates;
use super::webhook::Hook;

/// The world, shared between the API, the control side and the webhook pusher.
pub(crate) struct Shared {
    world: Mutex<World>,
    bell: watch::Sender<u64>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self { world: Mutex::new(world), bell: watch::Sender::new(0), stop: CancellationToken::new() }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks without changing.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock())
    }

    /// Changes, and rings the bell.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.lock());
        self.bell.send_modify(|changes| *changes += 1);
        result
    }

    /// Rings from now on.
    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }
}

/// Everything.
pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) bot: Bot,
    pub(crate) chats: BTreeMap<i64, Chat>,
    pub(crate) updates: Updates,
    pub(crate) hook: Option<Hook>,
    pub(crate) limiter: Limiter,
    pub(crate) faults: Vec<Fault>,
    pub(crate) calls: Vec<Call>,
    next_message: i64,
    seconds: i64,
}

/// The bot.
#[derive(Debug, Clone)]
pub(crate) struct Bot {
    pub(crate) token: String,
    pub(crate) id: i64,
    pub(crate) username: String,
    /// In groups it sees only what is meant for it.
    pub(crate) privacy: bool,
}

/// A call that the bot made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// In lower case.
    pub method: String,
    /// As text, whatever encoding they came in.
    pub params: BTreeMap<String, String>,
}

/// What sort of chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// One person; the chat's id is theirs.
    Private,
    /// A basic group.
    Group,
    /// A supergroup.
    Supergroup,
    /// A supergroup with topics.
    Forum,
}

#[derive(Debug, Clone)]
pub(crate) struct Chat {
    pub(crate) id: i64,
    pub(crate) kind: ChatKind,
    pub(crate) messages: BTreeMap<i64, Message>,
    pub(crate) topics: Vec<i64>,
    /// Why the bot can't send here.
    pub(crate) closed: Option<Refusal>,
    pub(crate) actions: Vec<String>,
}

/// A message as the people in the chat see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Unique in its chat.
    pub message_id: i64,
    /// Who wrote.
    pub from: i64,
    /// The bot under test wrote it.
    pub from_bot: bool,
    /// As it reads now.
    pub text: String,
    /// As they are now.
    pub entities: Vec<Entity>,
    /// Every text that it had, the first to the present one.
    pub history: Vec<String>,
    /// The topic.
    pub thread: Option<i64>,
    /// Which message it answers.
    pub reply_to: Option<i64>,
    /// Nobody sees it any more.
    pub deleted: bool,
    /// Edits are refused with "message can't be edited".
    pub frozen: bool,
    /// Fields of media and service messages.
    pub extra: Value,
    /// The writer's `language_code`.
    pub language: Option<String>,
    /// Seconds since 1970.
    pub date: i64,
}

impl World {
    pub(crate) fn new(rules: Rules) -> Self {
        let bot = Bot {
            token: "123456789:AAE-stand-in_token_0123456789abcdef".to_owned(),
            id: 123_456_789,
            username: "packetboat_bot".to_owned(),
            privacy: true,
        };
        Self {
            rules,
            bot,
            chats: BTreeMap::new(),
            updates: Updates::default(),
            hook: None,
            limiter: Limiter::default(),
            faults: Vec::new(),
            calls: Vec::new(),
            next_message: 1,
            seconds: 1_795_000_000,
        }
    }

    /// The chat, made when it is new.
    pub(crate) fn chat(&mut self, id: i64, kind: Option<ChatKind>) -> &mut Chat {
        let guess = match id {
            id if id > 0 => ChatKind::Private,
            id if id <= -1_000_000_000_000 => ChatKind::Supergroup,
            _ => ChatKind::Group,
        };
        let kind = kind.unwrap_or(guess);
        let fresh =
            || Chat { id, kind, messages: BTreeMap::new(), topics: Vec::new(), closed: None, actions: Vec::new() };
        self.chats.entry(id).or_insert_with(fresh)
    }

    /// Puts a message into a chat: gives it its id and date.
    pub(crate) fn post(&mut self, chat: i64, mut message: Message) -> Message {
        self.seconds += 1;
        message.date = self.seconds;
        message.message_id = self.next_message;
        self.next_message += 1;
        message.history = vec![message.text.clone()];
        self.chat(chat, None).messages.insert(message.message_id, message.clone());
        message
    }

    /// `Message` of the Bot API.
    pub(crate) fn message_json(&self, chat: &Chat, message: &Message, with_reply: bool) -> Value {
        let mut json = json!({
            "message_id": message.message_id,
            "from": self.user_json(message.from, message.language.as_deref()),
            "chat": chat.to_json(),
            "date": message.date,
        });
        if !message.text.is_empty() {
            json["text"] = message.text.clone().into();
        }
        if !message.entities.is_empty() {
            json["entities"] = json!(message.entities);
        }
        if message.history.len() > 1 {
            json["edit_date"] = (message.date + 1).into();
        }
        if let Some(thread) = message.thread {
            json["message_thread_id"] = thread.into();
            if chat.topics.contains(&thread) {
                json["is_topic_message"] = true.into();
            }
        }
        let replied = message.reply_to.and_then(|id| chat.messages.get(&id)).filter(|_| with_reply);
        if let Some(replied) = replied {
            json["reply_to_message"] = self.message_json(chat, replied, false);
        }
        if let (Some(fields), Some(extra)) = (json.as_object_mut(), message.extra.as_object()) {
            fields.extend(extra.clone());
        }
        json
    }

    pub(crate) fn user_json(&self, id: i64, language: Option<&str>) -> Value {
        if id == self.bot.id {
            let name = &self.bot.username;
            return json!({"id": id, "is_bot": true, "first_name": "Packetboat", "username": name});
        }
        let username = format!("person{id}");
        json!({"id": id, "is_bot": false, "first_name": "Person", "username": username, "language_code": language.unwrap_or("en")})
    }
}

impl Chat {
    pub(crate) fn to_json(&self) -> Value {
        let id = self.id;
        match self.kind {
            ChatKind::Private => {
                json!({"id": id, "type": "private", "first_name": "Person", "username": format!("person{id}")})
            }
            ChatKind::Group => {
                json!({"id": id, "type": "group", "title": "A group", "all_members_are_administrators": false})
            }
            ChatKind::Supergroup => json!({"id": id, "type": "supergroup", "title": "A supergroup"}),
            ChatKind::Forum => json!({"id": id, "type": "supergroup", "title": "A forum", "is_forum": true}),
        }
    }
}
