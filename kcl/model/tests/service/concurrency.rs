//! Many threads on one model: no acknowledged record is lost, doubled or out of order, tailing or resharding.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kcl_core::{SequenceNumber, ShardId};
use kinesis_model::*;

use crate::world::{World, shard_id, stream};

const WRITERS: usize = 4;
const REQUESTS: usize = 200;

type Stored = BTreeMap<ShardId, Vec<SequenceNumber>>;

/// Puts again what was refused because its shards moved faster than the request, as a producer would.
fn write(world: &World, writer: usize) -> Stored {
    let mut stored = Stored::new();
    for request in 0..REQUESTS {
        let mut records: Vec<_> = (0..20)
            .map(|index| PutRecordsEntry::new(format!("{writer}-{request}-{index}"), vec![b'x'; 50]))
            .collect();
        while !records.is_empty() {
            let request = PutRecordsRequest { stream: stream(), records: records.clone() };
            let response = world.kinesis.put_records(request, world.now).expect("nothing limits writes");
            let mut receipts = response.records.into_iter();
            records.retain(|_| match receipts.next().expect("an answer for each record") {
                Ok(receipt) => {
                    stored.entry(receipt.shard_id).or_default().push(receipt.sequence_number);
                    false
                }
                Err(KinesisError::InternalFailure(_)) => true,
                Err(error) => panic!("no other refusal is possible: {error}"),
            });
        }
    }
    stored
}

/// Reads a shard to its end, or until nothing comes after `is_written`; returns what it read and who follows.
fn tail(world: &World, shard: &ShardId, is_written: &AtomicBool) -> (Vec<SequenceNumber>, Vec<ShardId>) {
    let position = StartingPosition::TrimHorizon;
    let request = GetShardIteratorRequest { stream: stream(), shard_id: shard.clone(), position };
    let mut iterator = world.kinesis.get_shard_iterator(request, world.now).expect("a named shard exists");
    let mut numbers = Vec::new();
    loop {
        let was_written = is_written.load(Ordering::SeqCst);
        let response = world.read(&iterator);
        let is_empty = response.records.is_empty();
        numbers.extend(response.records.into_iter().map(|record| record.sequence_number));
        match response.next_shard_iterator {
            Some(_) if is_empty && was_written => return (numbers, Vec::new()),
            Some(next) => iterator = next,
            None => {
                return (numbers, response.child_shards.into_iter().map(|child| child.shard_id).collect());
            }
        }
        thread::yield_now();
    }
}

/// Reads a shard and all its descendants, each once.
fn follow(world: &World, is_written: &AtomicBool) -> Stored {
    let mut read = Stored::new();
    let mut waiting = vec![shard_id(0)];
    while let Some(shard) = waiting.pop() {
        if let Entry::Vacant(place) = read.entry(shard) {
            let (numbers, children) = tail(world, place.key(), is_written);
            place.insert(numbers);
            waiting.extend(children);
        }
    }
    read.retain(|_, numbers| !numbers.is_empty());
    read
}

/// Writes, reads and changes at once. `change` is told whether anybody still writes.
fn check(change: impl Fn(&World, &dyn Fn() -> bool) + Sync) {
    let world = World::new(1);
    let is_written = AtomicBool::new(false);
    let (stored, read) = thread::scope(|scope| {
        let reader = scope.spawn(|| follow(&world, &is_written));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let world = &world;
                scope.spawn(move || write(world, writer))
            })
            .collect();
        change(&world, &|| writers.iter().any(|writer| !writer.is_finished()));
        let stored: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_written.store(true, Ordering::SeqCst);
        (stored, reader.join().expect("the reader does not panic"))
    });
    let mut merged = Stored::new();
    for stored in stored {
        for (shard, numbers) in stored.expect("writers do not panic") {
            merged.entry(shard).or_default().extend(numbers);
        }
    }
    merged.values_mut().for_each(|numbers| numbers.sort_unstable());
    assert_eq!(merged.values().map(Vec::len).sum::<usize>(), WRITERS * REQUESTS * 20);
    assert!(merged == read, "the reader saw each record once, in order");
}

#[test]
fn a_tailing_reader_misses_nothing_under_many_writers() {
    check(|_, _| {});
}

#[test]
fn reshards_under_load_lose_nothing() {
    check(|world, is_writing| {
        let mut targets = [2, 4, 2, 1].into_iter().cycle();
        while is_writing() {
            world.scale(targets.next().expect("a cycle has no end")).expect("no limits");
            thread::yield_now();
        }
        assert!(world.shards().len() > 3, "reshards came between writes");
    });
}
