//! What can go wrong in a call of the processor; the framework repeats the call.

use kcl::{CommitError, NotHeld, PrepareError, RangeError};
use thiserror::Error;

use crate::session::SnapshotError;
use crate::sink::StoreError;

/// A failed call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The object store does not do what is asked.
    #[error("the object store failed")]
    Store(#[from] StoreError),
    /// The intent was not written.
    #[error("the intent of a batch was not written")]
    Prepare(#[from] PrepareError),
    /// The batch was not committed.
    #[error("a batch was not committed")]
    Commit(#[from] CommitError),
    /// The range of a pending batch cannot be read.
    #[error("the range of a pending batch cannot be read")]
    Range(#[from] RangeError),
    /// The state cannot be written.
    #[error("the state cannot be written")]
    Snapshot(#[from] SnapshotError),
    /// Another worker has the shard: an object of this batch has other contents, and the lease is gone.
    #[error("object {key} was written by another worker, which has the shard")]
    Fenced {
        /// The object.
        key: String,
        /// What the row says.
        source: NotHeld,
    },
    /// The shard was stopped for the reason that its health shows.
    #[error("the shard is stopped: {detail}")]
    Halted {
        /// The reason.
        detail: String,
    },
}
