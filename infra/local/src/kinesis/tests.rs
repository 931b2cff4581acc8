use ciborium::Value;
use http_body_util::BodyExt;
use kinesis_model::*;
use proptest::prelude::*;

use super::protocol::Protocol;
use super::*;

fn server() -> KinesisServer {
    KinesisServer::open(&LocalSettings::new("unused"), CancellationToken::new()).expect("in memory")
}

/// A map with text keys.
fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    let members = value.as_map().expect("a map");
    &members.iter().find(|(key, _)| key.as_text() == Some(name)).unwrap_or_else(|| panic!("no {name}")).1
}

async fn call(server: &KinesisServer, operation: &str, input: &Value) -> (StatusCode, Value) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", Protocol::Cbor.content_type().parse().expect("valid"));
    let response = server.call(operation, &headers, Protocol::Cbor.encode(input).into()).await;
    let status = response.status();
    assert_eq!(response.headers()["content-type"], Protocol::Cbor.content_type());
    let body = response.into_body().collect().await.expect("in memory").to_bytes();
    let output = if body.is_empty() { Value::Null } else { Protocol::Cbor.decode(&body).expect("CBOR") };
    (status, output)
}

#[tokio::test]
async fn a_cbor_client_puts_reads_and_is_refused_in_cbor() {
    let server = server();
    let create = map([("StreamName", "cbor".into()), ("ShardCount", 1.into())]);
    assert_eq!(call(&server, "CreateStream", &create).await, (StatusCode::OK, Value::Null));
    let (status, refusal) = call(&server, "CreateStream", &create).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(member(&refusal, "__type").as_text(), Some("ResourceInUseException"));

    let payload = Value::Bytes(vec![0, 255, 7]);
    let entry = map([("Data", payload.clone()), ("PartitionKey", "key".into())]);
    let put = map([("StreamName", "cbor".into()), ("Records", Value::Array(vec![entry]))]);
    let (_, receipts) = call(&server, "PutRecords", &put).await;
    let receipt = &member(&receipts, "Records").as_array().expect("a list")[0];

    let since_1970 = Value::Tag(1, Box::new(1_000.into()));
    let start = map([
        ("StreamName", "cbor".into()),
        ("ShardId", member(receipt, "ShardId").clone()),
        ("ShardIteratorType", "AT_TIMESTAMP".into()),
        ("Timestamp", since_1970),
    ]);
    let (_, iterator) = call(&server, "GetShardIterator", &start).await;
    let (_, read) =
        call(&server, "GetRecords", &map([("ShardIterator", member(&iterator, "ShardIterator").clone())]))
            .await;
    let record = &member(&read, "Records").as_array().expect("a list")[0];
    assert_eq!(member(record, "Data"), &payload);
    assert_eq!(member(record, "SequenceNumber"), member(receipt, "SequenceNumber"));
    let arrival = member(record, "ApproximateArrivalTimestamp").as_tag().expect("a tagged time");
    assert_eq!(arrival.0, 1);
    assert!(i128::from(arrival.1.as_integer().expect("milliseconds")) > 1_700_000_000_000);
}

/// One call of a history.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Put { key: u8, bytes: usize },
    Split { shard: usize, at: u128 },
    Merge { shard: usize, adjacent: usize },
    Resize(u32),
    Retain(u32),
    Register(u8),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..2_000).prop_map(Step::Wait),
        2 => (0_u64..200_000).prop_map(Step::Wait),
        1 => (0_u64..200_000_000).prop_map(Step::Wait),
        8 => (any::<u8>(), 1_usize..30_000).prop_map(|(key, bytes)| Step::Put { key, bytes }),
        2 => (0_usize..6, any::<u128>()).prop_map(|(shard, at)| Step::Split { shard, at }),
        2 => (0_usize..6, 0_usize..6).prop_map(|(shard, adjacent)| Step::Merge { shard, adjacent }),
        2 => (1_u32..5).prop_map(Step::Resize),
        1 => (24_u32..72).prop_map(Step::Retain),
        1 => (0_u8..3).prop_map(Step::Register),
        6 => Just(Step::Read),
    ]
}

const STREAM: &str = "history";

fn shard_id(number: usize) -> kcl_core::ShardId {
    kcl_core::ShardId::new(format!("shardId-{number:012}")).expect("not empty")
}

/// All that a reader can see; reading it is itself one of the steps.
fn visible(kinesis: &Kinesis, now: EpochMillis) -> String {
    let stream = StreamRef::name(STREAM);
    let mut seen = format!("{:?}", kinesis.describe_stream_summary(stream.clone(), now));
    let shards = kinesis.list_shards(ListShardsRequest::all(stream.clone()), now);
    seen += &format!("{shards:?}");
    for shard in shards.into_iter().flat_map(|response| response.shards) {
        let (stream, shard_id) = (stream.clone(), shard.shard_id);
        let position = StartingPosition::TrimHorizon;
        let iterator =
            kinesis.get_shard_iterator(GetShardIteratorRequest { stream, shard_id, position }, now);
        let read = iterator.and_then(|iterator| kinesis.get_records(GetRecordsRequest::new(iterator), now));
        seen += &match read {
            Ok(read) => {
                let records = read.records.iter().map(|record| (record.sequence_number, record.arrival));
                format!("{:?} {:?}", records.collect::<Vec<_>>(), read.child_shards)
            }
            Err(error) => error.to_string(),
        };
    }
    seen
}

/// The answers to the writes of `steps`, and what can be seen long after them.
fn history(settings: &Settings, steps: &[Step], reads: bool) -> (Vec<String>, String) {
    let kinesis = Kinesis::new(settings.clone());
    let mut now = EpochMillis(1_700_000_000_000);
    let stream = || StreamRef::name(STREAM);
    let mut answers =
        vec![format!("{:?}", kinesis.create_stream(CreateStreamRequest::provisioned(STREAM, 2), now))];
    now = now.after(Duration::from_secs(60));
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/history".to_owned();
    for step in steps {
        if !matches!(step, Step::Wait(_) | Step::Read) {
            // As `carry_out` does before each logged operation.
            kinesis.advance(now);
        }
        answers.push(match step.clone() {
            Step::Wait(millis) => {
                now = EpochMillis(now.0 + millis);
                continue;
            }
            Step::Read => {
                if reads {
                    visible(&kinesis, now);
                }
                continue;
            }
            Step::Put { key, bytes } => {
                let request = PutRecordRequest::new(stream(), key.to_string(), vec![0; bytes]);
                format!("{:?}", kinesis.put_record(request, now))
            }
            Step::Split { shard, at } => {
                let new_starting_hash_key = kcl_core::HashKey(at);
                let shard_to_split = shard_id(shard);
                let request = SplitShardRequest { stream: stream(), shard_to_split, new_starting_hash_key };
                format!("{:?}", kinesis.split_shard(request, now))
            }
            Step::Merge { shard, adjacent } => {
                let (shard_to_merge, adjacent_shard_to_merge) = (shard_id(shard), shard_id(adjacent));
                let request =
                    MergeShardsRequest { stream: stream(), shard_to_merge, adjacent_shard_to_merge };
                format!("{:?}", kinesis.merge_shards(request, now))
            }
            Step::Resize(target_shard_count) => {
                let scaling_type = ScalingType::Uniform;
                let request = UpdateShardCountRequest { stream: stream(), target_shard_count, scaling_type };
                format!("{:?}", kinesis.update_shard_count(request, now))
            }
            Step::Retain(hours) => {
                format!("{:?}", kinesis.increase_stream_retention_period(stream(), hours, now))
            }
            Step::Register(name) => {
                let (stream_arn, consumer_name) = (arn.clone(), format!("consumer-{name}"));
                let request = RegisterStreamConsumerRequest { stream_arn, consumer_name };
                format!("{:?}", kinesis.register_stream_consumer(request, now))
            }
        });
    }
    now = now.after(Duration::from_secs(600));
    (answers, visible(&kinesis, now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// The log holds writes only. It replays rightly because reads, which apply what has fallen due, change no answer
    /// to a write and nothing that can be seen later.
    #[test]
    fn what_is_read_between_writes_changes_nothing(
        steps in proptest::collection::vec(step(), 1..60), limits: bool, slow: bool, trims: bool,
    ) {
        let settings = Settings {
            limits: if limits { Limits::Aws } else { Limits::Off },
            control_plane: if slow { ControlPlane::Aws } else { ControlPlane::Instant },
            when_full: if trims { WhenFull::TrimOldest } else { WhenFull::Refuse },
            stored_bytes_max: Some(100_000),
            ..Settings::default()
        };
        prop_assert_eq!(history(&settings, &steps, true), history(&settings, &steps, false));
    }
}
