//! The daemon as a process, its platforms' stand-ins on the other side: few tests, the whole line each.

#![expect(clippy::expect_used, reason = "a test that can't go on fails; clippy knows #[test] only")]

mod clients;
mod daemon;
mod kills;
mod mistakes;
mod stop;
mod telegram;
mod web;
