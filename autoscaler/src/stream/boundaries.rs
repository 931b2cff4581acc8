//! Where the open shards begin: a layout without the shards' names.
//!
//! A split adds one boundary and a merge removes one, so the way between two layouts is the difference of two sets, and
//! a plan that was cut off goes on from whatever layout it meets.

use kcl_core::{HashKey, HashKeyRange};
use kinesis_model::uniform_ranges;

/// The first hash key of each open shard, in order; the first is 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boundaries(Vec<HashKey>);

impl Boundaries {
    /// Boundaries at these keys and at 0; order and repetition do not matter.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = HashKey>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().chain([HashKey(0)]).collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    /// `count` equal ranges, as `UpdateShardCount` makes them. At least one.
    #[must_use]
    pub fn uniform(count: u32) -> Self {
        Self(uniform_ranges(count.max(1)).map(HashKeyRange::start).collect())
    }

    /// How many shards these are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The first hash keys, in order.
    #[must_use]
    pub fn keys(&self) -> &[HashKey] {
        &self.0
    }

    /// The ranges between them, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = HashKeyRange> + '_ {
        self.0.iter().enumerate().map(|(index, &start)| {
            let end = self.0.get(index + 1).map_or(HashKey(u128::MAX), |next| HashKey(next.0 - 1));
            HashKeyRange::new(start, end).expect("boundaries increase")
        })
    }

    /// The place of the range that holds `key`.
    #[must_use]
    pub fn index_of(&self, key: HashKey) -> usize {
        self.0.partition_point(|&start| start <= key) - 1
    }

    /// Whether a shard begins at `key`.
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        self.0.binary_search(&key).is_ok()
    }

    /// The boundaries that `self` has and `other` has not: what a merge must remove, or a split has added.
    #[must_use]
    pub fn without(&self, other: &Self) -> Vec<HashKey> {
        self.0.iter().copied().filter(|&key| !other.contains(key)).collect()
    }

    /// Adds a boundary, as a split does. Nothing happens if it is there.
    pub fn split(&mut self, at: HashKey) {
        if let Err(place) = self.0.binary_search(&at) {
            self.0.insert(place, at);
        }
    }

    /// Removes a boundary, as a merge does. Nothing happens at 0 or if it is not there.
    pub fn merge(&mut self, at: HashKey) {
        if at.0 == 0 {
            return;
        }
        if let Ok(place) = self.0.binary_search(&at) {
            self.0.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_and_a_merge_at_one_key_undo_each_other() {
        let uniform = Boundaries::uniform(3);
        let mut boundaries = uniform.clone();
        boundaries.split(HashKey(17));
        assert_eq!(boundaries.count(), 4);
        assert_eq!(boundaries.without(&uniform), [HashKey(17)]);
        boundaries.merge(HashKey(17));
        boundaries.merge(HashKey(0));
        assert_eq!(boundaries, uniform);
    }

    #[test]
    fn ranges_cover_the_hash_space_and_hold_their_keys() {
        let boundaries = Boundaries::new([HashKey(9), HashKey(5), HashKey(9)]);
        let ranges: Vec<_> = boundaries.ranges().collect();
        assert!(kcl_core::covers_hash_space(ranges.iter().copied()));
        assert_eq!(ranges.len(), 3);
        for key in [0, 4, 5, 8, 9, u128::MAX].map(HashKey) {
            assert!(ranges[boundaries.index_of(key)].contains(key), "{key}");
        }
    }
}
