//! What can be asked of a lease store, and what it can answer.

use super::lease::Lease;
use super::lock::{LeaderLock, LockCondition};
use super::worker::WorkerRow;
use super::write::LeaseWrite;
use crate::id::{LeaseKey, WorkerId};

/// One call to the lease store. Single-item reads are strongly consistent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreRequest {
    /// Puts a new lease row if there is none with its key. Answer: `Applied` or `Refused`.
    CreateLease(Box<Lease>),
    /// A conditional update. Answer: `Applied` or `Refused`.
    UpdateLease(LeaseWrite),
    /// One lease row. Answer: `Lease`.
    ReadLease(LeaseKey),
    /// Every item, in no order, possibly stale; but a table that has leases is never shown without any, because from an
    /// empty one the first rows of an application are made, at its initial position. Answer: `Table`.
    ReadTable,
    /// Keys of the leases whose `leaseOwner` is this worker, by the index, possibly stale. Answer: `Owned`.
    ReadOwned(WorkerId),
    /// Puts or updates the worker's row. Answer: `Done`.
    PutWorker(WorkerRow),
    /// Deletes the worker's row, present or not. Answer: `Done`.
    DeleteWorker(WorkerId),
    /// The leader lock. Answer: `Lock`.
    ReadLock,
    /// Writes the lock if the condition holds. Answer: `LockWritten` or `LockRefused`.
    WriteLock {
        /// What must hold.
        condition: LockCondition,
        /// The lock to store.
        lock: LeaderLock,
    },
    /// Deletes the lock if the condition holds. Answer: `Done` or `LockRefused`.
    DeleteLock(LockCondition),
    /// The roster's counter, 0 if there is no roster item. Answer: `Roster`.
    ReadRoster,
    /// Raises the roster's counter by one. Answer: `Roster` with the new value.
    BumpRoster,
}

/// What the store answered, or that nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreReply {
    /// The write was applied; the row as it is now (ALL_NEW).
    Applied(Lease),
    /// The condition did not hold; the row as it is, or that there is none.
    Refused(Option<Lease>),
    /// The row read.
    Lease(Option<Lease>),
    /// The items read.
    Table(TableView),
    /// The keys read, or `None` while the index is missing or building.
    Owned(Option<Vec<LeaseKey>>),
    /// Done, with nothing to tell.
    Done,
    /// The lock read.
    Lock(Option<LeaderLock>),
    /// The lock was written.
    LockWritten,
    /// The lock's condition did not hold; the lock as it is.
    LockRefused(Option<LeaderLock>),
    /// The roster's counter.
    Roster(u64),
    /// Surely not applied; worth another try later (throttling, or refused before it was sent).
    Throttled,
    /// May or may not have been applied, or may still be (timeout, connection lost, server error).
    Unknown,
}

/// The items of a lease table.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableView {
    /// Every lease that could be read.
    pub leases: Vec<Lease>,
    /// Every worker row.
    pub workers: Vec<WorkerRow>,
    /// Items that are neither, nor known entities, and lease rows that could not be decoded: counted, never fatal.
    pub unreadable: usize,
}
