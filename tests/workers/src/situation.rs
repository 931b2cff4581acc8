//! How often the situations that matter came up; a set of runs in which one never did proves little.

use std::collections::BTreeMap;

/// Something that the runs must reach now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Situation {
    /// A request to the store never arrived.
    RequestLost,
    /// A request was carried out and its reply was lost.
    ReplyLost,
    /// A request was carried out after its author had given up on it.
    LandedLate,
    /// A request was answered later than any lease lives.
    AnsweredLate,
    /// A request was carried out twice.
    AppliedTwice,
    /// The store throttled a request.
    StoreThrottled,
    /// A scan or the index showed the past.
    StaleRead,
    /// The index did not answer.
    IndexMissing,
    /// `GetRecords` was throttled.
    FetchThrottled,
    /// An iterator had expired.
    IteratorExpired,
    /// A call to the data plane failed.
    FetchFailed,
    /// A call to the data plane took seconds.
    FetchDelayed,
    /// `ListShards` failed.
    ListingFailed,
    /// The last answer of a closed shard did not tell its children.
    ChildrenUntold,
    /// A processor took its time.
    ProcessSlow,
    /// A processor took longer than the failover time.
    ProcessStuck,
    /// A processor returned an error.
    ProcessFailed,
    /// A processor panicked.
    ProcessPanicked,
    /// A worker was killed.
    Crashed,
    /// A leader was killed with its lock held.
    LeaderCrashed,
    /// A worker was stopped at once by its handle.
    HardStopped,
    /// A worker was asked to leave.
    AskedToLeave,
    /// A worker left gracefully.
    Left,
    /// A worker joined a running fleet.
    Joined,
    /// One worker stood still, calls and all, while time went on.
    Frozen,
    /// For a while every call of one worker to the store took seconds, each way.
    LinkSlow,
    /// Every worker stood still at once, as on a suspended machine.
    Suspended,
    /// A shard was split.
    Split,
    /// Two shards were merged.
    Merged,
    /// A shard was split or merged while a lease was handed off or without an owner.
    ReshardedMidFlight,
    /// A holder died, or its next owner did, while the lease was handed off.
    HandOffCut,
    /// A lease went to another worker without a hand-off.
    TakenOver,
    /// A lease went to another worker by hand-off.
    HandedOff,
    /// A write of a former holder was refused.
    StaleWriteRefused,
    /// A write whose reply was lost had been applied.
    AmbiguousWriteApplied,
    /// A processor was told that its lease is lost.
    LeaseLost,
    /// A processor that had panicked was replaced within the same tenure.
    ProcessorReplaced,
    /// A running call of a processor was cancelled.
    CallCancelled,
    /// Records were delivered again after the tenure that had processed them without a checkpoint.
    DeliveredAgain,
    /// A checkpoint moved.
    Checkpoint,
    /// A checkpoint stopped within an aggregate.
    CheckpointWithinAggregate,
    /// A batch was committed by the tenure that had prepared it.
    IntentCommitted,
    /// A batch was committed whose intent another tenure had written.
    InheritedIntentCommitted,
    /// A shard was consumed to its end.
    ShardFinished,
    /// A child shard was started.
    ChildStarted,
}

impl Situation {
    /// All of them.
    pub const ALL: [Self; 45] = [
        Self::RequestLost,
        Self::ReplyLost,
        Self::LandedLate,
        Self::AnsweredLate,
        Self::AppliedTwice,
        Self::StoreThrottled,
        Self::StaleRead,
        Self::IndexMissing,
        Self::FetchThrottled,
        Self::IteratorExpired,
        Self::FetchFailed,
        Self::FetchDelayed,
        Self::ListingFailed,
        Self::ChildrenUntold,
        Self::ProcessSlow,
        Self::ProcessStuck,
        Self::ProcessFailed,
        Self::ProcessPanicked,
        Self::Crashed,
        Self::LeaderCrashed,
        Self::HardStopped,
        Self::AskedToLeave,
        Self::Left,
        Self::Joined,
        Self::Frozen,
        Self::LinkSlow,
        Self::Suspended,
        Self::Split,
        Self::Merged,
        Self::ReshardedMidFlight,
        Self::HandOffCut,
        Self::TakenOver,
        Self::HandedOff,
        Self::StaleWriteRefused,
        Self::AmbiguousWriteApplied,
        Self::LeaseLost,
        Self::ProcessorReplaced,
        Self::CallCancelled,
        Self::DeliveredAgain,
        Self::Checkpoint,
        Self::CheckpointWithinAggregate,
        Self::IntentCommitted,
        Self::InheritedIntentCommitted,
        Self::ShardFinished,
        Self::ChildStarted,
    ];
}

/// Counts of situations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<Situation, u64>);

impl Counters {
    /// Counts one more.
    pub fn note(&mut self, situation: Situation) {
        *self.0.entry(situation).or_default() += 1;
    }

    /// How often it came up.
    #[must_use]
    pub fn of(&self, situation: Situation) -> u64 {
        self.0.get(&situation).copied().unwrap_or(0)
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (situation, count) in &other.0 {
            *self.0.entry(*situation).or_default() += count;
        }
    }

    /// Situations that never came up.
    #[must_use]
    pub fn missing(&self) -> Vec<Situation> {
        Situation::ALL.into_iter().filter(|situation| self.of(*situation) == 0).collect()
    }
}
