//! Whole workers on a stream and a store in memory, cut off at every step of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kcl::testkit::TestBed;
use kcl::{ShardState, WorkerHandle};

use super::PipelineFactory;
use crate::event::{END_MARK, stamped};
use crate::pipeline::Pipeline;
use crate::preset::Preset;
use crate::settings::Compression;
use crate::sink::{ManifestSummary, MemoryStore, ObjectStore, StoreFault, StoreOperation, StoredObject};

const LINES: u64 = 60;

fn pipeline(change: impl FnOnce(&mut crate::settings::PipelineSettings)) -> Pipeline {
    let mut settings = Preset::Weblog.settings();
    settings.stream.name = "test".to_owned();
    settings.application.name = "test".to_owned();
    settings.sink.compression = Compression::None;
    settings.sink.batch_rows_max = 8;
    settings.sink.batch_age_max = Duration::from_secs(3);
    change(&mut settings);
    Pipeline::compile(&settings.resolve(|_| Ok(String::new())).expect("valid")).expect("compiles")
}

/// Lines of three visitors, a minute apart, one of them broken.
fn fill(bed: &TestBed) {
    let pipeline = pipeline(|_| {});
    for number in 1..=LINES {
        let (hour, minute) = (10 + number / 60, number % 60);
        let line = if number == 30 {
            "broken".to_owned()
        } else {
            format!(
                r#"1.2.3.{} - - [17/May/2015:{hour}:{minute:02}:00 +0000] "GET /{number} HTTP/1.1" 200 1 "-" "a""#,
                number % 3
            )
        };
        let key = pipeline.partition_key(line.as_bytes());
        bed.stream().put(&key, stamped("file", number, line.as_bytes()));
    }
    bed.stream().put("end", Bytes::from_static(END_MARK));
}

async fn start(bed: &TestBed, store: &MemoryStore, pipeline: Pipeline) -> WorkerHandle {
    let store: Arc<dyn ObjectStore> = Arc::new(store.clone());
    let worker = bed.worker().build(PipelineFactory::new(pipeline, store)).expect("builds");
    worker.start().await.expect("starts")
}

async fn wait_for_end(bed: &TestBed, store: &MemoryStore) {
    let count = || store.objects().values().filter(|object| is_end(object)).count();
    bed.until("the end of input is committed", || count() > 0).await;
    let leases = bed.store().clone();
    bed.until("nothing is pending", || {
        leases
            .table()
            .leases()
            .values()
            .all(|lease| lease.pending.is_none() && !lease.checkpoint.is_initial())
    })
    .await;
}

fn is_end(object: &StoredObject) -> bool {
    serde_json::from_slice::<crate::sink::Manifest>(&object.body)
        .is_ok_and(|manifest| manifest.totals.is_end_of_input)
}

/// Every row of events and failed events by its line, and every session row, from the objects as they lie.
fn rows(store: &MemoryStore) -> (BTreeMap<u64, String>, BTreeMap<String, String>) {
    let (mut lines, mut sessions) = (BTreeMap::new(), BTreeMap::new());
    for (key, object) in store.objects() {
        if key.starts_with("events/") || key.starts_with("failed/") || key.starts_with("sessions/") {
            for line in std::str::from_utf8(&object.body).expect("JSON Lines").lines() {
                let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
                if key.starts_with("sessions/") {
                    let id = row["session_id"].as_str().expect("an id").to_owned();
                    assert_eq!(sessions.insert(id, line.to_owned()), None, "session written twice: {line}");
                } else {
                    let number = row["line"].as_u64().expect("a line number");
                    assert_eq!(lines.insert(number, line.to_owned()), None, "line written twice: {line}");
                }
            }
        }
    }
    (lines, sessions)
}

type Rows = (BTreeMap<u64, String>, BTreeMap<String, String>);

/// Runs to the end, cutting the worker off at the `cut`-th mutation of the store if there is one.
async fn run(cut: Option<(usize, StoreFault)>) -> (Rows, usize) {
    let bed = TestBed::new(1);
    fill(&bed);
    let store = MemoryStore::new();
    let mutations = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&mutations);
    store.set_faults(move |call| {
        if !matches!(call.operation, StoreOperation::Put | StoreOperation::PutInParts) {
            return None;
        }
        let number = counter.fetch_add(1, Ordering::SeqCst);
        cut.filter(|(at, _)| number == *at).map(|(_, fault)| fault)
    });
    let first = start(&bed, &store, pipeline(|_| {})).await;
    if let Some((at, fault)) = cut
        && matches!(fault, StoreFault::HangBefore | StoreFault::HangAfter)
    {
        bed.until("the cut is reached", || mutations.load(Ordering::SeqCst) > at).await;
        first.abort();
        store.clear_faults();
        let second = start(&bed, &store, pipeline(|_| {})).await;
        wait_for_end(&bed, &store).await;
        second.shutdown().await;
    } else {
        wait_for_end(&bed, &store).await;
        first.shutdown().await;
    }
    let mut summary = ManifestSummary::default();
    summary.collect(&store, "test").await.expect("lists");
    assert_eq!(summary.totals.records, LINES);
    assert_eq!(summary.totals.events + summary.totals.failed, LINES);
    assert_eq!(summary.ended_shards.len(), 1);
    (rows(&store), mutations.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn every_line_is_written_once_and_sessions_close() {
    let ((lines, sessions), mutations) = run(None).await;
    assert_eq!(lines.len() as u64, LINES);
    assert_eq!(sessions.len(), 3);
    assert!(mutations > 20, "several batches of several objects: {mutations}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_cut_off_before_or_after_any_object_changes_nothing() {
    let (expected, mutations) = run(None).await;
    for at in 0..mutations {
        for fault in [StoreFault::HangBefore, StoreFault::HangAfter] {
            let (found, _) = run(Some((at, fault))).await;
            assert_eq!(found, expected, "cut at {at} with {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_or_a_failure_of_any_put_changes_nothing() {
    let (expected, mutations) = run(None).await;
    for at in 0..mutations {
        for fault in [StoreFault::LostReply, StoreFault::NotDone] {
            let (found, _) = run(Some((at, fault))).await;
            assert_eq!(found, expected, "{fault:?} at {at}");
        }
    }
}

/// Cuts the first worker off after the intent, then runs a second one after `meddle`; the reason why it stops.
async fn stopped_by(
    meddle: impl FnOnce(&MemoryStore),
    change: impl FnOnce(&mut crate::settings::PipelineSettings),
) -> Option<String> {
    let bed = TestBed::new(1);
    fill(&bed);
    let store = MemoryStore::new();
    let puts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&puts);
    store.set_faults(move |call| {
        let is_event = call.operation == StoreOperation::Put && call.key.starts_with("events/");
        (is_event && counter.fetch_add(1, Ordering::SeqCst) == 2).then_some(StoreFault::HangBefore)
    });
    let first = start(&bed, &store, pipeline(|_| {})).await;
    bed.until("an object of the third batch is on its way", || puts.load(Ordering::SeqCst) > 2).await;
    first.abort();
    store.clear_faults();
    meddle(&store);
    let second = start(&bed, &store, pipeline(change)).await;
    let halted = || {
        second.health().shards.iter().find_map(|shard| match &shard.state {
            ShardState::Halted(reason) => Some(reason.to_string()),
            ShardState::Starting
            | ShardState::Consuming
            | ShardState::Retrying
            | ShardState::Finishing
            | ShardState::Draining(_) => None,
        })
    };
    let is_ended = || store.objects().values().any(is_end);
    bed.until("the shard stops or its input ends", || halted().is_some() || is_ended()).await;
    halted()
}

fn remove(store: &MemoryStore, prefix: &str) {
    for (key, object) in store.objects() {
        if key.starts_with(prefix) {
            store.overwrite(&key, StoredObject { body: Bytes::from_static(b"damaged"), ..object });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pending_batch_is_finished_with_the_configuration_it_was_made_with() {
    let changed = stopped_by(|_| {}, |settings| settings.sink.layout = "events/other".to_owned()).await;
    assert_eq!(changed, None);
    let reason = stopped_by(
        |store| remove(store, "_config/"),
        |settings| settings.sink.layout = "events/other".to_owned(),
    )
    .await
    .expect("stops");
    assert!(reason.starts_with("unreplayable") && reason.contains("_config/"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_stops_the_shard_and_never_counts_as_empty() {
    let reason = stopped_by(|store| remove(store, "state/"), |_| {}).await.expect("stops");
    assert!(reason.starts_with("state missing"), "{reason}");
}
