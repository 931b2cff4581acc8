//! What a run is judged by.

use std::time::Duration;

use super::{Operation, OperationKind, Refusal, Run, RunMinute};
use crate::EpochMillis;

/// The columns of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Minutes a day in which at least one record was refused.
    pub throttled_minutes_per_day: f64,
    /// Part of the offered records that was lost, 0 to 1.
    pub lost_share: f64,
    /// Hours of open shards.
    pub shard_hours: f64,
    /// Most accepted `UpdateShardCount` calls within any 24 hours.
    pub calls_in_24h_max: u32,
    /// Calls that Kinesis refused, for whatever reason.
    pub refused: u32,
    /// Operations that changed the stream's capacity: by more than 1 %, up or down. One merge of many may be the only one
    /// that does, because the fullest shard alone decides; re-partitioning at equal capacity is none.
    pub moves: u32,
    /// Moves begun within an hour of the end of a move in the other direction.
    pub opposite_moves_within_hour: u32,
    /// Shards created, those that existed only while a reshard ran included.
    pub shards_created: u32,
    /// Doublings and halvings of capacity that lasted: the sum of |log2(after ÷ before)| over all moves, without those that
    /// were undone within the hour and those that undid them. Four steps of a quarter count as much as one doubling, so
    /// small steps gain nothing.
    pub useful_changes: f64,
    /// The longest time in which demand stayed above capacity, in minutes; see [`minutes_to_absorb`].
    pub minutes_to_absorb_max: u32,
    /// The furthest that any application was ever behind.
    pub behind_max: Duration,
}

impl Scores {
    /// Shards created for each useful change, `None` without any.
    #[must_use]
    pub fn shards_created_per_useful_change(&self) -> Option<f64> {
        (self.useful_changes > 0.0).then(|| f64::from(self.shards_created) / self.useful_changes)
    }

    pub(super) fn of(
        minutes: &[RunMinute],
        operations: &[Operation],
        refused: &[Refusal],
        shard_hours: f64,
    ) -> Self {
        let throttled = minutes.iter().filter(|minute| minute.is_throttled()).count();
        let days = minutes.len() as f64 / MINUTES_OF_A_DAY;
        let total = |records: fn(&RunMinute) -> f64| minutes.iter().map(records).sum::<f64>();
        let offered = total(|minute| minute.offered_records);
        let moves = Moves::of(operations);
        Self {
            throttled_minutes_per_day: if days > 0.0 { throttled as f64 / days } else { 0.0 },
            lost_share: if offered > 0.0 { total(|minute| minute.lost_records) / offered } else { 0.0 },
            shard_hours,
            calls_in_24h_max: calls_in_24h_max(operations),
            refused: count(refused.len()),
            moves: moves.count,
            opposite_moves_within_hour: moves.opposite,
            shards_created: operations.iter().map(|operation| operation.created).sum(),
            useful_changes: moves.useful,
            minutes_to_absorb_max: shortages(minutes).max().unwrap_or(0),
            behind_max: minutes.iter().map(|minute| minute.behind).max().unwrap_or_default(),
        }
    }
}

/// Minutes from the first one in which demand exceeds the capacity until capacity is adequate again, `None` if demand never
/// does.
///
/// Adequate means above the demand for five minutes on end, so a capacity that just grazes a rising demand does not count.
/// A run that ends before counts to its end.
#[must_use]
pub fn minutes_to_absorb(run: &Run) -> Option<u32> {
    shortages(&run.minutes).next()
}

/// The lengths of the times in which demand exceeded capacity, in minutes.
fn shortages(minutes: &[RunMinute]) -> impl Iterator<Item = u32> + '_ {
    let is_short = |minute: &RunMinute| minute.offered_shards > minute.capacity_shards;
    let mut rest = minutes;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(is_short)?;
        rest = &rest[begin..];
        let (mut length, mut calm) = (0, 0);
        for (index, minute) in rest.iter().enumerate() {
            if is_short(minute) {
                (length, calm) = (index + 1, 0);
            } else {
                calm += 1;
            }
            if calm == ADEQUATE_MINUTES {
                break;
            }
        }
        rest = &rest[length..];
        Some(count(length))
    })
}

fn calls_in_24h_max(operations: &[Operation]) -> u32 {
    let calls: Vec<_> = operations
        .iter()
        .filter(|operation| operation.kind == OperationKind::UpdateShardCount)
        .map(|operation| operation.at)
        .collect();
    let within =
        |(index, &at): (usize, &EpochMillis)| calls[index..].partition_point(|&later| later < at.after(DAY));
    count(calls.iter().enumerate().map(within).max().unwrap_or(0))
}

struct Moves {
    count: u32,
    opposite: u32,
    useful: f64,
}

impl Moves {
    fn of(operations: &[Operation]) -> Self {
        let change = |operation: &Operation| (operation.capacity_after / operation.capacity_before).log2();
        let moves: Vec<_> = operations
            .iter()
            .map(|operation| (operation, change(operation)))
            .filter(|&(_, change)| change.abs() > MOVE_MIN.log2())
            .collect();
        let undoes = |pair: &[(&Operation, f64)]| {
            let ((earlier, change), (later, back)) = (pair[0], pair[1]);
            let hour_later = earlier.done.unwrap_or(earlier.at).after(HOUR);
            change * back < 0.0 && later.at < hour_later
        };
        let undone: Vec<bool> = moves.windows(2).map(undoes).collect();
        let is_useful = |index: usize| {
            let undoes = index.checked_sub(1).is_some_and(|before| undone[before]);
            !undoes && !undone.get(index).copied().unwrap_or(false)
        };
        Self {
            count: count(moves.len()),
            opposite: count(undone.iter().filter(|&&is_undone| is_undone).count()),
            useful: (0..moves.len())
                .filter(|&index| is_useful(index))
                .fold(0.0, |sum, index| sum + moves[index].1.abs()),
        }
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

const MINUTES_OF_A_DAY: f64 = 1_440.0;
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);
/// A lesser change of capacity is a rounding of boundaries and no move.
const MOVE_MIN: f64 = 1.01;
/// So long must capacity exceed demand to be adequate.
const ADEQUATE_MINUTES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(offered: f64, capacity: f64) -> RunMinute {
        RunMinute {
            offered_shards: offered,
            shards: 1,
            capacity_shards: capacity,
            offered_records: 1_000.0,
            accepted_records: 990.0,
            throttled_records: (offered - capacity).max(0.0) * 10.0,
            lost_records: 1.0,
            behind: Duration::ZERO,
        }
    }

    fn operation(minute: u64, kind: OperationKind, before: f64, after: f64) -> Operation {
        let at = EpochMillis(minute * 60_000);
        Operation {
            at,
            done: Some(at.after(Duration::from_secs(120))),
            kind,
            from: before as u32,
            to: after as u32,
            created: 10,
            capacity_before: before,
            capacity_after: after,
        }
    }

    fn scores(minutes: &[RunMinute], operations: &[Operation]) -> Scores {
        Scores::of(minutes, operations, &[], 0.0)
    }

    #[test]
    fn a_minute_is_throttled_if_a_record_was_refused() {
        let minutes = [minute(1.0, 1.0), minute(1.05, 1.0), minute(1.1, 1.0), minute(3.0, 1.0)];
        let scores = scores(&minutes, &[]);
        assert_eq!(scores.throttled_minutes_per_day, 2.0 * 360.0);
        assert_eq!(scores.lost_share, 0.001);
    }

    #[test]
    fn absorbing_ends_when_capacity_stays_above_demand() {
        let short = |pattern: &str| -> Vec<RunMinute> {
            pattern.chars().map(|is| minute(if is == 'x' { 2.0 } else { 0.5 }, 1.0)).collect()
        };
        let lengths = |pattern: &str| shortages(&short(pattern)).collect::<Vec<_>>();
        assert_eq!(lengths("....."), Vec::<u32>::new());
        assert_eq!(lengths("..xxx....."), [3]);
        assert_eq!(lengths("xx....xx.....x"), [8, 1]);
        assert_eq!(lengths("xx.....x."), [2, 1]);
    }

    #[test]
    fn calls_count_within_any_day() {
        let hourly: Vec<_> =
            (0..40).map(|hour| operation(hour * 180, OperationKind::UpdateShardCount, 1.0, 2.0)).collect();
        assert_eq!(scores(&[], &hourly).calls_in_24h_max, 8, "at hours 0, 3, … 21; the ninth is a day later");
        let merges = [operation(0, OperationKind::Merge, 2.0, 1.0)];
        assert_eq!(scores(&[], &merges).calls_in_24h_max, 0);
    }

    #[test]
    fn what_is_undone_within_the_hour_is_not_useful() {
        use OperationKind::{Merge, UpdateShardCount};
        let moves = [
            operation(0, UpdateShardCount, 4.0, 8.0),
            operation(30, UpdateShardCount, 8.0, 4.0),
            operation(200, UpdateShardCount, 4.0, 16.0),
            operation(262, Merge, 16.0, 8.0),
            operation(263, Merge, 8.0, 8.0),
        ];
        let scores = scores(&[], &moves);
        assert_eq!((scores.moves, scores.opposite_moves_within_hour, scores.shards_created), (4, 1, 50));
        assert_eq!(scores.useful_changes, 3.0, "two doublings up and one halving");
        assert_eq!(scores.shards_created_per_useful_change(), Some(50.0 / 3.0));
        let nothing = Scores::of(&[], &[], &[], 0.0);
        assert_eq!(nothing.shards_created_per_useful_change(), None);
        assert!(nothing.useful_changes.is_sign_positive(), "a table shows 0, not -0");
    }
}
