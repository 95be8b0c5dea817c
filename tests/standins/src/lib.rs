//! Stand-ins of the chat platforms: real servers on port 0 with the platforms' limits, errors, disconnects and duplicates.
//!
//! A test talks to one from both sides: the bot's side is the platform's public API; the other side (`say`, `visible`,
//! `fault`, …) is what people on the platform do and see. Waiting is driven by notification, never by sleeping.
//! A stand-in keeps its state while the daemon under test dies and comes back.
//!
//! Not here: anything of packetboat. These crates know the platforms only.

pub mod door;
pub mod telegram;
mod wire;
