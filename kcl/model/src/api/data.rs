//! Data plane: records, puts, iterators and reads.

use bytes::Bytes;
use kcl_core::{HashKey, HashKeyRange, SequenceNumber, ShardId};

use super::{EncryptionType, StreamRef};
use crate::{EpochMillis, KinesisError};

/// The partition key of a record: text that shares the bytes it was read from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(Bytes);

impl PartitionKey {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a partition key is made from text only")
    }

    /// Length in bytes.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.0.len()
    }

    /// The bytes of the text, to be kept beside the record.
    pub(crate) const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// A key over stored bytes, which came from [`PartitionKey::as_bytes`].
    pub(crate) const fn from_stored(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<&str> for PartitionKey {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for PartitionKey {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl TryFrom<Bytes> for PartitionKey {
    type Error = std::str::Utf8Error;

    /// A key over bytes that it shares.
    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl std::fmt::Debug for PartitionKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), formatter)
    }
}

/// A stored record, as `GetRecords` and `SubscribeToShard` give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard.
    pub sequence_number: SequenceNumber,
    /// When it was put, to the millisecond; never decreasing within a shard.
    pub arrival: EpochMillis,
    /// Its payload, sharing the memory of the shard.
    pub data: Bytes,
    /// Its partition key.
    pub partition_key: PartitionKey,
}

/// A shard that took over a drained one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildShard {
    /// Its id.
    pub shard_id: ShardId,
    /// One parent after a split, two after a merge.
    pub parent_shards: Vec<ShardId>,
    /// Its part of the hash space.
    pub hash_key_range: HashKeyRange,
}

/// Input of `PutRecord`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecordRequest {
    /// Where to.
    pub stream: StreamRef,
    /// Payload.
    pub data: Bytes,
    /// 1 to 256 characters; chooses the shard unless `explicit_hash_key` does.
    pub partition_key: PartitionKey,
    /// Chooses the shard.
    pub explicit_hash_key: Option<HashKey>,
    /// Checked for shape only: sequence numbers always increase within a shard.
    pub sequence_number_for_ordering: Option<SequenceNumber>,
}

impl PutRecordRequest {
    /// A record placed by its partition key.
    pub fn new(stream: StreamRef, partition_key: impl Into<PartitionKey>, data: impl Into<Bytes>) -> Self {
        Self {
            stream,
            data: data.into(),
            partition_key: partition_key.into(),
            explicit_hash_key: None,
            sequence_number_for_ordering: None,
        }
    }
}

/// Where a record was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutReceipt {
    /// The shard that holds it.
    pub shard_id: ShardId,
    /// Its place there.
    pub sequence_number: SequenceNumber,
}

/// Output of `PutRecord`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecordResponse {
    /// The shard that holds the record.
    pub shard_id: ShardId,
    /// Its place there.
    pub sequence_number: SequenceNumber,
    /// Of the stream.
    pub encryption_type: EncryptionType,
}

/// Input of `PutRecords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecordsRequest {
    /// Where to.
    pub stream: StreamRef,
    /// 1 to 500 records.
    pub records: Vec<PutRecordsEntry>,
}

/// One record of `PutRecords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecordsEntry {
    /// Payload.
    pub data: Bytes,
    /// 1 to 256 characters.
    pub partition_key: PartitionKey,
    /// Chooses the shard.
    pub explicit_hash_key: Option<HashKey>,
}

impl PutRecordsEntry {
    /// A record placed by its partition key.
    pub fn new(partition_key: impl Into<PartitionKey>, data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), partition_key: partition_key.into(), explicit_hash_key: None }
    }
}

/// Output of `PutRecords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecordsResponse {
    /// How many of `records` failed.
    pub failed_record_count: usize,
    /// One outcome per record, in the order of the request; the error is `ProvisionedThroughputExceeded` or
    /// `InternalFailure`.
    pub records: Vec<Result<PutReceipt, KinesisError>>,
    /// Of the stream.
    pub encryption_type: EncryptionType,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartingPosition {
    /// At the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At this record.
    AtSequenceNumber(SequenceNumber),
    /// Right after this record.
    AfterSequenceNumber(SequenceNumber),
    /// At the first record that arrived at this time or later.
    AtTimestamp(EpochMillis),
}

impl StartingPosition {
    /// Puts together what the wire carries apart.
    ///
    /// # Errors
    /// `Validation` if the type is unknown, `InvalidArgument` if it lacks its sequence number or time.
    pub fn from_parts(
        iterator_type: &str,
        sequence_number: Option<&str>,
        timestamp: Option<EpochMillis>,
    ) -> Result<Self, KinesisError> {
        let sequence = || -> Result<SequenceNumber, KinesisError> {
            let text = sequence_number.ok_or_else(|| {
                KinesisError::InvalidArgument(format!(
                    "Must either specify a StartingSequenceNumber or not use {iterator_type}"
                ))
            })?;
            Ok(text.parse()?)
        };
        match iterator_type {
            "TRIM_HORIZON" => Ok(Self::TrimHorizon),
            "LATEST" => Ok(Self::Latest),
            "AT_SEQUENCE_NUMBER" => Ok(Self::AtSequenceNumber(sequence()?)),
            "AFTER_SEQUENCE_NUMBER" => Ok(Self::AfterSequenceNumber(sequence()?)),
            "AT_TIMESTAMP" => timestamp.map(Self::AtTimestamp).ok_or_else(|| {
                KinesisError::InvalidArgument("Must specify a Timestamp for AT_TIMESTAMP".to_owned())
            }),
            unknown => Err(KinesisError::constraint(
                "shardIteratorType",
                unknown,
                "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, \
                 AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
            )),
        }
    }
}

/// Input of `GetShardIterator`; its output is the opaque iterator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetShardIteratorRequest {
    /// The stream.
    pub stream: StreamRef,
    /// The shard.
    pub shard_id: ShardId,
    /// Where reading begins.
    pub position: StartingPosition,
}

/// Input of `GetRecords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetRecordsRequest {
    /// From `GetShardIterator` or an earlier `GetRecords`.
    pub shard_iterator: String,
    /// 1 to 10 000; 10 000 if absent.
    pub limit: Option<u32>,
    /// If present, it must be the iterator's stream.
    pub stream_arn: Option<String>,
}

impl GetRecordsRequest {
    /// Reads as much as one answer carries.
    #[must_use]
    pub fn new(shard_iterator: impl Into<String>) -> Self {
        Self { shard_iterator: shard_iterator.into(), limit: None, stream_arn: None }
    }
}

/// Output of `GetRecords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetRecordsResponse {
    /// In the order of the shard.
    pub records: Vec<Record>,
    /// `None` once a closed shard is drained.
    pub next_shard_iterator: Option<String>,
    /// How long ago the oldest unread record arrived; 0 at the tip.
    pub millis_behind_latest: u64,
    /// The shards that follow, exactly when `next_shard_iterator` is `None`.
    pub child_shards: Vec<ChildShard>,
    /// Of the stream.
    pub encryption_type: EncryptionType,
}

/// Input of `SubscribeToShard`; its output is a [`crate::Subscription`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeToShardRequest {
    /// A registered consumer.
    pub consumer_arn: String,
    /// The shard.
    pub shard_id: ShardId,
    /// Where the first event begins.
    pub position: StartingPosition,
}

/// One event of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeToShardEvent {
    /// In the order of the shard; empty in a heartbeat.
    pub records: Vec<Record>,
    /// Where to go on after this event, at or after it alike; `None` once a closed shard is drained.
    pub continuation_sequence_number: Option<SequenceNumber>,
    /// How long ago the oldest record not yet sent arrived; 0 at the tip.
    pub millis_behind_latest: u64,
    /// The shards that follow, exactly when `continuation_sequence_number` is `None`.
    pub child_shards: Vec<ChildShard>,
}
