//! What is known beyond the stream's own metrics, where it is switched on: load by shard, and where on the hash space it lies.
//!
//! Metrics by shard come from CloudWatch with its delay. Workers report within seconds, name the busiest second and the
//! heavy keys, and see no refusals; but they see what they read, so a late application reports an old distribution.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kcl_core::{HashKey, HashKeyRange, ShardId};

use super::cloud_watch::whole;
use super::ingest::ShardFlow;
use super::settings::TelemetrySettings;
use crate::{Boundaries, EpochMillis, LoadMap, Minute, OpenShard, ShardLimits, ShardMinute};

/// The load of single shards by minute.
#[derive(Clone, Debug)]
pub(super) struct ShardHistory {
    /// From the end of a minute until its figures can be read.
    delay: Duration,
    has_metrics: bool,
    has_telemetry: bool,
    minute: BTreeMap<ShardId, (HashKeyRange, ShardMinute)>,
    shards: BTreeMap<ShardId, History>,
}

#[derive(Clone, Debug)]
struct History {
    range: HashKeyRange,
    minutes: VecDeque<ShardMinute>,
}

impl ShardHistory {
    /// Of CloudWatch with its delay if `metrics_delay` is there, and of the workers if `telemetry` is.
    pub(super) fn new(metrics_delay: Option<Duration>, telemetry: Option<&TelemetrySettings>) -> Self {
        let workers_delay = telemetry.map(|telemetry| telemetry.interval + telemetry.delay);
        Self {
            delay: metrics_delay.or(workers_delay).unwrap_or_default(),
            has_metrics: metrics_delay.is_some(),
            has_telemetry: telemetry.is_some(),
            minute: BTreeMap::new(),
            shards: BTreeMap::new(),
        }
    }

    /// Whether anything is to be noted.
    pub(super) const fn is_on(&self) -> bool {
        self.has_metrics || self.has_telemetry
    }

    /// Adds what a shard did in a slice of the minute that began at `start`; each refused record was tried so often.
    pub(super) fn note(&mut self, shard: &OpenShard, start: EpochMillis, flow: ShardFlow, tries: f64) {
        let empty = (shard.range, ShardMinute { start, ..ShardMinute::default() });
        let (_, minute) = self.minute.entry(shard.id.clone()).or_insert(empty);
        let add = |sum: &mut Option<f64>, more: f64| *sum = Some(sum.unwrap_or(0.0) + more);
        add(&mut minute.bytes, flow.accepted.bytes);
        add(&mut minute.records, flow.accepted.records);
        if self.has_metrics {
            add(&mut minute.rejected_records, flow.refused.records * tries);
        }
        if self.has_telemetry {
            let raise = |most: &mut Option<f64>, other: f64| *most = Some(most.unwrap_or(0.0).max(other));
            raise(&mut minute.bytes_second_max, flow.second_max.bytes);
            raise(&mut minute.records_second_max, flow.second_max.records);
        }
    }

    /// Ends the minute. Shards without a figure for an hour are forgotten.
    pub(super) fn end_minute(&mut self, now: EpochMillis) {
        for (shard, (range, mut minute)) in std::mem::take(&mut self.minute) {
            for sum in [&mut minute.bytes, &mut minute.records, &mut minute.rejected_records] {
                *sum = whole(*sum);
            }
            let empty = History { range, minutes: VecDeque::new() };
            let minutes = &mut self.shards.entry(shard).or_insert(empty).minutes;
            if minutes.len() == MINUTES_MAX {
                minutes.pop_front();
            }
            minutes.push_back(minute);
        }
        let oldest = now.before(MINUTE * MINUTES_MAX as u32);
        self.shards.retain(|_, history| history.minutes.back().is_some_and(|last| last.start >= oldest));
    }

    /// The minutes of each shard that began within `window` before `now` and can be read; of the last hour at most.
    pub(super) fn minutes(&self, now: EpochMillis, window: Duration) -> BTreeMap<ShardId, Vec<ShardMinute>> {
        let oldest = now.before(window);
        let is_readable = |minute: &ShardMinute| minute.start.after(MINUTE).after(self.delay) <= now;
        let shown = self.shards.iter().filter_map(|(shard, history)| {
            let first = history.minutes.partition_point(|minute| minute.start < oldest);
            let end = history.minutes.partition_point(is_readable);
            (first < end).then(|| (shard.clone(), history.minutes.range(first..end).copied().collect()))
        });
        shown.collect()
    }

    /// Where the load lay in a minute of the stream, by the metrics of its shards.
    pub(super) fn load_map(&self, minute: &Minute, limits: &ShardLimits) -> Option<LoadMap> {
        if !self.has_metrics {
            return None;
        }
        let at = |history: &History| {
            let place = history.minutes.binary_search_by_key(&minute.start, |shard| shard.start).ok()?;
            Some((history.range, history.minutes[place]))
        };
        let shards: Vec<_> = self.shards.values().filter_map(at).collect();
        LoadMap::by_shard(minute, &shards, limits)
    }
}

/// Where the load lies, as workers report it.
#[derive(Clone, Debug)]
pub(super) struct LoadReports {
    settings: TelemetrySettings,
    bins: Boundaries,
    /// Since when each distribution holds, oldest first.
    maps: Vec<(EpochMillis, LoadMap)>,
}

impl LoadReports {
    /// No reports yet.
    pub(super) fn new(settings: TelemetrySettings) -> Self {
        Self { settings, bins: Boundaries::uniform(settings.bins), maps: Vec::new() }
    }

    /// The load lies by `keys` from `now` on.
    pub(super) fn note(&mut self, keys: &LoadMap, now: EpochMillis) {
        let mut heavy: Vec<_> = keys.heavy_keys().collect();
        heavy.sort_by(|one, other| other.share.total_cmp(&one.share));
        heavy.truncate(self.settings.heavy_keys_max);
        let mut shares = keys.shares(&self.bins);
        for key in &heavy {
            shares[self.bins.index_of(key.hash)] -= key.share;
        }
        let bins = self.bins.keys().iter().copied().zip(shares);
        let heavy = heavy.iter().map(|key| (key.hash, key.share));
        self.maps.push((now, LoadMap::new(bins.collect::<Vec<(HashKey, f64)>>(), heavy)));
    }

    /// What can be read at `now` if the workers read records as old as `behind`.
    pub(super) fn load_map(&self, now: EpochMillis, behind: Duration) -> Option<&LoadMap> {
        let interval = u64::try_from(self.settings.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let reported = now.before(self.settings.delay).0 / interval * interval;
        let seen = EpochMillis(reported).before(behind);
        let place = self.maps.partition_point(|&(since, _)| since <= seen).max(1);
        self.maps.get(place - 1).map(|(_, map)| map)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// An hour of minutes: a shard's own load tells where it is hot at the moment, the stream's tells the past.
const MINUTES_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::cloud::mass::Mass;

    fn at(seconds: u64) -> EpochMillis {
        EpochMillis(seconds * 1_000)
    }

    fn shard() -> OpenShard {
        OpenShard { id: ShardId::new("shardId-0").expect("valid"), range: HashKeyRange::FULL }
    }

    fn flow(bytes: f64, refused: f64, second_max: f64) -> ShardFlow {
        let mass = |bytes| Mass { bytes, records: bytes / 100.0 };
        ShardFlow {
            accepted: mass(bytes),
            refused: mass(refused),
            second_max: mass(second_max),
            ..ShardFlow::default()
        }
    }

    #[test]
    fn slices_of_a_minute_add_up_and_the_busiest_second_stays() {
        let shard = shard();
        let telemetry = TelemetrySettings::default();
        let mut history = ShardHistory::new(None, Some(&telemetry));
        history.note(&shard, at(0), flow(600.0, 100.0, 50.0), 3.0);
        history.note(&shard, at(0), flow(400.0, 0.0, 20.0), 3.0);
        history.end_minute(at(60));
        let hour = Duration::from_secs(3_600);
        assert!(history.minutes(at(71), hour).is_empty(), "reported after ten seconds, read two later");
        let expected = ShardMinute {
            start: at(0),
            bytes: Some(1_000.0),
            records: Some(10.0),
            rejected_records: None,
            bytes_second_max: Some(50.0),
            records_second_max: Some(0.5),
        };
        assert_eq!(history.minutes(at(72), hour)[&shard.id], [expected]);
    }

    #[test]
    fn metrics_by_shard_have_refusals_and_no_seconds() {
        let shard = shard();
        let mut history = ShardHistory::new(Some(Duration::from_secs(120)), None);
        history.note(&shard, at(0), flow(600.0, 100.0, 50.0), 3.0);
        history.end_minute(at(60));
        let minutes = history.minutes(at(180), Duration::from_secs(3_600));
        assert_eq!(minutes[&shard.id][0].rejected_records, Some(3.0));
        assert_eq!(minutes[&shard.id][0].bytes_second_max, None);
    }

    #[test]
    fn reports_are_as_old_as_the_records_that_the_workers_read() {
        let mut reports = LoadReports::new(TelemetrySettings { bins: 4, ..TelemetrySettings::default() });
        let hot = LoadMap::new([(HashKey(0), 1.0)], [(HashKey(1 << 127), 1.0)]);
        reports.note(&LoadMap::even(), at(0));
        reports.note(&hot, at(60));
        let halves = Boundaries::uniform(2);
        let upper = |now, behind| {
            let map = reports.load_map(at(now), Duration::from_secs(behind)).expect("reported");
            map.shares(&halves)[1]
        };
        assert!((upper(61, 0) - 0.5).abs() < 1e-12);
        assert!((upper(62, 0) - 0.75).abs() < 1e-12);
        assert!((upper(100, 60) - 0.5).abs() < 1e-12);
        assert!((upper(122, 60) - 0.75).abs() < 1e-12);
        let seen = reports.load_map(at(100), Duration::ZERO).expect("reported");
        assert_eq!(seen.heavy_keys().map(|key| key.hash).collect::<Vec<_>>(), [HashKey(1 << 127)]);
    }
}
