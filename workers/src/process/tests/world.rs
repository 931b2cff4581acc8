//! One stream, one lease table, one bucket, and workers on them, each behind its own gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kcl::testkit::TestBed;
use kcl::{Generation, Lease, Position, Resolution, ShardState, Worker, WorkerHandle};
use kcl_core::{LeaseWrite, Nonce, StoreReply, StoreRequest};

use parking_lot::Mutex;

use super::gate::{Gate, Plan};
use super::scenario::{Feed, Feeder, Scenario};
use super::taps::{GatedLeases, GatedObjects, GatedStream, StoppableClock};
use crate::pipeline::Pipeline;
use crate::process::PipelineFactory;
use crate::session::SessionState;
use crate::settings::PipelineSettings;
use crate::sink::{BatchId, MemoryStore, StoredObject};

/// Everything outside the workers.
pub(super) struct World {
    pub(super) bed: TestBed,
    pub(super) objects: MemoryStore,
    pub(super) feeder: Feeder,
    scenario: Scenario,
    workers_made: AtomicU64,
    taken: Arc<AtomicUsize>,
    /// The last snapshot looked at, and whether it is quiet.
    quiet: Mutex<Option<(String, bool)>>,
}

/// A worker, and what a test does to it.
pub(super) struct Actor {
    pub(super) worker: WorkerHandle,
    pub(super) gate: Gate,
    pub(super) clock: Arc<StoppableClock>,
}

impl World {
    /// A new world in which the scenario's records are put, or begin to be.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let bed = TestBed::new(scenario.shards);
        Self {
            feeder: Feeder::start(scenario, bed.stream().clone()),
            bed,
            objects: MemoryStore::new(),
            scenario: *scenario,
            workers_made: AtomicU64::new(0),
            taken: Arc::default(),
            quiet: Mutex::default(),
        }
    }

    /// Starts a worker of the scenario, with something going to happen to it or not.
    pub(super) async fn start(&self, plan: Option<Plan>) -> Actor {
        self.start_changed(plan, |_| {}).await
    }

    /// The same with other settings.
    pub(super) async fn start_changed(
        &self,
        plan: Option<Plan>,
        change: impl FnOnce(&mut PipelineSettings),
    ) -> Actor {
        let mut settings = self.scenario.settings();
        change(&mut settings);
        let resolved = settings.resolve(|_| Ok(String::new())).expect("valid");
        let pipeline = Pipeline::compile(&resolved).expect("compiles");
        let gate = Gate::new(plan);
        let clock = Arc::new(StoppableClock::new(self.bed.clock()));
        let objects =
            GatedObjects { gate: gate.clone(), inner: self.objects.clone(), taken: Arc::clone(&self.taken) };
        let factory =
            PipelineFactory::new(pipeline, Arc::new(objects)).with_part_bytes(self.scenario.part_bytes);
        let stream = GatedStream { gate: gate.clone(), inner: self.bed.stream().clone() };
        let worker = Worker::builder("test", stream)
            .with_lease_store(GatedLeases { gate: gate.clone(), inner: self.bed.store().clone() })
            .with_clock(clock.clone())
            .with_seed(self.workers_made.fetch_add(1, Ordering::Relaxed) + 1)
            .with_settings(TestBed::settings())
            .build(factory)
            .expect("builds");
        Actor { worker: worker.start().await.expect("starts"), gate, clock }
    }

    /// Waits until everything is committed, and stops the worker in order.
    pub(super) async fn finish(&self, actor: &Actor) {
        self.done().await;
        actor.worker.shutdown().await;
    }

    /// Waits until everything is committed.
    pub(super) async fn done(&self) {
        self.bed.until("everything is committed", || self.is_done()).await;
    }

    /// Waits until the worker's shard stands still, and says why.
    pub(super) async fn halted(&self, actor: &Actor) -> String {
        let row_says_why = || self.leases().iter().any(|lease| lease.own.halt.is_some());
        self.bed.until("the shard stands still", || actor.halted().is_some() && row_says_why()).await;
        actor.halted().expect("seen a moment ago")
    }

    /// Changes or removes every object whose key begins with `prefix`, as a foreign hand might.
    pub(super) fn meddle(&self, prefix: &str, change: impl Fn(StoredObject) -> Option<StoredObject>) {
        let mut met = 0;
        for (key, object) in self.objects.objects() {
            if key.starts_with(prefix) {
                self.objects.replace(&key, change(object));
                met += 1;
            }
        }
        assert!(met > 0, "an object begins with {prefix}");
    }

    /// Writes an operator's decision about the first shard that stands still, as `leasehold leases resolve` does.
    pub(super) fn resolve(&self, resolution: Option<Resolution>) {
        self.change_halted(|lease| LeaseWrite::resolve(lease, resolution, Nonce(1)));
    }

    /// The decision to write the pending records again under a new generation.
    pub(super) fn rewrite(&self) {
        let generation = Generation(self.bed.clock().epoch_millis());
        self.change_halted(|lease| LeaseWrite::rewrite(lease, generation, Nonce(1)));
    }

    fn change_halted(&self, write: impl FnOnce(&Lease) -> LeaseWrite) {
        let halted = self.leases().into_iter().find(|lease| lease.own.halt.is_some());
        self.write(&write(&halted.expect("a row says why its shard stands still")));
    }

    /// Changes a lease row behind the workers' backs.
    pub(super) fn write(&self, write: &LeaseWrite) {
        let reply = self.bed.store().tamper(|table| table.execute(&StoreRequest::UpdateLease(write.clone())));
        assert!(matches!(reply, StoreReply::Applied(_)), "{reply:?}");
    }

    /// The lease rows.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.bed.store().tamper(|table| table.leases().values().cloned().collect())
    }

    /// The batches whose intent is durable, committed or not, with the shard of each.
    pub(super) fn announced(&self) -> Vec<(String, BatchId)> {
        let mut announced = Vec::new();
        for lease in self.leases() {
            let mut next = BatchId { ordinal: kcl::BatchOrdinal(0), ..BatchId::next_of(&lease) };
            while next < BatchId::next_of(&lease)
                || (lease.pending.is_some() && next.ordinal == lease.own.batch)
            {
                announced.push((lease.key.shard().to_string(), next));
                next.ordinal = next.ordinal.next();
            }
        }
        announced
    }

    /// How many conditional puts found their key taken.
    pub(super) fn puts_taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    fn is_done(&self) -> bool {
        let (leases, last) = (self.leases(), self.feeder.last());
        let is_consumed = |lease: &Lease| match last.get(&lease.key.shard()) {
            Some(last) => [Position::At(*last), Position::ShardEnd].contains(&lease.checkpoint),
            None => true,
        };
        let has_idled = |lease: &Lease| self.scenario.feed != Feed::ThenSilence || self.is_quiet(lease);
        self.feeder.is_over()
            && leases.len() >= last.len()
            && leases.iter().all(|lease| lease.pending.is_none() && is_consumed(lease) && has_idled(lease))
    }

    /// Whether nothing waits in the state at the checkpoint.
    fn is_quiet(&self, lease: &Lease) -> bool {
        let Some(pointer) = &lease.own.state else { return lease.checkpoint.is_initial() };
        let mut seen = self.quiet.lock();
        if seen.as_ref().is_none_or(|(seen, _)| seen != pointer) {
            let stored = self.objects.objects().remove(pointer).expect("the row points to a snapshot");
            let state = SessionState::decode(&stored.body, 1 << 20).expect("a snapshot");
            *seen = Some((pointer.clone(), state.open_sessions() == 0 && state.held_events() == 0));
        }
        seen.as_ref().is_some_and(|(_, is_quiet)| *is_quiet)
    }
}

impl Actor {
    /// Ends the worker as a kill does: whatever it waits for is dropped.
    pub(super) async fn kill(&self) {
        self.worker.abort();
        self.worker.finished().await;
    }

    /// Why the only shard stands still, if it does.
    pub(super) fn halted(&self) -> Option<String> {
        self.worker.health().shards.iter().find_map(|shard| match &shard.state {
            ShardState::Halted(reason) => Some(reason.to_string()),
            ShardState::Starting
            | ShardState::Consuming
            | ShardState::Retrying
            | ShardState::Finishing
            | ShardState::Draining(_) => None,
        })
    }
}

/// Long enough for whatever is released to land and to be answered.
pub(super) async fn settle() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}
