//! A batch is pending, and whoever finishes it has other settings: the batch is still the one that was announced.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use flate2::write::GzEncoder;
use kcl::{Lease, PendingCheckpoint};
use kcl_core::{LeaseChange, LeaseWrite};
use sha2::{Digest, Sha256};

use super::gate::{At, Fault, Plan};
use super::oracle::{Calm, check_consistency, rows_of, text_of};
use super::scenario::{LINES, Scenario};
use super::world::World;
use crate::settings::{Compression, Derivation, PipelineSettings};
use crate::sink::{Intent, Manifest, StoredObject, hex};

/// A change of the settings.
type Change = fn(&mut PipelineSettings);

const CHANGES: [(&str, Change); 6] = [
    ("layout", |settings| settings.sink.layout = "events/other".to_owned()),
    ("compression", |settings| settings.sink.compression = Compression::Gzip),
    ("batch limits", |settings| {
        settings.sink.batch_rows_max = 100;
        settings.sink.batch_age_max = Duration::from_secs(1);
    }),
    ("idle advances", |settings| {
        settings.session.as_mut().expect("sessions").idle_after = Duration::from_secs(1);
    }),
    ("gap", |settings| settings.session.as_mut().expect("sessions").gap = Duration::from_secs(60)),
    ("steps", |settings| settings.derive.steps.retain(|step| *step != Derivation::StatusClass)),
];

#[tokio::test(start_paused = true)]
async fn an_announced_batch_is_finished_with_the_settings_it_was_made_with() {
    let scenario = Scenario::SESSIONS;
    let calm = Calm::of(&scenario).await;
    let within = within_second_batch(&calm);
    assert!(within.len() >= 5, "objects, snapshot, manifest and commit: {within:?}");
    for (name, change) in CHANGES {
        for &at in &within {
            let cell = format!("{name} changed, killed before call {at} ({})", calm.steps[at]);
            let world = pending_at(&scenario, at).await;
            let announced = world.announced();
            assert_eq!(announced.len(), 2, "{cell}: the second batch is pending");
            let second = world.start_changed(None, change).await;
            world.finish(&second).await;
            let objects = world.objects.objects();
            check_consistency(&cell, &objects, &world.leases());
            calm.check_announced(&cell, &objects, &announced);
            let lines = rows_of(&cell, &objects).lines;
            assert!(lines.into_keys().eq(1..=LINES), "{cell}: every line once");
            let configs = objects.keys().filter(|key| key.starts_with("_config/")).count();
            assert_eq!(configs, 2, "{cell}: later batches cite the changed settings");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_configuration_a_batch_of_other_settings_is_unreplayable() {
    let scenario = Scenario::SESSIONS;
    let calm = Calm::of(&scenario).await;
    let at = within_second_batch(&calm)[0];
    for (damage, meddle) in [
        ("missing", (|_| None) as fn(StoredObject) -> Option<StoredObject>),
        ("damaged", |object| Some(StoredObject { body: "{}".into(), ..object })),
    ] {
        let world = pending_at(&scenario, at).await;
        world.meddle("_config/", meddle);
        let (_, change) = CHANGES[0];
        let second = world.start_changed(None, change).await;
        let reason = world.halted(&second).await;
        assert!(reason.starts_with("unreplayable") && reason.contains("_config/"), "{damage}: {reason}");
        assert!(reason.contains("-b1"), "{damage}: names the batch: {reason}");
        assert!(reason.contains("leases resolve"), "{damage}: names the remedy: {reason}");
        second.kill().await;
    }
    let world = pending_at(&scenario, at).await;
    world.meddle("_config/", |_| None);
    let second = world.start(None).await;
    world.finish(&second).await;
    let lines = rows_of("configuration missing, settings unchanged", &world.objects.objects()).lines;
    assert!(lines.into_keys().eq(1..=LINES), "whoever has the same settings does not need it");
}

/// Another release compresses otherwise; what it has put stands, for batch and logical digests are the same.
#[tokio::test(start_paused = true)]
async fn a_batch_begun_by_another_writer_version_is_finished_around_its_objects() {
    let scenario = Scenario::SESSIONS;
    let calm = Calm::of(&scenario).await;
    let gzip: Change = |settings| settings.sink.compression = Compression::Gzip;
    let within = within_second_batch(&calm);
    for at in within {
        let cell = format!("killed before call {at} ({})", calm.steps[at]);
        let world = World::new(&scenario);
        let plan = Plan { at: At::Number(at), fault: Fault::HangBefore };
        let first = world.start_changed(Some(plan), gzip).await;
        first.gate.cut().await;
        first.kill().await;
        let mut others = BTreeMap::new();
        for (key, object) in world.objects.objects() {
            if object.metadata.get("leasehold-batch").is_some_and(|batch| batch.ends_with("-b1")) {
                others.insert(key.clone(), by_another_writer(&key, &object));
                world.objects.replace(&key, others.get(&key).cloned());
            }
        }
        world.write(&with_writer_version(&world.leases()[0], 0));
        let second = world.start_changed(None, gzip).await;
        world.finish(&second).await;
        assert_eq!(second.halted(), None, "{cell}");
        let objects = world.objects.objects();
        check_consistency(&cell, &objects, &world.leases());
        assert_eq!(rows_of(&cell, &objects), calm.rows, "{cell}");
        for (key, other) in others {
            assert_eq!(objects[&key], other, "{cell}: {key} stands");
        }
    }
}

/// The same content in other bytes; the digest in the metadata must be one that any writer finds.
fn by_another_writer(key: &str, object: &StoredObject) -> StoredObject {
    let mut body = Vec::new();
    let digest = if key.ends_with(".gz") {
        let text = text_of(key, object);
        let mut encoder = GzEncoder::new(&mut body, flate2::Compression::none());
        encoder.write_all(&text).expect("memory does not fail");
        encoder.finish().expect("memory does not fail");
        hex(&Sha256::digest(&text))
    } else if key.starts_with("state/") {
        let (header, rest) = object.body.split_at(SNAPSHOT_HEADER_BYTES);
        let json = zstd::decode_all(&rest[SHA256_BYTES..]).expect("zstd");
        let compressed = zstd::bulk::compress(&json, 19).expect("zstd");
        body.extend_from_slice(header);
        body.extend_from_slice(&Sha256::digest(&compressed));
        body.extend_from_slice(&compressed);
        hex(&Sha256::digest(&json))
    } else {
        let manifest: Manifest = serde_json::from_slice(&object.body).expect("a manifest");
        body = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        manifest.logical_digest()
    };
    assert_ne!(body, object.body, "{key}: other bytes");
    assert_eq!(object.metadata["leasehold-digest"], digest, "{key}");
    StoredObject { body: body.into(), metadata: object.metadata.clone() }
}

/// The pending intent as another writer version would have written it.
fn with_writer_version(lease: &Lease, writer_version: u32) -> LeaseWrite {
    let pending = lease.pending.clone().expect("an intent is pending");
    let intent = Intent { writer_version, ..Intent::decode(&pending).expect("an intent") };
    let pending = PendingCheckpoint { state: intent.encode(), ..pending };
    let changes = vec![LeaseChange::Pending(Some(pending))];
    LeaseWrite { key: lease.key.clone(), conditions: Vec::new(), changes }
}

/// The calls from the second batch's intent on to its commit.
pub(super) fn within_second_batch(calm: &Calm) -> Vec<usize> {
    let numbers_of = |name: &'static str| {
        let steps = calm.steps.iter().enumerate();
        steps.filter(move |(_, step)| step.name == name).map(|(at, _)| at)
    };
    let prepare = numbers_of("prepare").nth(1).expect("two batches");
    let commit = numbers_of("commit").nth(1).expect("two batches");
    (prepare + 1..=commit).collect()
}

/// A world whose first worker died before call `at`.
pub(super) async fn pending_at(scenario: &Scenario, at: usize) -> World {
    let world = World::new(scenario);
    let first = world.start(Some(Plan { at: At::Number(at), fault: Fault::HangBefore })).await;
    first.gate.cut().await;
    first.kill().await;
    world
}

/// Magic and version of a snapshot.
const SNAPSHOT_HEADER_BYTES: usize = 6;
const SHA256_BYTES: usize = 32;
