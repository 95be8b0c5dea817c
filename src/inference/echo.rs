//! The echo: no model at all, for measurements and tests. Answers `echo: ` and what it was told, word by word.
//!
//! Invariants: deterministic; one word with the space after it is one token and one piece. Not here: any delay unless
//! it is configured.

use std::time::Duration;

use async_trait::async_trait;

use super::answer::Answer;
use super::ending::ended_early;
use super::{FinishReason, GenerateError, Generation, Generator, ModelInfo, Recommended, Prompt, Request, Role, Usage};

/// What it says of itself; nothing depends on it.
const WINDOW: u32 = 1 << 20;

/// Repeats.
#[derive(Debug, Clone)]
pub struct EchoGenerator {
    name: String,
    delay: Duration,
}

impl EchoGenerator {
    /// Waits `delay` before each answer.
    pub fn new(name: impl Into<String>, delay: Duration) -> Self {
        Self { name: name.into(), delay }
    }
}

impl Default for EchoGenerator {
    fn default() -> Self {
        Self::new("echo", Duration::ZERO)
    }
}

#[async_trait]
impl Generator for EchoGenerator {
    fn info(&self) -> ModelInfo {
        ModelInfo { name: self.name.clone(), backend: "echo", device: "none".to_owned(), context_window: WINDOW, recommended: Recommended::default() }
    }

    fn count_tokens(&self, prompt: &Prompt) -> u32 {
        match prompt {
            Prompt::Chat(messages) => messages.iter().map(|message| words(&message.content)).sum(),
            Prompt::Text(text) => words(text),
        }
    }

    async fn generate(&self, request: Request) -> Result<Generation, GenerateError> {
        let mut early = std::pin::pin!(ended_early(&request.cancel, request.deadline));
        let thought = tokio::select! {
            biased;
            reason = &mut early => Some(reason),
            () = think(self.delay) => None,
        };
        let prompt_tokens = self.count_tokens(&request.prompt);
        let mut answer = Answer::new(&request.params.stop, request.pieces.clone());
        let mut completion_tokens = 0;
        let mut finish = thought.unwrap_or(FinishReason::Stop);
        if thought.is_none() {
            for word in reply(&request.prompt).split_inclusive(char::is_whitespace) {
                if completion_tokens == request.params.max_tokens {
                    finish = FinishReason::Length;
                    break;
                }
                if request.cancel.is_cancelled() {
                    finish = FinishReason::Cancelled;
                    break;
                }
                completion_tokens += 1;
                if !answer.push(word) {
                    break;
                }
            }
        }
        let usage = Usage { prompt_tokens, completion_tokens };
        Ok(Generation { text: answer.finish(), usage, finish, model: self.name.clone() })
    }
}

async fn think(delay: Duration) {
    // no timer at all when there is no delay: measurements count every microsecond
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn words(text: &str) -> u32 {
    text.split_whitespace().count() as u32
}

fn reply(prompt: &Prompt) -> String {
    let said = match prompt {
        Prompt::Chat(messages) => {
            let of_user = messages.iter().rev().find(|message| message.role == Role::User);
            of_user.map_or("", |message| message.content.as_str())
        }
        Prompt::Text(text) => text,
    };
    format!("echo: {said}")
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[tokio::test]
    async fn it_repeats_the_last_thing_that_the_person_said() {
        let request = conformance::chat("one\ntwo  three");
        let generation = EchoGenerator::default().generate(request).await.unwrap();
        assert_eq!(generation.text, "echo: one\ntwo  three");
        assert_eq!(generation.finish, FinishReason::Stop);
    }

    #[tokio::test]
    async fn bare_text_is_repeated_whole() {
        let request = Request { prompt: Prompt::Text("a b".to_owned()), ..conformance::chat("") };
        assert_eq!(EchoGenerator::default().generate(request).await.unwrap().text, "echo: a b");
    }

    #[tokio::test]
    async fn it_conforms() {
        conformance::answers(&EchoGenerator::default()).await;
        conformance::ends_early(&EchoGenerator::new("echo", Duration::from_secs(24 * 3600)), false).await;
    }
}
