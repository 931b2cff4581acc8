//! One stream on a virtual clock: what an autoscaler may see of it and do to it.
//!
//! The control plane is the model of Kinesis itself, with its quotas, its ×2 and ÷2, one operation at a time and the time
//! each takes. The data plane is a fluid, because fourteen days of records would take fourteen days to count: each minute is
//! cut where a reshard completes (at its exact time), and each slice is computed at once.
//!
//! ```text
//!                        ┌──────────── Cloud ─────────────┐
//!   trace ─▶ load, keys ─┼─▶ ingest ──accepted──▶ readers │
//!                        │      │                    │    │
//!                        │      ▼                    ▼    │
//!                        │   CloudWatch: late, lossy ─────┼─▶ minutes, iterator age ──▶ ┐
//!                        │   workers: shards, load map ───┼─▶ lags, load map ─────────▶ Scaler
//!                        │   control plane (the model) ◀──┼── split, merge, scale ◀──── ┘
//!                        └────────────────────────────────┘
//! ```
//!
//! Nothing of the truth is visible to a scaler except through metrics, reports and the control plane's own answers.

mod burst;
mod cloud_watch;
mod control;
mod ingest;
mod mass;
mod overlap;
mod readers;
mod settings;
mod telemetry;

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::{HashKey, ShardId};
use kinesis_model::KinesisError;

use self::cloud_watch::CloudWatch;
use self::control::Control;
use self::ingest::Ingest;
use self::mass::Mass;
use self::overlap::overlaps;
use self::readers::{ReadSlice, Readers};
pub use self::settings::{
    ApplicationSettings, CloudSettings, MetricSettings, ReadMode, RetrySettings, Slowdown, TelemetrySettings,
};
use self::telemetry::{LoadReports, ShardHistory};
use super::traffic::MinuteLoad;
use super::{Operation, OperationKind, Refusal, RunMinute};
use crate::{
    ApplicationLag, Boundaries, EpochMillis, Layout, LoadMap, Minute, Observation, ShardMinute, Step,
    StreamState,
};

/// A simulated stream with its CloudWatch metrics, its producers and its readers.
#[derive(Debug)]
pub struct Cloud {
    settings: CloudSettings,
    start: EpochMillis,
    now: EpochMillis,
    control: Control,
    keys: LoadMap,
    ingest: Ingest,
    readers: Readers,
    watch: CloudWatch,
    shards: ShardHistory,
    reports: Option<LoadReports>,
    history: History,
    minute: MinuteSums,
}

/// What was done to the stream.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) operations: Vec<Operation>,
    pub(super) refused: Vec<Refusal>,
    /// Where the shards began, and since when.
    pub(super) layouts: Vec<(EpochMillis, Boundaries)>,
    /// Hours of open shards.
    pub(super) shard_hours: f64,
}

/// What happened so far in the minute that runs.
#[derive(Clone, Copy, Debug, Default)]
struct MinuteSums {
    start: EpochMillis,
    load: Mass,
    burst: f64,
    accepted: Mass,
    refused: Mass,
    lost: Mass,
    read: ReadSlice,
}

impl Cloud {
    /// A stream of `shards` equal shards, whose load lies by `keys`.
    pub(super) fn new(settings: CloudSettings, shards: u32, keys: LoadMap, start: EpochMillis) -> Self {
        let control = Control::new(&settings, shards, start);
        let shares = keys.shares(control.boundaries());
        let metrics_delay = settings.shard_metrics.then_some(settings.metrics.delay);
        let mut reports = settings.telemetry.map(LoadReports::new);
        if let Some(reports) = &mut reports {
            reports.note(&keys, start);
        }
        let layouts = vec![(start, control.boundaries().clone())];
        let history = History { layouts, ..History::default() };
        Self {
            start,
            now: start,
            ingest: Ingest::new(settings.limits, settings.retries, shares),
            readers: Readers::new(settings.applications.clone(), settings.limits, control.boundaries()),
            watch: CloudWatch::new(settings.metrics, settings.seed),
            shards: ShardHistory::new(metrics_delay, settings.telemetry.as_ref()),
            reports,
            control,
            keys,
            history,
            minute: MinuteSums::default(),
            settings,
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> EpochMillis {
        self.now
    }

    /// What it was made with.
    #[must_use]
    pub const fn settings(&self) -> &CloudSettings {
        &self.settings
    }

    /// Whether the stream can be changed.
    #[must_use]
    pub const fn state(&self) -> StreamState {
        if self.control.is_changing() { StreamState::Changing } else { StreamState::Active }
    }

    /// The open shards. While a reshard runs, those before it.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        self.control.layout()
    }

    /// The stream's metrics by minute, oldest first and without a gap: those minutes that began within `window` and can be
    /// read. The last ones are missing because CloudWatch is late.
    ///
    /// What did not happen has no point: `rejected_records: None` means zero where the same minute's `bytes` are known; where
    /// they are `None`, the minute was lost or nothing was put, and all of it is unknown.
    #[must_use]
    pub fn minutes(&self, window: Duration) -> &[Minute] {
        self.watch.minutes(self.now, window)
    }

    /// The stream's `GetRecords.IteratorAgeMilliseconds` (Maximum) for the same minutes; `None` where no application polled,
    /// and where the minute was lost.
    #[must_use]
    pub fn iterator_age(&self, window: Duration) -> &[Option<Duration>] {
        self.watch.ages(self.now, window)
    }

    /// The load of single shards by minute, of the last hour at most. Empty unless metrics by shard or telemetry are on.
    #[must_use]
    pub fn shard_minutes(&self, window: Duration) -> BTreeMap<ShardId, Vec<ShardMinute>> {
        self.shards.minutes(self.now, window)
    }

    /// How the load lies on the hash space, as workers report it, or else by the newest metrics by shard that account for the
    /// stream's; `None` if neither is on, or all workers are stopped.
    #[must_use]
    pub fn load_map(&self) -> Option<LoadMap> {
        let reports = self.reports.as_ref().zip(self.readers.report_age());
        let reported = reports.and_then(|(reports, behind)| reports.load_map(self.now, behind));
        let shown = |minute: &Minute| self.shards.load_map(minute, &self.settings.limits);
        reported.cloned().or_else(|| self.minutes(SHARD_WINDOW_MAX).iter().rev().find_map(shown))
    }

    /// How far each application is behind, from its leases and its workers' reports of the last minute.
    #[must_use]
    pub fn applications(&self) -> Vec<ApplicationLag> {
        self.readers.lags()
    }

    /// All of it, with `window` of the stream's metrics and at most a quarter of an hour of each shard's.
    #[must_use]
    pub fn observe(&self, window: Duration) -> Observation {
        Observation {
            state: self.state(),
            layout: self.layout().clone(),
            account_shards_left: Some(self.control.shards_left(self.now)),
            fan_out_consumers: u32::try_from(self.readers.fan_out_count()).unwrap_or(u32::MAX),
            minutes: self.minutes(window).to_vec(),
            load_map: self.load_map(),
            shards: self.shard_minutes(window.min(SHARD_WINDOW_MAX)),
            applications: self.applications(),
        }
    }

    /// `UpdateShardCount`.
    ///
    /// # Errors
    /// What Kinesis refuses: `ResourceInUse` while a reshard runs, `InvalidArgument` beyond double or half, `LimitExceeded`
    /// at the eleventh call of a day and beyond the account's shards. The refusal is counted.
    pub fn update_shard_count(&mut self, target: u32) -> Result<(), KinesisError> {
        let outcome = self.control.scale(target, self.now);
        self.note(OperationKind::UpdateShardCount, outcome)
    }

    /// `SplitShard` of the shard that holds `at`, which becomes the first key of the upper child.
    ///
    /// # Errors
    /// `ResourceInUse` while a reshard runs, `LimitExceeded` beyond the account's shards, `InvalidArgument` if no shard can
    /// be split there. The refusal is counted.
    pub fn split(&mut self, at: HashKey) -> Result<(), KinesisError> {
        let outcome = self.control.step(Step::Split { at }, self.now);
        self.note(OperationKind::Split, outcome)
    }

    /// `MergeShards` of the shard that begins at `at` with the one below it.
    ///
    /// # Errors
    /// `ResourceInUse` while a reshard runs, `InvalidArgument` if no two shards meet there. The refusal is counted.
    pub fn merge(&mut self, at: HashKey) -> Result<(), KinesisError> {
        let outcome = self.control.step(Step::Merge { at }, self.now);
        self.note(OperationKind::Merge, outcome)
    }

    /// The load lies by `keys` from now on.
    pub(super) fn set_keys(&mut self, keys: &LoadMap) {
        self.keys = keys.clone();
        self.ingest.set_shares(keys.shares(self.control.boundaries()));
        if let Some(reports) = &mut self.reports {
            reports.note(keys, self.now);
        }
    }

    /// Lets a minute begin in which `load` is offered.
    pub(super) fn begin_minute(&mut self, load: &MinuteLoad) {
        let offered = Mass { bytes: load.bytes, records: load.records };
        self.minute =
            MinuteSums { start: self.now, load: offered, burst: load.burst, ..MinuteSums::default() };
    }

    /// Lets time pass until a reshard completes, or else until the minute ends. Returns whether one completed.
    pub(super) fn advance(&mut self) -> bool {
        let end = self.minute.start.after(MINUTE);
        let Some((done, layout)) = self.control.finish_by(end) else {
            self.pass_until(end);
            return false;
        };
        self.pass_until(done);
        let before = self.control.adopt(layout);
        let after = self.control.boundaries();
        self.readers.reshard(after, self.ingest.shares());
        self.ingest.reshard(self.keys.shares(after), &overlaps(&before, after, &self.keys));
        self.history.layouts.push((done, after.clone()));
        let operation = self.history.operations.last_mut().expect("what completes was called");
        operation.done = Some(done);
        true
    }

    /// Ends the minute.
    pub(super) fn end_minute(&mut self) -> RunMinute {
        let sums = self.minute;
        self.ingest.end_minute();
        self.readers.end_minute(self.ingest.shares());
        self.shards.end_minute(self.now);
        let minute = Minute {
            start: sums.start,
            bytes: Some(sums.accepted.bytes),
            records: Some(sums.accepted.records),
            rejected_records: Some(sums.refused.records * self.settings.retries.tries_per_minute),
            read_bytes: Some(sums.read.bytes),
            rejected_reads: Some(sums.read.refused_calls),
        };
        self.watch.record(minute, self.readers.iterator_age());
        self.watch.advance(self.now);
        RunMinute {
            offered_shards: sums.load.shards(&self.settings.limits, MINUTE.as_secs_f64()),
            shards: self.control.layout().count(),
            capacity_shards: 1.0 / self.ingest.greatest_share(),
            offered_records: sums.load.records,
            accepted_records: sums.accepted.records,
            throttled_records: sums.refused.records,
            lost_records: sums.lost.records,
            behind: self.readers.behind_max(),
        }
    }

    /// How many calls were accepted so far.
    pub(super) const fn operation_count(&self) -> usize {
        self.history.operations.len()
    }

    /// What was done to the stream.
    pub(super) fn into_history(self) -> History {
        self.history
    }

    fn pass_until(&mut self, until: EpochMillis) {
        let millis = until.millis_since(self.now);
        let elapsed = Duration::from_millis(self.now.millis_since(self.start));
        self.now = until;
        if millis == 0 {
            return;
        }
        let fraction = millis as f64 / MINUTE.as_millis() as f64;
        let slice = self.ingest.pass(self.minute.load, self.minute.burst, fraction);
        let read = self.readers.pass(&self.ingest, &slice, elapsed);
        if self.shards.is_on() {
            let tries = self.settings.retries.tries_per_minute;
            for (index, shard) in self.control.layout().shards().iter().enumerate() {
                self.shards.note(shard, self.minute.start, self.ingest.flow(&slice, index), tries);
            }
        }
        self.minute.accepted += slice.accepted;
        self.minute.refused += slice.refused;
        self.minute.lost += slice.lost;
        self.minute.read += read;
        self.history.shard_hours += f64::from(self.control.layout().count()) * slice.seconds / 3_600.0;
        self.watch.advance(self.now);
    }

    fn note(
        &mut self,
        kind: OperationKind,
        outcome: Result<Boundaries, KinesisError>,
    ) -> Result<(), KinesisError> {
        let target = outcome.inspect_err(|error| {
            self.history.refused.push(Refusal { at: self.now, kind, code: error.code() });
        })?;
        let open = self.control.boundaries();
        let (splits, merges) = (target.without(open).len(), open.without(&target).len());
        self.history.operations.push(Operation {
            at: self.now,
            done: None,
            kind,
            from: open.count(),
            to: target.count(),
            created: u32::try_from(2 * splits + merges).unwrap_or(u32::MAX),
            capacity_before: 1.0 / self.ingest.greatest_share(),
            capacity_after: 1.0 / self.keys.greatest_share(&target),
        });
        Ok(())
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Enough to see a hot shard through CloudWatch's delay; an hour of a hundred shards would be copied at each look.
const SHARD_WINDOW_MAX: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests;
