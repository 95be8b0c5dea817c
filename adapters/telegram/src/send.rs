//! Answers on their way out: the placeholder-then-edit rule.
//!
//! Telegram can't recognise a repeated sendMessage, but an edit may be repeated for ever. So each piece of an answer is first an
//! empty placeholder; its message id becomes durable in the journal; only then an edit puts the text in. Whatever crashes or gets
//! lost, the text stands in one message. What can be left over is a placeholder whose id was lost on the way: three dots that hold
//! no answer.
//!
//! Not here: deciding when to try again (the outbox does), the live view's pace (the daemon keeps it).

use packetboat_adapter_api::adapter::Journal;
use packetboat_adapter_api::envelope::{Envelope, Outbound, Receipt};
use packetboat_adapter_api::error::SendError;
use teloxide::payloads::{
    EditMessageText, EditMessageTextSetters as _, SendChatAction, SendChatActionSetters as _, SendMessage,
    SendMessageSetters as _,
};
use teloxide::types::{
    ChatAction, ChatId, LinkPreviewOptions, MessageEntity, MessageEntityKind, MessageId, ReplyParameters, ThreadId,
};
use url::Url;

use crate::api::{Api, CallError};
use crate::codec::Target;
use crate::gate::Gates;
use crate::markdown::{Mark, Rich, Style, render};
use crate::note::Note;
use crate::split::split;
use crate::verdict::{Verdict, judge};
use crate::wire::Sent;

/// The most UTF-16 units in one message.
const LIMIT: usize = 4096;
/// Shown until the answer is there.
const PLACEHOLDER: &str = "…";
/// How often one piece may need another message before the attempt is given up.
const RESTARTS: usize = 3;

/// What it takes to write into a chat.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) api: Api,
    pub(crate) gates: Gates,
}

impl Sender {
    /// The whole answer, resumed where an earlier attempt stopped.
    pub(crate) async fn send(&self, outbound: &Outbound, journal: &dyn Journal) -> Result<Receipt, SendError> {
        let mut delivery = Delivery::open(self, &outbound.envelope, journal)?;
        let pieces = split(&render(&outbound.text()), LIMIT);
        if pieces.is_empty() {
            return Err(SendError::Reject { cause: "the answer holds no text that Telegram can show".to_owned() });
        }
        for (index, piece) in pieces.iter().enumerate().skip(delivery.note.done) {
            delivery.note.done = index;
            delivery.put(index, piece).await?;
        }
        Ok(delivery.receipt())
    }

    /// As much of a growing answer as fits into its first message.
    pub(crate) async fn show(&self, to: &Envelope, text: &str, journal: &dyn Journal) -> Result<(), SendError> {
        let mut delivery = Delivery::open(self, to, journal)?;
        if delivery.note.done > 0 {
            return Ok(());
        }
        match split(&render(text), LIMIT).first() {
            Some(piece) => delivery.put(0, piece).await,
            None => delivery.hold_place(0).await.map(drop),
        }
    }

    /// "is typing"
    pub(crate) async fn typing(&self, to: &Envelope) -> Result<(), SendError> {
        let target = target(to)?;
        self.gates.check(target.chat)?;
        let mut call = SendChatAction::new(ChatId(target.chat), ChatAction::Typing);
        if let Some(thread) = target.thread {
            call = call.message_thread_id(ThreadId(MessageId(thread)));
        }
        let done: Result<bool, CallError> = self.api.call(&call).await;
        match done.map_err(|error| self.fail(target.chat, &error)) {
            Ok(_) | Err(None) => Ok(()),
            Err(Some(error)) => Err(error),
        }
    }

    /// The failure that `error` is, if it is one for good or for now; shuts the chat's gate when Telegram asks for it.
    fn fail(&self, chat: i64, error: &CallError) -> Option<SendError> {
        let Verdict::Fail(failure) = judge(error) else { return None };
        if let SendError::RetryAfter { wait, .. } = &failure {
            self.gates.shut(chat, *wait);
        }
        Some(failure)
    }
}

fn target(envelope: &Envelope) -> Result<Target, SendError> {
    let cause = || format!("{} is not a conversation of Telegram's", envelope.conversation);
    Target::of(envelope).ok_or_else(|| SendError::Reject { cause: cause() })
}

/// One attempt at one answer.
struct Delivery<'a> {
    sender: &'a Sender,
    target: Target,
    journal: &'a dyn Journal,
    note: Note,
}

/// Why a call has to be made differently.
enum Turn {
    /// Another message is needed.
    Anew,
    /// The group has another id.
    Moved(i64),
    /// Without formatting.
    Plain,
}

impl<'a> Delivery<'a> {
    fn open(sender: &'a Sender, envelope: &Envelope, journal: &'a dyn Journal) -> Result<Self, SendError> {
        Ok(Self { sender, target: target(envelope)?, journal, note: Note::read(journal) })
    }

    fn chat(&self) -> i64 {
        self.note.chat.unwrap_or(self.target.chat)
    }

    fn receipt(&self) -> Receipt {
        let ids: Vec<String> = self.note.ids.iter().map(i32::to_string).collect();
        Receipt(format!("{}:{}", self.chat(), ids.join(",")))
    }

    /// Piece `index` stands in its message, whatever that takes.
    async fn put(&mut self, index: usize, piece: &Rich) -> Result<(), SendError> {
        let mut plain = false;
        for _ in 0..RESTARTS {
            let id = self.hold_place(index).await?;
            match self.edit(id, piece, plain).await? {
                None => return Ok(()),
                Some(Turn::Plain) if plain => break,
                Some(Turn::Plain) => plain = true,
                Some(Turn::Anew) => self.note.ids.truncate(index),
                Some(Turn::Moved(chat)) => self.follow(index, chat).await?,
            }
        }
        Err(SendError::Retry { cause: "Telegram would not keep the message".to_owned() })
    }

    /// The message of piece `index`, made and recorded if need be.
    async fn hold_place(&mut self, index: usize) -> Result<i32, SendError> {
        for _ in 0..RESTARTS {
            if let Some(id) = self.note.ids.get(index) {
                return Ok(*id);
            }
            match self.placeholder(index).await? {
                Ok(id) => {
                    self.note.ids.truncate(index);
                    self.note.ids.push(id);
                    self.note.record(self.journal).await?;
                }
                Err(chat) => self.follow(index, chat).await?,
            }
        }
        Err(SendError::Retry { cause: "the group keeps moving".to_owned() })
    }

    /// Goes on in the group's new place, from piece `index`.
    async fn follow(&mut self, index: usize, chat: i64) -> Result<(), SendError> {
        if self.note.chat == Some(chat) {
            return Err(SendError::Retry { cause: "the group moved to where it is".to_owned() });
        }
        self.note.chat = Some(chat);
        self.note.ids.truncate(index);
        self.note.record(self.journal).await
    }

    /// A message that holds nothing yet; `Err` is the group's new id.
    async fn placeholder(&self, index: usize) -> Result<Result<i32, i64>, SendError> {
        let chat = self.chat();
        self.sender.gates.check(chat)?;
        let mut call = SendMessage::new(ChatId(chat), PLACEHOLDER);
        if let Some(thread) = self.target.thread {
            call = call.message_thread_id(ThreadId(MessageId(thread)));
        }
        if self.target.is_group() && index == 0 && self.note.chat.is_none() {
            let reply = ReplyParameters::new(MessageId(self.target.message));
            call = call.reply_parameters(reply.allow_sending_without_reply());
        }
        let sent: Result<Sent, CallError> = self.sender.api.call(&call).await;
        match sent {
            Ok(sent) => Ok(Ok(sent.message_id)),
            Err(error) => match judge(&error) {
                Verdict::Moved(chat) => Ok(Err(chat)),
                _ => Err(self.failure(&error)),
            },
        }
    }

    /// Puts the text in; `None` when it stands there.
    async fn edit(&self, id: i32, piece: &Rich, plain: bool) -> Result<Option<Turn>, SendError> {
        let chat = self.chat();
        self.sender.gates.check(chat)?;
        let mut call = EditMessageText::new(ChatId(chat), MessageId(id), piece.text.as_str());
        call = call.link_preview_options(no_preview());
        let entities: Vec<MessageEntity> = if plain { Vec::new() } else { entities(&piece.marks) };
        if !entities.is_empty() {
            call = call.entities(entities);
        }
        let edited: Result<Sent, CallError> = self.sender.api.call(&call).await;
        let Err(error) = edited else { return Ok(None) };
        match judge(&error) {
            Verdict::Unchanged => Ok(None),
            Verdict::Gone => Ok(Some(Turn::Anew)),
            Verdict::Unformatted => Ok(Some(Turn::Plain)),
            Verdict::Moved(chat) => Ok(Some(Turn::Moved(chat))),
            Verdict::Fail(_) => Err(self.failure(&error)),
        }
    }

    fn failure(&self, error: &CallError) -> SendError {
        self.sender.fail(self.chat(), error).unwrap_or_else(|| SendError::Reject { cause: error.to_string() })
    }
}

fn no_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

/// Marks in Telegram's words.
fn entities(marks: &[Mark]) -> Vec<MessageEntity> {
    let kind = |style: &Style| {
        Some(match style {
            Style::Bold => MessageEntityKind::Bold,
            Style::Italic => MessageEntityKind::Italic,
            Style::Strike => MessageEntityKind::Strikethrough,
            Style::Code => MessageEntityKind::Code,
            Style::Pre(language) => MessageEntityKind::Pre { language: language.clone() },
            Style::Quote => MessageEntityKind::Blockquote,
            Style::Link(target) => MessageEntityKind::TextLink { url: Url::parse(target).ok()? },
        })
    };
    let entity = |mark: &Mark| Some(MessageEntity::new(kind(&mark.style)?, mark.start, mark.end - mark.start));
    marks.iter().filter_map(entity).collect()
}
