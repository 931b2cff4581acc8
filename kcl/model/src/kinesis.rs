//! The whole service: one method per API operation (skeleton; behaviour lands next).

use std::collections::{BTreeMap, BTreeSet};

use crate::api::*;
use crate::{EpochMillis, Result, Settings, Subscription};

/// A modelled Kinesis account. Share it with `Arc`; every method takes `&self` and the time.
#[derive(Debug)]
pub struct Kinesis {
    settings: Settings,
}

impl Kinesis {
    /// An account without streams.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// `PutRecord`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn put_record(&self, _request: PutRecordRequest, _now: EpochMillis) -> Result<PutRecordResponse> {
        todo!()
    }

    /// `PutRecords`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn put_records(&self, _request: PutRecordsRequest, _now: EpochMillis) -> Result<PutRecordsResponse> {
        todo!()
    }

    /// `GetShardIterator`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn get_shard_iterator(&self, _request: GetShardIteratorRequest, _now: EpochMillis) -> Result<String> {
        todo!()
    }

    /// `GetRecords`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn get_records(&self, _request: GetRecordsRequest, _now: EpochMillis) -> Result<GetRecordsResponse> {
        todo!()
    }

    /// `SubscribeToShard`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn subscribe_to_shard(
        &self,
        _request: SubscribeToShardRequest,
        _now: EpochMillis,
    ) -> Result<Subscription> {
        todo!()
    }

    /// `CreateStream`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn create_stream(&self, _request: CreateStreamRequest, _now: EpochMillis) -> Result<()> {
        todo!()
    }

    /// `DeleteStream`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn delete_stream(&self, _request: DeleteStreamRequest, _now: EpochMillis) -> Result<()> {
        todo!()
    }

    /// `DescribeStream`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn describe_stream(
        &self,
        _request: DescribeStreamRequest,
        _now: EpochMillis,
    ) -> Result<StreamDescription> {
        todo!()
    }

    /// `DescribeStreamSummary`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn describe_stream_summary(&self, _request: StreamRef, _now: EpochMillis) -> Result<StreamSummary> {
        todo!()
    }

    /// `ListStreams`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn list_streams(
        &self,
        _request: ListStreamsRequest,
        _now: EpochMillis,
    ) -> Result<ListStreamsResponse> {
        todo!()
    }

    /// `ListShards`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn list_shards(&self, _request: ListShardsRequest, _now: EpochMillis) -> Result<ListShardsResponse> {
        todo!()
    }

    /// `SplitShard`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn split_shard(&self, _request: SplitShardRequest, _now: EpochMillis) -> Result<()> {
        todo!()
    }

    /// `MergeShards`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn merge_shards(&self, _request: MergeShardsRequest, _now: EpochMillis) -> Result<()> {
        todo!()
    }

    /// `UpdateShardCount`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn update_shard_count(
        &self,
        _request: UpdateShardCountRequest,
        _now: EpochMillis,
    ) -> Result<UpdateShardCountResponse> {
        todo!()
    }

    /// `RegisterStreamConsumer`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn register_stream_consumer(
        &self,
        _request: RegisterStreamConsumerRequest,
        _now: EpochMillis,
    ) -> Result<ConsumerDescription> {
        todo!()
    }

    /// `DeregisterStreamConsumer`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn deregister_stream_consumer(&self, _request: ConsumerRef, _now: EpochMillis) -> Result<()> {
        todo!()
    }

    /// `DescribeStreamConsumer`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn describe_stream_consumer(
        &self,
        _request: ConsumerRef,
        _now: EpochMillis,
    ) -> Result<ConsumerDescription> {
        todo!()
    }

    /// `ListStreamConsumers`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn list_stream_consumers(
        &self,
        _request: ListStreamConsumersRequest,
        _now: EpochMillis,
    ) -> Result<ListStreamConsumersResponse> {
        todo!()
    }

    /// `ListTagsForStream`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn list_tags_for_stream(
        &self,
        _request: ListTagsForStreamRequest,
        _now: EpochMillis,
    ) -> Result<ListTagsForStreamResponse> {
        todo!()
    }

    /// `IncreaseStreamRetentionPeriod`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn increase_stream_retention_period(
        &self,
        _stream: StreamRef,
        _retention_hours: u32,
        _now: EpochMillis,
    ) -> Result<()> {
        todo!()
    }

    /// `DecreaseStreamRetentionPeriod`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn decrease_stream_retention_period(
        &self,
        _stream: StreamRef,
        _retention_hours: u32,
        _now: EpochMillis,
    ) -> Result<()> {
        todo!()
    }

    /// `AddTagsToStream`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn add_tags_to_stream(
        &self,
        _stream: StreamRef,
        _tags: BTreeMap<String, String>,
        _now: EpochMillis,
    ) -> Result<()> {
        todo!()
    }

    /// `RemoveTagsFromStream`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn remove_tags_from_stream(
        &self,
        _stream: StreamRef,
        _keys: Vec<String>,
        _now: EpochMillis,
    ) -> Result<()> {
        todo!()
    }

    /// `UpdateStreamMode`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn update_stream_mode(
        &self,
        _stream_arn: String,
        _mode: StreamMode,
        _now: EpochMillis,
    ) -> Result<()> {
        todo!()
    }

    /// `UpdateMaxRecordSize`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn update_max_record_size(
        &self,
        _stream: StreamRef,
        _record_kibibytes_max: u32,
        _now: EpochMillis,
    ) -> Result<()> {
        todo!()
    }

    /// `StartStreamEncryption`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn start_stream_encryption(
        &self,
        _stream: StreamRef,
        _key_id: String,
        _now: EpochMillis,
    ) -> Result<()> {
        todo!()
    }

    /// `StopStreamEncryption`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn stop_stream_encryption(&self, _stream: StreamRef, _now: EpochMillis) -> Result<()> {
        todo!()
    }

    /// `EnableEnhancedMonitoring`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn enable_enhanced_monitoring(
        &self,
        _stream: StreamRef,
        _metrics: BTreeSet<String>,
        _now: EpochMillis,
    ) -> Result<EnhancedMonitoringResponse> {
        todo!()
    }

    /// `DisableEnhancedMonitoring`.
    ///
    /// # Errors
    /// As AWS documents.
    pub fn disable_enhanced_monitoring(
        &self,
        _stream: StreamRef,
        _metrics: BTreeSet<String>,
        _now: EpochMillis,
    ) -> Result<EnhancedMonitoringResponse> {
        todo!()
    }

    /// `DescribeLimits`.
    #[must_use]
    pub fn describe_limits(&self, _now: EpochMillis) -> AccountLimits {
        todo!()
    }
}
