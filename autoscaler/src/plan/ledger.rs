//! What was done to a stream: the calls that count against the quota, and when the layout last changed.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use kcl_core::HashKey;

use crate::{Boundaries, EpochMillis};

/// The history of one stream that decisions need. Bounded: the calls of a day, and single moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    calls: VecDeque<LedgerCall>,
    changes: VecDeque<Change>,
    grown_at: Option<EpochMillis>,
    shrunk_at: Option<EpochMillis>,
    calls_barred_until: Option<EpochMillis>,
    ineffective_splits: VecDeque<IneffectiveSplit>,
    /// How long operations take on this stream.
    pub durations: OperationDurations,
    /// A layout that is being reached step by step.
    pub reshaping: Option<Boundaries>,
}

/// A change of the shard count, by anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was seen or begun.
    pub at: EpochMillis,
    /// Open shards before.
    pub from: u32,
    /// Open shards afterwards.
    pub to: u32,
}

/// A call of `UpdateShardCount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerCall {
    /// When it was sent.
    pub at: EpochMillis,
    /// The count asked for.
    pub target: u32,
    /// Whose call it was.
    pub origin: Origin,
}

/// Whose call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Ours, and it was accepted or its fate is unknown: an unknown outcome counts as used.
    Own,
    /// Somebody else's, inferred from a layout that changed.
    Outside,
}

/// A split after which one child had nearly all the load of its parent: a key that no split divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IneffectiveSplit {
    /// The boundary that the split made.
    pub at: HashKey,
    /// When that was seen.
    pub seen_at: EpochMillis,
}

/// How long operations take, from the call until the stream is `ACTIVE`, as moving averages of what was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationDurations {
    /// `UpdateShardCount`, of whatever step.
    pub scale: Option<Duration>,
    /// `SplitShard` and `MergeShards`.
    pub step: Option<Duration>,
}

impl OperationDurations {
    /// Takes a measured duration into one of the averages.
    pub fn learn(average: &mut Option<Duration>, measured: Duration) {
        *average = Some(
            average.map_or(measured, |average| average.mul_f64(1.0 - NEWEST) + measured.mul_f64(NEWEST)),
        );
    }
}

impl Ledger {
    /// Notes a call. Calls that left the window are forgotten.
    pub fn note_call(&mut self, call: LedgerCall) {
        self.calls.retain(|earlier| earlier.at.after(QUOTA_WINDOW) > call.at);
        self.calls.push_back(call);
    }

    /// Takes back a call that was surely without effect: refused, or never sent.
    pub fn withdraw_call(&mut self, call: LedgerCall) {
        if let Some(place) = self.calls.iter().rposition(|noted| *noted == call) {
            self.calls.remove(place);
        }
    }

    /// Kinesis refused a call for the quota although fewer calls are known: nothing is left until then.
    pub fn bar_calls(&mut self, until: EpochMillis) {
        self.calls_barred_until = Some(until);
    }

    /// Until when no call is worth trying whatever the calls known.
    #[must_use]
    pub fn calls_barred_until(&self) -> Option<EpochMillis> {
        self.calls_barred_until
    }

    /// The calls within the 24 hours before `now`; all that Kinesis allows while calls are barred.
    #[must_use]
    pub fn calls_used(&self, now: EpochMillis) -> u32 {
        let used = self.calls.iter().filter(|call| call.at.after(QUOTA_WINDOW) > now).count();
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        if self.calls_barred_until.is_some_and(|until| now < until) {
            used.max(CALLS_OF_A_DAY_MAX)
        } else {
            used
        }
    }

    /// When the oldest call of the window leaves it, or calls are no longer barred.
    #[must_use]
    pub fn next_return(&self, now: EpochMillis) -> Option<EpochMillis> {
        if let Some(until) = self.calls_barred_until.filter(|&until| now < until) {
            return Some(until);
        }
        self.calls.iter().map(|call| call.at.after(QUOTA_WINDOW)).find(|&leaves| leaves > now)
    }

    /// Notes that the shard count changed.
    pub fn note_change(&mut self, change: Change) {
        self.changes.retain(|earlier| earlier.at.after(CHANGE_WINDOW) > change.at);
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        match change.to.cmp(&change.from) {
            Ordering::Greater => self.grown_at = Some(change.at),
            Ordering::Less => self.shrunk_at = Some(change.at),
            Ordering::Equal => {}
        }
    }

    /// The changes of the last hour, oldest first.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = Change> + '_ {
        self.changes.iter().copied()
    }

    /// Brings back when capacity was last added and taken away, from a stored ledger.
    #[must_use]
    pub fn with_last_changes(
        mut self,
        grown_at: Option<EpochMillis>,
        shrunk_at: Option<EpochMillis>,
    ) -> Self {
        (self.grown_at, self.shrunk_at) = (grown_at, shrunk_at);
        self
    }

    /// Notes a split that did not help. The oldest is forgotten when there are many.
    pub fn note_ineffective_split(&mut self, split: IneffectiveSplit) {
        self.ineffective_splits.retain(|earlier| earlier.at != split.at);
        if self.ineffective_splits.len() == INEFFECTIVE_SPLITS_MAX {
            self.ineffective_splits.pop_front();
        }
        self.ineffective_splits.push_back(split);
    }

    /// Splits that did not help, oldest first.
    pub fn ineffective_splits(&self) -> impl ExactSizeIterator<Item = IneffectiveSplit> + '_ {
        self.ineffective_splits.iter().copied()
    }

    /// When capacity was last added.
    #[must_use]
    pub const fn grown_at(&self) -> Option<EpochMillis> {
        self.grown_at
    }

    /// When capacity was last taken away.
    #[must_use]
    pub const fn shrunk_at(&self) -> Option<EpochMillis> {
        self.shrunk_at
    }

    /// Least and greatest count within the hour before `now`, `current` included.
    #[must_use]
    pub fn counts_of_the_hour(&self, current: u32, now: EpochMillis) -> (u32, u32) {
        let young = self.changes.iter().filter(|change| change.at.after(CHANGE_WINDOW) > now);
        young.fold((current, current), |(least, most), change| {
            (least.min(change.from).min(change.to), most.max(change.from).max(change.to))
        })
    }

    /// The calls known, oldest first.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = LedgerCall> + '_ {
        self.calls.iter().copied()
    }
}

/// Kinesis counts `UpdateShardCount` per stream over a rolling day. A minute more, because a call is noted by the clock of
/// the controller that made it and judged by that of another: a clock that is ahead by the least bit would otherwise let the
/// call go before Kinesis does.
const QUOTA_WINDOW: Duration = Duration::from_secs(24 * 60 * 60 + 60);

/// Weight of the newest duration: three operations make most of the average.
const NEWEST: f64 = 0.3;
/// What Kinesis allows within the window.
const CALLS_OF_A_DAY_MAX: u32 = 10;
/// More hot keys than these are a question for the producer.
const INEFFECTIVE_SPLITS_MAX: usize = 32;
/// The policy bounds the change within an hour.
const CHANGE_WINDOW: Duration = Duration::from_secs(60 * 60);
/// An hour has 120 steps of half a minute.
const CHANGES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_growth_and_the_last_shrinking_are_kept_for_good() {
        let mut ledger = Ledger::default();
        let hour = 60 * 60 * 1000;
        for (at, from, to) in [(0, 4, 8), (1, 8, 4), (2, 4, 3), (2 * hour, 3, 2), (2 * hour + 5, 2, 1)] {
            ledger.note_change(Change { at: EpochMillis(at), from, to });
        }
        assert_eq!(ledger.grown_at(), Some(EpochMillis(0)));
        assert_eq!(ledger.shrunk_at(), Some(EpochMillis(2 * hour + 5)));
        assert_eq!(ledger.changes.len(), 2);
        assert_eq!(ledger.counts_of_the_hour(1, EpochMillis(2 * hour + 5)), (1, 3));
        assert_eq!(ledger.counts_of_the_hour(1, EpochMillis(9 * hour)), (1, 1));
    }

    #[test]
    fn calls_count_for_a_day_and_a_minute_and_are_then_forgotten() {
        let mut ledger = Ledger::default();
        let call = |at| LedgerCall { at: EpochMillis(at), target: 2, origin: Origin::Own };
        let day = (24 * 60 + 1) * 60 * 1000;
        ledger.note_call(call(10));
        ledger.note_call(call(20));
        assert_eq!(ledger.calls_used(EpochMillis(day + 9)), 2);
        assert_eq!(ledger.calls_used(EpochMillis(day + 10)), 1);
        assert_eq!(ledger.next_return(EpochMillis(day + 10)), Some(EpochMillis(day + 20)));
        ledger.note_call(call(day + 20));
        assert_eq!(ledger.calls().len(), 1);
    }

    #[test]
    fn a_refused_call_is_taken_back_and_a_barred_quota_is_used_up() {
        let mut ledger = Ledger::default();
        let call = LedgerCall { at: EpochMillis(5), target: 2, origin: Origin::Own };
        ledger.note_call(call);
        ledger.withdraw_call(LedgerCall { target: 3, ..call });
        assert_eq!(ledger.calls_used(EpochMillis(6)), 1);
        ledger.withdraw_call(call);
        assert_eq!(ledger.calls_used(EpochMillis(6)), 0);
        ledger.bar_calls(EpochMillis(9));
        assert_eq!(
            (ledger.calls_used(EpochMillis(8)), ledger.next_return(EpochMillis(8))),
            (10, Some(EpochMillis(9)))
        );
        assert_eq!((ledger.calls_used(EpochMillis(9)), ledger.next_return(EpochMillis(9))), (0, None));
    }

    #[test]
    fn a_split_that_did_not_help_is_listed_once_and_durations_are_averaged() {
        let mut ledger = Ledger::default();
        for (at, seen_at) in [(7, 1), (8, 2), (7, 3)] {
            ledger
                .note_ineffective_split(IneffectiveSplit { at: HashKey(at), seen_at: EpochMillis(seen_at) });
        }
        let listed: Vec<_> = ledger.ineffective_splits().map(|split| (split.at.0, split.seen_at.0)).collect();
        assert_eq!(listed, [(8, 2), (7, 3)]);
        let mut average = None;
        OperationDurations::learn(&mut average, Duration::from_secs(100));
        OperationDurations::learn(&mut average, Duration::from_secs(200));
        assert_eq!(average, Some(Duration::from_secs(130)));
    }
}
