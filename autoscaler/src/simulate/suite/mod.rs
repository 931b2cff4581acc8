//! The comparison: an autoscaler and every baseline over many traces, and the bars that it must hold.
//!
//! ```text
//!   traces ─▶ one thread per core: every scaler, the ideals ─▶ Row (trace × scaler) ─▶ Summary (family × scaler, all)
//!                                                                   └──────────────────────┴─▶ Bar
//!   surge, skewed keys ─▶ trials ─▶ Bar
//! ```
//!
//! Everything is computed from the seeds, whatever the number of threads: the same arguments give the same comparison.

mod bar;
mod row;
mod table;
mod trial;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;

pub use self::bar::Bar;
pub(super) use self::bar::{AWS_SAMPLES, OVER_IDEAL_MAX, THROTTLED_MAX};
pub use self::row::{Figures, Row, Summary};
use self::row::{family_summaries, summaries};
pub use self::trial::plot_surge;
use super::page::Detail;
use super::{CloudSettings, Scaler, Trace, TracePlot, baselines, clairvoyant, reactive, run};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Each scaler on each trace, trace by trace; the candidate is the first of each.
    pub rows: Vec<Row>,
    /// Each scaler on each family of traces.
    pub families: Vec<Summary>,
    /// Each scaler on all traces.
    pub overall: Vec<Summary>,
    /// What the candidate must hold.
    pub bars: Vec<Bar>,
}

/// Runs the scaler that `candidate` makes, and all baselines, over all traces.
#[must_use]
pub fn compare<S: Scaler>(
    traces: &[Trace],
    settings: &CloudSettings,
    candidate: impl Fn() -> S + Sync,
) -> Comparison {
    Comparison::of(in_parallel(traces, |trace| replay(trace, settings, candidate(), None).0))
}

/// The same, with what a page draws of each trace; see [`report_page`](super::report_page).
#[must_use]
pub fn compare_plotted<S: Scaler>(
    traces: &[Trace],
    settings: &CloudSettings,
    candidate: impl Fn() -> S + Sync,
) -> (Comparison, Vec<TracePlot>) {
    let detail = Detail::of_each(traces.len());
    let replays = in_parallel(traces, |trace| replay(trace, settings, candidate(), Some(detail)));
    let (rows, plots): (Vec<_>, Vec<_>) = replays.into_iter().unzip();
    (Comparison::of(rows), plots.into_iter().flatten().collect())
}

impl Comparison {
    fn of(rows: Vec<Vec<Row>>) -> Self {
        let rows: Vec<Row> = rows.into_iter().flatten().collect();
        let overall = summaries("all", &rows);
        let bars = bar::judge(&rows, &overall);
        Self { families: family_summaries(&rows), overall, bars, rows }
    }

    /// Adds what the scaler that `candidate` makes must hold in single trials: a tenfold surge, and keys of unequal weight.
    #[must_use]
    pub fn with_trials<S: Scaler>(
        mut self,
        settings: &CloudSettings,
        candidate: impl Fn() -> S + Sync,
    ) -> Self {
        self.bars.extend(trial::judge(settings, candidate));
        self
    }

    /// Whether every bar holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.bars.iter().all(|bar| bar.holds)
    }
}

/// Every scaler on one trace, and if a detail is given, what is drawn of them.
fn replay(
    trace: &Trace,
    settings: &CloudSettings,
    mut candidate: impl Scaler,
    detail: Option<Detail>,
) -> (Vec<Row>, Option<TracePlot>) {
    let schedule = clairvoyant(trace, &settings.limits);
    let ideal = hours(&schedule);
    let reactive = hours(&reactive(trace, &settings.limits, settings.metrics.delay + MINUTE));
    let mut plot = detail.map(|detail| TracePlot::new(trace, &schedule, &settings.limits, detail));
    let mut row = |scaler: &mut dyn Scaler, settings: &CloudSettings| {
        let shards = scaler.shards_at_start().or(settings.shards);
        let settings = CloudSettings { shards, ..settings.clone() };
        let run = run(trace, &settings, scaler);
        if let Some(plot) = &mut plot {
            plot.add(&run, trace);
        }
        Row::of(&run, ideal, reactive)
    };
    // No baseline looks at what workers report, and keeping it takes most of a run's time.
    let unreported = CloudSettings { telemetry: None, ..settings.clone() };
    let mut rows = vec![row(&mut candidate, settings)];
    rows.extend(baselines(trace).iter_mut().map(|scaler| row(scaler.as_mut(), &unreported)));
    (rows, plot)
}

/// The result for each item, in their order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        while let Some((place, item)) = {
            let place = next.fetch_add(1, Ordering::Relaxed);
            items.get(place).map(|item| (place, item))
        } {
            results.push((place, work(item)));
        }
        results
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a run does not panic")).collect()
    });
    results.sort_unstable_by_key(|&(place, _)| place);
    results.into_iter().map(|(_, result)| result).collect()
}

fn hours(shards_by_minute: &[u32]) -> f64 {
    shards_by_minute.iter().map(|&shards| f64::from(shards)).sum::<f64>() / 60.0
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Cloud, Family};

    /// One that never does anything.
    #[derive(Debug)]
    struct Idle;

    impl Scaler for Idle {
        fn name(&self) -> &str {
            "idle"
        }

        fn minute(&mut self, _cloud: &mut Cloud) {}
    }

    /// The first day of a trace.
    fn day(family: Family, seed: u64) -> Trace {
        let mut trace = family.trace(seed);
        trace.minutes.truncate(1_440);
        trace
    }

    #[test]
    fn every_scaler_meets_every_trace_in_order() {
        let traces = [day(Family::Daily, 1), day(Family::Crowds, 1), day(Family::Daily, 2)];
        let comparison = compare(&traces, &CloudSettings::default(), || Idle);
        let scalers = baselines(&traces[0]).len() + 1;
        assert_eq!(comparison.rows.len(), 3 * scalers);
        let names: Vec<_> = comparison.rows.iter().step_by(scalers).map(|row| row.trace.as_str()).collect();
        assert_eq!(names, ["daily-1", "crowds-1", "daily-2"]);
        assert_eq!(comparison.families.len(), 2 * scalers);
        assert_eq!(comparison.overall.len(), scalers);
        assert_eq!(comparison, compare(&traces, &CloudSettings::default(), || Idle), "the same again");
    }

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<_> = (0..1_000).collect();
        assert_eq!(in_parallel(&items, |item| item * 2), (0..1_000).map(|item| item * 2).collect::<Vec<_>>());
        assert!(in_parallel(&[] as &[i32], |item| *item).is_empty());
    }
}
