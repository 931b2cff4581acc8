//! What a pending batch was made from is gone: its records aged out, its state is missing. The shard stands still unless
//! the manifest says that everything lies there; and an operator's decision ends it.

use std::time::Duration;

use kcl::{Position, Resolution};
use kcl_core::{LeaseChange, LeaseWrite};

use super::changes::{pending_at, within_second_batch};
use super::gate::{At, Fault, Plan};
use super::oracle::{Calm, check_consistency, listed, rows_of};
use super::scenario::{LINES, Scenario};
use super::world::World;
use crate::sink::{Manifest, StoredObject};

#[tokio::test(start_paused = true)]
async fn a_range_that_aged_out_is_committed_by_its_manifest_or_recorded_as_a_gap() {
    for scenario in [Scenario::PLAIN, Scenario::SESSIONS] {
        let calm = Calm::of(&scenario).await;
        for at in within_second_batch(&calm) {
            let cell = format!("{}, aged out, killed before call {at} ({})", scenario.name, calm.steps[at]);
            let world = pending_at(&scenario, at).await;
            let announced = world.announced();
            tokio::time::sleep(BEYOND_RETENTION).await;
            world.feeder.put_lines(LINES + 1, LINES + 1);
            world.feeder.put_ends(1);
            let second = world.start(None).await;
            let has_manifest = calm.steps[at].name == "commit";
            if !has_manifest {
                let reason = world.halted(&second).await;
                assert!(reason.starts_with("unreplayable") && reason.contains("-b1"), "{cell}: {reason}");
                assert!(reason.contains("--record-gap"), "{cell}: {reason}");
                world.resolve(Some(Resolution::RecordGap));
            }
            world.finish(&second).await;
            let objects = world.objects.objects();
            if has_manifest {
                calm.check_announced(&cell, &objects, &announced);
                check_consistency(&cell, &objects, &world.leases());
            } else {
                let gap = gaps(&world).pop().unwrap_or_else(|| panic!("{cell}: a manifest tells of the gap"));
                assert_eq!((gap.objects.len(), gap.batch.ordinal.0), (0, 1), "{cell}: {gap:?}");
            }
            let lines = rows_of(&cell, &listed(&objects)).lines;
            assert!(lines.contains_key(&(LINES + 1)), "{cell}: consumption goes on");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_that_aged_out_in_part_is_unreplayable() {
    let world = World::new(&Scenario::BY_HAND);
    world.feeder.put_lines(1, 6);
    tokio::time::sleep(BEYOND_RETENTION / 2).await;
    world.feeder.put_lines(7, LINES);
    world.feeder.put_ends(1);
    let at = within_second_batch(&Calm::of(&Scenario::PLAIN).await)[0];
    let first = world.start(Some(Plan { at: At::Number(at), fault: Fault::HangBefore })).await;
    first.gate.cut().await;
    first.kill().await;
    tokio::time::sleep(BEYOND_RETENTION / 2).await;
    let second = world.start(None).await;
    let reason = world.halted(&second).await;
    assert!(reason.contains("holds 2 records") && reason.contains("says 4 records"), "{reason}");
    second.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_damaged_snapshot_stops_the_shard_until_it_is_restored() {
    let scenario = Scenario::SESSIONS;
    let calm = Calm::of(&scenario).await;
    for at in within_second_batch(&calm) {
        for (damage, meddle) in DAMAGES {
            let cell = format!("snapshot {damage}, killed before call {at} ({})", calm.steps[at]);
            let world = pending_at(&scenario, at).await;
            let announced = world.announced();
            let pointer = world.leases()[0].own.state.clone().expect("the first batch is committed");
            let snapshot = world.objects.objects()[&pointer].clone();
            world.meddle(&pointer, meddle);
            let second = world.start(None).await;
            // A batch with its manifest is committed without the state before it, and has its own after it.
            if calm.steps[at].name != "commit" {
                let reason = world.halted(&second).await;
                assert!(reason.starts_with("state missing") && reason.contains(&pointer), "{cell}: {reason}");
                assert!(reason.contains("--retry"), "{cell}: {reason}");
                world.objects.replace(&pointer, Some(snapshot.clone()));
                world.resolve(None);
            }
            world.finish(&second).await;
            world.objects.replace(&pointer, Some(snapshot));
            assert!(calm.check(&cell, &scenario, &world, &announced), "{cell}: the whole bucket is the same");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_at_a_record_without_a_snapshot_never_counts_as_empty() {
    let scenario = Scenario::SESSIONS;
    let world = World::new(&scenario);
    let first = world.start(None).await;
    world.finish(&first).await;
    let lease = world.leases().remove(0);
    assert!(matches!(lease.checkpoint, Position::At(_)));
    let changes = vec![LeaseChange::State(None)];
    world.write(&LeaseWrite { key: lease.key, conditions: Vec::new(), changes });
    let second = world.start(None).await;
    let reason = world.halted(&second).await;
    assert!(reason.starts_with("state missing") && reason.contains("names no state snapshot"), "{reason}");
    second.kill().await;
}

fn gaps(world: &World) -> Vec<Manifest> {
    let objects = world.objects.objects().into_iter();
    let manifests = objects.filter(|(key, _)| key.starts_with("_manifest/"));
    manifests
        .map(|(_, object)| serde_json::from_slice::<Manifest>(&object.body).expect("a manifest"))
        .filter(|manifest| manifest.gap.is_some())
        .collect()
}

/// What may happen to an object in a bucket.
type Damage = fn(StoredObject) -> Option<StoredObject>;

const DAMAGES: [(&str, Damage); 2] =
    [("missing", |_| None), ("damaged", |object| Some(StoredObject { body: "x".into(), ..object }))];

/// A stream keeps its records for a day unless told otherwise.
const BEYOND_RETENTION: Duration = Duration::from_secs(26 * 3600);
