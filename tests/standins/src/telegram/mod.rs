//! A Telegram Bot API server with Telegram's rules, and the people who use it.
//!
//! ```no_run
//! # use packetboat_standins::telegram::{Say, TelegramStandIn};
//! # async fn test() -> std::io::Result<()> {
//! let telegram = TelegramStandIn::start().await?;
//! // the daemon: api_url = telegram.url(), token = telegram.token()
//! telegram.say(Say::private(42, "hello"));
//! let answers = telegram.wait_answers(42, |answers| answers.iter().any(|a| a.text.contains("hello"))).await;
//! # Ok(()) }
//! ```
//!
//! Bot API: `calls` (the table of methods), `params`, `answer`, `updates`, `webhook`, `messages`, `formatting` with `html` and
//! `markdown`, `limits`. The other side: `people`, `rules` (strictness and faults on demand), `control` (all of it over HTTP, for
//! other languages). Not here: files, inline mode, payments, channels.

mod answer;
mod calls;
mod control;
mod formatting;
mod html;
mod limits;
mod markdown;
mod messages;
mod params;
mod people;
mod rules;
mod updates;
mod webhook;
mod world;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

pub use formatting::{Entity, TEXT_LIMIT};
pub use people::{Closed, Said, Say};
pub use rules::{Fault, RateLimits, Rules, Wrong};
pub use world::{Call, ChatKind, Message};
use world::{Shared, World};

use crate::wire;

/// A running stand-in; ends when dropped.
pub struct TelegramStandIn {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Drop for TelegramStandIn {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// How long a wait may take before the test is declared hung.
const PATIENCE: Duration = Duration::from_secs(60);

impl TelegramStandIn {
    /// Telegram's rules without its waiting times, on a free port.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(Rules::quick(), 0).await
    }

    /// With these rules; port 0 is any free one.
    pub async fn start_with(rules: Rules, port: u16) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(World::new(rules)));
        let router =
            Router::new().nest("/control", control::router()).fallback(calls::serve).with_state(Arc::clone(&shared));
        let address = wire::serve(router, port, shared.stop.clone()).await?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build();
        tokio::spawn(webhook::run(Arc::clone(&shared), client.map_err(io::Error::other)?));
        Ok(Self { shared, address })
    }

    /// What goes into `api_url`; no slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What @BotFather gave.
    pub fn token(&self) -> String {
        self.shared.read(|world| world.bot.token.clone())
    }

    /// The bot's id.
    pub fn bot_id(&self) -> i64 {
        self.shared.read(|world| world.bot.id)
    }

    /// Without the @.
    pub fn bot_username(&self) -> String {
        self.shared.read(|world| world.bot.username.clone())
    }

    /// @BotFather revokes the token and gives this one.
    pub fn revoke_token(&self, new: &str) {
        self.shared.write(|world| new.clone_into(&mut world.bot.token));
    }

    /// Whether the bot sees only what is meant for it in groups (so by default).
    pub fn set_privacy(&self, privacy: bool) {
        self.shared.write(|world| world.bot.privacy = privacy);
    }

    /// Other rules from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.shared.write(|world| world.rules = rules);
    }

    /// A chat of that kind exists.
    pub fn open_chat(&self, id: i64, kind: ChatKind) {
        self.shared.write(|world| world.chat(id, Some(kind)).kind = kind);
    }

    /// Somebody says something.
    pub fn say(&self, say: Say) -> Said {
        self.shared.write(|world| people::say(world, say))
    }

    /// Somebody edits what they wrote; gives the update's id.
    pub fn edit(&self, chat: i64, message: i64, text: &str) -> Option<i64> {
        self.shared.write(|world| people::edit(world, chat, message, text))
    }

    /// Somebody deletes a message, the bot's too.
    pub fn delete(&self, chat: i64, message: i64) -> bool {
        self.shared.write(|world| people::delete(world, chat, message))
    }

    /// Edits of the bot's messages in this chat are refused with "message can't be edited".
    pub fn freeze(&self, chat: i64) {
        self.shared.write(|world| {
            world.chat(chat, None).messages.values_mut().for_each(|message| message.frozen = true);
        });
    }

    /// The bot may no longer write there, or may again.
    pub fn close(&self, chat: i64, how: Closed) {
        self.shared.write(|world| people::close(world, chat, how));
    }

    /// A group becomes a supergroup with a new id.
    pub fn migrate(&self, from: i64, to: i64) {
        self.shared.write(|world| people::migrate(world, from, to));
    }

    /// Puts an update of any kind into the queue.
    pub fn push_update(&self, kind: &str, chat: i64, body: serde_json::Value) -> Option<i64> {
        self.shared.write(|world| world.updates.push(kind, chat, body))
    }

    /// Delivers an update once more, though it was confirmed.
    pub fn redeliver(&self, update_id: i64) -> bool {
        self.shared.write(|world| {
            let update = world.updates.all.iter().find(|update| update.id == update_id).cloned();
            update.map(|update| world.updates.again.push(update)).is_some()
        })
    }

    /// Something goes wrong.
    pub fn fault(&self, fault: Fault) {
        self.shared.write(|world| world.faults.push(fault));
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.shared.write(|world| world.faults.clear());
    }

    /// What the bot asked for so far, all methods when `method` is empty.
    pub fn calls(&self, method: &str) -> Vec<Call> {
        let method = method.to_lowercase();
        let wanted = |call: &&Call| method.is_empty() || call.method == method;
        self.shared.read(|world| world.calls.iter().filter(wanted).cloned().collect())
    }

    /// Updates that the bot has not confirmed.
    pub fn pending(&self) -> usize {
        self.shared.read(|world| world.updates.queue.len() + world.updates.again.len())
    }

    /// The highest update id that the bot confirmed.
    pub fn confirmed(&self) -> i64 {
        self.shared.read(|world| world.updates.confirmed)
    }

    /// The webhook that is set.
    pub fn webhook_url(&self) -> Option<String> {
        self.shared.read(|world| world.hook.as_ref().map(|hook| hook.url.to_string()))
    }

    /// The chat as people see it now, oldest first.
    pub fn visible(&self, chat: i64) -> Vec<Message> {
        let shown = |message: &&Message| !message.deleted;
        self.shared.read(|world| {
            let messages = world.chats.get(&chat).map(|chat| chat.messages.values().filter(shown).cloned().collect());
            messages.unwrap_or_default()
        })
    }

    /// What of it the bot wrote.
    pub fn answers(&self, chat: i64) -> Vec<Message> {
        self.visible(chat).into_iter().filter(|message| message.from_bot).collect()
    }

    /// `typing` and the like, as they came.
    pub fn actions(&self, chat: i64) -> Vec<String> {
        self.shared.read(|world| world.chats.get(&chat).map(|chat| chat.actions.clone()).unwrap_or_default())
    }

    /// Waits until `enough` says so of this stand-in; panics with what it sees when that takes a minute.
    #[expect(clippy::panic, reason = "a test that waits for ever should fail with what was seen")]
    pub async fn wait(&self, what: &str, enough: impl Fn(&Self) -> bool) {
        let mut bell = self.shared.bell();
        let waiting = async {
            while !enough(self) {
                if bell.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("waited in vain for {what}\n{}", self.dump());
        }
    }

    /// Waits until the bot's messages in this chat are as wanted, and gives them.
    pub async fn wait_answers(&self, chat: i64, enough: impl Fn(&[Message]) -> bool) -> Vec<Message> {
        self.wait(&format!("answers in chat {chat}"), |it| enough(&it.answers(chat))).await;
        self.answers(chat)
    }

    /// Waits until the bot has confirmed every update.
    pub async fn wait_drained(&self) {
        self.wait("every update to be confirmed", |it| it.pending() == 0).await;
    }

    /// Waits until `method` was called that many times.
    pub async fn wait_calls(&self, method: &str, times: usize) -> Vec<Call> {
        self.wait(&format!("{times} calls of {method}"), |it| it.calls(method).len() >= times).await;
        self.calls(method)
    }

    /// Everything, for the message of a failed test.
    pub fn dump(&self) -> String {
        self.shared.read(|world| {
            let mut text = format!("pending updates: {}\nfaults: {:?}\n", world.updates.queue.len(), world.faults);
            for chat in world.chats.values() {
                let _ = writeln!(text, "chat {} ({:?})", chat.id, chat.kind);
                for message in chat.messages.values() {
                    let who = if message.from_bot { "bot" } else { "person" };
                    let _ = writeln!(text, "  {} {who}: {:?}", message.message_id, message.text);
                }
            }
            let last = world.calls.len().saturating_sub(20);
            for call in world.calls.iter().skip(last) {
                let _ = writeln!(text, "call {} {:?}", call.method, call.params);
            }
            text
        })
    }
}
