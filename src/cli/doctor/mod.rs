//! `packetboat doctor`: everything that can be wrong, each finding with what to do next.
//!
//! Invariants: it changes nothing (one empty file is made in the data folder and removed, to see that it can be); it
//! needs no running daemon; it never shows a secret. Not here: the checks themselves ([`storage`], [`network`], [`model`],
//! [`machine`]).

mod finding;
mod machine;
mod model;
mod network;
mod storage;

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::daemon::Daemon;
use super::error::CliError;
use super::queue::law;
use crate::app;
use crate::config::Loaded;
use crate::config::error::ConfigError;
use crate::status::Status;

use finding::{Finding, Level};

/// Check everything that can be wrong, and say what to do.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Ask no platform and no model server
    #[arg(long)]
    offline: bool,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Findings {
    findings: Vec<Finding>,
}

/// A platform that has not answered by then is reported.
const PATIENCE: Duration = Duration::from_secs(20);

impl Doctor {
    /// Fails when a finding is a failure.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut findings = Vec::new();
        match crate::config::load(context.named_config().map(AsRef::as_ref)) {
            Ok(loaded) => self.examine(&loaded, &mut findings).await,
            Err(error) => findings.extend(broken_config(&error)),
        }
        findings.extend(machine::clock());
        let all = Findings { findings };
        context.out.show(&all, |all| finding::render(&all.findings))?;
        let failed = all.findings.iter().any(|finding| finding.level == Level::Fail);
        if failed { Err(CliError::Negative) } else { Ok(()) }
    }

    async fn examine(&self, loaded: &Loaded, findings: &mut Vec<Finding>) {
        let config = &loaded.config;
        findings.push(Finding::ok("config", format!("{} is valid", loaded.path.display())));
        findings.extend(storage::secrets(loaded));
        findings.extend(storage::data_folder(&config.storage));
        let daemon = daemon(loaded).await;
        findings.extend(network::ports(&config.server, daemon.is_some()));
        findings.extend(model::files(&config.model));
        findings.extend(machine::gpu(&config.model));
        if !self.offline {
            findings.extend(model::server(&config.model).await);
            findings.extend(platforms(loaded).await);
        }
        match daemon {
            Some(status) => findings.extend(running(&status)),
            None => findings.push(Finding::warn(
                "daemon",
                "no daemon runs with this configuration",
                "start it: `packetboat serve`, or `systemctl start packetboat`",
            )),
        }
    }
}

fn broken_config(error: &ConfigError) -> Vec<Finding> {
    match error {
        ConfigError::Problems { path, problems } => {
            problems.iter().map(|problem| Finding::fail("config", problem.describe(path), "")).collect()
        }
        ConfigError::Missing { .. } | ConfigError::Unreadable { .. } => {
            vec![Finding::fail("config", error.to_string(), "")]
        }
    }
}

async fn platforms(loaded: &Loaded) -> Vec<Finding> {
    let Ok(probes) = tokio::time::timeout(PATIENCE, app::probe(&loaded.config)).await else {
        let next = "check the network, the proxy and the api_url keys";
        return vec![Finding::fail("adapters", "a platform did not answer in time", next)];
    };
    let finding = |probe: app::Probe| match probe.result {
        Ok(bot) => Finding::ok("adapters", format!("{}: the credentials work ({bot})", probe.adapter)),
        Err(error) => Finding::fail("adapters", format!("{}: {}", probe.adapter, error.cause), error.hint),
    };
    probes.into_iter().map(finding).collect()
}

async fn daemon(loaded: &Loaded) -> Option<Status> {
    Daemon::at(&loaded.config.control_socket()).ok()?.get("/api/admin/status").await.ok()
}

fn running(status: &Status) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = env!("CARGO_PKG_VERSION");
    if status.version == ours {
        findings.push(Finding::ok("daemon", format!("running, version {ours}")));
    } else {
        let message = format!("version {} runs, and this program is {ours}", status.version);
        findings.push(Finding::warn("daemon", message, "restart the daemon after an update"));
    }
    if !status.ready {
        findings.push(Finding::warn("daemon", "it is not ready", "`packetboat status` shows what it waits for"));
    }
    for adapter in status.adapters.iter().filter(|adapter| adapter.health == "down") {
        let cause = adapter.cause.as_deref().unwrap_or("no cause given");
        findings.push(Finding::fail(
            "daemon",
            format!("{} is down: {cause}", adapter.name),
            "look at the daemon's log",
        ));
    }
    if status.queue.totals.hold() {
        findings.push(Finding::ok("queue", law(&status.queue.totals)));
    } else {
        findings.push(Finding::fail("queue", law(&status.queue.totals), "run `packetboat queue verify`"));
    }
    if status.queue.totals.dead > 0 {
        let message = format!("{} dead letters", status.queue.totals.dead);
        findings.push(Finding::warn("queue", message, "`packetboat dead list` shows them; retry or discard them"));
    }
    findings
}
