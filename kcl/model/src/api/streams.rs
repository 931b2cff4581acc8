//! Streams: life cycle, description, settings, tags, account limits.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::ShardId;

use super::{EncryptionType, ShardDescription, StreamMode, StreamRef, StreamStatus};
use crate::EpochMillis;

/// Input of `CreateStream`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateStreamRequest {
    /// 1 to 128 of `a-z A-Z 0-9 _ . -`.
    pub stream_name: String,
    /// Needed by a provisioned stream.
    pub shard_count: Option<u32>,
    /// Provisioned if absent.
    pub mode: Option<StreamMode>,
    /// Tags, at most 50.
    pub tags: BTreeMap<String, String>,
    /// `MaxRecordSizeInKiB`, 1024 to 10 240.
    pub record_kibibytes_max: Option<u32>,
}

impl CreateStreamRequest {
    /// A provisioned stream of `shard_count` shards.
    #[must_use]
    pub fn provisioned(stream_name: impl Into<String>, shard_count: u32) -> Self {
        Self { stream_name: stream_name.into(), shard_count: Some(shard_count), ..Self::default() }
    }
}

/// Input of `DeleteStream`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteStreamRequest {
    /// The stream.
    pub stream: StreamRef,
    /// Whether registered consumers go with it; without it they prevent the deletion.
    pub enforce_consumer_deletion: bool,
}

/// Input of `DescribeStream`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeStreamRequest {
    /// The stream.
    pub stream: StreamRef,
    /// 1 to 10 000 shards; 100 if absent.
    pub limit: Option<u32>,
    /// Shows only shards after this one.
    pub exclusive_start_shard_id: Option<ShardId>,
}

/// Output of `DescribeStream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// What `DescribeStreamSummary` says.
    pub summary: StreamSummary,
    /// One page of shards, in the order of their ids.
    pub shards: Vec<ShardDescription>,
    /// Whether more shards follow.
    pub has_more_shards: bool,
}

/// Output of `DescribeStreamSummary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Name.
    pub stream_name: String,
    /// ARN.
    pub stream_arn: String,
    /// What it is doing.
    pub status: StreamStatus,
    /// Who decides on the number of shards.
    pub mode: StreamMode,
    /// When it was created.
    pub creation: EpochMillis,
    /// How long records are kept, in hours.
    pub retention_hours: u32,
    /// Shard metrics asked for.
    pub shard_level_metrics: BTreeSet<String>,
    /// Whether records are encrypted at rest.
    pub encryption_type: EncryptionType,
    /// With which key.
    pub key_id: Option<String>,
    /// Open shards.
    pub open_shard_count: usize,
    /// Registered consumers.
    pub consumer_count: usize,
    /// Greatest record, in KiB.
    pub record_kibibytes_max: u32,
}

/// Input of `ListStreams`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListStreamsRequest {
    /// 1 to 10 000; 100 if absent.
    pub limit: Option<u32>,
    /// Lists only streams after this name.
    pub exclusive_start_stream_name: Option<String>,
    /// Page to go on with.
    pub next_token: Option<String>,
}

/// Output of `ListStreams`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStreamsResponse {
    /// In the order of their names.
    pub streams: Vec<StreamSummary>,
    /// Whether more follow.
    pub has_more_streams: bool,
    /// Present if more follow.
    pub next_token: Option<String>,
}

/// Output of `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnhancedMonitoringResponse {
    /// Name of the stream.
    pub stream_name: String,
    /// ARN of the stream.
    pub stream_arn: String,
    /// Shard metrics before the call.
    pub current: BTreeSet<String>,
    /// Shard metrics after the call.
    pub desired: BTreeSet<String>,
}

/// Input of `ListTagsForStream`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListTagsForStreamRequest {
    /// The stream.
    pub stream: StreamRef,
    /// Lists only tags after this key.
    pub exclusive_start_tag_key: Option<String>,
    /// 1 to 50; all if absent.
    pub limit: Option<u32>,
}

/// Output of `ListTagsForStream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTagsForStreamResponse {
    /// Keys and values, in the order of the keys.
    pub tags: Vec<(String, String)>,
    /// Whether more follow.
    pub has_more_tags: bool,
}

/// Output of `DescribeLimits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Open shards that provisioned streams may have together.
    pub shard_limit: usize,
    /// Open shards of provisioned streams.
    pub open_shard_count: usize,
    /// On-demand streams.
    pub on_demand_stream_count: usize,
    /// On-demand streams allowed.
    pub on_demand_stream_count_limit: usize,
}
