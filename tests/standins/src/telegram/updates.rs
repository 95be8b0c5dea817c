//! Updates on their way to the bot: the queue, `getUpdates`, offsets.
//!
//! Invariant: an update leaves the queue only when a higher offset confirms it or a webhook answered 2xx.
//! Not here: that updates expire after 24 hours, and the 4 MB limit of an answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer::{Answer, Refusal, done};
use super::params::Params;
use super::world::{Shared, World};

const OTHER_POLL: &str =
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
const HOOK_ACTIVE: &str =
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
const HOOK_SET: &str = "Conflict: terminated by setWebhook request";

/// One update.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) id: i64,
    pub(crate) chat: i64,
    pub(crate) json: Value,
}

/// What waits for the bot.
#[derive(Debug)]
pub(crate) struct Updates {
    pub(crate) queue: VecDeque<Update>,
    /// All that ever were, to deliver one again.
    pub(crate) all: Vec<Update>,
    /// Delivered again at the next occasion, whatever the offset.
    pub(crate) again: Vec<Update>,
    pub(crate) allowed: Vec<String>,
    next_id: i64,
    /// The highest id that the bot confirmed.
    pub(crate) confirmed: i64,
    /// Counts calls of getUpdates: only the last may be held.
    poll: u64,
    last: Option<(i64, Instant)>,
    last_conflict: Option<Instant>,
}

impl Default for Updates {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            all: Vec::new(),
            again: Vec::new(),
            allowed: Vec::new(),
            next_id: 700_000_001,
            confirmed: 0,
            poll: 0,
            last: None,
            last_conflict: None,
        }
    }
}

impl Updates {
    /// Queues an update if the bot wants that kind; gives its id.
    pub(crate) fn push(&mut self, kind: &str, chat: i64, body: Value) -> Option<i64> {
        let by_default = !matches!(kind, "chat_member" | "message_reaction" | "message_reaction_count");
        let wanted = if self.allowed.is_empty() { by_default } else { self.allowed.iter().any(|name| name == kind) };
        if !wanted {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        let update = Update { id, chat, json: json!({"update_id": id, kind: body}) };
        self.all.push(update.clone());
        self.queue.push_back(update);
        Some(id)
    }

    /// `allowed_updates`, kept until it is given again.
    pub(crate) fn allow(&mut self, params: &Params) {
        if let Some(Ok(kinds)) = params.json::<Vec<String>>("allowed_updates") {
            self.allowed = kinds;
        }
    }

    /// The update is done with.
    pub(crate) fn confirm(&mut self, id: i64) {
        self.queue.retain(|update| update.id != id);
        self.confirmed = self.confirmed.max(id);
    }

    fn confirm_below(&mut self, offset: i64) {
        self.queue.retain(|update| update.id >= offset);
        self.confirmed = self.confirmed.max(offset - 1);
    }

    fn keep_last(&mut self, count: usize) {
        while self.queue.len() > count {
            if let Some(update) = self.queue.pop_front() {
                self.confirmed = self.confirmed.max(update.id);
            }
        }
    }

    /// A held poll ends with this error.
    pub(crate) fn end_poll(&mut self) {
        self.poll += 1;
    }

    fn take(&mut self, limit: usize) -> Vec<Value> {
        let again = self.again.drain(..).map(|update| update.json);
        let rest = self.queue.iter().map(|update| update.json.clone());
        again.chain(rest).take(limit).collect()
    }
}

/// A call of getUpdates that may be held.
struct Poll {
    number: u64,
    limit: usize,
    until: Instant,
}

/// `getUpdates`
pub(crate) async fn get_updates(shared: &Arc<Shared>, params: &Params) -> Answer {
    let mut bell = shared.bell();
    let poll = match shared.write(|world| begin(world, params)) {
        Ok(poll) => poll,
        Err(refusal) => return Err(conflict(shared, refusal).await),
    };
    loop {
        bell.mark_unchanged();
        let overtaken = shared.read(|world| {
            (world.updates.poll != poll.number).then_some(if world.hook.is_some() { HOOK_SET } else { OTHER_POLL })
        });
        if let Some(cause) = overtaken {
            return Err(conflict(shared, Refusal::new(409, cause)).await);
        }
        let nothing = shared.read(|world| world.updates.queue.is_empty() && world.updates.again.is_empty());
        if !nothing {
            return done(Value::Array(shared.write(|world| world.updates.take(poll.limit))));
        }
        tokio::select! {
            () = tokio::time::sleep_until(poll.until) => return done(json!([])),
            changed = bell.changed() => if changed.is_err() { return done(json!([])) },
        }
    }
}

fn begin(world: &mut World, params: &Params) -> Result<Poll, Refusal> {
    if world.hook.is_some() {
        return Err(Refusal::new(409, HOOK_ACTIVE));
    }
    let now = Instant::now();
    let offset = params.int("offset").unwrap_or(0);
    let mut limit = params.int("limit").unwrap_or(100).clamp(1, 100) as usize;
    let mut timeout = params.int("timeout").unwrap_or(0).clamp(0, 50) as u64;
    let updates = &mut world.updates;
    updates.allow(params);
    if let Some((before, at)) = updates.last.filter(|(before, _)| world.rules.repeat_guard && *before == offset) {
        let since = now - at;
        if since < Duration::from_secs(3) {
            timeout = timeout.max(3);
        }
        if since < Duration::from_millis(500) && before == offset {
            limit = 1;
        }
    }
    updates.last = Some((offset, now));
    if offset > 0 {
        updates.confirm_below(offset);
    } else if offset < 0 {
        updates.keep_last(offset.unsigned_abs() as usize);
    }
    updates.poll += 1;
    Ok(Poll { number: updates.poll, limit, until: now + Duration::from_secs(timeout) })
}

/// 409, not more often than the server likes to say it.
async fn conflict(shared: &Arc<Shared>, refusal: Refusal) -> Refusal {
    let until = shared.write(|world| {
        let now = Instant::now();
        let free = world.updates.last_conflict.map(|at| at + world.rules.conflict_pause).filter(|at| *at > now);
        world.updates.last_conflict = Some(free.unwrap_or(now));
        free
    });
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
    refusal
}
