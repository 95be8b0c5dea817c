//! What every generator must hold; each one's tests run this.
//!
//! [`answers`] wants a generator that answers, [`ends_early`] one that is still busy whenever it is looked at.
//! Not here: what a particular model says.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::{ChatMessage, FinishReason, Generation, Generator, Prompt, Request, Role, SamplingParams};

/// A greedy request with one message of a person.
pub fn chat(text: &str) -> Request {
    Request {
        prompt: Prompt::Chat(vec![ChatMessage { role: Role::User, content: text.to_owned() }]),
        params: SamplingParams {
            max_tokens: 24,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            stop: Vec::new(),
            seed: Some(1),
        },
        cancel: CancellationToken::new(),
        deadline: None,
        pieces: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "the trait's own channel; max_tokens bounds it")]
fn watched(mut request: Request) -> (Request, UnboundedReceiver<String>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    request.pieces = Some(sender);
    (request, receiver)
}

fn drained(mut pieces: UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| pieces.try_recv().ok()).collect()
}

async fn watch(generator: &dyn Generator, request: Request) -> (Generation, Vec<String>) {
    let (request, pieces) = watched(request);
    let generation = generator.generate(request).await.unwrap();
    (generation, drained(pieces))
}

/// For a generator that answers `chat("one two three four")` with at least four tokens.
pub async fn answers(generator: &dyn Generator) {
    let said = "one two three four five six";
    let (whole, pieces) = watch(generator, chat(said)).await;
    assert_eq!(pieces.concat(), whole.text);
    assert!(pieces.iter().all(|piece| !piece.is_empty()));
    assert!(!whole.text.is_empty());
    assert_eq!(whole.model, generator.info().name);
    assert!(whole.usage.prompt_tokens > 0 && whole.usage.completion_tokens >= 4, "{:?}", whole.usage);
    assert!(generator.count_tokens(&chat(said).prompt) > 0);

    limits_hold(generator, said, &whole).await;
    stop_strings_are_not_shown(generator, said, &whole).await;
    the_same_seed_gives_the_same_text(generator, said).await;

    let cancelled = chat(said);
    cancelled.cancel.cancel();
    let (generation, pieces) = watch(generator, cancelled).await;
    assert_eq!(generation.finish, FinishReason::Cancelled);
    assert_eq!(pieces.concat(), generation.text);
    assert!(generation.usage.completion_tokens <= 1);

    let (request, pieces) = watched(chat(said));
    drop(pieces);
    assert_eq!(generator.generate(request).await.unwrap().text, whole.text);
}

async fn limits_hold(generator: &dyn Generator, said: &str, whole: &Generation) {
    for limit in [1, 3] {
        let mut request = chat(said);
        request.params.max_tokens = limit;
        let (generation, pieces) = watch(generator, request).await;
        assert_eq!(generation.finish, FinishReason::Length);
        assert_eq!(generation.usage.completion_tokens, limit);
        assert_eq!(pieces.concat(), generation.text);
        assert!(whole.text.starts_with(&generation.text));
    }
}

async fn stop_strings_are_not_shown(generator: &dyn Generator, said: &str, whole: &Generation) {
    let characters: Vec<char> = whole.text.chars().collect();
    let middle = characters.len() / 2;
    let stop: String = characters[middle..(middle + 3).min(characters.len())].iter().collect();
    let mut request = chat(said);
    request.params.stop = vec!["never said by anyone".to_owned(), stop.clone()];
    let (generation, pieces) = watch(generator, request).await;
    assert_eq!(generation.finish, FinishReason::Stop);
    assert_eq!(Some(generation.text.as_str()), whole.text.split(&stop).next());
    assert_eq!(pieces.concat(), generation.text);
}

async fn the_same_seed_gives_the_same_text(generator: &dyn Generator, said: &str) {
    let mut texts = Vec::new();
    for _ in 0..2 {
        let mut request = chat(said);
        request.params.temperature = 1.2;
        request.params.top_p = 0.95;
        request.params.seed = Some(20_261_121);
        texts.push(generator.generate(request).await.unwrap().text);
    }
    assert_eq!(texts[0], texts[1]);
}

/// For a generator that would go on for very long. With `speaks_first` it is cancelled after its first piece, which it
/// must give and never get beyond the rest of; otherwise before.
pub async fn ends_early(generator: &dyn Generator, speaks_first: bool) {
    let mut endless = chat("go on for ever");
    endless.params.max_tokens = 100_000;

    let (request, mut pieces) = watched(endless.clone());
    let cancel = request.cancel.clone();
    let stop = async {
        if speaks_first {
            let first = pieces.recv().await;
            assert!(first.is_some());
        }
        cancel.cancel();
    };
    let (generation, ()) = tokio::join!(generator.generate(request), stop);
    let generation = generation.unwrap();
    assert_eq!(generation.finish, FinishReason::Cancelled);
    assert!(!speaks_first || !generation.text.is_empty());

    let (mut request, pieces) = watched(Request { cancel: CancellationToken::new(), ..endless });
    request.deadline = Some(Duration::from_millis(1));
    let generation = generator.generate(request).await.unwrap();
    assert_eq!(generation.finish, FinishReason::Deadline);
    assert_eq!(drained(pieces).concat(), generation.text);
}
