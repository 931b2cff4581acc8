//! What happened, for logs, metrics and tests: the core says it once, and one place in the shell turns it into output.

use crate::coordinator::DrainReason;
use crate::id::{FencingToken, LeaseKey, ShardId, WorkerId};

/// Something a coordinator did or noticed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// This worker holds the leader lock.
    BecameLeader,
    /// This worker no longer leads.
    SteppedDown,
    /// A row for a shard was created.
    LeaseCreated {
        /// The lease.
        key: LeaseKey,
    },
    /// This worker holds a lease.
    Adopted {
        /// The lease.
        key: LeaseKey,
        /// Token of the tenure.
        token: FencingToken,
    },
    /// Somebody else had moved the checkpoint under our attributes: they were dropped and a generation minted.
    OwnAttributesDropped {
        /// The lease.
        key: LeaseKey,
    },
    /// The lease is held, but a parent is not consumed yet.
    AwaitingParent {
        /// The lease.
        key: LeaseKey,
        /// The parent.
        parent: ShardId,
    },
    /// The consumer was asked to drain.
    Draining {
        /// The lease.
        key: LeaseKey,
        /// Why.
        reason: DrainReason,
    },
    /// The lease went to its next owner.
    HandedOff {
        /// The lease.
        key: LeaseKey,
        /// The next owner, as the row names it.
        to: Option<WorkerId>,
    },
    /// The lease was given back.
    Released {
        /// The lease.
        key: LeaseKey,
    },
    /// The shard is consumed to its end.
    ShardFinished {
        /// The lease.
        key: LeaseKey,
    },
    /// The lease was lost.
    Lost {
        /// The lease.
        key: LeaseKey,
        /// How.
        cause: LossCause,
    },
    /// The reply of a write was lost; it is being settled.
    WriteAmbiguous {
        /// The lease.
        key: LeaseKey,
    },
    /// A write whose reply was lost had been applied.
    AmbiguousWriteApplied {
        /// The lease.
        key: LeaseKey,
    },
    /// As leader: a lease that nobody served was given to a worker.
    Assigned {
        /// The lease.
        key: LeaseKey,
        /// Who got it.
        to: WorkerId,
    },
    /// As leader: a live lease is to move.
    HandOffStarted {
        /// The lease.
        key: LeaseKey,
        /// Who has it.
        from: WorkerId,
        /// Who gets it.
        to: WorkerId,
    },
    /// As leader: a hand-off took too long and was forced.
    HandOffForced {
        /// The lease.
        key: LeaseKey,
        /// Who gets it.
        to: WorkerId,
    },
    /// Without progress of a leader, this worker took a lease that nobody served.
    TakenWithoutLeader {
        /// The lease.
        key: LeaseKey,
    },
    /// A plan or take was refused: the row had changed since it was observed.
    PlanRefused {
        /// The lease.
        key: LeaseKey,
    },
    /// Items of the table could not be read as anything known.
    UnreadableItems {
        /// How many.
        count: usize,
    },
    /// The store throttled a request; it is repeated later.
    Throttled,
}

/// How a lease was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossCause {
    /// A write was refused because the row names another holder or counter.
    Taken,
    /// The deadline passed without an applied write.
    DeadlinePassed,
    /// The row is gone.
    RowDeleted,
    /// The consumer did not drain in time.
    DrainOverdue,
}
