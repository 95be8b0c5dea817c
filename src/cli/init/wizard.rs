//! The questions of `packetboat init` on a terminal. An empty answer takes what stands in brackets.

use std::io::{BufRead, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::answers::{Answers, Model, Telegram};
use crate::cli::error::CliError;
use crate::cli::output::Output;

/// Asks what the flags did not say.
pub fn ask(out: Output, mut answers: Answers) -> Result<Answers, CliError> {
    let mut terminal = Terminal { out };
    out.note("This writes a configuration. Press Enter to take what stands in brackets.\n");
    if answers.listen.is_none() {
        answers.listen = Some(terminal.listen()?);
    }
    if answers.model == Model::Bundled {
        answers.model = terminal.model()?;
    }
    if answers.telegram == Telegram::Off {
        let question = "Telegram: paste the bot's token from @BotFather, or Enter for none (it is not shown)";
        answers.telegram = terminal.secret(question)?.map_or(Telegram::Off, Telegram::Typed);
    }
    out.note("");
    Ok(answers)
}

struct Terminal {
    out: Output,
}

impl Terminal {
    fn listen(&mut self) -> Result<SocketAddr, CliError> {
        let default = SocketAddr::from(([127, 0, 0, 1], 18789));
        loop {
            let text = self.line(&format!("Web chat and HTTP API listen on [{default}]"))?;
            if text.is_empty() {
                return Ok(default);
            }
            match text.parse() {
                Ok(address) => return Ok(address),
                Err(_) => self.out.note("  an address and a port, for example 127.0.0.1:18789"),
            }
        }
    }

    fn model(&mut self) -> Result<Model, CliError> {
        self.out.note("Which model answers?\n  1  the small bundled one (needs nothing)");
        self.out.note("  2  an ONNX model in a folder of this machine\n  3  a server that speaks the OpenAI API");
        loop {
            match self.line("1, 2 or 3 [1]")?.as_str() {
                "" | "1" => return Ok(Model::Bundled),
                "2" => {
                    let path = PathBuf::from(self.line("The model's folder")?);
                    if path.is_dir() {
                        return Ok(Model::Folder(std::path::absolute(&path).unwrap_or(path)));
                    }
                    self.out.note("  there is no such folder");
                }
                "3" => {
                    let url = self.line("The server's address, up to and including /v1")?;
                    let name = self.line("The model's name there")?;
                    let key = self.secret("The server's key, or Enter for none (it is not shown)")?;
                    return Ok(Model::Server { url, name, key_variable: None, key });
                }
                _ => self.out.note("  one of the three numbers"),
            }
        }
    }

    fn secret(&mut self, question: &str) -> Result<Option<String>, CliError> {
        let hidden = Hidden::start();
        let text = self.line(question)?;
        drop(hidden);
        self.out.note("");
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn line(&mut self, question: &str) -> Result<String, CliError> {
        self.out.ask(question);
        let mut text = String::new();
        let read = std::io::stdin().lock().read_line(&mut text);
        let failed = || CliError::new("the input ended", "`packetboat init --yes` asks nothing");
        match read {
            Ok(0) | Err(_) => Err(failed()),
            Ok(_) => Ok(text.trim().to_owned()),
        }
    }
}

/// While it lives, the terminal does not show what is typed.
struct Hidden;

impl Hidden {
    fn start() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(mode: &str) {
    if std::io::stdin().is_terminal() {
        // without stty the secret is shown while it is typed, which is better than not asking
        let _ = Command::new("stty").arg(mode).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    }
}
