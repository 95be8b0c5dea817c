//! What a conversation remembers, what the model is shown of it, and what the daemon itself says.
//!
//! Not here: the queue, the model, the platforms.

pub mod command;
pub mod config;
pub mod phrases;
pub mod transcript;
pub mod window;
