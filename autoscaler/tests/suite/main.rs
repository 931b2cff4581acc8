//! The planner beside the published autoscalers, against a list of what it must hold: `just suite`.
//!
//! ```text
//!   seeds, recorded traces ─▶ compare ─▶ bars ─┐
//!                                  bars.toml ──┴─▶ verdicts: printed; one that got worse fails the run
//! ```
//!
//! `leasehold autoscale simulate --seeds <seeds>` shows the same table.

mod expected;

use std::path::PathBuf;

use autoscaler::{
    CloudSettings, Comparison, Family, Ours, Policy, TelemetrySettings, Trace, TraceSettings, compare,
    read_trace, suite,
};
use expected::{Expected, List};

/// The shipped policy over `traces`, with the trials of seeds if there is nothing recorded.
fn compared(traces: &[Trace], list: List) -> Comparison {
    let settings =
        CloudSettings { telemetry: Some(TelemetrySettings::default()), ..CloudSettings::default() };
    let ours = || Ours::new(Policy::default());
    let comparison = compare(traces, &settings, ours);
    match list {
        List::Seeds => comparison.with_trials(&settings, ours),
        List::Recorded => comparison,
    }
}

fn judge(traces: &[Trace], list: List) {
    let comparison = compared(traces, list);
    println!("{comparison}");
    let verdicts = Expected::shipped().judge(list, &comparison.bars);
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let worse: Vec<_> =
        verdicts.iter().filter(|verdict| verdict.is_worse()).map(ToString::to_string).collect();
    assert!(worse.is_empty(), "worse than listed in bars.toml:\n{}", worse.join("\n"));
}

#[test]
#[ignore = "a fortnight of eleven families for each seed of LEASEHOLD_SUITE_SEEDS"]
fn seeds_hold_what_is_listed() {
    let seeds = std::env::var("LEASEHOLD_SUITE_SEEDS").unwrap_or_else(|_| "1,2".to_owned());
    let seeds: Vec<u64> =
        seeds.split(',').map(|seed| seed.parse().expect("LEASEHOLD_SUITE_SEEDS lists numbers")).collect();
    judge(&suite(&seeds), List::Seeds);
}

#[test]
#[ignore = "needs LEASEHOLD_SAMPLE_DATA"]
fn sample_traces_hold_what_is_listed() {
    let data = std::env::var("LEASEHOLD_SAMPLE_DATA")
        .expect("LEASEHOLD_SAMPLE_DATA names the folder of sample data");
    let folder = PathBuf::from(data).join("traces");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    files.sort();
    assert_eq!(files.len(), 5, "{files:?}");
    let read = |path: &PathBuf| read_trace(path, &TraceSettings::default()).expect("a trace").trace;
    judge(&files.iter().map(read).collect::<Vec<_>>(), List::Recorded);
}

#[test]
fn every_bar_that_is_listed_is_measured() {
    let mut day = Family::Daily.trace(1);
    day.minutes.truncate(24 * 60);
    let bars = compared(&[day], List::Seeds).bars;
    for list in [List::Seeds, List::Recorded] {
        let unknown: Vec<_> = Expected::shipped()
            .names(list)
            .filter(|name| bars.iter().all(|bar| bar.name != *name))
            .map(str::to_owned)
            .collect();
        assert!(unknown.is_empty(), "bars.toml lists for {list:?} what is not measured: {unknown:?}");
    }
}
