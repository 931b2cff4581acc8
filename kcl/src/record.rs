//! Records as they are delivered: payloads by reference count, positions parsed once.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kcl_core::RecordPosition;

/// One user record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Sequence number, and index within a KPL aggregate.
    pub position: RecordPosition,
    /// The producer's partition key.
    pub partition_key: Arc<str>,
    /// The payload: a slice of memory that the records of one answer, or of one aggregate, have in common. Who keeps it
    /// beyond the batch should keep a copy.
    pub data: Bytes,
    /// `ApproximateArrivalTimestamp` in epoch milliseconds.
    pub arrival_epoch_millis: u64,
}

impl Record {
    /// Bytes of payload and partition key.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// Records of one shard in order, as one call of the processor gets them. Cloning shares the records.
///
/// A batch may be empty: a processor is also called when nothing arrived for a while, so that it can act on time.
#[derive(Clone, Debug)]
pub struct RecordBatch {
    records: Arc<Vec<Record>>,
    behind_latest: Duration,
    idle: Duration,
}

impl RecordBatch {
    /// A batch of `records`, `behind_latest` the tip of the shard, after `idle` without any record.
    #[must_use]
    pub fn new(records: Vec<Record>, behind_latest: Duration, idle: Duration) -> Self {
        Self { records: Arc::new(records), behind_latest, idle }
    }

    /// How far the reader was behind the tip of the shard when these records were fetched (`MillisBehindLatest`).
    #[must_use]
    pub fn behind_latest(&self) -> Duration {
        self.behind_latest
    }

    /// How long no record had arrived, measured to the answer that this batch comes from; zero with records.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Position of the last record.
    #[must_use]
    pub fn last_position(&self) -> Option<RecordPosition> {
        self.records.last().map(|record| record.position)
    }

    /// Bytes of payload and partition keys.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records.iter().map(Record::bytes).sum()
    }
}

impl Deref for RecordBatch {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.records
    }
}
