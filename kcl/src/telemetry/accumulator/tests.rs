//! Accuracy on streams whose truth is known.

use std::sync::Arc;

use bytes::Bytes;
use kcl_core::RecordPosition;
use proptest::prelude::*;

use super::*;
use crate::aggregate::AggregateBuilder;
use crate::backoff::derive_seed;

const STREAM: StreamDigest = StreamDigest(7);
const START: u64 = 29_000_000 * MINUTE_MILLIS;
const ANSWER_INTERVAL: u64 = 200;

/// A reader at the tip of a shard, and answers for it.
struct Reader {
    telemetry: ShardTelemetry,
    now: u64,
    put: u64,
}

impl Reader {
    fn new(range: HashKeyRange, seed: u64) -> Self {
        Self { telemetry: ShardTelemetry::new(range, seed), now: START, put: 0 }
    }

    fn record(&mut self, key: &str, bytes: usize, arrival_epoch_millis: u64) -> Record {
        self.put += 1;
        Record {
            position: RecordPosition::first_of(SequenceNumber::from_parts(0, u128::from(self.put))),
            partition_key: Arc::from(key),
            data: Bytes::from(vec![0; bytes - key.len()]),
            arrival_epoch_millis,
        }
    }

    /// One answer with a record for each key, evenly spread over the time since the last answer.
    fn answer<'a>(&mut self, keys: impl ExactSizeIterator<Item = &'a str>, bytes: usize) {
        let count = keys.len() as u64;
        let records: Vec<_> = keys
            .enumerate()
            .map(|(place, key)| self.record(key, bytes, self.now + place as u64 * ANSWER_INTERVAL / count))
            .collect();
        self.now += ANSWER_INTERVAL;
        self.telemetry.observe(&records, Duration::ZERO, self.now);
    }

    fn row(&self) -> TelemetryRow {
        self.telemetry.row(STREAM, self.now)
    }
}

/// Keys of 1 to 9 characters, all of equal weight, drawn from a seed.
fn light_keys(seed: u64, count: u64) -> Vec<String> {
    (0..count).map(|place| (derive_seed(seed, place) % 1_000_000_000).to_string()).collect()
}

fn texts(keys: &[String]) -> impl ExactSizeIterator<Item = &str> {
    keys.iter().map(String::as_str)
}

#[test]
fn rates_and_minutes_are_exact() {
    let mut reader = Reader::new(HashKeyRange::FULL, 1);
    for _ in 0..5 * 125 {
        reader.answer(["a", "b", "c", "d"].into_iter(), 1_000);
    }
    let row = reader.row();
    assert!((row.records_per_second - 20.0).abs() < 1e-6, "{}", row.records_per_second);
    assert!((row.bytes_per_second - 20_000.0).abs() < 1e-3, "{}", row.bytes_per_second);
    assert!((60..87).contains(&row.covered.as_secs()), "{:?}", row.covered);
    assert_eq!(row.minutes.len(), 2);
    for minute in &row.minutes {
        assert_eq!((minute.bytes, minute.records), (1_200_000, 1_200));
        assert_eq!((minute.bytes_second_max, minute.records_second_max), (20_000, 20));
    }
}

#[test]
fn a_heavy_key_of_a_twentieth_is_found_with_its_share_within_a_hundredth() {
    let heavy = HashKey::of_partition_key("hot");
    for seed in 0..8 {
        let mut reader = Reader::new(HashKeyRange::FULL, seed);
        for answer in 0..900 {
            let mut keys = light_keys(seed << 32 | answer, 200);
            keys.iter_mut().step_by(20).for_each(|key| "hot".clone_into(key));
            reader.answer(texts(&keys), 500);
        }
        let row = reader.row();
        let hashes: Vec<_> = row.heavy_keys.iter().map(|heavy| heavy.hash).collect();
        assert_eq!(hashes, [heavy], "seed {seed}");
        for share in [row.heavy_keys[0].share.bytes, row.heavy_keys[0].share.records] {
            assert!((share.as_f64() - 0.05).abs() < 0.01, "seed {seed}: {share:?}");
        }
        assert!(row.heavy_keys[0].error.records.as_f64() < 0.02, "seed {seed}: {:?}", row.heavy_keys[0]);
    }
}

#[test]
fn shares_of_a_row_are_those_of_the_stream_within_the_sampling_error() {
    let mut reader = Reader::new(HashKeyRange::FULL, 3);
    for answer in 0..600 {
        // Keys of the upper half are three times as large.
        let keys = light_keys(answer, 100);
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        for key in keys {
            if HashKey::of_partition_key(&key).0 >> 127 == 1 { upper.push(key) } else { lower.push(key) }
        }
        let mut records: Vec<_> = texts(&lower).map(|key| reader.record(key, 100, reader.now)).collect();
        records.extend(texts(&upper).map(|key| reader.record(key, 300, reader.now)).collect::<Vec<_>>());
        reader.now += ANSWER_INTERVAL;
        let now = reader.now;
        reader.telemetry.observe(&records, Duration::ZERO, now);
    }
    let row = reader.row();
    let (mut bytes, mut records) = (0.0, 0.0);
    for (start, share) in row.segments() {
        if start.0 >> 127 == 1 {
            bytes += share.bytes.as_f64();
            records += share.records.as_f64();
        }
    }
    let deviation = 0.5 / f64::from(row.samples).sqrt();
    assert!((records - 0.5).abs() < 4.0 * deviation, "{records}, deviation {deviation}");
    assert!((bytes - 0.75).abs() < 4.0 * deviation, "{bytes}, deviation {deviation}");
    assert!(row.samples > 1_000, "{}", row.samples);
}

#[test]
fn a_key_that_becomes_hot_is_half_of_what_it_is_after_a_minute() {
    let mut reader = Reader::new(HashKeyRange::FULL, 5);
    for answer in 0..1_500 {
        reader.answer(texts(&light_keys(answer, 100)), 100);
    }
    assert_eq!(reader.row().heavy_keys, []);
    for answer in 0..300 {
        let mut keys = light_keys(answer, 100);
        keys.iter_mut().step_by(2).for_each(|key| "hot".clone_into(key));
        reader.answer(texts(&keys), 100);
    }
    let share = reader.row().heavy_keys[0].share.records.as_f64();
    assert!((share - 0.25).abs() < 0.04, "{share}");
}

#[test]
fn explicit_hash_keys_and_aggregates_are_unplaced() {
    let upper = HashKeyRange::new(HashKey(1 << 127), HashKey(u128::MAX)).expect("start before end");
    let mut reader = Reader::new(upper, 9);
    let (inside, outside) = ("1", "a");
    assert!(upper.contains(HashKey::of_partition_key(inside)));
    assert!(!upper.contains(HashKey::of_partition_key(outside)));
    for _ in 0..50 {
        reader.answer([inside, outside].into_iter(), 100);
    }
    let row = reader.row();
    assert!((row.unplaced.records.as_f64() - 0.5).abs() < 1e-3, "{:?}", row.unplaced);
    assert_eq!(row.heavy_keys.len(), 1);

    let mut reader = Reader::new(HashKeyRange::FULL, 9);
    let mut aggregate = AggregateBuilder::new();
    aggregate.push("x", None, b"1");
    let data = aggregate.finish();
    for _ in 0..50 {
        let record = Record { data: data.clone(), ..reader.record("a", 1, reader.now) };
        reader.now += ANSWER_INTERVAL;
        let now = reader.now;
        reader.telemetry.observe(&[record], Duration::ZERO, now);
    }
    let row = reader.row();
    assert_eq!((row.unplaced.records.as_f64(), row.heavy_keys.len()), (1.0, 0));
}

#[test]
fn records_read_again_count_once() {
    let mut reader = Reader::new(HashKeyRange::FULL, 1);
    let records: Vec<_> = (0..10).map(|place| reader.record("k", 100, START + place)).collect();
    for (records, now) in [(&records[..6], 10), (&records[2..8], 20), (&records[..10], 30)] {
        reader.telemetry.observe(records, Duration::from_millis(5), START + now);
    }
    reader.telemetry.observe(&[], Duration::ZERO, START + 2 * MINUTE_MILLIS);
    let row = reader.telemetry.row(STREAM, START + 2 * MINUTE_MILLIS);
    assert_eq!((row.minutes[0].records, row.minutes[0].bytes), (10, 1_000));
}

#[test]
fn a_reader_that_stands_still_falls_behind_and_is_compared_with_ten_minutes_ago() {
    let mut reader = Reader::new(HashKeyRange::FULL, 1);
    assert_eq!(reader.row().behind, None);
    reader.telemetry.observe(&[], Duration::from_secs(3), START);
    let row = reader.telemetry.row(STREAM, START + 10 * MINUTE_MILLIS);
    assert_eq!(row.behind, Some(Duration::from_secs(603)));
    assert_eq!(row.behind_before, Some(Duration::from_secs(3)));
    assert_eq!(reader.telemetry.row(STREAM, START + 11 * MINUTE_MILLIS).behind_before, None);
}

#[test]
fn catching_up_reports_the_rate_of_arrival_and_not_of_reading() {
    let mut reader = Reader::new(HashKeyRange::FULL, 1);
    let hour = 3_600_000;
    for answer in 0..6 {
        let first = START + answer * 1_000_000;
        let records: Vec<_> = (0..1_000).map(|place| reader.record("k", 50, first + place * 1_000)).collect();
        let behind = Duration::from_millis(START + hour * 24 - (first + 1_000_000));
        reader.telemetry.observe(&records, behind, START + hour * 24);
    }
    let row = reader.telemetry.row(STREAM, START + hour * 24);
    assert!((row.records_per_second - 1.0).abs() < 0.01, "{}", row.records_per_second);
    assert_eq!(row.minutes.len(), 6);
    assert!(row.minutes.iter().all(|minute| minute.records == 60), "{:?}", row.minutes);
}

#[test]
fn a_shard_with_many_keys_keeps_no_more_than_its_counters() {
    let mut reader = Reader::new(HashKeyRange::FULL, 1);
    for answer in 0..200 {
        reader.answer(texts(&light_keys(answer, 200)), 20);
    }
    assert_eq!(reader.telemetry.heavy.counters().len(), KEYS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn two_stretches_of_a_shard_make_the_whole(seed: u64, cut in 100_u64..500) {
        let mut parts = [Reader::new(HashKeyRange::FULL, seed), Reader::new(HashKeyRange::FULL, !seed)];
        let mut whole = Reader::new(HashKeyRange::FULL, seed);
        parts[1].now += cut * ANSWER_INTERVAL;
        parts[1].put += cut * 40;
        for answer in 0..600 {
            let mut keys = light_keys(seed ^ answer, 40);
            keys.iter_mut().step_by(4).for_each(|key| "hot".clone_into(key));
            parts[usize::from(answer >= cut)].answer(texts(&keys), 100);
            whole.answer(texts(&keys), 100);
        }
        let [mut merged, later] = parts;
        merged.telemetry.merge(later.telemetry);
        let (row, expected) = (merged.telemetry.row(STREAM, whole.now), whole.row());
        prop_assert!((row.records_per_second - expected.records_per_second).abs() < 1.0);
        prop_assert_eq!(&row.minutes, &expected.minutes);
        prop_assert_eq!(row.heavy_keys[0].hash, expected.heavy_keys[0].hash);
        let share = row.heavy_keys[0].share.records.as_f64();
        let deviation = (0.25 * 0.75 / f64::from(row.samples)).sqrt();
        prop_assert!((share - 0.25).abs() < 5.0 * deviation, "{} of {} samples", share, row.samples);
    }
}
