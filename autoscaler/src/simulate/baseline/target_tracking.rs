//! Target tracking without a plan for the quota: what one writes first.
//!
//! No tool's code: the controller that §6 of the reference measurements calls "target tracking 80/70, no quota plan". It
//! sizes exactly and at once, with the same thresholds, windows and true demand as a good planner, so that what it lacks
//! shows: it spends the day's ten calls on small steps and then stands still, asking every minute.
//!
//! ```text
//!   up:   median demand of the last 3 minutes > 80 % of the count      ─▶ that demand ÷ 0.7
//!   down: greatest demand of the last 60 minutes ÷ 0.7 < the count     ─▶ that many, no sooner than 30 minutes after a growth
//! ```

use std::time::Duration;

use crate::simulate::{Cloud, Scaler};
use crate::{EpochMillis, Minute, ShardLimits, StreamState};

/// The controller.
#[derive(Debug, Default)]
pub(super) struct TargetTracking {
    limits: ShardLimits,
    grown_at: Option<EpochMillis>,
}

impl TargetTracking {
    fn target(&self, minutes: &[Minute], count: u32, now: EpochMillis) -> u32 {
        let mut newest = minutes.iter().rev().filter_map(|minute| self.demand(minute));
        let recent: Option<[f64; 3]> =
            newest.next().and_then(|first| Some([first, newest.next()?, newest.next()?]));
        let Some(mut recent) = recent else { return count };
        recent.sort_by(f64::total_cmp);
        let fitting = |demand: f64| (demand / AIM).ceil() as u32;
        if recent[1] > GROW_ABOVE * f64::from(count) {
            return fitting(recent[1]).min(count.saturating_mul(2)).max(count);
        }
        let is_pausing = self.grown_at.is_some_and(|grown| now < grown.after(SHRINK_PAUSE));
        if is_pausing || fitting(recent[1]) >= count {
            return count;
        }
        let known = minutes.iter().filter_map(|minute| self.demand(minute));
        let (measured, peak) =
            known.fold((0, 0.0_f64), |(measured, peak), demand| (measured + 1, peak.max(demand)));
        if measured < SHRINK_EVIDENCE_MINUTES {
            return count;
        }
        fitting(peak).max(count.div_ceil(2)).min(count)
    }

    /// Accepted and refused load in shards. Retries count a refused record again, so at most as much as was accepted is added.
    fn demand(&self, minute: &Minute) -> Option<f64> {
        let records = minute.records? / self.limits.write_records_per_second;
        let accepted = records.max(minute.bytes? / self.limits.write_bytes_per_second) / 60.0;
        let refused = minute.rejected_records.unwrap_or(0.0) / minute.records?.max(1.0);
        Some(accepted * (1.0 + refused.min(1.0)))
    }
}

impl Scaler for TargetTracking {
    fn name(&self) -> &str {
        "target tracking, no quota plan"
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        if cloud.state() != StreamState::Active {
            return;
        }
        let (count, now) = (cloud.layout().count(), cloud.now());
        let target = self.target(cloud.minutes(SHRINK_WINDOW), count, now);
        if target != count && cloud.update_shard_count(target).is_ok() && target > count {
            self.grown_at = Some(now);
        }
    }
}

const GROW_ABOVE: f64 = 0.8;
const AIM: f64 = 0.7;
const SHRINK_WINDOW: Duration = Duration::from_secs(60 * 60);
/// Most of the window must be known: at the start of a run and in a gap nothing is taken away.
const SHRINK_EVIDENCE_MINUTES: u32 = 45;
const SHRINK_PAUSE: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::super::replay::{SIGHT_MINUTES, calls, replay, step, trace};
    use super::*;

    #[test]
    fn it_sizes_exactly_from_the_median_of_three_minutes() {
        let run = replay(TargetTracking::default(), &step(5.6, 7.0, 60), 8);
        assert_eq!(calls(&run), [(60 + 1 + SIGHT_MINUTES, 10)]);
    }

    #[test]
    fn what_is_refused_counts_as_demand() {
        let run = replay(TargetTracking::default(), &step(5.6, 16.0, 60), 8);
        assert_eq!(calls(&run)[0], (60 + 1 + SIGHT_MINUTES, 16));
    }

    #[test]
    fn an_hours_peak_must_fit_before_shards_go() {
        let run = replay(TargetTracking::default(), &trace([[5.6; 60].as_slice(), &[2.8; 120]].concat()), 8);
        assert_eq!(calls(&run)[0].1, 4);
        assert!(calls(&run)[0].0 >= 60 + 57, "{:?}", calls(&run));
    }

    #[test]
    fn a_slow_rise_spends_the_quota_and_then_asks_every_minute() {
        let run = replay(
            TargetTracking::default(),
            &trace((0..1_000).map(|minute| 5.0 + 0.05 * f64::from(minute))),
            8,
        );
        assert_eq!(calls(&run).len(), 10);
        assert!(run.refused.len() > 100, "{}", run.refused.len());
    }
}
