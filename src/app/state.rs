//! The daemon's state in one look, and its metrics as text.

use std::sync::Arc;

use crate::adapters::Adapters;
use crate::clock::SharedClock;
use crate::completion::Completions;
use crate::lifecycle::Lifecycle;
use crate::queue::Queue;
use crate::status::{ModelStatus, Status};
use crate::telemetry::metrics::Metrics;

use super::line::RunningLine;

/// Where the state is looked up.
pub struct State {
    queue: Arc<Queue>,
    adapters: Adapters,
    completions: Arc<Completions>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    life: Lifecycle,
    alive: Box<dyn Fn() -> bool + Send + Sync>,
    started_ms: u64,
}

impl State {
    /// Of this line.
    pub fn new(
        line: &RunningLine,
        completions: &Arc<Completions>,
        metrics: &Arc<Metrics>,
        clock: &SharedClock,
        life: &Lifecycle,
    ) -> Arc<Self> {
        Arc::new(Self {
            queue: Arc::clone(&line.queue),
            adapters: line.adapters.clone(),
            completions: Arc::clone(completions),
            metrics: Arc::clone(metrics),
            clock: Arc::clone(clock),
            life: life.clone(),
            alive: Box::new(line.liveness()),
            started_ms: clock.now_ms(),
        })
    }

    /// All that an operator asks first.
    pub fn status(&self) -> Status {
        let model = self.completions.info();
        let draining = self.life.stopping.is_cancelled();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.clock.now_ms().saturating_sub(self.started_ms) / 1000,
            ready: !draining && (self.alive)(),
            draining,
            model: ModelStatus {
                name: model.name,
                backend: model.backend.to_owned(),
                device: model.device,
                context_window: model.context_window,
            },
            adapters: self.adapters.status(),
            queue: self.queue.stats(),
        }
    }

    /// Prometheus text.
    pub fn metrics(&self) -> String {
        self.metrics.observe_queue(&self.queue.stats());
        for adapter in self.adapters.status() {
            self.metrics.adapter(&adapter.name, adapter.health == "up");
        }
        self.metrics.render()
    }
}
