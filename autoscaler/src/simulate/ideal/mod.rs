//! Yardsticks: what an autoscaler could achieve if it knew the future, or at least erred in nothing.
//!
//! ```text
//!   Trace ─▶ required (fewest shards by minute) ─┬─▶ clairvoyant   knows all, changes ten times a day
//!                                                └─▶ reactive      knows the past, changes at will
//! ```
//!
//! Both lay their shards out in the best way for the keys of each minute, need no time for a change and pay nothing for
//! it, so both cost less than any real autoscaler can.

mod schedule;

use std::time::Duration;

use super::Trace;
use crate::ShardLimits;
use crate::partition::Cumulative;

/// The fewest shards that carry each minute's busiest second, wherever they begin.
///
/// A key that alone is too much for a shard throttles whatever is done: such a minute asks for the fewest shards that leave
/// no other shard fuller than that key's.
#[must_use]
pub fn required(trace: &Trace, limits: &ShardLimits) -> Vec<u32> {
    let entries = trace.keys.entries();
    let mut required = Vec::with_capacity(trace.minutes.len());
    for (place, (from, map)) in entries.iter().enumerate() {
        let until = entries.get(place + 1).map_or(trace.minutes.len(), |(next, _)| *next);
        let load = Cumulative::of(map);
        let heaviest = map.heaviest_key().map_or(0.0, |key| key.share);
        let minutes = trace.minutes.get(*from..until.min(trace.minutes.len())).unwrap_or_default();
        required.extend(minutes.iter().map(|minute| {
            let share_max = (1.0 / minute.peak_shards(limits)).max(heaviest);
            load.count(share_max).unwrap_or(SHARDS_MAX)
        }));
    }
    required
}

/// Shards by minute of the fewest shard-hours that never throttle, the future being known and at most ten changes made in
/// a day.
///
/// A **lower bound** of the ideal: Kinesis counts changes over any 24 hours, here they are counted over days that begin at a
/// fixed hour, which allows more. Of the days that begin every twelve hours the dearest schedule is taken, which is the
/// closest bound: schedules that Kinesis would allow cost at most a few percent more. Over one day the two rules are the
/// same, and the schedule is the ideal itself.
#[must_use]
pub fn clairvoyant(trace: &Trace, limits: &ShardLimits) -> Vec<u32> {
    let required = required(trace, limits);
    let schedules = (0..DAY).step_by(DAY_BEGINS_EVERY).map(|begin| {
        let days = schedule::Days { begin, length: DAY, changes_max: CHANGES_OF_A_DAY_MAX };
        schedule::cheapest(&required, days)
    });
    let shard_minutes = |schedule: &Vec<u32>| schedule.iter().map(|&shards| u64::from(shards)).sum::<u64>();
    schedules.max_by_key(shard_minutes).unwrap_or_default()
}

/// Shards by minute of an autoscaler that always takes the fewest shards for the latest minute it knows of, which lies
/// `delay` back, and whose changes are done at once and not counted. It throttles where load grows within the delay: no
/// autoscaler without foresight can avoid that with as few shards.
#[must_use]
pub fn reactive(trace: &Trace, limits: &ShardLimits, delay: Duration) -> Vec<u32> {
    let required = required(trace, limits);
    let delay = usize::try_from(delay.as_secs().div_ceil(60)).unwrap_or(usize::MAX);
    (0..required.len()).map(|minute| required[minute.saturating_sub(delay)]).collect()
}

/// Minutes.
const DAY: usize = 24 * 60;
/// `UpdateShardCount` of one stream, by the AWS quotas page.
const CHANGES_OF_A_DAY_MAX: usize = 10;
/// Minutes. Days that begin at any other hour bring the bound closer by 0.1 % or less.
const DAY_BEGINS_EVERY: usize = 12 * 60;
/// Shards of one stream, by the AWS quotas page.
const SHARDS_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use kcl_core::HashKey;

    use super::*;
    use crate::simulate::{Family, KeySchedule, MinuteLoad, surge};
    use crate::{EpochMillis, LoadMap};

    fn trace(shards: &[f64], keys: KeySchedule) -> Trace {
        let minute = |&shards: &f64| MinuteLoad { bytes: shards * 60e6, records: shards * 60.0, burst: 1.0 };
        Trace {
            name: "test".into(),
            start: EpochMillis(0),
            minutes: shards.iter().map(minute).collect(),
            keys,
        }
    }

    #[test]
    fn bursts_and_keys_count() {
        let limits = ShardLimits::default();
        let even = KeySchedule::constant(LoadMap::even());
        assert_eq!(required(&trace(&[0.0, 0.2, 1.0, 1.01, 7.5], even.clone()), &limits), [1, 1, 1, 2, 8]);
        let mut bursty = trace(&[2.0], even);
        bursty.minutes[0].burst = 2.5;
        assert_eq!(required(&bursty, &limits), [5]);
        let lump = |share| LoadMap::new([(HashKey(0), 1.0 - share)], [(HashKey(1 << 127), share)]);
        let keys = KeySchedule::new(LoadMap::even(), [(1, lump(0.4)), (2, lump(0.6))]);
        assert_eq!(
            required(&trace(&[2.0, 2.0, 2.0], keys), &limits),
            [2, 3, 3],
            "one key of 1.2 shards throttles"
        );
    }

    #[test]
    fn the_reactive_one_is_late_by_the_delay() {
        let trace = trace(&[1.0, 2.0, 3.0, 4.0], KeySchedule::constant(LoadMap::even()));
        let reactive = |seconds| reactive(&trace, &ShardLimits::default(), Duration::from_secs(seconds));
        assert_eq!(reactive(120), [1, 1, 1, 2]);
        assert_eq!(reactive(61), [1, 1, 1, 2]);
        assert_eq!(reactive(0), [1, 2, 3, 4]);
    }

    #[test]
    fn a_surge_is_met_before_it_comes() {
        let trace = surge();
        let schedule = clairvoyant(&trace, &ShardLimits::default());
        assert_eq!((schedule[0], schedule[420]), (6, 56));
        let required = required(&trace, &ShardLimits::default());
        assert!(schedule.iter().zip(&required).all(|(shards, required)| shards >= required));
        assert_eq!(schedule.windows(2).filter(|pair| pair[0] != pair[1]).count(), 10);
    }

    /// Few enough changes in spans of a fixed length are within the rule over any 24 hours, as long as no 24 hours meet more
    /// than ten: the cheapest of such schedules is possible, so the ideal lies between it and the bound.
    #[test]
    fn the_bound_is_close() {
        for family in [Family::Daily, Family::Batches] {
            let trace = family.trace(1);
            let required = required(&trace, &ShardLimits::default());
            let possible =
                [(1, 160), (2, 360), (3, 720), (5, DAY)].into_iter().flat_map(|(changes_max, length)| {
                    let required = &required;
                    [0, length / 2].map(|begin| {
                        let days = schedule::Days { begin, length, changes_max };
                        schedule::cheapest(required, days).iter().sum::<u32>()
                    })
                });
            let possible = f64::from(possible.min().expect("eight ways"));
            let bound = f64::from(clairvoyant(&trace, &ShardLimits::default()).iter().sum::<u32>());
            println!("{}: {}", trace.name, possible / bound);
            assert!((1.0..1.08).contains(&(possible / bound)), "{}: {}", trace.name, possible / bound);
        }
    }
}
