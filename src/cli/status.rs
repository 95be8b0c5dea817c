//! `packetboat status`: the running daemon in one screen.

use clap::Args;

use super::Context;
use super::daemon::Daemon;
use super::error::CliError;
use super::queue::law;
use super::table::{Table, facts};
use super::time::span;
use crate::status::Status;

/// Show the running daemon's adapters, queue, model and conservation law.
#[derive(Debug, Args)]
pub struct StatusCommand {}

impl StatusCommand {
    /// Asks the daemon.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let status: Status = Daemon::find(context)?.get("/api/admin/status").await?;
        context.out.show(&status, people)
    }
}

fn people(status: &Status) -> String {
    let state = match (status.draining, status.ready) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    let model = &status.model;
    let queue = &status.queue;
    let head = facts(&[
        ("packetboat", format!("{}, {state}, up {}", status.version, span(status.uptime_s))),
        ("model", format!("{} ({}, {}, {} tokens)", model.name, model.backend, model.device, model.context_window)),
        (
            "queue",
            format!("{} waiting, {} with the model, {} to be delivered", queue.waiting, queue.leased, queue.outbox),
        ),
        ("oldest", span(queue.oldest_pending_ms / 1000)),
        ("law", law(&queue.totals)),
    ]);
    if status.adapters.is_empty() {
        return format!("{head}\n\nno adapters");
    }
    let mut table = Table::new(["ADAPTER", "HEALTH", "CAUSE"]);
    for adapter in &status.adapters {
        table.row([adapter.name.clone(), adapter.health.clone(), adapter.cause.clone().unwrap_or_default()]);
    }
    format!("{head}\n\n{}", table.render())
}
