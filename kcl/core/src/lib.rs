//! The decisions of a Kinesis consumer, without IO.
//!
//! Everything here takes time, randomness and replies as arguments, so that the same code runs in production, in an
//! exhaustive model and under schedules chosen by bytes. No clock, no randomness, no tokio, no AWS.

mod coordinator;
mod hash_key;
mod id;
mod position;
mod row;
mod sequence;
mod time;

pub use coordinator::{
    ChildShard, Command, CommandId, CoordinatorSettings, DrainReason, InitialPosition, InvalidSettings,
    ListedShard, Outcome, Request, RequestId, ShardFilter, Signal,
};
pub use hash_key::{HashKey, HashKeyRange, InvalidHashKey, covers_hash_space};
pub use id::{
    BatchOrdinal, FencingToken, Generation, InvalidId, LeaseCounter, LeaseKey, Nonce, ShardId, WorkerId,
};
pub use position::{Position, RecordPosition};
pub use row::{
    LeaderLock, Lease, LeaseChange, LeaseCondition, LeaseRowState, LeaseTable, LeaseWrite, LockCondition,
    LockVersion, PendingCheckpoint, StoreReply, StoreRequest, TableView, WorkerRow,
};
pub use sequence::{InvalidSequenceNumber, SequenceNumber};
pub use time::Millis;
