//! Who may do what: tokens, their scopes, one-time sign-in codes, and the limiter that stands before all of them.
//!
//! Invariants: every check fails closed; a secret is never empty; comparisons take the same time whatever is compared;
//! what is revoked is refused at once, on connections that are open already too. Not here: HTTP (`http/gate.rs`), the
//! platforms' own signatures (their adapters).

pub mod config;
mod keyfile;
pub mod limiter;
pub mod login;
mod revocations;
pub mod scope;
pub mod tokens;
