//! Telegram's messages to envelopes. Pure; golden files in `tests/golden`.
//!
//! Invariants: the dedupe key is `chat:message`; the conversation is `chat` or `chat:topic`, and a reply thread outside a forum is no
//! topic. Who is addressed is decided by entities, never by searching the text.
//! Not here: answers (see `markdown`, `split`, `send`).

use std::collections::HashSet;

use packetboat_adapter_api::envelope::{Envelope, Inbound, Media, Part};
use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId, SenderId};

use crate::config::Groups;
use crate::wire::{Entity, File, Message};

/// Who the bot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) username: String,
}

/// Whom it listens to.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) adapter: AdapterName,
    pub(crate) groups: Groups,
    /// People and chats; empty = everybody.
    pub(crate) allow: HashSet<i64>,
}

/// Why a message is not for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ignored {
    #[error("a bot, a channel or an automatic forward wrote it")]
    NotAPerson,
    #[error("neither the sender nor the chat is in allow")]
    NotAllowed,
    #[error("groups are off")]
    GroupsOff,
    #[error("it is not addressed to this bot")]
    NotAddressed,
    #[error("it holds nothing that we can read")]
    Nothing,
}

/// Where an answer goes, read back from an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) chat: i64,
    pub(crate) thread: Option<i32>,
    /// The message that is answered.
    pub(crate) message: i32,
}

impl Target {
    /// `None` when the envelope is not one of ours.
    pub(crate) fn of(envelope: &Envelope) -> Option<Self> {
        let mut place = envelope.conversation.as_str().splitn(2, ':');
        let chat = place.next()?.parse().ok()?;
        let thread = place.next().map(str::parse).transpose().ok()?;
        let (_, message) = envelope.message.as_str().rsplit_once(':')?;
        Some(Self { chat, thread, message: message.parse().ok()? })
    }

    pub(crate) fn is_group(&self) -> bool {
        self.chat < 0
    }
}

/// The message as the daemon takes it, or why not.
pub(crate) fn read(message: &Message, me: &Identity, policy: &Policy) -> Result<Inbound, Ignored> {
    let sender = sender(message).ok_or(Ignored::NotAPerson)?;
    let chat = message.chat.id;
    if !policy.allow.is_empty() && !policy.allow.contains(&sender) && !policy.allow.contains(&chat) {
        return Err(Ignored::NotAllowed);
    }
    let words = Words::of(message);
    let group = message.chat.kind != "private";
    if group {
        let heard = match policy.groups {
            Groups::Off => return Err(Ignored::GroupsOff),
            Groups::All => !words.for_another_bot(me),
            Groups::Mention => !words.for_another_bot(me) && (words.names(me) || replies_to(message, me)),
        };
        if !heard {
            return Err(Ignored::NotAddressed);
        }
    }
    let parts = parts(message, words.plain(me));
    if parts.is_empty() {
        return Err(Ignored::Nothing);
    }
    let topic = message.message_thread_id.filter(|_| message.is_topic_message);
    let conversation = topic.map_or_else(|| chat.to_string(), |topic| format!("{chat}:{topic}"));
    let envelope = Envelope {
        adapter: policy.adapter.clone(),
        conversation: ConversationId::new(conversation),
        sender: SenderId::new(sender.to_string()),
        message: MessageId::new(format!("{chat}:{}", message.message_id)),
        sent_at_ms: Some(message.date * 1000),
        language: message.from.as_ref().and_then(|user| user.language_code.clone()),
        reply_to: None,
    };
    Ok(Inbound { envelope, parts })
}

/// A person, or the group or channel that somebody speaks for.
fn sender(message: &Message) -> Option<i64> {
    if message.is_automatic_forward || message.chat.kind == "channel" {
        return None;
    }
    if let Some(chat) = &message.sender_chat {
        return Some(chat.id);
    }
    message.from.as_ref().filter(|user| !user.is_bot).map(|user| user.id)
}

/// In a topic, Telegram links every message to the one that opened the topic; that is no reply.
fn replies_to(message: &Message, me: &Identity) -> bool {
    let replied = message.reply_to_message.as_ref();
    let opener = message.message_thread_id.filter(|_| message.is_topic_message);
    let replied = replied.filter(|replied| Some(replied.message_id) != opener);
    replied.and_then(|replied| replied.from.as_ref()).is_some_and(|user| user.id == me.id)
}

/// A text with its entities cut out.
struct Words<'a> {
    text: &'a str,
    /// Byte range, entity.
    spans: Vec<(usize, usize, &'a Entity)>,
}

impl<'a> Words<'a> {
    fn of(message: &'a Message) -> Self {
        let (text, entities) = match &message.text {
            Some(text) => (text.as_str(), &message.entities),
            None => (message.caption.as_deref().unwrap_or_default(), &message.caption_entities),
        };
        let span = |entity: &'a Entity| {
            let from = byte_at(text, entity.offset)?;
            let to = byte_at(text, entity.offset.checked_add(entity.length)?)?;
            Some((from, to, entity))
        };
        Self { text, spans: entities.iter().filter_map(span).collect() }
    }

    fn word(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn is_me(&self, span: &(usize, usize, &Entity), me: &Identity) -> bool {
        let (from, to, entity) = *span;
        match entity.kind.as_str() {
            "mention" => self.word(from, to).trim_start_matches('@').eq_ignore_ascii_case(&me.username),
            "text_mention" => entity.user.as_ref().is_some_and(|user| user.id == me.id),
            _ => false,
        }
    }

    /// The bot that a leading command is for, if it says.
    fn command(&self) -> Option<(usize, &'a str, Option<&'a str>)> {
        let start = self.text.len() - self.text.trim_start().len();
        let leading = |(from, _, entity): &&(usize, usize, &Entity)| *from == start && entity.kind == "bot_command";
        let (from, to, _) = self.spans.iter().find(leading)?;
        let word = self.word(*from, *to);
        Some(match word.split_once('@') {
            Some((name, bot)) => (*to, name, Some(bot)),
            None => (*to, word, None),
        })
    }

    fn for_another_bot(&self, me: &Identity) -> bool {
        self.command().is_some_and(|(_, _, bot)| bot.is_some_and(|bot| !bot.eq_ignore_ascii_case(&me.username)))
    }

    /// Mentions the bot, or is a command that it may take.
    fn names(&self, me: &Identity) -> bool {
        self.command().is_some() || self.spans.iter().any(|span| self.is_me(span, me))
    }

    /// Without a leading mention of the bot, and without `@bot` after a command. A bare mention stays as it is.
    fn plain(&self, me: &Identity) -> String {
        if let Some((end, name, Some(bot))) = self.command()
            && bot.eq_ignore_ascii_case(&me.username)
        {
            return format!("{name}{}", self.text.get(end..).unwrap_or_default()).trim().to_owned();
        }
        let start = self.text.len() - self.text.trim_start().len();
        let leading = self.spans.iter().find(|span| span.0 == start && self.is_me(span, me));
        let rest = leading.and_then(|(_, to, _)| self.text.get(*to..)).map(|rest| {
            rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '，' | '：')).trim_end()
        });
        rest.filter(|rest| !rest.is_empty()).unwrap_or_else(|| self.text.trim()).to_owned()
    }
}

/// The byte where that UTF-16 unit begins.
fn byte_at(text: &str, unit: usize) -> Option<usize> {
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units == unit {
            return Some(byte);
        }
        units += c.len_utf16();
    }
    (units == unit).then_some(text.len())
}

fn parts(message: &Message, text: String) -> Vec<Part> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    if message.text.is_some() {
        return some(text).map(Part::text).into_iter().collect();
    }
    let media = |file: &File, caption: &str| Media {
        handle: file.file_id.clone(),
        name: file.file_name.clone(),
        mime_type: file.mime_type.clone(),
        size: file.file_size,
        caption: some(caption.to_owned()),
    };
    // sizes of one picture, smallest first
    if let Some(largest) = message.photo.last() {
        return vec![Part::Image(media(largest, &text))];
    }
    if let Some(sound) = message.voice.as_ref().or(message.audio.as_ref()) {
        return vec![Part::Audio(media(sound, &text))];
    }
    let file = message.document.as_ref().or(message.video.as_ref()).or(message.video_note.as_ref());
    if let Some(file) = file {
        return vec![Part::File(media(file, &text))];
    }
    let emoji = message.sticker.as_ref().and_then(|sticker| sticker.emoji.clone());
    emoji.and_then(some).map(Part::text).into_iter().collect()
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
