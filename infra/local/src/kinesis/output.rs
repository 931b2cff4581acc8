//! Outputs of the operations as the wire names them, made from the answers of the model.
//!
//! Records are written straight from the memory of the shard: nothing is copied before it is encoded.

use std::collections::BTreeSet;

use kcl_core::{HashKeyRange, SequenceNumber};
use kinesis_model as model;
use serde::{Serialize, Serializer};

use super::protocol::{Blob, Timestamp};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecordOutput {
    shard_id: String,
    sequence_number: Text<SequenceNumber>,
    encryption_type: &'static str,
}

impl From<model::PutRecordResponse> for PutRecordOutput {
    fn from(response: model::PutRecordResponse) -> Self {
        Self {
            shard_id: response.shard_id.to_string(),
            sequence_number: Text(response.sequence_number),
            encryption_type: response.encryption_type.as_str(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecordsOutput<'a> {
    records: Vec<PutRecordsEntry<'a>>,
    failed_record_count: usize,
    encryption_type: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PutRecordsEntry<'a> {
    #[serde(rename_all = "PascalCase")]
    Stored { sequence_number: Text<SequenceNumber>, shard_id: &'a str },
    #[serde(rename_all = "PascalCase")]
    Failed { error_code: &'static str, error_message: String },
}

impl<'a> From<&'a model::PutRecordsResponse> for PutRecordsOutput<'a> {
    fn from(response: &'a model::PutRecordsResponse) -> Self {
        let records = response.records.iter().map(|outcome| match outcome {
            Ok(receipt) => PutRecordsEntry::Stored {
                sequence_number: Text(receipt.sequence_number),
                shard_id: receipt.shard_id.as_str(),
            },
            Err(error) => {
                PutRecordsEntry::Failed { error_code: error.code(), error_message: error.to_string() }
            }
        });
        Self { records: records.collect(), ..Self::without_records(response) }
    }
}

impl PutRecordsOutput<'_> {
    /// Everything but the outcomes of the records.
    pub(super) fn without_records(response: &model::PutRecordsResponse) -> Self {
        Self {
            records: Vec::new(),
            failed_record_count: response.failed_record_count,
            encryption_type: response.encryption_type.as_str(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetShardIteratorOutput {
    pub(super) shard_iterator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetRecordsOutput<'a> {
    records: Vec<RecordOutput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<&'a str>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<ChildShardOutput<'a>>,
}

impl<'a> From<&'a model::GetRecordsResponse> for GetRecordsOutput<'a> {
    fn from(response: &'a model::GetRecordsResponse) -> Self {
        let records = records(&response.records, response.encryption_type);
        Self { records, ..Self::without_records(response) }
    }
}

impl<'a> GetRecordsOutput<'a> {
    /// Everything but the records.
    pub(super) fn without_records(response: &'a model::GetRecordsResponse) -> Self {
        Self {
            records: Vec::new(),
            next_shard_iterator: response.next_shard_iterator.as_deref(),
            millis_behind_latest: response.millis_behind_latest,
            child_shards: child_shards(&response.child_shards),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SubscribeToShardEventOutput<'a> {
    records: Vec<RecordOutput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_sequence_number: Option<Text<SequenceNumber>>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<ChildShardOutput<'a>>,
}

impl<'a> From<&'a model::SubscribeToShardEvent> for SubscribeToShardEventOutput<'a> {
    fn from(event: &'a model::SubscribeToShardEvent) -> Self {
        Self {
            records: records(&event.records, model::EncryptionType::None),
            continuation_sequence_number: event.continuation_sequence_number.map(Text),
            millis_behind_latest: event.millis_behind_latest,
            child_shards: child_shards(&event.child_shards),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecordOutput<'a> {
    sequence_number: Text<SequenceNumber>,
    approximate_arrival_timestamp: Timestamp,
    data: Blob,
    partition_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChildShardOutput<'a> {
    shard_id: &'a str,
    parent_shards: Vec<&'a str>,
    hash_key_range: HashKeyRangeOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HashKeyRangeOutput {
    starting_hash_key: Text<kcl_core::HashKey>,
    ending_hash_key: Text<kcl_core::HashKey>,
}

fn records(records: &[model::Record], encryption: model::EncryptionType) -> Vec<RecordOutput<'_>> {
    let encryption_type = match encryption {
        model::EncryptionType::None => None,
        model::EncryptionType::Kms => Some(encryption.as_str()),
    };
    records
        .iter()
        .map(|record| RecordOutput {
            sequence_number: Text(record.sequence_number),
            approximate_arrival_timestamp: Timestamp(record.arrival),
            data: Blob(record.data.clone()),
            partition_key: record.partition_key.as_str(),
            encryption_type,
        })
        .collect()
}

fn child_shards(children: &[model::ChildShard]) -> Vec<ChildShardOutput<'_>> {
    children
        .iter()
        .map(|child| ChildShardOutput {
            shard_id: child.shard_id.as_str(),
            parent_shards: child.parent_shards.iter().map(|parent| parent.as_str()).collect(),
            hash_key_range: child.hash_key_range.into(),
        })
        .collect()
}

impl From<HashKeyRange> for HashKeyRangeOutput {
    fn from(range: HashKeyRange) -> Self {
        Self { starting_hash_key: Text(range.start()), ending_hash_key: Text(range.end()) }
    }
}

/// A value that is written as text, as AWS does with great integers.
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShardOutput {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRangeOutput,
    sequence_number_range: SequenceNumberRangeOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRangeOutput {
    starting_sequence_number: Text<SequenceNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<Text<SequenceNumber>>,
}

impl From<model::ShardDescription> for ShardOutput {
    fn from(shard: model::ShardDescription) -> Self {
        Self {
            shard_id: shard.shard_id.to_string(),
            parent_shard_id: shard.parent_shard_id.map(|id| id.to_string()),
            adjacent_parent_shard_id: shard.adjacent_parent_shard_id.map(|id| id.to_string()),
            hash_key_range: shard.hash_key_range.into(),
            sequence_number_range: SequenceNumberRangeOutput {
                starting_sequence_number: Text(shard.starting_sequence_number),
                ending_sequence_number: shard.ending_sequence_number.map(Text),
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListShardsOutput {
    shards: Vec<ShardOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl From<model::ListShardsResponse> for ListShardsOutput {
    fn from(response: model::ListShardsResponse) -> Self {
        Self {
            shards: response.shards.into_iter().map(Into::into).collect(),
            next_token: response.next_token,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamModeOutput {
    stream_mode: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MonitoringOutput {
    shard_level_metrics: BTreeSet<String>,
}

/// What `DescribeStream` and `DescribeStreamSummary` have in common.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamOutput {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeOutput,
    retention_period_hours: u32,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: [MonitoringOutput; 1],
    encryption_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    record_kibibytes_max: u32,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<Vec<ShardOutput>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_more_shards: Option<bool>,
}

impl From<model::StreamSummary> for StreamOutput {
    fn from(summary: model::StreamSummary) -> Self {
        Self {
            stream_name: summary.stream_name,
            stream_arn: summary.stream_arn,
            stream_status: summary.status.as_str(),
            stream_mode_details: StreamModeOutput { stream_mode: summary.mode.as_str() },
            retention_period_hours: summary.retention_hours,
            stream_creation_timestamp: Timestamp(summary.creation),
            enhanced_monitoring: [MonitoringOutput { shard_level_metrics: summary.shard_level_metrics }],
            encryption_type: summary.encryption_type.as_str(),
            key_id: summary.key_id,
            record_kibibytes_max: summary.record_kibibytes_max,
            open_shard_count: summary.open_shard_count,
            consumer_count: summary.consumer_count,
            shards: None,
            has_more_shards: None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStreamSummaryOutput {
    stream_description_summary: StreamOutput,
}

impl From<model::StreamSummary> for DescribeStreamSummaryOutput {
    fn from(summary: model::StreamSummary) -> Self {
        Self { stream_description_summary: summary.into() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStreamOutput {
    stream_description: StreamOutput,
}

impl From<model::StreamDescription> for DescribeStreamOutput {
    fn from(description: model::StreamDescription) -> Self {
        let shards = description.shards.into_iter().map(Into::into).collect();
        let stream_description = StreamOutput {
            shards: Some(shards),
            has_more_shards: Some(description.has_more_shards),
            ..description.summary.into()
        };
        Self { stream_description }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListStreamsOutput {
    stream_names: Vec<String>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    stream_summaries: Vec<ListedStreamOutput>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedStreamOutput {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeOutput,
    stream_creation_timestamp: Timestamp,
}

impl From<model::ListStreamsResponse> for ListStreamsOutput {
    fn from(response: model::ListStreamsResponse) -> Self {
        let stream_names = response.streams.iter().map(|stream| stream.stream_name.clone()).collect();
        let summaries = response.streams.into_iter().map(|stream| ListedStreamOutput {
            stream_name: stream.stream_name,
            stream_arn: stream.stream_arn,
            stream_status: stream.status.as_str(),
            stream_mode_details: StreamModeOutput { stream_mode: stream.mode.as_str() },
            stream_creation_timestamp: Timestamp(stream.creation),
        });
        Self {
            stream_names,
            has_more_streams: response.has_more_streams,
            next_token: response.next_token,
            stream_summaries: summaries.collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateShardCountOutput {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_count: usize,
    target_shard_count: usize,
}

impl From<model::UpdateShardCountResponse> for UpdateShardCountOutput {
    fn from(response: model::UpdateShardCountResponse) -> Self {
        let model::UpdateShardCountResponse { stream_name, stream_arn, .. } = response;
        let (current_shard_count, target_shard_count) =
            (response.current_shard_count, response.target_shard_count);
        Self { stream_name, stream_arn, current_shard_count, target_shard_count }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConsumerOutput {
    consumer_name: String,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    consumer_status: &'static str,
    consumer_creation_timestamp: Timestamp,
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    stream_arn: Option<String>,
}

impl From<model::ConsumerDescription> for ConsumerOutput {
    fn from(consumer: model::ConsumerDescription) -> Self {
        Self {
            consumer_name: consumer.consumer_name,
            consumer_arn: consumer.consumer_arn,
            consumer_status: consumer.status.as_str(),
            consumer_creation_timestamp: Timestamp(consumer.creation),
            stream_arn: Some(consumer.stream_arn),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RegisterStreamConsumerOutput {
    consumer: ConsumerOutput,
}

impl From<model::ConsumerDescription> for RegisterStreamConsumerOutput {
    fn from(consumer: model::ConsumerDescription) -> Self {
        Self { consumer: ConsumerOutput { stream_arn: None, ..consumer.into() } }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStreamConsumerOutput {
    consumer_description: ConsumerOutput,
}

impl From<model::ConsumerDescription> for DescribeStreamConsumerOutput {
    fn from(consumer: model::ConsumerDescription) -> Self {
        Self { consumer_description: consumer.into() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListStreamConsumersOutput {
    consumers: Vec<ConsumerOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl From<model::ListStreamConsumersResponse> for ListStreamConsumersOutput {
    fn from(response: model::ListStreamConsumersResponse) -> Self {
        let listed =
            |consumer: model::ConsumerDescription| ConsumerOutput { stream_arn: None, ..consumer.into() };
        Self {
            consumers: response.consumers.into_iter().map(listed).collect(),
            next_token: response.next_token,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTagsForStreamOutput {
    tags: Vec<TagOutput>,
    has_more_tags: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagOutput {
    key: String,
    value: String,
}

impl From<model::ListTagsForStreamResponse> for ListTagsForStreamOutput {
    fn from(response: model::ListTagsForStreamResponse) -> Self {
        let tags = response.tags.into_iter().map(|(key, value)| TagOutput { key, value }).collect();
        Self { tags, has_more_tags: response.has_more_tags }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EnhancedMonitoringOutput {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_level_metrics: BTreeSet<String>,
    desired_shard_level_metrics: BTreeSet<String>,
}

impl From<model::EnhancedMonitoringResponse> for EnhancedMonitoringOutput {
    fn from(response: model::EnhancedMonitoringResponse) -> Self {
        Self {
            stream_name: response.stream_name,
            stream_arn: response.stream_arn,
            current_shard_level_metrics: response.current,
            desired_shard_level_metrics: response.desired,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeLimitsOutput {
    shard_limit: usize,
    open_shard_count: usize,
    on_demand_stream_count: usize,
    on_demand_stream_count_limit: usize,
}

impl From<model::AccountLimits> for DescribeLimitsOutput {
    fn from(limits: model::AccountLimits) -> Self {
        Self {
            shard_limit: limits.shard_limit,
            open_shard_count: limits.open_shard_count,
            on_demand_stream_count: limits.on_demand_stream_count,
            on_demand_stream_count_limit: limits.on_demand_stream_count_limit,
        }
    }
}
