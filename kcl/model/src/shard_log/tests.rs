use super::*;

const START: EpochMillis = EpochMillis(1_700_000_000_000);
const ALL: ReadLimits = ReadLimits { records_max: 10_000, bytes_max: 10 << 20 };

fn at(millis: u64) -> EpochMillis {
    EpochMillis(START.0 + millis)
}

fn log_with(settings: &Settings) -> ShardLog {
    let stored = Arc::new(StoredBytes::new(settings.stored_bytes_max, settings.when_full));
    let options = LogOptions::new(settings, Duration::from_secs(3600), stored);
    ShardLog::new(SequenceSpace::new(3, START.seconds()), &options, START)
}

fn log() -> ShardLog {
    log_with(&Settings::default())
}

fn put(log: &mut ShardLog, data: &str, now: EpochMillis) -> SequenceNumber {
    match log.append(&Bytes::copy_from_slice(data.as_bytes()), &"k".into(), now) {
        Append::Stored(number) => number,
        refused @ (Append::Throttled | Append::Full | Append::Closed) => {
            panic!("{data} was refused: {refused:?}")
        }
    }
}

fn texts(read: &Read) -> Vec<&str> {
    read.records.iter().map(|record| std::str::from_utf8(&record.data).expect("text")).collect()
}

fn from(log: &mut ShardLog, position: StartingPosition, now: EpochMillis) -> Vec<String> {
    let offset = log.resolve(position, now).expect("a position of this shard");
    texts(&log.read(offset, ALL, now)).into_iter().map(str::to_owned).collect()
}

#[test]
fn every_kind_of_position_is_found() {
    let mut log = log();
    put(&mut log, "a", at(10));
    let b = put(&mut log, "b", at(20));
    put(&mut log, "c", at(20));
    let now = at(30);
    assert_eq!(from(&mut log, StartingPosition::TrimHorizon, now), ["a", "b", "c"]);
    assert_eq!(from(&mut log, StartingPosition::AtSequenceNumber(b), now), ["b", "c"]);
    assert_eq!(from(&mut log, StartingPosition::AfterSequenceNumber(b), now), ["c"]);
    assert_eq!(from(&mut log, StartingPosition::AtTimestamp(at(11)), now), ["b", "c"]);
    assert_eq!(from(&mut log, StartingPosition::AtTimestamp(at(20)), now), ["b", "c"]);
    assert!(from(&mut log, StartingPosition::AtTimestamp(at(21)), now).is_empty());
    assert!(from(&mut log, StartingPosition::Latest, now).is_empty());
    let start = log.sequences.starting();
    assert_eq!(from(&mut log, StartingPosition::AtSequenceNumber(start), now), ["a", "b", "c"]);
}

#[test]
fn a_continuation_goes_on_at_and_after_it_alike() {
    let mut log = log();
    for text in ["a", "b"] {
        put(&mut log, text, at(0));
    }
    for (offset, expected) in [(0, vec!["a", "b"]), (1, vec!["b"]), (2, vec![])] {
        let number = log.continuation(offset);
        assert_eq!(from(&mut log, StartingPosition::AtSequenceNumber(number), at(1)), expected);
        assert_eq!(from(&mut log, StartingPosition::AfterSequenceNumber(number), at(1)), expected);
    }
}

#[test]
fn foreign_and_future_positions_are_refused() {
    let mut log = log();
    let foreign = SequenceSpace::new(4, START.seconds()).record(0, START);
    let unborn = log.sequences.record(0, START);
    let ending = log.sequences.ending();
    for number in [foreign, unborn, ending] {
        let position = StartingPosition::AtSequenceNumber(number);
        assert_eq!(log.resolve(position, at(0)), Err(PositionRefused::Foreign(number)));
    }
    assert_eq!(log.resolve(StartingPosition::AtTimestamp(at(1)), at(0)), Err(PositionRefused::Future(at(1))));
}

#[test]
fn a_closed_log_refuses_records_and_ends_for_every_reader() {
    let mut log = log();
    put(&mut log, "a", at(0));
    let latest = log.resolve(StartingPosition::Latest, at(0)).expect("found");
    log.close(Vec::new(), at(1));
    assert_eq!(log.append(&Bytes::new(), &"k".into(), at(2)), Append::Closed);
    let read = log.read(0, ALL, at(2));
    assert_eq!((texts(&read), &read.end), (vec!["a"], &Some(Vec::new())));
    assert!(log.read(latest, ALL, at(2)).end.is_some());
    let after_end = StartingPosition::AfterSequenceNumber(log.sequences.ending());
    assert_eq!(log.resolve(after_end, at(2)), Ok(1));
}

#[test]
fn an_open_log_never_ends_and_a_partly_read_one_neither() {
    let mut log = log();
    put(&mut log, "a", at(0));
    put(&mut log, "b", at(0));
    assert!(log.read(0, ALL, at(0)).end.is_none());
    log.close(Vec::new(), at(1));
    let first = log.read(0, ReadLimits { records_max: 1, ..ALL }, at(1));
    assert!(first.end.is_none() && first.next_offset == 1);
}

#[test]
fn lag_is_the_age_of_the_oldest_unread_record() {
    let mut log = log();
    put(&mut log, "a", at(0));
    put(&mut log, "b", at(5));
    let one = ReadLimits { records_max: 1, ..ALL };
    assert_eq!(log.read(0, one, at(30)).millis_behind, 25);
    assert_eq!(log.read(0, one, at(5)).millis_behind, 1, "unread records are never no lag");
    assert_eq!(log.read(1, one, at(30)).millis_behind, 0);
}

#[test]
fn an_answer_stops_at_the_byte_limit_but_gives_one_record() {
    let mut log = log();
    for _ in 0..3 {
        put(&mut log, "0123456789", at(0));
    }
    let read_with =
        |log: &mut ShardLog, bytes_max| log.read(0, ReadLimits { bytes_max, ..ALL }, at(0)).records.len();
    assert_eq!([21, 22, 1].map(|bytes_max| read_with(&mut log, bytes_max)), [1, 2, 1]);
}

#[test]
fn retention_hides_records_to_the_millisecond_and_frees_segments() {
    let mut log = log();
    put(&mut log, "a", at(0));
    put(&mut log, "b", at(10));
    let hour = 3_600_000;
    assert_eq!(from(&mut log, StartingPosition::TrimHorizon, at(hour)), ["a", "b"]);
    assert_eq!(from(&mut log, StartingPosition::TrimHorizon, at(hour + 1)), ["b"]);
    assert_eq!(log.stored.held(), 4);
    assert!(from(&mut log, StartingPosition::TrimHorizon, at(hour + 11)).is_empty());
    assert_eq!(log.stored.held(), 0);
}

#[test]
fn longer_retention_does_not_bring_expired_records_back() {
    let mut log = log();
    put(&mut log, "a", at(0));
    put(&mut log, "b", at(10));
    log.retain_for(Duration::from_secs(7200), at(3_600_005));
    assert_eq!(from(&mut log, StartingPosition::TrimHorizon, at(3_600_005)), ["b"]);
}

#[test]
fn arrival_never_steps_back() {
    let mut log = log();
    put(&mut log, "a", at(10));
    put(&mut log, "b", at(3));
    let arrivals: Vec<_> = log.read(0, ALL, at(10)).records.iter().map(|record| record.arrival).collect();
    assert_eq!(arrivals, [at(10), at(10)]);
}

#[test]
fn a_full_store_refuses() {
    let mut log = log_with(&Settings {
        stored_bytes_max: Some(5),
        when_full: crate::WhenFull::Refuse,
        ..Settings::default()
    });
    put(&mut log, "1234", at(0));
    assert_eq!(log.append(&Bytes::new(), &"k".into(), at(0)), Append::Full);
}

#[test]
fn throttles_are_counted() {
    let mut log = log_with(&Settings { limits: Limits::Aws, ..Settings::default() });
    let mebibyte = Bytes::from(vec![0; (1 << 20) - 1]);
    assert!(matches!(log.append(&mebibyte, &"k".into(), at(0)), Append::Stored(_)));
    assert_eq!(log.append(&mebibyte, &"k".into(), at(0)), Append::Throttled);
    let calls =
        (0..6).filter(|_| log.poll_read(0, ReadLimits { records_max: 0, ..ALL }, at(0)).is_ok()).count();
    assert_eq!(calls, 5);
    let minute = &log.metrics()[0];
    assert_eq!(minute.statistic(Metric::WriteProvisionedThroughputExceeded).sum, 1);
    assert_eq!(minute.statistic(Metric::ReadProvisionedThroughputExceeded).sum, 1);
    assert_eq!(minute.statistic(Metric::IncomingBytes).sum, 1 << 20);
}

#[test]
fn many_segments_read_as_one_run() {
    let mut log = log();
    let data = Bytes::from(vec![7; 300]);
    for index in 0..10_000 {
        let key = PartitionKey::from(format!("{index:012}"));
        assert!(matches!(log.append(&data, &key, at(index)), Append::Stored(_)));
    }
    assert!(log.segments.len() > 3, "the test must span segments");
    let (mut offset, mut count) = (0, 0);
    while offset < 10_000 {
        let read = log.read(offset, ReadLimits { records_max: 777, ..ALL }, at(10_000));
        for record in &read.records {
            assert_eq!(record.partition_key.as_str(), format!("{count:012}"));
            count += 1;
        }
        offset = read.next_offset;
    }
    assert_eq!(count, 10_000);
    assert!(from(&mut log, StartingPosition::AtTimestamp(at(9_999)), at(10_000)).len() == 1);
}

#[test]
fn small_records_cost_little_more_than_their_bytes() {
    let mut log = log();
    let data = Bytes::from(vec![7; 300]);
    for index in 0..20_000 {
        log.append(&data, &PartitionKey::from(format!("{index:012}")), at(0));
    }
    let memory: usize = log.segments.iter().map(Segment::memory_bytes).sum();
    let stored = log.stored.held() as usize;
    assert!(memory * 10 <= stored * 16, "{memory} bytes of memory for {stored} bytes of records");
}
