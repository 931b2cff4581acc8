//! The stream of the simulated world: shards with numbered records, splits, merges, and what a listing shows of them.

use std::collections::BTreeSet;

use kcl_core::{
    ChildShard, HashKey, HashKeyRange, LeaseKey, ListedShard, Position, SequenceNumber, ShardFilter, ShardId,
};

/// Position of record `number` of a shard; records count from 1, and 0 is before the first.
pub(crate) fn position_of(number: u64) -> Position {
    if number == 0 {
        return Position::TrimHorizon;
    }
    Position::record(SequenceNumber::from_parts(0, u128::from(number)))
}

/// Number of the record at `position`; none for a finished shard.
pub(crate) fn number_of(position: Position) -> Option<u64> {
    match position {
        Position::AtTimestamp | Position::TrimHorizon | Position::Latest => Some(0),
        Position::At(record) => Some(record.sequence.low() as u64),
        Position::ShardEnd => None,
    }
}

/// Every shard there ever was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SimStream {
    shards: Vec<SimShard>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SimShard {
    pub(crate) listed: ListedShard,
    pub(crate) records: u64,
    /// Retention has passed it, and listings no longer show it.
    pub(crate) is_gone: bool,
}

impl SimStream {
    pub(crate) fn new(shards: usize) -> Self {
        let width = u128::MAX / shards as u128;
        let mut stream = Self { shards: Vec::new() };
        for index in 0..shards as u128 {
            let end = if index + 1 == shards as u128 { u128::MAX } else { (index + 1) * width - 1 };
            stream.add(BTreeSet::new(), index * width, end);
        }
        stream
    }

    /// Adds records to an open shard.
    pub(crate) fn put(&mut self, pick: u8, count: u64) {
        let open: Vec<usize> = self.open().collect();
        if let Some(index) = open.get(usize::from(pick) % open.len().max(1)) {
            self.shards[*index].records += count;
        }
    }

    /// Splits an open shard in the middle; does nothing at the limit of shards.
    pub(crate) fn split(&mut self, pick: u8) -> bool {
        let open: Vec<usize> = self.open().collect();
        let Some(&index) = open.get(usize::from(pick) % open.len().max(1)) else { return false };
        let range = self.shards[index].listed.hash_range;
        if self.shards.len() + 2 > SHARDS_MAX || range.start() == range.end() {
            return false;
        }
        let middle = range.start().0 + (range.end().0 - range.start().0) / 2;
        let parents: BTreeSet<ShardId> = [self.close(index)].into();
        self.add(parents.clone(), range.start().0, middle);
        self.add(parents, middle + 1, range.end().0);
        true
    }

    /// Merges two open shards that lie side by side; does nothing at the limit of shards.
    pub(crate) fn merge(&mut self, pick: u8) -> bool {
        let follows = |left: usize, right: usize| {
            let ranges = (self.shards[left].listed.hash_range, self.shards[right].listed.hash_range);
            ranges.0.is_followed_by(ranges.1)
        };
        let pairs: Vec<(usize, usize)> = self
            .open()
            .flat_map(|left| self.open().map(move |right| (left, right)))
            .filter(|(left, right)| follows(*left, *right))
            .collect();
        let Some(&(left, right)) = pairs.get(usize::from(pick) % pairs.len().max(1)) else { return false };
        if self.shards.len() + 1 > SHARDS_MAX {
            return false;
        }
        let start = self.shards[left].listed.hash_range.start().0;
        let end = self.shards[right].listed.hash_range.end().0;
        let parents = [self.close(left), self.close(right)].into();
        self.add(parents, start, end);
        true
    }

    /// Retention passes a closed shard.
    pub(crate) fn forget(&mut self, key: &LeaseKey) {
        if let Some(shard) = self.shards.iter_mut().find(|shard| LeaseKey::from(&shard.listed.shard) == *key)
        {
            shard.is_gone = true;
        }
    }

    pub(crate) fn shard(&self, key: &LeaseKey) -> Option<&SimShard> {
        self.shards.iter().find(|shard| LeaseKey::from(&shard.listed.shard) == *key)
    }

    /// Shards that a listing shows.
    pub(crate) fn present(&self) -> impl Iterator<Item = &SimShard> {
        self.shards.iter().filter(|shard| !shard.is_gone)
    }

    pub(crate) fn open_shards(&self) -> usize {
        self.open().count()
    }

    pub(crate) fn children_of(&self, parent: &ShardId) -> Vec<ChildShard> {
        let children = self.shards.iter().filter(|shard| shard.listed.parents.contains(parent));
        let child = |shard: &SimShard| ChildShard {
            shard: shard.listed.shard.clone(),
            parents: shard.listed.parents.clone(),
            hash_range: shard.listed.hash_range,
        };
        children.map(child).collect()
    }

    /// What `ListShards` answers; at the trim horizon are the shards whose parents are gone.
    pub(crate) fn listing(&self, filter: ShardFilter) -> Vec<ListedShard> {
        let is_present = |id: &ShardId| self.present().any(|shard| shard.listed.shard == *id);
        let is_admitted = |shard: &&SimShard| match filter {
            ShardFilter::All => true,
            ShardFilter::AtTrimHorizon => !shard.listed.parents.iter().any(is_present),
            ShardFilter::AtLatest | ShardFilter::AtTimestamp(_) => shard.listed.is_open,
        };
        self.present().filter(is_admitted).map(|shard| shard.listed.clone()).collect()
    }

    fn open(&self) -> impl Iterator<Item = usize> {
        (0..self.shards.len()).filter(|index| self.shards[*index].listed.is_open)
    }

    fn close(&mut self, index: usize) -> ShardId {
        self.shards[index].listed.is_open = false;
        self.shards[index].listed.shard.clone()
    }

    fn add(&mut self, parents: BTreeSet<ShardId>, start: u128, end: u128) {
        let number = self.shards.len();
        let listed = ListedShard {
            shard: ShardId::new(format!("shardId-{number:012}")).expect("valid"),
            parents,
            hash_range: HashKeyRange::new(HashKey(start), HashKey(end)).expect("start before end"),
            starting_sequence: SequenceNumber::from_parts(0, number as u128),
            is_open: true,
        };
        self.shards.push(SimShard { listed, records: 0, is_gone: false });
    }
}

/// Enough for three generations of four shards.
const SHARDS_MAX: usize = 14;
