//! The row by which a worker shows that it lives: KCL's `WORKER_METRIC_STATS`, with a beat of our own.

use crate::id::WorkerId;
use crate::time::Millis;

/// A worker as seen in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerRow {
    /// `leaseKey` of the row.
    pub worker: WorkerId,
    /// `lhBeat`: one more with each write of the worker; 0 for a Java worker.
    pub beat: u64,
    /// `lhDraining`: the worker stops and must get no more leases.
    pub draining: bool,
    /// Wall-clock age of `lut` when the row was read; ignored on writes, where the adapter stores the current second.
    pub age: Millis,
}
