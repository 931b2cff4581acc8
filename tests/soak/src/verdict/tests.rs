//! One small run that is right, and one change for each way in which it can be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcl::{BatchOrdinal, Generation, Lease, Position, RecordPosition};
use kcl_core::{LeaseKey, PendingCheckpoint, SequenceNumber};
use workers::{BatchId, Manifest, ManifestObject, ObjectKind, Totals};

use super::Evidence;
use crate::event::SoakEvent;
use crate::ledger::{Ledger, Outcome, Place};
use crate::objects::{BucketContents, EventRow, RowObject, Rows, SessionRow};
use crate::stream::StreamContents;

const SHARD: &str = "shardId-0";

struct World {
    ledger: Ledger,
    stream: StreamContents,
    leases: Vec<Lease>,
    batches: BTreeMap<String, Vec<Manifest>>,
    bucket: BucketContents,
}

fn sequence(number: u64) -> SequenceNumber {
    SequenceNumber::from_parts(0, u128::from(number))
}

fn place(number: u64) -> Place {
    Place { shard: SHARD.to_owned(), sequence: sequence(number) }
}

impl World {
    /// Four events of one key with a pause before the last two, in two batches; the third was put twice, the first of
    /// them without an answer.
    fn right() -> Self {
        let mut world = Self {
            ledger: Ledger::default(),
            stream: StreamContents::default(),
            leases: Vec::new(),
            batches: BTreeMap::new(),
            bucket: BucketContents::default(),
        };
        let mut rows = Vec::new();
        for (number, time) in [(0, 1_000), (1, 2_000), (2, 12_000), (3, 13_000)] {
            let event = world.ledger.issue(7, time);
            if number == 2 {
                let unanswered = world.ledger.attempt(event);
                rows.push(world.put(10, unanswered, 1));
            }
            let attempt = world.ledger.attempt(event);
            world.ledger.settle(event, Outcome::Acknowledged(place(11 + number)));
            rows.push(world.put(11 + number, attempt, u64::from(time > 10_000)));
        }
        rows.sort_by_key(|row| row.event.event_timestamp);
        let later = rows.split_off(2);
        world.batch(0, Position::TrimHorizon, 12, Rows::Events(rows), None);
        let start = SessionRow { session_id: "key-007_1".to_owned() };
        world.batch(1, Position::record(sequence(12)), 14, Rows::Events(later), Some(start));
        world.stream.ends.insert(SHARD.to_owned(), sequence(14));
        let key = LeaseKey::new(SHARD).expect("valid");
        let mut lease = Lease::new(key, Position::record(sequence(14)), Generation(5));
        lease.own.batch = BatchOrdinal(2);
        world.leases.push(lease);
        world.bucket.keys.insert("_config/abc.json".to_owned());
        world
    }

    fn put(&mut self, number: u64, event: SoakEvent, session: u64) -> EventRow {
        self.stream.events.insert(place(number), event.clone());
        let position = RecordPosition::first_of(sequence(number)).to_string();
        let session_id = format!("{}_{session}", event.user_id);
        EventRow { shard: SHARD.to_owned(), position, session_id, event }
    }

    fn batch(&mut self, ordinal: u64, after: Position, last: u64, rows: Rows, start: Option<SessionRow>) {
        let batch = BatchId { generation: Generation(5), ordinal: BatchOrdinal(ordinal) };
        let mut objects = Vec::new();
        let parts = [(Some(rows), "events"), (start.map(|start| Rows::Sessions(vec![start])), "sessions")];
        for (rows, folder) in parts {
            let Some(rows) = rows else { continue };
            let key = format!("{folder}/soak-{SHARD}-{batch}-{}.jsonl.gz", objects.len());
            let object = RowObject { rows, digest: key.clone() };
            objects.push(ManifestObject {
                key: key.clone(),
                kind: ObjectKind::Rows,
                rows: object.rows.len() as u64,
                logical_digest: key.clone(),
            });
            self.bucket.keys.insert(key.clone());
            self.bucket.objects.insert(key, object);
        }
        let snapshot = format!("state/soak/{batch}");
        let manifest = format!("_manifest/soak-{SHARD}/{batch}.json");
        self.bucket.keys.extend([snapshot.clone(), manifest]);
        self.batches.entry(SHARD.to_owned()).or_default().push(Manifest {
            batch,
            stream: "soak".to_owned(),
            shard: SHARD.to_owned(),
            after,
            last: Position::record(sequence(last)),
            objects,
            snapshot,
            totals: Totals::default(),
            config_hash: String::new(),
            gap: None,
        });
    }

    fn promises(&self) -> BTreeSet<&'static str> {
        let evidence = Evidence {
            stream_name: "soak",
            session_gap: Duration::from_secs(10),
            ledger: &self.ledger,
            stream: &self.stream,
            leases: &self.leases,
            batches: &self.batches,
            bucket: &self.bucket,
        };
        evidence.violations().into_iter().map(|violation| violation.promise).collect()
    }

    fn rows(&mut self, batch: usize) -> &mut Vec<EventRow> {
        let key = &self.batches[SHARD][batch].objects[0].key;
        match &mut self.bucket.objects.get_mut(key).expect("written").rows {
            Rows::Events(rows) => rows,
            Rows::Sessions(_) | Rows::Failed(_) => panic!("{key} holds events"),
        }
    }
}

/// The promises that `change` breaks.
fn broken(change: impl FnOnce(&mut World)) -> Vec<&'static str> {
    let mut world = World::right();
    assert_eq!(world.promises(), BTreeSet::new(), "the base is right");
    change(&mut world);
    world.promises().into_iter().collect()
}

#[test]
fn what_the_stream_lost_or_took_twice_is_found() {
    let found = broken(|world| {
        let event = world.stream.events.remove(&place(12)).expect("put");
        world.stream.events.insert(place(20), event);
    });
    assert!(
        found.contains(&"an acknowledged event lies on the stream, once, where it was said to"),
        "{found:?}"
    );

    let found = broken(|world| {
        let event = world.ledger.issue(7, 1);
        world.ledger.attempt(event);
    });
    assert_eq!(found, ["every event is acknowledged in the end"]);

    let found = broken(|world| {
        let event = world.ledger.issue(7, 1);
        let refused = world.ledger.attempt(event);
        world.ledger.settle(event, Outcome::Refused);
        world.put(30, refused, 1);
    });
    assert!(found.contains(&"the stream holds nothing that was refused or never put"), "{found:?}");
}

#[test]
fn an_unfinished_shard_is_found() {
    let promise = "every shard is committed to its end, with nothing pending";
    let pending = |world: &mut World| {
        world.leases[0].pending =
            Some(PendingCheckpoint { position: Position::record(sequence(15)), state: "{}".into() });
    };
    assert_eq!(broken(pending), [promise]);
    let found = broken(|world| world.leases[0].checkpoint = Position::record(sequence(13)));
    assert!(found.contains(&promise), "{found:?}");
    assert_eq!(broken(|world| world.leases.clear()), [promise]);
}

#[test]
fn a_gap_between_batches_is_found() {
    let gap = |world: &mut World| {
        world.batches.get_mut(SHARD).expect("written")[1].after = Position::record(sequence(11));
    };
    assert_eq!(broken(gap), ["the batches of a shard follow each other without a gap"]);
    let decided = |world: &mut World| {
        world.batches.get_mut(SHARD).expect("written")[1].gap = Some("an operator said so".to_owned());
    };
    assert_eq!(broken(decided), ["the batches of a shard follow each other without a gap"]);
    let generation = |world: &mut World| world.leases[0].own.generation = Generation(6);
    assert_eq!(broken(generation), ["the batches of a shard follow each other without a gap"]);
}

#[test]
fn a_missing_and_a_spare_object_are_found() {
    let found = broken(|world| {
        world.bucket.keys.remove("state/soak/g5-b1");
    });
    assert_eq!(found, ["a committed batch has its objects, manifest and snapshot"]);
    let found = broken(|world| {
        world.bucket.keys.insert("events/soak-shardId-0-g5-b2-0.jsonl.gz".to_owned());
    });
    assert_eq!(found, ["no object lies there that no committed batch names"]);
}

#[test]
fn a_damaged_object_and_a_failed_event_are_found() {
    let found = broken(|world| {
        world.bucket.objects.values_mut().next().expect("written").digest.clear();
    });
    assert_eq!(found, ["an object holds the rows that its manifest says"]);
    let found = broken(|world| {
        let object = RowObject { rows: Rows::Failed(vec!["late".to_owned()]), digest: String::new() };
        world.bucket.objects.insert("failed/stage=session/x".to_owned(), object);
    });
    assert_eq!(found, ["no event fails"]);
}

#[test]
fn a_lost_row_a_double_row_and_an_altered_row_are_found() {
    let lost = broken(|world| {
        world.rows(1).remove(0);
    });
    assert!(lost.contains(&"every event on the stream is written"), "{lost:?}");
    let doubled = broken(|world| {
        let row = world.rows(0)[1].clone();
        world.rows(0).push(row);
    });
    assert!(doubled.contains(&"no event is written twice"), "{doubled:?}");
    let altered = broken(|world| world.rows(0)[0].event.soak_attempt = 1);
    assert_eq!(altered, ["what is written is what lies on the stream"]);
}

#[test]
fn events_out_of_order_are_found_within_an_object_and_between_batches() {
    let promise = "events of a key are written in their order";
    assert_eq!(broken(|world| world.rows(0).swap(0, 1)), [promise]);
    let between = |world: &mut World| {
        let (first, second) = (world.rows(0).clone(), world.rows(1).clone());
        *world.rows(0) = second[..2].to_vec();
        *world.rows(1) = [first, second[2..].to_vec()].concat();
    };
    assert_eq!(broken(between), [promise]);
}

#[test]
fn wrong_sessions_are_found() {
    let astray = broken(|world| world.rows(1)[0].session_id = "key-007_2".to_owned());
    assert_eq!(astray, ["an event is written in its session"]);
    let silent = broken(|world| {
        let (_, object) = world.bucket.objects.iter_mut().next_back().expect("written");
        object.rows = Rows::Sessions(vec![SessionRow { session_id: "key-007_0".to_owned() }]);
    });
    assert_eq!(silent, ["each session starts once"]);
}
