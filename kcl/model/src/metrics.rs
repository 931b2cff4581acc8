//! What CloudWatch would show about a shard, minute by minute, on the caller's clock.
//!
//! Owns a bounded ring of busy minutes per shard. A stream's figures are the merged ones of its shards.

use std::collections::{BTreeMap, VecDeque};

use kcl_core::ShardId;

use crate::EpochMillis;

/// A figure of the namespace `AWS/Kinesis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Bytes stored (data and partition keys), one sample per record.
    IncomingBytes,
    /// Records stored.
    IncomingRecords,
    /// Records refused for lack of write throughput.
    WriteProvisionedThroughputExceeded,
    /// Calls refused for lack of read throughput.
    ReadProvisionedThroughputExceeded,
    /// Bytes given by `GetRecords`, one sample per call.
    GetRecordsBytes,
    /// Records given by `GetRecords`, one sample per call.
    GetRecordsRecords,
    /// Age of the last record given by `GetRecords`, one sample per call.
    GetRecordsIteratorAgeMilliseconds,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::IncomingBytes,
        Self::IncomingRecords,
        Self::WriteProvisionedThroughputExceeded,
        Self::ReadProvisionedThroughputExceeded,
        Self::GetRecordsBytes,
        Self::GetRecordsRecords,
        Self::GetRecordsIteratorAgeMilliseconds,
    ];

    /// The stream metric's name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IncomingBytes => "IncomingBytes",
            Self::IncomingRecords => "IncomingRecords",
            Self::WriteProvisionedThroughputExceeded => "WriteProvisionedThroughputExceeded",
            Self::ReadProvisionedThroughputExceeded => "ReadProvisionedThroughputExceeded",
            Self::GetRecordsBytes => "GetRecords.Bytes",
            Self::GetRecordsRecords => "GetRecords.Records",
            Self::GetRecordsIteratorAgeMilliseconds => "GetRecords.IteratorAgeMilliseconds",
        }
    }
}

/// A set of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistic {
    /// How many samples.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The least one, 0 without samples.
    pub min: u64,
    /// The greatest one, 0 without samples.
    pub max: u64,
}

impl Statistic {
    /// Adds one sample.
    pub(crate) fn add(&mut self, sample: u64) {
        self.merge(Self { count: 1, sum: sample, min: sample, max: sample });
    }

    /// Adds all samples of `other`.
    pub(crate) fn merge(&mut self, other: Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// The figures of one minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsMinute {
    /// When the minute began.
    pub start: EpochMillis,
    statistics: [Statistic; Metric::ALL.len()],
}

impl MetricsMinute {
    /// The samples of `metric` in this minute.
    #[must_use]
    pub const fn statistic(&self, metric: Metric) -> Statistic {
        self.statistics[metric as usize]
    }
}

/// The figures of a stream and of each of its shards: busy minutes only, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMetrics {
    /// All shards together.
    pub stream: Vec<MetricsMinute>,
    /// Each shard that is still listed.
    pub shards: BTreeMap<ShardId, Vec<MetricsMinute>>,
}

impl StreamMetrics {
    /// Puts the shards' minutes together.
    pub(crate) fn of_shards(shards: BTreeMap<ShardId, Vec<MetricsMinute>>) -> Self {
        let mut minutes = BTreeMap::<EpochMillis, MetricsMinute>::new();
        for minute in shards.values().flatten() {
            let merged = minutes.entry(minute.start).or_default();
            merged.start = minute.start;
            for (into, from) in merged.statistics.iter_mut().zip(minute.statistics) {
                into.merge(from);
            }
        }
        Self { stream: minutes.into_values().collect(), shards }
    }
}

/// The busy minutes of one shard.
#[derive(Clone, Debug)]
pub(crate) struct MetricsRing {
    minutes: VecDeque<MetricsMinute>,
    minutes_max: usize,
}

impl MetricsRing {
    /// An empty ring of at most `minutes_max` minutes, at least one.
    pub(crate) fn new(minutes_max: usize) -> Self {
        Self { minutes: VecDeque::new(), minutes_max: minutes_max.max(1) }
    }

    /// Adds a sample to the minute of `now`, or to the newest one if `now` lies before it.
    pub(crate) fn add(&mut self, metric: Metric, sample: u64, now: EpochMillis) {
        let start = EpochMillis(now.0 - now.0 % MINUTE_MILLIS);
        if self.minutes.back().is_none_or(|newest| newest.start < start) {
            if self.minutes.len() == self.minutes_max {
                self.minutes.pop_front();
            }
            self.minutes.push_back(MetricsMinute { start, ..MetricsMinute::default() });
        }
        let newest = self.minutes.back_mut().expect("a minute was pushed if there was none");
        newest.statistics[metric as usize].add(sample);
    }

    /// The minutes kept, oldest first.
    pub(crate) fn minutes(&self) -> Vec<MetricsMinute> {
        self.minutes.iter().cloned().collect()
    }
}

const MINUTE_MILLIS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_gather_by_minute_and_the_oldest_minute_goes() {
        let mut ring = MetricsRing::new(2);
        ring.add(Metric::IncomingBytes, 10, EpochMillis(59_999));
        ring.add(Metric::IncomingBytes, 30, EpochMillis(60_000));
        ring.add(Metric::IncomingBytes, 20, EpochMillis(119_999));
        ring.add(Metric::IncomingRecords, 1, EpochMillis(240_000));
        let minutes = ring.minutes();
        assert_eq!(minutes.iter().map(|minute| minute.start.0).collect::<Vec<_>>(), [60_000, 240_000]);
        let bytes = minutes[0].statistic(Metric::IncomingBytes);
        assert_eq!(bytes, Statistic { count: 2, sum: 50, min: 20, max: 30 });
    }

    #[test]
    fn a_stream_is_the_sum_of_its_shards() {
        let minutes = |sample| {
            let mut ring = MetricsRing::new(2);
            ring.add(Metric::GetRecordsBytes, sample, EpochMillis(1));
            ring.minutes()
        };
        let id = |text| ShardId::new(text).expect("valid");
        let metrics =
            StreamMetrics::of_shards([(id("a"), minutes(5)), (id("b"), minutes(7))].into_iter().collect());
        let merged = metrics.stream[0].statistic(Metric::GetRecordsBytes);
        assert_eq!(merged, Statistic { count: 2, sum: 12, min: 5, max: 7 });
    }

    #[test]
    fn every_metric_has_its_own_place() {
        for (place, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, place, "{}", metric.name());
        }
    }
}
