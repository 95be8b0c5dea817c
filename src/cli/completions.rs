//! `packetboat completions SHELL`: the script that completes commands and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::error::CliError;
use super::{Cli, Context};

/// Print the completion script of a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// Whose script
    shell: Shell,
}

impl Completions {
    /// Prints it.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "packetboat", &mut script);
        context.out.raw(&String::from_utf8_lossy(&script))
    }
}
