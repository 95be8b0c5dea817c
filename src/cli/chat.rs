//! `packetboat chat`: a conversation with the running daemon in the terminal, streamed.
//!
//! What is asked goes through the durable queue like any other message, so an answer survives a crash of the daemon while
//! it is waited for ([`talk`]). Not here: history and commands, which are the daemon's.

use std::io::{BufRead, IsTerminal, Read};

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use super::Context;
use super::error::CliError;
use super::output::Output;
use super::talk::Talk;

/// Talk to the running daemon in the terminal.
#[derive(Debug, Args)]
pub struct Chat {
    /// Ask this, print the answer, and end; without it, what stands on standard input
    #[arg(long, short)]
    message: Option<String>,
    /// Conversations have separate memories
    #[arg(long, default_value = "terminal", value_name = "NAME")]
    conversation: String,
}

impl Chat {
    /// Until the answer is there, or until `/quit`.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let loaded = context.load()?;
        let mut talk = Talk::open(loaded.config.control_socket(), self.conversation).await?;
        if let Some(message) = self.message {
            return once(context.out, &mut talk, &message).await;
        }
        if std::io::stdin().is_terminal() {
            return converse(context.out, &mut talk).await;
        }
        let mut message = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut message);
        read.map_err(|error| CliError::new(format!("can't read standard input: {error}"), "it must be UTF-8 text"))?;
        once(context.out, &mut talk, &message).await
    }
}

async fn once(out: Output, talk: &mut Talk, message: &str) -> Result<(), CliError> {
    if message.trim().is_empty() {
        return Err(CliError::Usage(
            "there is nothing to ask: give --message TEXT, or text on standard input".to_owned(),
        ));
    }
    let show: &mut dyn FnMut(&str) -> Result<(), CliError> =
        if out.json { &mut |_| Ok(()) } else { &mut |piece| out.raw(piece) };
    let asked = tokio::select! {
        answer = talk.ask(message, show) => answer?,
        _ = tokio::signal::ctrl_c() => {
            talk.stop().await;
            return Err(CliError::new("stopped", ""));
        }
    };
    if out.json { out.json(&json!({ "id": asked.id, "text": asked.text })) } else { out.raw("\n") }
}

async fn converse(out: Output, talk: &mut Talk) -> Result<(), CliError> {
    out.note("Write, and press Enter. /help shows commands, Ctrl-C stops an answer, /quit ends.");
    let mut lines = lines();
    loop {
        out.raw("> ")?;
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else { break };
        match line.trim() {
            "" => continue,
            "/quit" | "/exit" => return Ok(()),
            message => answer(out, talk, message).await?,
        }
    }
    out.raw("\n")
}

async fn answer(out: Output, talk: &mut Talk, message: &str) -> Result<(), CliError> {
    let mut show = |piece: &str| out.raw(piece);
    let answer = tokio::select! {
        answer = talk.ask(message, &mut show) => answer.map(drop),
        _ = tokio::signal::ctrl_c() => {
            talk.stop().await;
            out.raw("\n[stopped]")
        }
    };
    match answer {
        // one message that failed does not end the conversation
        Err(error @ CliError::Failed { .. }) => {
            super::output::complain(&error);
            Ok(())
        }
        Err(error) => Err(error),
        Ok(()) => out.raw("\n"),
    }
}

/// Lines of standard input, read by a thread of its own: a terminal can't be waited for without blocking.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
