//! How long to wait before asking again: doubling, with jitter, up to a minute.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Shared;

const FIRST: Duration = Duration::from_millis(200);
const FIRST_SLOW: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(60);

/// The failures in a row.
pub(crate) struct Backoff<'a> {
    shared: &'a Shared,
    failures: u32,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, failures: 0 }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// For a network that may come back any moment.
    pub(crate) fn next_wait(&mut self) -> Duration {
        self.wait(FIRST)
    }

    /// For another instance that will not go away soon.
    pub(crate) fn next_slow(&mut self) -> Duration {
        self.wait(FIRST_SLOW)
    }

    fn wait(&mut self, first: Duration) -> Duration {
        let most = first.saturating_mul(1 << self.failures.min(10)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        // between half and all of it
        let share = 500 + ((self.shared.random)() % 501) as u32;
        most * share / 1000
    }
}

/// Waits, or until `stop`.
pub(crate) async fn pause(wait: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
