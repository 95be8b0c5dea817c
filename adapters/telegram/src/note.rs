//! What a delivery leaves in the journal: which messages hold its pieces.
//!
//! Invariant: written before any of the answer is shown in them.

use packetboat_adapter_api::adapter::Journal;
use packetboat_adapter_api::error::SendError;
use serde::{Deserialize, Serialize};

/// One delivery's progress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Where the group moved during the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chat: Option<i64>,
    /// The message of each piece, from the first.
    #[serde(default)]
    pub(crate) ids: Vec<i32>,
    /// So many pieces hold their final text.
    #[serde(default)]
    pub(crate) done: usize,
}

impl Note {
    /// What an earlier attempt left; an unreadable note counts as none.
    pub(crate) fn read(journal: &dyn Journal) -> Self {
        journal.read().and_then(|note| serde_json::from_str(&note).ok()).unwrap_or_default()
    }

    /// Durable when this returns.
    pub(crate) async fn record(&self, journal: &dyn Journal) -> Result<(), SendError> {
        let failed = |cause: String| SendError::Retry { cause };
        let text = serde_json::to_string(self).map_err(|error| failed(error.to_string()))?;
        journal.record(&text).await.map_err(|error| failed(error.to_string()))
    }
}
