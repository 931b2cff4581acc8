//! The open shards of a stream, with their names.

use kcl_core::{HashKey, HashKeyRange, ShardId};
use thiserror::Error;

use super::Boundaries;

/// A shard that takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenShard {
    /// Its name.
    pub id: ShardId,
    /// The part of the hash space that it holds.
    pub range: HashKeyRange,
}

/// The open shards in the order of their ranges: they cover the hash space without a hole or an overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shards: Vec<OpenShard>,
}

impl Layout {
    /// The layout of these shards, in any order.
    ///
    /// # Errors
    /// [`InvalidLayout`] if they leave a hole or overlap: a listing made while the stream changed.
    pub fn new(mut shards: Vec<OpenShard>) -> Result<Self, InvalidLayout> {
        shards.sort_unstable_by_key(|shard| shard.range);
        let mut next = Some(HashKey(0));
        for shard in &shards {
            if next != Some(shard.range.start()) {
                return Err(InvalidLayout { open: shards.len(), at: shard.range.start() });
            }
            next = shard.range.end().0.checked_add(1).map(HashKey);
        }
        match next {
            None => Ok(Self { shards }),
            Some(at) => Err(InvalidLayout { open: shards.len(), at }),
        }
    }

    /// The shards by range.
    #[must_use]
    pub fn shards(&self) -> &[OpenShard] {
        &self.shards
    }

    /// How many shards are open.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }

    /// Where they begin.
    #[must_use]
    pub fn boundaries(&self) -> Boundaries {
        Boundaries::new(self.shards.iter().map(|shard| shard.range.start()))
    }
}

/// Open shards that do not cover the hash space exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{open} open shards leave a hole or overlap at hash key {at}: the stream changed while it was listed, list it again"
)]
pub struct InvalidLayout {
    /// How many shards were listed.
    pub open: usize,
    /// Where they do not fit.
    pub at: HashKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str, start: u128, end: u128) -> OpenShard {
        let range = HashKeyRange::new(HashKey(start), HashKey(end)).expect("start before end");
        OpenShard { id: ShardId::new(name).expect("valid"), range }
    }

    #[test]
    fn shards_are_ordered_by_range() {
        let layout = Layout::new(vec![shard("b", 8, u128::MAX), shard("a", 0, 7)]).expect("covers");
        assert_eq!(layout.boundaries().keys(), [HashKey(0), HashKey(8)]);
        assert_eq!(layout.count(), 2);
    }

    #[test]
    fn holes_overlaps_and_nothing_are_refused_where_they_begin() {
        let at = |shards| Layout::new(shards).expect_err("refused").at;
        assert_eq!(at(vec![shard("a", 0, 7), shard("b", 9, u128::MAX)]), HashKey(9));
        assert_eq!(at(vec![shard("a", 0, 7), shard("b", 7, u128::MAX)]), HashKey(7));
        assert_eq!(at(vec![shard("a", 0, 7)]), HashKey(8));
        assert_eq!(at(Vec::new()), HashKey(0));
    }
}
