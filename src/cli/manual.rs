//! `packetboat man DIR`: a manual page for the program and for every command.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use serde_json::json;

use super::error::CliError;
use super::{Cli, Context};

/// Write the manual pages into a folder.
#[derive(Debug, Args)]
pub struct Man {
    /// Made when it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    /// Writes them.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        let folder = self.folder.display().to_string();
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &self.folder))
            .map_err(|error| {
                CliError::new(format!("can't write the pages to {folder}: {error}"), "choose another folder")
            });
        written?;
        context.out.show(&json!({ "folder": folder }), |_| format!("the manual pages are in {folder}"))
    }
}
