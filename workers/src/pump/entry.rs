//! One record on its way to the stream.

use bytes::Bytes;

/// What one line becomes: a record with its partition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Decides the shard, and the order: entries of one key arrive as they were read.
    pub partition_key: String,
    /// Puts the record on a certain shard, whatever its key; for end marks only, because it breaks keyed state.
    pub explicit_hash_key: Option<String>,
    /// The payload.
    pub data: Bytes,
    /// The line that the payload comes from; the one after the last for an end mark.
    pub line: u64,
}

impl Entry {
    /// Bytes that count against Kinesis' limits: payload and key.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// What a stream with the default `MaxRecordSizeInKiB` takes: payload and partition key together.
pub(super) const RECORD_BYTES_MAX: usize = 1024 * 1024;
