//! What the candidate must hold against the baselines and the ideals, and which trace decides it.

use serde::Serialize;

use super::row::{Row, Summary};

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// What is measured.
    pub name: String,
    /// The figure.
    pub measured: f64,
    /// The most that it may be.
    pub at_most: f64,
    /// Whether it is no more.
    pub holds: bool,
    /// Which trace weighs most, and with what.
    pub binds: String,
}

impl Bar {
    /// A bar that holds if `measured` is at most `at_most`.
    #[must_use]
    pub fn new(name: impl Into<String>, measured: f64, at_most: f64, binds: impl Into<String>) -> Self {
        Self { name: name.into(), measured, at_most, holds: measured <= at_most, binds: binds.into() }
    }
}

/// The bars of the first scaler of all, over all traces.
pub(super) fn judge(rows: &[Row], overall: &[Summary]) -> Vec<Bar> {
    let Some(candidate) = overall.first() else { return Vec::new() };
    let named = |name: &str| overall.iter().find(|summary| summary.scaler == name);
    let own: Vec<_> = rows.iter().filter(|row| row.scaler == candidate.scaler).collect();
    let greatest = |figure: &dyn Fn(&Row) -> f64| {
        own.iter().map(|row| (*row, figure(row))).max_by(|left, right| left.1.total_cmp(&right.1))
    };
    let binds = |figure: &dyn Fn(&Row) -> f64| {
        greatest(figure).map_or_else(String::new, |(row, value)| format!("{}: {value:.2}", row.trace))
    };
    let mut bars = Vec::new();
    if let Some(samples) = named(AWS_SAMPLES) {
        let of_samples =
            |row: &Row| rows.iter().find(|other| other.scaler == samples.scaler && other.trace == row.trace);
        let throttled = |row: &Row| {
            let theirs = of_samples(row).map_or(0.0, |other| other.figures.throttled_minutes_per_day);
            row.figures.throttled_minutes_per_day - THROTTLED_MAX * theirs
        };
        let worst = greatest(&throttled).map_or_else(String::new, |(row, _)| {
            let theirs = of_samples(row).map_or(0.0, |other| other.figures.throttled_minutes_per_day);
            format!("{}: {:.1} of {theirs:.1}", row.trace, row.figures.throttled_minutes_per_day)
        });
        bars.push(Bar::new(
            "throttled minutes ÷ aws-samples'",
            ratio(candidate.figures.throttled_minutes_per_day, samples.figures.throttled_minutes_per_day),
            THROTTLED_MAX,
            worst,
        ));
        let hours = |row: &Row| {
            of_samples(row).map_or(1.0, |other| ratio(row.figures.shard_hours, other.figures.shard_hours))
        };
        let logarithms: f64 = own.iter().map(|row| hours(row).ln()).sum();
        let mean = (logarithms / own.len() as f64).exp();
        bars.push(Bar::new("shard-hours ÷ aws-samples', geometric mean", mean, 1.0, binds(&hours)));
    }
    bars.push(Bar::new(
        "shard-hours ÷ clairvoyant, geometric mean",
        candidate.figures.over_ideal,
        OVER_IDEAL_MAX,
        binds(&|row| row.figures.over_ideal),
    ));
    bars.push(Bar::new(
        "UpdateShardCount calls in 24 h",
        f64::from(candidate.figures.calls_in_24h_max),
        CALLS_MAX,
        binds(&|row| f64::from(row.figures.calls_in_24h_max)),
    ));
    bars.push(Bar::new(
        "refused calls",
        f64::from(candidate.figures.refused),
        0.0,
        binds(&|row| f64::from(row.figures.refused)),
    ));
    bars.push(Bar::new(
        "opposite moves within the hour, %",
        100.0
            * ratio(
                f64::from(candidate.figures.opposite_moves_within_hour),
                f64::from(candidate.figures.moves),
            ),
        OPPOSITE_PERCENT_MAX,
        binds(&|row| f64::from(row.figures.opposite_moves_within_hour)),
    ));
    if let Some(utils) = named(SCALING_UTILS)
        && let Some(theirs) = utils.figures.created_per_useful_change
    {
        let created = candidate.figures.created_per_useful_change.unwrap_or(0.0);
        bars.push(Bar::new(
            "shards created per change ÷ scaling-utils'",
            ratio(created, theirs),
            CREATED_MAX,
            binds(&|row| row.figures.created_per_useful_change.unwrap_or(0.0)),
        ));
    }
    bars
}

/// Nothing over nothing is nothing.
fn ratio(own: f64, theirs: f64) -> f64 {
    if own == 0.0 { 0.0 } else { own / theirs }
}

pub(in crate::simulate) const AWS_SAMPLES: &str = "aws-samples ×2/÷2";
const SCALING_UTILS: &str = "scaling-utils 150/25";
pub(in crate::simulate) const THROTTLED_MAX: f64 = 0.25;
pub(in crate::simulate) const OVER_IDEAL_MAX: f64 = 1.6;
/// One of the quota's ten stays for an operator.
const CALLS_MAX: f64 = 9.0;
const OPPOSITE_PERCENT_MAX: f64 = 2.0;
const CREATED_MAX: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::super::row::summaries;
    use super::super::row::tests::row;
    use super::*;

    fn bars(rows: &[Row]) -> Vec<(String, f64, bool)> {
        let bars = judge(rows, &summaries("all", rows));
        bars.into_iter().map(|bar| (bar.name, bar.measured, bar.holds)).collect()
    }

    #[test]
    fn the_candidate_is_held_against_the_right_ones() {
        let rows = [
            row("a-1", "candidate", 2.0, 90.0),
            row("a-1", AWS_SAMPLES, 8.0, 100.0),
            row("a-1", SCALING_UTILS, 4.0, 100.0),
        ];
        let bars = bars(&rows);
        assert_eq!(bars[0].1, 0.25);
        assert!(bars[0].2, "exactly a quarter holds");
        assert!((bars[1].1 - 0.9).abs() < 1e-12 && bars[1].2);
        assert_eq!(
            bars.iter().map(|bar| bar.2).collect::<Vec<_>>(),
            [true, true, true, true, false, false, false]
        );
        assert_eq!((bars[4].1, bars[5].1, bars[6].1), (1.0, 2.5, 1.0));
    }

    #[test]
    fn a_bar_that_fails_names_the_trace_that_weighs_most() {
        let rows = [
            row("a-1", "candidate", 1.0, 100.0),
            row("b-1", "candidate", 9.0, 300.0),
            row("a-1", AWS_SAMPLES, 8.0, 100.0),
            row("b-1", AWS_SAMPLES, 8.0, 100.0),
        ];
        let bars = judge(&rows, &summaries("all", &rows));
        assert_eq!(bars[0].binds, "b-1: 9.0 of 8.0");
        assert_eq!(bars[1].binds, "b-1: 3.00");
        assert_eq!(bars[2].binds, "b-1: 3.00");
        assert!(!bars[2].holds, "geometric mean of 1 and 3");
    }

    #[test]
    fn without_traces_and_without_refusals_there_is_nothing_to_divide() {
        assert!(judge(&[], &[]).is_empty());
        assert_eq!(ratio(0.0, 0.0), 0.0);
        assert!(ratio(1.0, 0.0) > 1e300, "more than nothing fails");
    }
}
