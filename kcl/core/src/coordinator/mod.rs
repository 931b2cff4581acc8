//! One worker's part in sharing the shards of a stream: which leases it holds, and until when.

mod message;
mod settings;

pub use message::{
    ChildShard, Command, CommandId, DrainReason, ListedShard, Outcome, Request, RequestId, ShardFilter,
    Signal,
};
pub use settings::{CoordinatorSettings, InitialPosition, InvalidSettings};
