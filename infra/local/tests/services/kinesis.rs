use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, PutRecordsResultEntry, ShardIteratorType, StartingPosition,
    SubscribeToShardEvent, SubscribeToShardEventStream as Event,
};
use local::{Limits, WhenFull};

use crate::{Local, soon};

pub(crate) const FIRST_SHARD: &str = "shardId-000000000000";
/// Half of the hash space.
pub(crate) const MIDDLE: &str = "170141183460469231731687303715884105728";

pub(crate) async fn create(client: &Client, stream: &str, shards: i32) {
    client.create_stream().stream_name(stream).shard_count(shards).send().await.expect("created");
}

pub(crate) async fn put(client: &Client, stream: &str, bodies: &[&str]) -> Vec<PutRecordsResultEntry> {
    let entries = bodies.iter().map(|body| {
        PutRecordsRequestEntry::builder()
            .data(Blob::new(*body))
            .partition_key(*body)
            .build()
            .expect("complete")
    });
    let request = client.put_records().stream_name(stream).set_records(Some(entries.collect()));
    let output = request.send().await.expect("put");
    assert_eq!(output.failed_record_count(), Some(0));
    output.records
}

pub(crate) async fn get(client: &Client, iterator: impl Into<String>) -> GetRecordsOutput {
    client.get_records().shard_iterator(iterator).send().await.expect("read")
}

pub(crate) async fn iterator(client: &Client, stream: &str, shard: &str, kind: ShardIteratorType) -> String {
    let request = client.get_shard_iterator().stream_name(stream).shard_id(shard).shard_iterator_type(kind);
    request.send().await.expect("an iterator").shard_iterator.expect("an iterator")
}

pub(crate) fn bodies(output: &GetRecordsOutput) -> Vec<&str> {
    output.records().iter().map(|record| std::str::from_utf8(record.data().as_ref()).expect("text")).collect()
}

#[tokio::test]
async fn records_come_back_as_they_were_put() {
    let (local, stream) = (Local::start(), "records");
    let client = local.kinesis();
    create(&client, stream, 1).await;
    let latest = iterator(&client, stream, FIRST_SHARD, ShardIteratorType::Latest).await;
    let receipts = put(&client, stream, &["a", "ü\n\"", "c"]).await;

    let output = get(&client, latest).await;
    assert_eq!(bodies(&output), ["a", "ü\n\"", "c"]);
    for (record, receipt) in output.records().iter().zip(&receipts) {
        assert_eq!(Some(record.sequence_number()), receipt.sequence_number());
        assert_eq!(record.partition_key().map(str::as_bytes), Some(record.data().as_ref()));
    }
    let next = output.next_shard_iterator().expect("the shard is open").to_owned();
    assert!(bodies(&get(&client, next).await).is_empty());

    let after = client
        .get_shard_iterator()
        .stream_name(stream)
        .shard_id(FIRST_SHARD)
        .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
        .starting_sequence_number(receipts[0].sequence_number().expect("stored"));
    let after = after.send().await.expect("an iterator").shard_iterator.expect("an iterator");
    assert_eq!(bodies(&get(&client, after).await), ["ü\n\"", "c"]);
}

#[tokio::test]
async fn a_split_ends_the_parent_and_names_its_children() {
    let (local, stream) = (Local::start(), "split");
    let client = local.kinesis();
    create(&client, stream, 1).await;
    put(&client, stream, &["before"]).await;
    let split = client.split_shard().stream_name(stream).shard_to_split(FIRST_SHARD);
    split.new_starting_hash_key(MIDDLE).send().await.expect("split");
    let receipts = put(&client, stream, &["after-1", "after-2", "after-3"]).await;
    assert!(receipts.iter().all(|receipt| receipt.shard_id() != Some(FIRST_SHARD)));

    let (mut next, mut seen, mut children) = (
        Some(iterator(&client, stream, FIRST_SHARD, ShardIteratorType::TrimHorizon).await),
        Vec::new(),
        Vec::new(),
    );
    while let Some(iterator) = next {
        let output = get(&client, iterator).await;
        seen.extend(bodies(&output).into_iter().map(str::to_owned));
        children.extend(output.child_shards().to_vec());
        next = output.next_shard_iterator;
    }
    assert_eq!(seen, ["before"]);
    assert_eq!(children.len(), 2);
    assert!(children.iter().all(|child| child.parent_shards() == [FIRST_SHARD]));
}

#[tokio::test]
async fn a_subscription_pushes_what_is_put_and_ends_with_its_shard() {
    let (local, stream) = (Local::start(), "push");
    let client = local.kinesis();
    create(&client, stream, 1).await;
    let arn = client.describe_stream_summary().stream_name(stream).send().await.expect("described");
    let arn = arn.stream_description_summary.expect("a summary").stream_arn;
    let consumer = client.register_stream_consumer().stream_arn(arn).consumer_name("reader").send().await;
    let consumer = consumer.expect("registered").consumer.expect("a consumer").consumer_arn;
    let position = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().expect("complete");
    let subscribe = || {
        let request = client.subscribe_to_shard().consumer_arn(&consumer).shard_id(FIRST_SHARD);
        request.starting_position(position.clone()).send()
    };
    // The shard is idle: without the initial response this would not return.
    let mut events = soon(subscribe()).await.expect("subscribed").event_stream;
    let second = subscribe().await.expect_err("one subscription at a time");
    assert_eq!(second.code(), Some("ResourceInUseException"));

    put(&client, stream, &["pushed"]).await;
    let record = soon(async {
        loop {
            let Some(Event::SubscribeToShardEvent(event)) = events.recv().await.expect("no error") else {
                panic!("the stream ended before the record");
            };
            if let Some(record) = event.records.into_iter().next() {
                return record;
            }
        }
    });
    assert_eq!(record.await.data.as_ref(), b"pushed");

    let split = client.split_shard().stream_name(stream).shard_to_split(FIRST_SHARD);
    split.new_starting_hash_key(MIDDLE).send().await.expect("split");
    let mut last: Option<SubscribeToShardEvent> = None;
    while let Some(Event::SubscribeToShardEvent(event)) = soon(events.recv()).await.expect("no error") {
        last = Some(event);
    }
    assert_eq!(last.expect("a last event").child_shards().len(), 2);
}

#[tokio::test]
async fn a_shutdown_ends_subscriptions_at_once() {
    let (local, stream) = (Local::start(), "stop");
    let client = local.kinesis();
    create(&client, stream, 1).await;
    let arn = client.describe_stream_summary().stream_name(stream).send().await.expect("described");
    let arn = arn.stream_description_summary.expect("a summary").stream_arn;
    let consumer = client.register_stream_consumer().stream_arn(arn).consumer_name("reader").send().await;
    let consumer = consumer.expect("registered").consumer.expect("a consumer").consumer_arn;
    let position = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().expect("complete");
    let request =
        client.subscribe_to_shard().consumer_arn(consumer).shard_id(FIRST_SHARD).starting_position(position);
    let mut events = request.send().await.expect("subscribed").event_stream;
    let stopped = tokio::task::spawn_blocking(move || local.services.shutdown());
    assert!(
        !matches!(soon(events.recv()).await, Ok(Some(Event::SubscribeToShardEvent(event))) if !event.records.is_empty())
    );
    soon(stopped).await.expect("stopped");
}

#[tokio::test]
async fn refusals_are_typed() {
    let local = Local::start_with(|settings| settings.limits = Limits::Aws);
    let client = local.kinesis();
    let missing = client.describe_stream_summary().stream_name("none").send().await.expect_err("no stream");
    assert!(missing.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()));

    create(&client, "busy", 1).await;
    // At once, since a busy machine may need a second for each: then none would be too much.
    let puts = (0..4).map(|_| {
        let put = client.put_record().stream_name("busy").partition_key("key");
        tokio::spawn(put.data(Blob::new(vec![0; 900_000])).send())
    });
    let mut stored = 0;
    for put in puts.collect::<Vec<_>>() {
        match soon(put).await.expect("no panic") {
            Ok(_receipt) => stored += 1,
            Err(refused) => {
                let error = refused.into_service_error();
                assert!(error.is_provisioned_throughput_exceeded_exception(), "{error:?}");
            }
        }
    }
    assert!((1..4).contains(&stored), "{stored} of 4 in about a second");
}

#[tokio::test]
async fn an_iterator_expires_after_the_time_that_was_set() {
    let local = Local::start_with(|settings| settings.iterator_ttl = Duration::from_millis(100));
    let client = local.kinesis();
    create(&client, "expiry", 1).await;
    let iterator = iterator(&client, "expiry", FIRST_SHARD, ShardIteratorType::TrimHorizon).await;
    let expired = soon(async {
        loop {
            match client.get_records().shard_iterator(&iterator).send().await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    });
    assert_eq!(expired.await.code(), Some("ExpiredIteratorException"));
}

#[tokio::test]
async fn a_full_kinesis_does_what_its_policy_says() {
    for policy in [WhenFull::Refuse, WhenFull::TrimOldest] {
        let local = Local::start_with(|settings| {
            settings.kinesis_bytes_max = 16 << 20;
            settings.when_full = policy;
        });
        let client = local.kinesis();
        create(&client, "full", 1).await;
        let mut refused = 0;
        for _ in 0..20 {
            let put = client.put_record().stream_name("full").partition_key("key");
            refused += usize::from(put.data(Blob::new(vec![0; 1_000_000])).send().await.is_err());
        }
        match policy {
            WhenFull::Refuse => assert!((3..=4).contains(&refused), "{refused} of 20 do not fit"),
            WhenFull::TrimOldest => assert_eq!(refused, 0),
        }
    }
}
