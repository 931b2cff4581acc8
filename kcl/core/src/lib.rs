//! The decisions of a Kinesis consumer, without IO.
//!
//! Everything here takes time, randomness and replies as arguments, so that the same code runs in production, in an
//! exhaustive model and under schedules chosen by bytes. No clock, no randomness, no tokio, no AWS.

mod assignment;
mod coordinator;
mod event;
mod hash_key;
mod id;
mod position;
mod row;
mod sequence;
mod shard_graph;
mod time;

pub use assignment::{AssignableLease, Move, plan_moves};
pub use coordinator::{
    ChildShard, Command, CommandId, Coordinator, CoordinatorSettings, DrainReason, InitialPosition,
    InvalidSettings, ListedShard, Outcome, Request, RequestId, ShardFilter, Signal,
};
pub use event::{Event, LossCause};
pub use hash_key::{HashKey, HashKeyRange, InvalidHashKey, covers_hash_space};
pub use id::{
    BatchOrdinal, FencingToken, Generation, InvalidId, LeaseCounter, LeaseKey, Nonce, ShardId, WorkerId,
};
pub use position::{Position, RecordPosition};
pub use row::{
    LeaderLock, Lease, LeaseChange, LeaseCondition, LeaseRowState, LeaseTable, LeaseWrite, LockCondition,
    LockVersion, PendingCheckpoint, Resolution, StoreReply, StoreRequest, TableView, WorkerRow,
};
pub use sequence::{InvalidSequenceNumber, SequenceNumber};
pub use shard_graph::{first_leases, initial_filter, missing_leases};
pub use time::Millis;
