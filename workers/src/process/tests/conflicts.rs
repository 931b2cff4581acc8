//! Something else lies under a name of a batch: the holder stops its shard and says so, a former holder just stops.

use kcl::{Lease, Resolution, ShardState};

use super::changes::{pending_at, within_second_batch};
use super::gate::{At, Fault, Plan, StepKind};
use super::oracle::{Calm, listed, rows_of};
use super::scenario::{LINES, Scenario};
use super::world::{Actor, World, settle};
use crate::sink::{ObjectMetadata, StoredObject};

/// Makes another object of the batch's own.
type Forge = fn(&StoredObject) -> StoredObject;

/// What a foreign hand puts under a name of a batch.
const FOREIGN: [(&str, Forge); 3] = [
    ("another digest", |object| with_metadata(object, "leasehold-digest", "0123456789abcdef")),
    ("another batch", |object| with_metadata(object, "leasehold-batch", "g1-b1")),
    ("no metadata", |object| StoredObject { metadata: ObjectMetadata::new(), ..object.clone() }),
];

#[tokio::test(start_paused = true)]
async fn another_object_under_any_name_of_a_batch_is_a_conflict() {
    let calm = Calm::of(&Scenario::SESSIONS).await;
    for key in keys_of_batch(&calm, "-b1") {
        for (foreign, object) in FOREIGN {
            for is_replay in [false, true] {
                if is_replay && foreign == FOREIGN[0].0 && key.starts_with("_manifest/") {
                    // It says that it is of the batch, and a batch with its manifest is only committed.
                    continue;
                }
                let cell = format!("{foreign} under {key}, replay: {is_replay}");
                let (world, worker) = in_conflict(&calm, &key, object, is_replay).await;
                let reason = world.halted(&worker).await;
                assert!(reason.starts_with("conflict: "), "{cell}: {reason}");
                for part in ["shardId-000000000000", &key, "-b1:", "leases resolve", "--accept-existing"] {
                    assert!(reason.contains(part), "{cell}: {part} is not in {reason}");
                }
                let lease = world.leases().remove(0);
                assert_eq!(lease.own.halt, Some(reason), "{cell}: the row says why");
                assert_eq!((lease.own.batch.0, lease.pending.is_some()), (1, true), "{cell}: not committed");
                worker.kill().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_ends_by_any_decision() {
    let calm = Calm::of(&Scenario::SESSIONS).await;
    for key in keys_of_batch(&calm, "-b1") {
        for decision in [Decision::Accept, Decision::Rewrite, Decision::Gap, Decision::RetryAfterRemoval] {
            let cell = format!("{decision:?} after another object under {key}");
            let (world, worker) = in_conflict(&calm, &key, FOREIGN[2].1, true).await;
            world.halted(&worker).await;
            match decision {
                Decision::Accept => world.resolve(Some(Resolution::AcceptExisting)),
                Decision::Rewrite => world.rewrite(),
                Decision::Gap => world.resolve(Some(Resolution::RecordGap)),
                Decision::RetryAfterRemoval => {
                    world.objects.replace(&key, None);
                    world.resolve(None);
                }
            }
            world.finish(&worker).await;
            let (objects, lease) = (world.objects.objects(), world.leases().remove(0));
            assert_eq!((&lease.own.halt, lease.own.resolution), (&None, None), "{cell}: it is over");
            match decision {
                Decision::Accept => assert_eq!(rows_of(&cell, &objects), calm.rows, "{cell}"),
                // The foreign manifest lists the dropped batch; without it the rows are those of the committed ones.
                Decision::Rewrite => {
                    let mut listed = listed(&objects);
                    let dropped = format!("g{}-b1", calm.generation().0);
                    listed.retain(|key, _| !key.contains(&dropped));
                    assert_eq!(rows_of(&cell, &listed), calm.rows, "{cell}");
                }
                Decision::Gap => {
                    let lines = rows_of(&cell, &listed(&objects)).lines.len();
                    // A manifest that lies there is not replaced: it says what the batch holds.
                    let is_whole = key.starts_with("_manifest/");
                    assert_eq!(lines == calm.rows.lines.len(), is_whole, "{cell}: {lines} lines");
                }
                Decision::RetryAfterRemoval => {
                    let announced = world.announced();
                    assert!(calm.check(&cell, &Scenario::SESSIONS, &world, &announced), "{cell}: the same");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_stops_its_shard_and_no_other() {
    let calm = Calm::of(&Scenario::TWO_SHARDS).await;
    let key = &keys_of_batch(&calm, "-b0")[0];
    let world = World::new(&Scenario::TWO_SHARDS);
    world.objects.replace(key, Some(FOREIGN[0].1(&calm.objects[key])));
    let worker = world.start(None).await;
    world.halted(&worker).await;
    for round in 1..=2 {
        world.feeder.put_lines(LINES * round + 1, LINES * (round + 1));
        let goes_on = || {
            let (leases, last) = (world.leases(), world.feeder.last());
            let consumed = |lease: &&Lease| last.get(&lease.key.shard()).map(|last| (*last).into());
            leases.iter().filter(|lease| consumed(lease) == Some(lease.checkpoint)).count() == 1
        };
        world.bed.until("the other shard goes on", goes_on).await;
    }
    let health = worker.worker.health();
    assert_eq!(health.shards.len(), 2, "both leases are kept");
    let halted = |state: &ShardState| matches!(state, ShardState::Halted(_));
    assert_eq!(health.shards.iter().filter(|shard| halted(&shard.state)).count(), 1);
    let stands = world.leases().into_iter().find(|lease| lease.own.halt.is_some()).expect("one stands still");
    assert!(key.contains(stands.key.as_str()), "{key} is of shard {}", stands.key);
    assert_eq!(stands.own.batch.0, 0, "nothing of it is committed");
    worker.worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn another_object_met_by_a_zombie_is_no_conflict() {
    let scenario = Scenario::SESSIONS;
    let calm = Calm::of(&scenario).await;
    for key in keys_of_batch(&calm, "-b1") {
        let at = calm.steps.iter().position(|step| step.name == format!("put {key}")).expect("a call");
        let world = World::new(&scenario);
        let first = world.start(Some(Plan { at: At::Number(at), fault: Fault::HangBefore })).await;
        first.gate.cut().await;
        first.clock.stop();
        let second = world.start(None).await;
        world.done().await;
        let (_, foreign) = FOREIGN[0];
        world.objects.replace(&key, Some(foreign(&calm.objects[&key])));
        first.gate.land();
        settle().await;
        assert!(world.puts_taken() > 0, "{key}: the zombie met it");
        assert_eq!(first.halted(), None, "{key}: the zombie does not know yet whose the shard is");
        first.gate.release();
        settle().await;
        assert_eq!(first.halted(), None, "{key}: the zombie does not hold the shard");
        assert_eq!(first.worker.health().shards.len(), 0, "{key}: and knows");
        assert_eq!(world.leases()[0].own.halt, None, "{key}: the row is not its to write");
        first.kill().await;
        second.worker.shutdown().await;
    }
}

/// What an operator decides.
#[derive(Clone, Copy, Debug)]
enum Decision {
    Accept,
    Rewrite,
    Gap,
    RetryAfterRemoval,
}

/// A worker about to meet another object under `key`, in its own batch or in one that it replays.
async fn in_conflict(calm: &Calm, key: &str, foreign: Forge, is_replay: bool) -> (World, Actor) {
    let object = foreign(&calm.objects[key]);
    if is_replay {
        let world = pending_at(&Scenario::SESSIONS, within_second_batch(calm)[0]).await;
        world.objects.replace(key, Some(object));
        let second = world.start(None).await;
        (world, second)
    } else {
        let world = World::new(&Scenario::SESSIONS);
        world.objects.replace(key, Some(object));
        let first = world.start(None).await;
        (world, first)
    }
}

/// The keys of the objects that the batch whose name ends like this writes.
fn keys_of_batch(calm: &Calm, ordinal: &str) -> Vec<String> {
    let writes = calm.steps.iter().filter(|step| step.kind == StepKind::ObjectWrite);
    let keys = writes.filter_map(|step| step.name.strip_prefix("put "));
    let is_of_batch = |key: &&str| {
        [format!("{ordinal}-"), format!("{ordinal}.")].iter().any(|part| key.contains(part))
            || key.ends_with(ordinal)
    };
    let keys: Vec<String> = keys.filter(is_of_batch).map(str::to_owned).collect();
    assert!(keys.len() >= 3, "objects, snapshot and manifest: {keys:?}");
    keys
}

fn with_metadata(object: &StoredObject, name: &str, value: &str) -> StoredObject {
    let mut object = object.clone();
    object.metadata.insert(name.to_owned(), value.to_owned());
    object
}
