//! Inputs of the operations as the wire names them, and their way into requests of the model.
//!
//! Fields the model does not know are read past, as AWS does with unknown members. Whether a value makes sense is the
//! model's decision; here is only its shape.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::{HashKey, ShardId};
use kinesis_model::*;
use serde::Deserialize;

use super::protocol::{Blob, Timestamp};

/// Declares an input: each field with its name on the wire.
macro_rules! input {
    ($name:ident { $($field:ident: $type:ty = $wire:literal),* $(,)? }) => {
        #[derive(Debug, Deserialize)]
        pub(super) struct $name { $(#[serde(rename = $wire)] pub(super) $field: $type),* }
    };
}

/// The same for an input that names a stream.
macro_rules! stream_input {
    ($name:ident { $($field:ident: $type:ty = $wire:literal),* $(,)? }) => {
        input!($name {
            stream_name: Option<String> = "StreamName",
            stream_arn: Option<String> = "StreamARN",
            $($field: $type = $wire),*
        });

        impl $name {
            pub(super) fn stream(&mut self) -> StreamRef {
                StreamRef { name: self.stream_name.take(), arn: self.stream_arn.take() }
            }
        }
    };
}

stream_input!(StreamInput {});
stream_input!(PutRecordInput {
    data: Blob = "Data",
    partition_key: String = "PartitionKey",
    explicit_hash_key: Option<String> = "ExplicitHashKey",
    sequence_number_for_ordering: Option<String> = "SequenceNumberForOrdering",
});
stream_input!(PutRecordsInput { records: Vec<PutRecordsInputEntry> = "Records" });
input!(PutRecordsInputEntry {
    data: Blob = "Data",
    partition_key: String = "PartitionKey",
    explicit_hash_key: Option<String> = "ExplicitHashKey",
});
stream_input!(GetShardIteratorInput {
    shard_id: String = "ShardId",
    iterator_type: String = "ShardIteratorType",
    sequence_number: Option<String> = "StartingSequenceNumber",
    timestamp: Option<Timestamp> = "Timestamp",
});
input!(GetRecordsInput {
    shard_iterator: String = "ShardIterator",
    limit: Option<u32> = "Limit",
    stream_arn: Option<String> = "StreamARN",
});
input!(SubscribeToShardInput {
    consumer_arn: String = "ConsumerARN",
    shard_id: String = "ShardId",
    position: StartingPositionInput = "StartingPosition",
});
input!(StartingPositionInput {
    position_type: String = "Type",
    sequence_number: Option<String> = "SequenceNumber",
    timestamp: Option<Timestamp> = "Timestamp",
});
input!(CreateStreamInput {
    stream_name: String = "StreamName",
    shard_count: Option<u32> = "ShardCount",
    mode: Option<StreamModeInput> = "StreamModeDetails",
    tags: Option<BTreeMap<String, String>> = "Tags",
    record_kibibytes_max: Option<u32> = "MaxRecordSizeInKiB",
});
input!(StreamModeInput { mode: String = "StreamMode" });
stream_input!(DeleteStreamInput { enforce_consumer_deletion: Option<bool> = "EnforceConsumerDeletion" });
stream_input!(DescribeStreamInput {
    limit: Option<u32> = "Limit",
    exclusive_start_shard_id: Option<String> = "ExclusiveStartShardId",
});
input!(ListStreamsInput {
    limit: Option<u32> = "Limit",
    exclusive_start_stream_name: Option<String> = "ExclusiveStartStreamName",
    next_token: Option<String> = "NextToken",
});
stream_input!(ListShardsInput {
    next_token: Option<String> = "NextToken",
    exclusive_start_shard_id: Option<String> = "ExclusiveStartShardId",
    max_results: Option<u32> = "MaxResults",
    stream_creation: Option<Timestamp> = "StreamCreationTimestamp",
    shard_filter: Option<ShardFilterInput> = "ShardFilter",
});
input!(ShardFilterInput {
    filter_type: String = "Type",
    shard_id: Option<String> = "ShardId",
    timestamp: Option<Timestamp> = "Timestamp",
});
stream_input!(SplitShardInput {
    shard_to_split: String = "ShardToSplit",
    new_starting_hash_key: String = "NewStartingHashKey",
});
stream_input!(MergeShardsInput {
    shard_to_merge: String = "ShardToMerge",
    adjacent_shard_to_merge: String = "AdjacentShardToMerge",
});
stream_input!(UpdateShardCountInput {
    target_shard_count: u32 = "TargetShardCount",
    scaling_type: String = "ScalingType",
});
input!(RegisterStreamConsumerInput {
    stream_arn: String = "StreamARN",
    consumer_name: String = "ConsumerName",
});
input!(ConsumerInput {
    stream_arn: Option<String> = "StreamARN",
    consumer_name: Option<String> = "ConsumerName",
    consumer_arn: Option<String> = "ConsumerARN",
});
input!(ListStreamConsumersInput {
    stream_arn: String = "StreamARN",
    next_token: Option<String> = "NextToken",
    max_results: Option<u32> = "MaxResults",
    stream_creation: Option<Timestamp> = "StreamCreationTimestamp",
});
stream_input!(ListTagsForStreamInput {
    exclusive_start_tag_key: Option<String> = "ExclusiveStartTagKey",
    limit: Option<u32> = "Limit",
});
stream_input!(RetentionInput { retention_hours: u32 = "RetentionPeriodHours" });
stream_input!(AddTagsInput { tags: BTreeMap<String, String> = "Tags" });
stream_input!(RemoveTagsInput { keys: Vec<String> = "TagKeys" });
input!(UpdateStreamModeInput {
    stream_arn: String = "StreamARN",
    mode: StreamModeInput = "StreamModeDetails"
});
stream_input!(UpdateMaxRecordSizeInput { record_kibibytes_max: u32 = "MaxRecordSizeInKiB" });
stream_input!(EncryptionInput { key_id: String = "KeyId" });
stream_input!(MonitoringInput { metrics: BTreeSet<String> = "ShardLevelMetrics" });

impl PutRecordInput {
    pub(super) fn into_request(mut self) -> Result<PutRecordRequest> {
        Ok(PutRecordRequest {
            stream: self.stream(),
            data: self.data.0,
            partition_key: self.partition_key.into(),
            explicit_hash_key: hash_key(self.explicit_hash_key)?,
            sequence_number_for_ordering: match self.sequence_number_for_ordering {
                Some(text) => Some(text.parse()?),
                None => None,
            },
        })
    }
}

impl PutRecordsInput {
    pub(super) fn into_request(mut self) -> Result<PutRecordsRequest> {
        let stream = self.stream();
        let entries = self.records.into_iter().map(|entry| {
            Ok(PutRecordsEntry {
                data: entry.data.0,
                partition_key: entry.partition_key.into(),
                explicit_hash_key: hash_key(entry.explicit_hash_key)?,
            })
        });
        Ok(PutRecordsRequest { stream, records: entries.collect::<Result<_>>()? })
    }
}

impl GetShardIteratorInput {
    pub(super) fn into_request(mut self) -> Result<GetShardIteratorRequest> {
        let timestamp = self.timestamp.map(|time| time.0);
        let position =
            StartingPosition::from_parts(&self.iterator_type, self.sequence_number.as_deref(), timestamp)?;
        Ok(GetShardIteratorRequest {
            stream: self.stream(),
            shard_id: ShardId::new(self.shard_id)?,
            position,
        })
    }
}

impl GetRecordsInput {
    pub(super) fn into_request(self) -> GetRecordsRequest {
        let Self { shard_iterator, limit, stream_arn } = self;
        GetRecordsRequest { shard_iterator, limit, stream_arn }
    }
}

impl SubscribeToShardInput {
    pub(super) fn into_request(self) -> Result<SubscribeToShardRequest> {
        let StartingPositionInput { position_type, sequence_number, timestamp } = self.position;
        let timestamp = timestamp.map(|time| time.0);
        let position = StartingPosition::from_parts(&position_type, sequence_number.as_deref(), timestamp)?;
        let shard_id = ShardId::new(self.shard_id)?;
        Ok(SubscribeToShardRequest { consumer_arn: self.consumer_arn, shard_id, position })
    }
}

impl StreamModeInput {
    pub(super) fn parse(&self) -> Result<StreamMode> {
        StreamMode::parse(&self.mode).ok_or_else(|| {
            KinesisError::constraint(
                "streamModeDetails.streamMode",
                &self.mode,
                "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]",
            )
        })
    }
}

impl CreateStreamInput {
    pub(super) fn into_request(self) -> Result<CreateStreamRequest> {
        Ok(CreateStreamRequest {
            stream_name: self.stream_name,
            shard_count: self.shard_count,
            mode: self.mode.as_ref().map(StreamModeInput::parse).transpose()?,
            tags: self.tags.unwrap_or_default(),
            record_kibibytes_max: self.record_kibibytes_max,
        })
    }
}

impl DescribeStreamInput {
    pub(super) fn into_request(mut self) -> Result<DescribeStreamRequest> {
        Ok(DescribeStreamRequest {
            stream: self.stream(),
            limit: self.limit,
            exclusive_start_shard_id: self.exclusive_start_shard_id.map(ShardId::new).transpose()?,
        })
    }
}

impl ListStreamsInput {
    pub(super) fn into_request(self) -> ListStreamsRequest {
        let Self { limit, exclusive_start_stream_name, next_token } = self;
        ListStreamsRequest { limit, exclusive_start_stream_name, next_token }
    }
}

impl ListShardsInput {
    pub(super) fn into_request(mut self) -> Result<ListShardsRequest> {
        let shard_filter = match self.shard_filter.take() {
            Some(ShardFilterInput { filter_type, shard_id, timestamp }) => Some(ShardFilter::from_parts(
                &filter_type,
                shard_id.map(ShardId::new).transpose()?,
                timestamp.map(|time| time.0),
            )?),
            None => None,
        };
        Ok(ListShardsRequest {
            stream: self.stream(),
            next_token: self.next_token,
            exclusive_start_shard_id: self.exclusive_start_shard_id.map(ShardId::new).transpose()?,
            max_results: self.max_results,
            stream_creation: self.stream_creation.map(|time| time.0),
            shard_filter,
        })
    }
}

impl SplitShardInput {
    pub(super) fn into_request(mut self) -> Result<SplitShardRequest> {
        Ok(SplitShardRequest {
            stream: self.stream(),
            shard_to_split: ShardId::new(self.shard_to_split)?,
            new_starting_hash_key: HashKey::parse(&self.new_starting_hash_key)?,
        })
    }
}

impl MergeShardsInput {
    pub(super) fn into_request(mut self) -> Result<MergeShardsRequest> {
        Ok(MergeShardsRequest {
            stream: self.stream(),
            shard_to_merge: ShardId::new(self.shard_to_merge)?,
            adjacent_shard_to_merge: ShardId::new(self.adjacent_shard_to_merge)?,
        })
    }
}

impl UpdateShardCountInput {
    pub(super) fn into_request(mut self) -> Result<UpdateShardCountRequest> {
        let scaling_type = ScalingType::parse(&self.scaling_type).ok_or_else(|| {
            let values = "Member must satisfy enum value set: [UNIFORM_SCALING]";
            KinesisError::constraint("scalingType", &self.scaling_type, values)
        })?;
        Ok(UpdateShardCountRequest {
            stream: self.stream(),
            target_shard_count: self.target_shard_count,
            scaling_type,
        })
    }
}

impl ConsumerInput {
    pub(super) fn into_request(self) -> ConsumerRef {
        let Self { stream_arn, consumer_name, consumer_arn } = self;
        ConsumerRef { stream_arn, consumer_name, consumer_arn }
    }
}

impl ListStreamConsumersInput {
    pub(super) fn into_request(self) -> ListStreamConsumersRequest {
        let Self { stream_arn, next_token, max_results, stream_creation } = self;
        let stream_creation = stream_creation.map(|time| time.0);
        ListStreamConsumersRequest { stream_arn, next_token, max_results, stream_creation }
    }
}

impl ListTagsForStreamInput {
    pub(super) fn into_request(mut self) -> ListTagsForStreamRequest {
        ListTagsForStreamRequest {
            stream: self.stream(),
            exclusive_start_tag_key: self.exclusive_start_tag_key,
            limit: self.limit,
        }
    }
}

pub(super) fn hash_key(text: Option<String>) -> Result<Option<HashKey>> {
    Ok(text.as_deref().map(HashKey::parse).transpose()?)
}
