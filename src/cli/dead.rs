//! `packetboat dead …`: messages that were given up, with every attempt's error, to be retried or discarded.

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::daemon::Daemon;
use super::error::CliError;
use super::queue::{Deed, Jobs, list, operate, show};
use crate::queue::view::Stage;

/// Messages that were given up.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// All of them, oldest first, each with its last error
    List {
        /// Only jobs with a higher number
        #[arg(long, default_value_t = 0, value_name = "JOB")]
        after: u64,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One of them: its content and every attempt's error
    Show {
        /// Its number in `dead list`
        job: u64,
    },
    /// Put one (or all) back on the line
    Retry(Which),
    /// Withdraw one (or all): there will be no answer
    Discard(Which),
}

/// One or all.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Its number in `dead list`
    job: Option<u64>,
    /// Every dead letter
    #[arg(long)]
    all: bool,
}

/// Dead letters asked for at a time.
const PAGE: usize = 500;

impl DeadCommand {
    /// Asks the daemon.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = Daemon::find(context)?;
        match self {
            Self::List { after, limit } => list(context, &daemon, &[Stage::Dead], after, limit).await,
            Self::Show { job } => show(context, &daemon, job).await,
            Self::Retry(which) => each(context, &daemon, which, Deed::Retry).await,
            Self::Discard(which) => each(context, &daemon, which, Deed::Discard).await,
        }
    }
}

async fn each(context: &Context, daemon: &Daemon, which: Which, deed: Deed) -> Result<(), CliError> {
    if let Some(job) = which.job {
        return operate(context, daemon, job, deed).await;
    }
    let verb = match deed {
        Deed::Retry => "retry",
        Deed::Discard => "discard",
    };
    let (mut after, mut done) = (0, 0_u64);
    loop {
        let page: Jobs = daemon.get(&format!("/api/admin/queue/jobs?state=dead&after={after}&limit={PAGE}")).await?;
        let Some(last) = page.jobs.last() else { break };
        after = last.job;
        for job in &page.jobs {
            daemon.post(&format!("/api/admin/queue/jobs/{}/{verb}", job.job)).await?;
            done += 1;
        }
    }
    context.out.show(&json!({ "done": verb, "jobs": done }), |_| format!("{verb}: {done} dead letters"))
}
