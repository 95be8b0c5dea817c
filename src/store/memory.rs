//! The store's fake: a map in memory, for tests of everything above it. Durable for as long as somebody holds it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Batch, Entry, Store, StoreError, Write, counter_value};

/// A map behind a lock, with failures on demand.
#[derive(Debug, Default)]
pub struct MemoryStore {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    failure: Mutex<Option<StoreError>>,
}

impl MemoryStore {
    /// Every commit fails like this until `None` is set.
    pub fn fail_with(&self, failure: Option<StoreError>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(failure);
        }
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = batch.absent.iter().find_map(|key| map.get(key)) {
            return Err(StoreError::Exists(value.clone()));
        }
        for write in batch.writes {
            match write {
                Write::Put(key, value) => drop(map.insert(key, value)),
                Write::Delete(key) => drop(map.remove(&key)),
                Write::Add(key, delta) => {
                    let sum = counter_value(map.get(&key).map(Vec::as_slice)).saturating_add(delta);
                    map.insert(key, sum.to_le_bytes().to_vec());
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.write(batch)
    }

    fn post(&self, batch: Batch) {
        let _ = self.write(batch);
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let start = if from > prefix { from } else { prefix };
        let found = map.range(start.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Entry>, StoreError> {
        Ok(self.scan(prefix, b"", usize::MAX)?.pop())
    }

    fn size(&self) -> u64 {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        map.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn memory_keeps_the_contract_of_a_store() {
        conformance::run(|| Arc::new(MemoryStore::default())).await;
    }
}
