//! packetboat: a chat-platform bot bridge daemon. This page is its architecture.
//!
//! # The line
//!
//! ```text
//! platform ─► adapter ─► codec ─► Inbound ─► ingress ─► queue ══ C1 ══► (acknowledge to the platform)
//!   queue/lanes ─► Lease ─► worker ─► conversation ─► prompt ─► generator ─► Generation ══ C2 ══
//!   outbox ─► adapter.send ─► codec ─► platform ─► Receipt ══ C3 ══
//! ```
//!
//! Each commit is one atomic [`store::Batch`], durable before anybody outside is told:
//!
//! | commit | where | what it writes |
//! |---|---|---|
//! | C1 accepted | [`queue::Queue::accept`] | job, dedupe key, its place on the line |
//! | C2 completed | [`queue::lease::Lease::complete`] | job with its reply, the conversation's turns, its place in the outbox |
//! | C3 delivered | [`queue::delivery::Delivery::delivered`] | job with the platform's receipt; the outbox entry goes |
//!
//! The law `accepted = delivered + dead + cancelled + pending` is counted in those same batches, is a metric, and is checked record
//! by record by [`queue::Queue::verify`].
//!
//! # What happens after a crash
//!
//! [`queue::Queue::open`] reads the places on the line and nothing else: what waited for the model is ready at once, what was with the
//! model is ready at once and that attempt is counted (so that a message which kills the daemon ends as a dead letter), what was in
//! the outbox is sent again with the same delivery id and the adapter's own note ([`queue::journal`]) of how far it had come. Telegram
//! edits the placeholder whose id is in that note; HTTP shows the same reply under the same id.
//!
//! # The rooms
//!
//! Imports run downward only (`tests/tidy.rs` checks it):
//!
//! - [`cli`]: one command per file. [`bench`]: repeatable measurements.
//! - [`app`]: the composition root. `connections.rs` lists every kind of adapter once; `line.rs` starts and drains a line.
//! - [`config`]: loads, overrides, checks; each section's struct belongs to its component.
//! - [`http`]: the public listener, the console, the control socket; `public/mod.rs` and `admin/mod.rs` are the tables of contents.
//! - [`ingress`]: the door. [`worker`]: the loop that answers. [`outbox`]: the loop that delivers. [`views`]: who looks on meanwhile,
//!   by [`live`] or by edits at the platform. [`completion`]: the model without the line, for `/v1`. [`adapters`]: the connections by name.
//! - [`queue`]: jobs, lanes (pure), leases, dead letters. [`conversation`]: transcript, window, commands, the daemon's own words.
//! - [`store`]: durable ordered keys; `sled.rs` alone knows sled. [`inference`]: models; `onnx*.rs` alone know ONNX Runtime.
//!   [`security`]: tokens, scopes, limits. [`telemetry`]: logs and metric names. [`lifecycle`]: signals and systemd. [`clock`]: time and
//!   randomness. [`status`]: what the daemon says of itself.
//! - `adapters/api`, a crate of its own: the seam and its conformance suite. `adapters/telegram`: the first platform.
//!
//! # Where this differs from the first plan
//!
//! - The store's seam is keys and atomic batches, not jobs: one suite proves any store, and what keys mean is in one file
//!   (`queue/records.rs`).
//! - The order of work is in memory only and rebuilt at start; a lease is never durable, only a hint that an attempt began is.
//! - A live view (`views.rs`) belongs to neither worker nor outbox: the worker feeds it, the outbox waits for its end, so that an old
//!   edit can't overwrite the answer.
//! - `teloxide-core`, the typed client under teloxide, instead of teloxide itself: the upper crate's dispatcher acknowledges before
//!   a handler ran, and brings a dependency under a copyleft licence.

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
