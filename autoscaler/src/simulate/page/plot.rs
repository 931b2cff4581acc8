//! What the page draws of one trace: taken from each run as it ends, so that no run need be kept.

use serde::Serialize;

use super::line::{Line, hundredths};
use super::operation::{OperationMark, Shortage, marks, quota_calls, shortages};
use super::shard_map::ShardMap;
use super::spans::Spans;
use crate::ShardLimits;
use crate::simulate::{Run, RunMinute, Trace};

/// One trace and what every scaler made of it, ready to be drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TracePlot {
    name: String,
    start_millis: u64,
    minutes: usize,
    /// Load of each minute, in shards: what is accepted and what is refused.
    demand: Line,
    /// Load of the busiest second of each minute.
    peak: Line,
    /// Shards of the clairvoyant ideal.
    ideal: Line,
    scalers: Vec<ScalerPlot>,
    /// Of the first scaler.
    shard_map: ShardMap,
    #[serde(skip)]
    detail: Detail,
}

/// How much of each trace is kept. One of 55 takes up to 200 kB of JSON, of the synthetic suite 80 kB on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) struct Detail {
    points_max: usize,
    shards_max: usize,
    marks_max: usize,
}

/// One scaler's run.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ScalerPlot {
    name: String,
    /// The load that the open shards carry, lying as it does.
    capacity: Line,
    shards: Line,
    throttled: Spans,
    /// Minutes of the calls that count against the quota.
    quota_calls: Vec<u64>,
    operations: Vec<OperationMark>,
    shortages: Vec<Shortage>,
}

impl TracePlot {
    /// A trace before any run.
    pub(in crate::simulate) fn new(
        trace: &Trace,
        ideal: &[u32],
        limits: &ShardLimits,
        detail: Detail,
    ) -> Self {
        let demand: Vec<_> = trace.minutes.iter().map(|minute| hundredths(minute.shards(limits))).collect();
        let peak: Vec<_> =
            trace.minutes.iter().map(|minute| hundredths(minute.peak_shards(limits))).collect();
        let ideal: Vec<_> = ideal.iter().map(|&shards| hundredths(f64::from(shards))).collect();
        Self {
            name: trace.name.clone(),
            start_millis: trace.start.0,
            minutes: trace.minutes.len(),
            demand: Line::of(&demand, detail.points_max),
            peak: Line::of(&peak, detail.points_max),
            ideal: Line::of(&ideal, detail.points_max),
            scalers: Vec::new(),
            shard_map: ShardMap::default(),
            detail,
        }
    }

    /// Takes what is drawn of a run. Of the first one, the shards are drawn, too.
    pub(in crate::simulate) fn add(&mut self, run: &Run, trace: &Trace) {
        let detail = self.detail;
        let by_minute = |figure: fn(&RunMinute) -> f64| {
            run.minutes.iter().map(|minute| hundredths(figure(minute))).collect::<Vec<_>>()
        };
        let throttled: Vec<_> = run.minutes.iter().map(RunMinute::is_throttled).collect();
        if self.scalers.is_empty() {
            self.shard_map = ShardMap::of(run, trace, detail.shards_max);
        }
        self.scalers.push(ScalerPlot {
            name: run.scaler.clone(),
            capacity: Line::of(&by_minute(|minute| minute.capacity_shards), detail.points_max),
            shards: Line::of(&by_minute(|minute| f64::from(minute.shards)), detail.points_max),
            throttled: Spans::of(&throttled, detail.marks_max),
            quota_calls: quota_calls(run, trace.start),
            operations: marks(run, trace.start, detail.marks_max),
            shortages: shortages(run, trace.start, detail.marks_max),
        });
    }
}

impl Detail {
    /// As much as a page of so many traces holds: a few traces are there to the minute, a suite of 55 in 1,500 points each.
    pub(in crate::simulate) fn of_each(traces: usize) -> Self {
        let part = |total: usize, least: usize, most: usize| (total / traces.max(1)).clamp(least, most);
        Self {
            points_max: part(POINTS_TOTAL, POINTS_MIN, POINTS_MAX),
            shards_max: part(SHARDS_TOTAL, POINTS_MIN, POINTS_MAX),
            marks_max: part(MARKS_TOTAL, MARKS_MIN, MARKS_MAX),
        }
    }
}

/// 1,500 for each trace of the suite.
const POINTS_TOTAL: usize = 82_500;
/// Half a plot's width in pixels: with fewer, days become single steps.
const POINTS_MIN: usize = 500;
/// A fortnight of minutes.
const POINTS_MAX: usize = 20_160;
const SHARDS_TOTAL: usize = 110_000;
const MARKS_TOTAL: usize = 8_250;
const MARKS_MIN: usize = 100;
const MARKS_MAX: usize = 1_000;
