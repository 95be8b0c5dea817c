//! The platform connections of this daemon, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use packetboat_adapter_api::adapter::{Adapter, Health};
use packetboat_adapter_api::ids::AdapterName;

use crate::status::AdapterStatus;

/// Every configured adapter.
#[derive(Clone, Default)]
pub struct Adapters {
    by_name: Arc<BTreeMap<AdapterName, Arc<dyn Adapter>>>,
}

impl Adapters {
    /// Of these; a later one replaces an earlier one of the same name.
    pub fn new(adapters: impl IntoIterator<Item = Arc<dyn Adapter>>) -> Self {
        let by_name = adapters.into_iter().map(|adapter| (adapter.name().clone(), adapter)).collect();
        Self { by_name: Arc::new(by_name) }
    }

    /// One of them; `None`: it is configured no longer.
    pub fn get(&self, name: &AdapterName) -> Option<&Arc<dyn Adapter>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Adapter>> {
        self.by_name.values()
    }

    /// Proof of life of each.
    pub fn status(&self) -> Vec<AdapterStatus> {
        let of = |adapter: &Arc<dyn Adapter>| {
            let (health, cause) = match adapter.health() {
                Health::Starting => ("starting", None),
                Health::Up => ("up", None),
                Health::Down(cause) => ("down", Some(cause)),
            };
            AdapterStatus { name: adapter.name().to_string(), health: health.to_owned(), cause }
        };
        self.iter().map(of).collect()
    }
}
