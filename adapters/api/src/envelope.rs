//! A message and the routing facts around it, the same for every platform.
//!
//! Invariant: what is in here is all that a crash leaves us; an adapter must be able to answer from it alone.

use serde::{Deserialize, Serialize};

use crate::ids::{AdapterName, ConversationId, DeliveryId, MessageId, SenderId};

/// Routing facts around one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The connection that it came through and that the answer leaves by.
    pub adapter: AdapterName,
    /// The lane: messages of one conversation are answered in order.
    pub conversation: ConversationId,
    /// Who wrote.
    pub sender: SenderId,
    /// The platform's id, the dedupe key.
    pub message: MessageId,
    /// When the platform says that it was written, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at_ms: Option<u64>,
    /// The sender's language as the platform tells it (an IETF tag such as `zh-hans`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What else the adapter needs to answer (a session webhook, a thread number); opaque to everybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Part {
    /// Text; an answer's text is CommonMark.
    Text {
        /// UTF-8, never empty.
        text: String,
    },
    /// A picture.
    Image(Media),
    /// Sound, perhaps with the platform's own transcript as `caption`.
    Audio(Media),
    /// Any other file.
    File(Media),
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// A file that the platform holds; fetched only when somebody can use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// How the adapter finds the bytes again; opaque to everybody else, never a path or a URL to open.
    pub handle: String,
    /// As the sender named it; shown, never opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As the platform claims it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// In bytes, as the platform claims it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The words that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
}

/// A message on its way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// Whence and where.
    pub envelope: Envelope,
    /// At least one part.
    pub parts: Vec<Part>,
}

impl Inbound {
    /// The text parts and the captions, one per line.
    pub fn text(&self) -> String {
        lines(&self.parts, |media| media.caption.as_deref())
    }
}

/// The text parts and what `of_media` takes from the others, one per line.
fn lines(parts: &[Part], of_media: impl Fn(&Media) -> Option<&str>) -> String {
    let words = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        Part::Image(media) | Part::Audio(media) | Part::File(media) => of_media(media),
    });
    words.collect::<Vec<_>>().join("\n")
}

/// A reply on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbound {
    /// The same at every attempt, for ever.
    pub delivery: DeliveryId,
    /// The envelope of the message that this answers.
    pub envelope: Envelope,
    /// At least one part.
    pub parts: Vec<Part>,
}

impl Outbound {
    /// The text parts, one per line.
    pub fn text(&self) -> String {
        lines(&self.parts, |_| None)
    }
}

/// The platform's proof that it took a reply (message ids, for example).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Receipt(pub String);
