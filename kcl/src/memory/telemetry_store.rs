//! A telemetry table in memory, which can be made to fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kcl_core::LeaseKey;
use parking_lot::Mutex;

use crate::port::{TelemetryError, TelemetryItem, TelemetryStore};

/// Telemetry rows in memory, at most one for each lease. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryTelemetryStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    items: BTreeMap<LeaseKey, TelemetryItem>,
    is_away: bool,
}

impl MemoryTelemetryStore {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rows at this moment, by lease.
    #[must_use]
    pub fn items(&self) -> Vec<TelemetryItem> {
        self.shared.lock().items.values().cloned().collect()
    }

    /// Makes every call fail, or succeed again.
    pub fn set_away(&self, is_away: bool) {
        self.shared.lock().is_away = is_away;
    }

    fn call<R>(&self, call: impl FnOnce(&mut Shared) -> R) -> Result<R, TelemetryError> {
        let mut shared = self.shared.lock();
        if shared.is_away {
            let source = "the store is away".into();
            return Err(TelemetryError::Unavailable { table: "memory".to_owned(), source });
        }
        Ok(call(&mut shared))
    }
}

#[async_trait]
impl TelemetryStore for MemoryTelemetryStore {
    async fn open(&self) -> Result<(), TelemetryError> {
        self.call(|_| ())
    }

    async fn put(&self, items: Vec<TelemetryItem>) -> Result<(), TelemetryError> {
        self.call(|shared| shared.items.extend(items.into_iter().map(|item| (item.key.clone(), item))))
    }

    async fn list(&self) -> Result<Vec<TelemetryItem>, TelemetryError> {
        self.call(|shared| shared.items.values().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn conforms() {
        conformance::telemetry_store(&MemoryTelemetryStore::new()).await;
    }

    #[tokio::test]
    async fn a_store_that_is_away_refuses_everything() {
        let store = MemoryTelemetryStore::new();
        store.set_away(true);
        assert!(store.open().await.is_err() && store.list().await.is_err());
        store.set_away(false);
        assert!(store.open().await.is_ok());
    }
}
