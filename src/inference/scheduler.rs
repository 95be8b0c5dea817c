//! Several generations at once on one model: each round, every active one takes one step.
//!
//! So a long answer never blocks another, and an end that is asked for (cancel, deadline) is noticed within one step. A
//! prompt is read in chunks, one chunk per round for one generation, so that a long prompt doesn't hold up those who are
//! already talking. Invariants: the results don't depend on who else is being served (each has its own cache); every job
//! gets exactly one result. Not here: ONNX Runtime (a [`Decoder`] is passed in), how many may wait (`onnx.rs`).
//!
//! Decoding several generations in one run comes later: then [`Decoder::step`] takes rows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::answer::Answer;
use super::detokenize::Detokenizer;
use super::ending::Ending;
use super::sampler::Sampler;
use super::{FinishReason, GenerateError, Usage};

/// A model that can be stepped.
pub trait Decoder: 'static {
    /// What one generation has been fed so far, as the model keeps it.
    type Cache: 'static;

    /// A cache with nothing in it.
    fn begin(&mut self) -> Result<Self::Cache, DecodeError>;

    /// Feeds `tokens` after those in `cache` and gives the logits after the last one. On an error the cache is as before.
    fn step(&mut self, tokens: &[u32], cache: &mut Self::Cache) -> Result<&[f32], DecodeError>;
}

/// A step that failed, in the model's runtime's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Turns tokens into text; shared by all jobs of a model.
pub type Decode = Arc<dyn Fn(&[u32]) -> String + Send + Sync>;

/// One generation to do.
pub struct Job {
    /// What the model is given; not empty.
    pub prompt: Vec<u32>,
    /// At most this many new tokens.
    pub max_tokens: u32,
    /// Tokens that end the text and don't show.
    pub eos_ids: Arc<[u32]>,
    /// How tokens are chosen.
    pub sampler: Sampler,
    /// Tokens to text.
    pub decode: Decode,
    /// Where the text goes.
    pub answer: Answer,
    /// Asked to end.
    pub ending: Ending,
    /// Where the result goes.
    pub reply: oneshot::Sender<Result<Outcome, GenerateError>>,
    /// The place in line, given back at the end.
    pub place: Option<OwnedSemaphorePermit>,
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The text.
    pub text: String,
    /// Tokens in and out.
    pub usage: Usage,
    /// Why it ended.
    pub finish: FinishReason,
}

/// How the rounds are made.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// Generations under way at the same time; the others wait.
    pub active: usize,
    /// Prompt tokens read in one step.
    pub prompt_chunk: usize,
}

/// Works until `jobs` closes and everything accepted is answered. Blocks: it has a thread of its own.
pub fn run<D: Decoder>(mut decoder: D, jobs: &Receiver<Job>, rounds: Rounds) {
    let mut line = Line { active: Vec::new(), waiting: VecDeque::new(), closed: false };
    while line.admit(jobs, rounds.active) {
        line.round(&mut decoder, rounds.prompt_chunk.max(1));
    }
}

struct Line<C> {
    active: Vec<Sequence<C>>,
    waiting: VecDeque<Job>,
    closed: bool,
}

impl<C: 'static> Line<C> {
    /// Takes what has come, waiting only when there is nothing to do; false when there never will be anything.
    fn admit(&mut self, jobs: &Receiver<Job>, active: usize) -> bool {
        if self.active.is_empty() && self.waiting.is_empty() {
            match jobs.recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(_) => return false,
            }
        }
        while !self.closed {
            match jobs.try_recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => self.closed = true,
            }
        }
        // who waits and is cancelled doesn't wait for a place
        let (asked, waiting): (Vec<Job>, Vec<Job>) =
            self.waiting.drain(..).partition(|job| job.ending.asked().is_some());
        self.waiting = waiting.into();
        for job in asked {
            let finish = job.ending.asked().unwrap_or(FinishReason::Cancelled);
            Sequence::<C>::new(job).finish(finish);
        }
        let free = active.max(1).saturating_sub(self.active.len()).min(self.waiting.len());
        self.active.extend(self.waiting.drain(..free).map(Sequence::new));
        true
    }

    /// One step for everybody who talks, and a chunk of one prompt.
    fn round(&mut self, decoder: &mut impl Decoder<Cache = C>, prompt_chunk: usize) {
        let mut read_a_prompt = false;
        let mut still = Vec::with_capacity(self.active.len());
        for mut sequence in self.active.drain(..) {
            if sequence.reads() {
                if read_a_prompt && sequence.job.ending.asked().is_none() {
                    still.push(sequence);
                    continue;
                }
                read_a_prompt = true;
            }
            match sequence.step(decoder, prompt_chunk) {
                Ok(None) => still.push(sequence),
                Ok(Some(finish)) => sequence.finish(finish),
                Err(error) => sequence.fail(error),
            }
        }
        // those whose prompts wait for their turn stay in the order they came
        self.active = still;
    }
}

struct Sequence<C> {
    job: Job,
    cache: Option<C>,
    /// Of the prompt.
    fed: usize,
    last: Option<u32>,
    generated: u32,
    detokenizer: Detokenizer,
}

impl<C: 'static> Sequence<C> {
    fn new(job: Job) -> Self {
        Self { job, cache: None, fed: 0, last: None, generated: 0, detokenizer: Detokenizer::default() }
    }

    fn reads(&self) -> bool {
        self.fed < self.job.prompt.len()
    }

    /// One run of the model; gives a reason when this was the last.
    fn step(
        &mut self,
        decoder: &mut impl Decoder<Cache = C>,
        prompt_chunk: usize,
    ) -> Result<Option<FinishReason>, DecodeError> {
        if let Some(reason) = self.job.ending.asked() {
            return Ok(Some(reason));
        }
        if self.generated >= self.job.max_tokens {
            return Ok(Some(FinishReason::Length));
        }
        let cache = match self.cache.take() {
            Some(cache) => self.cache.insert(cache),
            None => self.cache.insert(decoder.begin()?),
        };
        let last;
        let tokens = if self.fed < self.job.prompt.len() {
            let end = (self.fed + prompt_chunk).min(self.job.prompt.len());
            let chunk = &self.job.prompt[self.fed..end];
            self.fed = end;
            chunk
        } else {
            last = self.last;
            last.as_slice()
        };
        let logits = decoder.step(tokens, cache)?;
        if self.reads() {
            return Ok(None);
        }
        let chosen = self.job.sampler.choose(logits);
        let token = chosen.ok_or_else(|| DecodeError("the model gave no numbers to choose from".to_owned()))?;
        Ok(self.take(token))
    }

    /// The chosen token becomes text, or ends it.
    fn take(&mut self, token: u32) -> Option<FinishReason> {
        if self.job.eos_ids.contains(&token) {
            return Some(FinishReason::Stop);
        }
        self.last = Some(token);
        self.generated += 1;
        let piece = self.detokenizer.push(token, &*self.job.decode);
        if !self.job.answer.push(&piece) {
            return Some(FinishReason::Stop);
        }
        (self.generated >= self.job.max_tokens).then_some(FinishReason::Length)
    }

    fn finish(mut self, finish: FinishReason) {
        let rest = self.detokenizer.finish(&*self.job.decode);
        self.job.answer.push(&rest);
        let usage = Usage { prompt_tokens: self.job.prompt.len() as u32, completion_tokens: self.generated };
        let outcome = Outcome { text: self.job.answer.finish(), usage, finish };
        // gone before the result is known: the next one may take the place at once
        drop(self.job.place);
        // the one who asked may have left
        let _ = self.job.reply.send(Ok(outcome));
    }

    fn fail(self, error: DecodeError) {
        drop(self.job.place);
        let _ = self.job.reply.send(Err(GenerateError::Retry(error.0)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::inference::conformance;

    /// A model that counts on: after tokens that add up to n comes the token n % 10. Notes every run.
    struct Counting {
        runs: Vec<Vec<u32>>,
        logits: Vec<f32>,
        report: mpsc::Sender<Vec<Vec<u32>>>,
        fail_on: Option<u32>,
        /// Asked to end while the third run is under way.
        interrupt: Option<Ending>,
    }

    impl Drop for Counting {
        fn drop(&mut self) {
            let _ = self.report.send(std::mem::take(&mut self.runs));
        }
    }

    impl Decoder for Counting {
        type Cache = u32;

        fn begin(&mut self) -> Result<u32, DecodeError> {
            Ok(0)
        }

        fn step(&mut self, tokens: &[u32], cache: &mut u32) -> Result<&[f32], DecodeError> {
            assert!(!tokens.is_empty());
            if self.fail_on.is_some_and(|bad| tokens.contains(&bad)) {
                return Err(DecodeError("broken".to_owned()));
            }
            self.runs.push(tokens.to_vec());
            if let Some(ending) = self.interrupt.as_ref().filter(|_| self.runs.len() == 3) {
                ending.ask(FinishReason::Cancelled);
            }
            *cache += tokens.iter().sum::<u32>();
            self.logits = vec![0.0; 10];
            self.logits[(*cache % 10) as usize] = 1.0;
            Ok(&self.logits)
        }
    }

    type Reply = oneshot::Receiver<Result<Outcome, GenerateError>>;

    fn job(prompt: &[u32], max_tokens: u32, ending: &Ending) -> (Job, Reply) {
        let (reply, result) = oneshot::channel();
        let digits = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<String>();
        let job = Job {
            prompt: prompt.to_vec(),
            max_tokens,
            eos_ids: Arc::from([9]),
            sampler: Sampler::new(&conformance::chat("").params, 0),
            decode: Arc::new(digits),
            answer: Answer::new(&["77".to_owned()], None),
            ending: ending.clone(),
            reply,
            place: None,
        };
        (job, result)
    }

    fn serve(jobs: Vec<Job>, rounds: Rounds, fail_on: Option<u32>) -> Vec<Vec<u32>> {
        serve_until(jobs, rounds, fail_on, None)
    }

    fn serve_until(jobs: Vec<Job>, rounds: Rounds, fail_on: Option<u32>, interrupt: Option<Ending>) -> Vec<Vec<u32>> {
        let (sender, receiver) = mpsc::channel();
        let (report, runs) = mpsc::channel();
        for job in jobs {
            sender.send(job).unwrap();
        }
        drop(sender);
        run(Counting { runs: Vec::new(), logits: Vec::new(), report, fail_on, interrupt }, &receiver, rounds);
        runs.recv().unwrap()
    }

    const ROUNDS: Rounds = Rounds { active: 4, prompt_chunk: 100 };

    #[test]
    fn generations_take_turns_and_prompts_are_read_in_chunks() {
        let ending = Ending::default();
        let (first, _a) = job(&[1], 3, &ending);
        let (second, _b) = job(&[1, 1, 1], 2, &ending);
        let runs = serve(vec![first, second], Rounds { active: 2, prompt_chunk: 2 }, None);
        let expected: [&[u32]; 6] = [&[1], &[1], &[1, 1], &[2], &[1], &[3]];
        assert_eq!(runs, expected);
    }

    #[test]
    fn the_company_changes_no_result() {
        let alone = |prompt: &[u32]| {
            let (job, mut reply) = job(prompt, 8, &Ending::default());
            serve(vec![job], ROUNDS, None);
            reply.try_recv().unwrap().unwrap()
        };
        let prompts: [&[u32]; 4] = [&[1], &[2, 3], &[4, 4, 4], &[1, 2, 3, 4, 5]];
        let (jobs, replies): (Vec<Job>, Vec<Reply>) =
            prompts.iter().map(|prompt| job(prompt, 8, &Ending::default())).unzip();
        serve(jobs, Rounds { active: 3, prompt_chunk: 2 }, None);
        for (prompt, mut reply) in prompts.iter().zip(replies) {
            assert_eq!(reply.try_recv().unwrap().unwrap(), alone(prompt));
        }
    }

    #[test]
    fn an_ending_token_a_stop_string_and_the_limit_end_the_text() {
        let outcome = |prompt: &[u32], max_tokens| {
            let (job, mut reply) = job(prompt, max_tokens, &Ending::default());
            serve(vec![job], ROUNDS, None);
            let outcome: Outcome = reply.try_recv().unwrap().unwrap();
            (outcome.text, outcome.usage.completion_tokens, outcome.finish)
        };
        assert_eq!(outcome(&[4, 5], 5), (String::new(), 0, FinishReason::Stop));
        assert_eq!(outcome(&[1], 3), ("124".to_owned(), 3, FinishReason::Length));
        assert_eq!(outcome(&[1], 0), (String::new(), 0, FinishReason::Length));
        assert_eq!(outcome(&[10], 3).0, "000");
    }

    #[test]
    fn whoever_is_cancelled_ends_at_once_even_while_waiting() {
        let (busy, mut first) = job(&[1], 5, &Ending::default());
        let ending = Ending::default();
        let (waiting, mut second) = job(&[1], 5, &ending);
        ending.ask(FinishReason::Deadline);
        let runs = serve(vec![busy, waiting], Rounds { active: 1, prompt_chunk: 9 }, None);
        assert_eq!(runs.len(), 5);
        assert_eq!(first.try_recv().unwrap().unwrap().finish, FinishReason::Length);
        let ended = second.try_recv().unwrap().unwrap();
        assert_eq!((ended.text.as_str(), ended.finish), ("", FinishReason::Deadline));
    }

    #[test]
    fn an_end_that_is_asked_for_takes_effect_after_the_step_under_way() {
        let ending = Ending::default();
        let (job, mut reply) = job(&[1], 100, &ending);
        let runs = serve_until(vec![job], ROUNDS, None, Some(ending));
        assert_eq!(runs.len(), 3);
        let outcome = reply.try_recv().unwrap().unwrap();
        assert_eq!((outcome.text.as_str(), outcome.finish), ("124", FinishReason::Cancelled));
    }

    #[test]
    fn a_step_that_fails_fails_its_own_generation_only() {
        let (bad, mut first) = job(&[8], 5, &Ending::default());
        let (good, mut second) = job(&[1], 2, &Ending::default());
        serve(vec![bad, good], ROUNDS, Some(8));
        assert_eq!(first.try_recv().unwrap(), Err(GenerateError::Retry("broken".to_owned())));
        assert_eq!(second.try_recv().unwrap().unwrap().text, "12");
    }
}
