//! Puts, iterators and reads.

use std::time::Duration;

use kinesis_model::*;

use crate::world::{MIDDLE, World, code, shard_id, stream, texts};

fn entries(count: usize, bytes: usize) -> Vec<PutRecordsEntry> {
    (0..count).map(|index| PutRecordsEntry::new(format!("{index}"), vec![b'x'; bytes])).collect()
}

fn put_all(world: &World, records: Vec<PutRecordsEntry>) -> Result<PutRecordsResponse> {
    world.kinesis.put_records(PutRecordsRequest { stream: stream(), records }, world.now)
}

#[test]
fn partition_keys_spread_over_the_shards_by_their_hash() {
    let world = World::new(2);
    let response = put_all(&world, entries(20, 10)).expect("accepted");
    assert_eq!(response.failed_record_count, 0);
    for (index, receipt) in response.records.into_iter().enumerate() {
        let hash = kcl_core::HashKey::of_partition_key(&index.to_string());
        let expected = shard_id(u32::from(hash.0 >= MIDDLE));
        assert_eq!(receipt.expect("stored").shard_id, expected);
    }
}

#[test]
fn a_request_keeps_its_order_within_each_shard() {
    let world = World::new(2);
    let records = (0..100).map(|index| PutRecordsEntry::new(format!("{index}"), index.to_string())).collect();
    put_all(&world, records).expect("accepted");
    for shard in 0..2 {
        let read = world.read(&world.iterator(shard, StartingPosition::TrimHorizon));
        let numbers: Vec<u32> =
            texts(&read.records).into_iter().map(|text| text.parse().expect("a number")).collect();
        assert!(numbers.is_sorted() && numbers.len() > 20, "{numbers:?}");
        assert!(read.records.is_sorted_by_key(|record| record.sequence_number));
    }
}

#[test]
fn sizes_and_counts_are_bounded() {
    let world = World::new(1);
    let mebibyte = 1 << 20;
    assert_eq!(code(put_all(&world, entries(501, 1))), "ValidationException");
    assert_eq!(code(put_all(&world, Vec::new())), "ValidationException");
    assert_eq!(code(put_all(&world, entries(1, mebibyte))), "ValidationException", "the key counts too");
    assert_eq!(code(put_all(&world, entries(1, mebibyte - 1))), "accepted");
    assert_eq!(code(put_all(&world, entries(6, mebibyte - 1))), "InvalidArgumentException");
    for key in [String::new(), "ä".repeat(257)] {
        let request = PutRecordRequest::new(stream(), key, "x");
        assert_eq!(code(world.kinesis.put_record(request, world.now)), "ValidationException");
    }
    let longest = PutRecordRequest::new(stream(), "ä".repeat(256), "x");
    assert_eq!(code(world.kinesis.put_record(longest, world.now)), "accepted");
}

#[test]
fn great_records_are_a_setting_of_the_stream() {
    let world = World::new(1);
    world.kinesis.update_max_record_size(stream(), 10_240, world.now).expect("in bounds");
    assert_eq!(code(put_all(&world, entries(1, (10 << 20) - 1))), "accepted");
    assert_eq!(code(put_all(&world, entries(9, 1 << 20))), "accepted");
    assert_eq!(code(put_all(&world, entries(11, 1 << 20))), "InvalidArgumentException");
    let read = world.read(&world.iterator(0, StartingPosition::TrimHorizon));
    assert_eq!(read.records.len(), 1, "ten mebibytes are a whole answer");
}

#[test]
fn an_answer_carries_ten_mebibytes_and_ten_thousand_records() {
    let world = World::new(1);
    for _ in 0..12 {
        put_all(&world, entries(1, 1_000_000)).expect("accepted");
    }
    let read = world.read(&world.iterator(0, StartingPosition::TrimHorizon));
    assert_eq!(read.records.len(), 10);
    let rest = world.read(&read.next_shard_iterator.expect("the shard is open"));
    assert_eq!(rest.records.len(), 2);

    let world = World::new(1);
    for _ in 0..21 {
        put_all(&world, entries(500, 1)).expect("accepted");
    }
    let iterator = world.iterator(0, StartingPosition::TrimHorizon);
    assert_eq!(world.read(&iterator).records.len(), 10_000);
    let limited = |limit| GetRecordsRequest { limit: Some(limit), ..GetRecordsRequest::new(&iterator) };
    let few = world.kinesis.get_records(limited(3), world.now).expect("in bounds");
    assert_eq!(few.records.len(), 3);
    for limit in [0, 10_001] {
        assert_eq!(code(world.kinesis.get_records(limited(limit), world.now)), "ValidationException");
    }
}

#[test]
fn lag_is_zero_only_at_the_tip() {
    let mut world = World::new(1);
    world.put("a");
    world.pass(Duration::from_millis(50));
    world.put("b");
    let request = GetRecordsRequest {
        limit: Some(1),
        ..GetRecordsRequest::new(world.iterator(0, StartingPosition::TrimHorizon))
    };
    world.pass(Duration::from_millis(7));
    let behind = world.kinesis.get_records(request, world.now).expect("good");
    assert_eq!(behind.millis_behind_latest, 7);
    let tip = world.read(&behind.next_shard_iterator.expect("open"));
    assert_eq!((texts(&tip.records), tip.millis_behind_latest), (vec!["b"], 0));
}

#[test]
fn an_empty_at_timestamp_sees_what_comes_next_and_no_future() {
    let mut world = World::new(1);
    world.put("a");
    world.pass(Duration::from_millis(1));
    let empty = world.read(&world.iterator(0, StartingPosition::AtTimestamp(world.now)));
    assert!(empty.records.is_empty());
    world.put("b");
    assert_eq!(texts(&world.read(&empty.next_shard_iterator.expect("open")).records), ["b"]);
    let future = StartingPosition::AtTimestamp(EpochMillis(world.now.0 + 1));
    assert_eq!(code(world.try_iterator(0, future)), "InvalidArgumentException");
}

#[test]
fn iterators_expire_and_bogus_ones_are_refused() {
    let mut world = World::new(1);
    let iterator = world.iterator(0, StartingPosition::Latest);
    assert_eq!(
        code(world.kinesis.get_records(GetRecordsRequest::new("bogus"), world.now)),
        "InvalidArgumentException"
    );
    world.pass(Duration::from_secs(300));
    let renewed = world.read(&iterator).next_shard_iterator.expect("open");
    world.pass(Duration::from_millis(1));
    let expired = world.kinesis.get_records(GetRecordsRequest::new(&iterator), world.now);
    assert_eq!(code(expired), "ExpiredIteratorException");
    assert!(world.read(&renewed).records.is_empty());
}

#[test]
fn iterators_belong_to_one_stream() {
    let world = World::new(1);
    let iterator = world.iterator(0, StartingPosition::Latest);
    let arn = world.summary().stream_arn;
    let read = |stream_arn: &str| {
        let request = GetRecordsRequest {
            stream_arn: Some(stream_arn.to_owned()),
            ..GetRecordsRequest::new(&iterator)
        };
        code(world.kinesis.get_records(request, world.now))
    };
    assert_eq!((read(&arn), read(&format!("{arn}x"))), ("accepted", "InvalidArgumentException"));

    let delete = DeleteStreamRequest { stream: stream(), ..DeleteStreamRequest::default() };
    world.kinesis.delete_stream(delete, world.now).expect("active");
    world.kinesis.create_stream(CreateStreamRequest::provisioned("s", 1), world.now).expect("free again");
    let stale = world.kinesis.get_records(GetRecordsRequest::new(&iterator), world.now);
    assert_eq!(code(stale), "ResourceNotFoundException");
}

#[test]
fn write_limits_hold_per_shard_and_per_record() {
    let mut world = World::aws(2);
    let hot = |count| {
        let hot = |entry| PutRecordsEntry { explicit_hash_key: Some(kcl_core::HashKey(0)), ..entry };
        entries(count, 10).into_iter().map(hot).collect::<Vec<_>>()
    };
    put_all(&world, hot(500)).expect("accepted");
    put_all(&world, hot(490)).expect("accepted");
    let response = put_all(&world, hot(500)).expect("accepted in part");
    assert_eq!(response.failed_record_count, 490);
    assert!(response.records[..10].iter().all(std::result::Result::is_ok));
    let refused = response.records.into_iter().next_back().expect("500 outcomes");
    assert_eq!(code(refused), "ProvisionedThroughputExceededException");

    let request = |hash| PutRecordRequest {
        explicit_hash_key: Some(kcl_core::HashKey(hash)),
        ..PutRecordRequest::new(stream(), "k", "x")
    };
    let put = |world: &World, hash| code(world.kinesis.put_record(request(hash), world.now));
    assert_eq!(put(&world, 0), "ProvisionedThroughputExceededException");
    assert_eq!(put(&world, MIDDLE), "accepted");
    world.pass(Duration::from_millis(1));
    assert_eq!(put(&world, 0), "accepted");
}

#[test]
fn read_limits_hold_per_shard() {
    let mut world = World::aws(1);
    let iterator = world.iterator(0, StartingPosition::TrimHorizon);
    let read = |world: &World| code(world.kinesis.get_records(GetRecordsRequest::new(&iterator), world.now));
    assert!((0..5).all(|_| read(&world) == "accepted"));
    assert_eq!(read(&world), "ProvisionedThroughputExceededException");
    world.pass(Duration::from_millis(200));
    assert_eq!(read(&world), "accepted");
    let metrics = world.kinesis.stream_metrics(stream(), world.now).expect("exists");
    let throttled: u64 = metrics
        .stream
        .iter()
        .map(|minute| minute.statistic(Metric::ReadProvisionedThroughputExceeded).sum)
        .sum();
    assert_eq!(throttled, 1);
}

#[test]
fn a_full_model_trims_the_oldest_records_of_all_streams() {
    let mut world = World::with(Settings { stored_bytes_max: Some(3 << 20), ..Settings::default() }, 2);
    let put = |world: &World, hash| world.put_at(hash, &"x".repeat(1_000_000));
    put(&world, 0);
    world.pass(Duration::from_millis(1));
    for _ in 0..3 {
        put(&world, MIDDLE);
    }
    assert!(world.kinesis.stored_bytes() <= 3 << 20);
    let counts =
        [0, 1].map(|shard| world.read(&world.iterator(shard, StartingPosition::TrimHorizon)).records.len());
    assert_eq!(counts, [0, 3], "the oldest record lies in the other shard");
}

#[test]
fn a_full_model_refuses_if_told_so() {
    let settings =
        Settings { stored_bytes_max: Some(10), when_full: WhenFull::Refuse, ..Settings::default() };
    let world = World::with(settings, 1);
    let response = put_all(&world, entries(2, 8)).expect("accepted in part");
    assert_eq!(response.failed_record_count, 1);
    assert_eq!(code(response.records.into_iter().next_back().expect("two")), "InternalFailure");
    assert_eq!(world.kinesis.stored_bytes(), 9);
}

#[test]
fn metrics_are_kept_per_minute_for_stream_and_shard() {
    let mut world = World::new(2);
    world.put_at(0, "12345");
    world.put_at(MIDDLE, "1");
    world.pass(Duration::from_secs(60));
    world.put_at(0, "1");
    world.pass(Duration::from_millis(30));
    world.read(&world.iterator(0, StartingPosition::TrimHorizon));
    let metrics = world.kinesis.stream_metrics(stream(), world.now).expect("exists");
    let sums: Vec<_> =
        metrics.stream.iter().map(|minute| minute.statistic(Metric::IncomingBytes).sum).collect();
    assert_eq!(sums, [8 + 4, 4]);
    let first = &metrics.shards[&shard_id(0)];
    assert_eq!(first[0].statistic(Metric::IncomingRecords).sum, 1);
    assert_eq!(first[1].statistic(Metric::GetRecordsRecords).sum, 2);
    assert_eq!(first[1].statistic(Metric::GetRecordsIteratorAgeMilliseconds).max, 30);
}
