//! For tests of processors: a stream, a lease store and a clock in memory, and workers on them.
//!
//! Meant for `#[tokio::test(start_paused = true)]`: time then passes as fast as nothing is left to do, so that a test of
//! minutes runs in milliseconds and repeats exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kcl_core::{InitialPosition, LeaseKey, Position, ShardId};

use crate::clock::TokioClock;
use crate::memory::{MemoryLeaseStore, MemoryStream};
use crate::port::Clock;
use crate::settings::WorkerSettings;
use crate::worker::{Worker, WorkerBuilder};

/// One stream, one lease table, one clock.
#[derive(Debug)]
pub struct TestBed {
    clock: Arc<dyn Clock>,
    stream: MemoryStream,
    store: MemoryLeaseStore,
    workers_made: AtomicU64,
}

impl TestBed {
    /// A new stream of `shards` shards, an empty table, and the clock of the tokio runtime.
    #[must_use]
    pub fn new(shards: u32) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(EPOCH_MILLIS_AT_ZERO));
        Self {
            stream: MemoryStream::create("test", shards, Arc::clone(&clock)),
            store: MemoryLeaseStore::new(),
            clock,
            workers_made: AtomicU64::new(0),
        }
    }

    /// The stream, to put records into and to reshard.
    #[must_use]
    pub fn stream(&self) -> &MemoryStream {
        &self.stream
    }

    /// The lease table.
    #[must_use]
    pub fn store(&self) -> &MemoryLeaseStore {
        &self.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Settings for tests: the defaults, from the trim horizon.
    #[must_use]
    pub fn settings() -> WorkerSettings {
        WorkerSettings::starting_at(InitialPosition::TrimHorizon)
    }

    /// A worker of application `test` on this bed, each with a seed of its own; change what the test is about.
    #[must_use]
    pub fn worker(&self) -> WorkerBuilder {
        Worker::builder("test", self.stream.clone())
            .with_lease_store(self.store.clone())
            .with_clock(self.clock())
            .with_seed(self.workers_made.fetch_add(1, Ordering::Relaxed) + 1)
            .with_settings(Self::settings())
    }

    /// Checkpoint of a shard, as the table has it.
    #[must_use]
    pub fn checkpoint(&self, shard: &ShardId) -> Option<Position> {
        self.store.table().leases().get(&LeaseKey::from(shard)).map(|lease| lease.checkpoint)
    }

    /// Waits until `predicate` holds.
    ///
    /// # Panics
    /// With `what`, if it does not hold within two minutes of the clock.
    pub async fn until(&self, what: &str, mut predicate: impl FnMut() -> bool) {
        let began = self.clock.now();
        while !predicate() {
            let waited = Duration::from(self.clock.now().since(began));
            assert!(waited < WAIT_MAX, "after {waited:?} still not: {what}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// 2026-01-01, so that times in messages look like times.
const EPOCH_MILLIS_AT_ZERO: u64 = 1_767_225_600_000;
/// Several failovers.
const WAIT_MAX: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
