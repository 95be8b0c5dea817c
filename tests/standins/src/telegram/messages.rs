//! What a bot does to chats: sendMessage, editMessageText, deleteMessage, sendChatAction, with the server's error texts.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer::{Answer, Refusal, done};
use super::formatting;
use super::params::Params;
use super::world::{Chat, ChatKind, Message, World};

const NOT_MODIFIED: &str = "message is not modified: specified new message content and reply markup are exactly the same \
                            as a current content and reply markup of the message";

/// `sendMessage`
pub(crate) fn send(world: &mut World, params: &Params) -> Answer {
    let formatted = formatting::read(params)?;
    let chat = open_chat(world, params)?;
    let thread = thread(chat, params)?;
    let reply_to = replied(chat, params)?;
    let id = chat.id;
    admit(world, id, false)?;
    let message = Message {
        message_id: 0,
        from: world.bot.id,
        from_bot: true,
        text: formatted.text,
        entities: formatted.entities,
        history: Vec::new(),
        thread,
        reply_to,
        deleted: false,
        frozen: false,
        extra: Value::Null,
        language: None,
        date: 0,
    };
    let message = world.post(id, message);
    shown(world, id, &message)
}

/// `editMessageText`
pub(crate) fn edit(world: &mut World, params: &Params) -> Answer {
    let formatted = formatting::read(params)?;
    let bot = world.bot.id;
    let chat = open_chat(world, params)?;
    let id = chat.id;
    let wanted = params.int("message_id").unwrap_or(0);
    let message = chat.messages.get(&wanted).filter(|message| !message.deleted);
    let message = message.ok_or_else(|| Refusal::bad_request("message to edit not found"))?;
    if message.from != bot || message.frozen {
        return Err(Refusal::bad_request("message can't be edited"));
    }
    let same = message.text == formatted.text && message.entities == formatted.entities;
    admit(world, id, true)?;
    if same {
        return Err(Refusal::bad_request(NOT_MODIFIED));
    }
    let chat = world.chat(id, None);
    let Some(message) = chat.messages.get_mut(&wanted) else {
        return Err(Refusal::bad_request("message to edit not found"));
    };
    message.history.push(formatted.text.clone());
    message.text = formatted.text;
    message.entities = formatted.entities;
    let message = message.clone();
    shown(world, id, &message)
}

/// `deleteMessage`
pub(crate) fn delete(world: &mut World, params: &Params) -> Answer {
    let chat = open_chat(world, params)?;
    let message = chat.messages.get_mut(&params.int("message_id").unwrap_or(0)).filter(|message| !message.deleted);
    let message = message.ok_or_else(|| Refusal::bad_request("message to delete not found"))?;
    message.deleted = true;
    done(json!(true))
}

/// `sendChatAction`
pub(crate) fn action(world: &mut World, params: &Params) -> Answer {
    let action = params.text("action").to_lowercase();
    if !matches!(action.as_str(), "typing" | "upload_photo" | "upload_document" | "record_voice" | "choose_sticker") {
        return Err(Refusal::bad_request("wrong parameter action in request"));
    }
    let chat = open_chat(world, params)?;
    thread(chat, params)?;
    chat.actions.push(action);
    done(json!(true))
}

fn shown(world: &World, chat: i64, message: &Message) -> Answer {
    let chat = world.chats.get(&chat).ok_or_else(|| Refusal::bad_request("chat not found"))?;
    done(world.message_json(chat, message, true))
}

/// The chat, if the bot may write there.
fn open_chat<'a>(world: &'a mut World, params: &Params) -> Result<&'a mut Chat, Refusal> {
    let given = params.text("chat_id").trim();
    if given.is_empty() {
        return Err(Refusal::bad_request("chat_id is empty"));
    }
    let not_found = || Refusal::bad_request("chat not found");
    let id: i64 = given.parse().map_err(|_| not_found())?;
    let chat = world.chats.get_mut(&id).ok_or_else(not_found)?;
    match &chat.closed {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(chat),
    }
}

fn thread(chat: &Chat, params: &Params) -> Result<Option<i64>, Refusal> {
    let Some(thread) = params.int("message_thread_id").filter(|thread| *thread != 0) else { return Ok(None) };
    if chat.kind == ChatKind::Supergroup && chat.messages.contains_key(&thread) {
        return Ok(Some(thread));
    }
    if chat.topics.contains(&thread) {
        return Ok(Some(thread));
    }
    Err(Refusal::bad_request("message thread not found"))
}

fn replied(chat: &Chat, params: &Params) -> Result<Option<i64>, Refusal> {
    let given = params.json::<Value>("reply_parameters").transpose();
    let given = given.map_err(|_| Refusal::bad_request("can't parse reply parameters JSON object"))?;
    let (wanted, lenient) = match given {
        Some(reply) => {
            let lenient = reply.get("allow_sending_without_reply").and_then(Value::as_bool).unwrap_or(false);
            (reply.get("message_id").and_then(Value::as_i64), lenient)
        }
        None => (params.int("reply_to_message_id"), params.flag("allow_sending_without_reply")),
    };
    let Some(wanted) = wanted.filter(|id| *id != 0) else { return Ok(None) };
    if chat.messages.get(&wanted).is_some_and(|message| !message.deleted) {
        return Ok(Some(wanted));
    }
    if lenient { Ok(None) } else { Err(Refusal::bad_request("message to be replied not found")) }
}

fn admit(world: &mut World, chat: i64, edit: bool) -> Result<(), Refusal> {
    let Some(limits) = &world.rules.limits else { return Ok(()) };
    world.limiter.admit(limits, chat, edit, Instant::now()).map_err(Refusal::too_many)
}
