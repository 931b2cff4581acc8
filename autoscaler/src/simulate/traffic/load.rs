//! What a simulated stream is offered, minute by minute, and how it lies on the hash space.

use crate::{EpochMillis, LoadMap, ShardLimits};

/// The traffic of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Where it comes from: a family and its seed, or a file.
    pub name: String,
    /// When the first minute begins.
    pub start: EpochMillis,
    /// The load, one entry a minute without a gap.
    pub minutes: Vec<MinuteLoad>,
    /// How it lies on the hash space.
    pub keys: KeySchedule,
}

/// What producers offer in one minute, before any retry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinuteLoad {
    /// Bytes, partition keys included.
    pub bytes: f64,
    /// Records.
    pub records: f64,
    /// The busiest second ÷ the mean second within the minute, at least 1.
    pub burst: f64,
}

impl MinuteLoad {
    /// The load of the mean second, in shards of that size: of bytes or records, whichever is more.
    #[must_use]
    pub fn shards(&self, limits: &ShardLimits) -> f64 {
        let bytes = self.bytes / limits.write_bytes_per_second;
        let records = self.records / limits.write_records_per_second;
        bytes.max(records) / SECONDS
    }

    /// The load of the busiest second, in shards of that size.
    #[must_use]
    pub fn peak_shards(&self, limits: &ShardLimits) -> f64 {
        self.shards(limits) * self.burst
    }
}

impl Trace {
    /// The mean load, in shards of that size; 0 without any minute.
    #[must_use]
    pub fn mean_shards(&self, limits: &ShardLimits) -> f64 {
        let sum: f64 = self.minutes.iter().map(|minute| minute.shards(limits)).sum();
        sum / self.minutes.len().max(1) as f64
    }
}

/// How the load lies on the hash space, which may change from minute to minute.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySchedule(Vec<(usize, LoadMap)>);

impl KeySchedule {
    /// The same map all the time.
    #[must_use]
    pub fn constant(map: LoadMap) -> Self {
        Self(vec![(0, map)])
    }

    /// `first` from the start, and each other map from its minute on. Of two for one minute the later holds.
    #[must_use]
    pub fn new(first: LoadMap, changes: impl IntoIterator<Item = (usize, LoadMap)>) -> Self {
        let mut entries: Vec<_> = [(0, first)].into_iter().chain(changes).collect();
        entries.sort_by_key(|&(minute, _)| minute);
        entries.reverse();
        entries.dedup_by_key(|&mut (minute, _)| minute);
        entries.reverse();
        Self(entries)
    }

    /// The map that holds in a minute, counted from the trace's first.
    #[must_use]
    pub fn at(&self, minute: usize) -> &LoadMap {
        let next = self.0.partition_point(|&(from, _)| from <= minute);
        &self.0[next - 1].1
    }

    /// The minutes from which maps hold, with the maps; the first at 0.
    #[must_use]
    pub fn entries(&self) -> &[(usize, LoadMap)] {
        &self.0
    }
}

const SECONDS: f64 = 60.0;

#[cfg(test)]
mod tests {
    use kcl_core::HashKey;

    use super::*;

    #[test]
    fn whichever_of_bytes_and_records_is_more_counts() {
        let limits = ShardLimits::default();
        let large = MinuteLoad { bytes: 120e6, records: 6e3, burst: 1.5 };
        assert!(
            (large.shards(&limits) - 2.0).abs() < 1e-12 && (large.peak_shards(&limits) - 3.0).abs() < 1e-12
        );
        let small = MinuteLoad { bytes: 6e6, records: 180e3, burst: 1.0 };
        assert!((small.shards(&limits) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_map_holds_from_its_minute_until_the_next() {
        let map = |weight| LoadMap::new([(HashKey(0), 1.0), (HashKey(1 << 127), weight)], []);
        let keys = KeySchedule::new(map(0.0), [(9, map(3.0)), (5, map(1.0)), (5, map(2.0))]);
        let seen: Vec<_> = [0, 4, 5, 8, 9, 99].iter().map(|&minute| keys.at(minute).clone()).collect();
        assert_eq!(seen, [map(0.0), map(0.0), map(2.0), map(2.0), map(3.0), map(3.0)]);
        assert_eq!(keys.entries().len(), 3);
        assert_eq!(KeySchedule::constant(map(1.0)).at(7), &map(1.0));
    }
}
