//! The seam to durable storage: ordered keys, atomic batches, durable when `commit` returns.
//!
//! Invariants: a batch is all or nothing, also across a crash; batches take effect in the order in which their commits
//! were called; what `get` and `scan` show includes every batch whose commit has returned. Not here: what the keys mean
//! (`queue/records.rs`).

pub mod config;
#[cfg(test)]
pub mod conformance;
pub mod memory;
pub mod sled;

use async_trait::async_trait;

/// One atomic change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Keys that must not exist; otherwise nothing is written and the commit says which one did.
    pub absent: Vec<Vec<u8>>,
    /// In order; a later write to a key wins.
    pub writes: Vec<Write>,
    /// Takes room that only comes back when work is finished: refused with [`StoreError::Full`] while there is still space
    /// for the batches that finish work.
    pub grows: bool,
}

impl Batch {
    /// Adds a condition.
    #[must_use]
    pub fn absent(mut self, key: impl AsRef<[u8]>) -> Self {
        self.absent.push(key.as_ref().to_vec());
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.writes.push(Write::Put(key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds a removal.
    #[must_use]
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Self {
        self.writes.push(Write::Delete(key.as_ref().to_vec()));
        self
    }

    /// Adds to a counter.
    #[must_use]
    pub fn add(mut self, key: impl AsRef<[u8]>, delta: i64) -> Self {
        self.writes.push(Write::Add(key.as_ref().to_vec(), delta));
        self
    }
}

/// A counter's value as [`Write::Add`] keeps it; absent or damaged counts as 0.
pub fn counter_value(bytes: Option<&[u8]>) -> i64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_le_bytes)
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes the key, if it is there.
    Delete(Vec<u8>),
    /// Adds to a counter (8 bytes, little-endian i64; absent = 0).
    Add(Vec<u8>, i64),
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A key of `absent` exists; here is its value.
    #[error("the key exists already")]
    Exists(Vec<u8>),
    /// No room: the disk is full, `max_disk` is reached, or too many commits wait.
    #[error("the store is full: {0}")]
    Full(String),
    /// The disk or the store failed; whether the batch is durable is unknown until the next start.
    #[error("the store failed: {0}")]
    Failed(String),
    /// It does not open.
    #[error("the store at {path} does not open: {cause}; {hint}")]
    Open {
        /// The folder.
        path: String,
        /// What failed.
        cause: String,
        /// What the operator does next.
        hint: String,
    },
}

/// One key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Ordered, durable key-value storage. An implementer must not return from `commit` before the batch would survive a
/// power cut, and must not reorder commits.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes the batch; concurrent commits may share one flush.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Writes the batch after all that was committed before, without waiting: it is durable with the next commit, or lost with
    /// a crash. For hints only.
    fn post(&self, batch: Batch);

    /// One value.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` entries whose key starts with `prefix` and is not below `from`, in key order.
    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// The entry with the highest key that starts with `prefix`.
    fn last(&self, prefix: &[u8]) -> Result<Option<Entry>, StoreError>;

    /// Bytes on disk.
    fn size(&self) -> u64;
}
