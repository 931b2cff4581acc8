//! Telemetry of workers: what they tell, at which pace, and that nothing ever waits for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl::testkit::TestBed;
use kcl::{
    MemoryTelemetryStore, StreamDigest, TelemetryError, TelemetryItem, TelemetryRow, TelemetryStore,
    WorkerHandle,
};
use parking_lot::Mutex;

use crate::recorder::{Recorder, Trouble};

async fn start(bed: &TestBed, recorder: &Recorder, store: impl TelemetryStore + 'static) -> WorkerHandle {
    let worker = bed.worker().with_telemetry_store(store).build(recorder.clone()).expect("valid");
    worker.start().await.expect("starts")
}

fn rows(store: &MemoryTelemetryStore) -> Vec<TelemetryRow> {
    store.items().iter().map(|item| TelemetryRow::decode(&item.row).expect("sound")).collect()
}

/// Puts a record of 100 bytes into the stream every 100 ms.
async fn put_for(bed: &TestBed, duration: Duration) {
    for number in 0..duration.as_millis() / 100 {
        let key = format!("{:04}", number % 50);
        bed.stream().put(&key, vec![0; 96]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rows_tell_what_arrives_and_how_far_behind_the_reader_is() {
    let bed = TestBed::new(2);
    let (recorder, store) = (Recorder::default(), MemoryTelemetryStore::new());
    let worker = start(&bed, &recorder, store.clone()).await;
    put_for(&bed, Duration::from_secs(200)).await;
    let rows = rows(&store);
    assert_eq!(rows.len(), 2);
    let sum = |figure: fn(&TelemetryRow) -> f64| rows.iter().map(figure).sum::<f64>();
    let (bytes, records) = (sum(|row| row.bytes_per_second), sum(|row| row.records_per_second));
    assert!((bytes - 1_000.0).abs() < 30.0, "{bytes}");
    assert!((records - 10.0).abs() < 0.3, "{records}");
    for row in &rows {
        assert_eq!(
            row.stream,
            StreamDigest::of(&kcl::StreamControl::describe(bed.stream()).await.expect("there"))
        );
        assert!(row.behind.is_some_and(|behind| behind <= Duration::from_secs(1)), "{:?}", row.behind);
        assert!(bed.clock().epoch_millis() - row.written_epoch_millis <= 10_000);
    }
    let minutes: Vec<u32> =
        rows[0].minutes.iter().zip(&rows[1].minutes).map(|(a, b)| a.records + b.records).collect();
    assert_eq!(minutes, [600, 600, 600]);
    assert!(store.items().iter().all(|item| item.expires_epoch_seconds > bed.clock().epoch_millis() / 1_000));
    assert_eq!(worker.health().telemetry.rows_failed, 0);
    worker.shutdown().await;
    let written = worker.health().telemetry.rows_written;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(worker.health().telemetry.rows_written, written, "the writer ends with the worker");
    assert!((36..=40).contains(&written), "{written}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_is_counted_and_stops_nothing() {
    let bed = TestBed::new(1);
    let (recorder, store) = (Recorder::default(), MemoryTelemetryStore::new());
    store.set_away(true);
    let worker = start(&bed, &recorder, store.clone()).await;
    put_for(&bed, Duration::from_secs(30)).await;
    bed.until("all are delivered", || recorder.delivered() == 300).await;
    let health = worker.health().telemetry;
    assert_eq!((health.rows_written, store.items().len()), (0, 0));
    assert!(health.last_error.is_some_and(|error| error.contains("telemetry table memory")));
    store.set_away(false);
    bed.until("the table is opened and a row written", || store.items().len() == 1).await;
    store.set_away(true);
    bed.until("a row fails", || worker.health().telemetry.rows_failed > 0).await;
    put_for(&bed, Duration::from_secs(30)).await;
    bed.until("all are delivered", || recorder.delivered() == 600).await;
    worker.shutdown().await;
}

/// Calls that never come back, and how many of them.
#[derive(Clone, Debug, Default)]
struct Hanging(Arc<Mutex<u64>>);

#[async_trait]
impl TelemetryStore for Hanging {
    async fn open(&self) -> Result<(), TelemetryError> {
        Ok(())
    }

    async fn put(&self, _: Vec<TelemetryItem>) -> Result<(), TelemetryError> {
        *self.0.lock() += 1;
        std::future::pending().await
    }

    async fn list(&self) -> Result<Vec<TelemetryItem>, TelemetryError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn writes_that_hang_are_given_up_and_delay_neither_records_nor_the_shutdown() {
    let bed = TestBed::new(1);
    let (recorder, store) = (Recorder::default(), Hanging::default());
    let worker = start(&bed, &recorder, store.clone()).await;
    put_for(&bed, Duration::from_secs(60)).await;
    bed.until("all are delivered", || recorder.delivered() == 600).await;
    let health = worker.health().telemetry;
    assert!(*store.0.lock() >= 3, "each round tries anew");
    assert!((2..=3).contains(&health.rows_failed), "{health:?}");
    assert!(
        health
            .last_error
            .is_some_and(|error| error.contains("0 of 1 telemetry rows were written within 10s"))
    );
    let began = bed.clock().now();
    worker.shutdown().await;
    assert!(Duration::from(bed.clock().now().since(began)) < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn records_that_are_delivered_again_are_told_once() {
    let bed = TestBed::new(1);
    let recorder = Recorder::with_trouble({
        let panics = Mutex::new(3);
        move |batch| {
            let mut left = panics.lock();
            (!batch.is_empty() && *left > 0).then(|| {
                *left -= 1;
                Trouble::Panic
            })
        }
    });
    let store = MemoryTelemetryStore::new();
    let worker = start(&bed, &recorder, store.clone()).await;
    put_for(&bed, Duration::from_secs(130)).await;
    bed.until("two minutes are told", || rows(&store).first().is_some_and(|row| row.minutes.len() == 2))
        .await;
    let minutes: Vec<_> = rows(&store)[0].minutes.iter().map(|minute| minute.records).collect();
    assert_eq!(minutes, [600, 600]);
    worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn children_are_told_of_and_the_parent_no_longer() {
    let bed = TestBed::new(1);
    let (recorder, store) = (Recorder::default(), MemoryTelemetryStore::new());
    let worker = start(&bed, &recorder, store.clone()).await;
    put_for(&bed, Duration::from_secs(20)).await;
    let parent = store.items()[0].key.clone();
    bed.stream().split(&parent.shard());
    bed.until("both children are told of", || store.items().len() == 3).await;
    let parents_row = || store.items().into_iter().find(|item| item.key == parent).expect("it stays");
    let last = parents_row();
    put_for(&bed, Duration::from_secs(60)).await;
    assert_eq!(parents_row(), last);
    let items = store.items();
    let children = items.iter().filter(|item| item.key != parent);
    let children: f64 =
        children.map(|item| TelemetryRow::decode(&item.row).expect("sound").records_per_second).sum();
    assert!(children > 9.0, "{children}");
    worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_is_told() {
    let bed = TestBed::new(1);
    let recorder = Recorder::default();
    let worker = bed.worker().build(recorder.clone()).expect("valid").start().await.expect("starts");
    put_for(&bed, Duration::from_secs(30)).await;
    assert_eq!(worker.health().telemetry, kcl::TelemetryHealth::default());
    worker.shutdown().await;
}
