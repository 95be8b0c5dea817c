//! Telegram for packetboat.

pub mod config;
