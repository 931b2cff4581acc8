use std::sync::Arc;

use bytes::Bytes;
use kcl::{Record, ShardTelemetry};
use kcl_core::{HashKey, HashKeyRange, LeaseKey, RecordPosition, SequenceNumber};
use proptest::prelude::*;

use super::*;
use crate::{Boundaries, OpenShard};

const STREAM: StreamDigest = StreamDigest(7);
const START: u64 = 29_000_000 * 60_000;
const NOW: EpochMillis = EpochMillis(START + 180_000);
const ANSWER_INTERVAL: u64 = 200;

fn layout(count: u32) -> Layout {
    let ranges = Boundaries::uniform(count);
    let shards = ranges.ranges().enumerate().map(|(place, range)| OpenShard { id: shard(place), range });
    Layout::new(shards.collect()).expect("covers")
}

fn shard(place: usize) -> ShardId {
    ShardId::new(format!("shardId-{place:012}")).expect("valid")
}

fn item(place: usize, row: &TelemetryRow) -> TelemetryItem {
    let key = LeaseKey::from(&shard(place));
    TelemetryItem { key, row: row.encode(), expires_epoch_seconds: 0 }
}

fn read(layout: &Layout, items: &[TelemetryItem]) -> TelemetryReading {
    let limits = ShardLimits::default();
    TelemetryReading::read(
        TelemetryScope { application: "app", stream: STREAM, layout, limits: &limits },
        items,
        NOW,
    )
}

/// The row of a shard whose reader is at the tip, with this many records of 1 kB per second, evenly spread.
fn quiet_row(range: HashKeyRange, records_per_second: u64) -> TelemetryRow {
    let mut telemetry = ShardTelemetry::new(range, 1);
    let mut put = 0;
    for second in 0..180 {
        let records: Vec<_> = (0..records_per_second)
            .map(|_| {
                put += 1;
                record(put, "explicit", START + second * 1_000)
            })
            .collect();
        telemetry.observe(&records, Duration::ZERO, START + (second + 1) * 1_000);
    }
    telemetry.row(STREAM, NOW.0)
}

fn record(sequence: u64, key: &str, arrival_epoch_millis: u64) -> Record {
    Record {
        position: RecordPosition::first_of(SequenceNumber::from_parts(0, sequence.into())),
        partition_key: Arc::from(key),
        data: Bytes::from(vec![0; 1_000 - key.len()]),
        arrival_epoch_millis,
    }
}

/// A stream of `keys` keys with shares by rank^−exponent.
struct Zipf {
    keys: Vec<(String, HashKey)>,
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(keys: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let keys = (0..keys).map(|rank| format!("user-{rank}"));
        let keys: Vec<_> = keys.map(|key| (key.clone(), HashKey::of_partition_key(&key))).collect();
        let cumulative = (1..=keys.len())
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        Self { keys, cumulative }
    }

    fn draw(&self, random: &mut fastrand::Rng) -> &(String, HashKey) {
        let drawn = random.f64() * self.cumulative.last().expect("there are keys");
        &self.keys[self.cumulative.partition_point(|&below| below <= drawn)]
    }

    /// The map of a reader that knows every key.
    fn truth(&self) -> LoadMap {
        let mut before = 0.0;
        let shares = self.cumulative.iter().map(|&below| below - std::mem::replace(&mut before, below));
        LoadMap::new([], self.keys.iter().map(|(_, hash)| *hash).zip(shares))
    }

    /// What the readers of `layout` tell of two minutes of it.
    fn rows(&self, layout: &Layout, records_per_answer: usize, seed: u64) -> Vec<TelemetryItem> {
        let boundaries = layout.boundaries();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut readers: Vec<_> = layout
            .shards()
            .iter()
            .map(|shard| (ShardTelemetry::new(shard.range, random.u64(..)), Vec::new()))
            .collect();
        let mut put = 0;
        let answers = 120_000 / ANSWER_INTERVAL;
        for answer in 0..answers {
            let arrival = NOW.0 - (answers - answer) * ANSWER_INTERVAL;
            for _ in 0..records_per_answer * readers.len() {
                put += 1;
                let (key, hash) = self.draw(&mut random);
                readers[boundaries.index_of(*hash)].1.push(record(put, key, arrival));
            }
            for (telemetry, records) in &mut readers {
                telemetry.observe(records, Duration::ZERO, arrival + ANSWER_INTERVAL);
                records.clear();
            }
        }
        let rows = readers.iter().map(|(telemetry, _)| telemetry.row(STREAM, NOW.0));
        rows.enumerate().map(|(place, row)| item(place, &row)).collect()
    }
}

#[test]
fn the_fullest_shard_of_a_skewed_stream_is_predicted_within_a_few_percent() {
    for (exponent, seed) in [(0.0, 1), (0.5, 2), (0.8, 3), (0.8, 4), (1.0, 5)] {
        let stream = Zipf::new(20_000, exponent);
        let measured = layout(8);
        let reading = read(&measured, &stream.rows(&measured, 100, seed));
        assert_eq!(reading.quality, TelemetryQuality::Current);
        let (map, truth) = (reading.load_map.expect("all shards are known"), stream.truth());
        for boundaries in [8, 12, 16, 25].map(Boundaries::uniform) {
            let (predicted, true_share) =
                (map.greatest_share(&boundaries), truth.greatest_share(&boundaries));
            let error = (predicted / true_share - 1.0).abs();
            let shards = boundaries.count();
            assert!(error < 0.06, "exponent {exponent}, {shards} shards: {predicted} of {true_share}");
        }
    }
}

#[test]
fn a_hot_key_is_a_lump_at_its_hash() {
    let stream = Zipf::new(20_000, 1.0);
    let measured = layout(4);
    let reading = read(&measured, &stream.rows(&measured, 100, 1));
    let map = reading.load_map.expect("all shards are known");
    let hottest = map.heaviest_key().expect("some are heavy");
    let share = 1.0 / stream.cumulative.last().expect("there are keys");
    assert_eq!(hottest.hash, stream.keys[0].1);
    assert!((hottest.share / share - 1.0).abs() < 0.1, "{} of {share}", hottest.share);
}

#[test]
fn minutes_of_shards_and_of_the_stream_are_exact() {
    let layout = layout(2);
    let items: Vec<_> = [(0, 30), (1, 10)]
        .map(|(place, rate)| item(place, &quiet_row(layout.shards()[place].range, rate)))
        .into();
    let reading = read(&layout, &items);
    assert_eq!(reading.age, Some(Duration::ZERO));
    assert_eq!(reading.application.behind, Some(Duration::ZERO));
    assert!(!reading.application.is_rising);
    let minutes: Vec<_> =
        reading.minutes.iter().map(|minute| (minute.start.0 - START, minute.records)).collect();
    assert_eq!(minutes, [(0, Some(2_400.0)), (60_000, Some(2_400.0))]);
    let first = &reading.shards[&shard(0)][0];
    assert_eq!((first.bytes, first.records_second_max), (Some(1_800_000.0), Some(30.0)));
    let map = reading.load_map.expect("all shards are known");
    assert!((map.share(layout.shards()[0].range) - 0.75).abs() < 1e-6);
}

#[test]
fn rows_that_are_not_believed_are_counted_by_why() {
    let layout = layout(2);
    let range = layout.shards()[0].range;
    let good = quiet_row(range, 10);
    let late = NOW.0 - 61_000;
    let rows = [
        TelemetryRow { stream: StreamDigest(8), ..good.clone() },
        TelemetryRow { written_epoch_millis: late, ..good.clone() },
        TelemetryRow { written_epoch_millis: u64::MAX, ..good.clone() },
        TelemetryRow { covered: Duration::from_secs(4), ..good.clone() },
    ];
    let mut items: Vec<_> = rows.iter().map(|row| item(0, row)).collect();
    items.push(item(1, &good));
    items.push(item(9, &TelemetryRow { behind: Some(Duration::from_secs(30)), ..good.clone() }));
    items.push(TelemetryItem { row: Bytes::from_static(b"{}"), ..item(0, &good) });
    let nothing = read(&layout, &items);
    let ignored = IgnoredRows { malformed: 1, foreign: 2, stale: 2, closed: 1, fresh: 1 };
    assert_eq!((nothing.ignored, nothing.quality), (ignored, TelemetryQuality::Absent));
    assert_eq!((nothing.application.behind, nothing.application.is_rising), (None, true));
    assert_eq!((nothing.load_map, nothing.age), (None, None));

    items.push(item(0, &good));
    let half = read(&layout, &items);
    assert_eq!((half.ignored, half.quality), (ignored, TelemetryQuality::Partial { missing: 1 }));
    assert_eq!(
        (half.load_map, half.application.behind),
        (None, None),
        "what is missing is unknown, never empty"
    );
    assert_eq!(half.shards.len(), 1);

    items.push(item(1, &quiet_row(layout.shards()[1].range, 10)));
    let whole = read(&layout, &items);
    assert_eq!(whole.quality, TelemetryQuality::Current);
    assert_eq!(
        whole.application.behind,
        Some(Duration::from_secs(30)),
        "a parent that is still being read counts"
    );
}

#[test]
fn a_reader_far_behind_tells_of_the_past() {
    let layout = layout(1);
    let row = quiet_row(HashKeyRange::FULL, 10);
    let behind = |now, before| TelemetryRow {
        behind: Some(Duration::from_secs(now)),
        behind_before: Some(Duration::from_secs(before)),
        ..row.clone()
    };
    let reading = read(&layout, &[item(0, &behind(61, 90))]);
    assert_eq!((reading.quality, reading.application.is_rising), (TelemetryQuality::Behind, false));
    assert!(reading.load_map.is_some());
    assert!(read(&layout, &[item(0, &behind(61, 20))]).application.is_rising);
    let unknown = TelemetryRow { behind: None, ..row.clone() };
    assert_eq!(read(&layout, &[item(0, &unknown)]).application.behind, None);
}

#[test]
fn a_place_is_as_loaded_as_the_limit_that_binds_there() {
    let row = quiet_row(HashKeyRange::FULL, 1);
    let mut bins = vec![kcl::LoadShare::default(); 64];
    // All bytes in the first bin, all records in the last.
    bins[0].bytes = kcl::Share(u16::MAX);
    bins[63].records = kcl::Share(u16::MAX);
    let row = TelemetryRow {
        bytes_per_second: 500_000.0,
        records_per_second: 250.0,
        samples: 1_000_000,
        bins,
        unplaced: kcl::LoadShare::default(),
        heavy_keys: Vec::new(),
        ..row
    };
    let reading = read(&layout(1), &[item(0, &row)]);
    let shares = reading.load_map.expect("known").shares(&Boundaries::uniform(2));
    assert!((shares[0] - 2.0 / 3.0).abs() < 1e-3, "{shares:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_rows_never_panic_and_never_touch_other_shards(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        raw in proptest::collection::vec(any::<u8>(), 0..1_000),
    ) {
        let layout = layout(2);
        let honest = quiet_row(layout.shards()[1].range, 10);
        let mut bytes = quiet_row(layout.shards()[0].range, 10).encode().to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let hostile = |row: Vec<u8>| TelemetryItem { row: row.into(), ..item(0, &honest) };
        for row in [bytes, raw] {
            let reading = read(&layout, &[hostile(row), item(1, &honest)]);
            prop_assert_eq!(&reading.shards[&shard(1)], &shard::minutes(&honest));
            if let Some(map) = reading.load_map {
                let shares = map.shares(&layout.boundaries());
                prop_assert!(shares.iter().all(|share| (0.0..=1.0 + 1e-9).contains(share)));
            }
        }
    }
}
