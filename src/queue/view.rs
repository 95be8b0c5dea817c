//! What the queue shows: to the sender of a message, to an operator, to a metric. Serialised as they stand.

use packetboat_adapter_api::envelope::Inbound;
use serde::{Deserialize, Serialize};

/// Where a message is on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Durable, waits for its turn.
    Accepted,
    /// The model works on it.
    Leased,
    /// An attempt failed; waits for the next.
    Retryable,
    /// Answered (C2); the reply waits in the outbox or is on its way.
    Completed,
    /// The reply reached the platform (C3).
    Delivered,
    /// Withdrawn by its sender or an operator.
    Cancelled,
    /// Given up; an operator may retry or discard it.
    Dead,
}

/// A message as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// The platform's id, or the one that was given by the client.
    pub id: String,
    /// As the adapter names it.
    pub conversation: String,
    /// Where it is.
    pub state: Stage,
    /// Failed attempts so far.
    pub attempts: u32,
    /// The answer, from C2 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// CommonMark.
    pub text: String,
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// `generate` or `deliver`.
    pub step: Step,
    /// For the operator; never content.
    pub error: String,
}

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Asking the model.
    Generate,
    /// Telling the platform.
    Deliver,
}

/// One line of `queue list` and `dead list`: no content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The job's number, as `queue show` takes it.
    pub job: u64,
    /// Whence it came.
    pub adapter: String,
    /// Its lane.
    pub conversation: String,
    /// The platform's id.
    pub message: String,
    /// Where it is.
    pub state: Stage,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Milliseconds since 1970 UTC.
    pub accepted_at_ms: u64,
    /// The last attempt's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Everything about one job, content included: for an operator who asks for it by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDetail {
    /// The line of the list.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The message.
    pub inbound: Inbound,
    /// The answer, from C2 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Every failed attempt.
    pub errors: Vec<Attempt>,
    /// The platform's proof, from C3 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// The conservation law: `accepted = delivered + dead + cancelled + pending`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Ever accepted (duplicates not counted).
    pub accepted: u64,
    /// Answered, with the platform's receipt.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
    /// Withdrawn.
    pub cancelled: u64,
    /// On the line now.
    pub pending: u64,
}

impl Totals {
    /// The law holds.
    pub fn hold(&self) -> bool {
        self.accepted == self.delivered + self.dead + self.cancelled + self.pending
    }
}

/// The queue in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// The conservation law's terms.
    pub totals: Totals,
    /// Of the pending: waiting for the model.
    pub waiting: u64,
    /// Of the pending: the model works on them.
    pub leased: u64,
    /// Of the pending: the reply waits or is on its way.
    pub outbox: u64,
    /// Duplicates refused since the start of this process.
    pub duplicates: u64,
    /// Age of the oldest pending message in milliseconds.
    pub oldest_pending_ms: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
}

/// What `queue verify` found by reading every record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The stored counters, with `pending` counted from the records.
    pub totals: Totals,
    /// Jobs read.
    pub jobs: u64,
    /// Replies read.
    pub deliveries: u64,
    /// One sentence each; empty when all is well.
    pub problems: Vec<String>,
}
