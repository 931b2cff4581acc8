//! Streams for the baselines' tests: so many shards' worth of small records in each minute, spread evenly.

use std::time::Duration;

use crate::simulate::{CloudSettings, KeySchedule, MinuteLoad, OperationKind, Run, Scaler, Trace, run};
use crate::{EpochMillis, LoadMap};

pub(super) fn trace(shards: impl IntoIterator<Item = f64>) -> Trace {
    let minute = |shards: f64| MinuteLoad { bytes: shards * 6e6, records: shards * 60e3, burst: 1.0 };
    Trace {
        name: "test".into(),
        start: START,
        minutes: shards.into_iter().map(minute).collect(),
        keys: KeySchedule::constant(LoadMap::even()),
    }
}

/// `before` for an hour, then `after` for some minutes.
pub(super) fn step(before: f64, after: f64, minutes: usize) -> Trace {
    trace(std::iter::repeat_n(before, 60).chain(std::iter::repeat_n(after, minutes)))
}

/// Runs on a stream of that many shards without faults, with metrics two minutes late.
pub(super) fn replay(mut scaler: impl Scaler, trace: &Trace, shards: u32) -> Run {
    run(trace, &CloudSettings { shards: Some(shards), ..CloudSettings::exact() }, &mut scaler)
}

/// The counts that were asked for, each with the minute.
pub(super) fn calls(run: &Run) -> Vec<(u64, u32)> {
    let updates = run.operations.iter().filter(|operation| operation.kind == OperationKind::UpdateShardCount);
    updates.map(|operation| (minute_of(operation.at), operation.to)).collect()
}

pub(super) fn minute_of(at: EpochMillis) -> u64 {
    at.millis_since(START) / 60_000
}

/// Midnight of a day in 2026.
const START: EpochMillis = EpochMillis(1_780_272_000_000);
/// Minutes until a minute that began can be read.
pub(super) const SIGHT_MINUTES: u64 = 1 + Duration::from_secs(120).as_secs() / 60;
