//! What must hold of a bucket and a lease table, whatever happened to the workers.
//!
//! ```text
//! manifests of a shard   one per batch, without gap, up to the row's checkpoint and state pointer
//! each manifest          lists objects that lie there, with its batch id and the digest of their rows
//! the bucket             holds these objects, their snapshots, manifests, configurations, and nothing else
//! the rows               are those of the undisturbed run, each once
//! announced batches      have the names and the bytes of the undisturbed run
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use kcl::{Generation, Lease, Position};
use sha2::{Digest, Sha256};

use super::gate::Step;
use super::scenario::Scenario;
use super::world::World;
use crate::sink::{BatchId, Manifest, StoredObject, config_key, hex};

/// What a run without faults does.
pub(super) struct Calm {
    pub(super) steps: Vec<Step>,
    pub(super) objects: BTreeMap<String, StoredObject>,
    generations: Vec<Generation>,
    pub(super) rows: Rows,
}

/// Every row of events and failed events by its line, and every session row by its id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) lines: BTreeMap<u64, String>,
    pub(super) sessions: BTreeMap<String, String>,
}

impl Calm {
    /// Runs `scenario` undisturbed.
    pub(super) async fn of(scenario: &Scenario) -> Self {
        let world = World::new(scenario);
        let actor = world.start(None).await;
        world.finish(&actor).await;
        let objects = world.objects.objects();
        check_consistency(scenario.name, &objects, &world.leases());
        let rows = rows_of(scenario.name, &objects);
        Self { steps: actor.gate.steps(), generations: generations_of(&world), rows, objects }
    }

    /// Generation of the first shard's row.
    pub(super) fn generation(&self) -> Generation {
        self.generations[0]
    }

    /// Checks what a disturbed run of the same scenario left; `announced` are the batches whose intent was durable when
    /// it was disturbed. True if the whole bucket had to be the same, and was.
    pub(super) fn check(
        &self,
        cell: &str,
        scenario: &Scenario,
        world: &World,
        announced: &[(String, BatchId)],
    ) -> bool {
        let objects = world.objects.objects();
        check_consistency(cell, &objects, &world.leases());
        assert_eq!(rows_of(cell, &objects), self.rows, "{cell}: the rows");
        self.check_announced(cell, &objects, announced);
        // A row that is created later has another generation, and with it every name.
        let is_same = scenario.is_determined && generations_of(world) == self.generations;
        if is_same {
            let names: Vec<_> = objects.keys().collect();
            assert_eq!(names, self.objects.keys().collect::<Vec<_>>(), "{cell}: the names");
            assert_eq!(objects, self.objects, "{cell}: the bucket");
        }
        is_same
    }

    /// Checks that `announced` batches have the names and the bytes of the undisturbed run.
    pub(super) fn check_announced(
        &self,
        cell: &str,
        objects: &BTreeMap<String, StoredObject>,
        announced: &[(String, BatchId)],
    ) {
        for (shard, batch) in announced {
            let found = of_batch(objects, shard, *batch);
            let expected = of_batch(&self.objects, shard, *batch);
            assert!(!expected.is_empty(), "{cell}: {batch} was announced, and the undisturbed run has it");
            assert_eq!(found, expected, "{cell}: batch {batch} of {shard}");
        }
    }
}

fn generations_of(world: &World) -> Vec<Generation> {
    world.leases().iter().map(|lease| lease.own.generation).collect()
}

/// Everything that one batch wrote.
fn of_batch<'a>(
    objects: &'a BTreeMap<String, StoredObject>,
    shard: &str,
    batch: BatchId,
) -> BTreeMap<&'a String, &'a StoredObject> {
    let id = batch.to_string();
    let is_of_batch = |key: &str, object: &StoredObject| {
        key.contains(shard) && object.metadata.get("leasehold-batch") == Some(&id)
    };
    objects.iter().filter(|(key, object)| is_of_batch(key, object)).collect()
}

/// Checks manifests, objects and lease rows against each other.
pub(super) fn check_consistency(cell: &str, objects: &BTreeMap<String, StoredObject>, leases: &[Lease]) {
    let mut accounted = BTreeSet::new();
    for lease in leases {
        let manifests = manifests_of(objects, lease);
        let mut position = None;
        for (ordinal, (key, manifest)) in (0_u64..).zip(&manifests) {
            assert_eq!(manifest.batch.ordinal.0, ordinal, "{cell}: {key} follows without gap");
            assert!(
                position.is_none_or(|last| manifest.after == last),
                "{cell}: {key} begins where the last ended"
            );
            position = Some(manifest.last);
            check_manifest(cell, key, manifest, objects, &mut accounted);
        }
        assert_eq!(manifests.len() as u64, lease.own.batch.0, "{cell}: a manifest per committed batch");
        assert_eq!(
            manifests.last().map(|(_, last)| &last.snapshot),
            lease.own.state.as_ref(),
            "{cell}: state"
        );
        let is_at_end = lease.checkpoint == Position::ShardEnd;
        let reached = position.unwrap_or(Position::TrimHorizon);
        assert!(is_at_end || reached == lease.checkpoint, "{cell}: {reached} is not {}", lease.checkpoint);
    }
    let unaccounted: Vec<_> = objects.keys().filter(|key| !accounted.contains(*key)).collect();
    assert!(unaccounted.is_empty(), "{cell}: no manifest lists {unaccounted:?}");
}

fn check_manifest(
    cell: &str,
    key: &str,
    manifest: &Manifest,
    objects: &BTreeMap<String, StoredObject>,
    accounted: &mut BTreeSet<String>,
) {
    let stored = |key: &str| objects.get(key).unwrap_or_else(|| panic!("{cell}: {key} is missing"));
    for object in &manifest.objects {
        let found = stored(&object.key);
        let text = text_of(&object.key, found);
        let rows = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(found.metadata["leasehold-batch"], manifest.batch.to_string(), "{cell}: {}", object.key);
        assert_eq!(found.metadata["leasehold-digest"], object.logical_digest, "{cell}: {}", object.key);
        assert_eq!(hex(&Sha256::digest(&text)), object.logical_digest, "{cell}: {}", object.key);
        assert_eq!(rows, object.rows, "{cell}: {}", object.key);
        assert!(accounted.insert(object.key.clone()), "{cell}: {} is listed twice", object.key);
    }
    stored(&manifest.snapshot);
    accounted.insert(manifest.snapshot.clone());
    let config = config_key(&manifest.config_hash);
    assert_eq!(config_key(&hex(&Sha256::digest(&stored(&config).body))), config, "{cell}: {config}");
    accounted.insert(config);
    accounted.insert(key.to_owned());
}

/// The rows of an object before compression.
pub(super) fn text_of(key: &str, object: &StoredObject) -> Vec<u8> {
    if !key.ends_with(".gz") {
        return object.body.to_vec();
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&object.body[..]).read_to_end(&mut text).expect("gzip");
    text
}

/// The manifests of one shard's generation, in order of their batches.
fn manifests_of(objects: &BTreeMap<String, StoredObject>, lease: &Lease) -> Vec<(String, Manifest)> {
    let prefix = format!("_manifest/test-{}/g{}-", lease.key.shard(), lease.own.generation.0);
    let mut manifests: Vec<(String, Manifest)> = objects
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix))
        .map(|(key, object)| (key.clone(), serde_json::from_slice(&object.body).expect("a manifest")))
        .collect();
    manifests.sort_by_key(|(_, manifest)| manifest.batch);
    manifests
}

/// The objects that manifests list.
pub(super) fn listed(objects: &BTreeMap<String, StoredObject>) -> BTreeMap<String, StoredObject> {
    let manifests = objects.iter().filter(|(key, _)| key.starts_with("_manifest/"));
    let parsed = manifests.filter_map(|(_, object)| serde_json::from_slice::<Manifest>(&object.body).ok());
    let keys: BTreeSet<String> =
        parsed.flat_map(|manifest| manifest.objects).map(|object| object.key).collect();
    objects
        .iter()
        .filter(|(key, _)| keys.contains(*key))
        .map(|(key, object)| (key.clone(), object.clone()))
        .collect()
}

/// Every row by what identifies it, none of them twice.
pub(super) fn rows_of(cell: &str, objects: &BTreeMap<String, StoredObject>) -> Rows {
    let mut rows = Rows::default();
    let holds_rows =
        |key: &str| ["events/", "failed/", "sessions/"].iter().any(|folder| key.starts_with(folder));
    for (key, object) in objects.iter().filter(|(key, _)| holds_rows(key)) {
        let text = String::from_utf8(text_of(key, object)).expect("JSON Lines");
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let before = if key.starts_with("sessions/") {
                let id = row["session_id"].as_str().expect("an id").to_owned();
                rows.sessions.insert(id, line.to_owned())
            } else {
                rows.lines.insert(row["line"].as_u64().expect("a line number"), line.to_owned())
            };
            assert_eq!(before, None, "{cell}: written twice");
        }
    }
    rows
}
