//! One conversation with the daemon: ask, and see the answer grow until it is durable.
//!
//! Invariants: what was shown is always a beginning of what is returned, or the whole answer is shown again; a broken
//! connection is no lost message: the answer is waited for and asked for by its id.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use serde_json::json;

use super::daemon::Daemon;
use super::error::CliError;
use super::output::printable;
use super::sse::{Decoder, Event};
use crate::clock::random_bytes;
use crate::queue::view::{MessageView, Stage};

/// How long a daemon that went away may take to come back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks for it.
const PAUSE: Duration = Duration::from_millis(500);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The message's id.
    pub id: String,
    /// All of it.
    pub text: String,
}

/// What an event says.
#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    event: String,
    message: String,
    text: String,
}

/// An open conversation.
pub struct Talk {
    socket: PathBuf,
    conversation: String,
    daemon: Daemon,
    events: Response,
    decoder: Decoder,
}

impl Talk {
    /// Looks on before anything is said, so that nothing is missed.
    pub async fn open(socket: PathBuf, conversation: String) -> Result<Self, CliError> {
        let daemon = Daemon::at(&socket)?;
        let events = daemon.events(&conversation).await?;
        Ok(Self { socket, conversation, daemon, events, decoder: Decoder::default() })
    }

    /// Asks, shows the answer piece by piece, and returns it.
    pub async fn ask(
        &mut self,
        message: &str,
        show: &mut dyn FnMut(&str) -> Result<(), CliError>,
    ) -> Result<Answer, CliError> {
        let id = new_id();
        let body = json!({ "text": message, "conversation": self.conversation, "id": id });
        let _: serde_json::Value = self.daemon.post_json("/api/message", body).await?;
        let mut shown = String::new();
        loop {
            let Ok(Some(piece)) = self.events.chunk().await else {
                let text = self.answer_after_break(&id).await?;
                return complete(id, text, &shown, show);
            };
            for event in self.decoder.feed(&piece) {
                let Some(said) = read(&event).filter(|said| said.message == id) else { continue };
                match said.event.as_str() {
                    "token" => {
                        show(&printable(&said.text))?;
                        shown.push_str(&said.text);
                    }
                    "reply" => return complete(id, said.text, &shown, show),
                    "error" => {
                        return Err(CliError::new(printable(&said.text), "`packetboat dead list` shows the cause"));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Ends the answer that is being written.
    pub async fn stop(&self) {
        let body = json!({ "text": "/stop", "conversation": self.conversation, "id": new_id() });
        // a daemon that is gone has stopped as well
        let _ = self.daemon.post_json::<serde_json::Value>("/api/message", body).await;
    }

    /// The connection broke; the message is on disk. Waits for the daemon and for the answer.
    async fn answer_after_break(&mut self, id: &str) -> Result<String, CliError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.look_again(id).await {
                Ok(Some(ended)) => return ended,
                Err(error) if tokio::time::Instant::now() >= deadline => return Err(error),
                Ok(None) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// `None` while there is no answer yet; an error is the daemon's absence.
    async fn look_again(&mut self, id: &str) -> Result<Option<Result<String, CliError>>, CliError> {
        self.daemon = Daemon::at(&self.socket)?;
        self.events = self.daemon.events(&self.conversation).await?;
        self.decoder = Decoder::default();
        let message: MessageView = self.daemon.get(&format!("/api/message/{id}")).await?;
        match (message.reply, message.state) {
            (Some(reply), _) => Ok(Some(Ok(reply.text))),
            (None, Stage::Dead) => {
                let error =
                    CliError::new("the message could not be answered", "`packetboat dead list` shows the cause");
                Ok(Some(Err(error)))
            }
            (None, Stage::Cancelled) => Ok(Some(Err(CliError::new("the message was withdrawn", "")))),
            (None, _) => Ok(None),
        }
    }
}

fn complete(
    id: String,
    text: String,
    shown: &str,
    show: &mut dyn FnMut(&str) -> Result<(), CliError>,
) -> Result<Answer, CliError> {
    match text.strip_prefix(shown) {
        Some(rest) => show(&printable(rest))?,
        // pieces were missed, or the answer was started anew: the whole is what counts
        None => show(&format!("\n{}", printable(&text)))?,
    }
    Ok(Answer { id, text })
}

fn read(event: &Event) -> Option<Said> {
    let mut said: Said = serde_json::from_str(&event.data).ok()?;
    if !event.name.is_empty() {
        said.event.clone_from(&event.name);
    }
    Some(said)
}

fn new_id() -> String {
    random_bytes::<12>().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_for(text: &str, shown: &str) -> String {
        let mut printed = String::new();
        let mut show = |piece: &str| {
            printed.push_str(piece);
            Ok(())
        };
        complete("id".into(), text.into(), shown, &mut show).expect("shown");
        printed
    }

    #[test]
    fn only_what_is_missing_is_shown_at_the_end() {
        assert_eq!(shown_for("Hello there", "Hello"), " there");
        assert_eq!(shown_for("Hello", "Hello"), "");
    }

    #[test]
    fn an_answer_that_differs_from_what_was_shown_is_shown_whole() {
        assert_eq!(shown_for("Hello", "Help"), "\nHello");
    }
}
