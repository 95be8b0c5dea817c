//! The seam between packetboat and a chat platform.
//!
//! ```text
//! platform ─► Adapter::listen ─► Intake::accept ══ C1 ══► acknowledge
//! outbox   ─► Adapter::send   ─► platform ─► Receipt ══ C3 ══
//! ```
//!
//! - [`ids`]: opaque names. [`envelope`]: messages. [`adapter`]: the traits. [`error`]: failures that carry the decision.
//! - `conformance` (a feature): the suite that every adapter runs in its tests.
//!
//! Nothing here knows a platform, the store, the web framework or a model.

pub mod adapter;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod envelope;
pub mod error;
pub mod ids;
pub mod secret;
