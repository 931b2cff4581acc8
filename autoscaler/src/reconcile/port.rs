//! The seams of the shell: the row, the stream's control plane, what is seen of it, and what is told of it.

use std::fmt;

use async_trait::async_trait;
use kcl_core::LeaderLock;
use parking_lot::Mutex;
use thiserror::Error;

use super::event::Vitals;
use super::message::{Call, CallReply, Look, Row, RowWrite};
use crate::{EpochMillis, Observation};

/// The row of one stream.
#[async_trait]
pub trait RowStore: fmt::Debug + Send + Sync {
    /// The row, strongly consistent.
    ///
    /// # Errors
    /// [`PortError`] if nothing was read.
    async fn read(&self) -> Result<Option<Row>, PortError>;

    /// Writes the row if the condition holds, in one attempt.
    async fn write(&self, write: &RowWrite) -> RowWritten;
}

/// What came of a write of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowWritten {
    /// It is written.
    Written,
    /// The condition did not hold; the row as it is.
    Refused(Option<Row>),
    /// Surely not written.
    Failed,
    /// Not known.
    Unknown,
}

/// The control plane of one stream.
#[async_trait]
pub trait ShardControl: fmt::Debug + Send + Sync {
    /// State and open shards.
    ///
    /// # Errors
    /// [`PortError`] if they cannot be told.
    async fn look(&self) -> Result<Look, PortError>;

    /// How many shards the account may still open.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be told.
    async fn account_room(&self) -> Result<u32, PortError>;

    /// Changes the stream, in one attempt.
    async fn call(&self, call: &Call) -> CallReply;
}

/// Sees everything that the planner is given.
#[async_trait]
pub trait Observer: fmt::Debug + Send + Sync {
    /// What is seen of the stream at `now`.
    ///
    /// # Errors
    /// [`PortError`] if state or layout cannot be told. A metric that cannot be read is unknown.
    async fn observe(&self, now: EpochMillis) -> Result<Observation, PortError>;
}

/// Tells how the stream is: the autoscaler's own metrics. A round that is not told is noticed by its absence.
#[async_trait]
pub trait Gauges: fmt::Debug + Send + Sync {
    /// Publishes what a round has found, and how much has failed since the last one.
    ///
    /// # Errors
    /// [`PortError`] if it was not published.
    async fn publish(&self, vitals: Vitals, failures: u64) -> Result<(), PortError>;
}

/// A call to the outside that failed.
#[derive(Debug, Error)]
#[error("{operation} of {target} failed")]
pub struct PortError {
    /// What was called.
    pub operation: &'static str,
    /// The stream or table.
    pub target: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A row in memory, for observing without a table and for tests.
#[derive(Debug, Default)]
pub struct MemoryRowStore(Mutex<Option<Row>>);

impl MemoryRowStore {
    /// No row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The row as somebody else has stored it, for going on from its journal without writing to it.
    #[must_use]
    pub fn holding(row: Option<Row>) -> Self {
        let free = row.map(|row| Row { lock: LeaderLock { is_released: true, ..row.lock }, ..row });
        Self(Mutex::new(free))
    }
}

#[async_trait]
impl RowStore for MemoryRowStore {
    async fn read(&self) -> Result<Option<Row>, PortError> {
        Ok(self.0.lock().clone())
    }

    async fn write(&self, write: &RowWrite) -> RowWritten {
        match write.apply(&mut self.0.lock()) {
            Ok(()) => RowWritten::Written,
            Err(current) => RowWritten::Refused(current),
        }
    }
}
