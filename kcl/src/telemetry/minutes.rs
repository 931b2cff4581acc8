//! Exact sums by the clock's minutes, and the busiest second of each: what averages over a minute hide.
//!
//! Arrival times of one shard do not quite rise. A few seconds stay open for that; what comes later still counts in its
//! minute, but in no second.

/// One minute of a shard, by arrival time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinuteFigures {
    /// Minutes since 1970 when it began.
    pub epoch_minute: u32,
    /// Bytes of payload and partition keys.
    pub bytes: u64,
    /// Kinesis records.
    pub records: u32,
    /// Bytes of the second that had most of them.
    pub bytes_second_max: u32,
    /// Records of the second that had most of them.
    pub records_second_max: u32,
}

/// The last minutes and the seconds not closed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Minutes {
    seconds: [Second; SECONDS_OPEN],
    minutes: [MinuteFigures; MINUTES_KEPT],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Second {
    epoch_second: u64,
    bytes: u64,
    records: u32,
}

impl Minutes {
    /// Counts records: the arrival in epoch milliseconds and the bytes of each. Those of one second in a row are summed up
    /// first, which is most of the time all that is done for a record.
    pub(super) fn add(&mut self, arrivals: impl IntoIterator<Item = (u64, usize)>) {
        let (mut run, mut run_starts) = (Second::default(), 0);
        for (millis, bytes) in arrivals {
            if millis.wrapping_sub(run_starts) >= SECOND_MILLIS {
                self.include_second(run);
                run = Second { epoch_second: millis / SECOND_MILLIS, bytes: 0, records: 0 };
                run_starts = run.epoch_second * SECOND_MILLIS;
            }
            run.bytes += bytes as u64;
            run.records += 1;
        }
        self.include_second(run);
    }

    /// The minutes that lie wholly between two moments, oldest first. One without records is known to be empty.
    pub(super) fn within(&self, from_epoch_millis: u64, to_epoch_millis: u64) -> Vec<MinuteFigures> {
        let mut all = self.clone();
        for second in self.seconds {
            all.close(second, true);
        }
        let end = to_epoch_millis / MINUTE_MILLIS;
        let first = from_epoch_millis.div_ceil(MINUTE_MILLIS).max(end.saturating_sub(MINUTES_TOLD));
        let minute = |epoch_minute: u64| {
            let epoch_minute = u32::try_from(epoch_minute).ok()?;
            let kept = all.minutes[slot(epoch_minute)];
            match kept.epoch_minute.cmp(&epoch_minute) {
                std::cmp::Ordering::Equal => Some(kept),
                std::cmp::Ordering::Less => Some(MinuteFigures { epoch_minute, ..MinuteFigures::default() }),
                std::cmp::Ordering::Greater => None,
            }
        };
        (first..end).filter_map(minute).collect()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for second in other.seconds {
            let open = &mut self.seconds[second.slot()];
            if open.epoch_second == second.epoch_second {
                open.bytes += second.bytes;
                open.records = open.records.saturating_add(second.records);
            } else {
                let is_newer = open.epoch_second < second.epoch_second;
                let closed = if is_newer { std::mem::replace(open, second) } else { second };
                self.close(closed, true);
            }
        }
        for minute in other.minutes {
            self.include(minute);
        }
    }

    fn include_second(&mut self, second: Second) {
        let open = &mut self.seconds[second.slot()];
        if open.epoch_second == second.epoch_second {
            open.bytes += second.bytes;
            open.records = open.records.saturating_add(second.records);
        } else if open.epoch_second < second.epoch_second {
            let closed = std::mem::replace(open, second);
            self.close(closed, true);
        } else {
            self.close(second, false);
        }
    }

    fn close(&mut self, second: Second, is_whole: bool) {
        let Ok(epoch_minute) = u32::try_from(second.epoch_second / 60) else { return };
        let (bytes, records) = if is_whole { (second.bytes, second.records) } else { (0, 0) };
        self.include(MinuteFigures {
            epoch_minute,
            bytes: second.bytes,
            records: second.records,
            bytes_second_max: u32::try_from(bytes).unwrap_or(u32::MAX),
            records_second_max: records,
        });
    }

    fn include(&mut self, figures: MinuteFigures) {
        let kept = &mut self.minutes[slot(figures.epoch_minute)];
        if kept.epoch_minute < figures.epoch_minute {
            *kept = figures;
        } else if kept.epoch_minute == figures.epoch_minute {
            kept.bytes = kept.bytes.saturating_add(figures.bytes);
            kept.records = kept.records.saturating_add(figures.records);
            kept.bytes_second_max = kept.bytes_second_max.max(figures.bytes_second_max);
            kept.records_second_max = kept.records_second_max.max(figures.records_second_max);
        }
    }
}

impl Second {
    fn slot(&self) -> usize {
        (self.epoch_second % SECONDS_OPEN as u64) as usize
    }
}

fn slot(epoch_minute: u32) -> usize {
    epoch_minute as usize % MINUTES_KEPT
}

/// Arrival times of one shard differ from their order by milliseconds, at most by a few seconds.
const SECONDS_OPEN: usize = 4;
/// Minutes that a row tells: an autoscaler that looks every five minutes misses none.
pub(super) const MINUTES_TOLD: u64 = 6;
/// Those, the running one, and one for what comes late.
const MINUTES_KEPT: usize = 8;
const MINUTE_MILLIS: u64 = 60_000;
const SECOND_MILLIS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const START: u64 = 29_000_000 * MINUTE_MILLIS;

    #[test]
    fn the_busiest_second_of_each_quantity_is_kept() {
        let mut minutes = Minutes::default();
        minutes.add([(100, 900), (1_100, 100)].map(|(millis, bytes)| (START + millis, bytes)));
        minutes.add([(1_900, 100), (61_000, 7)].map(|(millis, bytes)| (START + millis, bytes)));
        let figures = minutes.within(START, START + MINUTE_MILLIS);
        let expected = MinuteFigures {
            epoch_minute: 29_000_000,
            bytes: 1_100,
            records: 3,
            bytes_second_max: 900,
            records_second_max: 2,
        };
        assert_eq!(figures, [expected]);
    }

    #[test]
    fn a_minute_without_records_is_known_and_a_partial_one_is_not() {
        let mut minutes = Minutes::default();
        minutes.add([(START + 1, 5)]);
        let told = minutes.within(START + 1, START + 3 * MINUTE_MILLIS - 1);
        assert_eq!(told, [MinuteFigures { epoch_minute: 29_000_001, ..MinuteFigures::default() }]);
    }

    #[test]
    fn times_far_from_all_others_are_no_trouble() {
        let mut minutes = Minutes::default();
        minutes.add([0, START, u64::MAX, START + 1].map(|millis| (millis, 1)));
        assert_eq!(minutes.within(START, START + MINUTE_MILLIS)[0].records, 2);
        assert_eq!(minutes.within(0, u64::MAX), []);
    }

    proptest! {
        #[test]
        fn sums_are_exact_and_halves_make_the_whole(
            mut arrivals in proptest::collection::vec((0_u64..5 * MINUTE_MILLIS, 1_usize..5_000), 0..300),
            cut in 0_usize..300,
        ) {
            arrivals.sort_unstable();
            let (mut whole, mut parts) = (Minutes::default(), [Minutes::default(), Minutes::default()]);
            let mut truth = BTreeMap::<u64, (u64, BTreeMap<u64, u64>)>::new();
            let late = arrivals.iter().map(|&(millis, bytes)| (START + millis, bytes));
            whole.add(late.clone());
            parts[0].add(late.clone().take(cut));
            parts[1].add(late.skip(cut));
            for &(millis, bytes) in &arrivals {
                let minute = truth.entry(millis / MINUTE_MILLIS).or_default();
                minute.0 += bytes as u64;
                *minute.1.entry(millis / 1000).or_default() += bytes as u64;
            }
            let told = whole.within(START, START + 5 * MINUTE_MILLIS);
            prop_assert_eq!(told.len(), 5);
            for (minute, figures) in told.iter().enumerate() {
                let (bytes, seconds) = truth.remove(&(minute as u64)).unwrap_or_default();
                prop_assert_eq!(figures.bytes, bytes);
                prop_assert_eq!(u64::from(figures.bytes_second_max), seconds.into_values().max().unwrap_or(0));
            }
            let [mut first, second] = parts;
            first.merge(&second);
            for (merged, whole) in first.within(START, START + 5 * MINUTE_MILLIS).iter().zip(&told) {
                prop_assert_eq!((merged.bytes, merged.records), (whole.bytes, whole.records));
                prop_assert!(merged.bytes_second_max <= whole.bytes_second_max);
            }
        }
    }
}
