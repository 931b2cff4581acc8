//! Random series of puts, splits, merges, scalings and reads, against a trivial reference: every acknowledged record is
//! read exactly once, in order, by following child shards.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kcl_core::{SequenceNumber, ShardId, covers_hash_space};
use kinesis_model::*;
use proptest::prelude::*;

use crate::world::{World, shard_id, stream};

#[derive(Clone, Debug)]
enum Action {
    Put { hash: u128, count: usize },
    Split { shard: usize, key: u128 },
    Merge { place: usize },
    Scale { target: u32 },
    Read { reader: usize, limit: u32 },
    Pass { millis: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (any::<u128>(), 1_usize..20).prop_map(|(hash, count)| Action::Put { hash, count }),
        1 => (any::<usize>(), any::<u128>()).prop_map(|(shard, key)| Action::Split { shard, key }),
        1 => any::<usize>().prop_map(|place| Action::Merge { place }),
        1 => (1_u32..7).prop_map(|target| Action::Scale { target }),
        4 => (any::<usize>(), 1_u32..30).prop_map(|(reader, limit)| Action::Read { reader, limit }),
        2 => (0_u64..40_000).prop_map(|millis| Action::Pass { millis }),
    ]
}

/// Follows the shards of a stream from the oldest ones on.
#[derive(Default)]
struct Follower {
    iterators: BTreeMap<ShardId, String>,
    ended: BTreeSet<ShardId>,
    read: BTreeMap<ShardId, Vec<(SequenceNumber, Vec<u8>)>>,
}

impl Follower {
    fn start(&mut self, world: &World, shard_id: ShardId) {
        if self.ended.contains(&shard_id) || self.iterators.contains_key(&shard_id) {
            return;
        }
        let position = StartingPosition::TrimHorizon;
        let request = GetShardIteratorRequest { stream: stream(), shard_id: shard_id.clone(), position };
        let iterator = world.kinesis.get_shard_iterator(request, world.now).expect("a named shard exists");
        self.iterators.insert(shard_id, iterator);
    }

    fn step(&mut self, world: &World, shard_id: ShardId, limit: u32) -> usize {
        let iterator = self.iterators.remove(&shard_id).expect("only running shards are stepped");
        let request = GetRecordsRequest { limit: Some(limit), ..GetRecordsRequest::new(iterator) };
        let response = world.kinesis.get_records(request, world.now).expect("the iterator is fresh");
        assert_eq!(response.next_shard_iterator.is_none(), !response.child_shards.is_empty());
        let count = response.records.len();
        let records =
            response.records.into_iter().map(|record| (record.sequence_number, record.data.to_vec()));
        self.read.entry(shard_id.clone()).or_default().extend(records);
        match response.next_shard_iterator {
            Some(next) => {
                self.iterators.insert(shard_id, next);
            }
            None => {
                self.ended.insert(shard_id);
                for child in response.child_shards {
                    self.start(world, child.shard_id);
                }
            }
        }
        count
    }

    fn drain(&mut self, world: &World) {
        let mut waiting: VecDeque<_> = self.iterators.keys().cloned().collect();
        while let Some(shard) = waiting.pop_front() {
            let known: BTreeSet<_> = self.iterators.keys().cloned().collect();
            if self.step(world, shard.clone(), 10_000) > 0 && self.iterators.contains_key(&shard) {
                waiting.push_back(shard);
            }
            waiting.extend(self.iterators.keys().filter(|shard| !known.contains(*shard)).cloned());
        }
    }
}

fn number(id: &ShardId) -> u32 {
    id.as_str().trim_start_matches("shardId-").parse().expect("a shard id")
}

fn run(start: u32, control_plane: ControlPlane, actions: Vec<Action>) {
    let settings =
        Settings { control_plane, iterator_lifetime: Duration::from_secs(86_400), ..Settings::default() };
    let mut world = World::with(settings, start);
    if control_plane == ControlPlane::Aws {
        world.settle();
    }
    let mut reference = BTreeMap::<ShardId, Vec<(SequenceNumber, Vec<u8>)>>::new();
    let mut follower = Follower::default();
    for shard in 0..start {
        follower.start(&world, shard_id(shard));
    }
    let mut written = 0_u32;
    for action in actions {
        match action {
            Action::Put { hash, count } => {
                for step in 0..count {
                    let data = written.to_string();
                    written += 1;
                    let stored = world.put_at(hash.wrapping_add((step as u128) << 120), &data);
                    reference
                        .entry(stored.shard_id)
                        .or_default()
                        .push((stored.sequence_number, data.into_bytes()));
                }
            }
            // A refused reshard (no room in the shard, an update under way) is a legal outcome of a random one.
            Action::Split { shard, key } => {
                let open = world.open_shards();
                let parent = &open[shard % open.len()];
                let (start, end) = (parent.hash_key_range.start().0, parent.hash_key_range.end().0);
                drop(world.split(number(&parent.shard_id), start + key % (end - start).max(1)));
            }
            Action::Merge { place } => {
                let mut open = world.open_shards();
                open.sort_by_key(|shard| shard.hash_key_range);
                let place = place % open.len();
                if let Some(upper) = open.get(place + 1) {
                    drop(world.merge(number(&open[place].shard_id), number(&upper.shard_id)));
                }
            }
            Action::Scale { target } => drop(world.scale(target)),
            Action::Read { reader, limit } => {
                let running: Vec<_> = follower.iterators.keys().cloned().collect();
                follower.step(&world, running[reader % running.len()].clone(), limit);
            }
            Action::Pass { millis } => world.pass(Duration::from_millis(millis)),
        }
        let open = world.open_shards();
        assert!(covers_hash_space(open.iter().map(|shard| shard.hash_key_range)));
    }
    follower.drain(&world);
    follower.read.retain(|_, records| !records.is_empty());
    assert_eq!(follower.read, reference);
    assert!(reference.values().all(|records| records.is_sorted_by_key(|(number, _)| *number)));
    for shard in world.shards() {
        assert_eq!(follower.ended.contains(&shard.shard_id), shard.ending_sequence_number.is_some());
    }
}

proptest! {
    #[test]
    fn every_record_is_read_once_and_in_order(
        start in 1_u32..4,
        is_instant: bool,
        actions in proptest::collection::vec(action(), 0..60),
    ) {
        let control_plane = if is_instant { ControlPlane::Instant } else { ControlPlane::Aws };
        run(start, control_plane, actions);
    }
}
