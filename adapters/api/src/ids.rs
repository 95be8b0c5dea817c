//! Opaque identifiers. Only the adapter that made one parses it; everybody else compares, hashes and prints.
//!
//! Not here: delivery state, addresses with a meaning of their own.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text, for keys, logs and the adapter that made it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque! {
    /// One configured platform connection, for example `telegram` or `relay.mac`.
    AdapterName
}
opaque! {
    /// Where answers go: a chat, a thread, a web conversation. Unique within its adapter.
    ConversationId
}
opaque! {
    /// Who wrote, by the platform's stable id and never by a name that can be recycled. Unique within its adapter.
    SenderId
}
opaque! {
    /// The platform's id of one message: the dedupe key. Unique within its adapter.
    MessageId
}

/// Names one reply for ever: the same number before and after a crash, so that an adapter can derive a nonce from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub u64);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
