//! The command line: one file per command, each a struct of arguments with a `run`.
//!
//! Invariants: exit codes are 0 done, 1 failed, 2 misused; every failure says what to do next; commands that need the
//! store ask the running daemon ([`daemon`]) and say so when none runs; every command that prints data knows `--json`.
//! Not here: what the commands ask for is done in the modules they call.

pub mod bench;
pub mod chat;
pub mod completions;
pub mod config;
pub mod daemon;
pub mod dead;
pub mod doctor;
pub mod error;
pub mod init;
pub mod jobs;
pub mod login;
pub mod manual;
pub mod model;
pub mod output;
pub mod queue;
pub mod serve;
pub mod sse;
pub mod status;
pub mod table;
pub mod talk;
pub mod time;
pub mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::config::{Loaded, load};

use error::CliError;
use output::{Output, complain};

/// A chat-platform bot bridge: messages go into a durable queue, a language model on this machine answers, and the
/// answers come back once, in order.
#[derive(Debug, Parser)]
#[command(name = "packetboat", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The configuration file [default: $PACKETBOAT_CONFIG, else ./packetboat.toml, else /etc/packetboat/packetboat.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Serve(serve::Serve),
    /// Write a configuration, make the data folder and the secrets; never overwrites
    Init(init::Init),
    /// Talk to the running daemon in the terminal
    Chat(chat::Chat),
    /// Check everything that can be wrong, and say what to do
    Doctor(doctor::Doctor),
    /// Show the running daemon's adapters, queue, model and conservation law
    Status(status::StatusCommand),
    /// Print a link that signs a browser in, once
    Login(login::Login),
    /// Make and revoke the tokens that clients sign in with
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Show and check the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look at the queue and work on single messages
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Messages that were given up
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// The model's files
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Measure this machine
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print the completion script of a shell
    Completions(completions::Completions),
    /// Write the manual pages into a folder
    Man(manual::Man),
}

/// What every command gets.
#[derive(Debug)]
pub struct Context {
    config: Option<PathBuf>,
    /// Where the answer goes.
    pub out: Output,
}

impl Context {
    /// The checked configuration.
    pub fn load(&self) -> Result<Loaded, CliError> {
        Ok(load(self.config.as_deref())?)
    }

    /// What `--config` said.
    pub fn named_config(&self) -> Option<&PathBuf> {
        self.config.as_ref()
    }
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // help asked for is not a failure: clap knows which code it is
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = Context { config: cli.config, out: Output { json: cli.json } };
    exit_code(run(&context, cli.command))
}

fn exit_code(result: Result<(), CliError>) -> ExitCode {
    if let Err(error) = &result {
        complain(error);
    }
    match result {
        Ok(()) | Err(CliError::Closed) => ExitCode::SUCCESS,
        Err(CliError::Usage(_)) => ExitCode::from(2),
        Err(CliError::Failed { .. } | CliError::Negative) => ExitCode::FAILURE,
    }
}

fn run(context: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(serve) => serve.run(context),
        Command::Init(init) => init.run(context),
        Command::Chat(chat) => small(chat.run(context)),
        Command::Doctor(doctor) => small(doctor.run(context)),
        Command::Status(status) => small(status.run(context)),
        Command::Login(login) => small(login.run(context)),
        Command::Token(token) => small(token.run(context)),
        Command::Config(config) => config.run(context),
        Command::Queue(queue) => small(queue.run(context)),
        Command::Dead(dead) => small(dead.run(context)),
        Command::Model(model) => model.run(context),
        Command::Bench(bench) => bench.run(context),
        Command::Completions(completions) => completions.run(context),
        Command::Man(man) => man.run(context),
    }
}

/// For commands that only wait for an answer.
fn small(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = started(Builder::new_current_thread().enable_all().build())?;
    let result = runtime.block_on(work);
    // a thread that still waits for a line of standard input must not hold up the end
    runtime.shutdown_background();
    result
}

/// For commands that work on every core.
fn large() -> Result<Runtime, CliError> {
    started(Builder::new_multi_thread().enable_all().build())
}

fn started(runtime: std::io::Result<Runtime>) -> Result<Runtime, CliError> {
    runtime.map_err(|error| CliError::new(format!("can't start threads: {error}"), "check the limits (ulimit -u)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn config_and_json_may_stand_after_the_command() {
        let cli =
            Cli::try_parse_from(["packetboat", "queue", "stats", "--json", "--config", "x.toml"]).expect("parses");
        assert!(cli.json && cli.config.is_some());
    }
}
