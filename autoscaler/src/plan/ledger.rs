//! What was done to a stream: the calls that count against the quota, and when the layout last changed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Boundaries, EpochMillis};

/// The history of one stream that decisions need. Bounded: the calls of a day, and single moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    calls: VecDeque<LedgerCall>,
    /// When capacity was last added, by anyone.
    pub grown_at: Option<EpochMillis>,
    /// When capacity was last taken away.
    pub shrunk_at: Option<EpochMillis>,
    /// A layout that is being reached step by step.
    pub reshaping: Option<Boundaries>,
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

    /// The calls known, oldest first.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = LedgerCall> + '_ {
        self.calls.iter().copied()
    }
}

/// Kinesis counts `UpdateShardCount` per stream over a rolling day.
const QUOTA_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

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
