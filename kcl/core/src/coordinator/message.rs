//! What goes into a coordinator and what comes out of it.

use std::collections::BTreeSet;
use std::fmt;

use crate::hash_key::HashKeyRange;
use crate::id::{BatchOrdinal, FencingToken, LeaseKey, ShardId};
use crate::position::Position;
use crate::row::{Lease, PendingCheckpoint, StoreRequest};
use crate::sequence::SequenceNumber;
use crate::time::Millis;

/// Names one request of a coordinator, so that its reply finds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one command of a shard's consumer, so that its outcome finds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// A call that the shell makes for the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// To the lease store; answered by `handle_reply`.
    Store(StoreRequest),
    /// To the stream's control plane, all pages; answered by `handle_shards`.
    ListShards(ShardFilter),
}

/// Which shards a listing returns, as Kinesis' `ShardFilter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShardFilter {
    /// No filter: every shard that still exists.
    All,
    /// Shards that were open at the trim horizon.
    AtTrimHorizon,
    /// Open shards.
    AtLatest,
    /// Shards that were open at this epoch millisecond.
    AtTimestamp(u64),
}

/// A shard as listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListedShard {
    /// Its id.
    pub shard: ShardId,
    /// Its parents, closed by a split or merge; they may be gone from the stream.
    pub parents: BTreeSet<ShardId>,
    /// Its part of the hash space.
    pub hash_range: HashKeyRange,
    /// Its first sequence number.
    pub starting_sequence: SequenceNumber,
    /// Whether it still takes records.
    pub is_open: bool,
}

/// A child named by the last answer of a closed shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildShard {
    /// Its id.
    pub shard: ShardId,
    /// All its parents, the ended shard among them.
    pub parents: BTreeSet<ShardId>,
    /// Its part of the hash space.
    pub hash_range: HashKeyRange,
}

/// What the consumer of a held lease asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// One phase: everything up to `position` is durable.
    Checkpoint(Position),
    /// Two phases, the first: the intent of batch `ordinal`.
    Prepare {
        /// The batch; must be the row's next one.
        ordinal: BatchOrdinal,
        /// Where the commit will lead, and the intent's bytes.
        intent: PendingCheckpoint,
    },
    /// Two phases, the second: ends the pending intent.
    Commit {
        /// The batch of the pending intent.
        ordinal: BatchOrdinal,
        /// The position of the pending intent.
        position: Position,
        /// Pointer to the state snapshot at `position`.
        state: Option<String>,
    },
    /// The shard is closed and consumed: create the children's rows, then write `SHARD_END`.
    Finish {
        /// Children of the shard; empty if the stream no longer knows any.
        children: Vec<ChildShard>,
        /// Pointer to the final state snapshot.
        final_state: Option<String>,
    },
    /// The shard stands still for this reason, which the row shall tell; the lease is kept.
    Halt(String),
    /// Renews at once: done proves that the lease is held, as nothing but a write can.
    Confirm,
    /// The consumer has stopped after `Signal::Drain` and will write no more.
    Drained,
}

impl Command {
    /// The position that the row will hold once the command, and for an intent its commit, is done.
    pub(super) const fn leads_to(&self) -> Option<Position> {
        match self {
            Self::Checkpoint(position) | Self::Commit { position, .. } => Some(*position),
            Self::Prepare { intent, .. } => Some(intent.position),
            Self::Finish { .. } | Self::Halt(_) | Self::Confirm | Self::Drained => None,
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Done; the row as it is now.
    Done(Box<Lease>),
    /// The lease is still held, but the command's own condition did not hold; the row as it is now.
    Refused(Box<Lease>),
    /// The lease is no longer held; whether the command took effect may be unknown.
    Lost,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Start consuming: the lease is held and the shard's parents are finished.
    Start {
        /// The row as adopted: checkpoint, intent and state pointer.
        lease: Box<Lease>,
        /// Token of this tenure.
        token: FencingToken,
        /// Nothing may be delivered or written from here on, unless extended.
        deadline: Millis,
    },
    /// The lease is held until `deadline`.
    Extend {
        /// The lease.
        key: LeaseKey,
        /// The new deadline.
        deadline: Millis,
    },
    /// Finish what is in hand, write the last checkpoint, then send `Command::Drained`.
    Drain {
        /// The lease.
        key: LeaseKey,
        /// Why.
        reason: DrainReason,
        /// The consumer is stopped at this time at the latest.
        until: Millis,
    },
    /// The lease is gone: cancel at once, write nothing more.
    Stop {
        /// The lease.
        key: LeaseKey,
    },
    /// A command ended.
    Completed {
        /// The command.
        command: CommandId,
        /// How.
        outcome: Outcome,
    },
    /// The shutdown is complete: nothing is held, and the worker's row and lock are gone.
    Finished,
}

/// Why a consumer must drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrainReason {
    /// Another worker gets the lease.
    HandOff,
    /// This worker shuts down.
    Shutdown,
}

impl fmt::Display for DrainReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HandOff => "hand-off",
            Self::Shutdown => "shutdown",
        })
    }
}
