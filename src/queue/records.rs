//! What the line keeps on disk: keys and records. The only file that knows their bytes.
//!
//! A record is one version byte, a CRC-32 of the rest, and JSON: an upgrade can read what an older daemon wrote, and damage is
//! noticed rather than believed.
//!
//! | key | value |
//! |---|---|
//! | `j` job | [`JobRecord`] |
//! | `s` adapter, message id | the job that it became: dedupe |
//! | `p` job | [`PlaceRecord`]: it waits for the model |
//! | `o` job | [`PlaceRecord`]: its reply waits in the outbox |
//! | `n` job | the adapter's note about this delivery |
//! | `t` lane, turn | one turn of a conversation |
//! | `c` lane | what is remembered of a conversation |
//! | `f` time, job | finished then: the sweeper's order |
//! | `g` time, job | the same, its content already removed |
//! | `+` name | a counter of the conservation law, or the last job's number |
//!
//! A start reads `p` and `o` only: what is finished costs nothing then.

use packetboat_adapter_api::envelope::{Envelope, Inbound};
use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::lanes::LaneKey;
use super::view::{Attempt, JobDetail, JobSummary, Reply, Stage, Step};

/// The newest version that this daemon writes.
const VERSION: u8 = 1;

/// Counters of the conservation law.
pub const ACCEPTED: &[u8] = b"+accepted";
/// See [`ACCEPTED`].
pub const DELIVERED: &[u8] = b"+delivered";
/// See [`ACCEPTED`].
pub const DEAD: &[u8] = b"+dead";
/// See [`ACCEPTED`].
pub const CANCELLED: &[u8] = b"+cancelled";
/// The highest job number that was given away, more or less: the jobs themselves say it exactly, as long as one is kept.
pub const LAST_JOB: &[u8] = b"+last_job";

/// First bytes of the tables.
pub const JOBS: &[u8] = b"j";
/// See [`JOBS`].
pub const WAITING: &[u8] = b"p";
/// See [`JOBS`].
pub const OUTBOX: &[u8] = b"o";
/// See [`JOBS`].
pub const NOTES: &[u8] = b"n";
/// See [`JOBS`].
pub const FINISHED: &[u8] = b"f";
/// See [`JOBS`].
pub const EMPTIED: &[u8] = b"g";

/// One message and all that became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The message.
    pub inbound: Inbound,
    /// Where it is. On disk never `Leased`: a lease does not outlive its process.
    pub state: Stage,
    /// C1, in milliseconds since 1970 UTC.
    pub accepted_at_ms: u64,
    /// Every failed attempt, of the model and of the platform.
    #[serde(default)]
    pub errors: Vec<Attempt>,
    /// Errors before this index belong to an earlier life: an operator has retried the dead letter since.
    #[serde(default)]
    pub counted_from: usize,
    /// The answer, from C2 on. A dead job with a reply died in the outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// The platform's proof, from C3 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

impl JobRecord {
    /// A message just taken.
    pub fn new(inbound: Inbound, now_ms: u64) -> Self {
        Self {
            inbound,
            state: Stage::Accepted,
            accepted_at_ms: now_ms,
            errors: Vec::new(),
            counted_from: 0,
            reply: None,
            receipt: None,
        }
    }

    /// Its lane.
    pub fn lane(&self) -> LaneKey {
        LaneKey::of(&self.inbound.envelope)
    }

    /// Failed attempts of one step that count.
    pub fn failed(&self, step: Step) -> u32 {
        self.errors.iter().skip(self.counted_from).filter(|attempt| attempt.step == step).count() as u32
    }

    /// The operator's one line.
    pub fn summary(&self, job: u64) -> JobSummary {
        let Envelope { adapter, conversation, message, .. } = &self.inbound.envelope;
        JobSummary {
            job,
            adapter: adapter.to_string(),
            conversation: conversation.to_string(),
            message: message.to_string(),
            state: self.state,
            attempts: self.errors.len() as u32,
            accepted_at_ms: self.accepted_at_ms,
            last_error: self.errors.last().map(|attempt| attempt.error.clone()),
        }
    }

    /// Everything, for the operator.
    pub fn detail(self, job: u64) -> JobDetail {
        JobDetail {
            summary: self.summary(job),
            inbound: self.inbound,
            reply: self.reply,
            errors: self.errors,
            receipt: self.receipt,
        }
    }
}

/// A job's place on the line: what a start needs to know, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceRecord {
    /// Its lane.
    pub adapter: AdapterName,
    /// Its lane.
    pub conversation: ConversationId,
    /// Not before this, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub due_ms: u64,
    /// Attempts that were begun. More than were recorded as failed: the daemon died during one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub begun: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl PlaceRecord {
    /// At once, in its own lane.
    pub fn of(record: &JobRecord) -> Self {
        let Envelope { adapter, conversation, .. } = &record.inbound.envelope;
        Self { adapter: adapter.clone(), conversation: conversation.clone(), due_ms: 0, begun: 0 }
    }

    /// Its lane.
    pub fn lane(&self) -> LaneKey {
        LaneKey::new(&self.adapter, &self.conversation)
    }
}

/// Why stored bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer daemon.
    #[error("written by a newer packetboat (record version {0}): run that one")]
    Newer(u8),
    /// The checksum does not match, or it can't be read.
    #[error("damaged")]
    Damaged,
}

/// To bytes.
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION, 0, 0, 0, 0];
    // writing plain structs with string keys to memory can't fail; if it ever did, the checksum of nothing would tell
    let _ = serde_json::to_writer(&mut bytes, record);
    let sum = crc32fast::hash(&bytes[5..]).to_le_bytes();
    bytes[1..5].copy_from_slice(&sum);
    bytes
}

/// From bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let Some((&version, rest)) = bytes.split_first() else { return Err(RecordError::Damaged) };
    if version > VERSION {
        return Err(RecordError::Newer(version));
    }
    let (sum, json) = rest.split_at_checked(4).ok_or(RecordError::Damaged)?;
    if sum != crc32fast::hash(json).to_le_bytes() {
        return Err(RecordError::Damaged);
    }
    serde_json::from_slice(json).map_err(|_| RecordError::Damaged)
}

/// A key of a table by job number: jobs sort by age.
pub fn job_key(table: &[u8], job: u64) -> Vec<u8> {
    [table, &job.to_be_bytes()].concat()
}

/// The job's number in a key of [`job_key`]'s shape.
pub fn job_of(key: &[u8]) -> Option<u64> {
    let tail = key.len().checked_sub(8)?;
    key[tail..].try_into().ok().map(u64::from_be_bytes)
}

/// The dedupe key of a message.
pub fn seen_key(adapter: &AdapterName, message: &MessageId) -> Vec<u8> {
    let mut key = b"s".to_vec();
    push_text(&mut key, adapter.as_str());
    key.extend_from_slice(message.as_str().as_bytes());
    key
}

/// What the dedupe key holds.
pub fn seen_value(job: u64) -> Vec<u8> {
    job.to_be_bytes().to_vec()
}

/// In the sweeper's order; `table` is [`FINISHED`] or [`EMPTIED`].
pub fn finished_key(table: &[u8], at_ms: u64, job: u64) -> Vec<u8> {
    [table, &at_ms.to_be_bytes(), &job.to_be_bytes()].concat()
}

/// What [`finished_key`] was made of.
pub fn finished_of(key: &[u8]) -> Option<(u64, u64)> {
    let at_ms = key.get(FINISHED.len()..FINISHED.len() + 8)?.try_into().ok()?;
    Some((u64::from_be_bytes(at_ms), job_of(key)?))
}

/// A table's key by lane; a longer key of the same lane starts with it.
pub fn lane_key(table: &[u8], lane: &LaneKey) -> Vec<u8> {
    let mut key = table.to_vec();
    push_text(&mut key, lane.adapter().as_str());
    push_text(&mut key, lane.conversation().as_str());
    key
}

/// Length first, so that no name can run into the next.
fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u32).to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_damage_is_noticed() {
        let bytes = encode(&vec![7]);
        assert_eq!(decode(&bytes), Ok(vec![7]));
        for at in 1..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode::<Vec<u8>>(&damaged), Err(RecordError::Damaged), "byte {at}");
        }
        assert_eq!(decode::<Vec<u8>>(&bytes[..4]), Err(RecordError::Damaged));
    }

    #[test]
    fn a_newer_record_is_not_guessed_at() {
        let mut bytes = encode(&vec![7]);
        bytes[0] = 9;
        assert_eq!(decode::<Vec<u8>>(&bytes), Err(RecordError::Newer(9)));
    }

    #[test]
    fn keys_sort_by_age_and_names_do_not_run_together() {
        assert!(job_key(JOBS, 255) < job_key(JOBS, 256));
        assert_eq!(job_of(&job_key(JOBS, 77)), Some(77));
        let key = |adapter, message| seen_key(&AdapterName::new(adapter), &MessageId::new(message));
        assert_ne!(key("a", "bc"), key("ab", "c"));
    }
}
