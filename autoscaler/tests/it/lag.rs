//! While a reader is further behind than the policy allows, nothing is merged, however much capacity is left over.
//!
//! A merge closes shards that the reader must finish first, so it would make a late reader later.

use std::time::Duration;

use autoscaler::{
    ApplicationSettings, CloudSettings, EpochMillis, KeySchedule, LoadMap, MinuteLoad, Operation, Ours,
    Policy, Run, Slowdown, TelemetrySettings, Trace, run,
};

/// An hour of twelve shards' worth, and then of three.
fn falling() -> Trace {
    let load = |minute| {
        let shards = if minute < FALLS { 12.0 } else { 3.0 };
        MinuteLoad { bytes: shards * 42e6, records: shards * 60_000.0, burst: 1.0 }
    };
    Trace {
        name: "falling".to_owned(),
        start: START,
        minutes: (0..MINUTES).map(load).collect(),
        keys: KeySchedule::constant(LoadMap::even()),
    }
}

/// What is done about it while a reader keeps `rate` of its speed for some hours.
fn replay(rate: f64, telemetry: Option<TelemetrySettings>) -> Run {
    let slow = Slowdown { after: MINUTE * SLOW_FROM, lasts: MINUTE * (SLOW_UNTIL - SLOW_FROM), rate };
    let application = ApplicationSettings { slowdowns: vec![slow], ..ApplicationSettings::polling("reader") };
    let settings = CloudSettings {
        shards: Some(20),
        applications: vec![application],
        telemetry,
        ..CloudSettings::default()
    };
    run(&falling(), &settings, &mut Ours::new(Policy::default()))
}

fn minute_of(operation: &Operation) -> usize {
    (operation.at.millis_since(START) / 60_000) as usize
}

#[test]
fn nothing_is_taken_away_while_a_reader_is_too_far_behind_and_all_of_it_after() {
    let lag_max = Policy::default().lag_max;
    let undisturbed = replay(1.0, None);
    let ends_with = |run: &Run| run.minutes.last().expect("a trace has minutes").shards;
    // A reader at a fiftieth of its speed falls behind within minutes; one that is stopped tells nothing at all.
    for rate in [0.02, 0.0] {
        for telemetry in [None, Some(TelemetrySettings::default())] {
            let run = replay(rate, telemetry);
            let is_late = |minute: usize| run.minutes[minute].behind > lag_max;
            let late = (0..run.minutes.len()).filter(|&minute| is_late(minute)).count();
            assert!(late > 120, "{rate}: late for {late} minutes");
            let taken = |run: &Run| -> Vec<usize> {
                run.operations
                    .iter()
                    .filter(|operation| operation.to < operation.from)
                    .map(minute_of)
                    .collect()
            };
            let while_late: Vec<_> = taken(&run)
                .into_iter()
                .filter(|&minute| is_late(minute) && minute > 0 && is_late(minute - 1))
                .collect();
            assert_eq!(while_late, Vec::<usize>::new(), "{rate}: minutes in which something was taken away");
            let then = taken(&undisturbed).into_iter().filter(|&minute| is_late(minute)).count();
            assert!(then > 3, "{rate}: without the slowdown only {then} steps fell into that time");
            assert_eq!(ends_with(&run), ends_with(&undisturbed), "{rate}: it is made up for");
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const MINUTES: usize = 16 * 60;
/// When the load falls.
const FALLS: usize = 60;
const SLOW_FROM: u32 = 70;
const SLOW_UNTIL: u32 = 300;
/// Monday, 2026-01-05, 00:00 UTC.
const START: EpochMillis = EpochMillis(1_767_571_200_000);
