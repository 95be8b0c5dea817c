//! The part of Telegram's updates that we read, leniently.
//!
//! Invariant: what Telegram adds tomorrow (a new kind of entity, a new shape of a field that we could do without) never hides a
//! message's text. teloxide's types are strict there: one unknown entity kind and the message reads as empty.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One update. `message` is `None` for every other kind, and for a message whose frame can't be read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Update {
    pub(crate) update_id: i64,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) message: Option<Message>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    pub(crate) message_id: i64,
    pub(crate) chat: Chat,
    #[serde(default)]
    pub(crate) date: u64,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) from: Option<User>,
    /// Who it was sent on behalf of: an anonymous admin's group, a channel.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) sender_chat: Option<Chat>,
    #[serde(default)]
    pub(crate) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(crate) is_topic_message: bool,
    #[serde(default)]
    pub(crate) is_automatic_forward: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) reply_to_message: Option<Replied>,
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub(crate) entities: Vec<Entity>,
    #[serde(default)]
    pub(crate) caption: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub(crate) caption_entities: Vec<Entity>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub(crate) photo: Vec<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) voice: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) audio: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) document: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) video: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) video_note: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) sticker: Option<Sticker>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Chat {
    pub(crate) id: i64,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) is_bot: bool,
    #[serde(default)]
    pub(crate) username: Option<String>,
    #[serde(default)]
    pub(crate) language_code: Option<String>,
    /// Only in getMe's answer.
    #[serde(default)]
    pub(crate) can_read_all_group_messages: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Replied {
    pub(crate) message_id: i64,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) from: Option<User>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entity {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) offset: usize,
    pub(crate) length: usize,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) user: Option<User>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct File {
    pub(crate) file_id: String,
    #[serde(default)]
    pub(crate) file_name: Option<String>,
    #[serde(default)]
    pub(crate) mime_type: Option<String>,
    #[serde(default)]
    pub(crate) file_size: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sticker {
    #[serde(default)]
    pub(crate) emoji: Option<String>,
}

/// What sendMessage gives back, as far as we need it: a richer shape could fail to parse, and the message would be sent again.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sent {
    pub(crate) message_id: i32,
}

/// What getWebhookInfo gives back, as far as we need it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct WebhookInfo {
    #[serde(default)]
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) pending_update_count: u64,
    #[serde(default)]
    pub(crate) last_error_message: Option<String>,
}

fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(input: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(input)?).ok())
}

fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(input: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(items) = Value::deserialize(input)? else { return Ok(Vec::new()) };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}
