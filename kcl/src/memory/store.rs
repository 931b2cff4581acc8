//! A lease store in memory, without faults and without delay.

use std::sync::Arc;

use async_trait::async_trait;
use kcl_core::{LeaseTable, StoreReply, StoreRequest};
use parking_lot::Mutex;

use crate::port::{Application, LeaseStore, OpenError};

/// A lease table in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeaseStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    table: LeaseTable,
    owner: Option<Application>,
}

impl MemoryLeaseStore {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The table as it is at this moment.
    #[must_use]
    pub fn table(&self) -> LeaseTable {
        self.shared.lock().table.clone()
    }

    /// Changes the table behind the workers' backs, as an operator or another program might.
    pub fn tamper<R>(&self, change: impl FnOnce(&mut LeaseTable) -> R) -> R {
        change(&mut self.shared.lock().table)
    }
}

#[async_trait]
impl LeaseStore for MemoryLeaseStore {
    async fn open(&self, application: &Application) -> Result<(), OpenError> {
        let mut shared = self.shared.lock();
        match &shared.owner {
            Some(owner) if owner != application => Err(OpenError::Foreign {
                table: application.name.clone(),
                found: format!("it belongs to application {} on stream {}", owner.name, owner.stream.arn),
                remedy: "use another table".to_owned(),
            }),
            Some(_) => Ok(()),
            None => {
                shared.owner = Some(application.clone());
                Ok(())
            }
        }
    }

    async fn execute(&self, request: StoreRequest) -> StoreReply {
        self.shared.lock().table.execute(&request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::port::StreamIdentity;

    #[tokio::test]
    async fn conforms() {
        conformance::lease_store(&MemoryLeaseStore::new()).await;
    }

    #[tokio::test]
    async fn a_table_belongs_to_one_stream() {
        let store = MemoryLeaseStore::new();
        let application = |created_epoch_seconds| {
            let stream = StreamIdentity { arn: "arn:x:stream/s".to_owned(), created_epoch_seconds };
            Application { name: "app".to_owned(), stream }
        };
        assert!(store.open(&application(1)).await.is_ok());
        assert!(store.open(&application(1)).await.is_ok());
        assert!(matches!(store.open(&application(2)).await, Err(OpenError::Foreign { .. })));
    }
}
