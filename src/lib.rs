//! packetboat: a chat-platform bot bridge daemon.

pub mod clock;
pub mod completion;
pub mod conversation;
pub mod http;
pub mod inference;
pub mod ingress;
pub mod live;
pub mod queue;
pub mod security;
pub mod status;
pub mod store;
