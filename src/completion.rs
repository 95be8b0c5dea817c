//! Answers without the line: `/v1/…` asks the model directly, holds its connection, and gets nothing durable.
//!
//! Invariant: bounded. At most `max_concurrent` at a time, and a short queue before the caller is told to come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::inference::{GenerateError, Generation, Generator, ModelInfo, Request};

/// Direct access to the model, with admission.
pub struct Completions {
    generator: Arc<dyn Generator>,
    running: Semaphore,
    waiting: Semaphore,
}

impl Completions {
    /// `max_concurrent` run at once, four times as many may wait.
    pub fn new(generator: Arc<dyn Generator>, max_concurrent: usize) -> Self {
        let running = Semaphore::new(max_concurrent);
        Self { generator, running, waiting: Semaphore::new(max_concurrent.saturating_mul(4)) }
    }

    /// Which model answers.
    pub fn info(&self) -> ModelInfo {
        self.generator.info()
    }

    /// Generates, or says when to come back.
    pub async fn generate(&self, request: Request) -> Result<Generation, GenerateError> {
        let overloaded =
            |cause: &str| GenerateError::Overloaded { retry_after: Duration::from_secs(2), cause: cause.to_owned() };
        let place = self.waiting.try_acquire().map_err(|_| overloaded("too many requests wait for the model"))?;
        let _running = self.running.acquire().await.map_err(|_| overloaded("the daemon is stopping"))?;
        drop(place);
        self.generator.generate(request).await
    }
}
