//! The shards of one stream: who holds which hash keys, who descends from whom.
//!
//! Owns lineage and routing. A change closes the parents' logs before anything can be routed to their children, and the
//! changed topology is published as a whole, so a record lands in a parent before it closes or in a child after it.
//!
//! ```text
//!   split 0 at k:      merge 1, 2:        closed: 0, 1, 2     open: 3
//!   0 ─┬─▶ 1 [0, k)    1 ─┐
//!      └─▶ 2 [k, …]    2 ─┴─▶ 3
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use kcl_core::{HashKey, HashKeyRange, SequenceNumber, ShardId};
use parking_lot::Mutex;

use crate::reshard;
use crate::sequence::SequenceSpace;
use crate::shard_log::{LogOptions, ShardLog};
use crate::{ChildShard, EpochMillis, ShardDescription};

/// A shard: what never changes about it, and its log.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) number: u32,
    pub(crate) range: HashKeyRange,
    pub(crate) parents: Vec<ShardId>,
    pub(crate) created: EpochMillis,
    sequences: SequenceSpace,
    pub(crate) log: Mutex<ShardLog>,
}

/// A shard and whether it is closed.
#[derive(Clone, Debug)]
pub(crate) struct ShardEntry {
    pub(crate) shard: Arc<Shard>,
    pub(crate) closed: Option<EpochMillis>,
}

impl ShardEntry {
    /// What listings show.
    pub(crate) fn describe(&self) -> ShardDescription {
        let shard = &self.shard;
        ShardDescription {
            shard_id: shard.id.clone(),
            parent_shard_id: shard.parents.first().cloned(),
            adjacent_parent_shard_id: shard.parents.get(1).cloned(),
            hash_key_range: shard.range,
            starting_sequence_number: shard.sequences.starting(),
            ending_sequence_number: self.closed.map(|_| self.ending()),
        }
    }

    /// Whether the shard took records at `time`.
    pub(crate) fn was_open_at(&self, time: EpochMillis) -> bool {
        self.shard.created <= time && self.closed.is_none_or(|closed| time < closed)
    }

    fn ending(&self) -> SequenceNumber {
        self.shard.sequences.ending()
    }
}

/// All listed shards of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    shards: BTreeMap<u32, ShardEntry>,
    /// By hash range, covering the whole hash space.
    open: Vec<Arc<Shard>>,
    next_number: u32,
}

impl Topology {
    /// `count` shards of equal hash ranges.
    pub(crate) fn uniform(count: u32, options: &LogOptions, now: EpochMillis) -> Self {
        let mut topology = Self { shards: BTreeMap::new(), open: Vec::new(), next_number: 0 };
        for range in reshard::uniform_ranges(count) {
            let sequences = SequenceSpace::new(topology.next_number, now.seconds());
            let shard = topology.create(range, Vec::new(), sequences, options, now);
            topology.open.push(shard);
        }
        topology
    }

    /// The open shard that holds `key`.
    pub(crate) fn route(&self, key: HashKey) -> &Arc<Shard> {
        &self.open[self.route_place(key)]
    }

    /// Its place in [`Topology::open`].
    pub(crate) fn route_place(&self, key: HashKey) -> usize {
        self.open.partition_point(|shard| shard.range.start() <= key) - 1
    }

    /// The listed shard called `id`.
    pub(crate) fn shard(&self, id: &ShardId) -> Option<&ShardEntry> {
        let number = shard_number(id)?;
        self.shards.get(&number).filter(|entry| entry.shard.id == *id)
    }

    /// The listed shard with this number.
    pub(crate) fn shard_numbered(&self, number: u32) -> Option<&ShardEntry> {
        self.shards.get(&number)
    }

    /// The listed shards after `number`, in order.
    pub(crate) fn entries_after(&self, number: Option<u32>) -> impl Iterator<Item = &ShardEntry> {
        let first = match number {
            Some(number) => std::ops::Bound::Excluded(number),
            None => std::ops::Bound::Unbounded,
        };
        self.shards.range((first, std::ops::Bound::Unbounded)).map(|(_, entry)| entry)
    }

    /// The open shards by hash range.
    pub(crate) fn open(&self) -> &[Arc<Shard>] {
        &self.open
    }

    /// Replaces the open shard that holds `key` by two; `key` is the first one of the upper child. Nothing happens if
    /// the shard begins with `key`.
    pub(crate) fn split_at(&mut self, key: HashKey, options: &LogOptions, now: EpochMillis) {
        let parent = self.route(key).clone();
        let Some(last_below) = key.0.checked_sub(1).filter(|last| HashKey(*last) >= parent.range.start())
        else {
            return;
        };
        let range =
            |start, end| HashKeyRange::new(start, end).expect("the key lies inside the parent's range");
        let ranges = [range(parent.range.start(), HashKey(last_below)), range(key, parent.range.end())];
        self.replace(&[parent], &ranges, options, now);
    }

    /// Replaces the open shard that begins with `key` and the one before it by one, `first_parent` being named first.
    /// Nothing happens if no shard begins there, or it has no neighbour below.
    pub(crate) fn merge_at(
        &mut self,
        key: HashKey,
        first_parent: Option<&ShardId>,
        options: &LogOptions,
        now: EpochMillis,
    ) {
        let place = self.open.partition_point(|shard| shard.range.start() < key);
        let (Some(lower), Some(upper)) = (place.checked_sub(1), self.open.get(place)) else { return };
        let (lower, upper) = (self.open[lower].clone(), upper.clone());
        if upper.range.start() != key {
            return;
        }
        let range =
            HashKeyRange::new(lower.range.start(), upper.range.end()).expect("lower lies before upper");
        let parents = if first_parent == Some(&upper.id) { [upper, lower] } else { [lower, upper] };
        self.replace(&parents, &[range], options, now);
    }

    /// Splits and merges until `target` open shards of equal ranges are left.
    pub(crate) fn scale_uniformly(&mut self, target: u32, options: &LogOptions, now: EpochMillis) {
        let open: Vec<_> = self.open.iter().map(|shard| shard.range).collect();
        let plan = reshard::plan(&open, target);
        for key in plan.splits {
            self.split_at(key, options, now);
        }
        for key in plan.merges {
            self.merge_at(key, None, options, now);
        }
    }

    /// Forgets shards that were closed before `horizon`, with their records.
    pub(crate) fn forget_closed_before(&mut self, horizon: EpochMillis) {
        self.shards.retain(|_, entry| {
            let is_listed = entry.closed.is_none_or(|closed| closed >= horizon);
            if !is_listed {
                entry.shard.log.lock().delete();
            }
            is_listed
        });
    }

    /// When the first closed shard was closed.
    pub(crate) fn oldest_close(&self) -> Option<EpochMillis> {
        self.shards.values().filter_map(|entry| entry.closed).min()
    }

    /// Closes `parents` and opens one child per range, which together take the parents' place.
    fn replace(
        &mut self,
        parents: &[Arc<Shard>],
        ranges: &[HashKeyRange],
        options: &LogOptions,
        now: EpochMillis,
    ) {
        let parent_shards: Vec<_> = parents.iter().map(|parent| parent.id.clone()).collect();
        let child = |(index, range): (usize, &HashKeyRange)| ChildShard {
            shard_id: shard_id(self.next_number + index as u32),
            parent_shards: parent_shards.clone(),
            hash_key_range: *range,
        };
        let children: Vec<_> = ranges.iter().enumerate().map(child).collect();

        let mut closed = now;
        for parent in parents {
            closed = closed.max(parent.log.lock().close(children.clone(), now));
        }
        for parent in parents {
            let entry = self.shards.get_mut(&parent.number).expect("an open shard is listed");
            entry.closed = Some(closed);
        }
        let creation_second =
            parents.iter().map(|parent| parent.sequences.child_creation_second(closed)).max();
        let creation_second = creation_second.expect("a child has a parent");
        let opened: Vec<_> = ranges
            .iter()
            .map(|range| {
                let sequences = SequenceSpace::new(self.next_number, creation_second);
                self.create(*range, parent_shards.clone(), sequences, options, closed)
            })
            .collect();
        let start = ranges[0].start();
        let place = self.open.partition_point(|shard| shard.range.start() < start);
        self.open.splice(place..place + parents.len(), opened);
    }

    fn create(
        &mut self,
        range: HashKeyRange,
        parents: Vec<ShardId>,
        sequences: SequenceSpace,
        options: &LogOptions,
        created: EpochMillis,
    ) -> Arc<Shard> {
        let number = self.next_number;
        let log = Mutex::new(ShardLog::new(sequences, options, created));
        let shard = Arc::new(Shard { id: shard_id(number), number, range, parents, created, sequences, log });
        self.shards.insert(number, ShardEntry { shard: shard.clone(), closed: None });
        self.next_number += 1;
        shard
    }
}

/// The number in a shard's id.
pub(crate) fn shard_number(id: &ShardId) -> Option<u32> {
    id.as_str().strip_prefix(SHARD_ID_PREFIX)?.parse().ok()
}

/// The id of shard `number`, as Kinesis writes it.
pub(crate) fn shard_id(number: u32) -> ShardId {
    ShardId::new(format!("{SHARD_ID_PREFIX}{number:012}")).expect("not empty, and shorter than 1024 bytes")
}

const SHARD_ID_PREFIX: &str = "shardId-";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kcl_core::covers_hash_space;
    use proptest::prelude::*;

    use super::*;
    use crate::Settings;
    use crate::stored::StoredBytes;

    const NOW: EpochMillis = EpochMillis(1_700_000_000_000);

    fn options() -> LogOptions {
        let settings = Settings::default();
        let stored = Arc::new(StoredBytes::new(None, settings.when_full));
        LogOptions::new(&settings, Duration::from_secs(86_400), stored)
    }

    fn assert_sound(topology: &Topology) {
        let ranges: Vec<_> = topology.open.iter().map(|shard| shard.range).collect();
        assert!(covers_hash_space(ranges.iter().copied()), "the open shards cover the hash space");
        assert!(ranges.windows(2).all(|pair| pair[0].is_followed_by(pair[1])), "and do not overlap");
        for entry in topology.shards.values() {
            for parent in &entry.shard.parents {
                let parent = topology.shard(parent).expect("nothing is forgotten here").describe();
                let ending = parent.ending_sequence_number.expect("a parent is closed");
                assert!(ending < entry.describe().starting_sequence_number, "children number behind parents");
                assert!(
                    parent.hash_key_range.overlaps(entry.shard.range),
                    "children share keys with parents"
                );
            }
        }
    }

    #[test]
    fn a_split_and_a_merge_keep_their_lineage() {
        let mut topology = Topology::uniform(1, &options(), NOW);
        topology.split_at(HashKey(1 << 127), &options(), NOW);
        topology.merge_at(HashKey(1 << 127), Some(&shard_id(2)), &options(), NOW);
        assert_sound(&topology);
        assert_eq!(topology.shard(&shard_id(1)).expect("listed").shard.parents, [shard_id(0)]);
        let merged = topology.shard(&shard_id(3)).expect("listed").describe();
        assert_eq!(merged.parent_shard_id, Some(shard_id(2)));
        assert_eq!(merged.adjacent_parent_shard_id, Some(shard_id(1)));
    }

    #[test]
    fn only_exact_ids_name_a_shard() {
        let topology = Topology::uniform(2, &options(), NOW);
        let named = |text| topology.shard(&ShardId::new(text).expect("valid")).is_some();
        assert!(named("shardId-000000000001"));
        assert!(!named("shardId-1") && !named("shardId-000000000002") && !named("x"));
    }

    #[test]
    fn forgotten_shards_lose_their_records() {
        let mut topology = Topology::uniform(1, &options(), NOW);
        let parent = topology.open[0].clone();
        topology.split_at(HashKey(5), &options(), NOW);
        topology.forget_closed_before(NOW);
        assert!(topology.shard(&shard_id(0)).is_some());
        topology.forget_closed_before(EpochMillis(NOW.0 + 1));
        assert!(topology.shard(&shard_id(0)).is_none() && parent.log.lock().is_deleted());
    }

    proptest! {
        #[test]
        fn any_series_of_changes_covers_the_hash_space(
            start in 1_u32..6,
            changes in proptest::collection::vec((any::<bool>(), any::<u128>(), 1_u32..9), 0..12),
        ) {
            let mut topology = Topology::uniform(start, &options(), NOW);
            for (is_uniform, key, target) in changes {
                if is_uniform {
                    topology.scale_uniformly(target, &options(), NOW);
                    prop_assert_eq!(topology.open.len(), target as usize);
                } else {
                    topology.split_at(HashKey(key), &options(), NOW);
                }
                assert_sound(&topology);
            }
        }
    }
}
