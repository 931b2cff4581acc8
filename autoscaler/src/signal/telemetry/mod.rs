//! What the workers of one application tell of a stream, as a map of its load, minutes of its shards, and their lag.
//!
//! ```text
//!                        ┌─ malformed, foreign, stale ─▶ counted
//!  rows of the side table┼─ of a shard that is closed ─▶ counted; only its lag is believed
//!                        └─ of an open shard ──────────▶ segments, heavy keys, minutes, lag ─▶ TelemetryReading
//! ```
//!
//! Anybody may have written a row. What is believed of it is bounded by what it says: a number of one shard, never of
//! another. A shard without a row is unknown, and then so is the map: where its load would be missing, it would look empty.

mod shard;

use std::collections::BTreeMap;
use std::time::Duration;

use kcl::{StreamDigest, TelemetryItem, TelemetryRow};
use kcl_core::{HashKeyRange, ShardId};

use super::{ApplicationLag, LoadMap, Minute, ShardMinute};
use crate::{EpochMillis, Layout, ShardLimits};

/// Whose rows are read, and against what.
#[derive(Clone, Copy, Debug)]
pub struct TelemetryScope<'a> {
    /// The application whose workers wrote them.
    pub application: &'a str,
    /// The stream that they have to be of.
    pub stream: StreamDigest,
    /// Its open shards.
    pub layout: &'a Layout,
    /// What one shard takes: a place is as loaded as the limit says that binds there.
    pub limits: &'a ShardLimits,
}

/// What an application's workers tell.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryReading {
    /// Whether it may be relied upon.
    pub quality: TelemetryQuality,
    /// Age of the oldest row that was believed; `None` without any.
    pub age: Option<Duration>,
    /// How the load lies on the hash space; unknown while a shard's is.
    pub load_map: Option<LoadMap>,
    /// Minutes of the stream in which every open shard is known, oldest first.
    pub minutes: Vec<Minute>,
    /// Minutes of the open shards, oldest first, where they are known.
    pub shards: BTreeMap<ShardId, Vec<ShardMinute>>,
    /// How far the application is behind. Closed shards that it has not read are not known from here.
    pub application: ApplicationLag,
    /// Rows that were not believed.
    pub ignored: IgnoredRows,
}

/// How far telemetry may be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryQuality {
    /// Every open shard is told of, as it is at this moment.
    Current,
    /// Every open shard is told of, and a reader is more than a minute behind: its load is that of a time past.
    Behind,
    /// Some open shards are told of and these many not.
    Partial {
        /// Open shards that are unknown.
        missing: u32,
    },
    /// Nothing is told.
    Absent,
}

/// Rows that were not believed, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredRows {
    /// Bytes that are no row, or those of another version.
    pub malformed: u32,
    /// Of another stream, or of another range than the shard's.
    pub foreign: u32,
    /// Written more than a minute ago, or in a future that no clock explains.
    pub stale: u32,
    /// Of a shard that takes no records any more.
    pub closed: u32,
    /// Of a reader that has begun a few seconds ago.
    pub fresh: u32,
}

impl TelemetryReading {
    /// What `items` tell at `now`.
    #[must_use]
    pub fn read(scope: TelemetryScope<'_>, items: &[TelemetryItem], now: EpochMillis) -> Self {
        let open = scope.layout.shards().iter().map(|shard| (&shard.id, shard.range)).collect();
        let mut sorted = Sorted::default();
        for item in items {
            sorted.take(scope.stream, &open, item, now);
        }
        let missing = scope.layout.count() - u32::try_from(sorted.open.len()).unwrap_or(u32::MAX);
        let shards: BTreeMap<_, _> =
            sorted.open.iter().map(|(shard, row)| (shard.clone(), shard::minutes(row))).collect();
        Self {
            quality: sorted.quality(missing),
            age: sorted.age(now),
            load_map: (missing == 0).then(|| shard::load_map(sorted.open.values(), scope.limits)),
            minutes: if missing == 0 { stream_minutes(&shards) } else { Vec::new() },
            shards,
            application: sorted.lag(scope.application, missing),
            ignored: sorted.ignored,
        }
    }
}

/// The rows that are believed, by what for.
#[derive(Debug, Default)]
struct Sorted {
    open: BTreeMap<ShardId, TelemetryRow>,
    closed: Vec<TelemetryRow>,
    ignored: IgnoredRows,
}

impl Sorted {
    fn take(
        &mut self,
        stream: StreamDigest,
        open: &BTreeMap<&ShardId, HashKeyRange>,
        item: &TelemetryItem,
        now: EpochMillis,
    ) {
        let Ok(row) = TelemetryRow::decode(&item.row) else {
            self.ignored.malformed += 1;
            return;
        };
        let id = item.key.shard();
        let range = open.get(&id);
        if row.stream != stream || range.is_some_and(|&range| range != row.range) {
            self.ignored.foreign += 1;
        } else if now.0.abs_diff(row.written_epoch_millis) > millis(ROW_AGE_MAX) {
            self.ignored.stale += 1;
        } else if range.is_none() {
            self.ignored.closed += 1;
            self.closed.push(row);
        } else if row.covered < COVERED_MIN {
            self.ignored.fresh += 1;
        } else {
            self.open.insert(id, row);
        }
    }

    fn quality(&self, missing: u32) -> TelemetryQuality {
        if self.open.is_empty() {
            return TelemetryQuality::Absent;
        }
        if missing > 0 {
            return TelemetryQuality::Partial { missing };
        }
        let is_current = |row: &TelemetryRow| row.behind.is_some_and(|behind| behind <= BEHIND_MAX);
        if self.open.values().all(is_current) { TelemetryQuality::Current } else { TelemetryQuality::Behind }
    }

    fn age(&self, now: EpochMillis) -> Option<Duration> {
        let oldest = self.open.values().map(|row| row.written_epoch_millis).min()?;
        Some(Duration::from_millis(now.0.saturating_sub(oldest)))
    }

    /// A parent that is still being read counts; an open shard of which nothing is known makes all of it unknown.
    fn lag(&self, application: &str, missing: u32) -> ApplicationLag {
        let rows = || self.open.values().chain(&self.closed);
        let is_rising = |row: &TelemetryRow| {
            row.behind.is_some_and(|behind| behind > row.behind_before.unwrap_or_default() + RISE_MIN)
        };
        let behind = self.open.values().map(|row| row.behind).collect::<Option<Vec<_>>>();
        ApplicationLag {
            name: application.to_owned(),
            behind: behind.filter(|_| missing == 0).and_then(|_| rows().filter_map(|row| row.behind).max()),
            is_rising: rows().any(is_rising),
            undrained_parents: None,
        }
    }
}

/// Sums over all shards, of the minutes that each of them tells.
fn stream_minutes(shards: &BTreeMap<ShardId, Vec<ShardMinute>>) -> Vec<Minute> {
    let mut sums = BTreeMap::<u64, (Minute, usize)>::new();
    for minute in shards.values().flatten() {
        let empty = Minute { start: minute.start, bytes: Some(0.0), records: Some(0.0), ..Minute::default() };
        let (sum, told) = sums.entry(minute.start.0).or_insert((empty, 0));
        sum.bytes = sum.bytes.zip(minute.bytes).map(|(sum, more)| sum + more);
        sum.records = sum.records.zip(minute.records).map(|(sum, more)| sum + more);
        *told += 1;
    }
    sums.into_values().filter(|&(_, told)| told == shards.len()).map(|(sum, _)| sum).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Six rows of a worker at its default pace; two at the slowest that its settings allow.
const ROW_AGE_MAX: Duration = Duration::from_secs(60);
/// A reader that is further behind tells of the past; metrics of the service are nearer to the present then.
const BEHIND_MAX: Duration = Duration::from_secs(60);
/// Rates of less time are those of single answers.
const COVERED_MIN: Duration = Duration::from_secs(5);
/// Readers at the tip differ by a poll and the pace of rows.
const RISE_MIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
