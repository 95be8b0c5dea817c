//! What was said, durably: turns in order, and where the conversation began anew.
//!
//! Turns are written by C2 together with the job, never on their own. Not here: what the model is shown (`window.rs`).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::Language;
use crate::inference::{ChatMessage, Role};
use crate::queue::lanes::LaneKey;
use crate::queue::records;
use crate::store::{Store, StoreError, Write};

/// Turns of one conversation that are kept; older ones fall away as new ones come.
const KEPT: u64 = 200;

/// All conversations.
pub struct Transcripts {
    store: Arc<dyn Store>,
}

/// What is remembered of one conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The number of the next turn.
    #[serde(default)]
    pub next: u64,
    /// Turns before this one are forgotten (`/new`).
    #[serde(default)]
    pub since: u64,
    /// The sender chose (`/lang`).
    #[serde(default)]
    pub language: Option<Language>,
    /// The last turn, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub last_ms: u64,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    role: Role,
    text: String,
    at_ms: u64,
}

impl Transcripts {
    /// On the store that the queue uses, so that C2 is one batch.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// What is remembered of this conversation; a new one remembers nothing.
    pub fn memory(&self, lane: &LaneKey) -> Result<Memory, StoreError> {
        let stored = self.store.get(&records::lane_key(b"c", lane))?;
        Ok(stored.and_then(|bytes| records::decode(&bytes).ok()).unwrap_or_default())
    }

    /// The last `limit` turns since the conversation began anew, oldest first. A damaged turn is left out.
    pub fn turns(&self, lane: &LaneKey, memory: &Memory, limit: usize) -> Result<Vec<ChatMessage>, StoreError> {
        let first = memory.since.max(memory.next.saturating_sub(limit as u64));
        let from = turn_key(lane, first);
        let entries = self.store.scan(&records::lane_key(b"t", lane), &from, limit)?;
        let turns = entries.into_iter().filter_map(|(_, value)| records::decode::<Turn>(&value).ok());
        Ok(turns.map(|turn| ChatMessage { role: turn.role, content: turn.text }).collect())
    }

    /// The conversation begins anew if it was quiet for longer than `idle` (zero = never).
    pub fn reset_if_idle(memory: &mut Memory, now_ms: u64, idle: Duration) {
        if !idle.is_zero() && now_ms.saturating_sub(memory.last_ms) > idle.as_millis() as u64 {
            memory.since = memory.next;
        }
    }

    /// The writes for a question and its answer, to be part of C2.
    pub fn append(lane: &LaneKey, memory: &Memory, question: &str, answer: &str, now_ms: u64) -> Vec<Write> {
        let turn = |role, text: &str| records::encode(&Turn { role, text: text.to_owned(), at_ms: now_ms });
        let mut writes = vec![
            Write::Put(turn_key(lane, memory.next), turn(Role::User, question)),
            Write::Put(turn_key(lane, memory.next + 1), turn(Role::Assistant, answer)),
        ];
        for offset in 0..2 {
            if let Some(old) = (memory.next + offset).checked_sub(KEPT) {
                writes.push(Write::Delete(turn_key(lane, old)));
            }
        }
        let memory = Memory { next: memory.next + 2, last_ms: now_ms, ..memory.clone() };
        writes.extend(Self::remember(lane, &memory));
        writes
    }

    /// The write for changed memory, to be part of C2.
    pub fn remember(lane: &LaneKey, memory: &Memory) -> Vec<Write> {
        vec![Write::Put(records::lane_key(b"c", lane), records::encode(memory))]
    }
}

fn turn_key(lane: &LaneKey, turn: u64) -> Vec<u8> {
    [records::lane_key(b"t", lane).as_slice(), &turn.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use packetboat_adapter_api::ids::{AdapterName, ConversationId};

    use super::*;
    use crate::store::Batch;
    use crate::store::memory::MemoryStore;

    async fn say(store: &Arc<MemoryStore>, lane: &LaneKey, question: &str) {
        let memory = Transcripts::new(store.clone()).memory(lane).expect("reads");
        let writes = Transcripts::append(lane, &memory, question, "yes", 1000);
        store.commit(Batch { writes, ..Batch::default() }).await.expect("commits");
    }

    fn lane(name: &str) -> LaneKey {
        LaneKey::new(&AdapterName::new("test"), &ConversationId::new(name))
    }

    fn questions(store: &Arc<MemoryStore>, lane: &LaneKey, limit: usize) -> Vec<String> {
        let transcripts = Transcripts::new(store.clone());
        let memory = transcripts.memory(lane).expect("reads");
        let turns = transcripts.turns(lane, &memory, limit).expect("reads");
        turns.into_iter().filter(|turn| turn.role == Role::User).map(|turn| turn.content).collect()
    }

    #[tokio::test]
    async fn the_last_turns_of_one_conversation_come_back_in_order() {
        let store = Arc::new(MemoryStore::default());
        for n in 0..3 {
            say(&store, &lane("a"), &n.to_string()).await;
            say(&store, &lane("ab"), "other").await;
        }
        assert_eq!(questions(&store, &lane("a"), 100), ["0", "1", "2"]);
        assert_eq!(questions(&store, &lane("a"), 4), ["1", "2"]);
    }

    #[tokio::test]
    async fn old_turns_are_removed() {
        let store = Arc::new(MemoryStore::default());
        for n in 0..150 {
            say(&store, &lane("a"), &n.to_string()).await;
        }
        assert_eq!(store.scan(b"t", b"", usize::MAX).map(|entries| entries.len()), Ok(KEPT as usize));
        assert_eq!(questions(&store, &lane("a"), 1000).len(), 100);
    }

    #[tokio::test]
    async fn a_quiet_conversation_begins_anew() {
        let store = Arc::new(MemoryStore::default());
        say(&store, &lane("a"), "old").await;
        let transcripts = Transcripts::new(store.clone());
        let mut memory = transcripts.memory(&lane("a")).expect("reads");
        Transcripts::reset_if_idle(&mut memory, 1500, Duration::from_secs(1));
        assert_eq!(memory.since, 0);
        Transcripts::reset_if_idle(&mut memory, 2500, Duration::from_secs(1));
        assert_eq!(transcripts.turns(&lane("a"), &memory, 10), Ok(vec![]));
    }
}
