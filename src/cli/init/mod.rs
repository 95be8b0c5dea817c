//! `packetboat init`: a configuration to start with, the data folder, and the secrets. A wizard on a terminal, flags for
//! scripts.
//!
//! Invariants: nothing that is there is ever overwritten, so that it can be run again; what it makes only its owner can
//! read; the configuration that it writes was checked before. Not here: the documented example (`config/example.rs`).

mod answers;
mod files;
mod wizard;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::error::CliError;
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::inference::config::ModelBackend;
use crate::security::tokens::Tokens;

use answers::{Answers, Model, Telegram};

/// The file's name in the folder.
const FILE: &str = "packetboat.toml";

/// Write a configuration, make the data folder and the secrets; never overwrites.
#[derive(Debug, Args)]
pub struct Init {
    /// Where the configuration goes; the data folder is made beside it [default: ., with --system /etc/packetboat]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// For the systemd unit: data in /var/lib/packetboat, secrets as credentials, a configuration that the unit's user
    /// can read
    #[arg(long)]
    system: bool,
    /// Ask nothing: take the flags and the defaults
    #[arg(long, short)]
    yes: bool,
    /// Where the web chat and the HTTP API listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where metrics and the operator's API listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    console_listen: Option<SocketAddr>,
    /// `onnx`, `openai` or `echo`
    #[arg(long, value_parser = parse_backend, value_name = "BACKEND")]
    backend: Option<ModelBackend>,
    /// An ONNX model's folder; without it the small bundled model answers
    #[arg(long, value_name = "DIR", conflicts_with = "model_url")]
    model_path: Option<PathBuf>,
    /// A server that speaks the OpenAI API, up to and including `/v1`
    #[arg(long, value_name = "URL", requires = "model_name")]
    model_url: Option<String>,
    /// The model's name at that server
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// The environment variable that holds that server's key
    #[arg(long, value_name = "NAME", requires = "model_url")]
    model_key_env: Option<String>,
    /// The environment variable that holds the Telegram bot's token
    #[arg(long, value_name = "NAME")]
    telegram_token_env: Option<String>,
    /// The file that holds the Telegram bot's token
    #[arg(long, value_name = "FILE", conflicts_with = "telegram_token_env")]
    telegram_token_file: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    config: PathBuf,
    data: PathBuf,
    created: Vec<PathBuf>,
    next: Vec<String>,
}

impl Init {
    /// Makes what is missing.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        let usual = if self.system { "/etc/packetboat" } else { "." };
        let named = context.named_config().cloned();
        let file = named.unwrap_or_else(|| self.dir.as_deref().unwrap_or(Path::new(usual)).join(FILE));
        let folder = config::paths::folder_of(&file);
        let mut created = Vec::new();
        if files::folder(&folder, if self.system { 0o755 } else { 0o700 })? {
            created.push(folder.clone());
        }
        let (config, mut next) = if file.exists() {
            self.keep(context, &file)?
        } else {
            let wanted = self.answers();
            let ask = !self.yes && std::io::stdin().is_terminal();
            let answers = if ask { wizard::ask(context.out, wanted)? } else { wanted };
            let config = write(&file, &folder, &answers, &mut created)?;
            (config, answers.reminders(&folder))
        };
        if self.system {
            // the data folder and the key belong to the unit's user, who makes them
            next.push("start it: systemctl daemon-reload, then systemctl enable --now packetboat".to_owned());
            next.push("sign in: packetboat login".to_owned());
        } else {
            if files::private_folder(&config.storage.path)? {
                created.push(config.storage.path.clone());
            }
            make_key(&config, &mut created)?;
            next.push(format!("start it: packetboat serve --login-link --config {}", file.display()));
        }
        let made = Made { config: file, data: config.storage.path, created, next };
        context.out.show(&made, report)
    }

    /// The file is there: it stays as it is.
    fn keep(&self, context: &Context, file: &Path) -> Result<(Config, Vec<String>), CliError> {
        if self.answers() != (Answers { system: self.system, ..Answers::default() }) {
            let file = file.display();
            context.out.note(&format!("{file} is there already and stays as it is; edit it to change something"));
        }
        Ok((config::load(Some(file))?.config, Vec::new()))
    }

    fn answers(&self) -> Answers {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let model = match (&self.model_path, &self.model_url, self.backend) {
            (_, _, Some(ModelBackend::Echo)) => Model::Echo,
            (Some(path), _, _) => Model::Folder(absolute(path)),
            (None, Some(url), _) => Model::Server {
                url: url.clone(),
                name: self.model_name.clone().unwrap_or_default(),
                key_variable: self.model_key_env.clone(),
                key: None,
            },
            (None, None, _) => Model::Bundled,
        };
        let telegram = match (&self.telegram_token_env, &self.telegram_token_file) {
            (Some(name), _) => Telegram::Variable(name.clone()),
            (None, Some(path)) => Telegram::File(absolute(path)),
            (None, None) => Telegram::Off,
        };
        Answers { system: self.system, listen: self.listen, console_listen: self.console_listen, model, telegram }
    }
}

fn write(file: &Path, folder: &Path, answers: &Answers, created: &mut Vec<PathBuf>) -> Result<Config, CliError> {
    let text = answers.to_toml();
    // checked first: a wrong answer leaves nothing behind
    config::check(file, &text)?;
    let secrets = folder.join(answers.secrets_folder());
    for (name, secret) in answers.typed_secrets() {
        files::private_folder(&secrets)?;
        let path = secrets.join(name);
        if files::private_file(&path, secret)? {
            created.push(path);
        }
    }
    // for the unit: readable by its user; it holds no secrets
    files::file(file, &text, if answers.system { 0o644 } else { 0o600 })?;
    created.push(file.to_owned());
    Ok(config::load(Some(file))?.config)
}

fn make_key(config: &Config, created: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let folder = config.token_folder();
    let was_there = folder.exists();
    Tokens::open(&folder, Arc::new(SystemClock)).map_err(|error| CliError::new(error.to_string(), ""))?;
    if !was_there {
        created.push(folder);
    }
    Ok(())
}

fn report(made: &Made) -> String {
    let mut lines: Vec<String> = made.created.iter().map(|path| format!("made {}", path.display())).collect();
    if lines.is_empty() {
        lines.push("everything is there already; nothing was changed".to_owned());
    }
    lines.push("\nnext:".to_owned());
    lines.extend(made.next.iter().map(|step| format!("  {step}")));
    lines.join("\n")
}

fn parse_backend(text: &str) -> Result<ModelBackend, String> {
    serde_json::from_value(text.into()).map_err(|_| "the backends are onnx, openai, echo".to_owned())
}
