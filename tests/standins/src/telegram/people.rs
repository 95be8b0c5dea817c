//! What people do: write, reply, edit, delete, block the bot, upgrade a group. Each becomes the updates that the bot gets.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::formatting::{self, Entity};
use super::world::{Chat, ChatKind, Message, World};

/// Somebody says something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// Positive: a private chat, and the person's id. Negative: a group; from -100… on a supergroup.
    pub chat: i64,
    /// Who.
    pub from: i64,
    /// May be empty when `extra` holds media.
    #[serde(default)]
    pub text: String,
    /// Besides those that the server finds by itself (commands, mentions, links).
    #[serde(default)]
    pub entities: Vec<Entity>,
    /// Which message it answers.
    #[serde(default)]
    pub reply_to: Option<i64>,
    /// In this topic (the chat becomes a forum).
    #[serde(default)]
    pub thread: Option<i64>,
    /// The person's `language_code`.
    #[serde(default)]
    pub language: Option<String>,
    /// Fields put into the message as they are: media, captions.
    #[serde(default)]
    pub extra: Value,
}

impl Say {
    /// In a private chat.
    pub fn private(person: i64, text: &str) -> Self {
        Self::in_chat(person, person, text)
    }

    /// In any chat.
    pub fn in_chat(chat: i64, from: i64, text: &str) -> Self {
        Self {
            chat,
            from,
            text: text.to_owned(),
            entities: Vec::new(),
            reply_to: None,
            thread: None,
            language: None,
            extra: Value::Null,
        }
    }

    /// As an answer to that message.
    #[must_use]
    pub fn reply_to(mut self, message: i64) -> Self {
        self.reply_to = Some(message);
        self
    }

    /// In a topic.
    #[must_use]
    pub fn thread(mut self, thread: i64) -> Self {
        self.thread = Some(thread);
        self
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Where.
    pub chat: i64,
    /// Its id in the chat.
    pub message_id: i64,
    /// The update that the bot gets; `None` when privacy mode or `allowed_updates` keeps it from the bot.
    pub update_id: Option<i64>,
}

/// Somebody says something.
pub(crate) fn say(world: &mut World, said: Say) -> Said {
    let kind = said.thread.filter(|_| said.chat < 0).map(|_| ChatKind::Forum);
    let chat = world.chat(said.chat, kind);
    if let Some(thread) = said.thread.filter(|thread| !chat.topics.contains(thread)) {
        chat.topics.push(thread);
    }
    let mut entities = formatting::detect(&said.text);
    entities.extend(said.entities);
    entities.sort_by_key(|entity| entity.offset);
    let message = Message {
        message_id: 0,
        from: said.from,
        from_bot: false,
        text: said.text,
        entities,
        history: Vec::new(),
        thread: said.thread,
        reply_to: said.reply_to,
        deleted: false,
        frozen: false,
        extra: said.extra,
        language: said.language,
        date: 0,
    };
    let message = world.post(said.chat, message);
    let update_id = tell_bot(world, said.chat, &message, "message");
    Said { chat: said.chat, message_id: message.message_id, update_id }
}

/// Somebody edits what they wrote.
pub(crate) fn edit(world: &mut World, chat: i64, message: i64, text: &str) -> Option<i64> {
    let message = world.chat(chat, None).messages.get_mut(&message)?;
    message.text = text.to_owned();
    message.entities = formatting::detect(text);
    message.history.push(text.to_owned());
    let message = message.clone();
    tell_bot(world, chat, &message, "edited_message")
}

/// Somebody deletes a message (bots are not told).
pub(crate) fn delete(world: &mut World, chat: i64, message: i64) -> bool {
    let message = world.chat(chat, None).messages.get_mut(&message);
    message.map(|message| message.deleted = true).is_some()
}

/// The bot may no longer write there.
pub(crate) fn close(world: &mut World, chat: i64, how: Closed) {
    let refusal = match how {
        Closed::Blocked => Some(Refusal::forbidden("bot was blocked by the user")),
        Closed::Kicked if chat <= -1_000_000_000_000 => {
            Some(Refusal::forbidden("bot was kicked from the supergroup chat"))
        }
        Closed::Kicked => Some(Refusal::forbidden("bot was kicked from the group chat")),
        Closed::Deactivated => Some(Refusal::forbidden("user is deactivated")),
        Closed::Open => None,
    };
    world.chat(chat, None).closed = refusal;
}

/// Why the bot may not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// The person blocked it.
    Blocked,
    /// It was removed from the group.
    Kicked,
    /// The person's account is gone.
    Deactivated,
    /// It may write again.
    Open,
}

/// A group becomes a supergroup with a new id.
pub(crate) fn migrate(world: &mut World, from: i64, to: i64) {
    world.chat(to, Some(ChatKind::Supergroup));
    world.chat(from, None).closed = Some(Refusal::migrated(to));
    for (chat, field, other) in [(from, "migrate_to_chat_id", to), (to, "migrate_from_chat_id", from)] {
        let service = Say { extra: json!({field: other}), ..Say::in_chat(chat, 1, "") };
        say(world, service);
    }
}

fn tell_bot(world: &mut World, chat: i64, message: &Message, kind: &str) -> Option<i64> {
    let room = world.chats.get(&chat)?;
    if !meant_for_bot(world, room, message) {
        return None;
    }
    let json = world.message_json(room, message, true);
    world.updates.push(kind, chat, json)
}

/// Privacy mode: commands, replies to the bot, mentions of it, service messages.
fn meant_for_bot(world: &World, chat: &Chat, message: &Message) -> bool {
    if !world.bot.privacy || chat.kind == ChatKind::Private || message.text.is_empty() {
        return true;
    }
    let name = format!("@{}", world.bot.username);
    let replied = message.reply_to.and_then(|id| chat.messages.get(&id)).is_some_and(|replied| replied.from_bot);
    let units: Vec<u16> = message.text.encode_utf16().collect();
    let addressed = message.entities.iter().any(|entity| {
        let word = units.get(entity.offset..entity.offset + entity.length).unwrap_or_default();
        let word = String::from_utf16_lossy(word);
        match entity.kind.as_str() {
            "mention" => word.eq_ignore_ascii_case(&name),
            "bot_command" => word.split_once('@').is_none_or(|(_, bot)| bot.eq_ignore_ascii_case(&world.bot.username)),
            "text_mention" => true,
            _ => false,
        }
    });
    replied || addressed
}
