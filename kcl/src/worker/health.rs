//! What a worker does at this moment, for probes, dashboards and operators.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::{DrainReason, FencingToken, Millis, Position, ShardId, WorkerId};
use parking_lot::Mutex;

use crate::halt::HaltReason;
use crate::port::Clock;
use crate::shard::Tenure;

/// A worker at one moment.
#[derive(Clone, Debug)]
pub struct Health {
    /// The worker.
    pub worker: WorkerId,
    /// Where it stands in its life.
    pub phase: WorkerPhase,
    /// Whether it leads the fleet.
    pub is_leader: bool,
    /// Time since the lease store last answered; `None` before the first answer.
    pub store_silence: Option<Duration>,
    /// Each shard whose lease it holds.
    pub shards: Vec<ShardHealth>,
    /// What became of the telemetry rows since the worker started; all zero while telemetry is off.
    pub telemetry: TelemetryHealth,
}

/// What became of telemetry rows. Records are consumed all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryHealth {
    /// Rows that were written.
    pub rows_written: u64,
    /// Rows that could not be written, or not in time.
    pub rows_failed: u64,
    /// The last failure.
    pub last_error: Option<String>,
}

/// Where a worker stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerPhase {
    /// Not running yet.
    Starting,
    /// Takes part.
    Running,
    /// Gives back its leases.
    Draining,
    /// Over.
    Stopped,
}

/// One shard at one moment.
#[derive(Clone, Debug)]
pub struct ShardHealth {
    /// The shard.
    pub shard: ShardId,
    /// Token of the tenure.
    pub token: FencingToken,
    /// What happens to it.
    pub state: ShardState,
    /// How far the last answer was behind the tip.
    pub behind_latest: Option<Duration>,
    /// Checkpoint as last written by the framework.
    pub checkpoint: Position,
    /// Time left to the lease's deadline.
    pub lease_remaining: Duration,
    /// Records that the processor took in this tenure.
    pub records_delivered: u64,
    /// Records that the policy for aggregates dropped in this tenure.
    pub records_dropped: u64,
    /// Failed calls since the last success.
    pub retries: u32,
    /// The last failure of this tenure, of the processor or of fetching.
    pub last_error: Option<String>,
}

/// What happens to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// The processor is being initialized.
    Starting,
    /// Records are delivered.
    Consuming,
    /// A call failed and is repeated.
    Retrying,
    /// The shard is closed and consumed, and its end is being written.
    Finishing,
    /// The lease is about to move.
    Draining(DrainReason),
    /// Nothing is delivered until an operator acts.
    Halted(HaltReason),
}

/// The board that tasks write to and handles read from.
#[derive(Clone, Debug)]
pub(crate) struct HealthBoard {
    shared: Arc<Mutex<Shared>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Shared {
    worker: WorkerId,
    phase: WorkerPhase,
    is_leader: bool,
    store_answered_at: Option<Millis>,
    telemetry: TelemetryHealth,
    shards: BTreeMap<(ShardId, FencingToken), (ShardHealth, Tenure)>,
}

impl HealthBoard {
    pub(crate) fn new(worker: WorkerId, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            worker,
            phase: WorkerPhase::Starting,
            is_leader: false,
            store_answered_at: None,
            telemetry: TelemetryHealth::default(),
            shards: BTreeMap::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), clock }
    }

    /// The worker at this moment.
    pub(crate) fn read(&self) -> Health {
        let shared = self.shared.lock();
        let now = self.clock.now();
        let shards = shared
            .shards
            .values()
            .map(|(health, tenure)| ShardHealth { lease_remaining: tenure.remaining(), ..health.clone() });
        Health {
            worker: shared.worker.clone(),
            phase: shared.phase,
            is_leader: shared.is_leader,
            store_silence: shared.store_answered_at.map(|at| now.since(at).into()),
            shards: shards.collect(),
            telemetry: shared.telemetry.clone(),
        }
    }

    pub(crate) fn set_phase(&self, phase: WorkerPhase) {
        self.shared.lock().phase = phase;
    }

    pub(crate) fn set_leader(&self, is_leader: bool) {
        self.shared.lock().is_leader = is_leader;
    }

    pub(crate) fn store_answered(&self, now: Millis) {
        self.shared.lock().store_answered_at = Some(now);
    }

    pub(crate) fn update_telemetry(&self, change: impl FnOnce(&mut TelemetryHealth)) {
        change(&mut self.shared.lock().telemetry);
    }

    /// A place on the board for one tenure, cleared when the last clone of it is dropped.
    pub(crate) fn gauge(
        &self,
        shard: ShardId,
        token: FencingToken,
        checkpoint: Position,
        tenure: Tenure,
    ) -> ShardGauge {
        let health = ShardHealth {
            shard: shard.clone(),
            token,
            state: ShardState::Starting,
            behind_latest: None,
            checkpoint,
            lease_remaining: Duration::ZERO,
            records_delivered: 0,
            records_dropped: 0,
            retries: 0,
            last_error: None,
        };
        let key = (shard, token);
        self.shared.lock().shards.insert(key.clone(), (health, tenure));
        ShardGauge { place: Arc::new(Place { key, board: self.clone() }) }
    }
}

/// Where the consumer of a shard shows how it is.
#[derive(Clone, Debug)]
pub(crate) struct ShardGauge {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    key: (ShardId, FencingToken),
    board: HealthBoard,
}

impl ShardGauge {
    pub(crate) fn update(&self, change: impl FnOnce(&mut ShardHealth)) {
        if let Some((health, _)) = self.place.board.shared.lock().shards.get_mut(&self.place.key) {
            change(health);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.shared.lock().shards.remove(&self.key);
    }
}
