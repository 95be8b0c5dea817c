//! The live view: tokens while they are generated, and replies when they are durable, to whoever looks on.
//!
//! Nothing here is durable and nothing here can hold up the line: a slow onlooker loses tokens, never the reply.
//! A bounded memory of recent events per conversation serves reconnects.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use packetboat_adapter_api::ids::{AdapterName, ConversationId};
use serde::Serialize;
use tokio::sync::broadcast;

/// One conversation of one adapter.
pub type Lane = (AdapterName, ConversationId);

/// What happened in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LiveEvent {
    /// The next piece of the answer to `message`.
    Token {
        /// The platform's id of the message being answered.
        message: String,
        /// Whole UTF-8.
        text: String,
    },
    /// The whole answer, durable.
    Reply {
        /// The platform's id of the message answered.
        message: String,
        /// CommonMark.
        text: String,
    },
    /// There will be no answer.
    Error {
        /// The platform's id of the message.
        message: String,
        /// For the person who wrote.
        text: String,
    },
}

impl LiveEvent {
    fn message(&self) -> &str {
        match self {
            Self::Token { message, .. } | Self::Reply { message, .. } | Self::Error { message, .. } => message,
        }
    }

    fn is_piece_of(&self, whole: &Self) -> bool {
        matches!(self, Self::Token { .. }) && self.message() == whole.message()
    }
}

/// An event with its place in the conversation: grows by one, starts anew when the daemon restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// From 1.
    pub seq: u64,
    /// What happened.
    pub event: LiveEvent,
}

/// Recent events kept per conversation.
const MEMORY: usize = 256;
/// Conversations kept; the one quiet for longest goes first.
const CONVERSATIONS: usize = 1024;

/// Everybody's live view.
#[derive(Debug, Default)]
pub struct LiveHub {
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    by_lane: HashMap<Lane, Feed>,
    clock: u64,
}

#[derive(Debug)]
struct Feed {
    recent: VecDeque<Numbered>,
    next: u64,
    touched: u64,
    sender: broadcast::Sender<Numbered>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { recent: VecDeque::new(), next: 1, touched: 0, sender: broadcast::channel(MEMORY).0 }
    }
}

impl LiveHub {
    /// Tells the onlookers of `lane`.
    pub fn publish(&self, lane: &Lane, event: LiveEvent) {
        self.with_feed(lane, |feed| {
            let numbered = Numbered { seq: feed.next, event };
            feed.next += 1;
            if !matches!(numbered.event, LiveEvent::Token { .. }) {
                // the whole answer stands for its pieces
                feed.recent.retain(|earlier| !earlier.event.is_piece_of(&numbered.event));
            }
            if feed.recent.len() == MEMORY {
                feed.recent.pop_front();
            }
            feed.recent.push_back(numbered.clone());
            // no onlooker is not an error
            let _ = feed.sender.send(numbered);
        });
    }

    /// The remembered events after `seq` (none when `None`), and everything from now on.
    pub fn subscribe(&self, lane: &Lane, after: Option<u64>) -> (Vec<Numbered>, broadcast::Receiver<Numbered>) {
        self.with_feed(lane, |feed| {
            let missed = after.map_or_else(Vec::new, |seq| {
                // a number from before a restart is beyond ours: show all that we remember
                let seq = if seq >= feed.next { 0 } else { seq };
                feed.recent.iter().filter(|numbered| numbered.seq > seq).cloned().collect()
            });
            (missed, feed.sender.subscribe())
        })
    }

    fn with_feed<T>(&self, lane: &Lane, work: impl FnOnce(&mut Feed) -> T) -> T {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.clock += 1;
        let now = lanes.clock;
        if lanes.by_lane.len() >= CONVERSATIONS && !lanes.by_lane.contains_key(lane) {
            lanes.forget_quietest();
        }
        let feed = lanes.by_lane.entry(lane.clone()).or_default();
        feed.touched = now;
        work(feed)
    }
}

impl Lanes {
    fn forget_quietest(&mut self) {
        let unwatched = self.by_lane.iter().filter(|(_, feed)| feed.sender.receiver_count() == 0);
        let quietest = unwatched.min_by_key(|(_, feed)| feed.touched).map(|(lane, _)| lane.clone());
        if let Some(lane) = quietest {
            self.by_lane.remove(&lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(n: usize) -> Lane {
        (AdapterName::new("http"), ConversationId::new(n.to_string()))
    }

    fn token(message: &str, text: &str) -> LiveEvent {
        LiveEvent::Token { message: message.to_owned(), text: text.to_owned() }
    }

    fn reply(message: &str, text: &str) -> LiveEvent {
        LiveEvent::Reply { message: message.to_owned(), text: text.to_owned() }
    }

    #[tokio::test]
    async fn an_onlooker_sees_what_happens_from_now_on() {
        let hub = LiveHub::default();
        hub.publish(&lane(1), token("a", "missed"));
        let (missed, mut now) = hub.subscribe(&lane(1), None);
        assert!(missed.is_empty());
        hub.publish(&lane(1), token("a", "seen"));
        hub.publish(&lane(2), token("b", "other"));
        assert_eq!(now.recv().await.map(|numbered| (numbered.seq, numbered.event)).ok(), Some((2, token("a", "seen"))));
        assert!(now.try_recv().is_err());
    }

    #[test]
    fn a_reconnect_gets_what_it_missed_and_a_reply_instead_of_its_pieces() {
        let hub = LiveHub::default();
        for event in [token("a", "he"), token("a", "llo"), token("b", "x"), reply("a", "hello")] {
            hub.publish(&lane(1), event);
        }
        let (missed, _) = hub.subscribe(&lane(1), Some(1));
        let missed: Vec<LiveEvent> = missed.into_iter().map(|numbered| numbered.event).collect();
        assert_eq!(missed, [token("b", "x"), reply("a", "hello")]);
        let (after_restart, _) = hub.subscribe(&lane(1), Some(1000));
        assert_eq!(after_restart.len(), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let hub = LiveHub::default();
        for n in 0..2 * CONVERSATIONS {
            hub.publish(&lane(n), reply("a", "x"));
        }
        for _ in 0..2 * MEMORY {
            hub.publish(&lane(0), token("a", "x"));
        }
        let lanes = hub.lanes.lock().expect("not poisoned");
        assert_eq!(lanes.by_lane.len(), CONVERSATIONS);
        assert_eq!(lanes.by_lane.get(&lane(0)).map(|feed| feed.recent.len()), Some(MEMORY));
    }
}
