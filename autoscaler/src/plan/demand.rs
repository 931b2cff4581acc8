//! How much the stream's producers ask for, in shards.
//!
//! ```text
//!   accepted bytes, records ─┐   + rejected        ÷ limits            median, maximum
//!   rejected records ────────┴─▶ true demand ─────▶ shards per minute ─▶ now (to grow), peak (to shrink)
//! ```
//!
//! `IncomingBytes` counts what was accepted only, and stands still at the capacity of a stream that throttles; what was
//! rejected is added to it. Retries of rejected records are counted again by Kinesis, so what is added is bounded.

use std::time::Duration;

use crate::{EpochMillis, Ledger, LoadMap, Minute, Observation, Policy, ShardLimits, ShardMinute};

/// The demand on a stream, in shards of the limits' size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Demand {
    /// What capacity must be added for: two readings agree on it, or the stream throttles.
    pub(super) now: f64,
    /// The greatest of the last readings: what new capacity is sized for.
    pub(super) recent_max: f64,
    /// The greatest within the shrink window; unknown if too many of its minutes are.
    pub(super) peak: Option<f64>,
    /// The part of the offered records that was rejected in the last minute, 0 to 1; none if that minute began before capacity
    /// was last added, because then it tells of the layout that was too small.
    pub(super) rejected_share: f64,
}

impl Demand {
    /// The demand that `observation` shows, if any reading is young enough.
    ///
    /// A minute in which records were rejected was too much for its layout, whatever its mean says: for the peak it counts as
    /// much as the present layout carries (`capacity`, in shards).
    pub(super) fn of(
        observation: &Observation,
        capacity: f64,
        policy: &Policy,
        grown_at: Option<EpochMillis>,
        now: EpochMillis,
    ) -> Option<Self> {
        let readers = polling_readers(observation);
        let evidence = minutes(policy.grow_evidence);
        let mut recent = Vec::with_capacity(evidence);
        let mut latest = None;
        let mut peak = 0.0_f64;
        let mut known = 0;
        let mut window_start = EpochMillis(0);
        for minute in observation.minutes.iter().rev() {
            if minute.start < window_start {
                break;
            }
            let age = Duration::from_millis(now.millis_since(minute.start));
            let Some(shards) = shards_of(minute, readers, &policy.limits) else { continue };
            if known == 0 {
                window_start = EpochMillis(minute.start.before(policy.shrink_window).0 + 1);
            }
            if recent.len() < evidence && age <= READING_AGE_MAX {
                latest.get_or_insert(minute);
                recent.push(shards);
            }
            known += 1;
            let is_crowded = (REJECTED_SHARE_NOTICED..HIDDEN_SHARE_MAX).contains(&rejected_share_of(minute));
            peak = peak.max(if is_crowded { capacity.clamp(shards, shards * HIDDEN_MAX) } else { shards });
        }
        let latest = latest?;
        let rejected_share = rejected_share_of(latest);
        let agreed = recent.iter().take(2).copied().fold(f64::INFINITY, f64::min);
        let throttled = if rejected_share > REJECTED_SHARE_NOTICED { recent[0] } else { 0.0 };
        let is_window_known = known * 10 >= minutes(policy.shrink_window) * 9;
        Some(Self {
            now: median(&recent).max(agreed).max(throttled),
            recent_max: recent.iter().copied().fold(0.0, f64::max),
            peak: is_window_known.then_some(peak),
            rejected_share: if grown_at.is_some_and(|at| latest.start < at) { 0.0 } else { rejected_share },
        })
    }

    /// The same where the fullest shard carries `unevenness` times the mean.
    pub(super) fn times(self, unevenness: f64) -> Self {
        Self {
            now: self.now * unevenness,
            recent_max: self.recent_max * unevenness,
            peak: self.peak.map(|peak| peak * unevenness),
            ..self
        }
    }
}

/// What one settled minute asked for, in shards: with what was rejected, and with what its busiest second shows.
pub(crate) fn demand_of_minute(observation: &Observation, minute: &Minute, policy: &Policy) -> Option<f64> {
    let shards = shards_of(minute, polling_readers(observation), &policy.limits)?;
    Some(shards * busiest_second(observation, minute.start))
}

/// The utilisation of the widest shard in the latest minute by an even load, if records were rejected in it and the layout has not changed since
/// it began. Nothing is said where a load map tells more.
pub(crate) fn rejecting_utilisation(
    observation: &Observation,
    ledger: &Ledger,
    policy: &Policy,
) -> Option<f64> {
    if observation.load_map.is_some() {
        return None;
    }
    let of = |minute| Some((minute, shards_of(minute, polling_readers(observation), &policy.limits)?));
    let (minute, shards) = observation.minutes.iter().rev().find_map(of)?;
    let changed_at = ledger.grown_at().max(ledger.shrunk_at());
    let tells = rejected_share_of(minute) > super::REJECTED_SHARE_MAX
        && changed_at.is_none_or(|changed_at| changed_at <= minute.start);
    tells.then(|| shards * LoadMap::even().greatest_share(&observation.layout.boundaries()))
}

/// How much more than its mean the busiest second of a minute asked for, the middle one of all shards that workers report: 1
/// where none is known. A full shard's seconds are cut off at its limit, so that what is hidden there stays hidden.
fn busiest_second(observation: &Observation, start: EpochMillis) -> f64 {
    let of_shard = |minutes: &Vec<ShardMinute>| {
        let minute = minutes.iter().rev().find(|minute| minute.start == start)?;
        let ratio =
            |second: Option<f64>, sum: Option<f64>| Some(second? * 60.0 / sum.filter(|&sum| sum > 0.0)?);
        let bytes = ratio(minute.bytes_second_max, minute.bytes);
        bytes.or_else(|| ratio(minute.records_second_max, minute.records))
    };
    let mut ratios: Vec<_> = observation.shards.values().filter_map(of_shard).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).map_or(1.0, |ratio| ratio.clamp(1.0, BUSIEST_SECOND_MAX))
}

/// The demand of one minute in shards; unknown if neither bytes nor records are.
pub(super) fn shards_of(minute: &Minute, readers: u32, limits: &ShardLimits) -> Option<f64> {
    let factor = 1.0 / (1.0 - rejected_share_of(minute)).max(1.0 / OFFERED_PER_ACCEPTED_MAX);
    let by_bytes = minute.bytes.map(|bytes| {
        let written = bytes * factor / 60.0;
        (written / limits.write_bytes_per_second)
            .max(f64::from(readers) * written / limits.read_bytes_per_second)
    });
    let by_records = minute.records.map(|records| records * factor / 60.0 / limits.write_records_per_second);
    match (by_bytes, by_records) {
        (Some(bytes), Some(records)) => Some(bytes.max(records)),
        (known, None) | (None, known) => known,
    }
}

/// The metric of rejected records has no point in a minute without any, so an absent point beside accepted records is none.
fn rejected_share_of(minute: &Minute) -> f64 {
    match (minute.records, minute.rejected_records) {
        (Some(records), Some(rejected)) if rejected > 0.0 => {
            let asked = rejected / TRIES_OF_A_RECORD;
            asked / (records + asked)
        }
        (Some(_) | None, Some(_) | None) => 0.0,
    }
}

/// Applications that share each shard's read limit.
fn polling_readers(observation: &Observation) -> u32 {
    let applications = u32::try_from(observation.applications.len()).unwrap_or(u32::MAX);
    applications.saturating_sub(observation.fan_out_consumers)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn minutes(duration: Duration) -> usize {
    usize::try_from(duration.as_secs() / 60).unwrap_or(usize::MAX).max(1)
}

/// CloudWatch shows a minute one or two minutes after its end; a reading older than this says nothing about now.
const READING_AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// The AWS SDKs send a request up to three times, and Kinesis counts each rejection.
const TRIES_OF_A_RECORD: f64 = 3.0;
/// Fewer rejections than one record in a thousand are what retries are for.
const REJECTED_SHARE_NOTICED: f64 = 0.001;
/// How much more than its mean a minute may hide, in its busiest second or in one shard.
const HIDDEN_MAX: f64 = 1.4;
/// A second with more is alone: its records are rejected once and taken at the next try.
const BUSIEST_SECOND_MAX: f64 = 2.0;
/// Greater rejections show in the mean.
const HIDDEN_SHARE_MAX: f64 = 0.1;
/// Rejections that are retries of retries would make demand unbounded; what is asked for is at most this many times what
/// was accepted. Two doublings, which take long enough for better readings.
const OFFERED_PER_ACCEPTED_MAX: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{observation, seen_at, steady};

    const LIMITS: fn() -> ShardLimits = ShardLimits::default;

    fn minute(bytes_shards: f64, rejected_share: f64) -> Minute {
        let records = bytes_shards * 60_000.0;
        Minute {
            bytes: Some(bytes_shards * 60_000_000.0),
            records: Some(records),
            rejected_records: (rejected_share > 0.0)
                .then(|| 3.0 * records * rejected_share / (1.0 - rejected_share)),
            ..Minute::default()
        }
    }

    #[test]
    fn rejected_records_are_demand_but_not_without_bound() {
        let shards = |minute| shards_of(&minute, 1, &LIMITS()).expect("known");
        assert!((shards(minute(2.0, 0.0)) - 2.0).abs() < 1e-9);
        assert!((shards(minute(2.0, 0.5)) - 4.0).abs() < 1e-9);
        assert!((shards(minute(2.0, 0.99)) - 8.0).abs() < 1e-9);
    }

    #[test]
    fn the_greater_of_bytes_records_and_reads_counts() {
        let shards = |minute, readers| shards_of(&minute, readers, &LIMITS());
        let small = Minute { bytes: Some(6_000_000.0), records: Some(60_000.0), ..Minute::default() };
        assert_eq!(shards(small, 1), Some(1.0));
        assert!((shards(minute(2.0, 0.0), 3).expect("known") - 3.0).abs() < 1e-9);
        assert_eq!(shards(Minute { records: Some(120_000.0), ..Minute::default() }, 0), Some(2.0));
        assert_eq!(shards(Minute::default(), 1), None);
    }

    #[test]
    fn one_wrong_reading_is_no_demand_and_two_are() {
        let mut seen = observation(4, &[1.0, 1.0, 1.0, 9.0]);
        let demand = |seen: &Observation| {
            Demand::of(seen, 4.0, &Policy::default(), None, seen_at(seen)).expect("known")
        };
        assert!((demand(&seen).now - 1.0).abs() < 1e-9);
        assert!((demand(&seen).recent_max - 9.0).abs() < 1e-9);
        seen = observation(4, &[1.0, 1.0, 9.0, 9.0]);
        assert!((demand(&seen).now - 9.0).abs() < 1e-9);
    }

    #[test]
    fn a_stale_or_missing_reading_is_unknown_and_a_gap_hides_the_peak() {
        let policy = Policy::default();
        let seen = steady(4, 2.0);
        let now = seen_at(&seen);
        assert_eq!(Demand::of(&seen, 4.0, &policy, None, now).and_then(|demand| demand.peak), Some(2.0));
        assert_eq!(Demand::of(&seen, 4.0, &policy, None, now.after(Duration::from_secs(601))), None);
        let mut gap = seen;
        for minute in gap.minutes.iter_mut().skip(30).take(10) {
            *minute = Minute { start: minute.start, ..Minute::default() };
        }
        let demand = Demand::of(&gap, 4.0, &policy, None, now).expect("the last minutes are known");
        assert_eq!(demand.peak, None);
    }
}
