//! packetboat: a chat-platform bot bridge daemon.

pub mod adapters;
pub mod app;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod completion;
pub mod config;
pub mod conversation;
pub mod http;
pub mod inference;
pub mod ingress;
pub mod lifecycle;
pub mod live;
pub mod outbox;
pub mod queue;
pub mod security;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod views;
pub mod worker;
