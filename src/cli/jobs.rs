//! How jobs look to people: a line in a list, and one in full.

use super::output::printable;
use super::table::{Table, facts};
use super::time::date;
use crate::queue::view::{JobDetail, JobSummary, Stage, Step};

/// As the JSON says it.
pub fn stage_name(stage: Stage) -> String {
    serde_json::to_value(stage).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The list; no content.
pub fn table(jobs: &[JobSummary]) -> String {
    let mut table =
        Table::new(["JOB", "STATE", "ACCEPTED", "ADAPTER", "CONVERSATION", "FAILED", "LAST ERROR"]).numbers(&[0, 5]);
    for job in jobs {
        table.row([
            job.job.to_string(),
            stage_name(job.state),
            date(job.accepted_at_ms),
            job.adapter.clone(),
            job.conversation.clone(),
            job.attempts.to_string(),
            job.last_error.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

/// One job with its content.
pub fn detail(job: &JobDetail) -> String {
    let line = &job.summary;
    let mut parts = vec![facts(&[
        ("job", line.job.to_string()),
        ("state", stage_name(line.state)),
        ("accepted", date(line.accepted_at_ms)),
        ("adapter", line.adapter.clone()),
        ("conversation", line.conversation.clone()),
        ("sender", job.inbound.envelope.sender.to_string()),
        ("message", line.message.clone()),
        ("failed attempts", line.attempts.to_string()),
    ])];
    parts.push(format!("\nmessage:\n{}", indented(&job.inbound.text())));
    if let Some(reply) = &job.reply {
        parts.push(format!("\nreply:\n{}", indented(&reply.text)));
    }
    if let Some(receipt) = &job.receipt {
        parts.push(format!("\nreceipt: {}", printable(receipt)));
    }
    if !job.errors.is_empty() {
        let mut table = Table::new(["WHEN", "STEP", "ERROR"]);
        for attempt in &job.errors {
            let step = match attempt.step {
                Step::Generate => "generate",
                Step::Deliver => "deliver",
            };
            table.row([date(attempt.at_ms), step.to_owned(), attempt.error.clone()]);
        }
        parts.push(format!("\nfailed attempts:\n{}", table.render()));
    }
    parts.join("\n")
}

fn indented(text: &str) -> String {
    printable(text).lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
