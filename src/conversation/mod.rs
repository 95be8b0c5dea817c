//! What a conversation remembers and what the daemon says in it.

pub mod config;
