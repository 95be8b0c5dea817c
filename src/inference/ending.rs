//! Ending a generation before it is done: cancelled, or past its deadline.
//!
//! Invariants: the first reason wins; asking is one atomic read, cheap enough for every step. Not here: what a backend
//! does when it has to end (it hands back what was said so far).

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::FinishReason;

const CANCELLED: u8 = 1;
const DEADLINE: u8 = 2;

/// Shared by the one who asks for the end and the thread that generates.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<AtomicU8>);

impl Ending {
    /// Asks for the end. Only [`FinishReason::Deadline`] is told apart; anything else counts as cancelled.
    pub fn ask(&self, reason: FinishReason) {
        let code = if reason == FinishReason::Deadline { DEADLINE } else { CANCELLED };
        // a later reason changes nothing
        let _ = self.0.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Why to end now, if at all.
    pub fn asked(&self) -> Option<FinishReason> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            DEADLINE => Some(FinishReason::Deadline),
            _ => Some(FinishReason::Cancelled),
        }
    }
}

/// Waits until somebody cancels or the deadline passes; never returns when neither can happen.
pub async fn ended_early(cancel: &CancellationToken, deadline: Option<Duration>) -> FinishReason {
    let late = async {
        match deadline {
            Some(after) => tokio::time::sleep(after).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => FinishReason::Cancelled,
        () = late => FinishReason::Deadline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_wins() {
        let ending = Ending::default();
        assert_eq!(ending.asked(), None);
        ending.clone().ask(FinishReason::Deadline);
        ending.ask(FinishReason::Cancelled);
        assert_eq!(ending.asked(), Some(FinishReason::Deadline));
    }

    #[tokio::test]
    async fn a_cancelled_token_ends_before_any_deadline() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert_eq!(ended_early(&cancel, Some(Duration::ZERO)).await, FinishReason::Cancelled);
        let never = CancellationToken::new();
        assert_eq!(ended_early(&never, Some(Duration::from_millis(1))).await, FinishReason::Deadline);
    }
}
