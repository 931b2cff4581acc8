//! Every knob of the autoscaler: plain data, checked before it is used.
//!
//! The defaults are what `leasehold autoscale simulate --suite` shows to be good over many kinds of traffic; a stream should
//! rarely need others than the bounds. [`Policies`] are those of many streams, as one text says them.

mod schedule;
mod streams;

use std::time::Duration;

use schedule::SpanFields;
pub use schedule::{Day, WeeklySpan};
use serde::{Deserialize, Serialize};
pub use streams::{Policies, PoliciesProblem};
use thiserror::Error;

use crate::EpochMillis;

/// How one stream is to be scaled.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Fewest shards. Default 1. A greater floor absorbs a surge until the first reshard is done, and costs its shard-hours.
    pub shards_min: u32,
    /// Most shards. Default 1000. A bound on cost: above it the stream throttles and the plan says so.
    pub shards_max: u32,
    /// Whether the stream's own last days choose `grow_above`, `aim`, `shrink_aim`, `shrink_window` and `shrink_pause`, once
    /// six hours are known, and what came at the same hour of an earlier day is met before it comes. Default true. With false
    /// those knobs hold as they stand here.
    pub learns: bool,
    /// Utilisation of the fullest shard above which capacity is added, 0 to 1. Default 0.8, as the published tools. Greater
    /// saves shard-hours and leaves less room for bursts within a minute.
    pub grow_above: f64,
    /// Utilisation of the fullest shard at which a new layout is aimed, 0 to 1. Default 0.62. Must be below `grow_above`.
    pub aim: f64,
    /// Utilisation of the fullest shard at which the peak of `shrink_window` may lie after capacity is taken away, 0 to 1.
    /// Default 0.7. Must be below `grow_above`, or the next gust undoes it.
    pub shrink_aim: f64,
    /// Minutes of evidence before capacity is added. Default 3 (the median of them counts, so that one wrong reading does
    /// nothing). More reacts later.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub grow_evidence: Duration,
    /// Time whose peak must fit before capacity is taken away. Default 60 minutes. Longer keeps more shards after a peak.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub shrink_window: Duration,
    /// Time after any growth during which nothing is taken away. Default 30 minutes.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub shrink_pause: Duration,
    /// `UpdateShardCount` calls that the planner may use in 24 hours, at most 10. Default 9: one stays for an operator.
    pub calls_max: u32,
    /// How far an application may be behind before merges stop. Default 5 minutes.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub lag_max: Duration,
    /// Most by which the shard count may grow or shrink within an hour, as a factor. Default 16: four doublings. Smaller
    /// bounds what a wrong signal can cost.
    pub change_per_hour_max: f64,
    /// Nothing is changed while this is true, whatever happens. Default false.
    pub is_paused: bool,
    /// Times at which more shards must be there than the load asks for, as before a sale.
    pub floors: Vec<Floor>,
    /// Times at which nothing may be taken away or rearranged; growth goes on, because throttling is worse.
    pub freezes: Vec<WeeklySpan>,
    /// What one shard takes and gives.
    pub limits: ShardLimits,
}

/// A least shard count for a part of each week.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Fewest shards while it holds.
    pub shards_min: u32,
    /// When it holds. A reshard takes minutes, and a great step several calls, so let it begin early.
    pub span: WeeklySpan,
}

/// What one shard takes and gives, by the AWS quotas page.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShardLimits {
    /// Bytes written per second. Default 1,000,000: AWS's pages disagree on MB and MiB, this is the safe side.
    pub write_bytes_per_second: f64,
    /// Records written per second. Default 1000.
    pub write_records_per_second: f64,
    /// Bytes read per second by all polling readers together. Default 2,000,000.
    pub read_bytes_per_second: f64,
}

impl Default for ShardLimits {
    fn default() -> Self {
        Self {
            write_bytes_per_second: 1_000_000.0,
            write_records_per_second: 1_000.0,
            read_bytes_per_second: 2_000_000.0,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            shards_min: 1,
            shards_max: 1_000,
            learns: true,
            grow_above: 0.8,
            aim: 0.62,
            shrink_aim: 0.7,
            grow_evidence: minutes(3),
            shrink_window: minutes(60),
            shrink_pause: minutes(30),
            calls_max: 9,
            lag_max: minutes(5),
            change_per_hour_max: 16.0,
            is_paused: false,
            floors: Vec::new(),
            freezes: Vec::new(),
            limits: ShardLimits::default(),
        }
    }
}

impl Policy {
    /// Fewest shards at `now`: the greatest of the floors that hold, at most `shards_max`.
    #[must_use]
    pub fn shards_min_at(&self, now: EpochMillis) -> u32 {
        let floors =
            self.floors.iter().filter(|floor| floor.span.contains(now)).map(|floor| floor.shards_min);
        floors.chain([self.shards_min]).max().unwrap_or(1).min(self.shards_max)
    }

    /// Whether `now` lies in a freeze.
    #[must_use]
    pub fn is_frozen_at(&self, now: EpochMillis) -> bool {
        self.freezes.iter().any(|freeze| freeze.contains(now))
    }

    /// Checks the fields and how they go together.
    ///
    /// # Errors
    /// [`PolicyProblem`] for the first field that cannot be: its name, its value and what it may be.
    pub fn validate(&self) -> Result<(), PolicyProblem> {
        let problem = |field, value: String, remedy| Err(PolicyProblem { field, value, remedy });
        let is_share = |value: f64| value > 0.0 && value <= 1.0;
        if self.shards_min == 0 {
            return problem("shards_min", "0".into(), "give at least 1");
        }
        if self.shards_max < self.shards_min {
            return problem("shards_max", self.shards_max.to_string(), "give at least shards_min");
        }
        if self.shards_max > SHARDS_OF_A_STREAM_MAX {
            return problem(
                "shards_max",
                self.shards_max.to_string(),
                "give at most 10000, which Kinesis allows",
            );
        }
        if !is_share(self.grow_above) {
            return problem(
                "grow_above",
                self.grow_above.to_string(),
                "give a utilisation above 0 and up to 1",
            );
        }
        if !is_share(self.aim) || self.aim >= self.grow_above {
            return problem("aim", self.aim.to_string(), "give a utilisation above 0 and below grow_above");
        }
        if !is_share(self.shrink_aim) || self.shrink_aim >= self.grow_above {
            let remedy = "give a utilisation above 0 and below grow_above";
            return problem("shrink_aim", self.shrink_aim.to_string(), remedy);
        }
        if self.calls_max > CALLS_OF_A_DAY_MAX {
            return problem(
                "calls_max",
                self.calls_max.to_string(),
                "give at most 10, which Kinesis allows in 24 h",
            );
        }
        let minute = Duration::from_secs(60);
        for (field, value) in [("grow_evidence", self.grow_evidence), ("shrink_window", self.shrink_window)] {
            if value < minute || value > WINDOW_MAX {
                return problem(field, format!("{} s", value.as_secs()), "give a time from 1m to 24h");
            }
        }
        if !(self.change_per_hour_max.is_finite() && self.change_per_hour_max > 1.0) {
            let remedy = "give a factor above 1";
            return problem("change_per_hour_max", self.change_per_hour_max.to_string(), remedy);
        }
        let floors = self.floors.iter().map(|floor| (FLOOR_SPAN, &floor.span));
        let freezes = self.freezes.iter().map(|freeze| (FREEZE_SPAN, freeze));
        let problem_of = |(fields, span): (SpanFields, &WeeklySpan)| span.problem(fields);
        if let Some((field, value, remedy)) = floors.chain(freezes).find_map(problem_of) {
            return problem(field, value, remedy);
        }
        if let Some(floor) = self.floors.iter().find(|floor| floor.shards_min > self.shards_max) {
            return problem("floors.shards_min", floor.shards_min.to_string(), "give at most shards_max");
        }
        let limits = [
            ("limits.write_bytes_per_second", self.limits.write_bytes_per_second),
            ("limits.write_records_per_second", self.limits.write_records_per_second),
            ("limits.read_bytes_per_second", self.limits.read_bytes_per_second),
        ];
        for (field, value) in limits {
            if !(value.is_finite() && value > 0.0) {
                return problem(field, value.to_string(), "give a rate above 0");
            }
        }
        Ok(())
    }
}

/// A policy that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} = {value}: {remedy}")]
pub struct PolicyProblem {
    /// The field's name.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub remedy: &'static str,
}

const FLOOR_SPAN: SpanFields = SpanFields { days: "floors.span.days", time_zone: "floors.span.time_zone" };
const FREEZE_SPAN: SpanFields = SpanFields { days: "freezes.days", time_zone: "freezes.time_zone" };
/// `UpdateShardCount` of one stream, by the AWS quotas page.
const CALLS_OF_A_DAY_MAX: u32 = 10;
/// Shards to which `UpdateShardCount` scales one stream.
const SHARDS_OF_A_STREAM_MAX: u32 = 10_000;
/// CloudWatch keeps one-minute points for 15 days; a day of them is what one plan reads at most.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Policy::default().validate(), Ok(()));
    }

    #[test]
    fn each_problem_names_its_field() {
        let refused = |change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            policy.validate().expect_err("refused").field
        };
        assert_eq!(refused(|policy| policy.shards_min = 0), "shards_min");
        assert_eq!(refused(|policy| policy.shards_max = 0), "shards_max");
        assert_eq!(refused(|policy| policy.shards_max = 10_001), "shards_max");
        assert_eq!(refused(|policy| policy.grow_above = f64::NAN), "grow_above");
        assert_eq!(refused(|policy| policy.aim = 0.8), "aim");
        assert_eq!(refused(|policy| policy.shrink_aim = 0.0), "shrink_aim");
        assert_eq!(refused(|policy| policy.calls_max = 11), "calls_max");
        assert_eq!(refused(|policy| policy.shrink_window = Duration::ZERO), "shrink_window");
        assert_eq!(
            refused(|policy| policy.limits.read_bytes_per_second = 0.0),
            "limits.read_bytes_per_second"
        );
    }
}
