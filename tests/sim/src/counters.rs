//! How often the situations that matter came up; a run in which one never did proves little.

use std::collections::BTreeMap;

/// Something that a schedule must reach now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Situation {
    /// A lease went from one incarnation to another without a hand-off.
    Taken,
    /// A lease went from one worker to another by hand-off.
    HandedOff,
    /// A hand-off whose holder did not answer was forced.
    HandOffForced,
    /// The holder, or the next owner, of a lease died while it was handed off.
    HandOffCut,
    /// A write of a former holder was refused.
    StaleWriteRefused,
    /// A write whose reply was lost had been applied.
    AmbiguousWriteApplied,
    /// A request landed after its author had given up on it.
    LandedLate,
    /// A reply came twice.
    ReplyDuplicated,
    /// A worker woke from a stall after the lease it held had gone to another.
    LoserAwoken,
    /// A leader died with its lock held.
    LeaderDied,
    /// A process ran under the worker id of another live one.
    Twins,
    /// A scan or the index showed the past.
    StaleRead,
    /// The index did not answer.
    IndexMissing,
    /// A call was throttled.
    Throttled,
    /// A checkpoint was accepted.
    Checkpoint,
    /// A batch was committed whose intent another tenure had written.
    InheritedIntentCommitted,
    /// A shard was consumed to its end.
    ShardFinished,
    /// A child shard was started.
    ChildStarted,
    /// A shard was split or merged while a lease was handed off or taken.
    ReshardedMidFlight,
    /// A worker left gracefully.
    Left,
    /// Own attributes of a row were dropped, because somebody else had moved its checkpoint.
    ForeignCheckpoint,
    /// A row was created again after it had been deleted.
    RowRecreated,
    /// An operator decided about a shard.
    OperatorDecided,
}

impl Situation {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Taken,
        Self::HandedOff,
        Self::HandOffForced,
        Self::HandOffCut,
        Self::StaleWriteRefused,
        Self::AmbiguousWriteApplied,
        Self::LandedLate,
        Self::ReplyDuplicated,
        Self::LoserAwoken,
        Self::LeaderDied,
        Self::Twins,
        Self::StaleRead,
        Self::IndexMissing,
        Self::Throttled,
        Self::Checkpoint,
        Self::InheritedIntentCommitted,
        Self::ShardFinished,
        Self::ChildStarted,
        Self::ReshardedMidFlight,
        Self::Left,
        Self::ForeignCheckpoint,
        Self::RowRecreated,
        Self::OperatorDecided,
    ];
}

/// Counts of situations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    counts: BTreeMap<Situation, u64>,
    is_off: bool,
}

impl Counters {
    /// Counters that stay at zero, for a search in which histories that lead to one state are the same.
    #[must_use]
    pub fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// Counts one more.
    pub fn note(&mut self, situation: Situation) {
        if !self.is_off {
            *self.counts.entry(situation).or_default() += 1;
        }
    }

    /// How often it came up.
    #[must_use]
    pub fn of(&self, situation: Situation) -> u64 {
        self.counts.get(&situation).copied().unwrap_or(0)
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (situation, count) in &other.counts {
            *self.counts.entry(*situation).or_default() += count;
        }
    }

    /// Situations that never came up.
    #[must_use]
    pub fn missing(&self) -> Vec<Situation> {
        Situation::ALL.into_iter().filter(|situation| self.of(*situation) == 0).collect()
    }
}
