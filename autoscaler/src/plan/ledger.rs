//! What was done to a stream: the calls that count against the quota, and when the layout last changed.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use crate::{Boundaries, EpochMillis};

/// The history of one stream that decisions need. Bounded: the calls of a day, and single moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    calls: VecDeque<LedgerCall>,
    changes: VecDeque<Change>,
    grown_at: Option<EpochMillis>,
    shrunk_at: Option<EpochMillis>,
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

impl Ledger {
    /// Notes a call. Calls that left the window are forgotten.
    pub fn note_call(&mut self, call: LedgerCall) {
        self.calls.retain(|earlier| earlier.at.after(QUOTA_WINDOW) > call.at);
        self.calls.push_back(call);
    }

    /// The calls within the 24 hours before `now`.
    #[must_use]
    pub fn calls_used(&self, now: EpochMillis) -> u32 {
        let used = self.calls.iter().filter(|call| call.at.after(QUOTA_WINDOW) > now).count();
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    /// When the oldest call of the window leaves it.
    #[must_use]
    pub fn next_return(&self, now: EpochMillis) -> Option<EpochMillis> {
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

/// Kinesis counts `UpdateShardCount` per stream over a rolling day.
const QUOTA_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

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
    fn calls_count_for_a_day_and_are_then_forgotten() {
        let mut ledger = Ledger::default();
        let call = |at| LedgerCall { at: EpochMillis(at), target: 2, origin: Origin::Own };
        let day = 24 * 60 * 60 * 1000;
        ledger.note_call(call(10));
        ledger.note_call(call(20));
        assert_eq!(ledger.calls_used(EpochMillis(day + 9)), 2);
        assert_eq!(ledger.calls_used(EpochMillis(day + 10)), 1);
        assert_eq!(ledger.next_return(EpochMillis(day + 10)), Some(EpochMillis(day + 20)));
        ledger.note_call(call(day + 20));
        assert_eq!(ledger.calls().len(), 1);
    }
}
