//! The program as a person and a script meet it: what it prints, what it writes, how it ends.
//!
//! Each test has a folder of its own; where a daemon is needed, [`standin`] answers on the control socket. Not here: the
//! daemon itself (its end-to-end tests) and the parts' own rules (their unit tests).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails; clippy knows #[test] only"
)]

mod chat;
mod config;
mod doctor;
mod init;
mod operate;
mod program;
mod standin;
mod token;
mod unit;
