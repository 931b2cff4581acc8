//! Where the shard tasks of a worker count, and its writer reads.
//!
//! A shard's telemetry lives as long as the tenure's tap does: the board holds it weakly, so that no end of a tenure has to
//! be told here.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use kcl_core::{HashKeyRange, LeaseKey};
use parking_lot::Mutex;

use super::accumulator::ShardTelemetry;
use crate::port::Clock;
use crate::record::Record;

type Shards = BTreeMap<LeaseKey, Weak<Mutex<ShardTelemetry>>>;

/// The telemetry of all shards that the worker reads.
#[derive(Clone, Debug)]
pub(crate) struct TelemetryBoard {
    shards: Arc<Mutex<Shards>>,
    clock: Arc<dyn Clock>,
}

impl TelemetryBoard {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shards: Arc::default(), clock }
    }

    /// Where the reader of a lease counts. An earlier one of the same lease is no longer told of.
    pub(crate) fn tap(&self, key: LeaseKey, range: HashKeyRange, seed: u64) -> TelemetryTap {
        let telemetry = Arc::new(Mutex::new(ShardTelemetry::new(range, seed)));
        self.shards.lock().insert(key, Arc::downgrade(&telemetry));
        TelemetryTap { telemetry, clock: Arc::clone(&self.clock) }
    }

    /// The shards that are being read.
    pub(super) fn live(&self) -> Vec<(LeaseKey, Arc<Mutex<ShardTelemetry>>)> {
        let mut shards = self.shards.lock();
        shards.retain(|_, telemetry| telemetry.strong_count() > 0);
        shards.iter().filter_map(|(key, telemetry)| Some((key.clone(), telemetry.upgrade()?))).collect()
    }
}

/// Where the reader of one lease counts.
#[derive(Clone, Debug)]
pub(crate) struct TelemetryTap {
    telemetry: Arc<Mutex<ShardTelemetry>>,
    clock: Arc<dyn Clock>,
}

impl TelemetryTap {
    /// An answer came. The lock is taken once for all its records.
    pub(crate) fn observe(&self, records: &[Record], behind: Duration) {
        self.telemetry.lock().observe(records, behind, self.clock.epoch_millis());
    }
}
