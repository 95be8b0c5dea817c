//! From the `[model]` section to a generator.
//!
//! Not here: what each backend needs (they say it themselves).

use std::sync::Arc;

use super::Generator;
use super::config::{ModelBackend, ModelConfig};
use super::echo::EchoGenerator;
use super::load_error::LoadError;
use super::onnx::OnnxGenerator;
use super::openai::OpenAiGenerator;
use crate::clock::SharedClock;

/// Loads the configured model. Blocks (a big one takes seconds): call it before serving, or on a blocking thread.
pub fn load(config: &ModelConfig, clock: SharedClock) -> Result<Arc<dyn Generator>, LoadError> {
    Ok(match config.backend {
        ModelBackend::Onnx => Arc::new(OnnxGenerator::load(config, clock)?),
        ModelBackend::Openai => Arc::new(OpenAiGenerator::new(config, clock)?),
        ModelBackend::Echo => {
            let name = config.name.clone().unwrap_or_else(|| "echo".to_owned());
            Arc::new(EchoGenerator::new(name, config.echo_delay))
        }
    })
}
