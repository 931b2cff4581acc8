//! Shards: listing, filters, and the operations that change them.

use kcl_core::{HashKey, HashKeyRange, SequenceNumber, ShardId};

use super::{ScalingType, StreamRef};
use crate::{EpochMillis, KinesisError};

/// A shard as `ListShards` and `DescribeStream` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardDescription {
    /// Its id.
    pub shard_id: ShardId,
    /// The shard that was split, or the first of two that were merged.
    pub parent_shard_id: Option<ShardId>,
    /// The second of two that were merged.
    pub adjacent_parent_shard_id: Option<ShardId>,
    /// Its part of the hash space.
    pub hash_key_range: HashKeyRange,
    /// Less than every record's.
    pub starting_sequence_number: SequenceNumber,
    /// Greater than every record's; `None` while the shard is open.
    pub ending_sequence_number: Option<SequenceNumber>,
}

/// Which shards `ListShards` shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShardFilter {
    /// Those after this one, open or closed.
    AfterShardId(ShardId),
    /// Those open at the oldest readable moment.
    AtTrimHorizon,
    /// All within retention.
    FromTrimHorizon,
    /// Those open.
    AtLatest,
    /// Those open at this time.
    AtTimestamp(EpochMillis),
    /// Those open at this time or later.
    FromTimestamp(EpochMillis),
}

impl ShardFilter {
    /// Puts together what the wire carries apart.
    ///
    /// # Errors
    /// `InvalidArgument` if the type lacks its shard or time, or has one it does not take; `Validation` if it is unknown.
    pub fn from_parts(
        filter_type: &str,
        shard_id: Option<ShardId>,
        timestamp: Option<EpochMillis>,
    ) -> Result<Self, KinesisError> {
        let misfit =
            |remedy: &str| KinesisError::InvalidArgument(format!("ShardFilter {filter_type}: {remedy}"));
        match (filter_type, shard_id, timestamp) {
            ("AFTER_SHARD_ID", Some(shard_id), None) => Ok(Self::AfterShardId(shard_id)),
            ("AT_TIMESTAMP", None, Some(timestamp)) => Ok(Self::AtTimestamp(timestamp)),
            ("FROM_TIMESTAMP", None, Some(timestamp)) => Ok(Self::FromTimestamp(timestamp)),
            ("AT_TRIM_HORIZON", None, None) => Ok(Self::AtTrimHorizon),
            ("FROM_TRIM_HORIZON", None, None) => Ok(Self::FromTrimHorizon),
            ("AT_LATEST", None, None) => Ok(Self::AtLatest),
            ("AFTER_SHARD_ID", _, _) => Err(misfit("it takes a ShardId and nothing else")),
            ("AT_TIMESTAMP" | "FROM_TIMESTAMP", _, _) => Err(misfit("it takes a Timestamp and nothing else")),
            ("AT_TRIM_HORIZON" | "FROM_TRIM_HORIZON" | "AT_LATEST", _, _) => {
                Err(misfit("it takes neither a ShardId nor a Timestamp"))
            }
            (unknown, _, _) => Err(KinesisError::constraint(
                "shardFilter.type",
                unknown,
                "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, \
                 AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP]",
            )),
        }
    }
}

/// Input of `ListShards`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListShardsRequest {
    /// The stream; must be empty beside `next_token`.
    pub stream: StreamRef,
    /// Page to go on with; allows no other field than `max_results`.
    pub next_token: Option<String>,
    /// Lists only shards after this one.
    pub exclusive_start_shard_id: Option<ShardId>,
    /// 1 to 10 000; 1000 if absent.
    pub max_results: Option<u32>,
    /// Seconds at which the stream was created, to tell it from an earlier one of the same name.
    pub stream_creation: Option<EpochMillis>,
    /// Which shards to show; all within retention if absent.
    pub shard_filter: Option<ShardFilter>,
}

impl ListShardsRequest {
    /// All shards of `stream`.
    #[must_use]
    pub fn all(stream: StreamRef) -> Self {
        Self { stream, ..Self::default() }
    }
}

/// Output of `ListShards`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListShardsResponse {
    /// In the order of their ids.
    pub shards: Vec<ShardDescription>,
    /// Present if there are more.
    pub next_token: Option<String>,
}

/// Input of `SplitShard`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitShardRequest {
    /// The stream.
    pub stream: StreamRef,
    /// An open shard.
    pub shard_to_split: ShardId,
    /// First key of the upper child.
    pub new_starting_hash_key: HashKey,
}

/// Input of `MergeShards`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeShardsRequest {
    /// The stream.
    pub stream: StreamRef,
    /// An open shard.
    pub shard_to_merge: ShardId,
    /// An open shard whose hash range touches the first one's.
    pub adjacent_shard_to_merge: ShardId,
}

/// Input of `UpdateShardCount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateShardCountRequest {
    /// The stream.
    pub stream: StreamRef,
    /// Open shards wanted.
    pub target_shard_count: u32,
    /// How to get there.
    pub scaling_type: ScalingType,
}

/// Output of `UpdateShardCount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateShardCountResponse {
    /// Name of the stream.
    pub stream_name: String,
    /// ARN of the stream.
    pub stream_arn: String,
    /// Open shards before.
    pub current_shard_count: usize,
    /// Open shards wanted.
    pub target_shard_count: usize,
}
