//! Several workers: balance, hand-over, take-over.

use std::collections::BTreeSet;
use std::time::Duration;

use kcl::testkit::TestBed;
use kcl::{DrainReason, FaultyLeaseStore, StoreFault, WorkerHandle};

use crate::recorder::{Recorder, Step};

async fn start(bed: &TestBed, recorder: &Recorder) -> WorkerHandle {
    bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts")
}

fn shards_of(worker: &WorkerHandle) -> usize {
    worker.health().shards.len()
}

fn put(bed: &TestBed, from: usize, to: usize) {
    for number in from..to {
        bed.stream().put(&format!("key-{}", number % 31), number.to_string());
    }
}

fn delivered(recorders: &[&Recorder]) -> Vec<usize> {
    let mut numbers: Vec<usize> = recorders
        .iter()
        .flat_map(|recorder| recorder.payloads().into_values().flatten())
        .map(|text| text.parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(start_paused = true)]
async fn a_second_worker_gets_its_share_by_hand_off_and_nothing_comes_twice() {
    let bed = TestBed::new(4);
    let (first, second) = (Recorder::default(), Recorder::default());
    let a = start(&bed, &first).await;
    put(&bed, 0, 100);
    bed.until("all by the first", || first.delivered() == 100).await;
    let b = start(&bed, &second).await;
    let mut next = 100;
    bed.until("both have two shards", || {
        put(&bed, next, next + 1);
        next += 1;
        shards_of(&a) == 2 && shards_of(&b) == 2
    })
    .await;
    put(&bed, next, next + 100);
    bed.until("everything is delivered", || delivered(&[&first, &second]).len() >= next + 100).await;
    assert_eq!(delivered(&[&first, &second]), (0..next + 100).collect::<Vec<_>>(), "each once");
    assert_eq!(first.count(&Step::Drained(DrainReason::HandOff)), 2);
    a.shutdown().await;
    bed.until("the second has all", || shards_of(&b) == 4).await;
    b.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_shards_are_taken_over() {
    let bed = TestBed::new(4);
    let (first, second) = (Recorder::default(), Recorder::default());
    let a = start(&bed, &first).await;
    let b = start(&bed, &second).await;
    bed.until("balanced", || shards_of(&a) == 2 && shards_of(&b) == 2).await;
    put(&bed, 0, 100);
    bed.until("delivered", || delivered(&[&first, &second]).len() == 100).await;
    a.abort();
    let killed = bed.clock().now();
    put(&bed, 100, 200);
    bed.until("the other has all shards", || shards_of(&b) == 4).await;
    let took = bed.clock().now().since(killed);
    assert!(took.0 < 20_000, "the take-over took {took}");
    bed.until("all is delivered", || {
        delivered(&[&first, &second]).into_iter().collect::<BTreeSet<_>>().len() == 200
    })
    .await;
    second.assert_ordered_within_tenures();
    b.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_cut_off_from_the_store_stops_by_itself_before_others_start() {
    let bed = TestBed::new(1);
    let (first, second) = (Recorder::default(), Recorder::default());
    let cut_at = 20_000;
    let clock = bed.clock();
    let store = FaultyLeaseStore::new(bed.store().clone(), bed.clock(), move |_| {
        if clock.now().0 >= cut_at { StoreFault::LoseRequest } else { StoreFault::None }
    });
    let worker = bed.worker().with_lease_store(store).build(first.clone()).expect("valid");
    let a = worker.start().await.expect("starts");
    bed.until("it holds the shard", || first.count(&Step::Initialized) == 1).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let b = start(&bed, &second).await;
    bed.until("the first is fenced", || first.count(&Step::Lost) == 1).await;
    assert_eq!(second.count(&Step::Initialized), 0, "not yet taken over");
    bed.until("the second has it", || second.count(&Step::Initialized) == 1).await;
    a.abort();
    b.shutdown().await;
}
