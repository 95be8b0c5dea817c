//! The `[storage]` section.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where messages are kept until they are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// `sled`: in this process, on this machine's disk.
    pub backend: StorageBackend,
    /// The data folder: queue, conversations, signing key, control socket. Only this user may read it. A relative path
    /// starts at the configuration file's folder.
    pub path: PathBuf,
    /// New messages are refused (503) before the data folder takes more than this many bytes; 0 = no bound but the disk.
    pub max_disk: u64,
    /// How long an answered message and its answer can still be looked up.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_finished: std::time::Duration,
}

/// The store behind the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StorageBackend {
    /// Embedded, one process.
    Sled,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            backend: StorageBackend::Sled,
            path: "data".into(),
            max_disk: 0,
            keep_finished: std::time::Duration::from_secs(7 * 24 * 3600),
        }
    }
}
