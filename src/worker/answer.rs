//! One message becomes one reply: by a command, by the model, or by the daemon's own words.

use std::sync::Arc;
use std::time::Duration;

use packetboat_adapter_api::envelope::Inbound;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clock::SharedClock;
use crate::conversation::command::Command;
use crate::conversation::config::ConversationConfig;
use crate::conversation::phrases::{Phrase, Tongue, say};
use crate::conversation::transcript::{Memory, Transcripts};
use crate::conversation::window;
use crate::inference::{FinishReason, GenerateError, Generation, Generator, Request, SamplingParams};
use crate::queue::lanes::LaneKey;
use crate::queue::lease::Lease;
use crate::store::Write;
use crate::telemetry::metrics::Metrics;
use crate::views::Views;

/// What to do with the message now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// C2.
    Reply {
        /// CommonMark.
        text: String,
        /// What the conversation remembers of it.
        turns: Vec<Write>,
    },
    /// The daemon stops: the message stays on the line, nothing is counted.
    GiveBack,
    /// Later, as the model asked; nothing is counted.
    Wait(Duration),
    /// A failed attempt.
    Fail(String),
    /// Never.
    Reject(String),
}

/// Answers messages.
pub struct Answerer {
    /// What was said before.
    pub transcripts: Transcripts,
    /// The model.
    pub generator: Arc<dyn Generator>,
    /// Who looks on.
    pub views: Arc<Views>,
    /// For stamps.
    pub clock: SharedClock,
    /// What the model is told, what it remembers.
    pub config: ConversationConfig,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// An answer that takes longer ends with what was said so far.
    pub request_timeout: Duration,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Cancelled when no time is left to finish what was begun.
    pub give_up: CancellationToken,
}

impl Answerer {
    /// Answers the leased message; cancelled through the lease.
    pub async fn answer(&self, lease: &Lease) -> Outcome {
        let envelope = &lease.inbound().envelope;
        let span = tracing::info_span!(
            "answer",
            message.job = lease.job(),
            adapter.name = %envelope.adapter,
            conversation = %envelope.conversation,
            attempt = lease.failed() + 1,
        );
        let answering =
            async { self.answer_inner(lease).await.unwrap_or_else(|error| Outcome::Fail(error.to_string())) };
        tokio::select! {
            outcome = answering.instrument(span) => outcome,
            () = self.give_up.cancelled() => Outcome::GiveBack,
        }
    }

    async fn answer_inner(&self, lease: &Lease) -> Result<Outcome, crate::store::StoreError> {
        let mut memory = self.transcripts.memory(lease.lane())?;
        Transcripts::reset_if_idle(&mut memory, self.clock.now_ms(), self.config.idle_reset);
        let inbound = lease.inbound();
        let text = inbound.text();
        let tongue = self.tongue(&memory, inbound, &text);
        if self.config.commands
            && let Some(command) = Command::parse(&text)
        {
            return Ok(obey(command, tongue, lease.lane(), memory));
        }
        if text.trim().is_empty() {
            return Ok(Outcome::Reply { text: say(Phrase::NoText, tongue).to_owned(), turns: Vec::new() });
        }
        let history = self.transcripts.turns(lease.lane(), &memory, self.config.history)?;
        // leave room for an answer of a quarter of the window, or of the longest answer if that is shorter
        let window = self.generator.info().context_window;
        let room = window.saturating_sub(self.sampling.max_tokens.min(window / 4));
        let prompt = window::fit(&self.config.system_prompt, &history, &text, |prompt| {
            self.generator.count_tokens(prompt) <= room
        });
        let pieces = self.views.open(lease.job(), inbound.envelope.clone());
        let request = Request {
            prompt,
            params: self.sampling.clone(),
            cancel: lease.cancel().clone(),
            deadline: Some(self.request_timeout),
            pieces: Some(pieces),
        };
        let begun = Instant::now();
        let outcome = self.generator.generate(request).await;
        self.count(begun.elapsed(), &outcome);
        Ok(match outcome {
            Ok(generation) => self.reply(lease.lane(), &memory, &text, tongue, generation),
            Err(GenerateError::Retry(cause)) => Outcome::Fail(cause),
            Err(GenerateError::Overloaded { retry_after, .. }) => Outcome::Wait(retry_after),
            Err(GenerateError::Reject(cause)) => Outcome::Reject(cause),
        })
    }

    fn count(&self, took: Duration, outcome: &Result<Generation, GenerateError>) {
        match outcome {
            Ok(generation) => {
                self.metrics.generate_seconds.observe(took.as_secs_f64());
                self.metrics.generated_tokens.inc_by(u64::from(generation.usage.completion_tokens));
            }
            Err(GenerateError::Overloaded { .. }) => {}
            Err(GenerateError::Retry(_) | GenerateError::Reject(_)) => {
                self.metrics.generate_failures.inc();
            }
        }
    }

    fn reply(
        &self,
        lane: &LaneKey,
        memory: &Memory,
        question: &str,
        tongue: Tongue,
        generation: Generation,
    ) -> Outcome {
        let said = generation.text.trim();
        tracing::info!(
            model = %generation.model,
            prompt.tokens = generation.usage.prompt_tokens,
            completion.tokens = generation.usage.completion_tokens,
            finish = ?generation.finish,
            "answered"
        );
        let text = match (said.is_empty(), generation.finish) {
            (false, _) => said.to_owned(),
            (true, FinishReason::Cancelled) => say(Phrase::Stopped, tongue).to_owned(),
            (true, FinishReason::Deadline) => {
                return Outcome::Fail("the model said nothing within model.request_timeout".to_owned());
            }
            (true, FinishReason::Stop | FinishReason::Length) => say(Phrase::Empty, tongue).to_owned(),
        };
        let turns = Transcripts::append(lane, memory, question, &text, self.clock.now_ms());
        Outcome::Reply { text, turns }
    }

    fn tongue(&self, memory: &Memory, inbound: &Inbound, text: &str) -> Tongue {
        Tongue::choose(memory.language, self.config.language, text, inbound.envelope.language.as_deref())
    }

    /// Tells the sender of a dead letter that there will be no answer. Once, and not durably: if an operator retries the letter, the
    /// real answer follows.
    pub async fn apologise(&self, job: u64, lane: &LaneKey, inbound: Inbound) {
        let memory = self.transcripts.memory(lane).unwrap_or_default();
        let tongue = self.tongue(&memory, &inbound, &inbound.text());
        self.views.apologise(job, inbound.envelope, say(Phrase::Failed, tongue)).await;
    }
}

fn obey(command: Command, tongue: Tongue, lane: &LaneKey, mut memory: Memory) -> Outcome {
    let mut turns = Vec::new();
    let phrase = match command {
        Command::Start => Phrase::Greeting,
        Command::Help => Phrase::Help,
        Command::Stop => Phrase::Stopped,
        Command::New => {
            memory.since = memory.next;
            turns = Transcripts::remember(lane, &memory);
            Phrase::Forgotten
        }
        Command::Lang(None) => Phrase::LanguageUsage,
        Command::Lang(Some(language)) => {
            memory.language = Some(language);
            turns = Transcripts::remember(lane, &memory);
            let tongue = Tongue::choose(Some(language), language, "", None);
            return Outcome::Reply { text: say(Phrase::LanguageSet, tongue).to_owned(), turns };
        }
    };
    Outcome::Reply { text: say(phrase, tongue).to_owned(), turns }
}
