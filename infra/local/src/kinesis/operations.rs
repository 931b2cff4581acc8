//! The table of operations: name on the wire, whether it changes state, and what it calls in the model.
//!
//! Each runs without waiting: it decodes, asks the model, encodes. SubscribeToShard is not here, because its answer has
//! no end; see `subscribe`.

use kinesis_model::{EpochMillis, Kinesis};
use serde::Serialize;

use super::input::*;
use super::output::*;
use super::protocol::{Protocol, Refusal};
use super::{put_json, records_json};

/// One operation of the API.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// Whether it must be in the log of a Kinesis that outlives its process.
    pub(super) changes_state: bool,
    run: Run,
}

type Run = fn(&Kinesis, Protocol, &[u8], EpochMillis) -> Result<Vec<u8>, Refusal>;

impl Operation {
    /// The operation called `name`.
    pub(super) fn of_name(name: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }

    /// The body of the answer to `body` at `now`.
    pub(super) fn run(
        &self,
        kinesis: &Kinesis,
        protocol: Protocol,
        body: &[u8],
        now: EpochMillis,
    ) -> Result<Vec<u8>, Refusal> {
        (self.run)(kinesis, protocol, body, now)
    }
}

const fn changes(name: &'static str, run: Run) -> Operation {
    Operation { name, changes_state: true, run }
}

const fn reads(name: &'static str, run: Run) -> Operation {
    Operation { name, changes_state: false, run }
}

/// The answer without a body of those operations that have nothing to say.
fn nothing(done: kinesis_model::Result<()>) -> Result<Vec<u8>, Refusal> {
    done?;
    Ok(Vec::new())
}

fn output<T, O: Serialize + From<T>>(
    protocol: Protocol,
    done: kinesis_model::Result<T>,
) -> Result<Vec<u8>, Refusal> {
    Ok(protocol.encode(&O::from(done?)))
}

static OPERATIONS: [Operation; 29] = [
    changes("PutRecords", |kinesis, protocol, body, now| {
        let request = match protocol {
            Protocol::Json => put_json::read(body)?,
            Protocol::Cbor => protocol.decode::<PutRecordsInput>(body)?.into_request()?,
        };
        let response = kinesis.put_records(request, now)?;
        Ok(match protocol {
            Protocol::Json => records_json::put(&response),
            Protocol::Cbor => protocol.encode(&PutRecordsOutput::from(&response)),
        })
    }),
    reads("GetRecords", |kinesis, protocol, body, now| {
        let request = protocol.decode::<GetRecordsInput>(body)?.into_request();
        let response = kinesis.get_records(request, now)?;
        Ok(match protocol {
            Protocol::Json => records_json::got(&response),
            Protocol::Cbor => protocol.encode(&GetRecordsOutput::from(&response)),
        })
    }),
    changes("PutRecord", |kinesis, protocol, body, now| {
        let request = protocol.decode::<PutRecordInput>(body)?.into_request()?;
        output::<_, PutRecordOutput>(protocol, kinesis.put_record(request, now))
    }),
    reads("GetShardIterator", |kinesis, protocol, body, now| {
        let request = protocol.decode::<GetShardIteratorInput>(body)?.into_request()?;
        let shard_iterator = kinesis.get_shard_iterator(request, now)?;
        Ok(protocol.encode(&GetShardIteratorOutput { shard_iterator }))
    }),
    reads("ListShards", |kinesis, protocol, body, now| {
        let request = protocol.decode::<ListShardsInput>(body)?.into_request()?;
        output::<_, ListShardsOutput>(protocol, kinesis.list_shards(request, now))
    }),
    reads("DescribeStream", |kinesis, protocol, body, now| {
        let request = protocol.decode::<DescribeStreamInput>(body)?.into_request()?;
        output::<_, DescribeStreamOutput>(protocol, kinesis.describe_stream(request, now))
    }),
    reads("DescribeStreamSummary", |kinesis, protocol, body, now| {
        let stream = protocol.decode::<StreamInput>(body)?.stream();
        output::<_, DescribeStreamSummaryOutput>(protocol, kinesis.describe_stream_summary(stream, now))
    }),
    reads("ListStreams", |kinesis, protocol, body, now| {
        let request = protocol.decode::<ListStreamsInput>(body)?.into_request();
        output::<_, ListStreamsOutput>(protocol, kinesis.list_streams(request, now))
    }),
    changes("CreateStream", |kinesis, protocol, body, now| {
        nothing(kinesis.create_stream(protocol.decode::<CreateStreamInput>(body)?.into_request()?, now))
    }),
    changes("DeleteStream", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<DeleteStreamInput>(body)?;
        let enforce_consumer_deletion = input.enforce_consumer_deletion.unwrap_or_default();
        let request =
            kinesis_model::DeleteStreamRequest { stream: input.stream(), enforce_consumer_deletion };
        nothing(kinesis.delete_stream(request, now))
    }),
    changes("SplitShard", |kinesis, protocol, body, now| {
        nothing(kinesis.split_shard(protocol.decode::<SplitShardInput>(body)?.into_request()?, now))
    }),
    changes("MergeShards", |kinesis, protocol, body, now| {
        nothing(kinesis.merge_shards(protocol.decode::<MergeShardsInput>(body)?.into_request()?, now))
    }),
    changes("UpdateShardCount", |kinesis, protocol, body, now| {
        let request = protocol.decode::<UpdateShardCountInput>(body)?.into_request()?;
        output::<_, UpdateShardCountOutput>(protocol, kinesis.update_shard_count(request, now))
    }),
    changes("RegisterStreamConsumer", |kinesis, protocol, body, now| {
        let RegisterStreamConsumerInput { stream_arn, consumer_name } = protocol.decode(body)?;
        let request = kinesis_model::RegisterStreamConsumerRequest { stream_arn, consumer_name };
        output::<_, RegisterStreamConsumerOutput>(protocol, kinesis.register_stream_consumer(request, now))
    }),
    changes("DeregisterStreamConsumer", |kinesis, protocol, body, now| {
        nothing(
            kinesis.deregister_stream_consumer(protocol.decode::<ConsumerInput>(body)?.into_request(), now),
        )
    }),
    reads("DescribeStreamConsumer", |kinesis, protocol, body, now| {
        let request = protocol.decode::<ConsumerInput>(body)?.into_request();
        output::<_, DescribeStreamConsumerOutput>(protocol, kinesis.describe_stream_consumer(request, now))
    }),
    reads("ListStreamConsumers", |kinesis, protocol, body, now| {
        let request = protocol.decode::<ListStreamConsumersInput>(body)?.into_request();
        output::<_, ListStreamConsumersOutput>(protocol, kinesis.list_stream_consumers(request, now))
    }),
    reads("ListTagsForStream", |kinesis, protocol, body, now| {
        let request = protocol.decode::<ListTagsForStreamInput>(body)?.into_request();
        output::<_, ListTagsForStreamOutput>(protocol, kinesis.list_tags_for_stream(request, now))
    }),
    changes("AddTagsToStream", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<AddTagsInput>(body)?;
        nothing(kinesis.add_tags_to_stream(input.stream(), input.tags, now))
    }),
    changes("RemoveTagsFromStream", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<RemoveTagsInput>(body)?;
        nothing(kinesis.remove_tags_from_stream(input.stream(), input.keys, now))
    }),
    changes("IncreaseStreamRetentionPeriod", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<RetentionInput>(body)?;
        nothing(kinesis.increase_stream_retention_period(input.stream(), input.retention_hours, now))
    }),
    changes("DecreaseStreamRetentionPeriod", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<RetentionInput>(body)?;
        nothing(kinesis.decrease_stream_retention_period(input.stream(), input.retention_hours, now))
    }),
    changes("UpdateStreamMode", |kinesis, protocol, body, now| {
        let UpdateStreamModeInput { stream_arn, mode } = protocol.decode(body)?;
        nothing(kinesis.update_stream_mode(stream_arn, mode.parse()?, now))
    }),
    changes("UpdateMaxRecordSize", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<UpdateMaxRecordSizeInput>(body)?;
        nothing(kinesis.update_max_record_size(input.stream(), input.record_kibibytes_max, now))
    }),
    changes("StartStreamEncryption", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<EncryptionInput>(body)?;
        nothing(kinesis.start_stream_encryption(input.stream(), input.key_id, now))
    }),
    changes("StopStreamEncryption", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<EncryptionInput>(body)?;
        nothing(kinesis.stop_stream_encryption(input.stream(), now))
    }),
    changes("EnableEnhancedMonitoring", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<MonitoringInput>(body)?;
        let done = kinesis.enable_enhanced_monitoring(input.stream(), input.metrics, now);
        output::<_, EnhancedMonitoringOutput>(protocol, done)
    }),
    changes("DisableEnhancedMonitoring", |kinesis, protocol, body, now| {
        let mut input = protocol.decode::<MonitoringInput>(body)?;
        let done = kinesis.disable_enhanced_monitoring(input.stream(), input.metrics, now);
        output::<_, EnhancedMonitoringOutput>(protocol, done)
    }),
    reads("DescribeLimits", |kinesis, protocol, _body, now| {
        Ok(protocol.encode(&DescribeLimitsOutput::from(kinesis.describe_limits(now))))
    }),
];
