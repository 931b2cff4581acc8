//! One worker: every record once and in order, whatever fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kcl::testkit::TestBed;
use kcl::{FaultyLeaseStore, FaultyStream, Position, ShardState, StreamCall, StreamFault, Worker, WorkerEnd};

use crate::faults::store_faults;
use crate::recorder::{Recorder, Step, Trouble};

fn put(bed: &TestBed, from: usize, to: usize) {
    for number in from..to {
        bed.stream().put(&format!("key-{}", number % 17), number.to_string());
    }
}

/// The payloads delivered, each counted once.
fn numbers(recorder: &Recorder) -> Vec<usize> {
    let mut numbers: Vec<usize> =
        recorder.payloads().values().flatten().map(|text| text.parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

fn distinct(recorder: &Recorder) -> BTreeSet<usize> {
    numbers(recorder).into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn every_record_comes_once_and_in_order_and_shutdown_gives_everything_back() {
    let bed = TestBed::new(3);
    put(&bed, 0, 200);
    let recorder = Recorder::default();
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("the first 200 are delivered", || recorder.delivered() == 200).await;
    put(&bed, 200, 300);
    bed.until("300 are delivered", || recorder.delivered() == 300).await;
    assert!(worker.health().is_leader);

    assert_eq!(worker.shutdown().await, WorkerEnd::Graceful);
    assert_eq!(numbers(&recorder), (0..300).collect::<Vec<_>>());
    recorder.assert_ordered_within_tenures();
    let table = bed.store().table();
    assert_eq!(table.leases().len(), 3);
    for lease in table.leases().values() {
        assert_eq!(lease.owner, None, "{} is given back", lease.key);
        assert!(!lease.checkpoint.is_initial(), "{} is checkpointed", lease.key);
    }

    let again = Recorder::default();
    let worker = bed.worker().build(again.clone()).expect("valid").start().await.expect("starts");
    put(&bed, 300, 310);
    bed.until("the rest is delivered", || again.delivered() >= 10).await;
    worker.shutdown().await;
    assert_eq!(numbers(&again), (300..310).collect::<Vec<_>>(), "nothing twice after an orderly stop");
}

#[tokio::test(start_paused = true)]
async fn a_failing_batch_is_repeated_and_never_skipped() {
    let bed = TestBed::new(1);
    put(&bed, 0, 20);
    let failures = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&failures);
    let recorder = Recorder::with_trouble(move |batch| {
        let fails = !batch.is_empty() && counter.fetch_add(1, Ordering::Relaxed) < 8;
        fails.then_some(Trouble::Fail)
    });
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("it has failed a few times", || failures.load(Ordering::Relaxed) > 3).await;
    let health = worker.health();
    assert_eq!(health.shards[0].state, ShardState::Retrying);
    assert_eq!(health.shards[0].last_error.as_deref(), Some("injected failure"));
    bed.until("it succeeded", || recorder.delivered() == 20).await;
    assert_eq!(worker.health().shards[0].retries, 0);
    worker.shutdown().await;
    assert_eq!(numbers(&recorder), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_panic_stays_in_its_shard_and_goes_on_from_the_checkpoint() {
    let bed = TestBed::new(2);
    put(&bed, 0, 40);
    let panics = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&panics);
    let recorder = Recorder::with_trouble(move |batch| {
        let is_meant = batch.iter().any(|record| record.data == "33");
        (is_meant && counter.fetch_add(1, Ordering::Relaxed) < 3).then_some(Trouble::Panic)
    });
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("everything is delivered", || distinct(&recorder) == (0..40).collect()).await;
    assert_eq!(panics.load(Ordering::Relaxed), 4, "three panics and a success");
    assert_eq!(recorder.count(&Step::Initialized), 5, "two shards, and anew after each panic");
    assert_eq!(recorder.count(&Step::Lost), 0, "no lease was lost");
    recorder.assert_ordered_within_tenures();
    worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn children_start_after_their_parent_is_consumed() {
    let bed = TestBed::new(1);
    put(&bed, 0, 50);
    let recorder = Recorder::default();
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("consuming", || recorder.delivered() == 50).await;
    let parent = bed.store().table().leases().keys().next().expect("one lease").shard();
    bed.stream().split(&parent);
    put(&bed, 50, 100);
    bed.until("both children are consumed", || recorder.delivered() == 100).await;
    assert_eq!(bed.checkpoint(&parent), Some(Position::ShardEnd));
    let steps = recorder.steps();
    let ended = steps.iter().position(|(shard, step)| *shard == parent && *step == Step::Ended);
    let child = steps.iter().position(|(shard, _)| *shard != parent);
    assert!(ended.expect("the parent ended") < child.expect("a child started"));
    worker.shutdown().await;
    assert_eq!(numbers(&recorder), (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_processor_is_called_while_nothing_arrives() {
    let bed = TestBed::new(1);
    let recorder = Recorder::default();
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("idle calls", || recorder.count(&Step::Idle) >= 5).await;
    put(&bed, 0, 1);
    bed.until("a record", || recorder.delivered() == 1).await;
    worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn throttles_expired_iterators_and_outages_lose_nothing() {
    let bed = TestBed::new(2);
    put(&bed, 0, 100);
    let mut calls = 0_u32;
    let stream = FaultyStream::new(bed.stream().clone(), move |call| {
        calls += 1;
        match (call, calls % 5) {
            (StreamCall::Fetch(_), 0) => StreamFault::Throttle,
            (StreamCall::Fetch(_), 1) => StreamFault::Expire,
            (StreamCall::Fetch(_) | StreamCall::Iterator(..), 2) => StreamFault::Fail,
            (StreamCall::Fetch(_), 3) => StreamFault::Delay(Duration::from_millis(700)),
            _ => StreamFault::None,
        }
    });
    let recorder = Recorder::default();
    let worker = Worker::builder("test", stream)
        .with_lease_store(bed.store().clone())
        .with_clock(bed.clock())
        .with_seed(7)
        .with_settings(TestBed::settings())
        .build(recorder.clone())
        .expect("valid")
        .start()
        .await
        .expect("starts");
    for round in 1..5 {
        put(&bed, round * 100, (round + 1) * 100);
        bed.until("delivered", || recorder.delivered() == (round + 1) * 100).await;
    }
    worker.shutdown().await;
    assert_eq!(numbers(&recorder), (0..500).collect::<Vec<_>>());
    recorder.assert_ordered_within_tenures();
}

#[tokio::test(start_paused = true)]
async fn lost_replies_and_late_writes_cost_nothing_but_time() {
    for seed in 0..20 {
        let bed = TestBed::new(2);
        put(&bed, 0, 50);
        let mut fault = store_faults(seed);
        let store = FaultyLeaseStore::new(bed.store().clone(), bed.clock(), move |_| fault());
        let recorder = Recorder::default();
        let worker = bed.worker().with_lease_store(store).build(recorder.clone()).expect("valid");
        let worker = worker.start().await.expect("starts");
        bed.until("delivered", || distinct(&recorder).len() == 50).await;
        put(&bed, 50, 100);
        bed.until("everything is delivered", || distinct(&recorder) == (0..100).collect()).await;
        worker.shutdown().await;
        recorder.assert_ordered_within_tenures();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_cut_off_by_the_shutdown() {
    let bed = TestBed::new(1);
    put(&bed, 0, 5);
    let recorder = Recorder::with_trouble(|batch| (!batch.is_empty()).then_some(Trouble::Hang));
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("it holds the lease", || recorder.count(&Step::Initialized) == 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(worker.shutdown().await, WorkerEnd::Graceful);
    assert_eq!(recorder.count(&Step::Lost), 1, "a cancelled processor is told that its lease is gone");
    let table = bed.store().table();
    let lease = table.leases().values().next().expect("one lease");
    assert_eq!((lease.owner.clone(), lease.checkpoint), (None, Position::TrimHorizon));
}
