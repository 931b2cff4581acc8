//! What a controller must not forget: the ledger, the call that may be under way, and moves still to be judged.
//!
//! Written before a call with what is intended, and after it with what came of it. A call whose outcome was not written
//! counts as used; whether it happened is decided by the layout. The text is versioned: a controller does not touch a
//! journal that a newer release wrote.

mod stored;

use std::collections::VecDeque;
use std::fmt;

use kcl_core::HashKey;
pub use stored::JournalProblem;

use super::effect::{Reading, Trial};
use super::judge::{Fingerprint, Move};
use crate::{Boundaries, EpochMillis, Ledger, LedgerCall};

/// The journal of one stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// How often the row was taken: the first part of every decision's name.
    pub term: u64,
    /// Decisions made in all terms.
    pub decisions: u64,
    /// The history that the planner is given.
    pub ledger: Ledger,
    /// The change that may be under way.
    pub intent: Option<Intent>,
    /// The layout when the stream was last seen at rest.
    pub settled: Option<Settled>,
    /// Moves whose effect is still to be judged, oldest first.
    pub trials: VecDeque<Trial>,
}

/// Names a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId {
    /// The term that it was made in.
    pub term: u64,
    /// Its number in the journal.
    pub number: u64,
}

impl fmt::Display for DecisionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.term, self.number)
    }
}

/// A change that was decided and of which the end is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intent {
    /// The decision.
    pub decision: DecisionId,
    /// The change.
    pub change: Move,
    /// The layout that it was decided for.
    pub before: Settled,
    /// The layout that it leads to.
    pub after: Settled,
    /// First and last key of what it touches, and the load there.
    pub touched: (HashKey, HashKey),
    /// The load of that part before.
    pub reading: Reading,
    /// When it was written, just before the call.
    pub written_at: EpochMillis,
    /// When Kinesis accepted it; none while that is not known.
    pub accepted_at: Option<EpochMillis>,
    /// What stands in the ledger for it, if it counts against the quota.
    pub counted: Option<LedgerCall>,
}

/// A layout in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its boundaries.
    pub fingerprint: Fingerprint,
    /// Its shards.
    pub shards: u32,
}

impl Journal {
    /// Remembers a move to be judged; the oldest is forgotten when there are many.
    pub(super) fn note_trial(&mut self, trial: Trial) {
        if self.trials.len() == TRIALS_MAX {
            self.trials.pop_front();
        }
        self.trials.push_back(trial);
    }
}

impl Settled {
    /// In short what `boundaries` are.
    #[must_use]
    pub fn of(boundaries: &Boundaries) -> Self {
        Self { fingerprint: Fingerprint::of(boundaries), shards: boundaries.count() }
    }
}

/// Steps of half a minute within the time until an effect shows.
const TRIALS_MAX: usize = 16;
