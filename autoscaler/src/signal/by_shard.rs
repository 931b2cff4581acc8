//! Where the load lies by CloudWatch's metrics of single shards, which tell no more than how much each shard was asked for.
//!
//! ```text
//!   minute of the stream ─▶ do its shards account for it? ─no─▶ unknown
//!   minutes of shards ────▶ accepted + rejected ─▶ weight, even over the shard's range ─▶ LoadMap
//! ```
//!
//! A minute in which shards were replaced has parts of it on the old ones and parts on the new ones, whose ranges overlap:
//! they add up, so no minute is lost to a reshard.

use std::collections::BTreeSet;

use kcl_core::{HashKey, HashKeyRange};

use super::LoadMap;
use crate::{Minute, ShardLimits, ShardMinute};

impl LoadMap {
    /// The map of one minute from the metrics of each shard that was open in it, closed since or not.
    ///
    /// A shard without a point took nothing or its point is missing: which of both, the stream's own sum tells. `None` if that
    /// is unknown, or if the shards account for too little of it.
    #[must_use]
    pub fn by_shard(
        minute: &Minute,
        shards: &[(HashKeyRange, ShardMinute)],
        limits: &ShardLimits,
    ) -> Option<Self> {
        let accepted: f64 = shards.iter().filter_map(|(_, shard)| shard.records).sum();
        if accepted < minute.records? * ACCOUNTED_MIN {
            return None;
        }
        let starts: BTreeSet<_> = shards.iter().flat_map(|&(range, _)| edges(range)).collect();
        let starts: Vec<_> = starts.into_iter().collect();
        let mut segments: Vec<_> = starts.iter().map(|&start| (start, 0.0)).collect();
        for (range, shard) in shards {
            let weight = demand(shard, limits);
            let first = starts.partition_point(|&start| start < range.start());
            let end = starts.partition_point(|&start| start <= range.end());
            let width = width(range.start(), range.end());
            for place in first..end {
                let last = starts.get(place + 1).map_or(HashKey(u128::MAX), |next| HashKey(next.0 - 1));
                segments[place].1 += weight * self::width(starts[place], last.min(range.end())) / width;
            }
        }
        segments.iter().any(|&(_, weight)| weight > 0.0).then(|| Self::new(segments, []))
    }
}

/// What a shard was asked for, in parts of its limit. Rejected records are counted at each try, and are as large as others.
fn demand(minute: &ShardMinute, limits: &ShardLimits) -> f64 {
    let by_bytes = minute.bytes.unwrap_or(0.0) / limits.write_bytes_per_second;
    let by_records = minute.records.unwrap_or(0.0) / limits.write_records_per_second;
    let asked_again = match (minute.records, minute.rejected_records) {
        (Some(records), Some(rejected)) if records > 0.0 => rejected / TRIES_OF_A_RECORD / records,
        (Some(_) | None, Some(_) | None) => 0.0,
    };
    by_bytes.max(by_records) * (1.0 + asked_again).min(ASKED_PER_ACCEPTED_MAX)
}

/// Where a range begins, and where the next one does.
fn edges(range: HashKeyRange) -> impl Iterator<Item = HashKey> {
    [Some(range.start()), range.end().0.checked_add(1).map(HashKey)].into_iter().flatten()
}

fn width(start: HashKey, end: HashKey) -> f64 {
    (end.0 - start.0) as f64 + 1.0
}

/// Points of shards and of the stream are written apart and come with different delay; what is missing beyond this would
/// look like an empty shard.
const ACCOUNTED_MIN: f64 = 0.95;
/// The AWS SDKs send a request up to three times, and Kinesis counts each rejection.
const TRIES_OF_A_RECORD: f64 = 3.0;
/// As for the whole stream, retries of retries are no demand without bound.
const ASKED_PER_ACCEPTED_MAX: f64 = 4.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Boundaries;

    fn shard(records: f64, rejected: Option<f64>) -> ShardMinute {
        ShardMinute {
            bytes: Some(records * 100.0),
            records: Some(records),
            rejected_records: rejected,
            ..ShardMinute::default()
        }
    }

    fn stream(records: f64) -> Minute {
        Minute { records: Some(records), ..Minute::default() }
    }

    fn of(minute: &Minute, shards: Vec<(HashKeyRange, ShardMinute)>) -> Option<LoadMap> {
        LoadMap::by_shard(minute, &shards, &ShardLimits::default())
    }

    fn uniform(records: &[f64]) -> Vec<(HashKeyRange, ShardMinute)> {
        let boundaries = Boundaries::uniform(records.len() as u32);
        boundaries.ranges().zip(records.iter().map(|&records| shard(records, None))).collect()
    }

    #[test]
    fn each_shard_has_what_it_was_asked_for_evenly() {
        let mut shards = uniform(&[10_000.0, 30_000.0, 60_000.0, 20_000.0]);
        shards[2].1.rejected_records = Some(180_000.0);
        let map = of(&stream(120_000.0), shards).expect("accounted for");
        let shares = map.shares(&Boundaries::uniform(8));
        let expected = [10.0, 30.0, 120.0, 20.0].map(|part| part / 180.0 / 2.0);
        for (place, share) in shares.iter().enumerate() {
            assert!((share - expected[place / 2]).abs() < 1e-12, "{shares:?}");
        }
    }

    #[test]
    fn the_minute_of_a_split_is_that_of_parent_and_children_together() {
        let mut shards = uniform(&[30_000.0, 30_000.0]);
        let children = uniform(&[0.0, 0.0, 40_000.0, 20_000.0]).split_off(2);
        shards.extend(children);
        let map = of(&stream(120_000.0), shards).expect("accounted for");
        let shares = map.shares(&Boundaries::uniform(4));
        for (share, expected) in shares.iter().zip([0.125, 0.125, 55.0 / 120.0, 35.0 / 120.0]) {
            assert!((share - expected).abs() < 1e-12, "{shares:?}");
        }
    }

    #[test]
    fn a_shard_without_a_point_is_empty_only_if_the_others_account_for_the_stream() {
        let mut shards = uniform(&[30_000.0, 30_000.0, 0.0]);
        shards[2].1 = ShardMinute::default();
        let map = of(&stream(60_000.0), shards.clone()).expect("accounted for");
        assert_eq!(map.shares(&Boundaries::uniform(3))[2], 0.0);
        assert_eq!(of(&stream(90_000.0), shards.clone()), None);
        assert_eq!(of(&Minute::default(), shards), None, "the stream's own point is missing");
        assert_eq!(of(&stream(0.0), uniform(&[0.0, 0.0])), None, "nothing lies nowhere");
    }

    proptest! {
        #[test]
        fn a_layout_s_shares_are_those_of_its_shards(
            cuts in proptest::collection::vec(any::<u128>(), 0..12),
            records in proptest::collection::vec(1.0..60_000.0_f64, 13),
        ) {
            let boundaries = Boundaries::new(cuts.into_iter().map(HashKey));
            let shards: Vec<_> =
                boundaries.ranges().zip(&records).map(|(range, &records)| (range, shard(records, None))).collect();
            let total: f64 = records.iter().take(shards.len()).sum();
            let map = of(&stream(total), shards).expect("accounted for");
            for (share, records) in map.shares(&boundaries).iter().zip(&records) {
                prop_assert!((share - records / total).abs() < 1e-9);
            }
        }
    }
}
