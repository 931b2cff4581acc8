//! The items of the lease table as values: what they hold, the conditional writes on them, and what a store answers.
//!
//! ```text
//! Coordinator ──▶ StoreRequest ──▶ adapter (DynamoDB, or LeaseTable in memory) ──▶ StoreReply ──▶ Coordinator
//! ```
//!
//! Nothing here decides; [`LeaseTable`] is the executable meaning of every request, which the conformance suite holds
//! against each adapter.

mod lease;
mod lock;
mod request;
mod table;
mod worker;
mod write;

pub use lease::{Lease, LeaseRowState, PendingCheckpoint, Resolution};
pub use lock::{LeaderLock, LockCondition, LockVersion};
pub use request::{StoreReply, StoreRequest, TableView};
pub use table::LeaseTable;
pub use worker::WorkerRow;
pub use write::{LeaseChange, LeaseCondition, LeaseWrite};
