//! Chats that Telegram asked to leave alone for a while.
//!
//! Invariant: within a requested wait no call goes into that chat; asking again would only lengthen the wait.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use packetboat_adapter_api::error::SendError;
use tokio::time::Instant;

/// One gate per chat, open unless shut.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    shut: Mutex<HashMap<i64, Instant>>,
}

impl Gates {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Instant>> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shuts the chat's gate for `wait`.
    pub(crate) fn shut(&self, chat: i64, wait: Duration) {
        let now = Instant::now();
        let mut shut = self.lock();
        shut.retain(|_, until| *until > now);
        shut.insert(chat, now + wait);
    }

    /// Whether a call may go in.
    pub(crate) fn check(&self, chat: i64) -> Result<(), SendError> {
        let wait = self.lock().get(&chat).map(|until| until.saturating_duration_since(Instant::now()));
        match wait.filter(|wait| !wait.is_zero()) {
            Some(wait) => {
                Err(SendError::RetryAfter { wait, cause: "Telegram asked to leave this chat alone".to_owned() })
            }
            None => Ok(()),
        }
    }
}
