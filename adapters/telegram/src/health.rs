//! Proof of life: when Telegram last answered, and what is wrong since.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use packetboat_adapter_api::adapter::Health;
use tokio::time::Instant;

/// What the connection reports, and the daemon asks.
#[derive(Debug)]
pub(crate) struct Pulse {
    state: Mutex<State>,
    /// Silence for longer than this is death.
    silence: Duration,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    trouble: Option<(String, Instant)>,
}

impl Pulse {
    pub(crate) fn new(silence: Duration) -> Self {
        Self { state: Mutex::default(), silence }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Telegram answered.
    pub(crate) fn beat(&self) {
        *self.lock() = State { last: Some(Instant::now()), trouble: None };
    }

    /// It did not, or not as it should.
    pub(crate) fn trouble(&self, cause: String) {
        let mut state = self.lock();
        let since = state.trouble.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        state.trouble = Some((cause, since));
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.lock();
        if let Some((cause, since)) = &state.trouble {
            return Health::Down(format!("{cause} (for {} s)", since.elapsed().as_secs()));
        }
        match state.last {
            None => Health::Starting,
            Some(last) if last.elapsed() > self.silence => {
                Health::Down(format!("no word from Telegram for {} s", last.elapsed().as_secs()))
            }
            Some(_) => Health::Up,
        }
    }
}
