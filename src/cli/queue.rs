//! `packetboat queue …`: the line in numbers, single messages, and whether everything adds up.

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use super::daemon::Daemon;
use super::error::CliError;
use super::jobs::{detail, stage_name, table};
use super::table::facts;
use super::time::span;
use crate::queue::view::{JobDetail, JobSummary, QueueStats, Stage, Totals, VerifyReport};

/// Look at the queue and work on single messages.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// The line in numbers
    Stats,
    /// Messages, oldest first, without their content
    List {
        /// Only these states: accepted, leased, retryable, completed, delivered, cancelled, dead
        #[arg(long, value_delimiter = ',', value_parser = parse_stage, value_name = "STATE,…")]
        state: Vec<Stage>,
        /// Only jobs with a higher number
        #[arg(long, default_value_t = 0, value_name = "JOB")]
        after: u64,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Everything about one message, content included
    Show {
        /// Its number in `queue list`
        job: u64,
    },
    /// Put a dead message back on the line
    Retry {
        /// Its number in `queue list`
        job: u64,
    },
    /// Withdraw a message
    Discard {
        /// Its number in `queue list`
        job: u64,
    },
    /// Read every record and check that accepted = delivered + dead + cancelled + pending
    Verify,
}

/// The daemon gives no more at a time.
const LARGEST_PAGE: usize = 1000;

/// What the daemon answers to a list.
#[derive(Debug, Serialize, Deserialize)]
pub struct Jobs {
    /// Oldest first.
    pub jobs: Vec<JobSummary>,
}

/// What was done to one message.
#[derive(Debug, Clone, Copy)]
pub enum Deed {
    /// Back on the line.
    Retry,
    /// Withdrawn.
    Discard,
}

impl QueueCommand {
    /// Asks the daemon.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = Daemon::find(context)?;
        match self {
            Self::Stats => {
                let stats: QueueStats = daemon.get("/api/admin/queue/stats").await?;
                context.out.show(&stats, numbers)
            }
            Self::List { state, after, limit } => list(context, &daemon, &state, after, limit).await,
            Self::Show { job } => show(context, &daemon, job).await,
            Self::Retry { job } => operate(context, &daemon, job, Deed::Retry).await,
            Self::Discard { job } => operate(context, &daemon, job, Deed::Discard).await,
            Self::Verify => verify(context, &daemon).await,
        }
    }
}

/// Prints the jobs in these states; none = all.
pub async fn list(
    context: &Context,
    daemon: &Daemon,
    states: &[Stage],
    after: u64,
    limit: usize,
) -> Result<(), CliError> {
    let names: Vec<String> = states.iter().copied().map(stage_name).collect();
    // no state at all means every state
    let filter = if names.is_empty() { String::new() } else { format!("&state={}", names.join(",")) };
    let found: Jobs = daemon.get(&format!("/api/admin/queue/jobs?after={after}&limit={limit}{filter}")).await?;
    let more = (found.jobs.len() >= limit.min(LARGEST_PAGE)).then(|| found.jobs.last().map(|job| job.job)).flatten();
    context.out.show(&found, |found| if found.jobs.is_empty() { "none".to_owned() } else { table(&found.jobs) })?;
    if let Some(last) = more {
        context.out.note(&format!("there may be more: --after {last}"));
    }
    Ok(())
}

/// Prints one job.
pub async fn show(context: &Context, daemon: &Daemon, job: u64) -> Result<(), CliError> {
    let found: JobDetail = daemon.get(&format!("/api/admin/queue/jobs/{job}")).await?;
    context.out.show(&found, detail)
}

/// Retries or discards one job.
pub async fn operate(context: &Context, daemon: &Daemon, job: u64, deed: Deed) -> Result<(), CliError> {
    let (verb, done) = match deed {
        Deed::Retry => ("retry", "is back on the line"),
        Deed::Discard => ("discard", "is withdrawn"),
    };
    daemon.post(&format!("/api/admin/queue/jobs/{job}/{verb}")).await?;
    context.out.show(&json!({ "job": job, "done": verb }), |_| format!("job {job} {done}"))
}

async fn verify(context: &Context, daemon: &Daemon) -> Result<(), CliError> {
    let report: VerifyReport = daemon.get("/api/admin/queue/verify").await?;
    context.out.show(&report, |report| {
        let mut lines =
            vec![format!("{} jobs and {} replies read", report.jobs, report.deliveries), law(&report.totals)];
        lines.extend(report.problems.iter().map(|problem| format!("problem: {problem}")));
        if report.problems.is_empty() && report.totals.hold() {
            lines.push("all is well".to_owned());
        } else {
            lines.push("stop the daemon, keep a copy of the data folder, and report this".to_owned());
        }
        lines.join("\n")
    })?;
    if report.problems.is_empty() && report.totals.hold() { Ok(()) } else { Err(CliError::Negative) }
}

/// The conservation law with its figures.
pub fn law(totals: &Totals) -> String {
    let Totals { accepted, delivered, dead, cancelled, pending } = totals;
    let verdict = if totals.hold() { "holds" } else { "DOES NOT HOLD" };
    format!(
        "{verdict}: {accepted} accepted = {delivered} delivered + {dead} dead + {cancelled} cancelled + {pending} pending"
    )
}

fn numbers(stats: &QueueStats) -> String {
    facts(&[
        ("waiting", stats.waiting.to_string()),
        ("with the model", stats.leased.to_string()),
        ("to be delivered", stats.outbox.to_string()),
        ("oldest", span(stats.oldest_pending_ms / 1000)),
        ("duplicates refused", stats.duplicates.to_string()),
        ("on disk", format!("{:.1} MiB", stats.disk_bytes as f64 / (1024.0 * 1024.0))),
        ("law", law(&stats.totals)),
    ])
}

fn parse_stage(text: &str) -> Result<Stage, String> {
    let known = "accepted, leased, retryable, completed, delivered, cancelled, dead";
    serde_json::from_value(json!(text)).map_err(|_| format!("the states are {known}"))
}
