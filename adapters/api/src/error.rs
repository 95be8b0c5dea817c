//! Failures that carry the decision: whoever reads one knows whether to try again, and when.

use std::time::Duration;

/// Why a reply did not reach the platform, and what to do about it. Causes never hold message content or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing was taken; try again after the usual backoff. Counts as an attempt.
    #[error("not sent, will be retried: {cause}")]
    Retry {
        /// For the operator.
        cause: String,
    },
    /// The platform asked for a wait. Not an attempt.
    #[error("the platform asks to wait {} ms: {cause}", .wait.as_millis())]
    RetryAfter {
        /// As the platform told it.
        wait: Duration,
        /// For the operator.
        cause: String,
    },
    /// It will never be taken (blocked, chat gone, wrong token): dead letter at once.
    #[error("refused for good: {cause}")]
    Reject {
        /// For the operator.
        cause: String,
    },
    /// It may or may not have been taken, and the platform offers no way to tell.
    #[error("unknown whether it arrived: {cause}")]
    Unknown {
        /// For the operator.
        cause: String,
    },
}

/// Why an adapter's connection ended for good; the daemon reports it and tries again after a backoff.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {hint}")]
pub struct ListenError {
    /// What failed.
    pub cause: String,
    /// What the operator does next.
    pub hint: String,
    /// `false` when only a changed configuration helps (a revoked token, say).
    pub retry: bool,
}

/// Why a message was not taken. The adapter tells its platform, so that the sender or the platform tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Queue or disk is full, or the daemon is stopping: not acknowledged, so that the platform keeps it.
    #[error("not taken now: {cause}")]
    Busy {
        /// When to come back.
        retry_after: Duration,
        /// For the operator.
        cause: String,
    },
    /// The sender may not talk to this bot, or the message can never be taken: acknowledge and forget.
    #[error("refused: {cause}")]
    Denied {
        /// For the operator.
        cause: String,
    },
}

/// The durable note could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not store the delivery's progress: {0}")]
pub struct JournalError(pub String);
