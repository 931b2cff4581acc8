//! Two-phase checkpoints through a whole worker: intent, objects, commit, and whoever has to finish them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kcl::testkit::TestBed;
use kcl::{
    CommitError, DrainReason, FaultyLeaseStore, HaltKind, HaltReason, Position, PrepareError, Progress,
    RangeError, RecordBatch, RecordPosition, RecordProcessor, ShardContext, ShardId, ShardState,
    WorkerHandle,
};
use parking_lot::Mutex;

use crate::faults::store_faults;

/// Objects by name, put once each; a second put of the same name must be the same.
#[derive(Clone, Default)]
struct Objects(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Objects {
    fn put(&self, name: String, lines: Vec<String>) {
        let before = self.0.lock().insert(name.clone(), lines.clone());
        assert!(before.is_none_or(|before| before == lines), "{name} was written with other contents");
    }

    fn lines(&self) -> Vec<usize> {
        let objects = self.0.lock();
        let mut lines: Vec<usize> =
            objects.values().flatten().map(|line| line.parse().expect("a number")).collect();
        lines.sort_unstable();
        lines
    }
}

#[derive(Debug, thiserror::Error)]
enum SinkError {
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// What a sink does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Hangs for ever between intent and objects.
    HangsAfterIntent,
    /// Panics between objects and commit, the first time.
    PanicsBeforeCommit,
    /// Claims progress beside its intents.
    MixesStyles,
    /// Stops its shard at the first batch.
    Halts,
}

/// Writes each batch as one object, exactly once.
struct Sink {
    objects: Objects,
    flaw: Flaw,
    panics: Arc<Mutex<usize>>,
}

impl Sink {
    async fn write(&self, batch: &RecordBatch, context: &mut ShardContext) -> Result<(), SinkError> {
        let last = batch.last_position().expect("a batch with records");
        let after = context.lease().checkpoint;
        let intent = Bytes::from(format!("{}|{}", batch.len(), after.column()));
        let name = object_name(context);
        let prepared = context.prepare(last.into(), intent).await?;
        if self.flaw == Flaw::HangsAfterIntent {
            std::future::pending::<()>().await;
        }
        self.objects.put(name, lines(batch));
        if self.flaw == Flaw::PanicsBeforeCommit && std::mem::replace(&mut *self.panics.lock(), 1) == 0 {
            panic!("injected panic between objects and commit");
        }
        prepared.commit(Some("state".to_owned())).await?;
        Ok(())
    }
}

impl RecordProcessor for Sink {
    type Error = SinkError;

    async fn initialize(&mut self, context: &mut ShardContext) -> Result<(), SinkError> {
        let Some(pending) = context.pending() else { return Ok(()) };
        let Position::At(last) = pending.position else { panic!("no record is pending: {pending:?}") };
        let mut range = context.read_range(context.lease().checkpoint, last);
        let mut read = Vec::new();
        while let Some(batch) = range.next().await? {
            read.extend(lines(&batch));
        }
        let intent = String::from_utf8(pending.state.to_vec()).expect("text");
        assert_eq!(intent.split('|').next(), Some(&*read.len().to_string()), "records of the range");
        self.objects.put(object_name(context), read);
        let prepared = context.resume_pending().expect("an intent is pending");
        prepared.commit(Some("state".to_owned())).await?;
        Ok(())
    }

    async fn process(
        &mut self,
        batch: RecordBatch,
        context: &mut ShardContext,
    ) -> Result<Progress, SinkError> {
        if batch.is_empty() {
            return Ok(Progress::Buffered);
        }
        if self.flaw == Flaw::Halts {
            let detail = "object x exists with other contents; remove it".to_owned();
            context.halt(HaltReason { kind: HaltKind::Conflict, detail });
            return Ok(Progress::Buffered);
        }
        self.write(&batch, context).await?;
        Ok(if self.flaw == Flaw::MixesStyles { Progress::Durable } else { Progress::Buffered })
    }

    async fn shard_ended(&mut self, _: &mut ShardContext) -> Result<Option<String>, SinkError> {
        Ok(Some("final".to_owned()))
    }

    async fn drain(&mut self, _: DrainReason, _: &mut ShardContext) -> Result<Progress, SinkError> {
        Ok(Progress::Buffered)
    }

    fn lease_lost(&mut self) {}
}

fn object_name(context: &ShardContext) -> String {
    let own = &context.lease().own;
    format!("{}-g{}-b{}", context.shard(), own.generation.0, own.batch.0)
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    batch.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

async fn start(bed: &TestBed, objects: &Objects, flaw: Flaw) -> WorkerHandle {
    let (objects, panics) = (objects.clone(), Arc::default());
    let factory = move |_: &ShardId| Sink { objects: objects.clone(), flaw, panics: Arc::clone(&panics) };
    bed.worker().build(factory).expect("valid").start().await.expect("starts")
}

fn put(bed: &TestBed, from: usize, to: usize) {
    for number in from..to {
        bed.stream().put(&format!("key-{number}"), number.to_string());
    }
}

fn pending(bed: &TestBed) -> usize {
    bed.store().table().leases().values().filter(|lease| lease.pending.is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn batches_are_committed_one_after_the_other() {
    let bed = TestBed::new(2);
    let objects = Objects::default();
    let worker = start(&bed, &objects, Flaw::None).await;
    for round in 0..5 {
        put(&bed, round * 20, round * 20 + 20);
        bed.until("written", || objects.lines().len() == round * 20 + 20).await;
    }
    worker.shutdown().await;
    assert_eq!(objects.lines(), (0..100).collect::<Vec<_>>());
    for lease in bed.store().table().leases().values() {
        assert!(lease.own.batch.0 >= 5, "{} has committed {} batches", lease.key, lease.own.batch.0);
        assert_eq!((lease.own.state.as_deref(), &lease.pending), (Some("state"), &None));
    }
}

#[tokio::test(start_paused = true)]
async fn an_intent_of_a_dead_worker_is_finished_with_exactly_its_records() {
    let bed = TestBed::new(1);
    let objects = Objects::default();
    put(&bed, 0, 30);
    let dying = start(&bed, &objects, Flaw::HangsAfterIntent).await;
    bed.until("the intent is written", || pending(&bed) == 1).await;
    dying.abort();
    put(&bed, 30, 50);
    let next = start(&bed, &objects, Flaw::None).await;
    bed.until("everything is written", || objects.lines().len() == 50).await;
    next.shutdown().await;
    assert_eq!(objects.lines(), (0..50).collect::<Vec<_>>(), "each once");
    let first = objects.0.lock().values().next().expect("an object").len();
    assert_eq!(first, 30, "the batch of the intent is the one that was announced");
}

#[tokio::test(start_paused = true)]
async fn a_panic_between_objects_and_commit_is_recovered_in_place() {
    let bed = TestBed::new(1);
    let objects = Objects::default();
    put(&bed, 0, 30);
    let worker = start(&bed, &objects, Flaw::PanicsBeforeCommit).await;
    bed.until("committed", || bed.store().table().leases().values().any(|lease| lease.own.batch.0 == 1))
        .await;
    put(&bed, 30, 40);
    bed.until("everything is written", || objects.lines().len() == 40).await;
    worker.shutdown().await;
    assert_eq!(objects.lines(), (0..40).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_halted_shard_keeps_its_lease_and_shows_why_while_others_go_on() {
    let bed = TestBed::new(1);
    let objects = Objects::default();
    put(&bed, 0, 5);
    let worker = start(&bed, &objects, Flaw::Halts).await;
    let is_halted = || {
        let health = worker.health();
        let state = health.shards.first().map(|shard| shard.state.clone());
        matches!(state, Some(ShardState::Halted(HaltReason { kind: HaltKind::Conflict, .. })))
    };
    bed.until("halted", is_halted).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(is_halted(), "it stays halted");
    assert!(worker.health().shards[0].lease_remaining > Duration::ZERO, "and holds its lease");
    worker.shutdown().await;
    let table = bed.store().table();
    let lease = table.leases().values().next().expect("a lease");
    assert_eq!((lease.owner.clone(), lease.checkpoint), (None, Position::TrimHorizon));
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_mixes_both_styles_is_halted() {
    let bed = TestBed::new(1);
    put(&bed, 0, 5);
    let worker = start(&bed, &Objects::default(), Flaw::MixesStyles).await;
    bed.until("halted", || {
        let health = worker.health();
        let state = health.shards.first().map(|shard| shard.state.clone());
        matches!(state, Some(ShardState::Halted(HaltReason { kind: HaltKind::Contract, .. })))
    })
    .await;
    worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn lost_replies_neither_repeat_nor_lose_a_batch() {
    for seed in 0..20 {
        let bed = TestBed::new(2);
        let objects = Objects::default();
        let mut fault = store_faults(seed);
        let store = FaultyLeaseStore::new(bed.store().clone(), bed.clock(), move |_| fault());
        let sinks = objects.clone();
        let factory =
            move |_: &ShardId| Sink { objects: sinks.clone(), flaw: Flaw::None, panics: Arc::default() };
        let worker = bed.worker().with_lease_store(store).build(factory).expect("valid");
        let worker = worker.start().await.expect("starts");
        for round in 0..6 {
            put(&bed, round * 10, round * 10 + 10);
            bed.until("written", || objects.lines().len() >= round * 10 + 10).await;
        }
        worker.shutdown().await;
        assert_eq!(objects.lines(), (0..60).collect::<Vec<_>>(), "seed {seed}");
    }
}

/// What came of reading a range.
type RangeOutcome = Result<Vec<String>, RangeError>;

/// Reads ranges of one shard and remembers what came.
struct RangeProbe {
    outcomes: Arc<Mutex<Vec<RangeOutcome>>>,
    ranges: Vec<(Position, RecordPosition)>,
}

impl RecordProcessor for RangeProbe {
    type Error = std::convert::Infallible;

    async fn initialize(&mut self, context: &mut ShardContext) -> Result<(), Self::Error> {
        for (after, last) in &self.ranges {
            let mut range = context.read_range(*after, *last);
            let mut read = Ok(Vec::new());
            loop {
                match (range.next().await, &mut read) {
                    (Ok(Some(batch)), Ok(read)) => read.extend(lines(&batch)),
                    (Ok(None), _) => break,
                    (Err(error), _) => {
                        read = Err(error);
                        break;
                    }
                    (Ok(Some(_)), Err(_)) => unreachable!("the loop ends with an error"),
                }
            }
            self.outcomes.lock().push(read);
        }
        Ok(())
    }

    async fn process(&mut self, _: RecordBatch, _: &mut ShardContext) -> Result<Progress, Self::Error> {
        Ok(Progress::Buffered)
    }

    async fn shard_ended(&mut self, _: &mut ShardContext) -> Result<Option<String>, Self::Error> {
        Ok(None)
    }

    async fn drain(&mut self, _: DrainReason, _: &mut ShardContext) -> Result<Progress, Self::Error> {
        Ok(Progress::Buffered)
    }

    fn lease_lost(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_range_yields_exactly_its_records_also_within_aggregates() {
    let bed = TestBed::new(1);
    bed.stream().put("k", "0");
    let mut aggregate = kcl::AggregateBuilder::new();
    for number in 1..=4 {
        aggregate.push("k", None, number.to_string().as_bytes());
    }
    let (_, packed) = bed.stream().put("k", aggregate.finish());
    let (_, last) = bed.stream().put("k", "5");
    let within = |sub_sequence| RecordPosition { sub_sequence, ..packed };
    let beyond = RecordPosition { sequence: last.sequence.next().expect("not the last number"), ..last };
    let ranges = vec![
        (Position::TrimHorizon, within(1)),
        (within(1).into(), last),
        (within(0).into(), within(2)),
        (last.into(), last),
        (Position::TrimHorizon, beyond),
    ];
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&outcomes);
    let count = ranges.len();
    let factory = move |_: &ShardId| RangeProbe { outcomes: Arc::clone(&shared), ranges: ranges.clone() };
    let worker = bed.worker().build(factory).expect("valid").start().await.expect("starts");
    bed.until("all ranges are read", || outcomes.lock().len() == count).await;
    worker.shutdown().await;
    let outcomes = outcomes.lock();
    let texts = |index: usize| outcomes[index].clone().expect("readable").join(" ");
    assert_eq!(
        (texts(0), texts(1), texts(2), texts(3)),
        ("0 1 2".into(), "3 4 5".into(), "2 3".into(), String::new())
    );
    assert!(matches!(outcomes[4], Err(RangeError::Trimmed { .. })), "{:?}", outcomes[4]);
}
