//! Starting and stopping: the first signal drains, the second ends; systemd is told what goes on.
//!
//! The drain's order: nothing new is taken · adapters stop listening · answers that were begun are finished · replies that
//! are ready leave · connections end. What is left when the time is up stays on disk for the next start.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What was begun may take this long to finish; below systemd's TimeoutStopSec.
pub const DRAIN: Duration = Duration::from_secs(25);

/// The two steps of stopping, for everybody to watch.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Take nothing new; finish what was begun.
    pub stopping: CancellationToken,
    /// No time is left: give back what was begun.
    pub give_up: CancellationToken,
}

impl Lifecycle {
    /// Watches SIGTERM and SIGINT: the first one drains, a second one or [`DRAIN`] gives up.
    pub fn watch_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let life = self.clone();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tracing::info!("stopping: what was begun is finished first; a second signal stops at once");
            life.begin_stop();
            tokio::select! {
                () = either(&mut terminate, &mut interrupt) => tracing::warn!("stopping at once"),
                () = tokio::time::sleep(DRAIN) => tracing::warn!("what was begun took too long; it is given back"),
            }
            life.give_up.cancel();
        });
        Ok(())
    }

    /// The first step.
    pub fn begin_stop(&self) {
        notify(&[NotifyState::Stopping]);
        self.stopping.cancel();
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Listeners and store are up.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Pings systemd's watchdog for as long as `alive` says so; returns when `stop` is cancelled or no watchdog is set.
pub async fn watchdog(alive: impl Fn() -> bool, stop: CancellationToken) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval(every / 3);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = stop.cancelled() => return,
        }
        if alive() {
            notify(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(
                "the workers have stopped moving; systemd is not told that all is well, and will restart the daemon"
            );
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    // without systemd there is nobody to tell
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
