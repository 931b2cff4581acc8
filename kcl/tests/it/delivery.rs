//! One worker: every record once and in order, whatever fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kcl::testkit::TestBed;
use kcl::{
    FaultyLeaseStore, FaultyStream, Position, Progress, RecordPosition, ShardState, StoreFault, StreamCall,
    StreamFault, Worker, WorkerEnd,
};
use parking_lot::Mutex;

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

#[tokio::test(start_paused = true)]
async fn a_merged_shard_starts_after_both_parents() {
    let bed = TestBed::new(2);
    put(&bed, 0, 40);
    let recorder = Recorder::default();
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("consuming", || recorder.delivered() == 40).await;
    let parents: Vec<_> = bed.store().table().leases().keys().map(|key| key.shard()).collect();
    bed.stream().merge(&parents[0], &parents[1]);
    put(&bed, 40, 80);
    bed.until("the child is consumed", || recorder.delivered() == 80).await;
    worker.shutdown().await;
    let steps = recorder.steps();
    let last_end = steps.iter().rposition(|(_, step)| *step == Step::Ended).expect("the parents ended");
    let child = steps.iter().position(|(shard, _)| !parents.contains(shard)).expect("the child started");
    assert_eq!(recorder.count(&Step::Ended), 2);
    assert!(last_end < child);
    assert_eq!(numbers(&recorder), (0..80).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn idle_time_counts_from_the_last_record_and_starts_again_with_the_next() {
    let bed = TestBed::new(1);
    let idles = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&idles);
    let recorder = Recorder::with_trouble(move |batch| {
        seen.lock().push((batch.len(), batch.idle()));
        None
    });
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    put(&bed, 0, 1);
    bed.until("a record", || recorder.delivered() == 1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let longest = idles.lock().iter().map(|(_, idle)| *idle).max().expect("idle calls");
    assert!((28..=30).contains(&longest.as_secs()), "idle for {longest:?} after 30 s");
    put(&bed, 1, 2);
    bed.until("another record", || recorder.delivered() == 2).await;
    idles.lock().clear();
    bed.until("idle calls", || idles.lock().len() >= 2).await;
    let (_, idle) = idles.lock()[0];
    assert!(idle < Duration::from_secs(3), "counted on from before the record: {idle:?}");
    worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_is_resumed_in_the_middle() {
    let bed = TestBed::new(1);
    let mut aggregate = kcl::AggregateBuilder::new();
    for number in 0..6 {
        aggregate.push("k", None, number.to_string().as_bytes());
    }
    let (shard, packed) = bed.stream().put("k", aggregate.finish());
    let durable = RecordPosition { sub_sequence: 2, ..packed };
    let recorder = Recorder::default().reporting(Progress::DurableTo(durable));
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("checkpointed", || bed.checkpoint(&shard) == Some(durable.into())).await;
    worker.abort();
    let next = Recorder::default();
    let worker = bed.worker().build(next.clone()).expect("valid").start().await.expect("starts");
    bed.until("the rest is delivered", || next.delivered() > 0).await;
    worker.shutdown().await;
    assert_eq!((numbers(&recorder), numbers(&next)), ((0..6).collect(), (3..6).collect()));
}

#[tokio::test(start_paused = true)]
async fn progress_is_written_though_the_next_batch_fails_for_ever() {
    let bed = TestBed::new(1);
    let (shard, first) = bed.stream().put("k", "0");
    let recorder = Recorder::with_trouble(|batch| {
        batch.iter().any(|record| record.data == "1").then_some(Trouble::Fail)
    });
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    bed.until("the first is delivered", || recorder.delivered() == 1).await;
    put(&bed, 1, 2);
    bed.until("checkpointed", || bed.checkpoint(&shard) == Some(first.into())).await;
    worker.shutdown().await;
    assert_eq!(bed.checkpoint(&shard), Some(first.into()), "the failed record is not passed");
}

#[tokio::test(start_paused = true)]
async fn a_running_call_is_cancelled_at_the_deadline() {
    let bed = TestBed::new(1);
    put(&bed, 0, 1);
    let is_cut_off = Arc::new(AtomicBool::new(false));
    let cut_off = Arc::clone(&is_cut_off);
    let store = FaultyLeaseStore::new(bed.store().clone(), bed.clock(), move |_| {
        if cut_off.load(Ordering::Relaxed) { StoreFault::LoseRequest } else { StoreFault::None }
    });
    let recorder = Recorder::with_trouble(|batch| (!batch.is_empty()).then_some(Trouble::Hang));
    let worker = bed.worker().with_lease_store(store).build(recorder.clone()).expect("valid");
    let worker = worker.start().await.expect("starts");
    bed.until("it hangs", || recorder.count(&Step::Initialized) == 1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(recorder.count(&Step::Lost), 0, "renewed while the call runs");
    is_cut_off.store(true, Ordering::Relaxed);
    let began = bed.clock().now();
    bed.until("cancelled", || recorder.count(&Step::Lost) == 1).await;
    let took = bed.clock().now().since(began);
    assert!(took.0 <= 10_000, "cancelled after {took}, later than others may start");
    worker.abort();
}
