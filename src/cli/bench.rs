//! `packetboat bench …`: prints what `crate::bench` measures.

use clap::Subcommand;

use super::error::CliError;
use super::table::Table;
use super::{Context, large};
use crate::bench::line::{self, LineOptions, Report};

/// Measure this machine.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// The whole line with the echo model: from a message sent to its durable reply
    Line {
        /// Conversations at the same time, one round for each
        #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
        conversations: Vec<usize>,
        /// Messages per round
        #[arg(long, default_value_t = 2000)]
        messages: usize,
    },
}

impl BenchCommand {
    /// Measures and prints.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        let Self::Line { conversations, messages } = self;
        if messages == 0 || conversations.is_empty() || conversations.contains(&0) {
            return Err(CliError::Usage("--messages and --conversations are 1 or more".to_owned()));
        }
        let report = large()?
            .block_on(line::run(LineOptions { conversations, messages }))
            .map_err(|error| CliError::new(error.to_string(), ""))?;
        context.out.show(&report, people)
    }
}

fn people(report: &Report) -> String {
    let mut table = Table::new(["CONVERSATIONS", "MESSAGES/S", "P50 MS", "P99 MS"]).numbers(&[0, 1, 2, 3]);
    for round in &report.rounds {
        table.row([
            round.conversations.to_string(),
            format!("{:.0}", round.messages_per_second),
            format!("{:.1}", round.p50_ms),
            format!("{:.1}", round.p99_ms),
        ]);
    }
    format!(
        "{}\n\nready after {:.0} ms · {:.1} MiB resident · {:.1} s of processor time",
        table.render(),
        report.ready_ms,
        report.rss_bytes as f64 / (1024.0 * 1024.0),
        report.cpu_seconds
    )
}
